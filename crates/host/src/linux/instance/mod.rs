//! Instances as processes: an own small runtime of namespaces, cgroups and an overlay.
//!
//! Everything of an instance is in one directory, `<state>/instances/<id>`; all questions are
//! answered from it and the kernel, so a restarted control plane finds what runs. One
//! detached [`shim`] per instance does what needs a parent process.
//!
//! Not used: an OCI runtime (crun and libcontainer refuse or need workarounds on hybrid
//! cgroup hosts, for features an instance does not want), nspawn (needs its package, and
//! twice the time to start).

mod block_files;
mod boot;
mod command;
mod confine;
mod console;
mod daemon;
mod doorbell;
mod enter;
mod inside;
mod instances;
mod mount;
mod proc_files;
mod proc_text;
mod root;
mod shim;
mod snapshot;
mod status;
mod usage;
mod volume;
mod wish;

pub use daemon::shim_main;
pub use doorbell::{Waker, Watch};
pub use instances::{Instances, Settings};
pub use volume::sized as sized_volumes;

/// Names in the state directory and in an instance's.
const DOORBELL: &str = "doorbell";
const SPEC: &str = "spec.json";

/// Kernel parameters that hosting instances needs at least: path below `/proc/sys`, value, why.
pub fn required_sysctls() -> &'static [(&'static str, u64, &'static str)] {
    &[
        (
            "fs/inotify/max_user_instances",
            8192,
            "each systemd needs several, and all instances count as one user",
        ),
        (
            "fs/inotify/max_user_watches",
            524_288,
            "each systemd needs many, and all instances count as one user",
        ),
        (
            "kernel/pid_max",
            131_072,
            "processes of all instances are processes of the host",
        ),
        (
            "fs/fanotify/max_user_groups",
            4096,
            "each instance has one for the files that tell it its size",
        ),
        ("kernel/keys/maxkeys", 2000, "a container makes a key ring"),
    ]
}
