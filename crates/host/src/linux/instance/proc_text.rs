//! The texts of the `/proc` files that tell an instance its own size and use.
//!
//! Pure: figures in, text out. Use is told against the instance's quota, as `CPUUtilization`
//! does it: an instance that uses all that it may is busy on all its CPUs, whatever share
//! of the host's cores they are.

use crate::instance::Cpu;
use std::fmt::Write as _;

/// User-visible ticks per second, the same on every Linux.
const TICKS: u64 = 100;

/// What the instance used of its CPUs since its boot.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    pub user_usec: u64,
    pub system_usec: u64,
}

impl CpuTime {
    /// From cgroup2's `cpu.stat`.
    pub fn parse(stat: &str) -> Self {
        Self {
            user_usec: value(stat, "user_usec"),
            system_usec: value(stat, "system_usec"),
        }
    }

    pub fn since(self, start: Self) -> Self {
        Self {
            user_usec: self.user_usec.saturating_sub(start.user_usec),
            system_usec: self.system_usec.saturating_sub(start.system_usec),
        }
    }

    pub fn sum(self) -> u64 {
        self.user_usec + self.system_usec
    }
}

/// The number behind `key` in lines such as `key 123`.
fn value(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(key)?
                .strip_prefix(' ')?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

/// A block for each vCPU, taken from the host's blocks in turn.
pub fn cpuinfo(host: &str, vcpus: u32) -> String {
    let blocks: Vec<&str> = host
        .split("\n\n")
        .map(str::trim)
        .filter(|block| block.starts_with("processor"))
        .collect();
    let mut text = String::new();
    for cpu in 0..vcpus {
        let Some(block) = blocks.get(cpu as usize % blocks.len().max(1)) else {
            break;
        };
        for line in block.lines() {
            let (key, _) = line.split_once(':').unwrap_or((line, ""));
            let own = match key.trim() {
                "processor" | "apicid" | "initial apicid" => Some(cpu),
                "physical id" => Some(0),
                // As EC2: two threads make a core.
                "core id" => Some(cpu / 2),
                "siblings" => Some(vcpus),
                "cpu cores" => Some(vcpus.div_ceil(2)),
                _ => None,
            };
            match own {
                Some(own) => drop(writeln!(text, "{key}: {own}")),
                None => drop(writeln!(text, "{line}")),
            }
        }
        text.push('\n');
    }
    text
}

/// `0-1`, as in `/sys/devices/system/cpu/online`.
pub fn cpu_list(vcpus: u32) -> String {
    match vcpus {
        0 | 1 => "0\n".to_owned(),
        n => format!("0-{}\n", n - 1),
    }
}

/// `used` counts everything that the limit counts; `stat` is the group's `memory.stat` of
/// either version.
pub fn meminfo(total: u64, used: u64, stat: &str) -> String {
    // Version 1 counts groups below only in the keys with `total_`.
    let of = |v1: &str, v2: &str| match value(stat, v1) {
        0 => value(stat, v2),
        n => n,
    };
    let file = of("total_cache", "file");
    let shared = of("total_shmem", "shmem");
    let active_file = of("total_active_file", "active_file");
    let inactive_file = of("total_inactive_file", "inactive_file");
    let active_anon = of("total_active_anon", "active_anon");
    let inactive_anon = of("total_inactive_anon", "inactive_anon");
    let slab = value(stat, "slab");
    let reclaimable = value(stat, "slab_reclaimable");
    let free = total.saturating_sub(used);
    let available = (free + active_file + inactive_file + reclaimable).min(total);
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", available),
        ("Buffers", 0),
        ("Cached", file),
        ("SwapCached", 0),
        ("Active", active_anon + active_file),
        ("Inactive", inactive_anon + inactive_file),
        ("Active(anon)", active_anon),
        ("Inactive(anon)", inactive_anon),
        ("Active(file)", active_file),
        ("Inactive(file)", inactive_file),
        ("Unevictable", of("total_unevictable", "unevictable")),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", of("total_dirty", "file_dirty")),
        ("Writeback", of("total_writeback", "file_writeback")),
        ("AnonPages", of("total_rss", "anon")),
        ("Mapped", of("total_mapped_file", "file_mapped")),
        ("Shmem", shared),
        ("Slab", slab),
        ("SReclaimable", reclaimable),
        ("SUnreclaim", slab.saturating_sub(reclaimable)),
        ("KernelStack", value(stat, "kernel_stack")),
        ("PageTables", value(stat, "pagetables")),
    ];
    rows.iter()
        .map(|(name, bytes)| format!("{:<16}{:>8} kB\n", format!("{name}:"), bytes / 1024))
        .collect()
}

/// What the CPU lines and the idle time of `/proc/uptime` are made of, in ticks.
pub struct Ticks {
    pub user: u64,
    pub system: u64,
    pub idle: u64,
}

pub fn ticks(cpu: Cpu, used: CpuTime, up_usec: u64) -> Ticks {
    let share = u64::from(cpu.millicores_per_vcpu).max(1);
    let scaled = |usec: u64| usec.saturating_mul(1000) / share * TICKS / 1_000_000;
    let (user, system) = (scaled(used.user_usec), scaled(used.system_usec));
    let all = up_usec * TICKS / 1_000_000 * u64::from(cpu.vcpus);
    Ticks {
        user,
        system,
        idle: all.saturating_sub(user + system),
    }
}

/// `/proc/stat`: CPU lines and boot time of the instance, the rest as the host's, whose
/// interrupts and context switches are not counted by instance.
pub fn stat(host: &str, cpu: Cpu, ticks: &Ticks, booted: i64) -> String {
    let line = |name: &str, parts: u64| {
        let [user, system, idle] = [ticks.user, ticks.system, ticks.idle].map(|n| n / parts);
        format!("{name} {user} 0 {system} {idle} 0 0 0 0 0 0\n")
    };
    let mut text = line("cpu ", 1);
    for n in 0..cpu.vcpus {
        text += &line(&format!("cpu{n}"), u64::from(cpu.vcpus));
    }
    for other in host.lines().filter(|line| !line.starts_with("cpu")) {
        match other.strip_prefix("btime") {
            Some(_) => drop(writeln!(text, "btime {booted}")),
            None => drop(writeln!(text, "{other}")),
        }
    }
    text
}

pub fn uptime(ticks: &Ticks, up_usec: u64) -> String {
    let up = up_usec as f64 / 1e6;
    format!("{up:.2} {:.2}\n", ticks.idle as f64 / TICKS as f64)
}

/// Load averages from the CPU used, smoothed as the kernel smooths its count of ready tasks.
/// Tasks that wait for their turn are not counted: that would need a sample each few seconds
/// of every instance.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load([f64; 3]);

impl Load {
    /// Adds a span of `seconds` in which so many vCPUs were busy on average.
    pub fn add(&mut self, busy: f64, seconds: f64) {
        for (load, minutes) in self.0.iter_mut().zip([1.0, 5.0, 15.0]) {
            let kept = (-seconds / (60.0 * minutes)).exp();
            *load = *load * kept + busy * (1.0 - kept);
        }
    }

    /// `tasks` of the instance; the last process id is the host's, as it knows no other.
    pub fn text(&self, tasks: u64, host: &str) -> String {
        let [one, five, fifteen] = self.0;
        let running = (one.round() as u64).clamp(1, tasks.max(1));
        let last = host.split_whitespace().nth(4).unwrap_or("1");
        format!("{one:.2} {five:.2} {fifteen:.2} {running}/{tasks} {last}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Cpu = Cpu {
        vcpus: 2,
        millicores_per_vcpu: 250,
    };

    #[test]
    fn processors_are_those_of_the_type() {
        let host = "processor\t: 0\nmodel name\t: X\ncore id\t\t: 0\nsiblings\t: 64\n\n\
                    processor\t: 1\nmodel name\t: Y\ncore id\t\t: 7\nsiblings\t: 64\n\n";
        let text = cpuinfo(host, 3);
        let of = |key: &str| -> Vec<&str> {
            text.lines()
                .filter(|l| l.starts_with(key))
                .filter_map(|l| l.split_once(": "))
                .map(|(_, value)| value)
                .collect()
        };
        assert_eq!(of("processor"), ["0", "1", "2"]);
        assert_eq!(of("model name"), ["X", "Y", "X"]);
        assert_eq!(of("core id"), ["0", "0", "1"]);
        assert_eq!(of("siblings"), ["3", "3", "3"]);
        assert_eq!(cpuinfo("", 2), "");
        assert_eq!((cpu_list(1), cpu_list(4)), ("0\n".into(), "0-3\n".into()));
    }

    #[test]
    fn memory_is_what_the_limit_leaves() {
        let total = 1 << 30;
        let v1 = "cache 1\ntotal_cache 20480\ntotal_rss 4096\ntotal_inactive_file 8192\ntotal_active_file 12288\n";
        let v2 = "anon 4096\nfile 20480\ninactive_file 8192\nactive_file 12288\nslab 0\n";
        for stat in [v1, v2] {
            let text = meminfo(total, 1 << 20, stat);
            for row in [
                "MemTotal:        1048576 kB",
                "MemFree:         1047552 kB",
                "MemAvailable:    1047572 kB",
                "Cached:               20 kB",
                "AnonPages:             4 kB",
                "SwapTotal:             0 kB",
            ] {
                assert!(text.lines().any(|line| line == row), "{row} in {text}");
            }
        }
        assert!(meminfo(4096, 8192, "").contains("MemFree:               0 kB"));
    }

    #[test]
    fn all_that_may_be_used_is_busy() {
        // Two vCPUs of a quarter core each: half a second of host time in a second.
        let used = CpuTime::parse("usage_usec 500000\nuser_usec 400000\nsystem_usec 100000\n");
        let ticks = ticks(CPU, used, 1_000_000);
        assert_eq!((ticks.user, ticks.system, ticks.idle), (160, 40, 0));
        let host = "cpu  9 9 9 9\ncpu0 9 9 9 9\ncpu1 9 9 9 9\nctxt 7\nbtime 1\nprocesses 5\n";
        assert_eq!(
            stat(host, CPU, &ticks, 1234),
            "cpu  160 0 40 0 0 0 0 0 0 0\ncpu0 80 0 20 0 0 0 0 0 0 0\n\
             cpu1 80 0 20 0 0 0 0 0 0 0\nctxt 7\nbtime 1234\nprocesses 5\n"
        );
        assert_eq!(uptime(&ticks, 1_000_000), "1.00 0.00\n");
    }

    #[test]
    fn load_follows_use() {
        let mut load = Load::default();
        load.add(2.0, 60.0);
        assert_eq!(load.text(9, "0 0 0 1/2 77"), "1.26 0.36 0.13 1/9 77\n");
        load.add(0.0, 36_000.0);
        assert_eq!(load.text(0, ""), "0.00 0.00 0.00 1/0 1\n");
    }
}
