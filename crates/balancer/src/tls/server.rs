//! A listener's certificates and settings, and which of them a client gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ProducesTickets};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureAlgorithm};

use super::ByListener;
use super::name::Name;
use super::{client_verifier, policy};
use crate::config::{Certificate, Config, Listener, LoadBalancer, Protocol, Tls};

/// One listener's settings.
#[derive(Debug)]
pub struct Server {
    default: Served,
    additional: Vec<Served>,
    /// A client that got in has shown a certificate that a trust store vouches for.
    pub verifies_clients: bool,
}

/// A certificate and all that goes with it.
#[derive(Debug)]
pub struct Served {
    /// As the config names it: the ARN, for access logs.
    pub key: String,
    pub config: Arc<ServerConfig>,
    names: Vec<Name>,
    certified: Arc<CertifiedKey>,
}

impl Served {
    /// Whether the certificate is for this server.
    pub fn is_for(&self, server_name: &str) -> bool {
        let server_name = server_name.to_ascii_lowercase();
        self.names.iter().any(|name| name.is_for(&server_name))
    }
}

impl Server {
    fn new(source: &Source, ticketer: &Arc<dyn ProducesTickets>) -> Result<Server, String> {
        let provider = Arc::new(policy::provider(&source.tls.ciphers));
        let verifier = client_verifier::verifier(&source.tls, &provider)?;
        let mut served = Vec::new();
        for (key, certificate) in &source.certificates {
            let certificate = certificate
                .as_ref()
                .ok_or_else(|| format!("certificate {key} is not in the config"))?;
            let one = serve(
                source,
                key,
                certificate,
                &provider,
                verifier.clone(),
                ticketer,
            );
            served.push(one.map_err(|error| format!("certificate {key}: {error}"))?);
        }
        let mut served = served.into_iter();
        let default = served.next();
        Ok(Server {
            default: default.ok_or("the listener has no certificate")?,
            additional: served.collect(),
            verifies_clients: source.tls.trust.is_some(),
        })
    }

    /// The best of those for the name that the client asks for, else the default. Elliptic curves
    /// come first, as they do on AWS, if the client can check their signatures.
    pub fn choose(&self, hello: &ClientHello<'_>) -> &Served {
        let Some(server_name) = hello.server_name() else {
            return &self.default;
        };
        let all = std::iter::once(&self.default).chain(&self.additional);
        let fitting = all.filter(|served| served.is_for(server_name));
        let rank = |served: &&Served| {
            let signs = served
                .certified
                .key
                .choose_scheme(hello.signature_schemes());
            let is_elliptic = served.certified.key.algorithm() == SignatureAlgorithm::ECDSA;
            (signs.is_some(), is_elliptic)
        };
        // Of equals the first: `max_by_key` would take the last.
        fitting.rev().max_by_key(rank).unwrap_or(&self.default)
    }
}

fn serve(
    source: &Source,
    key: &str,
    certificate: &Certificate,
    provider: &Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<Served, rustls::Error> {
    let broken = |_| rustls::Error::General("not in PEM".into());
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(broken)?;
    let private_key = PrivateKeyDer::from_pem_slice(certificate.private_key.as_bytes());
    let names = chain.first().map(names).unwrap_or_default();
    let certified = CertifiedKey::from_der(chain, private_key.map_err(broken)?, provider)?;
    let certified = Arc::new(certified);
    let versions = policy::versions(&source.tls.protocols);
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let resolver = SingleCertAndKey::from(CertifiedKey::clone(&certified));
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.ticketer = ticketer.clone();
    // One is enough to resume with, and each costs a record and an encryption.
    config.send_tls13_tickets = 1;
    config.ignore_client_order = true;
    let alpn = source.alpn.iter();
    config.alpn_protocols = alpn.map(|name| name.as_bytes().to_vec()).collect();
    Ok(Served {
        key: key.to_owned(),
        config: Arc::new(config),
        names,
        certified,
    })
}

fn names(certificate: &CertificateDer<'_>) -> Vec<Name> {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed.valid_dns_names().map(Name::new).collect(),
        // Served as the default all the same: the client judges it.
        Err(_) => Vec::new(),
    }
}

/// All that a listener's settings are made of.
#[derive(Debug, PartialEq)]
struct Source {
    tls: Tls,
    /// Most preferred first.
    alpn: Vec<String>,
    certificates: Vec<(String, Option<Certificate>)>,
}

fn alpn(balancer: &LoadBalancer, listener: &Listener) -> Vec<String> {
    match &listener.relay {
        Some(relay) => relay.alpn.clone(),
        None if balancer.attributes.http2 => vec!["h2".into(), "http/1.1".into()],
        None => vec!["http/1.1".into()],
    }
}

type Built = Result<Arc<Server>, String>;

/// The settings of all listeners, kept while nothing of them changes.
#[derive(Debug, Default)]
pub struct Servers {
    built: BTreeMap<(String, u16), (Source, Built)>,
    ticketer: Option<Arc<dyn ProducesTickets>>,
}

impl Servers {
    /// Builds what is new; problems are pairs of load balancer and message.
    pub fn update(
        &mut self,
        config: &Config,
        problems: &mut Vec<(String, String)>,
    ) -> Arc<ByListener> {
        let mut before = std::mem::take(&mut self.built);
        for balancer in &config.load_balancers {
            let secured = balancer
                .listeners
                .iter()
                .filter(|l| l.protocol == Protocol::Https);
            for listener in secured {
                let tls = listener.tls.clone().unwrap_or_default();
                let certificates = tls
                    .certificates
                    .iter()
                    .map(|key| (key.clone(), config.certificates.get(key).cloned()));
                let source = Source {
                    certificates: certificates.collect(),
                    alpn: alpn(balancer, listener),
                    tls,
                };
                let place = (balancer.key.clone(), listener.port);
                let kept = before.remove(&place).filter(|(known, _)| *known == source);
                let built = match kept {
                    Some((_, built)) => built,
                    None => self.build(&source),
                };
                if let Err(error) = &built {
                    let message = format!("listen on port {}: {error}", listener.port);
                    problems.push((balancer.key.clone(), message));
                }
                self.built.insert(place, (source, built));
            }
        }
        let good = self
            .built
            .iter()
            .filter_map(|(place, (_, built))| Some((place.clone(), built.as_ref().ok()?.clone())));
        Arc::new(good.collect())
    }

    fn build(&mut self, source: &Source) -> Result<Arc<Server>, String> {
        let make = || {
            let made = rustls::crypto::aws_lc_rs::Ticketer::new();
            made.map_err(|error| format!("make keys for tickets: {error}"))
        };
        let ticketer = match &self.ticketer {
            // A session of another listener, or of before its trust changed, has not shown what
            // this one asks for.
            _ if source.tls.takes_client_certificates => make()?,
            Some(ticketer) => ticketer.clone(),
            None => self.ticketer.insert(make()?).clone(),
        };
        Server::new(source, &ticketer).map(Arc::new)
    }
}
