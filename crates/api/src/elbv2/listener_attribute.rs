//! Attributes of listeners: the response headers that a listener adds or replaces.
//!
//! Those of the requests' TLS headers belong to HTTPS listeners.

use super::arn::find;
use super::attribute::Effect::{Honoured, Reported};
use super::attribute::Values::{Bool, Number, Text};
use super::attribute::{Attribute, AttributeList, Definition, changed, list, report};
use super::error::Result;
use super::load_balancer_attribute::definitions;
use crate::Ctx;
use model::elbv2::Listener;
use serde::Deserialize;

const ATTRIBUTES: &[Definition] = definitions! {
    "routing.http.response.server.enabled", "true", Bool, Reported;
    "routing.http.response.strict_transport_security.header_value", "", Text(1024), Reported;
    "routing.http.response.access_control_allow_origin.header_value", "", Text(1024), Reported;
    "routing.http.response.access_control_allow_methods.header_value", "", Text(1024), Reported;
    "routing.http.response.access_control_allow_headers.header_value", "", Text(1024), Reported;
    "routing.http.response.access_control_allow_credentials.header_value", "", Text(1024), Reported;
    "routing.http.response.access_control_expose_headers.header_value", "", Text(1024), Reported;
    "routing.http.response.access_control_max_age.header_value", "", Text(1024), Reported;
    "routing.http.response.content_security_policy.header_value", "", Text(1024), Reported;
    "routing.http.response.x_content_type_options.header_value", "", Text(1024), Reported;
    "routing.http.response.x_frame_options.header_value", "", Text(1024), Reported;
};

/// Of TCP listeners.
const NETWORK: &[Definition] =
    definitions! { "tcp.idle_timeout.seconds", "350", Number(60, 6000), Honoured; };

fn table(listener: &Listener) -> &'static [&'static [Definition]] {
    match listener.protocol.as_str() {
        "TCP" => &[NETWORK],
        "UDP" | "TCP_UDP" => &[],
        _ => &[ATTRIBUTES],
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeListenerAttributes {
    listener_arn: String,
}

pub fn describe(ctx: &mut Ctx, input: DescribeListenerAttributes) -> Result<AttributeList> {
    let listener = find::<Listener>(ctx, &input.listener_arn)?;
    Ok(list(&listener.attributes, table(&listener)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyListenerAttributes {
    listener_arn: String,
    attributes: Vec<Attribute>,
}

pub fn modify(ctx: &mut Ctx, input: ModifyListenerAttributes) -> Result<AttributeList> {
    let listener = find::<Listener>(ctx, &input.listener_arn)?;
    let table = table(&listener);
    let new = changed(&listener.attributes, &input.attributes, table, "Listener")?;
    let answer = list(&new, table);
    report(ctx, &listener.arn, &input.attributes, table);
    ctx.tx
        .modify::<Listener>(&listener.arn, |l| l.attributes = new);
    Ok(answer)
}
