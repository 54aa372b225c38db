//! The registries of accounts: who may come, and to which repository.
//!
//! Texts and codes as ECR has them, where its documentation tells; that another account's or
//! Region's token is refused with 403 is what its troubleshooting page says of denied access.
//! `https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html`

use super::route::{Route, route};
use super::{Views, empty, pull, push, refuse, set};
use crate::config::{PrivateRegistries, Repository};
use crate::http::Answer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode, Uri};
use oci::{Claim, Invalid, Key, Layout};
use std::io;
use std::time::Duration;

/// A repository that was just created may be on its way here.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which registry a host name stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    account: String,
    region: String,
}

impl Address {
    /// Of `123456789012.dkr.ecr.us-east-1.amazonaws.com`, with or without a port.
    pub fn of(host: &str) -> Option<Self> {
        let host = host.split(':').next().unwrap_or_default();
        let host = host.to_ascii_lowercase();
        let (account, rest) = host.split_once(".dkr.ecr.")?;
        let region = rest.strip_suffix(".amazonaws.com")?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && region.chars().all(plain);
        let (account, region) = (account.to_owned(), region.to_owned());
        valid.then_some(Self {
            host,
            account,
            region,
        })
    }

    fn repository<'a>(&self, of: &'a PrivateRegistries, name: &str) -> Option<&'a Repository> {
        let account = of.repositories.get(&self.account)?;
        account.get(&self.region)?.get(name)
    }
}

pub async fn respond(
    request: Request<Incoming>,
    address: Address,
    mut views: Views,
) -> io::Result<Answer> {
    let known = |views: &Views| views.borrow().registry.as_ref()?.private.clone();
    let Some(private) = known(&views) else {
        return Ok(refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "no registry"));
    };
    // Read anew each time: it is small, and whoever replaces it means to.
    let key = Key::read(&private.token_key)?;
    let now = jiff::Timestamp::now().as_second().try_into().unwrap_or(0);
    if !by_link(&key, &request, now) {
        match claim(&key, &request, now) {
            Ok(claim) if claim.account == address.account && claim.region == address.region => {}
            Ok(_) => {
                let text = "Your Authorization Token is not one of this registry.";
                return Ok(refuse(StatusCode::FORBIDDEN, "DENIED", text));
            }
            Err(Some(Invalid::Expired)) => {
                let text = "Your authorization token has expired. Reauthenticate and try again.";
                return Ok(refuse(StatusCode::FORBIDDEN, "DENIED", text));
            }
            Err(None | Some(Invalid::Foreign)) => return Ok(unauthorized(&address)),
        }
    }
    let route = match route(request.uri().path()) {
        Ok(route) => route,
        Err(refusal) => return Ok(refusal.into()),
    };
    let Some(name) = route.name() else {
        return Ok(empty(StatusCode::OK));
    };
    if address.repository(&private, name).is_none() {
        let appears = views.wait_for(|view| {
            let private = view.registry.as_ref().and_then(|r| r.private.as_ref());
            private.is_some_and(|private| address.repository(private, name).is_some())
        });
        let _ = tokio::time::timeout(PATIENCE, appears).await;
    }
    let private = known(&views).unwrap_or(private);
    let Some(repository) = address.repository(&private, name) else {
        let text = format!(
            "The repository with name '{name}' does not exist in the registry with id '{}'",
            address.account
        );
        return Ok(refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN", &text));
    };
    let layout = Layout::at(&repository.layout);
    match (request.method().clone(), route) {
        (Method::GET, Route::Upload { name, id }) => push::progress(&layout, &name, id).await,
        (Method::GET | Method::HEAD, route) => pull::read(&layout, route, request.headers()).await,
        (Method::POST, Route::Uploads { name }) => {
            let query = push::Query::of(request.uri());
            let from = query.from.as_deref();
            let from = from.and_then(|from| address.repository(&private, from));
            let from = from.map(|from| Layout::at(&from.layout));
            push::begin(&layout, &name, query, from, request.into_body()).await
        }
        (Method::PATCH, Route::Upload { name, id }) => {
            push::extend(&layout, &name, id, request).await
        }
        (Method::PUT, Route::Upload { name, id }) => {
            push::complete(&layout, &name, id, request).await
        }
        (Method::DELETE, Route::Upload { id, .. }) => push::cancel(&layout, id).await,
        (Method::PUT, Route::Manifest { name, reference }) => {
            push::manifest(&layout, &name, reference, &repository.tags, request).await
        }
        // Images are deleted by ECR's own calls.
        _ => {
            let text = "The operation is unsupported.";
            Ok(refuse(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", text))
        }
    }
}

fn unauthorized(address: &Address) -> Answer {
    let text = "Not Authorized";
    let mut answer = refuse(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", text);
    let challenge = format!(
        r#"Basic realm="https://{}/",service="ecr.amazonaws.com""#,
        address.host
    );
    set(&mut answer, WWW_AUTHENTICATE, &challenge);
    answer
}

/// Whose token came with the request; `None` if none did.
fn claim<B>(key: &Key, request: &Request<B>, now: u64) -> Result<Claim, Option<Invalid>> {
    let header = request.headers().get(AUTHORIZATION).ok_or(None)?;
    let password = password(header.to_str().unwrap_or_default());
    key.verify(&password.ok_or(Invalid::Foreign)?, now)
        .map_err(Some)
}

/// Of `Basic …` for the user `AWS`.
fn password(header: &str) -> Option<String> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    (scheme.eq_ignore_ascii_case("basic") && user == "AWS").then(|| password.to_owned())
}

/// Whether it follows a link of GetDownloadUrlForLayer.
fn by_link<B>(key: &Key, request: &Request<B>, now: u64) -> bool {
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let link = |uri: &Uri| {
        let mut pairs = uri.query()?.split('&').filter_map(|p| p.split_once('='));
        let expires = pairs.clone().find(|(name, _)| *name == "expires")?.1;
        let signature = pairs.find(|(name, _)| *name == "signature")?.1;
        Some((expires.parse().ok()?, signature.to_owned()))
    };
    reading
        && link(request.uri()).is_some_and(|(expires, signature)| {
            let host = request.headers().get(hyper::header::HOST);
            let host = host.and_then(|h| h.to_str().ok()).unwrap_or_default();
            let whole = format!("{host}{}", request.uri().path());
            key.verify_link(&whole, expires, &signature, now).is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let check = |host: &str, expected: Option<(&str, &str)>| {
            let address = Address::of(host);
            let seen = address.as_ref().map(|a| (&*a.account, &*a.region));
            assert_eq!(seen, expected, "{host}");
        };
        let one = Some(("123456789012", "us-east-1"));
        check("123456789012.dkr.ecr.us-east-1.amazonaws.com", one);
        check("123456789012.DKR.ecr.us-east-1.amazonaws.com:443", one);
        check("12345678901.dkr.ecr.us-east-1.amazonaws.com", None);
        check("123456789012.dkr.ecr.us/../east.amazonaws.com", None);
        check("registry.nines.internal", None);
        check("", None);
    }

    #[test]
    fn passwords() {
        let check = |header: &str, expected: Option<&str>| {
            assert_eq!(password(header).as_deref(), expected, "{header}");
        };
        // AWS:secret, AWS:a:b and root:secret
        check("Basic QVdTOnNlY3JldA==", Some("secret"));
        check("basic QVdTOmE6Yg==", Some("a:b"));
        check("Basic cm9vdDpzZWNyZXQ=", None);
        check("Bearer QVdTOnNlY3JldA==", None);
        check("Basic !", None);
        check("", None);
    }
}
