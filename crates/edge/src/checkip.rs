//! Tells a caller the address it comes from: behind a NAT gateway, its Elastic IP.

use crate::http::{self, Answer};
use crate::listener::{Stop, accept};
use hyper::{Method, StatusCode};
use tokio::net::TcpListener;

pub async fn run(listener: TcpListener, stop: Stop) {
    accept(listener, stop, |stream| async move {
        let Ok(peer) = stream.peer_addr() else { return };
        http::serve(stream, |request| async move {
            match *request.method() {
                Method::GET | Method::HEAD => text(StatusCode::OK, format!("{}\n", peer.ip())),
                _ => text(StatusCode::METHOD_NOT_ALLOWED, String::new()),
            }
        })
        .await;
    })
    .await;
}

fn text(status: StatusCode, content: String) -> Answer {
    http::answer(status, "text/plain", content)
}
