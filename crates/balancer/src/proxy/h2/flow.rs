//! Data of streams, as fast as the receiver takes it.

use std::cell::Cell;
use std::future::poll_fn;

use bytes::Bytes;
use h2::{RecvStream, SendStream};

use super::head;
use crate::proxy::idle::Activity;

/// Which side of a transfer ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Sender,
    Receiver,
}

/// Sends all within the receiver's window; `is_end` ends the stream.
pub async fn send(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    is_end: bool,
) -> Result<(), Gone> {
    if data.is_empty() {
        return match is_end {
            true => stream.send_data(data, true).map_err(|_| Gone::Receiver),
            false => Ok(()),
        };
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        while stream.capacity() == 0 {
            match poll_fn(|context| stream.poll_capacity(context)).await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Gone::Receiver),
            }
        }
        let part = data.split_to(stream.capacity().min(data.len()));
        let is_last = is_end && data.is_empty();
        stream
            .send_data(part, is_last)
            .map_err(|_| Gone::Receiver)?;
    }
    Ok(())
}

/// The next data; its room in the window is to be given back with [`release`].
pub async fn receive(stream: &mut RecvStream) -> Option<Result<Bytes, Gone>> {
    let data = poll_fn(|context| stream.poll_data(context)).await?;
    Some(data.map_err(|_| Gone::Sender))
}

pub fn release(stream: &mut RecvStream, length: usize) {
    // Fails only where the stream has ended, which has no window.
    let _ = stream.flow_control().release_capacity(length);
}

/// What follows the data, once there is no more of it.
pub async fn trailers(stream: &mut RecvStream) -> Result<Option<http::HeaderMap>, Gone> {
    let trailers = poll_fn(|context| stream.poll_trailers(context)).await;
    trailers.map_err(|_| Gone::Sender)
}

/// Passes everything on: data, trailers, the end.
pub async fn pass(
    from: &mut RecvStream,
    to: &mut SendStream<Bytes>,
    last: &Activity,
    count: &Cell<u64>,
) -> Result<(), Gone> {
    while let Some(data) = receive(from).await {
        let data = data?;
        last.touch();
        let length = data.len();
        let is_end = from.is_end_stream();
        send(to, data, is_end).await?;
        last.touch();
        count.set(count.get() + length as u64);
        release(from, length);
        if is_end {
            return Ok(());
        }
    }
    let sent = match trailers(from).await? {
        Some(trailers) => {
            count.set(count.get() + head::size(&trailers));
            to.send_trailers(trailers)
        }
        None => to.send_data(Bytes::new(), true),
    };
    sent.map_err(|_| Gone::Receiver)
}
