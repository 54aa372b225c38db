//! Listeners. The balancer speaks no TLS yet, so that only HTTP can be had.

use super::action::{self, ActionShape};
use super::arn::{self, find, owned};
use super::check::{one_of, port};
use super::error::{Result, error, validation};
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

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Certificate {
    pub certificate_arn: Option<String>,
    pub is_default: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    listener_arn: String,
    load_balancer_arn: String,
    port: u16,
    protocol: String,
    default_actions: Vec<ActionShape>,
}

fn shape(listener: &Listener) -> Shape {
    Shape {
        listener_arn: listener.arn.clone(),
        load_balancer_arn: listener.load_balancer.clone(),
        port: listener.port,
        protocol: listener.protocol.clone(),
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MutualAuthentication {
    mode: Option<String>,
    trust_store_arn: Option<String>,
    ignore_client_certificate_expiry: Option<bool>,
    advertise_trust_store_ca_names: Option<String>,
}

impl MutualAuthentication {
    fn is_on(&self) -> bool {
        self.mode.as_deref().is_some_and(|m| m != "off")
            || self.trust_store_arn.is_some()
            || self.ignore_client_certificate_expiry == Some(true)
            || self.advertise_trust_store_ca_names.as_deref() == Some("on")
    }
}

fn check_protocol(balancer: &LoadBalancer, protocol: &str) -> Result<()> {
    one_of(protocol, "protocol", PROTOCOLS)?;
    network::check_listener(balancer, protocol)?;
    match protocol {
        "HTTPS" => Err(error(
            "UnsupportedProtocol",
            "HTTPS listeners are not supported by this cloud: its balancer speaks no TLS yet. Use HTTP.",
        )),
        _ => Ok(()),
    }
}

/// Refuses what only listeners with TLS have.
fn refuse_tls(
    ssl_policy: Option<&str>,
    certificates: &[Certificate],
    alpn_policy: &[String],
    mutual_authentication: Option<&MutualAuthentication>,
) -> Result<()> {
    let given = [
        (!certificates.is_empty(), "A certificate"),
        (ssl_policy.is_some_and(|p| !p.is_empty()), "An SSL policy"),
        (!alpn_policy.is_empty(), "An ALPN policy"),
        (
            mutual_authentication.is_some_and(MutualAuthentication::is_on),
            "Mutual authentication",
        ),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(validation(format!(
            "{what} cannot be specified for HTTP listeners"
        ))),
        None => Ok(()),
    }
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
    owned::<Listener>(&ctx.tx, &ctx.scope).filter(move |l| l.load_balancer == arn)
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
    refuse_tls(
        input.ssl_policy.as_deref(),
        &input.certificates,
        &input.alpn_policy,
        input.mutual_authentication.as_ref(),
    )?;
    let default_actions = action::of(&input.default_actions)?;
    let tags = tag::of(&input.tags)?;
    if let Some(existing) = of_load_balancer(ctx, &balancer.arn).find(|l| l.port == number) {
        let same = existing.protocol == protocol
            && existing.default_actions == default_actions
            && existing.tags == tags;
        return match same {
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
    check_actions(&balancer, &default_actions)?;
    association::check(ctx, &balancer, protocol, &default_actions)?;
    let listener = Listener {
        arn: arn::new_listener(&ctx.scope, &balancer.arn),
        scope: ctx.scope.clone(),
        load_balancer: balancer.arn.clone(),
        port: number,
        protocol: protocol.to_owned(),
        ssl_policy: None,
        certificates: Vec::new(),
        default_actions,
        attributes: Attributes::new(),
        tags,
    };
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
    refuse_tls(
        input.ssl_policy.as_deref(),
        &input.certificates,
        &input.alpn_policy,
        input.mutual_authentication.as_ref(),
    )?;
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
