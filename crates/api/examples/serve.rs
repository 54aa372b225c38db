//! The API alone on a loopback port, over a store in memory: for trying SDKs, the
//! AWS CLI and Terraform on actions while they are written.
//!
//! `cargo run -p api --example serve -- 4567`. No data plane stands behind it, so a
//! thread plays the part of the controllers that observe NAT gateways and instances.

use api::{Cloud, Ctx};
use jiff::Timestamp;
use model::instance::{DesiredInstance, Instance, InstanceState, Volume};
use model::vpc::{NatGateway, NatGatewayState};
use model::{Scope, zone};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, Tx};
use wire::auth::Credential;
use wire::{ApiError, Call, ErrorStyle, HttpRequest, HttpResponse, Protocol, Service};

struct Server {
    store: Store,
    cloud: Arc<Cloud>,
    services: Vec<Service<Ctx>>,
}

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|p| p.parse().ok());
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(4567)))?;
    let state_dir = std::env::temp_dir().join(format!("nines-serve-{}", std::process::id()));
    let server = Arc::new(Server {
        store: Store::in_memory(),
        cloud: Arc::new(Cloud {
            metrics: Arc::default(),
            public_pool: "198.18.0.0/15".parse().map_err(std::io::Error::other)?,
            state_dir,
            images: ["debian-12", "debian-12-docker"].into(),
            strict_images: false,
            privileged_instances: false,
            speed: Default::default(),
            console: Box::new(|_| None),
        }),
        services: api::services(),
    });
    println!("http://{}", listener.local_addr()?);
    let observer = server.clone();
    std::thread::spawn(move || observer.observe());
    for stream in listener.incoming() {
        let (stream, server) = (stream?, server.clone());
        std::thread::spawn(move || server.serve(stream));
    }
    Ok(())
}

impl Server {
    /// Stands in for the controllers.
    fn observe(&self) {
        loop {
            std::thread::sleep(Duration::from_millis(300));
            self.store.update(|tx| {
                let gateways: Vec<_> = tx.nat_gateways.values().cloned().collect();
                for gateway in gateways {
                    match gateway.state {
                        NatGatewayState::Pending => {
                            tx.modify::<NatGateway>(&gateway.id, |g| {
                                g.state = NatGatewayState::Available;
                            });
                        }
                        NatGatewayState::Deleting => {
                            api::ec2::nat_gateway::finish_delete(tx, &gateway.id);
                        }
                        _ => {}
                    }
                }
                let instances: Vec<_> = tx.instances.values().cloned().collect();
                for instance in instances {
                    let state = match instance.desired {
                        DesiredInstance::Running => InstanceState::Running,
                        DesiredInstance::Stopped { .. } => InstanceState::Stopped,
                        DesiredInstance::Terminated => InstanceState::Terminated,
                    };
                    if instance.state == state {
                        continue;
                    }
                    if state == InstanceState::Terminated {
                        for interface in api::ec2::network_interface::of_instance(tx, &instance.id)
                        {
                            api::ec2::network_interface::remove(tx, &interface.id);
                        }
                        let volumes = tx.volumes.values().filter(|v| {
                            let attachment = v.attachment.as_ref();
                            attachment.is_some_and(|a| a.instance == instance.id)
                        });
                        for id in volumes.map(|v| v.id.clone()).collect::<Vec<_>>() {
                            tx.remove::<Volume>(&id);
                        }
                    }
                    tx.modify::<Instance>(&instance.id, |i| {
                        i.state = state;
                        i.state_since = Timestamp::now();
                    });
                }
            });
        }
    }

    fn serve(&self, stream: TcpStream) {
        let Ok(mut writer) = stream.try_clone() else {
            return;
        };
        let mut reader = BufReader::new(stream);
        while let Ok(Some(request)) = read_request(&mut reader, &mut writer) {
            let head_only = request.method == "HEAD";
            let response = self.answer(&request);
            if write_response(&mut writer, &response, head_only).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let id = uuid::Uuid::new_v4().to_string();
        let style = ErrorStyle::default();
        let call = match Call::detect(request) {
            Ok(call) => call,
            Err(error) => return error.into_response(Protocol::Query, style, &id),
        };
        let Some(service) = self.services.iter().find(|s| s.answers(&call)) else {
            let error = ApiError::client("UnsupportedOperation", "There is no such service here.");
            return error.into_response(call.payload.protocol(), style, &id);
        };
        let protocol = service.protocol(&call);
        match service.prepare(&call) {
            Ok(job) => {
                let name = job.action.name;
                match self.run(request, |ctx| job.input.run(ctx)) {
                    Ok(answer) => service.success(protocol, name, &*answer, &id),
                    Err(error) => {
                        eprintln!("{name}: {error}");
                        service.failure(protocol, error, &id)
                    }
                }
            }
            Err(error) => {
                eprintln!("{}: {error}", call.action().unwrap_or("?"));
                service.failure(protocol, error, &id)
            }
        }
    }

    fn run<T>(
        &self,
        request: &HttpRequest,
        action: impl FnOnce(&mut Ctx) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let credential = Credential::of(request);
        let key = credential.as_ref().map_or("", |c| c.access_key.as_str());
        let region = credential.as_ref().map_or("us-east-1", |c| &c.region);
        let account = api::sts::account_of(key);
        if zone::region(region).is_none() {
            return Err(ApiError::client("SignatureDoesNotMatch", "No such region."));
        }
        let scope = Scope::new(account, region);
        let now = Timestamp::now();
        let (value, commit) = self.store.transact(|tx| {
            api::ec2::ensure_defaults(tx, &scope, now);
            let empty = Tx::reading(&self.store.snapshot());
            let mut ctx = Ctx {
                tx: std::mem::replace(tx, empty),
                scope: scope.clone(),
                now,
                access_key: key.to_owned(),
                cloud: self.cloud.clone(),
            };
            let value = action(&mut ctx)?;
            *tx = ctx.tx;
            Ok::<T, ApiError>(value)
        })?;
        commit.forget();
        Ok(value)
    }
}

/// One HTTP/1.1 request, or `None` where the client is done.
fn read_request(
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
) -> std::io::Result<Option<HttpRequest>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next(), parts.next());
    let target = target.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = HttpRequest {
        method: method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..HttpRequest::default()
    };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        let name = name.to_ascii_lowercase();
        request.headers.push((name, value.trim().to_owned()));
    }
    if request.header("expect") == Some("100-continue") {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding") == Some("chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size];
            reader.read_exact(&mut chunk)?;
            request.body.extend(chunk);
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length");
        let length = length.and_then(|l| l.parse().ok()).unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn write_response(
    writer: &mut TcpStream,
    response: &HttpResponse,
    head_only: bool,
) -> std::io::Result<()> {
    let mut out = format!("HTTP/1.1 {} -\r\n", response.status);
    let mut has_length = false;
    for (name, value) in &response.headers {
        has_length |= name.eq_ignore_ascii_case("content-length");
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if !has_length {
        out.push_str(&format!("content-length: {}\r\n", response.body.len()));
    }
    out.push_str("\r\n");
    let mut bytes = out.into_bytes();
    if !head_only {
        bytes.extend(&response.body);
    }
    writer.write_all(&bytes)
}
