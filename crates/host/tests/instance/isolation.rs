//! Trying to break out of an instance as its root.
//!
//! Every attempt is made where the user namespace is the last wall: as root with all its
//! rights. What it must not harm is looked at from the host.

use crate::cloud::Cloud;
use host::instance::RunState;

#[test]
fn the_kernel_is_out_of_reach() {
    let Some(cloud) = Cloud::new(13) else { return };
    cloud.boot();
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
        "echo h > /proc/sysrq-trigger",
        "echo 1 > /proc/sys/kernel/panic",
        "echo /root/x > /proc/sys/kernel/core_pattern",
        "echo 3 > /proc/sys/vm/drop_caches",
        "echo 0 > /proc/sys/fs/inotify/max_user_instances",
        "echo x > /sys/kernel/uevent_helper",
        "echo mem > /sys/power/state",
        "head -c 1 /proc/kcore",
        "echo -1000 > /proc/1/oom_score_adj",
        "echo 9999999 > /proc/meminfo",
        // Other ways to the same.
        "mount -o remount,rw /sys",
        "mount -t debugfs none /mnt",
        "mount -t tracefs none /mnt",
        "mount -t bpf none /mnt && ls /mnt/progs",
        "mount -t securityfs none /mnt",
        "swapon /etc/hostname",
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
        assert_eq!(python("246, 0, 0, 0, 0"), "-1 1", "kexec_load");
        assert_eq!(python("298, 0, 0, 0, 0, 0"), "-1 1", "perf_event_open");
        assert_eq!(python("304, 0, 0, 0"), "-1 1", "open_by_handle_at");
        assert_eq!(python("425, 1, 0"), "-1 38", "io_uring_setup");
        assert_eq!(python("0x40000027"), "-1 38", "getpid of x32");
    }
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
        "mkdir /root/cg && mount -t cgroup -o memory none /root/cg && echo -1 > /root/cg/memory.limit_in_bytes",
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
