//! Connections to targets that speak HTTP/2: few, shared by many streams.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::time::{Instant, timeout};

use crate::config::Protocol;
use crate::proxy::exchange::open;
use crate::worker::group::Target;
use crate::worker::node::Node;

const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams on one connection before another is opened, if the target allows as many.
const STREAMS: usize = 128;
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a target.
#[derive(Debug)]
pub struct Multiplexed {
    sender: SendRequest<Bytes>,
    streams: Rc<Cell<usize>>,
    is_closed: Rc<Cell<bool>>,
    last_used: Cell<Instant>,
}

/// A stream's place on a connection.
pub struct Place {
    pub sender: SendRequest<Bytes>,
    streams: Rc<Cell<usize>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.set(self.streams.get() - 1);
    }
}

impl Multiplexed {
    pub fn is_of_use(&self, idle_timeout: Duration) -> bool {
        !self.is_closed.get()
            && (self.streams.get() > 0 || self.last_used.get().elapsed() < idle_timeout)
    }

    fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams().min(STREAMS);
        !self.is_closed.get() && self.streams.get() < most
    }

    fn place(&self) -> Place {
        self.streams.set(self.streams.get() + 1);
        self.last_used.set(Instant::now());
        Place {
            sender: self.sender.clone(),
            streams: self.streams.clone(),
        }
    }
}

/// A place for one more stream, on a connection that is there or on a new one; else the status to
/// answer with.
pub async fn place(node: &Rc<Node>, target: &Target, protocol: Protocol) -> Result<Place, u16> {
    let known = target
        .multiplexed
        .borrow()
        .iter()
        .find(|known| known.has_room())
        .map(Multiplexed::place);
    let mut place = match known {
        Some(place) => place,
        None => connect(node, target, protocol).await?,
    };
    let ready = std::future::poll_fn(|context| place.sender.poll_ready(context));
    match timeout(READY_TIMEOUT, ready).await {
        Ok(Ok(())) => Ok(place),
        Ok(Err(_)) => Err(502),
        Err(_) => Err(504),
    }
}

async fn connect(node: &Rc<Node>, target: &Target, protocol: Protocol) -> Result<Place, u16> {
    let upstream = open(node, target, protocol, true).await?;
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let (stream, counted) = (upstream.stream, upstream.counted);
    let (sender, connection) = builder.handshake(stream).await.map_err(|_| 502u16)?;
    let is_closed = Rc::new(Cell::new(false));
    let closed = is_closed.clone();
    node.spawn(async move {
        // How it ended, its streams hear themselves.
        let _ = connection.await;
        closed.set(true);
        drop(counted);
    });
    let known = Multiplexed {
        sender,
        streams: Rc::default(),
        is_closed,
        last_used: Cell::new(Instant::now()),
    };
    let place = known.place();
    target.multiplexed.borrow_mut().push(known);
    Ok(place)
}
