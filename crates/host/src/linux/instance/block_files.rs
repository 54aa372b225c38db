//! What an instance is told of disks: its root volume, named as on EC2, instead of the host's.
//!
//! sysfs shows every instance the host's disks and, as files behind loop devices, the paths of all
//! volumes; `lsblk`, `iostat` and agents list them. So directories of the host cover that part of sysfs,
//! like files cover parts of `/proc` (`proc_files`). This is for appearance: root may uncover them, and
//! learns names and sizes, but opens nothing. There are no device nodes, since the volume is mounted on the host.

use super::root::make_dir;
use crate::instance::{DiskUsage, During, InstanceError};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

type Result<T> = std::result::Result<T, InstanceError>;

/// Name of the directory, and its place in the instance.
pub const DIRECTORIES: [(&str, &str); 4] = [
    ("block", "/sys/block"),
    ("class-block", "/sys/class/block"),
    ("dev-block", "/sys/dev/block"),
    ("virtual-block", "/sys/devices/virtual/block"),
];
const DISK: &str = "nvme0n1";
const PARTITION: &str = "nvme0n1p1";
/// Where the first partition begins, in sectors of 512 bytes.
const START: u64 = 2048;

/// Makes the directories below `at`. A root volume without a size shows no disk.
pub fn create(at: &Path, root_bytes: Option<u64>) -> Result<()> {
    for (name, _) in DIRECTORIES {
        make_dir(&at.join(name), 0o755)?;
    }
    let Some(bytes) = root_bytes else {
        return Ok(());
    };
    let sectors = bytes / 512;
    let disk = at.join("block").join(DISK);
    let partition = disk.join(PARTITION);
    let (queue, device) = (disk.join("queue"), disk.join("device"));
    for directory in [&disk, &partition, &queue, &device] {
        make_dir(directory, 0o755)?;
    }
    let size = sectors.to_string();
    let rest = sectors.saturating_sub(START).to_string();
    let start = START.to_string();
    for (directory, name, value) in [
        (&disk, "dev", "259:0"),
        (&disk, "size", &size),
        (&disk, "ro", "0"),
        (&disk, "removable", "0"),
        (&device, "model", "Amazon Elastic Block Store"),
        (&queue, "rotational", "0"),
        (&queue, "logical_block_size", "512"),
        (&queue, "physical_block_size", "512"),
        (&queue, "minimum_io_size", "512"),
        (&queue, "optimal_io_size", "0"),
        (&queue, "scheduler", "[none]"),
        (&partition, "dev", "259:1"),
        (&partition, "size", &rest),
        (&partition, "start", &start),
        (&partition, "partition", "1"),
        (&partition, "ro", "0"),
    ] {
        let path = directory.join(name);
        fs::write(&path, format!("{value}\n")).during(|| format!("write {}", path.display()))?;
    }
    for (place, target) in [
        (format!("class-block/{DISK}"), ""),
        (format!("class-block/{PARTITION}"), PARTITION),
        ("dev-block/259:0".into(), ""),
        ("dev-block/259:1".into(), PARTITION),
    ] {
        let path = at.join(place);
        // As seen from its place in the instance.
        let target = Path::new("../../block").join(DISK).join(target);
        match symlink(target, &path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
        .during(|| format!("link {}", path.display()))?;
    }
    Ok(())
}

pub fn partitions(root_bytes: Option<u64>) -> String {
    let mut text = "major minor  #blocks  name\n\n".to_owned();
    if let Some(bytes) = root_bytes {
        let rest = bytes.saturating_sub(START * 512);
        for (minor, bytes, name) in [(0, bytes, DISK), (1, rest, PARTITION)] {
            text += &format!(" 259 {minor:8} {:10} {name}\n", bytes / 1024);
        }
    }
    text
}

/// `/proc/diskstats`: what the instance has read and written. How long that took nobody measures.
pub fn diskstats(root_bytes: Option<u64>, used: DiskUsage) -> String {
    if root_bytes.is_none() {
        return String::new();
    }
    let line = |(minor, name): (u32, &str)| {
        let (read, written) = (used.read_bytes / 512, used.write_bytes / 512);
        let (reads, writes) = (used.read_ops, used.write_ops);
        format!(
            " 259 {minor:7} {name} {reads} 0 {read} 0 {writes} 0 {written} 0 0 0 0 0 0 0 0 0 0\n"
        )
    };
    [(0, DISK), (1, PARTITION)].map(line).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_disk_with_one_partition() {
        let used = DiskUsage {
            read_bytes: 4096,
            read_ops: 2,
            write_bytes: 512,
            write_ops: 1,
        };
        assert_eq!(
            partitions(Some(8 << 30)),
            "major minor  #blocks  name\n\n 259        0    8388608 nvme0n1\n 259        1    8387584 nvme0n1p1\n"
        );
        assert_eq!(
            diskstats(Some(8 << 30), used),
            " 259       0 nvme0n1 2 0 8 0 1 0 1 0 0 0 0 0 0 0 0 0 0\n 259       1 nvme0n1p1 2 0 8 0 1 0 1 0 0 0 0 0 0 0 0 0 0\n"
        );
        assert_eq!(diskstats(None, used), "");
    }
}
