//! Trying to break out of an instance as its root.
//!
//! Every attempt is made where the user namespace is the last wall: as root with all its
//! rights. None would harm this machine if it succeeded: what would is looked at, not tried —
//! who owns a file and whether its mount may be written to decide it.

use crate::cloud::Cloud;
use host::instance::RunState;
use std::os::unix::fs::MetadataExt;

#[test]
fn the_kernel_is_out_of_reach() {
    let Some(cloud) = Cloud::new(13) else { return };
    cloud.boot();
    // What root of the host may write and nobody else: seen from within it is a stranger's, so
    // that none of the instance's root's rights count for it.
    for file in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/panic",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/fs/inotify/max_user_instances",
        "/proc/sysrq-trigger",
        "/proc/kcore",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/power/state",
        "/sys/kernel/uevent_helper",
    ] {
        let Ok(host) = std::fs::metadata(file) else {
            continue;
        };
        assert_eq!((host.uid(), host.mode() & 0o002), (0, 0), "{file}");
        let inside = cloud.sh(&format!("stat -c %u {file} && test ! -w {file}"));
        assert_eq!(inside, (Some(0), "65534".to_owned()), "{file}");
    }
    // Nobody's files are out of reach because the namespace that its rights are in is its own.
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/user")).expect("a link");
    let init = cloud.observe().init_pid.expect("an init").to_string();
    assert_ne!(namespace(&init), namespace("self"));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release");
    for attempt in [
        // Devices.
        "mknod /root/disk b 8 0",
        "mknod /root/mem c 1 1",
        "cat /dev/mem",
        "cat /dev/kmsg",
        "losetup -f /etc/hostname",
        "mount -t ext4 /dev/loop0 /mnt",
        // proc and sysfs.
        "head -c 1 /proc/kcore",
        "echo -1000 > /proc/1/oom_score_adj",
        "echo 9999999 > /proc/meminfo",
        // A setting of the host to what it is.
        "cat /proc/sys/kernel/panic > /proc/sys/kernel/panic",
        // Other ways to the same.
        "mount -o remount,rw /sys",
        "mount -t debugfs none /mnt",
        "mount -t tracefs none /mnt",
        "mount -t securityfs none /mnt",
        "mount -t bpf none /mnt",
        "mount -t devtmpfs none /mnt",
        "mkdir -p /m && mount -t cgroup -o none,name=own none /m",
        "dmesg",
        "nsenter -t 1 -m -p -- nsenter -t 2 -m true",
        "nice -n -20 ionice -c 1 chrt -f 99 true",
    ] {
        let (code, said) = cloud.sh(&format!("( {attempt} ) 2>&1"));
        assert_ne!(code, Some(0), "{attempt}: {said}");
    }
    let python = |call: &str| {
        let script = format!(
            "python3 -c 'import ctypes; libc = ctypes.CDLL(None, use_errno=True); \
             print(libc.syscall({call}), ctypes.get_errno())'"
        );
        cloud.say(&script)
    };
    if cfg!(target_arch = "x86_64") {
        assert_eq!(python("175, 0, 0, 0"), "-1 1", "init_module");
        assert_eq!(python("313, 0, 0, 0"), "-1 1", "finit_module");
        assert_eq!(python("298, 0, 0, 0, 0, 0"), "-1 1", "perf_event_open");
        assert_eq!(python("304, 0, 0, 0"), "-1 1", "open_by_handle_at");
        assert_eq!(python("323, 0"), "-1 1", "userfaultfd");
        assert_eq!(
            python("321, 0, b\"\\2\\0\\0\\0\\4\\0\\0\\0\\4\\0\\0\\0\\4\" + bytes(100), 100"),
            "-1 1",
            "bpf"
        );
        assert_eq!(python("227, 0, bytes(16)"), "-1 1", "clock_settime");
        assert_eq!(
            python("144, 0, 1, b\"\\1\\0\\0\\0\""),
            "-1 1",
            "sched_setscheduler"
        );
        assert_eq!(python("246, 0, 0, 0, 0"), "-1 1", "kexec_load");
        assert_eq!(python("425, 1, 0"), "-1 38", "io_uring_setup");
        assert_eq!(python("0x40000027"), "-1 38", "getpid of x32");
    }
    // To the machine's hypervisor: of no network namespace.
    let vsock = "import socket; socket.socket(40, socket.SOCK_STREAM)";
    assert_ne!(cloud.sh(&format!("python3 -c '{vsock}' 2>&1")).0, Some(0));
    let bounded = cloud.say("grep CapBnd /proc/self/status");
    let bounded = u64::from_str_radix(bounded.split_whitespace().last().expect("mask"), 16);
    let bounded = bounded.expect("hexadecimal");
    for dropped in [16, 17, 25, 34] {
        assert_eq!(bounded >> dropped & 1, 0, "capability {dropped}");
    }
    // The user namespace's own rights remain: mounts, users, networks.
    cloud
        .say("mount -t tmpfs none /mnt && umount /mnt && ip link add v type veth && ip link del v");
    cloud.say("useradd -m somebody && su somebody -c 'test $(id -u) -ge 1000 && sudo -n true; test $? -ne 0'");
    let now = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release");
    assert_eq!(now, release);
}

/// Children possess the keys of their parents' session, in whatever user namespace they are.
#[test]
fn keys_of_whoever_started_it_stay_outside() {
    let Some(cloud) = Cloud::new(21) else { return };
    // A session of its own for this thread, and for the shim that it starts.
    // SAFETY: strings that end with zero and outlive the calls.
    let key = unsafe {
        libc::syscall(libc::SYS_keyctl, 1, 0);
        let (kind, name, secret) = (c"user".as_ptr(), c"nines-test".as_ptr(), c"x".as_ptr());
        libc::syscall(libc::SYS_add_key, kind, name, secret, 1, -3)
    };
    if key < 0 {
        println!("skipped: this kernel keeps no keys");
        return;
    }
    cloud.boot();
    let seen = format!(
        "import ctypes; libc = ctypes.CDLL(None); print(libc.syscall(250, 6, {key}, 0, 0))"
    );
    // Both what was entered and what the init began.
    assert_eq!(cloud.say(&format!("python3 -c '{seen}'")), "-1");
    let unit = format!("systemd-run -qP python3 -c '{seen}'");
    assert_eq!(cloud.say(&unit), "-1");
    assert_eq!(cloud.say("grep -c nines-test /proc/keys; true"), "0");
    assert_eq!(cloud.say("tr '\\0' '\\n' </proc/1/comm"), "systemd");
}

#[test]
fn limits_cannot_be_lifted() {
    let Some(mut cloud) = Cloud::new(14) else {
        return;
    };
    cloud.spec.memory_bytes = 256 << 20;
    cloud.spec.pids_max = 300;
    cloud.boot();
    for attempt in [
        "echo max > /sys/fs/cgroup/memory.max",
        "echo max > /sys/fs/cgroup/pids.max",
        "echo max > /sys/fs/cgroup/cpu.max",
        "echo $$ > /sys/fs/cgroup/../cgroup.procs",
        "mkdir /sys/fs/cgroup/../sibling",
        // A hierarchy of version 1 can be looked at, and no more: its files are of the host's root.
        "mkdir /root/cg && mount -t cgroup -o memory none /root/cg && test -w /root/cg/memory.limit_in_bytes",
    ] {
        let (code, said) = cloud.sh(&format!("( {attempt} ) 2>&1"));
        assert_ne!(code, Some(0), "{attempt}: {said}");
    }
    // A fork bomb ends at the limit, and the instance lives.
    cloud.sh("timeout 4 python3 -c '
import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
    except OSError:
        time.sleep(0.1)' 2>/dev/null");
    // A memory hog likewise.
    assert_eq!(cloud.sh("tail /dev/zero").0, Some(137));
    let seen = cloud.observe();
    assert_eq!(
        (seen.state, seen.boots, seen.failure),
        (RunState::Running, 1, None)
    );
    assert_eq!(cloud.say("echo alive"), "alive");
}
