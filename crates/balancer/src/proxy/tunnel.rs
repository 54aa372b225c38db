//! Bytes both ways until both ends are done, the idle timeout passes or the target's deregistration
//! delay is over: what is left of an exchange after an upgrade, and all there is of a relayed flow.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::idle::{Activity, Idle, poll_timer};
use crate::tls::{ReadHalf, Stream, WriteHalf};
use crate::worker::Core;
use crate::worker::group::Target;

pub struct Ends<'a> {
    pub core: &'a Core,
    pub target: &'a Target,
    pub client: &'a mut Stream,
    pub upstream: &'a mut Stream,
    pub idle: &'a mut Idle,
    pub idle_timeout: Duration,
    /// Told of bytes from and to the client.
    pub received: &'a dyn Fn(u64),
    pub sent: &'a dyn Fn(u64),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides had said all.
    Orderly,
    /// One broke off, or was broken off.
    Broken,
}

/// `input` is what the client sent already, `early` what the target did.
pub async fn run(ends: Ends<'_>, input: &mut Vec<u8>, early: &mut Vec<u8>) -> End {
    let core = ends.core;
    let (client_read, client_write) = ends.client.split();
    let (target_read, target_write) = ends.upstream.split();
    let (timer, last) = ends.idle.split();
    let up = pump(core, client_read, target_write, input, last, ends.received);
    let down = pump(core, target_read, client_write, early, last, ends.sent);
    let (mut up, mut down) = (pin!(up), pin!(down));
    let mut cut = pin!(ends.target.cut.notified());
    let (mut is_up, mut is_down) = (true, true);
    poll_fn(|context| {
        if is_up && let Poll::Ready(ended) = up.as_mut().poll(context) {
            is_up = false;
            // An orderly end leaves the other direction open; an error ends both.
            if ended.is_err() {
                return Poll::Ready(End::Broken);
            }
        }
        if is_down && let Poll::Ready(ended) = down.as_mut().poll(context) {
            is_down = false;
            if ended.is_err() {
                return Poll::Ready(End::Broken);
            }
        }
        if !is_up && !is_down {
            return Poll::Ready(End::Orderly);
        }
        let is_over = ends.target.is_cut()
            || cut.as_mut().poll(context).is_ready()
            || poll_timer(timer, last, context, ends.idle_timeout).is_ready();
        match is_over {
            true => Poll::Ready(End::Broken),
            false => Poll::Pending,
        }
    })
    .await
}

/// Passes bytes on until the reader ends, then says so to the writer. No buffer is held while idle.
async fn pump(
    core: &Core,
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    early: &mut Vec<u8>,
    last: &Activity,
    count: &dyn Fn(u64),
) -> io::Result<()> {
    if !early.is_empty() {
        writer.send(early).await?;
        count(early.len() as u64);
        early.clear();
    }
    loop {
        match reader.readable().await {
            Err(error) if is_bare_end(&error) => return writer.shutdown().await,
            ready => ready?,
        }
        let mut buffer = core.buffer();
        let passed = match reader.read_buf(&mut buffer).await {
            Ok(0) => return writer.shutdown().await,
            Ok(length) => {
                last.touch();
                count(length as u64);
                writer.send(&buffer).await
            }
            Err(error) if is_bare_end(&error) => return writer.shutdown().await,
            Err(error) => Err(error),
        };
        core.give_back(buffer);
        passed?;
    }
}

/// Many end a connection over TLS without saying so in TLS; whether all was said is for the other
/// side to judge.
fn is_bare_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
