//! A connection, in the clear or over TLS.
//!
//! One type for both, told apart at each call: a branch that is always predicted costs less than a
//! second copy of the engine. Only TLS needs flushing, since it keeps records that the kernel did
//! not take; [`Stream::send`] and [`WriteHalf::send`] do it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, tcp};
use tokio_rustls::TlsStream;

type Tls = TlsStream<TcpStream>;

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    /// Halves of it are used in turn by one task.
    Tls(Box<RefCell<Tls>>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Plain(stream)
    }
}

impl Stream {
    pub fn secured(stream: Tls) -> Stream {
        Stream::Tls(Box::new(RefCell::new(stream)))
    }

    pub fn is_secured(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        match self {
            Stream::Plain(stream) => {
                let (read, write) = stream.split();
                (ReadHalf::Plain(read), WriteHalf::Plain(write))
            }
            Stream::Tls(stream) => (ReadHalf::Tls(stream), WriteHalf::Tls(stream)),
        }
    }

    /// Waits until there is something to read, or the end, without a buffer.
    pub async fn readable(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.readable().await,
            Stream::Tls(stream) => poll_fn(|context| poll_readable(stream, context)).await,
        }
    }

    /// Writes all, down to the kernel.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// Closes so that the other side sees it broken off (a reset), not ended.
    pub fn abort(self) {
        let reset = |stream: &TcpStream| {
            // Where that fails, it is closed as ever.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        };
        match &self {
            Stream::Plain(stream) => reset(stream),
            Stream::Tls(stream) => reset(stream.borrow().get_ref().0),
        }
    }

    /// Whether nothing came on an idle connection: neither its end nor bytes nobody asked for.
    pub fn is_quiet(&self) -> bool {
        match self {
            Stream::Plain(stream) => {
                matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            // What comes may be a ticket, which is nobody's concern but rustls's.
            Stream::Tls(stream) => {
                poll_readable(stream, &mut Context::from_waker(Waker::noop())).is_pending()
            }
        }
    }
}

fn poll_readable(stream: &RefCell<Tls>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut stream = stream.borrow_mut();
    Pin::new(&mut *stream).poll_fill_buf(context).map_ok(|_| ())
}

#[derive(Debug)]
pub enum ReadHalf<'a> {
    Plain(tcp::ReadHalf<'a>),
    Tls(&'a RefCell<Tls>),
}

#[derive(Debug)]
pub enum WriteHalf<'a> {
    Plain(tcp::WriteHalf<'a>),
    Tls(&'a RefCell<Tls>),
}

impl ReadHalf<'_> {
    pub async fn readable(&mut self) -> io::Result<()> {
        match self {
            ReadHalf::Plain(half) => half.readable().await,
            ReadHalf::Tls(stream) => poll_fn(|context| poll_readable(stream, context)).await,
        }
    }
}

impl WriteHalf<'_> {
    /// Writes all, down to the kernel.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.get_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ReadHalf::Plain(half) => Pin::new(half).poll_read(context, buffer),
            ReadHalf::Tls(stream) => Pin::new(&mut *stream.borrow_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.get_mut()).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Tls(stream) => Pin::new(stream.get_mut()).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(stream.get_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.get_mut()).poll_shutdown(context),
        }
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            WriteHalf::Plain(half) => Pin::new(half).poll_write(context, bytes),
            WriteHalf::Tls(stream) => {
                Pin::new(&mut *stream.borrow_mut()).poll_write(context, bytes)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            WriteHalf::Plain(half) => Pin::new(half).poll_write_vectored(context, pieces),
            WriteHalf::Tls(stream) => {
                Pin::new(&mut *stream.borrow_mut()).poll_write_vectored(context, pieces)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            WriteHalf::Plain(_) => Poll::Ready(Ok(())),
            WriteHalf::Tls(stream) => Pin::new(&mut *stream.borrow_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            WriteHalf::Plain(half) => Pin::new(half).poll_shutdown(context),
            WriteHalf::Tls(stream) => {
                let mut stream = stream.borrow_mut();
                ready!(Pin::new(&mut *stream).poll_flush(context))?;
                Pin::new(&mut *stream).poll_shutdown(context)
            }
        }
    }
}
