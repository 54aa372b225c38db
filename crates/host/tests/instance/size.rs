//! An instance has the size of its type, and is told so.

use crate::cloud::{Cloud, PATIENCE};
use host::instance::{Cpu, Exit, RunState};
use std::time::Instant;

#[test]
fn memory_ends_inside_only() {
    let Some(mut cloud) = Cloud::new(3) else {
        return;
    };
    cloud.spec.memory_bytes = 256 << 20;
    cloud.boot();
    assert_eq!(
        cloud.sh("tail /dev/zero").0,
        Some(137),
        "killed for its memory"
    );
    let seen = cloud.observe();
    assert_eq!(
        (seen.state, seen.ready, seen.boots),
        (RunState::Running, true, 1)
    );
    assert!(seen.usage.memory_bytes <= 256 << 20);
}

#[test]
fn a_cpu_is_a_share() {
    let Some(mut cloud) = Cloud::new(4) else {
        return;
    };
    cloud.spec.cpu = Cpu {
        vcpus: 2,
        millicores_per_vcpu: 150,
    };
    cloud.boot();
    let (before, begun) = (cloud.observe().usage.cpu_usec, Instant::now());
    cloud.sh("timeout 3 sh -c 'while :; do :; done & while :; do :; done'");
    let used =
        (cloud.observe().usage.cpu_usec - before) as f64 / begun.elapsed().as_micros() as f64;
    assert!(
        used < 0.35,
        "used {used:.2} of a core where 0.30 are allowed"
    );
}

#[test]
fn a_volume_has_a_size() {
    let Some(mut cloud) = Cloud::new(9) else {
        return;
    };
    cloud.spec.root_bytes = Some(256 << 20);
    cloud.boot();
    assert_ne!(
        cloud.sh("head -c 400M /dev/zero > /root/big 2>/dev/null").0,
        Some(0),
        "full"
    );
    assert_ne!(
        cloud
            .sh("head -c 4M /dev/zero > /var/lib/docker/more 2>/dev/null")
            .0,
        Some(0),
        "full here too"
    );
    cloud.say("rm /root/big /var/lib/docker/more; echo kept > /root/kept; sync");
    // No file more fits, and that is the instance's trouble alone.
    let many = "mkdir /root/many && cd /root/many && seq 100000 | xargs touch 2>/dev/null";
    assert_ne!(cloud.sh(many).0, Some(0), "no inode is left");
    cloud.say("rm -r /root/many; sync");
    // Of disks it sees its own alone, in whatever place tools look.
    assert_eq!(
        cloud.say("lsblk -bnro NAME,TYPE,SIZE; ls /sys/block /sys/class/block | xargs"),
        "nvme0n1 disk 268435456\nnvme0n1p1 part 267386880\n/sys/block: nvme0n1 /sys/class/block: nvme0n1 nvme0n1p1"
    );
    assert_eq!(
        cloud.say("awk 'NR > 2 {print $4}' /proc/partitions | xargs"),
        "nvme0n1 nvme0n1p1"
    );
    let written = || -> u64 {
        let sectors = cloud.say("awk '$3 == \"nvme0n1\" {print $10}' /proc/diskstats");
        sectors.parse().expect("sectors")
    };
    let before = written();
    let seen = cloud.observe().usage.disk.write_bytes;
    cloud.say("head -c 8M /dev/zero >/root/eight; sync; rm /root/eight; sleep 0.2");
    let told = cloud.observe().usage.disk.write_bytes - seen;
    assert!((8 << 20..16 << 20).contains(&told), "{told}");
    let sectors = written() - before;
    assert!((16384..2 * 16384).contains(&sectors), "{sectors}");
    cloud
        .instances
        .stop(&cloud.spec.id, false, PATIENCE)
        .expect("stop");
    assert_eq!(cloud.stopped(), Exit::PowerOff);
    let attached = || {
        let loops = std::process::Command::new("losetup")
            .arg("-a")
            .output()
            .expect("losetup");
        String::from_utf8_lossy(&loops.stdout).contains(&cloud.name)
    };
    assert!(!attached(), "the loop device went with the mount");
    cloud.boot();
    assert_eq!(cloud.say("cat /root/kept"), "kept");
}

#[test]
fn an_instance_is_told_its_own_size() {
    let Some(mut cloud) = Cloud::new(12) else {
        return;
    };
    cloud.spec.cpu = Cpu {
        vcpus: 1,
        millicores_per_vcpu: 500,
    };
    cloud.spec.memory_bytes = 512 << 20;
    cloud.boot();
    // What asks the scheduler, what asks sysfs, and what counts blocks.
    assert_eq!(
        cloud.say("nproc; getconf _NPROCESSORS_ONLN; grep -c ^processor /proc/cpuinfo; python3 -c 'import os; print(os.cpu_count())'"),
        "1\n1\n1\n1"
    );
    assert_eq!(
        cloud
            .say("grep MemTotal /proc/meminfo; free -m | awk '/Mem/ {print $2} /Swap/ {print $2}'"),
        "MemTotal:         524288 kB\n512\n0"
    );
    // File systems in memory are parts of the instance's, and what is put into /tmp takes none.
    assert_eq!(
        cloud.say("df -k --output=size /run /dev/shm | tail -n 2 | xargs; df --output=fstype / /tmp | tail -n 2 | uniq; stat -c %a /tmp"),
        "104860 262144\noverlay\n1777"
    );
    let free = || -> u64 {
        let text = cloud.say("awk '/MemFree/ {print $2}' /proc/meminfo");
        text.parse().expect("a number")
    };
    let before = free();
    // Asked again at each reading, also by one that keeps the file open.
    let during = cloud.say(
        "python3 -c '
import time
f = open(\"/proc/meminfo\")
first = f.read()
kept = bytearray(100 << 20)
time.sleep(0.2)
f.seek(0)
free = lambda t: int(next(l for l in t.splitlines() if l.startswith(\"MemFree\")).split()[1])
print(free(first) - free(f.read()))'",
    );
    assert!(
        during.parse::<u64>().expect("a number") > 90 << 10,
        "{during}"
    );
    assert!(before < 512 << 10, "{before}");

    let up: f64 = cloud.say("cut -d' ' -f1 /proc/uptime").parse().expect("up");
    assert!(up < 90.0, "{up}");
    let started = cloud.say("ps -o etimes= -p 1");
    assert!(
        started.trim().parse::<u64>().expect("seconds") < 90,
        "{started}"
    );
    // Its own CPUs are busy when it uses all that it may.
    let busy = cloud.say(
        "python3 -c '
import time
def cpu():
    with open(\"/proc/stat\") as f:
        return [int(n) for n in f.readline().split()[1:5]]
a = cpu()
end = time.monotonic() + 2
while time.monotonic() < end: pass
b = cpu()
used, idle = b[0] + b[2] - a[0] - a[2], b[3] - a[3]
print(round(100 * used / (used + idle)))'",
    );
    let busy: u64 = busy.parse().expect("percent");
    assert!(busy > 15, "{busy} %");
    assert_eq!(
        cloud.say("wc -w < /proc/loadavg; wc -l < /proc/swaps"),
        "5\n1"
    );
    // A nested container may still have a proc of its own.
    cloud.say("unshare -Ur --mount-proc --pid --fork true");
}
