//! HTTP/2 clients.

use std::net::SocketAddr;
use std::sync::Arc;

use balancer::Config;
use balancer::config::Certificate;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::tls::{SECURE_PORT, certificate, client_config, secure};
use super::{Balancer, LIMIT, Server};

/// A balancer with an HTTPS listener, and what its clients trust.
pub fn start(targets: &[&Server], change: impl FnOnce(&mut Config)) -> (Balancer, Certificate) {
    let made = certificate(&["a.example"]);
    let balancer = Balancer::start(targets, |config| {
        secure(config, std::slice::from_ref(&made));
        change(config);
    });
    (balancer, made)
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(LIMIT, work).await.expect("in time") };
    tokio::task::LocalSet::new().block_on(&runtime, limited)
}

pub async fn connect(balancer: &Balancer, made: &Certificate) -> SendRequest<Bytes> {
    let address = SocketAddr::new(balancer.address.ip(), SECURE_PORT);
    let config = client_config(&[made], &[b"h2", b"http/1.1"]);
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("a.example").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::task::spawn_local(async move { _ = connection.await });
    sender.ready().await.unwrap()
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

pub async fn ask(sender: &SendRequest<Bytes>, request: Request<()>, body: &[Bytes]) -> Answer {
    let mut sender = sender.clone().ready().await.unwrap();
    let (response, mut stream) = sender.send_request(request, body.is_empty()).unwrap();
    for (data, left) in body.iter().zip((0..body.len()).rev()) {
        stream.send_data(data.clone(), left == 0).unwrap();
    }
    let response = response.await.unwrap();
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
        trailers: stream.trailers().await.unwrap(),
    }
}

pub fn get(path: &str) -> Request<()> {
    Request::get(format!("https://a.example{path}"))
        .body(())
        .unwrap()
}
