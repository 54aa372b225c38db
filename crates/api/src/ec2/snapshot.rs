//! Snapshots of instances' root volumes. Other volumes hold nothing here that could be kept.

use super::error::{Result, dry_run, error, invalid_value, unsupported};
use super::filter::{Field, Filter, maybe, one};
use super::page::{Page, describe};
use super::resource::find;
use super::tag::{self, Tag, TagSpecification};
use super::{Done, done};
use crate::Ctx;
use model::instance::{Instance, Volume};
use model::snapshot::{Contents, Layer, OwnImage, Snapshot, SnapshotState};
use model::{SnapshotId, Tags};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateSnapshot {
    volume_id: String,
    description: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    snapshot_id: String,
    volume_id: String,
    volume_size: u32,
    status: &'static str,
    status_message: Option<String>,
    start_time: Timestamp,
    completion_time: Option<Timestamp>,
    progress: &'static str,
    owner_id: String,
    description: String,
    encrypted: bool,
    storage_tier: &'static str,
    tag_set: Vec<Tag>,
}

fn shape(snapshot: &Snapshot) -> Shape {
    let completed = match &snapshot.state {
        SnapshotState::Completed(at) => Some(*at),
        SnapshotState::Pending | SnapshotState::Error(_) => None,
    };
    Shape {
        snapshot_id: snapshot.id.to_string(),
        volume_id: snapshot.volume.to_string(),
        volume_size: snapshot.size,
        status: snapshot.state.name(),
        status_message: match &snapshot.state {
            SnapshotState::Error(why) => Some(why.clone()),
            SnapshotState::Pending | SnapshotState::Completed(_) => None,
        },
        start_time: snapshot.started.into(),
        completion_time: completed.map(Into::into),
        progress: progress(snapshot),
        owner_id: snapshot.scope.account.to_string(),
        description: snapshot.description.clone(),
        encrypted: false,
        storage_tier: "standard",
        tag_set: tag::list(&snapshot.tags),
    }
}

/// A copy is made in one go: it is not there, or whole.
fn progress(snapshot: &Snapshot) -> &'static str {
    match snapshot.state {
        SnapshotState::Completed(_) => "100%",
        SnapshotState::Pending | SnapshotState::Error(_) => "0%",
    }
}

pub fn create(ctx: &mut Ctx, input: CreateSnapshot) -> Result<Shape> {
    let volume = find::<Volume>(ctx, &input.volume_id)?;
    let tags = tag::of(&input.tag_specification, "snapshot")?;
    let instance = volume
        .attachment
        .as_ref()
        .and_then(|a| ctx.tx.instances.get(&a.instance))
        .filter(|i| i.root_volume == volume.id)
        .cloned();
    let Some(instance) = instance else {
        return Err(unsupported(
            "Only root volumes of instances can be snapshotted; other volumes hold nothing here.",
        ));
    };
    dry_run(input.dry_run)?;
    let description = input.description.unwrap_or_default();
    let snapshot = of_instance(ctx, &instance, description, tags, false)?;
    Ok(shape(&snapshot))
}

/// Records that the root volume of an instance shall be kept.
pub fn of_instance(
    ctx: &mut Ctx,
    instance: &Instance,
    description: String,
    tags: Tags,
    reboot: bool,
) -> Result<Snapshot> {
    let Some(volume) = ctx.tx.volumes.get(&instance.root_volume) else {
        return Err(invalid_value(format!(
            "The instance '{}' has no root volume.",
            instance.id
        )));
    };
    if description.chars().count() > 255 {
        return Err(invalid_value("A description has at most 255 characters."));
    }
    let id = SnapshotId::random();
    let own = Layer {
        snapshot: id.clone(),
        uid_base: instance.uid_base,
    };
    let (base, below) = match &instance.contents {
        Some(contents) => (contents.base.clone(), contents.layers.clone()),
        None => (instance.image.clone(), Vec::new()),
    };
    let snapshot = Snapshot {
        id,
        scope: ctx.scope.clone(),
        volume: volume.id.clone(),
        size: volume.size,
        description,
        started: ctx.now,
        source: instance.id.clone(),
        reboot,
        architecture: instance.architecture.clone(),
        contents: Contents {
            base,
            layers: std::iter::once(own).chain(below).collect(),
        },
        state: SnapshotState::Pending,
        tags,
    };
    ctx.tx.put(snapshot.clone());
    Ok(snapshot)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSnapshots {
    #[serde(default)]
    snapshot_id: Vec<String>,
    #[serde(default)]
    owner: Vec<String>,
    #[serde(default)]
    restorable_by: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshots {
    snapshot_set: Vec<Shape>,
    next_token: Option<String>,
}

const FILTERS: &[Field<Snapshot>] = &[
    ("description", |_, s| one(&s.description)),
    ("encrypted", |_, _| one(false)),
    ("owner-alias", |_, _| Vec::new()),
    ("owner-id", |_, s| one(&s.scope.account)),
    ("progress", |_, s| one(progress(s))),
    ("snapshot-id", |_, s| one(&s.id)),
    ("start-time", |_, s| one(s.started)),
    ("status", |_, s| one(s.state.name())),
    ("storage-tier", |_, _| one("standard")),
    ("volume-id", |_, s| one(&s.volume)),
    ("volume-size", |_, s| one(s.size)),
    ("completion-time", |_, s| {
        maybe(match &s.state {
            SnapshotState::Completed(at) => Some(at),
            SnapshotState::Pending | SnapshotState::Error(_) => None,
        })
    }),
];

/// A caller sees its own alone: nothing is shared, and AWS's public ones are not here.
pub fn describe_all(ctx: &mut Ctx, input: DescribeSnapshots) -> Result<Snapshots> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (found, next_token) = describe(ctx, &input.snapshot_id, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    let mine = |who: &String| who == "self" || **who == *ctx.scope.account;
    let shown = (input.owner.is_empty() || input.owner.iter().any(mine))
        && (input.restorable_by.is_empty() || input.restorable_by.iter().any(mine));
    Ok(Snapshots {
        snapshot_set: found.iter().filter(|_| shown).map(|s| shape(s)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteSnapshot {
    snapshot_id: String,
    dry_run: Option<bool>,
}

/// Instances that run on it, and snapshots above it, keep what they need of it.
pub fn delete(ctx: &mut Ctx, input: DeleteSnapshot) -> Result<Done> {
    let snapshot = find::<Snapshot>(ctx, &input.snapshot_id)?;
    let uses = |i: &OwnImage| i.snapshot == snapshot.id && !i.deregistered;
    if let Some(image) = ctx.tx.images.values().find(|i| uses(i)) {
        return Err(error(
            "InvalidSnapshot.InUse",
            format!(
                "The snapshot {} is currently in use by {}",
                snapshot.id, image.id
            ),
        ));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<Snapshot>(&snapshot.id);
    done()
}
