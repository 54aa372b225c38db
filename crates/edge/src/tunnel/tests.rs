use super::*;
use tokio::io::DuplexStream;
use tokio::net::{TcpSocket, UnixListener};
use tokio::sync::mpsc;

type Client = WebSocketStream<DuplexStream>;

/// An endpoint of this machine.
async fn endpoint() -> Endpoints {
    let endpoints = Endpoints::default();
    let endpoint = Endpoint {
        netns: None,
        address: Ipv4Addr::LOCALHOST,
    };
    endpoints.set([("eice-1".into(), endpoint)].into()).await;
    endpoints
}

async fn begun(endpoints: &Endpoints, target: SocketAddr, longest: Duration) -> Client {
    let open = endpoints.get("eice-1").unwrap();
    let place = Arc::new(open.places.clone().try_acquire_owned().unwrap());
    let way = Way {
        open,
        place,
        target,
        longest,
    };
    let (client, server) = tokio::io::duplex(1 << 16);
    let server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    tokio::spawn(tunnel(server, way));
    WebSocketStream::from_raw_socket(client, Role::Client, None).await
}

/// Sends back what comes.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn closed(client: &mut Client) -> (CloseCode, String) {
    match client.next().await {
        Some(Ok(Message::Close(Some(frame)))) => (frame.code, frame.reason.to_string()),
        other => panic!("{other:?}"),
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn bytes_pass_until_the_endpoint_goes() {
    let endpoints = endpoint().await;
    let client = begun(&endpoints, echo().await, HOUR).await;
    let text = Bytes::from(vec![7; 100_000]);
    let mut back = Vec::new();
    let (mut to, mut from) = client.split();
    let send = to.send(Message::Binary(text.clone()));
    let receive = async {
        while back.len() < text.len() {
            match from.next().await {
                Some(Ok(Message::Binary(data))) => back.extend_from_slice(&data),
                other => panic!("{other:?}"),
            }
        }
    };
    let (sent, ()) = tokio::join!(send, receive);
    sent.unwrap();
    assert_eq!(back, text);
    let mut client = to.reunite(from).unwrap();
    let open = endpoints.get("eice-1").unwrap();
    assert_eq!(open.places.available_permits(), TUNNELS as usize - 1);
    endpoints.set(BTreeMap::new()).await;
    assert_eq!(open.places.available_permits(), TUNNELS as usize);
    assert!(endpoints.get("eice-1").is_none());
    assert_eq!(closed(&mut client).await.0, CloseCode::Away);
}

#[tokio::test]
async fn the_reason_of_an_end_is_told() {
    let endpoints = endpoint().await;
    // Bound, so that nobody else gets the port, but it does not listen.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    let mut client = begun(&endpoints, address, HOUR).await;
    let (code, why) = closed(&mut client).await;
    assert_eq!(code, CloseCode::Error);
    assert_eq!(why, "Unable to connect to target");

    let mut client = begun(&endpoints, echo().await, HOUR).await;
    client.send(Message::Text("hello".into())).await.unwrap();
    assert_eq!(closed(&mut client).await.0, CloseCode::Unsupported);

    let mut client = begun(&endpoints, echo().await, Duration::from_millis(50)).await;
    let (code, why) = closed(&mut client).await;
    assert_eq!(
        (code, &*why),
        (CloseCode::Normal, "the tunnel's time is up")
    );
}

/// A control plane that says `answer` to all, and the heads of what it was asked.
struct Control {
    path: PathBuf,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn control(name: &str, status: &'static str, body: &'static str) -> Control {
    let path = std::env::temp_dir().join(format!("nines-tunnel-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let (heard, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let _ = heard.send(String::from_utf8(head).unwrap());
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            // It is the edge that hangs up.
            let _ = stream.read_u8().await;
        }
    });
    Control { path, asked }
}

/// A client of `serve`, with little room for what it has not read.
fn client(endpoints: &Arc<Endpoints>, control: &Control) -> (DuplexStream, impl Future) {
    let (client, server) = tokio::io::duplex(64);
    let (endpoints, path) = (endpoints.clone(), control.path.clone());
    let served = tokio::spawn(async move { serve(server, endpoints, &path).await });
    (client, served)
}

fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: eice-1.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{more}\r\n"
    )
}

async fn refused(client: &mut DuplexStream, request: &str) -> String {
    let (mut from, mut to) = tokio::io::split(client);
    let mut answer = String::new();
    // Both at once: there is little room.
    let (sent, read) = tokio::join!(
        to.write_all(request.as_bytes()),
        from.read_to_string(&mut answer)
    );
    sent.unwrap();
    read.unwrap();
    answer
}

#[tokio::test]
async fn a_refusal_ends_the_connection() {
    let endpoints = Arc::new(endpoint().await);
    let mut control = control("refuses", "403 Forbidden", "{}");
    let (mut one, _) = client(&endpoints, &control);
    let answer = refused(&mut one, &request("/", "")).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(control.asked.try_recv().is_err(), "asked for another path");

    let (mut other, _) = client(&endpoints, &control);
    let answer = refused(&mut other, &request("/openTunnel", "content-length: 0\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let asked = control.asked.try_recv().unwrap();
    assert!(asked.starts_with("GET /openTunnel "), "{asked}");
    assert!(!asked.contains("content-length"), "{asked}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_nothing_up() {
    let endpoints = Arc::new(endpoint().await);
    let open = endpoints.get("eice-1").unwrap();
    let control = control(
        "allows",
        "200 OK",
        r#"{"instanceConnectEndpointId": "eice-1", "privateIpAddress": "127.0.0.1", "remotePort": 1, "maxTunnelDuration": 60}"#,
    );
    let (mut client, served) = client(&endpoints, &control);
    let request = request("/openTunnel", "");
    client.write_all(request.as_bytes()).await.unwrap();
    while open.places.available_permits() == TUNNELS as usize {
        tokio::task::yield_now().await;
    }
    // From here on only timers are waited for.
    tokio::time::pause();
    endpoints.set(BTreeMap::new()).await;
    let late = open.places.clone().try_acquire_owned();
    assert!(matches!(late, Err(TryAcquireError::Closed)));
    assert_eq!(open.places.available_permits(), TUNNELS as usize - 1);
    served.await;
    assert_eq!(open.places.available_permits(), TUNNELS as usize);
}
