//! The edge: one process that serves what instances find on the network itself.
//!
//! For each VPC, in its router's namespace: the metadata service and the
//! resolver. On the internet side: image registries, a server that
//! tells callers their address, the cloud's APIs, and EC2 Instance Connect
//! Endpoints. It is a process of its own that lives on
//! its last configuration, because without it the first name look-up or
//! metadata call would fail together with the control plane.
//!
//! [`config`] is what it is told and what it reports; [`servers`] keeps the
//! sockets in step with it; the rest is one module a service.
//!
//! The host's resolver is asked through sockets in this process's own
//! namespace. Rejected: forwarding packets of the VPC to it, which would need
//! the host's forwarding and firewall.

mod api;
mod checkip;
pub mod config;
mod dns;
mod handover;
mod health_check;
mod http;
mod listener;
mod metadata;
mod netns;
mod registry;
mod servers;
#[cfg(test)]
mod testing;
mod tls;
mod tunnel;
mod view;

use config::{Config, Report};
use servers::Servers;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Why the edge cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Sidecar(#[from] sidecar::Error),
    #[error("open the key of metadata tokens in {}", .1.display())]
    Key(#[source] io::Error, std::path::PathBuf),
    #[error("take over from the process before")]
    Takeover(#[source] io::Error),
    #[error("set up health checks")]
    HealthChecks(#[source] io::Error),
    #[error("start a runtime")]
    Runtime(#[source] io::Error),
}

/// Two workers: one may be busy with a large configuration or file while the other answers.
const WORKERS: usize = 2;
/// Between attempts to open sockets that could not be opened.
const RETRY: Duration = Duration::from_secs(1);
/// Between reports of counters.
const COUNT: Duration = Duration::from_secs(5);

/// Runs the edge that is fed through `dir`, until another one takes over. If one runs already, takes
/// over from that.
pub fn run(dir: &Path) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("edge")
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(serve(dir))
}

/// The same within a runtime.
pub async fn serve(dir: &Path) -> Result<(), Error> {
    let inherited = handover::take(dir).await.map_err(Error::Takeover)?;
    let (mut configs, reporter) = sidecar::serve::<Config, Report>(dir)?;
    let signer = metadata::Signer::open(dir).map_err(|e| Error::Key(e, dir.to_owned()))?;
    let mut servers = Servers::new(signer, Path::new("/etc/resolv.conf"), inherited);
    let (mut checks, mut outcomes) = servers.health_checks().map_err(Error::HealthChecks)?;
    let successors = sidecar::handover::listen(dir).map_err(Error::Takeover)?;
    let mut connected = reporter.connected();
    let mut applied: Option<Report> = None;
    let mut counting = tokio::time::interval(COUNT);
    // What was found at start is a change, too.
    configs.mark_changed();
    loop {
        let failing =
            matches!(&applied, Some(Report::Applied { failures, .. }) if !failures.is_empty());
        tokio::select! {
            // `serve` above holds the sender as long as the runtime lives.
            _ = configs.changed() => {}
            () = tokio::time::sleep(RETRY), if failing => {}
            _ = connected.changed() => {
                if let Some(applied) = &applied {
                    reporter.send(applied.clone());
                }
                tell_counts(&servers, &reporter);
                continue;
            }
            asked = successors.accept() => {
                match asked {
                    Ok((mut stream, _)) => {
                        let given = handover::give(&mut stream, &mut servers, &reporter).await;
                        // Known as one that leaves until the last connection has ended.
                        if let Some(_leaving) = given {
                            checks.set(None);
                            handover::end(servers, dir).await;
                            return Ok(());
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "hear a successor");
                        tokio::time::sleep(RETRY).await;
                    }
                }
                continue;
            }
            Some((id, seen)) = outcomes.recv() => {
                reporter.send(Report::HealthCheck { id, seen });
                continue;
            }
            _ = counting.tick() => {
                tell_counts(&servers, &reporter);
                continue;
            }
        }
        let Some(config) = configs.borrow_and_update().clone() else {
            continue;
        };
        let failures = servers.apply(&config).await;
        checks.set(config.health_checks.as_ref());
        for failure in &failures {
            tracing::warn!(
                listener = failure.listener,
                error = failure.error,
                "open a socket"
            );
        }
        let report = Report::Applied {
            revision: config.revision,
            failures,
        };
        if applied.as_ref() != Some(&report) {
            reporter.send(report.clone());
            applied = Some(report);
        }
    }
}

/// Counts wait for a control plane to be told to.
fn tell_counts(servers: &Servers, reporter: &sidecar::Reporter<Report>) {
    if !reporter.is_heard() {
        return;
    }
    let counts = servers.counters.take();
    if !counts.is_empty() {
        reporter.send(Report::MetadataNoToken(counts));
    }
}
