//! The process: serves the config it finds on disk, with no control plane there.

mod common;

use std::net::SocketAddr;
use std::time::Instant;

use common::*;

#[test]
fn the_last_config_is_served_without_a_control_plane() {
    let server = Server::start("one");
    let address = own_address();
    let directory = std::env::temp_dir().join(format!("balancer-process-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let config = serde_json::to_vec(&plain_config(address, &[&server])).unwrap();
    std::fs::write(directory.join("config.json"), config).unwrap();
    let dir = directory.clone();
    // Serves until the test process ends.
    std::thread::spawn(move || balancer::run(&dir).unwrap());
    let deadline = Instant::now() + LIMIT;
    let address = SocketAddr::new(address.into(), PORT);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens");
        std::thread::yield_now();
    }
    let mut client = Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response().body, "one");
    std::fs::remove_dir_all(&directory).unwrap();
}
