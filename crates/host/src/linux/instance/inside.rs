//! PID 1 of an instance, from the fork to the exec of its init.
//!
//! All file systems here are mounted by the instance's root. The kernel allows another proc
//! or sysfs, as every nested container needs, only where one is fully visible. So both are
//! mounted before the host's are gone, and a second time out of sight, as LXC does: some
//! files of the usual ones are covered by others that tell the instance's own size. The
//! user namespace already denies what masks hide elsewhere (`/proc/sysrq-trigger`,
//! `/proc/kcore`, sysctls other than the network's).
//!
//! An instance without a user namespace of its own has none of that: it loses
//! the writable sysctls with which it would change the host by accident. Its root is the
//! host's root nevertheless, and can break out if it wants to.

use super::confine;
use super::mount::{attach, file_system};
use super::root::Parts;
use crate::instance::{During, InstanceError, InstanceSpec};
use nix::mount::{MntFlags, MsFlags as F, mount, umount2};
use nix::unistd::{execve, fchdir, pivot_root, setsid};
use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

type Result<T> = std::result::Result<T, InstanceError>;

const INIT: &str = "/sbin/init";
/// Where systemd finds the socket to say `READY=1` to; the place nspawn uses.
const NOTIFY: &str = "/run/host/notify";

pub fn run(spec: &InstanceSpec, parts: &Parts) -> Result<Infallible> {
    enter_root(parts)?;
    kernel_file_systems()?;
    if spec.privileged() {
        shield_host()?;
    }
    devices(spec, parts)?;
    own_size(parts)?;
    volatile(spec, parts)?;
    for (target, tree) in &parts.data {
        make_dirs(target)?;
        attach(tree, target)?;
    }
    for (target, directory, tree) in &parts.binds {
        if *directory {
            make_dirs(target)?;
        } else {
            make_file(target)?;
        }
        attach(tree, target)?;
    }
    files(spec, parts.first)?;
    network_parameters();
    hide_apparmor()?;
    // What is mounted over the new root is the old one.
    umount2(".", MntFlags::MNT_DETACH).during(|| "leave the host's root".into())?;
    nix::unistd::sethostname(&spec.hostname).during(|| "set the host name".into())?;
    confine::confine(&confine::filter()).during(|| "confine the instance".into())?;
    execute()
}

fn enter_root(parts: &Parts) -> Result<()> {
    attach(&parts.root, Path::new("."))?;
    fchdir(&parts.root).during(|| "enter the root file system".into())?;
    // The old root ends up over the new one; absolute paths already lead into the new.
    pivot_root(".", ".").during(|| "pivot to the root file system".into())
}

fn kernel_file_systems() -> Result<()> {
    for dir in ["/proc", "/sys", "/dev", "/run"] {
        make_dirs(Path::new(dir))?;
    }
    if !Path::new("/tmp").exists() {
        make_dirs(Path::new("/tmp"))?;
        fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777))
            .during(|| "open /tmp to all".into())?;
    }
    let common = F::MS_NOSUID | F::MS_NODEV | F::MS_NOEXEC;
    file_system("proc", "/proc", common, "")?;
    file_system("sysfs", "/sys", common, "")?;
    file_system("cgroup2", "/sys/fs/cgroup", common, "")?;
    // Only this mount, not the file system: a container inside may have its own writable
    // one. Read-only sysfs is how systemd knows that devices are not its business.
    mount(
        None::<&str>,
        "/sys",
        None::<&str>,
        F::MS_REMOUNT | F::MS_BIND | F::MS_RDONLY | common,
        None::<&str>,
    )
    .during(|| "make /sys read-only".into())
}

/// What an ordinary boot would do to the machine is to set sysctls; [`confine`] has the rest.
fn shield_host() -> Result<()> {
    // A kernel may be built without the latter.
    for place in ["/proc/sys", "/proc/sysrq-trigger"] {
        if !Path::new(place).exists() {
            continue;
        }
        let bind = |flags| {
            mount(
                Some(place),
                place,
                None::<&str>,
                F::MS_BIND | flags,
                None::<&str>,
            )
        };
        bind(F::empty())
            .and_then(|()| bind(F::MS_REMOUNT | F::MS_RDONLY))
            .during(|| format!("make {place} read-only"))?;
    }
    // Sysctls of the network namespace are the instance's own.
    let net = "/proc/sys/net";
    let bind = |flags| {
        mount(
            Some(net),
            net,
            None::<&str>,
            F::MS_BIND | flags,
            None::<&str>,
        )
    };
    bind(F::empty())
        .and_then(|()| bind(F::MS_REMOUNT))
        .during(|| format!("keep {net} writable"))
}

fn devices(spec: &InstanceSpec, parts: &Parts) -> Result<()> {
    file_system("tmpfs", "/dev", F::MS_NOSUID, "mode=755,size=4m")?;
    let dev = Path::new("/dev");
    for (name, tree) in &parts.devices {
        make_file(&dev.join(name))?;
        attach(tree, &dev.join(name))?;
    }
    make_file(&dev.join("console"))?;
    attach(&parts.console, &dev.join("console"))?;
    let links = [
        ("/proc/self/fd", "fd"),
        ("fd/0", "stdin"),
        ("fd/1", "stdout"),
        ("fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
        ("/proc/kcore", "core"),
    ];
    for (target, name) in links {
        symlink(target, dev.join(name)).during(|| format!("link /dev/{name}"))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        make_dirs(&dev.join(name))?;
    }
    let quiet = F::MS_NOSUID | F::MS_NOEXEC;
    file_system(
        "devpts",
        "/dev/pts",
        quiet,
        "newinstance,ptmxmode=0666,mode=620,gid=5",
    )?;
    let shared = format!("mode=1777,size={}", spec.memory_bytes / 2);
    file_system("tmpfs", "/dev/shm", F::MS_NOSUID | F::MS_NODEV, &shared)?;
    file_system("mqueue", "/dev/mqueue", quiet | F::MS_NODEV, "")
}

/// Where LXC has them, too.
const WHOLE_PROC: &str = "/dev/.lxc/proc";
const WHOLE_SYS: &str = "/dev/.lxc/sys";

fn own_size(parts: &Parts) -> Result<()> {
    let common = F::MS_NOSUID | F::MS_NODEV | F::MS_NOEXEC;
    for (kind, target) in [("proc", WHOLE_PROC), ("sysfs", WHOLE_SYS)] {
        make_dirs(Path::new(target))?;
        file_system(kind, target, common, "")?;
    }
    for (target, tree) in &parts.proc_files {
        let target = Path::new(target);
        if target.exists() {
            attach(tree, target)?;
        }
    }
    Ok(())
}

/// Sizes are parts of the instance's memory, as systemd would have them, or they would be of the host's.
/// `/tmp` is on the root volume, as in AMIs of Debian and Ubuntu: what is downloaded there takes no memory.
fn volatile(spec: &InstanceSpec, parts: &Parts) -> Result<()> {
    let common = F::MS_NOSUID | F::MS_NODEV;
    let size = format!("mode=755,size={}", spec.memory_bytes / 5);
    file_system("tmpfs", "/run", common, &size)?;
    let notify = Path::new(NOTIFY);
    make_file(notify)?;
    attach(&parts.notify, notify)
}

/// Host name and hosts are the instance's own after its first boot; the resolver comes
/// with every boot, as DHCP would bring it.
fn files(spec: &InstanceSpec, first: bool) -> Result<()> {
    if first {
        replace("/etc/hosts", &hosts(spec))?;
        if let Some(certificate) = &spec.trust {
            trust(certificate)?;
        }
        if let Some(user) = &spec.default_user {
            default_user(user)?;
        }
        // The last: with it this was the first boot.
        replace("/etc/hostname", &format!("{}\n", spec.hostname))?;
    }
    replace("/etc/resolv.conf", &resolver(spec))
}

fn resolver(spec: &InstanceSpec) -> String {
    let mut text = String::new();
    for server in &spec.name_servers {
        text += &format!("nameserver {server}\n");
    }
    if !spec.search.is_empty() {
        text += &format!("search {}\n", spec.search);
    }
    text + "options timeout:2 attempts:5\n"
}

/// Tells the user-data runner whom to make and whom to give the key. Images without it, such as
/// those with the distribution's cloud-init, keep their own.
fn default_user(user: &str) -> Result<()> {
    const FAMILY: &str = "/usr/lib/nines/family.json";
    type Family = serde_json::Map<String, serde_json::Value>;
    // One that does not read is as good as none: the image's own user serves.
    let Some(mut family) = fs::read(FAMILY)
        .ok()
        .and_then(|text| serde_json::from_slice::<Family>(&text).ok())
    else {
        return Ok(());
    };
    if let Some(own) = family.insert("user".into(), user.into()) {
        family.insert("stands_in_for".into(), own);
    }
    replace(FAMILY, &serde_json::Value::Object(family).to_string())
}

/// Where distributions keep authorities that the machine's owner adds, and the bundle that
/// their tools make of all: Debian's and Red Hat's families.
const TRUST: [(&str, &str); 2] = [
    (
        "/usr/local/share/ca-certificates",
        "/etc/ssl/certs/ca-certificates.crt",
    ),
    (
        "/etc/pki/ca-trust/source/anchors",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ),
];

/// As those tools would do it, which are slow. An image without authorities gets none.
fn trust(certificate: &str) -> Result<()> {
    for (directory, bundle) in TRUST {
        // Absent, or of an image that was made of an instance.
        if !fs::read_to_string(bundle).is_ok_and(|known| !known.contains(certificate)) {
            continue;
        }
        make_dirs(Path::new(directory))?;
        replace(&format!("{directory}/nines.crt"), certificate)?;
        fs::OpenOptions::new()
            .append(true)
            .open(bundle)
            .and_then(|mut file| file.write_all(certificate.as_bytes()))
            .during(|| format!("add to {bundle}"))?;
    }
    Ok(())
}

fn hosts(spec: &InstanceSpec) -> String {
    let InstanceSpec {
        hostname,
        domain,
        address,
        ..
    } = spec;
    // DHCP options may name no domain.
    let names = match domain.as_str() {
        "" => hostname.clone(),
        domain => format!("{hostname}.{domain} {hostname}"),
    };
    format!(
        "127.0.0.1 localhost\n\
         {address} {names}\n\n\
         ::1 localhost ip6-localhost ip6-loopback\n\
         ff02::1 ip6-allnodes\n\
         ff02::2 ip6-allrouters\n"
    )
}

/// Not written through: the image may have a link there.
fn replace(path: &str, text: &str) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => fs::write(path, text),
    }
    .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644)))
    .during(|| format!("write {path}"))
}

/// Lets every group of the instance send pings. Not vital, and not there on every kernel.
fn network_parameters() {
    let _ = fs::write("/proc/sys/net/ipv4/ping_group_range", "0 65535");
}

/// On a host with AppArmor, Docker and systemd would want to load profiles, which a user
/// namespace may not. This mount is the instance's own, so sysfs still counts as visible.
fn hide_apparmor() -> Result<()> {
    let enabled = Path::new("/sys/module/apparmor/parameters/enabled");
    if !enabled.exists() {
        return Ok(());
    }
    let no = "/run/host/apparmor";
    fs::write(no, "N\n").during(|| format!("write {no}"))?;
    mount(Some(no), enabled, None::<&str>, F::MS_BIND, None::<&str>)
        .during(|| format!("cover {}", enabled.display()))
}

fn execute() -> Result<Infallible> {
    setsid().during(|| "start a session".into())?;
    // Whatever the control plane and the shim had open stays with them.
    // SAFETY: plain numbers; the descriptors are only marked.
    let marked = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    nix::errno::Errno::result(marked).during(|| "keep descriptors from the init".into())?;
    let c = |text: &str| CString::new(text).during(|| format!("use {text} in the environment"));
    let environment = [
        c("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")?,
        c("HOME=/root")?,
        // No escape sequences: the console is a log.
        c("TERM=dumb")?,
        c("container=oci")?,
        c(&format!("NOTIFY_SOCKET={NOTIFY}"))?,
    ];
    let init = c(INIT)?;
    execve(&init, &[&init], &environment).during(|| format!("execute {INIT}"))
}

fn make_dirs(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).during(|| format!("create {}", dir.display()))
}

fn make_file(file: &Path) -> Result<()> {
    if let Some(parent) = file.parent() {
        make_dirs(parent)?;
    }
    match File::create_new(file) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
    .during(|| format!("create {}", file.display()))
}

/// Sets `lo` up in the network namespace of the caller.
pub fn raise_loopback() -> Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let during = || "raise the loopback interface".to_owned();
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .during(during)?;
    // SAFETY: an all-zero request is valid: an empty name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request outlives the call and names an interface with a final zero.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    nix::errno::Errno::result(done).during(during)?;
    Ok(())
}
