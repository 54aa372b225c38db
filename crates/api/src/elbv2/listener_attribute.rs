//! Attributes of listeners: response headers that a listener adds or replaces, and the names of
//! those about TLS that targets get (`A/header-modification.html`).

use super::arn::find;
use super::attribute::Effect::Honoured;
use super::attribute::Values::{Bool, HeaderName, HeaderValue, Number, OneOf};
use super::attribute::{Attribute, AttributeList, Definition, changed, list, report};
use super::error::Result;
use super::load_balancer_attribute::definitions;
use crate::Ctx;
use model::elbv2::Listener;
use serde::Deserialize;

const RESPONSE: &[Definition] = definitions! {
    "routing.http.response.server.enabled", "true", Bool, Honoured;
    "routing.http.response.strict_transport_security.header_value", "", HeaderValue(1024), Honoured;
    "routing.http.response.access_control_allow_origin.header_value", "", HeaderValue(1024), Honoured;
    "routing.http.response.access_control_allow_methods.header_value", "", HeaderValue(1024), Honoured;
    "routing.http.response.access_control_allow_headers.header_value", "", HeaderValue(1024), Honoured;
    "routing.http.response.access_control_allow_credentials.header_value", "", OneOf(&["", "true"]), Honoured;
    "routing.http.response.access_control_expose_headers.header_value", "", HeaderValue(1024), Honoured;
    "routing.http.response.access_control_max_age.header_value", "", HeaderValue(1024), Honoured;
    "routing.http.response.content_security_policy.header_value", "", HeaderValue(1024), Honoured;
    "routing.http.response.x_content_type_options.header_value", "", OneOf(&["", "nosniff"]), Honoured;
    "routing.http.response.x_frame_options.header_value", "", HeaderValue(1024), Honoured;
};

/// Of HTTPS listeners.
const REQUEST: &[Definition] = definitions! {
    "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name", "X-Amzn-Mtls-Clientcert-Serial-Number", HeaderName, Honoured;
    "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name", "X-Amzn-Mtls-Clientcert-Issuer", HeaderName, Honoured;
    "routing.http.request.x_amzn_mtls_clientcert_subject.header_name", "X-Amzn-Mtls-Clientcert-Subject", HeaderName, Honoured;
    "routing.http.request.x_amzn_mtls_clientcert_validity.header_name", "X-Amzn-Mtls-Clientcert-Validity", HeaderName, Honoured;
    "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name", "X-Amzn-Mtls-Clientcert-Leaf", HeaderName, Honoured;
    "routing.http.request.x_amzn_mtls_clientcert.header_name", "X-Amzn-Mtls-Clientcert", HeaderName, Honoured;
    "routing.http.request.x_amzn_tls_version.header_name", "X-Amzn-Tls-Version", HeaderName, Honoured;
    "routing.http.request.x_amzn_tls_cipher_suite.header_name", "X-Amzn-Tls-Cipher-Suite", HeaderName, Honoured;
};

/// Of TCP listeners.
const NETWORK: &[Definition] =
    definitions! { "tcp.idle_timeout.seconds", "350", Number(60, 6000), Honoured; };

fn table(listener: &Listener) -> &'static [&'static [Definition]] {
    match listener.protocol.as_str() {
        "TCP" => &[NETWORK],
        // Idle flows of TLS end after 350 seconds, whatever happens.
        "TLS" | "UDP" | "TCP_UDP" => &[],
        "HTTPS" => &[REQUEST, RESPONSE],
        _ => &[RESPONSE],
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
