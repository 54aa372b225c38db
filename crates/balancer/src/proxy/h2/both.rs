//! Request and response of a stream at once, under one poll and one idle timer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::flow::Gone;
use crate::proxy::attempt::Failure;
use crate::proxy::idle::{Activity, Timer, poll_timer};
use crate::worker::group::Target;

/// `send` passes the request on; `receive` passes the response on, and its end is the whole's. Both
/// tell `last` when bytes move.
pub async fn both<T>(
    send: impl Future<Output = Result<(), Gone>>,
    receive: impl Future<Output = Result<T, Failure>>,
    target: &Target,
    (timer, last): (&mut Timer, &Activity),
    idle_timeout: Duration,
) -> Result<T, Failure> {
    let (mut send, mut receive) = (pin!(send), pin!(receive));
    let mut cut = pin!(target.cut.notified());
    let mut is_sending = true;
    poll_fn(|context| {
        let sent = if is_sending {
            send.as_mut().poll(context)
        } else {
            Poll::Pending
        };
        if let Poll::Ready(received) = receive.as_mut().poll(context) {
            return Poll::Ready(received);
        }
        match sent {
            Poll::Ready(Err(Gone::Sender)) => return Poll::Ready(Err(Failure::ClientGone)),
            // Perhaps there is a response all the same.
            Poll::Ready(Ok(()) | Err(Gone::Receiver)) => is_sending = false,
            Poll::Pending => {}
        }
        if target.is_cut() || cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Failure::Cut));
        }
        poll_timer(timer, last, context, idle_timeout).map(|_| Err(Failure::Idle))
    })
    .await
}
