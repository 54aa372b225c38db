//! Bodies far larger than memory would be, both ways, through HTTP/1.1: what this process holds stays
//! as it was. One test in a process of its own, since it looks at all of its memory.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use common::*;

/// Each way, of each kind.
const BODY: usize = 256 << 20;
const PIECE: usize = 256 << 10;
/// Pieces of test, target and balancer and what the allocator keeps; an eighth of a body.
const ROOM: usize = 32 << 20;

/// The most that this process has held since the count was reset, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Takes a body to its end and answers with one as long, in chunks if it came so.
fn mirror(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let is_chunked = head.contains("transfer-encoding: chunked");
    let framing = if is_chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {BODY}")
    };
    drain(&mut stream, on_wire(is_chunked))?;
    stream.write_all(
        format!("HTTP/1.1 200 OK\r\n{framing}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    fill(&mut stream, is_chunked)
}

/// Bytes of a body as [`fill`] writes it.
fn on_wire(is_chunked: bool) -> usize {
    let framing = format!("{PIECE:x}\r\n\r\n").len();
    match is_chunked {
        false => BODY,
        true => BODY / PIECE * (PIECE + framing) + "0\r\n\r\n".len(),
    }
}

fn fill(stream: &mut TcpStream, is_chunked: bool) -> std::io::Result<()> {
    let mut piece = vec![b'x'; PIECE];
    if is_chunked {
        piece.splice(0..0, format!("{PIECE:x}\r\n").bytes());
        piece.extend_from_slice(b"\r\n");
    }
    for _ in 0..BODY / PIECE {
        stream.write_all(&piece)?;
    }
    match is_chunked {
        true => stream.write_all(b"0\r\n\r\n"),
        false => Ok(()),
    }
}

/// Reads so many bytes.
fn drain(stream: &mut TcpStream, length: usize) -> std::io::Result<()> {
    let copied = std::io::copy(&mut stream.take(length as u64), &mut std::io::sink())?;
    match copied as usize == length {
        true => Ok(()),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

#[test]
fn memory_stays_flat_however_long_a_body_is() {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || mirror(stream).unwrap());
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
        fill(&mut stream, is_chunked).unwrap();
        let mut client = Client::connect_to(stream.try_clone().unwrap());
        let head = client.head().unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        // What came with the head is in the client's buffer; the rest is read past it.
        let rest = on_wire(is_chunked) - client.buffered();
        drain(&mut stream, rest).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let grown = peak() - before;
    assert!(grown < ROOM, "{} MiB more", grown >> 20);
}
