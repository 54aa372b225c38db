//! Images: the model's catalogue, and those that accounts made of snapshots.

use super::error::{Result, dry_run, error};
use super::filter::{Field, Filter, Filters, maybe, one};
use super::page::Page;
use super::tag::{self, Tag};
use crate::Ctx;
use jiff::ToSpan;
use model::image::{self, Image};
use model::snapshot::OwnImage;
use model::{ImageId, Scope, SnapshotId, Tags, zone};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use store::State;
use wire::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeImages {
    #[serde(default)]
    image_id: Vec<String>,
    #[serde(default)]
    owner: Vec<String>,
    #[serde(default)]
    executable_by: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_deprecated: Option<bool>,
    include_disabled: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    images_set: Vec<Shape>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    image_id: String,
    image_location: String,
    image_state: &'static str,
    state_reason: Option<StateReason>,
    image_owner_id: String,
    image_owner_alias: Option<&'static str>,
    creation_date: String,
    deprecation_time: Option<String>,
    is_public: bool,
    architecture: &'static str,
    image_type: &'static str,
    platform_details: &'static str,
    usage_operation: &'static str,
    name: String,
    description: String,
    root_device_type: &'static str,
    root_device_name: &'static str,
    block_device_mapping: Vec<BlockDevice>,
    virtualization_type: &'static str,
    hypervisor: &'static str,
    ena_support: bool,
    sriov_net_support: &'static str,
    boot_mode: &'static str,
    imds_support: Option<&'static str>,
    source_instance_id: Option<String>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateReason {
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockDevice {
    device_name: &'static str,
    ebs: Ebs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ebs {
    delete_on_termination: bool,
    snapshot_id: String,
    volume_size: u32,
    volume_type: &'static str,
    iops: Option<u32>,
    throughput: Option<u32>,
    encrypted: bool,
}

fn shape(image: &Image) -> Shape {
    let gp3 = image.root_volume_type == "gp3";
    let own = image.own.as_ref();
    Shape {
        image_id: image.id.to_string(),
        image_location: format!(
            "{}/{}",
            image.owner_alias.unwrap_or(&image.owner),
            image.name
        ),
        image_state: state(image),
        state_reason: own
            .and_then(|own| own.reason.clone())
            .map(|message| StateReason {
                code: "Server.InternalError",
                message,
            }),
        image_owner_id: image.owner.to_string(),
        image_owner_alias: image.owner_alias,
        creation_date: date(image.created),
        deprecation_time: deprecation(image).map(date),
        is_public: own.is_none(),
        architecture: image.architecture.name(),
        image_type: "machine",
        platform_details: "Linux/UNIX",
        usage_operation: "RunInstances",
        name: image.name.clone(),
        description: image.description.clone(),
        root_device_type: "ebs",
        root_device_name: image.root_device,
        block_device_mapping: vec![BlockDevice {
            device_name: image.root_device,
            ebs: Ebs {
                delete_on_termination: true,
                snapshot_id: snapshot(image).to_string(),
                volume_size: image.root_size,
                volume_type: image.root_volume_type,
                iops: gp3.then_some(3000),
                throughput: gp3.then_some(125),
                encrypted: false,
            },
        }],
        virtualization_type: "hvm",
        hypervisor: "xen",
        ena_support: true,
        sriov_net_support: "simple",
        boot_mode: image.boot_mode,
        imds_support: image.imds_v2.then_some("v2.0"),
        source_instance_id: own
            .and_then(|own| own.source.as_ref())
            .map(ToString::to_string),
        tag_set: own.map(|own| tag::list(&own.tags)).unwrap_or_default(),
    }
}

fn date(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// Twenty years on: the catalogue's images do not go out of use by themselves. Others have no
/// such time unless somebody sets one.
fn deprecation(image: &Image) -> Option<jiff::Timestamp> {
    let years = 20 * 365 * 24;
    image::find(&image.id).and_then(|image| image.created.checked_add(years.hours()).ok())
}

fn state(image: &Image) -> &'static str {
    image.own.as_ref().map_or("available", |own| own.state)
}

/// The snapshot behind the root device; of the catalogue's images, by the image's own digits.
pub(super) fn snapshot(image: &Image) -> SnapshotId {
    if let Some(own) = &image.own {
        return own.snapshot.clone();
    }
    let digits = image.id.as_str().trim_start_matches("ami-");
    format!("snap-{digits}")
        .parse()
        .unwrap_or_else(|_| SnapshotId::random())
}

const FILTERS: &[Field<Image>] = &[
    ("architecture", |_, i| one(i.architecture.name())),
    ("block-device-mapping.delete-on-termination", |_, _| {
        one(true)
    }),
    (
        "block-device-mapping.device-name",
        |_, i| one(i.root_device),
    ),
    ("block-device-mapping.encrypted", |_, _| one(false)),
    ("block-device-mapping.snapshot-id", |_, i| one(snapshot(i))),
    ("block-device-mapping.volume-size", |_, i| one(i.root_size)),
    ("block-device-mapping.volume-type", |_, i| {
        one(i.root_volume_type)
    }),
    ("boot-mode", |_, i| one(i.boot_mode)),
    ("creation-date", |_, i| one(date(i.created))),
    ("description", |_, i| one(&i.description)),
    ("ena-support", |_, _| one(true)),
    ("hypervisor", |_, _| one("xen")),
    ("image-id", |_, i| one(&i.id)),
    ("image-type", |_, _| one("machine")),
    ("imds-support", |_, i| maybe(i.imds_v2.then_some("v2.0"))),
    ("is-public", |_, i| one(i.own.is_none())),
    ("kernel-id", |_, _| Vec::new()),
    ("manifest-location", |_, i| {
        one(format!("{}/{}", i.owner_alias.unwrap_or(&i.owner), i.name))
    }),
    ("name", |_, i| one(&i.name)),
    ("owner-alias", |_, i| maybe(i.owner_alias)),
    ("owner-id", |_, i| one(&i.owner)),
    // Linux images have no platform.
    ("platform", |_, _| Vec::new()),
    ("platform-details", |_, _| one("Linux/UNIX")),
    ("free-tier-eligible", |_, _| one(true)),
    ("image-allowed", |_, _| one(true)),
    ("product-code", |_, _| Vec::new()),
    ("product-code.type", |_, _| Vec::new()),
    ("ramdisk-id", |_, _| Vec::new()),
    ("source-image-id", |_, _| Vec::new()),
    ("source-image-region", |_, _| Vec::new()),
    ("source-instance-id", |_, i| {
        maybe(i.own.as_ref().and_then(|own| own.source.as_ref()))
    }),
    ("state-reason-code", |_, _| Vec::new()),
    ("state-reason-message", |_, _| Vec::new()),
    ("root-device-name", |_, i| one(i.root_device)),
    ("root-device-type", |_, _| one("ebs")),
    ("state", |_, i| one(state(i))),
    ("sriov-net-support", |_, _| one("simple")),
    ("usage-operation", |_, _| one("RunInstances")),
    ("virtualization-type", |_, _| one("hvm")),
];

pub fn describe_all(ctx: &mut Ctx, input: DescribeImages) -> Result<Images> {
    // No image of the catalogue is deprecated or disabled.
    let _ = (input.include_deprecated, input.include_disabled);
    let page = Page::within(1, 1000, input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    let region = ctx.scope.region.clone();
    let built = ctx.cloud.images.get();
    // A launch takes ids that are not in the catalogue, so asking for one finds it too.
    let mut unknown = Vec::new();
    for given in &input.image_id {
        let id = parse(given)?;
        match named(&ctx.tx, &ctx.scope, &built, &id) {
            Named::Known(_) => {}
            Named::Gone => return Err(not_found(given)),
            Named::Unknown if ctx.cloud.strict_images => return Err(not_found(given)),
            Named::Unknown => {
                let region = zone::region(&region).ok_or_else(|| not_found(given))?;
                unknown.push(image::unknown(&id, region.name));
            }
        }
    }
    dry_run(input.dry_run)?;
    let account = ctx.scope.account.clone();
    let owned = |i: &Image| {
        input.owner.is_empty()
            || input.owner.iter().any(|owner| match owner.as_str() {
                "self" => *i.owner == *account,
                alias @ ("amazon" | "aws-marketplace") => i.owner_alias == Some(alias),
                id => *i.owner == *id,
            })
    };
    // All are public: anyone's to run, by nobody's explicit permission.
    let executable = |who: &String| who == "all";
    let public = input.executable_by.is_empty() || input.executable_by.iter().any(executable);
    let named_by_caller = |i: &Image| {
        input.image_id.is_empty() || input.image_id.iter().any(|id| id == i.id.as_str())
    };
    let catalogue: Vec<&Image> = image::in_region(&region).collect();
    let local: Vec<Image> = zone::region(&region)
        .into_iter()
        .flat_map(|r| built.iter().filter_map(|b| image::local(r.name, b)))
        .collect();
    let own: Vec<Image> = super::resource::owned::<OwnImage>(&ctx.tx, &ctx.scope)
        .filter(|image| !image.deregistered)
        .filter_map(|image| {
            image::of_account(
                image,
                ctx.tx.snapshots.get(&image.snapshot).map(AsRef::as_ref),
            )
        })
        .collect();
    let no_tags = Tags::new();
    let tags = |i: &Image| i.own.as_ref().map_or(&no_tags, |own| &own.tags).clone();
    let mut found: Vec<&Image> = catalogue
        .into_iter()
        .chain(&unknown)
        .chain(&local)
        .filter(|_| public)
        .chain(&own)
        .filter(|i| owned(i) && named_by_caller(i))
        .filter(|i| filters.match_tagged(&ctx.tx, i, &tags(i)))
        .collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let (found, next_token) = page.of(found, |i| i.id.to_string());
    Ok(Images {
        images_set: found.into_iter().map(shape).collect(),
        next_token,
    })
}

/// What an id means to a caller.
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once")]
pub(super) enum Named {
    Known(Cow<'static, Image>),
    /// Of another region or account, or no more.
    Gone,
    /// Of no image here; AWS may have it.
    Unknown,
}

pub(super) fn named(state: &State, scope: &Scope, built: &[image::Built], id: &ImageId) -> Named {
    if let Some(image) = image::find(id) {
        return match *image.region == *scope.region {
            true => Named::Known(Cow::Borrowed(image)),
            false => Named::Gone,
        };
    }
    let Some(own) = state.images.get(id) else {
        let of_region = |region: &zone::Region| {
            let mut local = built.iter().filter_map(|b| image::local(region.name, b));
            local.find(|image| image.id == *id)
        };
        if let Some(image) = zone::region(&scope.region).and_then(of_region) {
            return Named::Known(Cow::Owned(image));
        }
        return Named::Unknown;
    };
    let snapshot = state.snapshots.get(&own.snapshot).map(AsRef::as_ref);
    match image::of_account(own, snapshot) {
        Some(image) if own.scope == *scope && !own.deregistered => Named::Known(Cow::Owned(image)),
        _ => Named::Gone,
    }
}

/// The id that a text spells.
pub(super) fn parse(text: &str) -> Result<ImageId> {
    text.parse().map_err(|_| {
        error(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{text}\" (expecting \"ami-...\")"),
        )
    })
}

pub(super) fn not_found(id: &str) -> ApiError {
    error(
        "InvalidAMIID.NotFound",
        format!("The image id '[{id}]' does not exist"),
    )
}
