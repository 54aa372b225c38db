//! The cloud's APIs as instances reach them: by their AWS names, on the internet side.
//!
//! Bytes are passed on as they come to the control plane's socket for them; TLS ends here,
//! with a certificate for AWS's names from an authority that instances trust. While the
//! control plane is away, callers find a closed connection, and their SDKs try again.

use crate::listener::{Stop, accept};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

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
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => pass_on(stream, upstream).await,
                Ok(Err(error)) => tracing::debug!(%error, "shake hands with a caller of the APIs"),
                Err(_) => {}
            }
        }
    })
    .await;
}

pub fn acceptor(certificate: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
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
