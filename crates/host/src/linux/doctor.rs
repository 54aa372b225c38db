//! What this machine has and lacks for a cloud, each lack with its fix. Changes nothing:
//! whatever is tried is tried in namespaces that end with the trial.

use crate::linux::network::host_route;
use crate::linux::{namespace, program};
use ipnet::Ipv4Net;
use std::fs;
use std::path::Path;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    /// Without it there is no cloud; the others cost a feature, named in `fix`.
    pub required: bool,
    pub found: String,
    /// What to do, empty if all is well.
    pub fix: String,
}

/// Idmapped overlay lowers came with 5.19: an image is shared by instances whose ids differ.
const KERNEL: (u32, u32) = (5, 19);
/// An image, its unpacked root and some instances' layers.
const DISK_GIB: u64 = 5;
/// The kernel's default of 128 stops at about 20 instances with systemd.
const INOTIFY_INSTANCES: u64 = 1024;

/// Half of it for clients, half for targets.
const OPEN_FILES: u64 = 65_536;
/// The demo's four instances, the balancer, the edge and the control plane.
const MEMORY_MIB: u64 = 2048;

/// Every kind of nftables expression that the network uses.
const TABLE: &str = "\
table ip nines {
	set interfaces { type ifname; elements = { \"lo\" }; }
	set own { type ifname . ipv4_addr; elements = { \"lo\" . 10.0.0.1 }; }
	map marks { type ifname : mark; elements = { \"lo\" : 0x1 }; }
	map public { type ipv4_addr : ipv4_addr; elements = { 10.0.0.1 : 10.0.0.2 }; }
	map jumps { type ifname : verdict; elements = { \"lo\" : jump group }; }
	chain group {
		ip saddr { 10.0.0.0/8, 192.168.0.0/16 } tcp dport 80-443 accept
		icmp type 8 accept
	}
	chain sources {
		type filter hook prerouting priority -300; policy accept;
		iifname @interfaces iifname . ip saddr != @own drop
		meta mark set iifname map @marks
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		ct state vmap { established : accept, related : accept, invalid : drop }
		ct status dnat accept
		iifname vmap @jumps
		meta l4proto tcp reject with tcp reset
	}
	chain inward {
		type nat hook prerouting priority -100; policy accept;
		dnat to ip daddr map @public
	}
	chain outward {
		type nat hook postrouting priority 100; policy accept;
		meta l4proto { tcp, udp } snat to 10.0.0.1:1024-65535
		masquerade
	}
}
";

/// What a cloud is going to use.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Where it will keep its files.
    pub state: &'a Path,
    /// Of its endpoint, on loopback.
    pub port: u16,
    pub public_pool: Ipv4Net,
    /// It will do without user namespaces.
    pub privileged_instances: bool,
}

/// Looks at everything; what has to run programs to find out, side by side.
pub fn checks(plan: &Plan<'_>) -> Vec<Check> {
    std::thread::scope(|scope| {
        let rules = scope.spawn(nftables);
        let users = scope.spawn(|| user_namespaces(!plan.privileged_instances));
        let volumes = scope.spawn(sized_volumes);
        let mut checks = quick_checks(plan);
        for trial in [rules, users, volumes] {
            let found = trial.join();
            checks.push(found.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        checks
    })
}

fn quick_checks(plan: &Plan<'_>) -> Vec<Check> {
    vec![
        root(),
        kernel(),
        on_path("ip", true, "apt install iproute2"),
        on_path("nft", true, "apt install nftables"),
        on_path("unshare", true, "apt install util-linux"),
        on_path(
            "slirp4netns",
            false,
            "apt install slirp4netns; without it only `--offline` clouds run",
        ),
        docker_inside(),
        cgroups(),
        overlay(),
        tun(),
        inotify(),
        open_files(),
        memory(),
        resolver(),
        names(Path::new("/etc/hosts")),
        port(plan.port),
        public_addresses(plan.public_pool),
        disk(plan.state),
    ]
}

fn check(name: &'static str, required: bool, outcome: Result<String, (String, &str)>) -> Check {
    match outcome {
        Ok(found) => Check {
            name,
            ok: true,
            required,
            found,
            fix: String::new(),
        },
        Err((found, fix)) => Check {
            name,
            ok: false,
            required,
            found,
            fix: fix.into(),
        },
    }
}

fn root() -> Check {
    let user = nix::unistd::geteuid();
    let found = format!("user {user}");
    let outcome = if user.is_root() {
        Ok(found)
    } else {
        Err((found, "run it with sudo"))
    };
    check("root", true, outcome)
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim().to_owned();
    let outcome = if kernel_version(&release).is_some_and(|version| version >= KERNEL) {
        Ok(release)
    } else {
        Err((release, "boot a kernel of 5.19 or later"))
    };
    check("kernel", true, outcome)
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn on_path(program: &'static str, required: bool, fix: &str) -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file());
    let outcome = match found {
        Some(file) => Ok(file.display().to_string()),
        None => Err(("not found".into(), fix)),
    };
    check(program, required, outcome)
}

fn nftables() -> Check {
    let tried = namespace::scratch(|| program::run("nft", &["-f", "-"], TABLE));
    let fix = "load or build the kernel's nf_tables, nft_ct, nft_nat, nft_masq, nft_reject_ipv4";
    let outcome = match tried {
        Ok(Ok(_)) => Ok("a table with sets, maps, NAT and tracking was accepted".into()),
        Ok(Err(e)) => Err((first_line(&e.to_string()), fix)),
        Err(e) => Err((
            e.to_string(),
            "run it as root on a kernel with network namespaces",
        )),
    };
    check("nftables", true, outcome)
}

fn sized_volumes() -> Check {
    let outcome = match crate::linux::instance::sized_volumes() {
        Ok(()) => Ok("loop devices and e2fsprogs are there".into()),
        Err(why) => Err((
            why,
            "`modprobe loop`, `apt install e2fsprogs`; without them root volumes share the host's disk",
        )),
    };
    check("sized root volumes", false, outcome)
}

fn user_namespaces(required: bool) -> Check {
    let outcome = match namespace::try_user_namespace() {
        Ok(()) => Ok("one with 65,536 ids was made".into()),
        Err(e) => Err((
            e.to_string(),
            "set user.max_user_namespaces above 1000, kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0 (whichever exist); where that cannot be, \
             `up --privileged-instances` runs instances whose root is the host's root",
        )),
    };
    check("user namespaces", required, outcome)
}

/// Docker in an instance cannot load the host's modules; they must be there before.
fn docker_inside() -> Check {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    let modules = format!("/lib/modules/{}", release.trim());
    let known = Modules {
        targets: read("/proc/net/ip_tables_targets"),
        matches: read("/proc/net/ip_tables_matches"),
        loaded: read("/proc/modules"),
        built_in: read(&format!("{modules}/modules.builtin")),
    };
    let missing = known.missing();
    let outcome = if missing.is_empty() {
        Ok("what Docker's bridges need is loaded".into())
    } else {
        Err((
            format!("not loaded: {}", missing.join(" ")),
            "modprobe them; without them `docker run` in an instance has no network",
        ))
    };
    check("netfilter for Docker inside", false, outcome)
}

struct Modules {
    targets: String,
    matches: String,
    loaded: String,
    built_in: String,
}

impl Modules {
    fn missing(&self) -> Vec<&'static str> {
        let line = |text: &str, word: &str| text.lines().any(|line| line == word);
        let module = |name: &str| {
            self.loaded
                .lines()
                .any(|line| line.split(' ').next() == Some(name))
                || self
                    .built_in
                    .lines()
                    .any(|line| line.ends_with(&format!("/{name}.ko")))
        };
        [
            ("xt_MASQUERADE", line(&self.targets, "MASQUERADE")),
            ("xt_nat", line(&self.targets, "DNAT")),
            ("xt_addrtype", line(&self.matches, "addrtype")),
            ("xt_conntrack", line(&self.matches, "conntrack")),
        ]
        .into_iter()
        .filter(|(name, listed)| !listed && !module(name))
        .map(|(name, _)| name)
        .collect()
    }
}

fn cgroups() -> Check {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    check("cgroups", true, cgroup_kind(&mounts, &v2))
}

/// Version 2 with its controllers, or version 1 beside version 2 ("hybrid").
fn cgroup_kind(mounts: &str, v2: &str) -> Result<String, (String, &'static str)> {
    const WANTED: [&str; 3] = ["cpu", "memory", "pids"];
    let mut unified = false;
    let mut v1: Vec<&str> = Vec::new();
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match (words.get(2), words.get(3)) {
            (Some(&"cgroup2"), _) => unified = true,
            (Some(&"cgroup"), Some(options)) => v1.extend(options.split(',')),
            _ => {}
        }
    }
    let fix = "boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 as well";
    let has: Vec<&str> = v2.split_whitespace().chain(v1.iter().copied()).collect();
    let missing: Vec<&str> = WANTED
        .into_iter()
        .filter(|name| !has.contains(name))
        .collect();
    if !unified {
        return Err(("no cgroup2".into(), fix));
    }
    if !missing.is_empty() {
        return Err((format!("no controller {}", missing.join(", ")), fix));
    }
    Ok(if v1.is_empty() {
        "version 2"
    } else {
        "version 1 beside 2 (hybrid)"
    }
    .into())
}

fn overlay() -> Check {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let outcome = if known.lines().any(|line| line.ends_with("\toverlay")) {
        Ok("overlay is known; ids of its lower layers can be mapped since 5.19".into())
    } else {
        Err(("overlay is not loaded".into(), "modprobe overlay"))
    };
    check("overlay", true, outcome)
}

fn tun() -> Check {
    let outcome = match fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        Ok(_) => Ok("/dev/net/tun opens".into()),
        Err(e) => Err((
            format!("/dev/net/tun: {e}"),
            "modprobe tun; without it only `--offline` clouds run",
        )),
    };
    check("tun", false, outcome)
}

fn inotify() -> Check {
    let key = "fs.inotify.max_user_instances";
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default();
    let found = format!("{key} = {}", text.trim());
    let outcome = if text
        .trim()
        .parse::<u64>()
        .is_ok_and(|n| n >= INOTIFY_INSTANCES)
    {
        Ok(found)
    } else {
        Err((
            found,
            "sysctl -w fs.inotify.max_user_instances=1024; with less about 20 instances run",
        ))
    };
    check("inotify", false, outcome)
}

/// The balancer holds two connections for each request that it carries.
fn open_files() -> Check {
    use nix::sys::resource::{Resource, getrlimit};
    let outcome = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard >= OPEN_FILES => Ok(format!("up to {hard}")),
        Ok((_, hard)) => Err((
            format!("up to {hard}"),
            "ulimit -Hn 65536; with less the load balancer refuses connections beyond half of it",
        )),
        Err(e) => Err((format!("read the limit: {e}"), "mount /proc")),
    };
    check("open files", false, outcome)
}

fn memory() -> Check {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| {
        let rest = line.strip_prefix("MemAvailable:")?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let outcome = match available {
        Some(kib) if kib >= MEMORY_MIB * 1024 => Ok(format!("{} MiB available", kib / 1024)),
        Some(kib) => Err((
            format!("{} MiB available", kib / 1024),
            "free some: an instance with Docker and a small application takes 150 to 300 MiB",
        )),
        None => Err(("unknown".into(), "mount /proc")),
    };
    check("memory", false, outcome)
}

/// The cloud's resolver passes on what it does not know itself.
fn resolver() -> Check {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = name_servers(&text);
    let outcome = if servers.is_empty() {
        Err((
            "no name server in /etc/resolv.conf".into(),
            "name one there; without it instances resolve only the cloud's own names",
        ))
    } else {
        Ok(servers.join(" "))
    };
    check("resolver", false, outcome)
}

fn name_servers(resolv_conf: &str) -> Vec<&str> {
    resolv_conf
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next())?
        })
        .collect()
}

fn names(file: &Path) -> Check {
    let outcome = match fs::OpenOptions::new().append(true).open(file) {
        Ok(_) => Ok(format!("{} can be written", file.display())),
        Err(e) => Err((
            format!("{}: {e}", file.display()),
            "make it writable, or use `up --no-hosts` and do without names of load balancers here",
        )),
    };
    check("names on this host", false, outcome)
}

fn port(port: u16) -> Check {
    let outcome = match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(format!("127.0.0.1:{port} is free")),
        Err(e) => Err((
            format!("127.0.0.1:{port}: {e}"),
            "end what listens there (a cloud that is up?), or choose --port",
        )),
    };
    check("endpoint", false, outcome)
}

fn public_addresses(pool: Ipv4Net) -> Check {
    let outcome = match host_route::routes() {
        Ok(routes) => {
            // Equal: ours would replace it. Within: those addresses are not ours to use.
            let found = routes
                .into_iter()
                .find(|route| pool.contains(&route.destination));
            match found {
                None => Ok(format!("no route within {pool}")),
                Some(route) => Err((
                    format!("{} is routed to {}", route.destination, route.device),
                    "end what uses it (another cloud, a VPN), or choose another public pool",
                )),
            }
        }
        Err(e) => Err((format!("read routes: {e}"), "mount /proc")),
    };
    check("public addresses", false, outcome)
}

fn disk(state: &Path) -> Check {
    // Before the first start the directory is not there; its parent's disk will hold it.
    let place = state
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let outcome = match nix::sys::statvfs::statvfs(place) {
        Ok(found) => {
            let gib = (found.blocks_available() * found.fragment_size()) >> 30;
            let text = format!("{gib} GiB free in {}", place.display());
            if gib >= DISK_GIB {
                Ok(text)
            } else {
                Err((text, "free 5 GiB or choose another state directory"))
            }
        }
        Err(e) => Err((
            format!("{}: {e}", place.display()),
            "choose another state directory",
        )),
    };
    check("disk", true, outcome)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels() {
        let check = |release, expected| assert_eq!(kernel_version(release), expected);
        check("6.18.44-fc", Some((6, 18)));
        check("5.19.0", Some((5, 19)));
        check("5.4.0-42-generic", Some((5, 4)));
        check("", None);
        check("x.y", None);
    }

    #[test]
    fn kinds_of_cgroups() {
        let check = |mounts: &str, v2: &str, expected: Result<&str, &str>| {
            let found = cgroup_kind(mounts, v2);
            let found = found.as_deref().map_err(|(found, _)| found.as_str());
            assert_eq!(found, expected);
        };
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        check(v2, "cpuset cpu io memory pids", Ok("version 2"));
        check(v2, "cpu", Err("no controller memory, pids"));
        let v1 = "cgroup /a cgroup rw,cpu,cpuacct 0 0\ncgroup /b cgroup rw,memory 0 0\n\
                  cgroup /c cgroup rw,pids 0 0\n";
        check(v1, "", Err("no cgroup2"));
        check(&format!("{v1}{v2}"), "", Ok("version 1 beside 2 (hybrid)"));
    }

    #[test]
    fn modules_by_any_evidence() {
        let none = || String::new();
        let nothing = Modules {
            targets: none(),
            matches: none(),
            loaded: none(),
            built_in: none(),
        };
        assert_eq!(
            nothing.missing(),
            ["xt_MASQUERADE", "xt_nat", "xt_addrtype", "xt_conntrack"]
        );
        let some = Modules {
            targets: "MASQUERADE\nDNAT\n".into(),
            loaded: "xt_addrtype 16384 2 - Live 0x0\n".into(),
            built_in: "kernel/net/netfilter/xt_conntrack.ko\n".into(),
            ..nothing
        };
        assert_eq!(some.missing(), [""; 0]);
    }

    #[test]
    fn servers_of_a_resolver() {
        let check = |text: &str, expected: &[&str]| assert_eq!(name_servers(text), expected);
        check("", &[]);
        check("search a.example\n# nameserver 192.0.2.1\n", &[]);
        check(
            "nameserver 192.0.2.1\n nameserver\t::1\n",
            &["192.0.2.1", "::1"],
        );
        check("nameserver\n", &[]);
    }

    #[test]
    fn every_lack_has_a_fix() {
        let plan = Plan {
            state: Path::new("/nowhere/at/all"),
            port: 0,
            public_pool: crate::network::PUBLIC_POOL,
            privileged_instances: false,
        };
        for check in checks(&plan) {
            println!("{check:?}");
            assert_eq!(check.ok, check.fix.is_empty(), "{check:?}");
            assert!(!check.found.is_empty(), "{check:?}");
        }
    }
}
