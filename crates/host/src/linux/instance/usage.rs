//! What an instance uses, from its cgroups and its network namespace.

use crate::instance::{DiskUsage, NetworkUsage, Usage};
use crate::linux::cgroup::Cgroups;
use std::fs;

pub fn of(cgroups: &Cgroups, id: &str, init: i32) -> Usage {
    let devices = fs::read_to_string(format!("/proc/{init}/net/dev")).unwrap_or_default();
    Usage {
        cpu_usec: cgroups.cpu_usec(id),
        memory_bytes: cgroups.memory_bytes(id),
        disk: disk(cgroups, id, init),
        network: network(&devices),
    }
}

/// What its root volume's loop device has transferred, which counts what is written back later, too, as
/// version 1 of cgroups does not. A volume without a size has no device: what its cgroup knows.
pub fn disk(cgroups: &Cgroups, id: &str, init: i32) -> DiskUsage {
    let mounts = fs::read_to_string(format!("/proc/{init}/mountinfo")).unwrap_or_default();
    let stat = loop_number(&mounts)
        .and_then(|number| fs::read_to_string(format!("/sys/block/loop{number}/stat")).ok());
    match stat {
        Some(stat) => device(&stat),
        None => cgroups.disk(id),
    }
}

/// Of the only loop device that an instance has mounts of. Their numbers come from the kernel.
fn loop_number(mounts: &str) -> Option<u32> {
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let device = mount.split(' ').nth(2)?.strip_prefix("7:")?;
        kind.starts_with("ext4 ").then(|| device.parse().ok())?
    })
}

/// A block device's `stat`, in sectors of 512 bytes.
fn device(stat: &str) -> DiskUsage {
    let mut numbers = stat.split_whitespace().map(|n| n.parse().unwrap_or(0));
    let mut nth = |n| numbers.nth(n).unwrap_or(0);
    DiskUsage {
        read_ops: nth(0),
        read_bytes: 512 * nth(1),
        write_ops: nth(1),
        write_bytes: 512 * nth(1),
    }
}

/// Sums over `eth*` of `/proc/<pid>/net/dev`.
fn network(dev: &str) -> NetworkUsage {
    let mut sum = NetworkUsage::default();
    for line in dev.lines() {
        let Some((name, counters)) = line.split_once(':') else {
            continue;
        };
        if !name.trim_start().starts_with("eth") {
            continue;
        }
        let n: Vec<u64> = counters
            .split_whitespace()
            .map(|c| c.parse().unwrap_or(0))
            .collect();
        if let [
            bytes_in,
            packets_in,
            _,
            _,
            _,
            _,
            _,
            _,
            bytes_out,
            packets_out,
            ..,
        ] = n[..]
        {
            sum.bytes_in += bytes_in;
            sum.packets_in += packets_in;
            sum.bytes_out += bytes_out;
            sum.packets_out += packets_out;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_counted_at_the_loop_device() {
        let mounts = "121 142 0:51 / / rw - overlay overlay rw\n140 121 7:12 /docker /var/lib/docker rw,noatime - ext4 /dev/loop12 rw\n";
        assert_eq!(loop_number(mounts), Some(12));
        assert_eq!(
            loop_number("140 121 7:3 / /snap rw - squashfs /dev/loop3 rw\n"),
            None
        );
        let used = device(
            "      20        3      172       12       63      115     2168       46        0\n",
        );
        let expected = DiskUsage {
            read_ops: 20,
            read_bytes: 172 * 512,
            write_ops: 63,
            write_bytes: 2168 * 512,
        };
        assert_eq!(used, expected);
    }

    #[test]
    fn only_ethernet_counts_as_network() {
        let dev = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n  eth0:    1000      10    0    0    0     0          0         0     2000      20    0    0    0     0       0          0\n  eth1:       5       1    0    0    0     0          0         0        7       2    0    0    0     0       0          0\n docker0: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n";
        let expected = NetworkUsage {
            bytes_in: 1005,
            packets_in: 11,
            bytes_out: 2007,
            packets_out: 22,
        };
        assert_eq!(network(dev), expected);
        assert_eq!(network("eth0: 1 2"), NetworkUsage::default());
    }
}
