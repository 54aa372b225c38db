//! A body of pieces, handed to the kernel as they lie: an answer of 4 MB is mostly kept text that
//! other answers share, and joining it took as long as all else of the call.

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The whole of an answer, in one frame.
#[derive(Default)]
pub struct Pieces(Option<Queue>);

impl From<wire::Body> for Pieces {
    fn from(body: wire::Body) -> Self {
        let length = body.len();
        let pieces = body.into_pieces().into();
        Self((length > 0).then_some(Queue { pieces, length }))
    }
}

impl Body for Pieces {
    type Data = Queue;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Queue>, Infallible>>> {
        Poll::Ready(self.0.take().map(|queue| Ok(Frame::data(queue))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |queue| queue.length as u64))
    }
}

/// What is left to send.
pub struct Queue {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    /// In bytes, of them all.
    length: usize,
}

impl Buf for Queue {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.pieces);
        pairs
            .map(|(slice, piece)| *slice = IoSlice::new(piece))
            .count()
    }

    fn advance(&mut self, mut sent: usize) {
        self.length = self.length.saturating_sub(sent);
        while sent > 0 {
            let Some(first) = self.pieces.front_mut() else {
                return;
            };
            let some = sent.min(first.len());
            first.advance(some);
            sent -= some;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_order_wherever_a_write_ends() {
        let all = ["a", "bcd", "", "ef"].map(|s| Bytes::from_static(s.as_bytes()));
        for step in 1..=6 {
            let body = Pieces::from(wire::Body::of(all.to_vec()));
            assert_eq!(body.size_hint().exact(), Some(6));
            let mut queue = body.0.unwrap();
            let mut sent = Vec::new();
            while queue.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 2];
                let filled = queue.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).collect();
                assert!(seen.starts_with(queue.chunk()));
                let step = step.min(seen.len());
                sent.extend_from_slice(&seen[..step]);
                queue.advance(step);
            }
            assert_eq!(sent, b"abcdef", "{step} at a time");
        }
        assert!(Pieces::from(wire::Body::default()).is_end_stream());
    }
}
