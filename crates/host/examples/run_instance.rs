//! Launches one instance without a network, times its boot, runs a command in it (a shell
//! without one), shows what was observed and removes everything again. Needs root.
//!
//! `run_instance IMAGE-DIRECTORY [COMMAND [ARGUMENT…]]`

use host::instance::{Bind, Cpu, InstanceSpec, RunState};
use host::linux::instance::{Instances, Settings, shim_main};
use host::linux::namespace;
use model::InstanceId;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const CLOUD: &str = "nines-try";
const UID_BASE: u32 = 600_000 * 1000;

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((shim, [directory])) if shim == "instance-shim" => {
            Ok(shim_main(Path::new(directory))?)
        }
        Some((image, command)) => run(image.into(), command),
        None => Err("usage: run_instance IMAGE-DIRECTORY [COMMAND [ARGUMENT…]]".into()),
    }
}

fn run(image: PathBuf, command: &[OsString]) -> Result<()> {
    let state = std::env::temp_dir().join(CLOUD);
    let instances = Instances::open(Settings {
        cloud: CLOUD.into(),
        state: state.clone(),
        shim: vec![std::env::current_exe()?.into(), "instance-shim".into()],
    })?;
    let spec = InstanceSpec {
        id: InstanceId::random(),
        run: 0,
        image,
        uid_base: UID_BASE,
        hostname: "ip-10-0-0-5".into(),
        domain: "ec2.internal".into(),
        default_user: None,
        address: [10, 0, 0, 5].into(),
        name_servers: vec![[10, 0, 0, 2].into()],
        search: "ec2.internal".into(),
        cpu: Cpu {
            vcpus: 2,
            millicores_per_vcpu: 500,
        },
        memory_bytes: 1 << 30,
        pids_max: 4096,
        root_bytes: std::env::var("ROOT_BYTES")
            .ok()
            .and_then(|n| n.parse().ok()),
        trust: None,
        layers: Vec::new(),
        binds: binds(),
    };
    namespace::create_instance_namespaces(CLOUD, spec.id.as_str(), spec.uid_base)?;
    let result = attend(&instances, &spec, command);
    if result.is_err() {
        eprintln!("{}", String::from_utf8_lossy(&instances.console(&spec.id)?));
    }
    instances.terminate(&spec.id)?;
    namespace::remove_instance_namespaces(CLOUD, spec.id.as_str())?;
    instances.remove_all()?;
    std::fs::remove_dir_all(state)?;
    result
}

/// `NINES_BIND=SOURCE:TARGET` shows a host file in the instance.
fn binds() -> Vec<Bind> {
    let bind = std::env::var("NINES_BIND").unwrap_or_default();
    let pair = bind.split_once(':');
    pair.map(|(source, target)| Bind {
        source: source.into(),
        target: target.into(),
    })
    .into_iter()
    .collect()
}

fn attend(instances: &Instances, spec: &InstanceSpec, command: &[OsString]) -> Result<()> {
    let (sender, bell) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let _watch = instances.watch(std::sync::Arc::new(move || {
        // The receiver goes away at the end, the bell may still ring then.
        let _ = sender.lock().map(|s| s.send(()));
    }))?;
    let begun = Instant::now();
    instances.launch(spec)?;
    eprintln!("launch returned after {:?}", begun.elapsed());
    let mut first = true;
    loop {
        let seen = instances.list()?.into_iter().find(|i| i.id == spec.id);
        let seen = seen.ok_or("the instance is not listed")?;
        if let RunState::Stopped(exit) = seen.state {
            return Err(format!("{exit:?}: {}", seen.failure.unwrap_or_default()).into());
        }
        if first && seen.state == RunState::Running {
            first = false;
            let ran = instances.enter(&spec.id, &["true".into()])?.status()?;
            eprintln!(
                "init executed, first command ended ({ran}) after {:?}",
                begun.elapsed()
            );
        }
        if seen.ready {
            break;
        }
        bell.recv()?;
    }
    eprintln!("ready after {:?}", begun.elapsed());
    let status = instances.enter(&spec.id, command)?.status()?;
    eprintln!("{status}\n{:#?}", instances.list()?);
    Ok(())
}
