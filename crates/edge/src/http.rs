//! HTTP/1.1 for the small servers of the edge: a request in, an [`Answer`] out.

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub type Answer = Response<Content>;

/// How long a request head may take, and an idle connection stay.
const HEAD: Duration = Duration::from_secs(30);

/// Serves the requests of one connection.
pub async fn serve<I, F, S>(stream: I, handle: F)
where
    I: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<Incoming>) -> S,
    S: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        let answer = handle(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "serve a connection");
    }
}

pub fn answer(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Content::Whole(Some(content.into())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// The body of an answer.
pub enum Content {
    Whole(Option<Bytes>),
    /// The next `left` bytes of a file, read as the peer takes them.
    File {
        file: File,
        left: u64,
    },
}

/// Read from a file at once.
const CHUNK: usize = 64 << 10;

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(content) => Poll::Ready(content.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { file, left } => {
                let size = CHUNK.min(usize::try_from(*left).unwrap_or(CHUNK));
                let mut space = vec![0; size];
                let mut buffer = ReadBuf::new(&mut space);
                ready!(Pin::new(file).poll_read(context, &mut buffer))?;
                let length = buffer.filled().len();
                if length == 0 {
                    // Shorter than it was when the head went out.
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                *left -= length as u64;
                space.truncate(length);
                Poll::Ready(Some(Ok(Frame::data(space.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None) | Self::File { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(content) => content.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::File { left, .. } => *left,
        })
    }
}
