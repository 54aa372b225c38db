//! What is left of an exchange after an upgrade: bytes both ways until both ends are done, the idle
//! timeout passes or the target's deregistration delay is over.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::exchange::Client;
use super::idle::{Activity, poll_timer};
use crate::tls::{ReadHalf, Stream, WriteHalf};
use crate::worker::Core;
use crate::worker::group::Target;

pub struct Ends<'a, 'b> {
    pub core: &'a Core,
    pub target: &'a Target,
    pub client: &'a mut Client<'b>,
    pub upstream: &'a mut Stream,
}

/// Bytes from and to the client. `early` is what the target sent right after its head.
pub async fn run(ends: Ends<'_, '_>, early: &mut Vec<u8>) -> (u64, u64) {
    let Ends {
        core,
        target,
        client,
        upstream,
    } = ends;
    let (client_read, client_write) = client.stream.split();
    let (target_read, target_write) = upstream.split();
    let (timer, last) = client.idle.split();
    let (mut received, mut sent) = (0, 0);
    {
        let mut up = pin!(pump(
            core,
            client_read,
            target_write,
            client.input,
            last,
            &mut received
        ));
        let mut down = pin!(pump(
            core,
            target_read,
            client_write,
            early,
            last,
            &mut sent
        ));
        let mut cut = pin!(target.cut.notified());
        let (mut is_up, mut is_down) = (true, true);
        poll_fn(|context| {
            if is_up && let Poll::Ready(ended) = up.as_mut().poll(context) {
                is_up = false;
                // An orderly end leaves the other direction open; an error ends both.
                is_down &= ended.is_ok();
            }
            if is_down && let Poll::Ready(ended) = down.as_mut().poll(context) {
                is_down = false;
                is_up &= ended.is_ok();
            }
            let is_over = !is_up && !is_down
                || target.is_cut()
                || cut.as_mut().poll(context).is_ready()
                || poll_timer(timer, last, context, client.idle_timeout).is_ready();
            if is_over {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    (received, sent)
}

/// Passes bytes on until the reader ends, then says so to the writer. No buffer is held while idle.
async fn pump(
    core: &Core,
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    early: &mut Vec<u8>,
    last: &Activity,
    count: &mut u64,
) -> io::Result<()> {
    if !early.is_empty() {
        writer.send(early).await?;
        *count += early.len() as u64;
        early.clear();
    }
    loop {
        reader.readable().await?;
        let mut buffer = core.buffer();
        let passed = match reader.read_buf(&mut buffer).await {
            Ok(0) => return writer.shutdown().await,
            Ok(length) => {
                last.touch();
                *count += length as u64;
                writer.send(&buffer).await
            }
            Err(error) => Err(error),
        };
        core.give_back(buffer);
        passed?;
    }
}
