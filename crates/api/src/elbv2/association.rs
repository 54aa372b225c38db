//! Which load balancers use which target groups, by the actions of their listeners and rules.

use super::arn::owned;
use super::error::{Result, error, invalid_configuration};
use super::network;
use crate::Ctx;
use model::Scope;
use model::elbv2::{Action, Listener, LoadBalancer, Rule, TargetGroup};
use std::collections::BTreeSet;
use store::State;

/// Target groups of one load balancer, of one action, and load balancers of one target group.
/// Source: `A/load-balancer-limits.html`.
pub const MAX_TARGET_GROUPS: usize = 100;

pub fn groups(actions: &[Action]) -> impl Iterator<Item = &str> {
    let groups = actions.iter().map(|action| match action {
        Action::Forward { target_groups, .. } => target_groups.as_slice(),
        Action::Redirect { .. } | Action::FixedResponse { .. } => &[],
    });
    groups.flatten().map(|(arn, _)| arn.as_str())
}

/// Every listener and rule of the caller that uses the group: the load balancer's ARN.
fn uses<'a>(state: &'a State, scope: &'a Scope, group: &'a str) -> impl Iterator<Item = &'a str> {
    let listeners = owned::<Listener>(state, scope);
    listeners
        .filter(move |listener| {
            let rules = state.rules.of(listener.arn.as_str());
            let mut actions =
                std::iter::once(&listener.default_actions).chain(rules.map(|r| &r.actions));
            actions.any(|a| groups(a).any(|g| g == group))
        })
        .map(|listener| listener.load_balancer.as_str())
}

pub fn load_balancers_of(state: &State, group: &TargetGroup) -> BTreeSet<String> {
    let uses = uses(state, &group.scope, &group.arn);
    uses.map(str::to_owned).collect()
}

/// Target groups that the load balancer's listeners and rules use.
pub fn groups_of(state: &State, balancer: &LoadBalancer) -> BTreeSet<String> {
    let listeners = owned::<Listener>(state, &balancer.scope);
    let mut found = BTreeSet::new();
    for listener in listeners.filter(|l| l.load_balancer == balancer.arn) {
        found.extend(groups(&listener.default_actions).map(str::to_owned));
        let rules = owned::<Rule>(state, &balancer.scope);
        for rule in rules.filter(|r| r.listener == listener.arn) {
            found.extend(groups(&rule.actions).map(str::to_owned));
        }
    }
    found
}

/// Checks that the actions' target groups may serve the load balancer.
pub fn check(
    ctx: &Ctx,
    balancer: &LoadBalancer,
    listener_protocol: &str,
    actions: &[Action],
) -> Result<()> {
    let mut unique = groups_of(&ctx.tx, balancer);
    for arn in groups(actions) {
        let group = super::arn::find::<TargetGroup>(ctx, arn)?;
        if group.vpc != balancer.vpc {
            return Err(invalid_configuration(format!(
                "The following target groups are in a different VPC than load balancer '{}': {arn}",
                balancer.arn
            )));
        }
        network::check_pair(listener_protocol, &group)?;
        // Clients speak HTTP/2 over TLS only.
        if group.protocol_version != "HTTP1" && listener_protocol == "HTTP" {
            return Err(error(
                "IncompatibleProtocols",
                format!(
                    "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{}'",
                    group.protocol_version
                ),
            ));
        }
        if uses(&ctx.tx, &ctx.scope, arn).any(|user| user != balancer.arn) {
            return Err(error(
                "TargetGroupAssociationLimit",
                format!(
                    "The following target groups cannot be associated with more than one load balancer: {arn}"
                ),
            ));
        }
        unique.insert(arn.to_owned());
    }
    if MAX_TARGET_GROUPS < unique.len() {
        return Err(error(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            format!(
                "The maximum number of unique target groups on load balancer '{}' has been reached",
                balancer.arn
            ),
        ));
    }
    Ok(())
}
