//! The cloud's APIs as instances reach them: by their AWS names, on the internet side.
//!
//! Bytes are passed on as they come to the control plane's socket for them; TLS ends here,
//! with a certificate for AWS's names from an authority that instances trust. While the
//! control plane is away, callers find a closed connection, and their SDKs try again.

use crate::listener::{Stop, accept};
use crate::tls::shake_hands;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

pub async fn plain(listener: TcpListener, upstream: PathBuf, stop: Stop) {
    accept(listener, stop, |stream: TcpStream| {
        pass_on(stream, upstream.clone())
    })
    .await;
}

pub async fn tls(listener: TcpListener, acceptor: TlsAcceptor, upstream: PathBuf, stop: Stop) {
    accept(listener, stop, |stream: TcpStream| {
        let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
        async move {
            if let Some(stream) = shake_hands(acceptor, stream).await {
                pass_on(stream, upstream).await;
            }
        }
    })
    .await;
}

async fn pass_on(mut caller: impl AsyncRead + AsyncWrite + Unpin, upstream: PathBuf) {
    let mut control = match UnixStream::connect(&upstream).await {
        Ok(control) => control,
        Err(error) => {
            tracing::debug!(%error, "reach the control plane");
            return;
        }
    };
    // A caller may leave at any moment.
    let _ = copy_bidirectional(&mut caller, &mut control).await;
}
