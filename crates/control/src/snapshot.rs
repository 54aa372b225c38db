//! Snapshots: begun for those that are wanted, observed until they have ended, and removed from
//! the host once neither a snapshot nor an instance has them among its layers.

use crate::World;
use host::instance::SnapshotOutcome;
use jiff::Timestamp;
use model::SnapshotId;
use model::event::Severity;
use model::instance::{Instance, InstanceState};
use model::snapshot::{Snapshot, SnapshotState};
use std::collections::BTreeSet;
use store::State;

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let seen = world.host.snapshots();
    let pending = |s: &&std::sync::Arc<Snapshot>| s.state == SnapshotState::Pending;
    for record in state.snapshots.values().filter(pending) {
        let outcome = match seen.get(&record.id) {
            Some(outcome) => outcome.clone(),
            None => match world.host.snapshot(&record.source, &record.id) {
                Ok(()) => continue,
                Err(error) => SnapshotOutcome::Failed(error.to_string()),
            },
        };
        world.store.update(|tx| {
            let (severity, message, observed) = match &outcome {
                SnapshotOutcome::Done => (
                    Severity::Info,
                    format!("keeps what {} had changed", record.source),
                    SnapshotState::Completed(now),
                ),
                SnapshotOutcome::Failed(why) => (
                    Severity::Error,
                    format!("could not be made of {}: {why}", record.source),
                    SnapshotState::Error(why.clone()),
                ),
            };
            tx.event(now, severity, &record.id, "snapshot", message);
            tx.modify::<Snapshot>(&record.id, |s| s.state = observed);
            // Unless it was stopped and started meanwhile, which did the same.
            let same_run =
                |i: &&Instance| i.state == InstanceState::Running && i.launched <= record.started;
            if record.reboot
                && tx
                    .get::<Instance>(&record.source)
                    .filter(same_run)
                    .is_some()
            {
                tx.modify::<Instance>(&record.source, |i| i.reboots_wanted += 1);
            }
        });
    }
    let wanted = wanted(&state);
    for id in seen.keys().filter(|id| !wanted.contains(*id)) {
        if let Err(error) = world.host.remove_snapshot(id) {
            tracing::warn!(%id, %error, "failed to remove a snapshot that nothing wants");
        }
    }
    None
}

fn wanted(state: &State) -> BTreeSet<&SnapshotId> {
    let of_snapshots = state.snapshots.values().map(|s| &s.contents);
    let of_instances = state.instances.values().filter_map(|i| i.contents.as_ref());
    of_snapshots
        .chain(of_instances)
        .flat_map(|contents| &contents.layers)
        .map(|layer| &layer.snapshot)
        .collect()
}
