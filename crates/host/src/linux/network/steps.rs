//! What may be done at once: a program's start and its waits for the kernel take longer than its
//! work, and a launch changes several namespaces.

use super::plan::Plan;
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Plans in steps: who makes a veth comes in an earlier one than the namespace that its far end is
/// in. `plans` are in such an order.
pub fn in_steps(plans: &[Plan]) -> Vec<Vec<&Plan>> {
    let mut steps: Vec<Vec<&Plan>> = Vec::new();
    let mut earliest: HashMap<&str, usize> = HashMap::new();
    for plan in plans {
        let step = earliest.get(plan.namespace.as_str()).copied().unwrap_or(0);
        for link in plan.links.values() {
            let far = earliest.entry(&link.peer).or_default();
            *far = (*far).max(step + 1);
        }
        steps.resize_with(steps.len().max(step + 1), Vec::new);
        steps.get_mut(step).into_iter().for_each(|s| s.push(plan));
    }
    steps
}

/// Does the jobs on as many threads as there are cores; outcomes come in the jobs' order.
pub fn at_once<'j, T: Sync, R: Send>(jobs: &'j [T], work: impl Fn(&'j T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let some = || -> Vec<(usize, R)> {
        let mine = std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(index).map(|job| (index, work(job)))
        });
        mine.collect()
    };
    let mut outcomes = thread::scope(|scope| {
        let others = (1..cores.min(jobs.len())).map(|_| scope.spawn(some));
        let others: Vec<_> = others.collect();
        let mut outcomes = some();
        for other in others {
            match other.join() {
                Ok(more) => outcomes.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcomes
    });
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Kind, Link, Mac};
    use super::*;

    fn plan(name: &str, peers: &[&str]) -> Plan {
        let mut plan = Plan::new(name.into(), Kind::Router, None);
        for peer in peers {
            let link = Link {
                peer: (*peer).into(),
                peer_device: "eth0".into(),
                mac: Mac([0; 6]),
                peer_mac: Mac([0; 6]),
            };
            plan.links.insert(format!("to-{peer}"), link);
        }
        plan
    }

    #[test]
    fn far_ends_come_after_who_makes_the_veth() {
        let plans = [
            plan("host", &["internet"]),
            plan("internet", &["gateway"]),
            plan("router", &["gateway", "instance", "peer"]),
            plan("peer", &["other"]),
            plan("gateway", &[]),
            plan("instance", &[]),
            plan("other", &[]),
            plan("alone", &[]),
        ];
        let steps = in_steps(&plans);
        let names = |step: &Vec<&Plan>| step.iter().map(|p| p.namespace.clone()).collect();
        let names: Vec<Vec<String>> = steps.iter().map(names).collect();
        let expected: [&[&str]; 3] = [
            &["host", "router", "alone"],
            &["internet", "peer", "instance"],
            &["gateway", "other"],
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn outcomes_come_in_the_jobs_order() {
        let jobs: Vec<usize> = (0..100).collect();
        assert_eq!(
            at_once(&jobs, |n| n * 2),
            jobs.iter().map(|n| n * 2).collect::<Vec<_>>()
        );
        assert!(at_once(&[(); 0], |()| ()).is_empty());
    }
}
