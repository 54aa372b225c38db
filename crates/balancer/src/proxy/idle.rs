//! The idle timeout of a connection, at the price of a clock reading per read or write.
//!
//! Nothing is registered while bytes flow: the timer is looked at when it fires, and if something
//! happened since it was set, it is set again for the rest. So a busy connection touches its timer
//! once per timeout.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

pub type Timer = Pin<Box<Sleep>>;

#[derive(Debug)]
pub struct Idle {
    timer: Timer,
    pub last: Activity,
}

/// When bytes last moved.
#[derive(Debug)]
pub struct Activity(Cell<Instant>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl Activity {
    pub fn touch(&self) {
        self.0.set(Instant::now());
    }

    /// For who has just looked at the clock.
    pub fn touch_at(&self, now: Instant) {
        self.0.set(now);
    }

    pub fn at(&self) -> Instant {
        self.0.get()
    }
}

impl Idle {
    pub fn new(timeout: Duration) -> Idle {
        Idle {
            timer: Box::pin(sleep(timeout)),
            last: Activity(Cell::new(Instant::now())),
        }
    }

    /// Ready once nothing happened for `timeout`.
    pub fn poll(&mut self, context: &mut Context<'_>, timeout: Duration) -> Poll<TimedOut> {
        poll_timer(&mut self.timer, &self.last, context, timeout)
    }

    /// Timer and activity apart, for those who touch while another polls.
    pub fn split(&mut self) -> (&mut Timer, &Activity) {
        (&mut self.timer, &self.last)
    }

    /// `work`, unless it is idle for too long. Its end counts as activity.
    pub async fn limit<T>(
        &mut self,
        timeout: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        let done = self.wait(timeout, std::pin::pin!(work)).await;
        self.last.touch();
        done
    }

    /// The same, without a second copy of `work` in the future: for what waits long in many
    /// connections. Its end is no activity yet; that is what follows from it.
    pub async fn wait<T>(
        &mut self,
        timeout: Duration,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, TimedOut> {
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            self.poll(context, timeout).map(Err)
        })
        .await
    }
}

pub fn poll_timer(
    timer: &mut Timer,
    last: &Activity,
    context: &mut Context<'_>,
    timeout: Duration,
) -> Poll<TimedOut> {
    while timer.as_mut().poll(context).is_ready() {
        let deadline = last.0.get() + timeout;
        if deadline <= Instant::now() {
            return Poll::Ready(TimedOut);
        }
        timer.as_mut().reset(deadline);
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn activity_puts_the_timeout_off() {
        let timeout = Duration::from_secs(60);
        let started = Instant::now();
        let mut idle = Idle::new(timeout);
        assert_eq!(
            idle.limit(timeout, tokio::time::sleep(Duration::from_secs(50)))
                .await,
            Ok(())
        );
        assert_eq!(
            idle.limit(timeout, std::future::pending::<()>()).await,
            Err(TimedOut)
        );
        assert_eq!(started.elapsed().as_secs(), 110);
    }
}
