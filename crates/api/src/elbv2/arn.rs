//! Looks up records by ARN: it must spell the right kind of resource and be the caller's.

use super::error::{Result, error, validation};
use crate::Ctx;
use model::Scope;
use model::elbv2::{Listener, LoadBalancer, Rule, TargetGroup, TrustStore};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use store::{Of, Record, State};

/// A record that an ARN names.
pub trait Resource: Record<Key = String> + Of<Scope> {
    /// What follows the account in the ARN, up to the first slash.
    const KIND: &'static str;
    /// As texts call it.
    const NOUN: &'static str;
    const NOT_FOUND: &'static str;
    fn scope(&self) -> &Scope;
    /// Whether it can be described; a deleted load balancer lingers unseen.
    fn visible(&self) -> bool {
        true
    }
}

impl Resource for LoadBalancer {
    const KIND: &'static str = "loadbalancer";
    const NOUN: &'static str = "load balancer";
    const NOT_FOUND: &'static str = "LoadBalancerNotFound";
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn visible(&self) -> bool {
        self.deleted.is_none()
    }
}

impl Resource for Listener {
    const KIND: &'static str = "listener";
    const NOUN: &'static str = "listener";
    const NOT_FOUND: &'static str = "ListenerNotFound";
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Resource for Rule {
    const KIND: &'static str = "listener-rule";
    const NOUN: &'static str = "listener rule";
    const NOT_FOUND: &'static str = "RuleNotFound";
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Resource for TargetGroup {
    const KIND: &'static str = "targetgroup";
    const NOUN: &'static str = "target group";
    const NOT_FOUND: &'static str = "TargetGroupNotFound";
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Resource for TrustStore {
    const KIND: &'static str = "truststore";
    const NOUN: &'static str = "trust store";
    const NOT_FOUND: &'static str = "TrustStoreNotFound";
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// The kind of ELBv2 resource an ARN spells: `loadbalancer`, `listener-rule`, …
pub fn kind(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let head = (parts.next(), parts.next(), parts.next());
    if head != (Some("arn"), Some("aws"), Some("elasticloadbalancing")) {
        return None;
    }
    let (kind, name) = parts.nth(2)?.split_once('/')?;
    (!name.is_empty()).then_some(kind)
}

/// Refuses what is no ARN of that kind.
pub fn check<R: Resource>(arn: &str) -> Result<()> {
    if kind(arn) == Some(R::KIND) {
        return Ok(());
    }
    Err(validation(format!(
        "'{arn}' is not a valid {} ARN",
        R::NOUN
    )))
}

/// The caller's record, which must exist.
pub fn find<R: Resource>(ctx: &Ctx, arn: &str) -> Result<Arc<R>> {
    check::<R>(arn)?;
    let found = R::table(&ctx.tx).get(arn);
    match found {
        Some(record) if *record.scope() == ctx.scope && record.visible() => Ok(record.clone()),
        _ => Err(not_found::<R>(arn)),
    }
}

pub fn not_found<R: Resource>(arn: &str) -> wire::ApiError {
    let mut noun = R::NOUN.to_owned();
    if let Some(first) = noun.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    error(R::NOT_FOUND, format!("{noun} '{arn}' not found"))
}

/// Every record of the caller that can be described, ordered by ARN.
pub fn owned<'a, R: Resource>(
    state: &'a State,
    scope: &'a Scope,
) -> impl Iterator<Item = &'a Arc<R>> {
    R::table(state).of(scope).filter(|r| r.visible())
}

/// What follows the kind, such as `app/<name>/<id>` of a load balancer.
fn tail(arn: &str) -> &str {
    arn.split_once('/').map_or("", |(_, tail)| tail)
}

/// `kind` is `application` or `network`.
pub fn new_load_balancer(scope: &Scope, kind: &str, name: &str) -> String {
    let id = model::id::random_hex(16);
    let kind = if kind == "network" { "net" } else { "app" };
    let rest = format_args!("loadbalancer/{kind}/{name}/{id}");
    scope.arn("elasticloadbalancing", rest)
}

pub fn new_target_group(scope: &Scope, name: &str) -> String {
    let id = model::id::random_hex(16);
    let rest = format_args!("targetgroup/{name}/{id}");
    scope.arn("elasticloadbalancing", rest)
}

pub fn new_trust_store(scope: &Scope, name: &str) -> String {
    let id = model::id::random_hex(16);
    scope.arn(
        "elasticloadbalancing",
        format_args!("truststore/{name}/{id}"),
    )
}

pub fn new_listener(scope: &Scope, load_balancer: &str) -> String {
    let id = model::id::random_hex(16);
    let rest = format_args!("listener/{}/{id}", tail(load_balancer));
    scope.arn("elasticloadbalancing", rest)
}

pub fn new_rule(scope: &Scope, listener: &str) -> String {
    let id = model::id::random_hex(16);
    let rest = format_args!("listener-rule/{}/{id}", tail(listener));
    scope.arn("elasticloadbalancing", rest)
}

/// The default rule is part of its listener; its id follows from the listener's.
pub fn default_rule(listener: &Listener) -> String {
    let digest = hex::encode(Sha256::digest(listener.arn.as_bytes()));
    let id = digest.get(..16).unwrap_or_default();
    let rest = format_args!("listener-rule/{}/{id}", tail(&listener.arn));
    listener.scope.arn("elasticloadbalancing", rest)
}

/// The listener whose default rule the ARN names.
pub fn listener_of_default_rule(ctx: &Ctx, arn: &str) -> Option<Arc<Listener>> {
    owned::<Listener>(&ctx.tx, &ctx.scope)
        .find(|l| default_rule(l) == arn)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_spell_their_kind() {
        let scope = Scope::new("000000000000", "us-east-1");
        let balancer = new_load_balancer(&scope, "application", "web");
        let listener = new_listener(&scope, &balancer);
        let rule = new_rule(&scope, &listener);
        let check = |arn: &str, expected: Option<&str>| assert_eq!(kind(arn), expected, "{arn}");
        check(&balancer, Some("loadbalancer"));
        check(&listener, Some("listener"));
        check(&rule, Some("listener-rule"));
        check(&new_target_group(&scope, "web"), Some("targetgroup"));
        check(
            "arn:aws:ec2:us-east-1:000000000000:loadbalancer/app/x/1",
            None,
        );
        check("loadbalancer/app/x/1", None);
        check("", None);
        let stem = balancer.replace(":loadbalancer/", ":listener/");
        assert!(listener.starts_with(&format!("{stem}/")));
        assert_eq!(rule.matches('/').count(), 5);
    }
}
