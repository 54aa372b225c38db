//! One process through its life: started, fed, adopted, killed, restarted, stopped.
//!
//! The process is this test binary, run again with the one test that serves.

use sidecar::{Sidecar, serve};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const DIR: &str = "SIDECAR_TEST_DIR";

/// A directory of its own, with a path too long for a Unix socket address.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir()
            .join(format!("sidecar-{name}-{}", std::process::id()))
            .join("a".repeat(120));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = sidecar::stop(&self.0);
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// Reports the number it is configured with, on each change and to each new control plane.
#[test]
fn process() {
    let Ok(dir) = std::env::var(DIR) else { return };
    // Of a killed process the first thread ends before the last: many make the gap plain.
    for _ in 0..300 {
        std::thread::spawn(std::thread::park);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut config, reporter) = serve::<u32, String>(Path::new(&dir)).unwrap();
        let mut connected = reporter.connected();
        loop {
            let text = format!("{:?}", config.borrow_and_update().as_deref());
            reporter.send(text);
            tokio::select! {
                changed = config.changed() => if changed.is_err() { return },
                _ = connected.changed() => {}
            }
        }
    });
}

fn start(dir: &Dir) -> (Sidecar<u32, String>, Receiver<String>) {
    let exe = std::env::current_exe().unwrap();
    let command = [
        "env".to_owned(),
        format!("{DIR}={}", dir.0.display()),
        exe.display().to_string(),
        "--exact".to_owned(),
        "process".to_owned(),
        "--nocapture".to_owned(),
    ];
    let (sender, reports) = channel();
    let on_report = Arc::new(move |report| {
        let _ = sender.send(report);
    });
    let log = dir.0.join("log");
    let sidecar = Sidecar::start_or_adopt(&dir.0, &command, &log, on_report).unwrap();
    (sidecar, reports)
}

fn expect(reports: &Receiver<String>, wanted: &str) {
    loop {
        let report = reports
            .recv_timeout(Duration::from_secs(20))
            .unwrap_or_else(|_| panic!("no report {wanted}"));
        if report == wanted {
            return;
        }
    }
}

#[test]
fn fed_adopted_and_stopped() {
    let dir = Dir::new("life");
    let (mut first, reports) = start(&dir);
    let pid = first.pid();
    expect(&reports, "None");
    assert!(first.push(&7).unwrap());
    expect(&reports, "Some(7)");
    assert!(!first.push(&7).unwrap(), "unchanged bytes are not pushed");
    assert!(!first.ensure_alive().unwrap());

    // The control plane goes; the next one finds the same process and its state.
    drop(first);
    let (mut second, reports) = start(&dir);
    assert_eq!(second.pid(), pid);
    expect(&reports, "Some(7)");
    assert!(!second.push(&7).unwrap());

    // A broken file is refused and said; the good one stays in force.
    std::fs::write(dir.0.join("config.json"), "{").unwrap();
    let (third, reports) = start(&dir);
    expect(&reports, "Some(7)");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while third.config_error().is_none() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(third.config_error().unwrap().contains("config.json"));
    drop(third);

    second.push(&8).unwrap();
    let (third, reports) = start(&dir);
    expect(&reports, "Some(8)");
    third.stop().unwrap();
    assert!(!Path::new(&format!("/proc/{pid}")).exists() || !sidecar::stop(&dir.0).unwrap());
    assert!(!sidecar::stop(&dir.0).unwrap(), "nothing left to stop");
}

#[test]
fn a_killed_process_comes_back_with_its_last_config() {
    let dir = Dir::new("killed");
    let (mut sidecar, reports) = start(&dir);
    sidecar.push(&5).unwrap();
    expect(&reports, "Some(5)");
    let pid = sidecar.pid();
    let raw = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(raw, nix::sys::signal::Signal::SIGKILL).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !sidecar.ensure_alive().unwrap() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_ne!(sidecar.pid(), pid);
    expect(&reports, "Some(5)");
    sidecar.stop().unwrap();
}

#[test]
fn a_command_that_ends_at_once_is_an_error() {
    let dir = Dir::new("false");
    let log = dir.0.join("log");
    let result =
        Sidecar::<u32, String>::start_or_adopt(&dir.0, &["false".into()], &log, Arc::new(|_| {}));
    let error = result.err().unwrap().to_string();
    assert!(error.contains("ended at once"), "{error}");
}
