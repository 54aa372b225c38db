//! As `large_bodies`, of HTTP/2: streams both ways, to targets of either version. What a slow side does
//! not take, the other is not to send.

mod common;

use std::net::{SocketAddr, TcpListener};
use std::thread;

use balancer::config::*;
use bytes::Bytes;
use common::http2::{block_on, connect, start};
use common::large::*;
use common::*;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::Request;

/// Each way.
const BODY: usize = 24 << 20;
/// Far less than one way of one of them, and what TLS and the test itself hold.
const ROOM: usize = 8 << 20;

async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room.expect("an open stream").unwrap();
        stream.send_data(data.split_to(room), false).unwrap();
    }
}

/// How long it was.
async fn drain(stream: &mut RecvStream) -> usize {
    let mut length = 0;
    while let Some(data) = stream.data().await {
        let data = data.unwrap();
        length += data.len();
        stream.flow_control().release_capacity(data.len()).unwrap();
    }
    length
}

/// A body of that length up, and the answer's length. A target may answer while it listens.
async fn exchange(sender: &SendRequest<Bytes>, says_length: bool) -> usize {
    let mut request = Request::post("https://a.example/");
    if says_length {
        request = request.header("content-length", BODY);
    }
    let mut sender = sender.clone().ready().await.unwrap();
    let (response, mut stream) = sender
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    let sending = tokio::task::spawn_local(async move {
        let piece = Bytes::from(vec![b'x'; 64 << 10]);
        for _ in 0..BODY / piece.len() {
            send(&mut stream, piece.clone()).await;
        }
        stream.send_data(Bytes::new(), true).unwrap();
    });
    let mut answer = response.await.unwrap().into_body();
    let length = drain(&mut answer).await;
    sending.await.unwrap();
    length
}

/// A target that sends back what comes, as fast as it is taken.
async fn echo() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((own_address(), 0)).await;
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::task::spawn_local(async move {
                let mut body = request.into_body();
                let mut stream = respond
                    .send_response(http::Response::new(()), false)
                    .unwrap();
                while let Some(data) = body.data().await {
                    let data = data.unwrap();
                    let length = data.len();
                    send(&mut stream, data).await;
                    body.flow_control().release_capacity(length).unwrap();
                }
                stream.send_data(Bytes::new(), true).unwrap();
            });
        }
    });
    address
}

#[test]
fn memory_stays_flat_however_long_a_stream_is() {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let http1 = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || mirror(stream, BODY).unwrap());
        }
    });
    let target = |key: &str, address| Target {
        key: key.into(),
        address,
        zone: None,
        state: TargetState::Active,
    };
    let (mut balancer, made) = start(&[], |config| {
        config.group().targets = vec![target("http1", http1)];
    });
    block_on(async {
        let sender = connect(&balancer, &made).await;
        reset_peak();
        let before = peak();
        assert_eq!(exchange(&sender, true).await, BODY);
        assert_eq!(exchange(&sender, false).await, BODY);
        let http2 = echo().await;
        let (balancer, grown) = tokio::task::spawn_blocking(move || {
            balancer.change(|config| {
                config.group().targets = vec![target("http2", http2)];
                config.group().protocol_version = ProtocolVersion::Http2;
            });
            (balancer, peak() - before)
        })
        .await
        .unwrap();
        assert!(grown < ROOM, "HTTP/1.1: {} MiB more", grown >> 20);
        assert_eq!(exchange(&sender, false).await, BODY);
        let grown = peak() - before;
        assert!(grown < ROOM, "HTTP/2: {} MiB more", grown >> 20);
        drop(sender);
        tokio::task::spawn_blocking(move || drop(balancer))
            .await
            .unwrap();
    });
}
