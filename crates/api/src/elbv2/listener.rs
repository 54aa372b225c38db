//! Listeners.

use super::action::{self, ActionShape};
use super::arn::{self, find};
use super::check::{one_of, port};
use super::error::{Result, error, validation};
use super::listener_tls::{self, Certificate, MutualAuthentication, Request};
use super::page::page;
use super::tag::{self, Tag};
use super::{Done, association, load_balancer, network};
use crate::Ctx;
use model::elbv2::{Action, Attributes, Listener, LoadBalancer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Of one load balancer.
pub const MAX_LISTENERS: usize = 50;

const PROTOCOLS: &[&str] = &[
    "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC",
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    listener_arn: String,
    load_balancer_arn: String,
    port: u16,
    protocol: String,
    /// The default one.
    certificates: Option<Vec<Certificate>>,
    ssl_policy: Option<String>,
    mutual_authentication: Option<MutualAuthentication>,
    alpn_policy: Option<Vec<String>>,
    default_actions: Vec<ActionShape>,
}

fn shape(listener: &Listener) -> Shape {
    Shape {
        listener_arn: listener.arn.clone(),
        load_balancer_arn: listener.load_balancer.clone(),
        port: listener.port,
        protocol: listener.protocol.clone(),
        certificates: listener.certificates.first().map(|arn| {
            vec![Certificate {
                certificate_arn: Some(arn.clone()),
                is_default: None,
            }]
        }),
        ssl_policy: listener.ssl_policy.clone(),
        mutual_authentication: MutualAuthentication::of(listener),
        alpn_policy: listener.alpn_policy.clone().map(|policy| vec![policy]),
        default_actions: action::shapes(&listener.default_actions),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listeners {
    listeners: Vec<Shape>,
    next_marker: Option<String>,
}

fn one(listener: &Listener) -> Listeners {
    Listeners {
        listeners: vec![shape(listener)],
        next_marker: None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateListener {
    load_balancer_arn: String,
    protocol: Option<String>,
    port: Option<i64>,
    ssl_policy: Option<String>,
    #[serde(default)]
    certificates: Vec<Certificate>,
    default_actions: Vec<ActionShape>,
    #[serde(default)]
    alpn_policy: Vec<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    mutual_authentication: Option<MutualAuthentication>,
}

fn check_protocol(balancer: &LoadBalancer, protocol: &str) -> Result<()> {
    one_of(protocol, "protocol", PROTOCOLS)?;
    network::check_listener(balancer, protocol)
}

/// A network load balancer's listener forwards, and no more.
fn check_actions(balancer: &LoadBalancer, actions: &[Action]) -> Result<()> {
    let forwards = |action: &Action| {
        matches!(
            action,
            Action::Forward {
                stickiness: None,
                ..
            }
        )
    };
    if balancer.is_network() && !actions.iter().all(forwards) {
        return Err(validation(
            "Listeners of load balancers of type 'network' only support actions of type forward, without stickiness",
        ));
    }
    Ok(())
}

fn of_load_balancer<'a>(ctx: &'a Ctx, arn: &'a str) -> impl Iterator<Item = &'a Arc<Listener>> {
    ctx.tx.listeners.of(arn)
}

fn duplicate(balancer: &str) -> wire::ApiError {
    error(
        "DuplicateListener",
        format!("A listener already exists on this port for this load balancer '{balancer}'"),
    )
}

pub fn create(ctx: &mut Ctx, input: CreateListener) -> Result<Listeners> {
    let balancer = find::<LoadBalancer>(ctx, &input.load_balancer_arn)?;
    let protocol = input.protocol.as_deref();
    let protocol = protocol.ok_or_else(|| validation("A listener protocol must be specified"))?;
    check_protocol(&balancer, protocol)?;
    let number = input.port;
    let number = number.ok_or_else(|| validation("A listener port must be specified"))?;
    let number = port(number, "port")?;
    let default_actions = action::of(&input.default_actions)?;
    let tags = tag::of(&input.tags)?;
    check_actions(&balancer, &default_actions)?;
    association::check(ctx, &balancer, protocol, &default_actions)?;
    let mut listener = Listener {
        arn: arn::new_listener(&ctx.scope, &balancer.arn),
        scope: ctx.scope.clone(),
        load_balancer: balancer.arn.clone(),
        port: number,
        protocol: protocol.to_owned(),
        ssl_policy: None,
        certificates: Vec::new(),
        mutual_tls_passthrough: false,
        trust: None,
        alpn_policy: None,
        default_actions,
        attributes: Attributes::new(),
        tags,
    };
    let request = Request {
        ssl_policy: input.ssl_policy.as_deref(),
        certificates: &input.certificates,
        alpn_policy: &input.alpn_policy,
        mutual_authentication: input.mutual_authentication.as_ref(),
    };
    listener_tls::apply(ctx, &mut listener, &request)?;
    let existing = of_load_balancer(ctx, &balancer.arn).find(|l| l.port == number);
    if let Some(existing) = existing {
        // All that the call gives, and nothing that came later.
        let as_created = Listener {
            arn: listener.arn.clone(),
            attributes: Attributes::new(),
            certificates: existing.certificates.iter().take(1).cloned().collect(),
            ..Listener::clone(existing)
        };
        return match as_created == listener {
            true => Ok(one(existing)),
            false => Err(duplicate(&balancer.arn)),
        };
    }
    if MAX_LISTENERS <= of_load_balancer(ctx, &balancer.arn).count() {
        return Err(error(
            "TooManyListeners",
            "The maximum number of listeners per load balancer has been reached",
        ));
    }
    let answer = one(&listener);
    ctx.tx.put(listener);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeListeners {
    load_balancer_arn: Option<String>,
    #[serde(default)]
    listener_arns: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

pub fn describe(ctx: &mut Ctx, input: DescribeListeners) -> Result<Listeners> {
    let page = page(input.marker.as_deref(), input.page_size)?;
    let mut chosen: Vec<Arc<Listener>> = Vec::new();
    match &input.load_balancer_arn {
        Some(_) if !input.listener_arns.is_empty() => {
            return Err(validation(
                "A load balancer ARN and listener ARNs cannot be specified at the same time",
            ));
        }
        Some(arn) => {
            find::<LoadBalancer>(ctx, arn)?;
            chosen.extend(of_load_balancer(ctx, arn).cloned());
        }
        None if input.listener_arns.is_empty() => {
            return Err(validation(
                "You must specify either listener ARNs or a load balancer ARN",
            ));
        }
        None => {
            for arn in &input.listener_arns {
                chosen.push(find::<Listener>(ctx, arn)?);
            }
            chosen.sort_by(|a, b| a.arn.cmp(&b.arn));
            chosen.dedup();
        }
    }
    let (chosen, next_marker) = page.of(chosen, |l| l.arn.clone());
    Ok(Listeners {
        listeners: chosen.iter().map(|l| shape(l)).collect(),
        next_marker,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyListener {
    listener_arn: String,
    port: Option<i64>,
    protocol: Option<String>,
    ssl_policy: Option<String>,
    #[serde(default)]
    certificates: Vec<Certificate>,
    default_actions: Option<Vec<ActionShape>>,
    #[serde(default)]
    alpn_policy: Vec<String>,
    mutual_authentication: Option<MutualAuthentication>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyListener) -> Result<Listeners> {
    let mut listener = Listener::clone(&*find::<Listener>(ctx, &input.listener_arn)?);
    let balancer = find::<LoadBalancer>(ctx, &listener.load_balancer)?;
    if let Some(protocol) = &input.protocol {
        check_protocol(&balancer, protocol)?;
        listener.protocol.clone_from(protocol);
    }
    if let Some(number) = input.port {
        listener.port = port(number, "port")?;
        let mut others = of_load_balancer(ctx, &balancer.arn);
        if others.any(|l| l.port == listener.port && l.arn != listener.arn) {
            return Err(duplicate(&balancer.arn));
        }
    }
    if let Some(actions) = &input.default_actions {
        listener.default_actions = action::of(actions)?;
        check_actions(&balancer, &listener.default_actions)?;
    }
    association::check(
        ctx,
        &balancer,
        &listener.protocol,
        &listener.default_actions,
    )?;
    let request = Request {
        ssl_policy: input.ssl_policy.as_deref(),
        certificates: &input.certificates,
        alpn_policy: &input.alpn_policy,
        mutual_authentication: input.mutual_authentication.as_ref(),
    };
    listener_tls::apply(ctx, &mut listener, &request)?;
    let answer = one(&listener);
    ctx.tx.put(listener);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteListener {
    listener_arn: String,
}

pub fn delete(ctx: &mut Ctx, input: DeleteListener) -> Result<Done> {
    let listener = find::<Listener>(ctx, &input.listener_arn)?;
    load_balancer::remove_listener(ctx, &listener.arn);
    Ok(Done {})
}
