//! Bodies far larger than memory is to be, and how much of it a process has held.

use std::io::{Read, Write};
use std::net::TcpStream;

const PIECE: usize = 256 << 10;

/// The most that this process has held since the count was reset, in bytes.
pub fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

pub fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Takes a body of that length to its end and answers with one as long, in chunks if it came so.
pub fn mirror(mut stream: TcpStream, length: usize) -> std::io::Result<()> {
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
        format!("Content-Length: {length}")
    };
    match is_chunked {
        false => drain(&mut stream, length)?,
        true => drain_chunks(&mut stream)?,
    }
    stream.write_all(
        format!("HTTP/1.1 200 OK\r\n{framing}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    fill(&mut stream, length, is_chunked)
}

/// Reads to the last chunk, however the others are cut.
fn drain_chunks(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut end = Vec::new();
    while !end.ends_with(b"\r\n0\r\n\r\n") {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        end.extend_from_slice(&buffer[length.saturating_sub(16)..length]);
        end.drain(..end.len().saturating_sub(16));
    }
    Ok(())
}

/// Bytes of a body as [`fill`] writes it.
pub fn on_wire(length: usize, is_chunked: bool) -> usize {
    let framing = format!("{PIECE:x}\r\n\r\n").len();
    match is_chunked {
        false => length,
        true => length / PIECE * (PIECE + framing) + "0\r\n\r\n".len(),
    }
}

pub fn fill(stream: &mut TcpStream, length: usize, is_chunked: bool) -> std::io::Result<()> {
    let mut piece = vec![b'x'; PIECE];
    if is_chunked {
        piece.splice(0..0, format!("{PIECE:x}\r\n").bytes());
        piece.extend_from_slice(b"\r\n");
    }
    for _ in 0..length / PIECE {
        stream.write_all(&piece)?;
    }
    match is_chunked {
        true => stream.write_all(b"0\r\n\r\n"),
        false => Ok(()),
    }
}

/// Reads so many bytes.
pub fn drain(stream: &mut TcpStream, length: usize) -> std::io::Result<()> {
    let copied = std::io::copy(&mut stream.take(length as u64), &mut std::io::sink())?;
    match copied as usize == length {
        true => Ok(()),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
