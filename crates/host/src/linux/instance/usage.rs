//! What an instance uses, from its cgroups and its network namespace.

use crate::instance::{NetworkUsage, Usage};
use crate::linux::cgroup::Cgroups;
use std::fs;

pub fn of(cgroups: &Cgroups, id: &str, init: i32) -> Usage {
    let devices = fs::read_to_string(format!("/proc/{init}/net/dev")).unwrap_or_default();
    Usage {
        cpu_usec: cgroups.cpu_usec(id),
        memory_bytes: cgroups.memory_bytes(id),
        disk: cgroups.disk(id),
        network: network(&devices),
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
