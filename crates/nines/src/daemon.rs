//! `nines up`: puts the parts together, and takes them apart.

use crate::admin::Admin;
use crate::certificate;
use crate::dispatch::Dispatcher;
use crate::layout::{self, Cloud, State};
use crate::machine::{self, Machine};
use crate::server::{Server, Threads, bind, listen, serve, serve_instances};
use anyhow::{Context, Result, bail};
use control::{Bell, Inbox, Parts, Settings, Speed, World};
use host::linux::host::LinuxHost;
use jiff::Timestamp;
use model::event::Severity;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::Store;

/// What `nines up` was asked.
#[derive(Debug, Clone)]
pub struct Up {
    pub state: PathBuf,
    pub name: String,
    pub images_dir: PathBuf,
    pub port: u16,
    pub speed: f64,
    pub offline: bool,
    /// Unknown image ids are refused.
    pub strict: bool,
    pub public_pool: ipnet::Ipv4Net,
    pub hosts_file: Option<PathBuf>,
    /// Thousandths of a host core per vCPU.
    pub millicores_per_vcpu: u32,
    /// Instances without user namespaces, on a host that has none to give.
    pub privileged_instances: bool,
    /// On a machine in memory.
    pub simulated: bool,
}

/// Runs the control plane until a signal or `nines down` ends it; the data plane runs on.
pub fn run(up: &Up) -> Result<()> {
    let state = State(up.state.clone());
    for dir in [
        state.0.clone(),
        state.0.join("log"),
        state.registry(),
        api::ecr::root(&state.0),
    ] {
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("failed to create {}", dir.display()))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let address = SocketAddr::from(([127, 0, 0, 1], up.port));
    let listener = runtime.block_on(async { bind(address) }).with_context(|| {
        format!("failed to listen on {address}: is a cloud up already (`nines ps`), or another program there? choose --port")
    })?;
    let certificates = state.certificates();
    let names = [
        certificate::names(),
        certificate::registry_names(),
        certificate::tunnel_names(),
    ]
    .concat();
    certificates.ensure(&up.name, &names)?;
    oci::Key::ensure(&api::ecr::token_key(&state.0))
        .context("failed to make the key that tokens of registries are signed with")?;
    let for_instances = runtime.block_on(async { listen(&state.api_socket()) })?;
    let store = Arc::new(Store::open(&state.0)?);
    // One of an earlier version stays: certificates that it signed are in use.
    if store.snapshot().certificate_authorities.is_empty() {
        let authority = state.certificates().record()?;
        store.update(|tx| tx.put(authority));
    }
    let former = state.read_cloud();
    state.write_cloud(&Cloud {
        name: up.name.clone(),
        port: up.port,
        speed: up.speed,
        offline: up.offline,
        public_pool: up.public_pool,
        hosts_file: up.hosts_file.clone(),
        pid: std::process::id(),
        halted: false,
        simulated: up.simulated,
        images_dir: Some(up.images_dir.clone()),
        sysctls: match up.simulated {
            true => Vec::new(),
            false => raise_sysctls(
                former
                    .as_ref()
                    .map(|c| c.sysctls.clone())
                    .unwrap_or_default(),
            ),
        },
    })?;
    if !up.simulated {
        crate::cli::up::favour(Some(&state.0));
    }
    let bell = Bell::default();
    let inbox = Inbox::new(bell.clone());
    let ring = bell.clone();
    store.on_commit(move |_| ring.ring());
    // Programs are asked meanwhile.
    let simulated = up.simulated;
    let sized_volumes = std::thread::spawn(move || match simulated {
        true => Ok(()),
        false => host::linux::instance::sized_volumes(),
    });
    let Machine {
        host,
        plane,
        watch: _watch,
    } = match up.simulated {
        true => machine::simulated(&inbox)?,
        false => machine::real(up, &state, &bell, &inbox)?,
    };
    let metrics = Arc::new(metrics::Metrics::open(&state.0)?);
    let images = match up.simulated {
        true => crate::images::RECIPES.into(),
        false => crate::images::at_hand(up.images_dir.clone()),
    };
    let sized_volumes = sized_volumes
        .join()
        .unwrap_or_else(|_| Err("looking for loop devices failed".into()));
    if let Err(why) = &sized_volumes {
        store.update(|tx| {
            tx.event(
                Timestamp::now(),
                Severity::Warning,
                "cloud",
                "root-volumes",
                format!(
                    "root volumes share the host's disk and have no size of their own, since {why}"
                ),
            );
        });
    }

    let console_host = Arc::clone(&host);
    let cloud = Arc::new(api::Cloud {
        metrics: Arc::clone(&metrics),
        public_pool: up.public_pool,
        state_dir: state.0.clone(),
        images: images.clone(),
        strict_images: up.strict,
        privileged_instances: up.privileged_instances,
        speed: model::Speed::new(up.speed),
        console: Box::new(move |id| console_host.console(id)),
    });
    let stop = Arc::new(AtomicBool::new(false));
    let world = World::new(Parts {
        store: Arc::clone(&store),
        host: host.clone(),
        plane,
        metrics: Arc::clone(&metrics),
        settings: settings(up, &state, images, sized_volumes.is_ok()),
        resume: former.is_some_and(|c| c.halted),
        inbox,
        bell: bell.clone(),
        launcher: crate::launch::launcher(Arc::clone(&cloud)),
        spot_launcher: crate::launch::spot_launcher(Arc::clone(&cloud)),
        deliver: crate::deliver::deliver(Arc::clone(&store), Arc::clone(&cloud)),
        starter: crate::launch::starter(Arc::clone(&cloud)),
    });
    let ended = Arc::clone(&stop);
    let name = up.name.clone();
    let controllers = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            // Before any instance may ask for it, and not before the first call is answered: an RSA
            // key takes longer than all the rest of the start.
            if let Err(error) = certificates.ensure_identity(&name) {
                tracing::error!(%error, "failed to make the key of identity documents");
            }
            control::run(world, Timestamp::now, move || ended.load(Ordering::Relaxed))
        })?;
    let server = Arc::new(Server {
        dispatcher: Dispatcher::new(Arc::clone(&store), cloud),
        admin: Admin {
            store,
            host,
            up: up.clone(),
        },
    });
    let threads = Arc::new(Threads::start()?);
    tracing::info!(%address, state = %state.0.display(), "ready");
    runtime.block_on(async {
        tokio::select! {
            () = serve(listener, Arc::clone(&server), Arc::clone(&threads)) => {}
            () = serve_instances(for_instances, server, threads) => {}
            () = ended_by_signal() => {}
        }
    });
    stop.store(true, Ordering::Relaxed);
    bell.ring();
    let controlled = controllers.join();
    // Connections that linger hold metrics too, so that nobody may count on their end.
    metrics.flush();
    if controlled.is_err() {
        bail!("the control thread ended by a panic; see the log");
    }
    Ok(())
}

/// The host layer of a cloud, for the daemon and for `down`.
pub fn open_host(
    state: &State,
    name: &str,
    public_pool: ipnet::Ipv4Net,
    offline: bool,
) -> Result<Arc<LinuxHost>> {
    let host = LinuxHost::open(host::linux::host::Settings {
        cloud: name.to_owned(),
        state_dir: state.0.clone(),
        public_pool,
        offline,
        shim: vec!["/proc/self/exe".into(), "instance-shim".into()],
    });
    Ok(Arc::new(host.map_err(|why| {
        anyhow::anyhow!("failed to open the host layer: {why}")
    })?))
}

fn settings(up: &Up, state: &State, images: model::image::AtHand, sized_volumes: bool) -> Settings {
    let (registry, checkip, api, tunnels) = (
        layout::registry_address(up.public_pool),
        layout::checkip_address(up.public_pool),
        layout::api_address(up.public_pool),
        layout::tunnels_address(up.public_pool),
    );
    let name_server = layout::name_server_address(up.public_pool);
    let certificates = state.certificates();
    let internet = Some(std::path::Path::new("/run/netns").join(format!("{}-internet", up.name)));
    let name = |address| edge::config::Name::new([address]);
    Settings {
        cloud: up.name.clone(),
        speed: Speed::new(up.speed),
        offline: up.offline,
        public_pool: up.public_pool,
        images_dir: up.images_dir.clone(),
        logs_dir: state.0.join("access-logs"),
        repositories_dir: api::ecr::root(&state.0),
        images,
        sized_volumes,
        millicores_per_vcpu: up.millicores_per_vcpu,
        internet_services: vec![registry, checkip, api, tunnels, name_server],
        internet_names: [
            ("registry.nines.internal".to_owned(), name(registry)),
            ("checkip.amazonaws.com".to_owned(), name(checkip)),
        ]
        .into_iter()
        .chain(
            certificate::names()
                .into_iter()
                .map(|name_of| (name_of, name(api))),
        )
        .chain(
            model::route53::NAME_SERVERS
                .into_iter()
                .map(|server| (server.to_owned(), name(name_server))),
        )
        .chain(
            certificate::registry_names()
                .into_iter()
                .map(|name_of| (name_of, name(registry))),
        )
        .chain(
            certificate::tunnel_names()
                .into_iter()
                .map(|name_of| (name_of, name(tunnels))),
        )
        .collect(),
        registry: Some(edge::config::Registry {
            netns: internet.clone(),
            address: (registry, 80).into(),
            root: state.registry(),
            tls: Some(edge::config::Tls {
                address: (registry, 443).into(),
                certificate: certificates.endpoint(),
                key: certificates.endpoint_key(),
            }),
            private: Some(edge::config::PrivateRegistries {
                token_key: api::ecr::token_key(&state.0),
                repositories: Default::default(),
            }),
        }),
        name_server: Some(edge::config::NameServer {
            netns: internet.clone(),
            address: (name_server, 53).into(),
        }),
        health_checks: Some(edge::config::HealthChecks {
            netns: internet.clone(),
            source: name_server,
            barred: model::route53::barred(up.public_pool).into(),
            endpoints: Default::default(),
        }),
        checkip: Some(edge::config::Checkip {
            netns: internet.clone(),
            address: (checkip, 80).into(),
        }),
        tunnels: Some(edge::config::Tunnels {
            netns: internet.clone(),
            tls: edge::config::Tls {
                address: (tunnels, 443).into(),
                certificate: certificates.endpoint(),
                key: certificates.endpoint_key(),
            },
            upstream: state.api_socket(),
            endpoints: Default::default(),
        }),
        api: Some(edge::config::Api {
            netns: internet,
            plain: (api, 80).into(),
            tls: (api, 443).into(),
            upstream: state.api_socket(),
            certificate: certificates.endpoint(),
            key: certificates.endpoint_key(),
        }),
        identity: Some(edge::config::Identity {
            certificate: certificates.identity(),
            key: certificates.identity_key(),
        }),
        trust: std::fs::read_to_string(certificates.authority()).ok(),
    }
}

async fn ended_by_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Raises what hosting instances needs; returns former values, those of an earlier `up` first.
fn raise_sysctls(mut former: Vec<(String, String)>) -> Vec<(String, String)> {
    for (name, least, why) in host::linux::instance::required_sysctls() {
        let path = std::path::Path::new("/proc/sys").join(name);
        let Ok(found) = std::fs::read_to_string(&path) else {
            continue;
        };
        if found
            .trim()
            .parse::<u64>()
            .is_ok_and(|found| found >= *least)
        {
            continue;
        }
        match std::fs::write(&path, least.to_string()) {
            Ok(()) => {
                tracing::info!(
                    name,
                    from = found.trim(),
                    to = least,
                    why,
                    "raised a host limit; `down --purge` restores it"
                );
                if !former.iter().any(|(n, _)| n == name) {
                    former.push(((*name).to_owned(), found.trim().to_owned()));
                }
            }
            Err(error) => tracing::warn!(name, %error, why, "failed to raise a host limit"),
        }
    }
    former
}
