//! One binary: the control plane, its data-plane processes, and the command line.

mod admin;
mod certificate;
mod cli;
mod daemon;
mod deliver;
mod dispatch;
mod images;
mod launch;
mod layout;
mod machine;
mod pieces;
mod plane;
mod server;
mod why;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Reserved for benchmarks (RFC 2544): no host on the internet has an address in it.
const PUBLIC_POOL: &str = "198.18.0.0/15";
/// Of the endpoint of a cloud that was started without `--port`.
const PORT: u16 = 4566;

/// A small cloud on one Linux machine: AWS's APIs over a data plane that is real.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The endpoint's port on 127.0.0.1; by default that of the state directory's cloud, else 4566.
    #[arg(long, global = true, env = "NINES_PORT")]
    port: Option<u16>,
    /// Where the cloud keeps its records, logs and root volumes.
    #[arg(
        long,
        global = true,
        default_value = "/var/lib/nines",
        env = "NINES_STATE"
    )]
    state: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the cloud: in the foreground, or detached with -d.
    Up(Up),
    /// Stop the cloud; records and root volumes stay unless --purge.
    Down {
        /// Remove all records and volumes too, and restore what `up` changed on the host.
        #[arg(long)]
        purge: bool,
    },
    /// Check the host: names every missing thing with its fix, changes nothing.
    Doctor {
        /// The public addresses that `up` will use.
        #[arg(long, default_value = PUBLIC_POOL)]
        public_pool: ipnet::Ipv4Net,
    },
    /// Print the environment with which Terraform, the AWS CLI and SDKs use this cloud.
    Env,
    /// Print the certificate of the cloud's own authority: `curl --cacert <(nines ca) https://…`.
    Ca,
    /// Run terraform (or tofu) with that environment, and a local provider mirror if there is one.
    Tf {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Instances, targets, groups, alarms: what runs.
    Ps {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What load balancers do, second by second: requests, latency, codes and health of each target.
    Top {
        /// Of this load balancer or target group only; part of its name will do.
        name: Option<String>,
        /// One second, then return.
        #[arg(long)]
        once: bool,
    },
    /// What happened and why.
    Events {
        /// Keep printing as it happens.
        #[arg(short)]
        follow: bool,
    },
    /// An instance's console output.
    Console {
        instance: String,
        /// Keep printing as it is written.
        #[arg(short)]
        follow: bool,
    },
    /// A root shell in an instance, or one command.
    Shell {
        instance: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Machine images: what is at hand, and making, fetching and removing it.
    Image {
        /// Where they lie; as with `up`, and by default where the running cloud has them.
        #[arg(long, global = true, env = "NINES_IMAGES")]
        images: Option<PathBuf>,
        #[command(subcommand)]
        command: cli::image::Image,
    },
    /// Print a certificate of the cloud as PEM: `authority`, which instances trust, or
    /// `identity`, which verifies their identity documents.
    Certificate {
        #[arg(value_parser = ["authority", "identity"])]
        which: String,
    },
    /// Walk the path FROM -> TO[:PORT], or explain a target group: the first thing that says no.
    Why {
        /// An instance, an address, `internet`; or `target-group/NAME` alone.
        from: String,
        to: Option<String>,
    },
    /// Break something: `az us-east-1a`, `nat nat-…`, `instance i-…`, `network i-…`,
    /// `spot i-…` (a notice of two minutes, then the end), `rebalance i-…` (the recommendation alone).
    Break { kind: String, what: String },
    /// End every fault.
    Heal,
    /// What each call of each service takes: honoured, validated, stored only; the rest is refused.
    Coverage {
        /// As in signatures: ec2, elasticloadbalancing, s3, …
        service: Option<String>,
        call: Option<String>,
        /// As JSON, everything.
        #[arg(long)]
        json: bool,
    },
    #[command(hide = true)]
    Balancer { dir: PathBuf },
    #[command(hide = true)]
    Edge { dir: PathBuf },
    #[command(hide = true)]
    InstanceShim { dir: PathBuf },
}

#[derive(Args, Clone)]
struct Up {
    /// Return once the cloud is ready.
    #[arg(short, long)]
    detach: bool,
    /// Control-plane waits (metric periods, cooldowns, probe intervals) take 1/N of AWS's time; 1–1000.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Directory of the built machine images.
    #[arg(long, env = "NINES_IMAGES")]
    images: Option<PathBuf>,
    /// No uplink: the cloud's internet ends in the cloud.
    #[arg(long)]
    offline: bool,
    /// Refuse image ids that are not known here, instead of launching the nearest with a warning.
    #[arg(long)]
    strict: bool,
    /// Do not write load balancer names to /etc/hosts.
    #[arg(long)]
    no_hosts: bool,
    /// Part of a host core that makes one vCPU; by default a quarter of the host over eight vCPUs.
    #[arg(long)]
    vcpu: Option<f64>,
    /// Run instances without user namespaces, on a host that cannot make them: their root is then
    /// the host's root and can break out. Without this such a host is refused.
    #[arg(long)]
    privileged_instances: bool,
    /// On a machine in memory, without root: instances are made up and nothing serves.
    #[arg(long)]
    simulated: bool,
    /// Whoever starts this has checked the host.
    #[arg(long, hide = true)]
    checked: bool,
    /// Prefix of everything the cloud makes on the host.
    #[arg(long, default_value = "nines")]
    name: String,
    /// Public addresses; the host gets a route to it.
    #[arg(long, default_value = PUBLIC_POOL)]
    public_pool: ipnet::Ipv4Net,
}

impl Command {
    fn only_prints(&self) -> bool {
        matches!(
            self,
            Self::Doctor { .. }
                | Self::Env
                | Self::Ca
                | Self::Ps { .. }
                | Self::Top { .. }
                | Self::Events { .. }
                | Self::Console { .. }
                | Self::Certificate { .. }
                | Self::Why { .. }
                | Self::Coverage { .. }
        )
    }
}

/// `nines ps | head` ends quietly when head has read enough, as other programs do: Rust ignores the
/// signal, and then panics.
fn end_with_the_reader() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default action runs no code of ours.
    if let Err(error) = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) } {
        tracing::debug!(%error, "failed to restore the action of SIGPIPE");
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes is for users; a backtrace would not be.
            eprintln!("nines: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    // The shim forks: it must stay single-threaded and quiet.
    if let Command::InstanceShim { dir } = &cli.command {
        return Ok(host::linux::instance::shim_main(dir)?);
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("NINES_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    if cli.command.only_prints() {
        end_with_the_reader();
    }
    let port = cli.port.unwrap_or_else(|| {
        let cloud = layout::State(cli.state.clone()).read_cloud();
        cloud.map_or(PORT, |cloud| cloud.port)
    });
    match cli.command {
        Command::Up(up) => cli::up::run(&cli.state, port, &up),
        Command::Down { purge } => cli::down::run(&cli.state, purge),
        Command::Doctor { public_pool } => cli::doctor::run(&host::linux::doctor::Plan {
            state: &cli.state,
            port,
            public_pool,
            privileged_instances: false,
        }),
        Command::Env => cli::env::print(port),
        Command::Ca => cli::ca::print(port),
        Command::Tf { arguments } => cli::env::terraform(port, &cli.state, &arguments),
        Command::Ps { json } => cli::ps::run(port, json),
        Command::Top { name, once } => cli::top::run(&cli.state, name.as_deref(), once),
        Command::Events { follow } => cli::events::run(port, follow),
        Command::Console { instance, follow } => {
            cli::instance::console(&cli.state, &instance, follow)
        }
        Command::Shell { instance, command } => {
            cli::instance::shell(&cli.state, &instance, &command)
        }
        Command::Image { images, command } => cli::image::run(&cli.state, images, &command),
        Command::Certificate { which } => cli::certificate::print(&cli.state, &which),
        Command::Why { from, to } => cli::why::run(port, &from, to.as_deref()),
        Command::Break { kind, what } => cli::fault::start(port, &kind, &what),
        Command::Heal => cli::fault::heal(port),
        Command::Coverage {
            service,
            call,
            json,
        } => cli::coverage::run(service.as_deref(), call.as_deref(), json),
        Command::Balancer { dir } => {
            cli::up::favour(dir.parent());
            Ok(balancer::run(&dir)?)
        }
        Command::Edge { dir } => {
            cli::up::favour(dir.parent());
            Ok(edge::run(&dir)?)
        }
        Command::InstanceShim { .. } => Ok(()),
    }
}
