//! Spot Instance requests: made, described and cancelled here; the Spot request controller
//! launches for them and sees what becomes of their instances.

use super::error::{Result, dry_run, error, invalid_combination, invalid_parameter, missing};
use super::filter::{Field, Filter, all, maybe, one};
use super::launch::{self, Site};
use super::launch_template_data::{
    BlockDeviceMapping, IamInstanceProfile, InstanceMarketOptions, LaunchTemplateData, Monitoring,
    NetworkInterfaceSpecification, Placement, SpotOptions, Tenancy,
};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::spot_launch::{self, call_off};
use super::spot_request_shape::{Shape, shape};
use super::tag::{self, TagSpecification};
use crate::Ctx;
use model::spot_request::{SpotRequest, SpotRequestState};
use model::vpc::Subnet;
use model::{SpotRequestId, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestSpotInstances {
    #[serde(default, deserialize_with = "wire::refused")]
    availability_zone_group: Option<String>,
    #[serde(default, deserialize_with = "wire::refused")]
    block_duration_minutes: Option<u32>,
    client_token: Option<String>,
    instance_count: Option<u32>,
    instance_interruption_behavior: Option<String>,
    #[serde(default, deserialize_with = "wire::refused")]
    launch_group: Option<String>,
    launch_specification: Option<LaunchSpecification>,
    #[serde(default, deserialize_with = "wire::stored")]
    spot_price: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    r#type: Option<String>,
    valid_from: Option<wire::Timestamp>,
    valid_until: Option<wire::Timestamp>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LaunchSpecification {
    #[serde(default, deserialize_with = "wire::refused")]
    addressing_type: Option<String>,
    #[serde(default)]
    block_device_mapping: Vec<BlockDeviceMapping>,
    #[serde(default, deserialize_with = "wire::stored")]
    ebs_optimized: Option<bool>,
    iam_instance_profile: Option<IamInstanceProfile>,
    image_id: Option<String>,
    instance_type: Option<String>,
    #[serde(default, deserialize_with = "wire::refused")]
    kernel_id: Option<String>,
    key_name: Option<String>,
    monitoring: Option<Monitoring>,
    #[serde(default)]
    network_interface: Vec<NetworkInterfaceSpecification>,
    placement: Option<SpotPlacement>,
    #[serde(default, deserialize_with = "wire::refused")]
    ramdisk_id: Option<String>,
    #[serde(default)]
    security_group: Vec<String>,
    #[serde(default)]
    security_group_id: Vec<String>,
    subnet_id: Option<String>,
    user_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SpotPlacement {
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    group_name: Option<String>,
    tenancy: Option<Tenancy>,
}

impl LaunchSpecification {
    /// What is to be launched, and where.
    fn taken(self) -> Result<(LaunchTemplateData, Option<String>)> {
        super::error::refuse(&self.addressing_type, "AddressingType")?;
        super::error::refuse(&self.kernel_id, "KernelId")?;
        super::error::refuse(&self.ramdisk_id, "RamdiskId")?;
        let data = LaunchTemplateData {
            block_device_mappings: self.block_device_mapping,
            ebs_optimized: self.ebs_optimized,
            iam_instance_profile: self.iam_instance_profile,
            image_id: self.image_id,
            instance_type: self.instance_type,
            key_name: self.key_name,
            monitoring: self.monitoring,
            network_interfaces: self.network_interface,
            placement: self.placement.map(|p| Placement {
                availability_zone: p.availability_zone,
                availability_zone_id: p.availability_zone_id,
                group_name: p.group_name,
                tenancy: p.tenancy,
                ..Placement::default()
            }),
            security_groups: self.security_group,
            security_group_ids: self.security_group_id,
            user_data: self.user_data,
            ..LaunchTemplateData::default()
        };
        Ok((data, self.subnet_id.filter(|s| !s.is_empty())))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotRequests {
    spot_instance_request_set: Vec<Shape>,
    next_token: Option<String>,
}

fn check_times(from: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> Result<()> {
    let past = "The time must be in the future.";
    if let Some(from) = from.filter(|at| *at <= now) {
        return Err(invalid_parameter(from, "validFrom", past));
    }
    if let Some(until) = until.filter(|at| *at <= now) {
        return Err(invalid_parameter(until, "validUntil", past));
    }
    match (from, until) {
        (Some(from), Some(until)) if until <= from => Err(invalid_combination(
            "ValidUntil must be later than ValidFrom.",
        )),
        _ => Ok(()),
    }
}

pub fn create(ctx: &mut Ctx, input: RequestSpotInstances) -> Result<SpotRequests> {
    super::error::refuse(&input.availability_zone_group, "AvailabilityZoneGroup")?;
    super::error::refuse(&input.launch_group, "LaunchGroup")?;
    super::error::refuse(&input.block_duration_minutes, "BlockDurationMinutes")?;
    let persistent = spot_launch::is_persistent(input.r#type.as_deref())?;
    let options = SpotOptions {
        max_price: input.spot_price,
        spot_instance_type: input.r#type,
        instance_interruption_behavior: input.instance_interruption_behavior,
        ..SpotOptions::default()
    };
    let specification = input.launch_specification;
    let specification = specification.ok_or_else(|| missing("LaunchSpecification"))?;
    let (mut data, subnet) = specification.taken()?;
    data.instance_market_options = Some(InstanceMarketOptions {
        market_type: Some("spot".into()),
        spot_options: Some(options.clone()),
    });
    let site = Site::new(&ctx.cloud, &ctx.scope, ctx.now);
    launch::check(&ctx.tx, &site, &data)?;
    if let Some(id) = &subnet {
        find::<Subnet>(ctx, id)?;
    }
    let (from, until) = (
        input.valid_from.map(Timestamp::from),
        input.valid_until.map(Timestamp::from),
    );
    check_times(from, until, ctx.now)?;
    let count = input.instance_count.unwrap_or(1);
    if count == 0 {
        let why = "It must be at least 1.";
        return Err(invalid_parameter(count, "instanceCount", why));
    }
    launch::check_spot_quota(&ctx.tx, &site, &data, count)?;
    let tags = tag::of(&input.tag_specification, SpotRequest::TYPE)?;
    let token = input.client_token.filter(|t| !t.is_empty());
    let launch = data.stored()?;
    let mut made = with_token(ctx, token.as_deref(), &launch, count)?;
    dry_run(input.dry_run)?;
    if made.is_empty() {
        for _ in 0..count {
            let request = SpotRequest {
                id: SpotRequestId::random(),
                scope: ctx.scope.clone(),
                persistent,
                max_price: options.max_price.clone(),
                interruption: options
                    .instance_interruption_behavior
                    .clone()
                    .unwrap_or_else(|| "terminate".into()),
                valid_from: from,
                valid_until: until,
                launch: launch.clone(),
                subnet: subnet.clone(),
                state: SpotRequestState::Open,
                status: (
                    "pending-evaluation".into(),
                    "Your Spot request has been submitted for review, and is pending evaluation."
                        .into(),
                ),
                status_since: ctx.now,
                instance: None,
                created: ctx.now,
                client_token: token.clone(),
                tags: tags.clone(),
            };
            ctx.tx.put(request.clone());
            made.push(request);
        }
    }
    let shapes = made.iter().map(|r| shape(&ctx.tx, r));
    Ok(SpotRequests {
        spot_instance_request_set: shapes.collect::<Result<_>>()?,
        next_token: None,
    })
}

/// What an earlier call with the token made.
fn with_token(
    ctx: &Ctx,
    token: Option<&str>,
    launch: &model::instance::LaunchTemplateData,
    count: u32,
) -> Result<Vec<SpotRequest>> {
    let Some(token) = token else {
        return Ok(Vec::new());
    };
    let all = owned::<SpotRequest>(&ctx.tx, &ctx.scope);
    let made: Vec<SpotRequest> = all
        .filter(|r| r.client_token.as_deref() == Some(token))
        .map(|r| SpotRequest::clone(r))
        .collect();
    let same = made.len() == count as usize && made.iter().all(|r| r.launch == *launch);
    if made.is_empty() || same {
        return Ok(made);
    }
    Err(error(
        "IdempotentParameterMismatch",
        "The client token has been used with different parameters.",
    ))
}

/// The launch parameters of a request, which only this crate has written.
fn launched(request: &SpotRequest) -> LaunchTemplateData {
    LaunchTemplateData::load(&request.launch).unwrap_or_default()
}

fn groups(request: &SpotRequest) -> Vec<String> {
    let data = launched(request);
    let of_interfaces = data.network_interfaces.into_iter();
    let of_interfaces = of_interfaces.flat_map(|i| i.groups.0);
    all(data.security_group_ids.into_iter().chain(of_interfaces))
}

fn zone(state: &store::State, request: &SpotRequest) -> Option<String> {
    let instance = state.instances.get(request.instance.as_ref()?)?;
    Some(instance.zone.clone())
}

const FILTERS: &[Field<SpotRequest>] = &[
    ("create-time", |_, r| one(r.created)),
    ("instance-id", |_, r| maybe(r.instance.as_ref())),
    ("launch.group-id", |_, r| groups(r)),
    ("launch.image-id", |_, r| maybe(launched(r).image_id)),
    ("launch.instance-type", |_, r| {
        maybe(launched(r).instance_type)
    }),
    ("launch.key-name", |_, r| maybe(launched(r).key_name)),
    ("launch.monitoring-enabled", |_, r| {
        let monitoring = launched(r).monitoring;
        one(monitoring.and_then(|m| m.enabled).unwrap_or(false))
    }),
    ("launched-availability-zone", |s, r| maybe(zone(s, r))),
    ("network-interface.subnet-id", |_, r| {
        let interfaces = launched(r).network_interfaces.into_iter();
        all(interfaces.filter_map(|i| i.subnet_id))
    }),
    ("product-description", |_, _| {
        one(super::spot_request_shape::PRODUCT)
    }),
    ("spot-price", |_, r| {
        maybe(super::spot_request_shape::price(r, &launched(r)))
    }),
    ("state", |_, r| one(r.state.name())),
    ("status-code", |_, r| one(&r.status.0)),
    ("status-message", |_, r| one(&r.status.1)),
    ("type", |_, r| one(super::spot_request_shape::kind(r))),
    ("valid-from", |_, r| maybe(r.valid_from)),
    ("valid-until", |_, r| maybe(r.valid_until)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeSpotInstanceRequests {
    #[serde(default)]
    spot_instance_request_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeSpotInstanceRequests) -> Result<SpotRequests> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let ids = &input.spot_instance_request_id;
    let (found, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    let shapes = found.iter().map(|r| shape(&ctx.tx, r));
    Ok(SpotRequests {
        spot_instance_request_set: shapes.collect::<Result<_>>()?,
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelSpotInstanceRequests {
    #[serde(default)]
    spot_instance_request_id: Vec<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelledSpotRequests {
    spot_instance_request_set: Vec<Cancelled>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    spot_instance_request_id: String,
    state: &'static str,
}

/// What runs for the requests runs on.
pub fn cancel(ctx: &mut Ctx, input: CancelSpotInstanceRequests) -> Result<CancelledSpotRequests> {
    if input.spot_instance_request_id.is_empty() {
        return Err(missing("SpotInstanceRequestId"));
    }
    let ids = input.spot_instance_request_id.iter();
    let found: Vec<_> = ids
        .map(|id| find::<SpotRequest>(ctx, id))
        .collect::<Result<_>>()?;
    dry_run(input.dry_run)?;
    let mut answers = Vec::with_capacity(found.len());
    for request in found {
        let mut request = SpotRequest::clone(&request);
        if !request.state.is_over() {
            call_off(&mut request, ctx.now);
            ctx.tx.put(request.clone());
        }
        answers.push(Cancelled {
            spot_instance_request_id: request.id.to_string(),
            // The answer knows no failed requests.
            state: match request.state {
                SpotRequestState::Failed => "closed",
                other => other.name(),
            },
        });
    }
    Ok(CancelledSpotRequests {
        spot_instance_request_set: answers,
    })
}
