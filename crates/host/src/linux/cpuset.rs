//! Which of the host's CPUs a control group may use.

use crate::instance::{During, InstanceError};
use std::fs;
use std::path::Path;

type Result<T> = std::result::Result<T, InstanceError>;

const CPUS: &str = "cpuset.cpus";

/// In version 1 a new group has no CPUs and no memory, and nothing can join it: gives every
/// group on the way to `name` what its parent has.
pub fn inherit(mount: &Path, name: &Path) -> Result<()> {
    let mut dir = mount.to_owned();
    for part in name {
        let parent = dir.clone();
        dir.push(part);
        for file in [CPUS, "cpuset.mems"] {
            let own = dir.join(file);
            if read(&own)?.is_empty() {
                let given = read(&parent.join(file))?;
                write(&own, &given)?;
            }
        }
    }
    Ok(())
}

/// Takes `wanted` of the CPUs the group may use, others for each `turn`. Does nothing where
/// there are no more, or no such controller.
pub fn limit(dir: &Path, turn: usize, wanted: usize) -> Result<()> {
    let file = dir.join(CPUS);
    if !file.exists() {
        return Ok(());
    }
    // Of version 2, where the file itself is empty at first; version 1 has it by another name.
    let effective = ["cpuset.cpus.effective", "cpuset.effective_cpus"]
        .into_iter()
        .find_map(|name| fs::read_to_string(dir.join(name)).ok())
        .unwrap_or_default();
    match choose(&parse(&effective), turn, wanted) {
        Some(list) => write(&file, &list),
        None => Ok(()),
    }
}

fn choose(cpus: &[usize], turn: usize, wanted: usize) -> Option<String> {
    if wanted == 0 || wanted >= cpus.len() {
        return None;
    }
    let first = turn.wrapping_mul(wanted) % cpus.len();
    let mut chosen: Vec<usize> = (0..wanted)
        .map(|n| cpus[(first + n) % cpus.len()])
        .collect();
    chosen.sort_unstable();
    let chosen: Vec<String> = chosen.iter().map(ToString::to_string).collect();
    Some(chosen.join(","))
}

/// Lists such as `0-3,8`.
fn parse(list: &str) -> Vec<usize> {
    let mut cpus = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cpus.extend(first..=last.min(first + 65_536));
        }
    }
    cpus
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file)
        .map(|text| text.trim().to_owned())
        .during(|| format!("read {}", file.display()))
}

fn write(file: &Path, value: &str) -> Result<()> {
    fs::write(file, value).during(|| format!("write {value} to {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_taken_in_turn() {
        let host = parse("0-3,8-9\n");
        assert_eq!(host, [0, 1, 2, 3, 8, 9]);
        let check = |turn, wanted, expected: Option<&str>| {
            assert_eq!(choose(&host, turn, wanted).as_deref(), expected, "{turn}");
        };
        check(0, 2, Some("0,1"));
        check(1, 2, Some("2,3"));
        check(2, 2, Some("8,9"));
        check(3, 2, Some("0,1"));
        check(1, 4, Some("0,1,8,9"));
        check(0, 6, None);
        check(0, 0, None);
        assert_eq!(parse("garbage,2-"), Vec::<usize>::new());
        assert_eq!(choose(&[], 5, 2), None);
    }
}
