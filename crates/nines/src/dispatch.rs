//! From a request to the action that answers it: service, account, transaction, envelope.

use crate::server::CALL_LIMIT;
use api::{Cloud, Ctx};
use jiff::Timestamp;
use model::{Scope, zone};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Store, Tx};
use wire::auth::{Credential, Signed};
use wire::{ApiError, Call, ErrorStyle, HttpRequest, HttpResponse, Protocol, Service};

const DEFAULT_REGION: &str = "us-east-1";

/// Whose call it is.
struct Caller {
    scope: Scope,
    access_key: String,
    from_host: bool,
    request_id: String,
}

pub struct Dispatcher {
    store: Arc<Store>,
    cloud: Arc<Cloud>,
    services: Vec<Service<Ctx>>,
    /// Accounts and regions that have their default VPC already.
    prepared: Mutex<BTreeSet<Scope>>,
}

impl Dispatcher {
    pub fn new(store: Arc<Store>, cloud: Arc<Cloud>) -> Self {
        api::s3::remove_orphans(&store, &cloud);
        Self {
            store,
            cloud,
            services: api::services(),
            prepared: Mutex::default(),
        }
    }

    pub async fn answer(&self, request: HttpRequest, from_host: bool) -> HttpResponse {
        // By the thread's generator: a system call for each would be felt.
        let request_id = uuid::Builder::from_random_bytes(rand::random())
            .into_uuid()
            .to_string();
        let unpacked = match wire::gzip::unpack(&request, CALL_LIMIT) {
            Ok(unpacked) => unpacked,
            Err(error) => return error.into_response(Protocol::Query, plain(), &request_id),
        };
        let call = match Call::detect(unpacked.as_ref().unwrap_or(&request)) {
            Ok(call) => call,
            Err(error) => return error.into_response(Protocol::Query, plain(), &request_id),
        };
        let scope = scope_of(call.credential.as_ref());
        let scope = match scope {
            Ok(scope) => scope,
            Err(error) => {
                return error.into_response(call.payload.protocol(), plain(), &request_id);
            }
        };
        if let Err(error) = self
            .check_session(&request, &scope.1)
            .and_then(|()| self.check_user_key(&request, &scope.1))
        {
            return error.into_response(call.payload.protocol(), plain(), &request_id);
        }
        if let Err(error) = self.prepare(&scope.0).await {
            return error.into_response(call.payload.protocol(), plain(), &request_id);
        }
        let connects = call.service() == Some(api::instance_connect::NAME);
        if connects && request.path == api::instance_connect::TUNNEL_PATH {
            return self.tunnel(&request, scope, request_id).await;
        }
        if call.service() == Some("s3") || (call.service().is_none() && call.action().is_none()) {
            return self.object_storage(request, scope, request_id).await;
        }
        let Some(service) = self.services.iter().find(|s| s.answers(&call)) else {
            let protocol = match call.payload.protocol() {
                Protocol::S3 if call.service().is_some_and(speaks_rest_xml) => Protocol::RestXml,
                Protocol::S3 => Protocol::RestJson,
                protocol => protocol,
            };
            return unknown_service(&call).into_response(protocol, plain(), &request_id);
        };
        let protocol = service.protocol(&call);
        let done = match service.prepare(&call) {
            Ok(job) => {
                let name = job.action.name;
                let caller = Caller {
                    scope: scope.0,
                    access_key: scope.1,
                    from_host,
                    request_id: request_id.clone(),
                };
                self.run(job.action.read_only, caller, |ctx| job.input.run(ctx))
                    .await
                    .map(|answer| (name, answer))
            }
            Err(error) => Err(error),
        };
        match done {
            Ok((action, answer)) => service.success(protocol, action, &*answer, &request_id),
            Err(error) => {
                tracing::debug!(service = service.name, action = call.action(), code = %error.code, message = %error.message, "refused");
                service.failure(protocol, error, &request_id)
            }
        }
    }

    /// Any key works, but credentials of a role must be those that were given out: this is
    /// how a program finds out that it missed their renewal.
    fn check_session(&self, request: &HttpRequest, access_key: &str) -> Result<(), ApiError> {
        let state = self.store.snapshot();
        let Some(session) = state.session_credentials.get(access_key) else {
            return Ok(());
        };
        let now = Timestamp::now();
        let refused = |code, message: &str| Err(ApiError::new(403, code, message));
        if session.expires <= now {
            return refused(
                "ExpiredToken",
                "The security token included in the request is expired",
            );
        }
        let signed = Signed::parse(request)?;
        if signed.session_token.as_ref() != Some(&session.session_token) {
            return refused(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            );
        }
        wire::signature::verify(request, &signed, &session.secret_access_key, now)
    }

    /// The same for the key of a user, whose secret is known; its use is noted, as AWS does,
    /// to a quarter of an hour.
    fn check_user_key(&self, request: &HttpRequest, access_key: &str) -> Result<(), ApiError> {
        const NOTED: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);
        let state = self.store.snapshot();
        let Some(key) = state.access_keys.get(access_key) else {
            return Ok(());
        };
        let now = Timestamp::now();
        if !key.active {
            let message = "The security token included in the request is invalid.";
            return Err(ApiError::new(403, "InvalidClientTokenId", message));
        }
        let signed = Signed::parse(request)?;
        wire::signature::verify(request, &signed, &key.secret, now)?;
        let fresh = |at: &Timestamp| now.duration_since(*at) < NOTED;
        if key.last_used.as_ref().is_some_and(|(at, _, _)| fresh(at)) {
            return Ok(());
        }
        let (service, region) = (signed.credential.service, signed.credential.region);
        self.store.update(|tx| {
            tx.modify::<model::iam_user::AccessKey>(&access_key.to_owned(), |key| {
                key.last_used = Some((now, service, region));
            });
        });
        Ok(())
    }

    /// S3 keeps bodies in files, so its calls run where blocking is allowed.
    async fn object_storage(
        &self,
        request: HttpRequest,
        (scope, access_key): (Scope, String),
        request_id: String,
    ) -> HttpResponse {
        let (store, cloud) = (Arc::clone(&self.store), Arc::clone(&self.cloud));
        let runtime = tokio::runtime::Handle::current();
        let answered = tokio::task::spawn_blocking(move || {
            let call = api::s3::Call {
                request,
                scope,
                access_key,
                now: Timestamp::now(),
                request_id,
            };
            api::s3::answer(&store, &cloud, call, &|commit| {
                runtime.block_on(commit.durable())
            })
        });
        answered.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call of S3 ended unexpectedly");
            ApiError::internal("The call ended unexpectedly").into_response(
                Protocol::S3,
                plain(),
                "-",
            )
        })
    }

    /// Readers run on a snapshot; writers in the one transaction, and wait until it is on disk.
    async fn run<T>(
        &self,
        read_only: bool,
        caller: Caller,
        action: impl FnOnce(&mut Ctx) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = Timestamp::now();
        let ctx = |tx| Ctx {
            tx,
            scope: caller.scope,
            now,
            access_key: caller.access_key,
            from_host: caller.from_host,
            request_id: caller.request_id,
            cloud: Arc::clone(&self.cloud),
        };
        if read_only {
            return action(&mut ctx(Tx::reading(&self.store.snapshot())));
        }
        let (value, commit) = self.store.transact(|tx| {
            let mut ctx = ctx(std::mem::take(tx));
            let value = action(&mut ctx)?;
            *tx = ctx.tx;
            Ok::<T, ApiError>(value)
        })?;
        commit.durable().await.map_err(|why| {
            ApiError::internal(format!("The change could not be made durable: {why}"))
        })?;
        Ok(value)
    }

    /// What the edge asks on behalf of who wants a tunnel; AWS's words for errors are not those of
    /// any protocol.
    async fn tunnel(
        &self,
        request: &HttpRequest,
        (scope, access_key): (Scope, String),
        request_id: String,
    ) -> HttpResponse {
        let caller = Caller {
            scope,
            access_key,
            from_host: false,
            request_id: request_id.clone(),
        };
        let query = &request.query;
        let allowed = self
            .run(true, caller, |ctx| {
                api::instance_connect::open_tunnel(ctx, query)
            })
            .await;
        let (status, body) = match &allowed {
            Ok(tunnel) => (200, serde_json::json!(tunnel)),
            Err(error) => (
                error.status,
                serde_json::json!({
                    "ErrorCode": error.code, "Message": error.message, "RequestId": request_id,
                }),
            ),
        };
        HttpResponse::new(status)
            .with_body("application/json", body.to_string())
            .with_header("x-amzn-requestid", request_id)
    }

    /// An account has a default VPC in a region from its first call there on.
    async fn prepare(&self, scope: &Scope) -> Result<(), ApiError> {
        if self
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(scope)
        {
            return Ok(());
        }
        let (done, commit) = self.store.transact(|tx| {
            api::ec2::ensure_defaults(tx, scope, Timestamp::now());
            Ok::<_, ApiError>(())
        })?;
        commit.durable().await.map_err(ApiError::internal)?;
        self.prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(scope.clone());
        Ok(done)
    }
}

fn plain() -> ErrorStyle {
    ErrorStyle {
        xml_namespace: "",
        query_errors: None,
    }
}

/// Account and region of a request, and its access key. Any key works.
fn scope_of(credential: Option<&Credential>) -> Result<(Scope, String), ApiError> {
    let (key, region) = match credential {
        Some(c) => (c.access_key.as_str(), c.region.as_str()),
        None => ("", DEFAULT_REGION),
    };
    let account = api::sts::account_of(key);
    // Global services sign for us-east-1 or a pseudo region.
    let region = if region == "aws-global" {
        DEFAULT_REGION
    } else {
        region
    };
    if zone::region(region).is_none() {
        let message = format!("Credential should be scoped to a valid region, not '{region}'.");
        return Err(ApiError::client("SignatureDoesNotMatch", message).with_status(403));
    }
    Ok((Scope::new(account, region), key.to_owned()))
}

/// Of AWS's services with REST, few have XML in it. Source: the protocols of botocore's models.
fn speaks_rest_xml(service: &str) -> bool {
    service == "cloudfront"
}

fn unknown_service(call: &Call<'_>) -> ApiError {
    let service = call.service().unwrap_or("unsigned requests");
    let message = format!(
        "Nines does not emulate the service {service} (docs/coverage.md lists what it does)."
    );
    ApiError::client("UnsupportedOperation", message)
}
