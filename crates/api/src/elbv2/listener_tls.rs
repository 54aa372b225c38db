//! What listeners over TLS have besides: certificates, a security policy, mutual authentication.

use super::arn::find;
use super::check::one_of;
use super::error::{Result, error, validation};
use super::ssl_policy;
use crate::Ctx;
use model::elbv2::{Listener, ListenerTrust, TrustStore};
use model::event::Severity;
use model::ssl_policy::SslPolicy;
use serde::{Deserialize, Serialize};

/// Of one load balancer, its default ones not counted (A/load-balancer-limits.html).
const MAX_CERTIFICATES: usize = 25;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Certificate {
    pub certificate_arn: Option<String>,
    pub is_default: Option<bool>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MutualAuthentication {
    mode: Option<String>,
    trust_store_arn: Option<String>,
    ignore_client_certificate_expiry: Option<bool>,
    advertise_trust_store_ca_names: Option<String>,
    #[serde(default, skip_deserializing)]
    trust_store_association_status: Option<&'static str>,
}

impl MutualAuthentication {
    pub fn of(listener: &Listener) -> Option<Self> {
        let trust = listener.trust.as_ref();
        let mode = match (trust, listener.mutual_tls_passthrough) {
            (Some(_), _) => "verify",
            (None, true) => "passthrough",
            (None, false) => "off",
        };
        let advertises = |trust: &ListenerTrust| match trust.advertises_authorities {
            true => "on".to_owned(),
            false => "off".to_owned(),
        };
        (listener.protocol == "HTTPS").then(|| Self {
            mode: Some(mode.to_owned()),
            trust_store_arn: trust.map(|trust| trust.store.clone()),
            ignore_client_certificate_expiry: trust.map(|trust| trust.ignores_expiry),
            advertise_trust_store_ca_names: trust.map(advertises),
            trust_store_association_status: trust.map(|_| "active"),
        })
    }

    /// The trust store and how it is asked, in mode `verify`.
    fn trust(&self, ctx: &Ctx) -> Result<Option<ListenerTrust>> {
        if self.mode.as_deref() != Some("verify") {
            return Ok(None);
        }
        let arn = self.trust_store_arn.as_deref().ok_or_else(|| {
            validation(
                "A trust store must be specified for the mutual authentication mode 'verify'",
            )
        })?;
        let advertises = match self.advertise_trust_store_ca_names.as_deref() {
            None | Some("off") => false,
            Some("on") => true,
            Some(other) => {
                return Err(validation(format!(
                    "AdvertiseTrustStoreCaNames '{other}' must be one of '[off, on]'"
                )));
            }
        };
        Ok(Some(ListenerTrust {
            store: find::<TrustStore>(ctx, arn)?.arn.clone(),
            ignores_expiry: self.ignore_client_certificate_expiry == Some(true),
            advertises_authorities: advertises,
        }))
    }

    /// Whether clients' certificates are passed on.
    fn passthrough(&self) -> Result<bool> {
        let given = self.trust_store_arn.is_some()
            || self.ignore_client_certificate_expiry == Some(true)
            || self.advertise_trust_store_ca_names.as_deref() == Some("on");
        match self.mode.as_deref() {
            Some("verify") => Ok(false),
            _ if given => Err(validation(
                "Trust store settings can only be specified with the mutual authentication mode 'verify'",
            )),
            None | Some("off") => Ok(false),
            Some("passthrough") => Ok(true),
            Some(other) => Err(validation(format!(
                "Mutual authentication mode '{other}' must be one of '[off, passthrough, verify]'"
            ))),
        }
    }
}

/// What a call gives of it.
pub struct Request<'a> {
    pub ssl_policy: Option<&'a str>,
    pub certificates: &'a [Certificate],
    pub alpn_policy: &'a [String],
    pub mutual_authentication: Option<&'a MutualAuthentication>,
}

/// Sets what the call gives on a listener whose protocol is set already.
pub fn apply(ctx: &mut Ctx, listener: &mut Listener, request: &Request<'_>) -> Result<()> {
    if !is_secured(&listener.protocol) {
        refuse(request, &listener.protocol)?;
        listener.ssl_policy = None;
        listener.certificates.clear();
        listener.mutual_tls_passthrough = false;
        listener.trust = None;
        listener.alpn_policy = None;
        return Ok(());
    }
    set_alpn_policy(listener, request.alpn_policy)?;
    match request.certificates {
        [] if listener.certificates.is_empty() => {
            return Err(validation(format!(
                "A certificate must be specified for {} listeners",
                listener.protocol
            )));
        }
        [] => {}
        [one] => {
            if one.is_default.is_some() {
                return Err(validation(
                    "You cannot specify the 'IsDefault' parameter for a certificate",
                ));
            }
            let arn = usable(ctx, one)?;
            let old = std::mem::take(&mut listener.certificates);
            let additional = old.into_iter().skip(1).filter(|other| other != arn);
            listener.certificates = std::iter::once(arn.clone()).chain(additional).collect();
        }
        _ => {
            return Err(validation(
                "Only one default certificate can be specified; add others with AddListenerCertificates",
            ));
        }
    }
    if listener.protocol == "TLS" {
        refuse_mutual(request, "TLS")?;
        listener.mutual_tls_passthrough = false;
        listener.trust = None;
    } else if let Some(mutual) = request.mutual_authentication {
        listener.mutual_tls_passthrough = mutual.passthrough()?;
        listener.trust = mutual.trust(ctx)?;
    }
    let given = request.ssl_policy.filter(|policy| !policy.is_empty());
    if given.is_none() && listener.ssl_policy.is_some() {
        return Ok(());
    }
    let name = given.unwrap_or(SslPolicy::DEFAULT);
    let policy = SslPolicy::find(name).ok_or_else(|| ssl_policy::not_found(name))?;
    listener.ssl_policy = Some(name.to_owned());
    let (offered, missing) = policy.offered();
    if !missing.is_empty() {
        ctx.tx.event(
            ctx.now,
            Severity::Warning,
            &listener.arn,
            "not-emulated",
            format!(
                "the policy {name} is served with {}; clients are not offered {}, which it allows as well",
                offered.join(", "),
                missing.join(", ")
            ),
        );
    }
    Ok(())
}

/// Whether listeners of the protocol have certificates.
fn is_secured(protocol: &str) -> bool {
    ["HTTPS", "TLS"].contains(&protocol)
}

/// Source: the Network Load Balancer guide, `load-balancer-listeners.html#alpn-policies`.
const ALPN_POLICIES: &[&str] = &[
    "HTTP1Only",
    "HTTP2Only",
    "HTTP2Optional",
    "HTTP2Preferred",
    "None",
];

fn set_alpn_policy(listener: &mut Listener, given: &[String]) -> Result<()> {
    if listener.protocol != "TLS" {
        listener.alpn_policy = None;
        return match given {
            [] => Ok(()),
            _ => Err(validation(
                "An ALPN policy can only be specified for TLS listeners",
            )),
        };
    }
    match given {
        [] => {}
        [one] => {
            one_of(one, "alpnPolicy.member", ALPN_POLICIES)?;
            listener.alpn_policy = Some(one.clone());
        }
        _ => return Err(validation("Only one ALPN policy can be specified")),
    }
    Ok(())
}

/// Refuses mutual authentication, which listeners of HTTPS alone have.
fn refuse_mutual(request: &Request<'_>, protocol: &str) -> Result<()> {
    let mutual = request.mutual_authentication;
    let is_verify = mutual.is_some_and(|mutual| mutual.mode.as_deref() == Some("verify"));
    let passes = mutual.map_or(Ok(false), MutualAuthentication::passthrough);
    match is_verify || passes != Ok(false) {
        true => Err(validation(format!(
            "Mutual authentication cannot be specified for {protocol} listeners"
        ))),
        false => Ok(()),
    }
}

/// Refuses what only listeners with TLS have.
fn refuse(request: &Request<'_>, protocol: &str) -> Result<()> {
    let given = [
        (!request.certificates.is_empty(), "A certificate"),
        (
            request.ssl_policy.is_some_and(|p| !p.is_empty()),
            "An SSL policy",
        ),
        (!request.alpn_policy.is_empty(), "An ALPN policy"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(validation(format!(
            "{what} cannot be specified for {protocol} listeners"
        ))),
        None => refuse_mutual(request, protocol),
    }
}

/// The ARN, if it names a certificate that can be served.
fn usable<'a>(ctx: &Ctx, certificate: &'a Certificate) -> Result<&'a String> {
    let arn = certificate.certificate_arn.as_ref();
    let arn = arn.ok_or_else(|| validation("A certificate ARN must be specified"))?;
    let not_found = || {
        error(
            "CertificateNotFound",
            format!("Certificate '{arn}' not found"),
        )
    };
    if arn.starts_with("arn:aws:iam::") {
        let mut all = ctx.tx.server_certificates.values();
        let found = all.any(|c| c.arn == *arn && c.scope.account == ctx.scope.account);
        return found.then_some(arn).ok_or_else(not_found);
    }
    if !arn.starts_with("arn:aws:acm:") {
        return Err(validation(format!(
            "'{arn}' is not a valid certificate ARN"
        )));
    }
    match ctx.tx.certificates.get(arn) {
        Some(found) if found.scope == ctx.scope && found.material.is_some() => Ok(arn),
        Some(found) if found.scope == ctx.scope => Err(error(
            "UnsupportedCertificate",
            format!(
                "The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported key size."
            ),
        )),
        _ => Err(not_found()),
    }
}

/// The certificates with `given` added behind those that are there.
pub fn added(ctx: &Ctx, listener: &Listener, given: &[Certificate]) -> Result<Vec<String>> {
    if !is_secured(&listener.protocol) {
        return Err(validation(format!(
            "A certificate cannot be specified for {} listeners",
            listener.protocol
        )));
    }
    let mut all = listener.certificates.clone();
    for certificate in given {
        if certificate.is_default.is_some() {
            return Err(validation(
                "You cannot specify the 'IsDefault' parameter for a certificate",
            ));
        }
        let arn = usable(ctx, certificate)?;
        if !all.contains(arn) {
            all.push(arn.clone());
        }
    }
    let others =
        ctx.tx.listeners.values().filter(|other| {
            other.load_balancer == listener.load_balancer && other.arn != listener.arn
        });
    let others: usize = others
        .map(|other| other.certificates.len().saturating_sub(1))
        .sum();
    if MAX_CERTIFICATES < others + all.len().saturating_sub(1) {
        return Err(error(
            "TooManyCertificates",
            "The maximum number of certificates per load balancer has been reached",
        ));
    }
    Ok(all)
}
