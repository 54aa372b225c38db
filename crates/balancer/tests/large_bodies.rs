//! Bodies far larger than memory would be, both ways, through HTTP/1.1: what this process holds stays
//! as it was. One test in a process of its own, since it looks at all of its memory.

mod common;

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use common::large::*;
use common::*;

/// Each way, of each kind.
const BODY: usize = 256 << 20;
/// Pieces of test, target and balancer and what the allocator keeps; an eighth of a body.
const ROOM: usize = 32 << 20;

#[test]
fn memory_stays_flat_however_long_a_body_is() {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || mirror(stream, BODY).unwrap());
        }
    });
    let target = Server::start("one");
    let balancer = Balancer::start(&[&target], |config| {
        config.group().targets[0].address = address;
    });
    reset_peak();
    let before = peak();
    for is_chunked in [false, true] {
        let framing = match is_chunked {
            false => format!("Content-Length: {BODY}"),
            true => "Transfer-Encoding: chunked".to_owned(),
        };
        let mut stream = TcpStream::connect(balancer.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n").unwrap();
        fill(&mut stream, BODY, is_chunked).unwrap();
        let mut client = Client::connect_to(stream.try_clone().unwrap());
        let head = client.head().unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        // What came with the head is in the client's buffer; the rest is read past it.
        let rest = on_wire(BODY, is_chunked) - client.buffered();
        drain(&mut stream, rest).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let grown = peak() - before;
    assert!(grown < ROOM, "{} MiB more", grown >> 20);
}
