//! Flow logs: which traffic is to be logged where.
//!
//! Nothing is delivered: the data plane does not write down who talked to whom. So each flow
//! log says what AWS's says where delivery fails, and an event tells why.

use super::error::{
    Result, dry_run, error, invalid_combination, invalid_parameter, missing, refuse,
};
use super::filter::{Field, Filter, maybe, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::vpc_endpoint::{Unsuccessful, UnsuccessfulItem};
use crate::Ctx;
use model::FlowLogId;
use model::event::Severity;
use model::flow_log::FlowLog;
use model::vpc::{NetworkInterface, Subnet, Vpc};
use serde::{Deserialize, Serialize};

const DEFAULT_FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    flow_log_id: String,
    flow_log_status: &'static str,
    resource_id: String,
    traffic_type: String,
    log_destination_type: String,
    log_destination: Option<String>,
    log_group_name: Option<String>,
    log_format: String,
    deliver_logs_permission_arn: Option<String>,
    deliver_cross_account_role: Option<String>,
    deliver_logs_status: &'static str,
    deliver_logs_error_message: &'static str,
    max_aggregation_interval: u32,
    destination_options: Option<OptionsShape>,
    creation_time: wire::Timestamp,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OptionsShape {
    file_format: String,
    hive_compatible_partitions: bool,
    per_hour_partition: bool,
}

fn shape(log: &FlowLog) -> Shape {
    let options = log.options.as_ref();
    Shape {
        flow_log_id: log.id.to_string(),
        flow_log_status: "ACTIVE",
        resource_id: log.resource.clone(),
        traffic_type: log.traffic.clone(),
        log_destination_type: log.destination_type.clone(),
        log_destination: Some(log.destination.clone()),
        log_group_name: log.log_group.clone(),
        log_format: log.format.clone(),
        deliver_logs_permission_arn: log.permission_arn.clone(),
        deliver_cross_account_role: log.cross_account_role.clone(),
        deliver_logs_status: "FAILED",
        deliver_logs_error_message: "Unknown error",
        max_aggregation_interval: log.aggregation_seconds,
        destination_options: options.map(|(format, hive, hourly)| OptionsShape {
            file_format: format.clone(),
            hive_compatible_partitions: *hive,
            per_hour_partition: *hourly,
        }),
        creation_time: log.created.into(),
        tag_set: tag::list(&log.tags),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateFlowLogs {
    #[serde(default)]
    resource_id: Vec<String>,
    resource_type: String,
    traffic_type: Option<String>,
    log_destination_type: Option<String>,
    log_destination: Option<String>,
    log_group_name: Option<String>,
    log_format: Option<String>,
    deliver_logs_permission_arn: Option<String>,
    deliver_cross_account_role: Option<String>,
    max_aggregation_interval: Option<u32>,
    destination_options: Option<DestinationOptions>,
    client_token: Option<String>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationOptions {
    file_format: Option<String>,
    hive_compatible_partitions: Option<bool>,
    per_hour_partition: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedFlowLogs {
    client_token: Option<String>,
    flow_log_id_set: Vec<String>,
    unsuccessful: Vec<UnsuccessfulItem>,
}

pub fn create(ctx: &mut Ctx, input: CreateFlowLogs) -> Result<CreatedFlowLogs> {
    if input.resource_id.is_empty() {
        return Err(missing("resourceId"));
    }
    let template = template(ctx, &input)?;
    dry_run(input.dry_run)?;
    let mut answer = CreatedFlowLogs {
        client_token: input.client_token.clone(),
        flow_log_id_set: Vec::new(),
        unsuccessful: Vec::new(),
    };
    for id in &input.resource_id {
        let earlier = |l: &&std::sync::Arc<FlowLog>| {
            let token = input.client_token.as_ref().filter(|t| !t.is_empty());
            l.resource == *id && token.is_some() && l.client_token.as_ref() == token
        };
        if let Some(made) = owned::<FlowLog>(&ctx.tx, &ctx.scope).find(earlier) {
            answer.flow_log_id_set.push(made.id.to_string());
            continue;
        }
        match check_resource(ctx, &input.resource_type, id, &template) {
            Err(error) => answer.unsuccessful.push(UnsuccessfulItem::new(id, error)),
            Ok(()) => {
                let log = FlowLog {
                    id: FlowLogId::random(),
                    resource: id.clone(),
                    ..template.clone()
                };
                answer.flow_log_id_set.push(log.id.to_string());
                let message = "is recorded and described, but no flow is logged: this cloud's routers do not write down what they pass";
                ctx.tx
                    .event(ctx.now, Severity::Warning, &log.id, "not-emulated", message);
                ctx.tx.put(log);
            }
        }
    }
    Ok(answer)
}

/// What all flow logs of the call have in common.
fn template(ctx: &Ctx, input: &CreateFlowLogs) -> Result<FlowLog> {
    let traffic = match input.traffic_type.as_deref() {
        Some(kind @ ("ACCEPT" | "REJECT" | "ALL")) => kind.to_owned(),
        None => return Err(missing("trafficType")),
        Some(other) => {
            return Err(invalid_parameter(
                other,
                "trafficType",
                "Expecting ACCEPT, REJECT or ALL.",
            ));
        }
    };
    let destination_type = input
        .log_destination_type
        .clone()
        .unwrap_or_else(|| "cloud-watch-logs".into());
    let given = (&input.log_destination, &input.log_group_name);
    let (destination, log_group) = match (destination_type.as_str(), given) {
        (_, (Some(_), Some(_))) => {
            return Err(invalid_combination(
                "Only one of logDestination and logGroupName may be specified.",
            ));
        }
        ("cloud-watch-logs", (Some(arn), None)) => {
            let name = arn.split_once(":log-group:").map(|(_, name)| name);
            let name = name.ok_or_else(|| bad_destination(arn))?;
            (arn.clone(), name.trim_end_matches(":*").to_owned())
        }
        ("cloud-watch-logs", (None, Some(name))) => {
            let arn = ctx.scope.arn("logs", format_args!("log-group:{name}"));
            (arn, name.clone())
        }
        ("s3", (Some(arn), None)) => (checked_bucket(ctx, arn)?, String::new()),
        ("s3" | "cloud-watch-logs", _) => return Err(missing("logDestination")),
        ("kinesis-data-firehose", _) => {
            refuse(&Some(()), "LogDestinationType=kinesis-data-firehose")?;
            return Err(missing("logDestination"));
        }
        (other, _) => {
            return Err(invalid_parameter(
                other,
                "logDestinationType",
                "Expecting cloud-watch-logs or s3.",
            ));
        }
    };
    let is_s3 = destination_type == "s3";
    if !is_s3 && input.deliver_logs_permission_arn.is_none() {
        return Err(error(
            "InvalidParameter",
            "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.",
        ));
    }
    let aggregation_seconds = match input.max_aggregation_interval {
        None => 600,
        Some(seconds @ (60 | 600)) => seconds,
        Some(other) => {
            let why = "Expecting 60 or 600.";
            return Err(invalid_parameter(other, "maxAggregationInterval", why));
        }
    };
    Ok(FlowLog {
        id: FlowLogId::random(),
        scope: ctx.scope.clone(),
        resource: String::new(),
        traffic,
        destination_type,
        destination,
        log_group: Some(log_group).filter(|name| !name.is_empty()),
        permission_arn: input.deliver_logs_permission_arn.clone(),
        cross_account_role: input.deliver_cross_account_role.clone(),
        format: input
            .log_format
            .clone()
            .filter(|f| !f.is_empty())
            .unwrap_or_else(|| DEFAULT_FORMAT.into()),
        aggregation_seconds,
        options: options(input.destination_options.as_ref(), is_s3)?,
        client_token: input.client_token.clone(),
        created: ctx.now,
        tags: tag::of(&input.tag_specification, FlowLog::TYPE)?,
    })
}

fn options(
    given: Option<&DestinationOptions>,
    is_s3: bool,
) -> Result<Option<(String, bool, bool)>> {
    let Some(given) = given else {
        return Ok(is_s3.then(|| ("plain-text".to_owned(), false, false)));
    };
    if !is_s3 {
        return Err(invalid_combination(
            "DestinationOptions are for the destination s3 only.",
        ));
    }
    let format = given.file_format.as_deref().unwrap_or("plain-text");
    if !matches!(format, "plain-text" | "parquet") {
        return Err(invalid_parameter(
            format,
            "fileFormat",
            "Expecting plain-text or parquet.",
        ));
    }
    Ok(Some((
        format.to_owned(),
        given.hive_compatible_partitions.unwrap_or(false),
        given.per_hour_partition.unwrap_or(false),
    )))
}

fn bad_destination(arn: &str) -> wire::ApiError {
    error(
        "InvalidParameter",
        format!("LogDestination: {arn} is not a valid destination."),
    )
}

fn checked_bucket(ctx: &Ctx, arn: &str) -> Result<String> {
    let path = arn.strip_prefix("arn:aws:s3:::");
    let bucket = path.map(|p| p.split('/').next().unwrap_or(p));
    match bucket {
        Some(bucket) if ctx.tx.buckets.contains_key(bucket) => Ok(arn.to_owned()),
        Some(bucket) => Err(error(
            "InvalidParameter",
            format!("LogDestination: {bucket} does not exist."),
        )),
        None => Err(bad_destination(arn)),
    }
}

fn check_resource(ctx: &Ctx, kind: &str, id: &str, template: &FlowLog) -> Result<()> {
    match kind {
        "VPC" => drop(find::<Vpc>(ctx, id)?),
        "Subnet" => drop(find::<Subnet>(ctx, id)?),
        "NetworkInterface" => drop(find::<NetworkInterface>(ctx, id)?),
        other => {
            return Err(super::error::unsupported(format!(
                "Flow logs of a {other} are not supported by this cloud."
            )));
        }
    }
    let same = owned::<FlowLog>(&ctx.tx, &ctx.scope).any(|l| {
        l.resource == id
            && l.traffic == template.traffic
            && l.destination == template.destination
            && l.format == template.format
    });
    match same {
        true => Err(error(
            "FlowLogAlreadyExists",
            "There is an existing Flow Log with the same configuration and log destination.",
        )),
        false => Ok(()),
    }
}

const FILTERS: &[Field<FlowLog>] = &[
    ("deliver-log-status", |_, _| one("FAILED")),
    ("flow-log-id", |_, l| one(&l.id)),
    ("log-destination-type", |_, l| one(&l.destination_type)),
    ("log-group-name", |_, l| maybe(l.log_group.as_ref())),
    ("resource-id", |_, l| one(&l.resource)),
    ("traffic-type", |_, l| one(&l.traffic)),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeFlowLogs {
    #[serde(default)]
    flow_log_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowLogs {
    flow_log_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeFlowLogs) -> Result<FlowLogs> {
    let page = Page::within(1, 1000, input.max_results, input.next_token.as_deref())?;
    // Ids that are not there are left out, as on AWS.
    let known = |id: &&String| find::<FlowLog>(ctx, id).is_ok();
    let ids: Vec<String> = input.flow_log_id.iter().filter(known).cloned().collect();
    dry_run(input.dry_run)?;
    if ids.is_empty() && !input.flow_log_id.is_empty() {
        return Ok(FlowLogs {
            flow_log_set: Vec::new(),
            next_token: None,
        });
    }
    let (logs, next_token) = describe(ctx, &ids, &input.filter, FILTERS, &page)?;
    Ok(FlowLogs {
        flow_log_set: logs.iter().map(|l| shape(l)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteFlowLogs {
    #[serde(default)]
    flow_log_id: Vec<String>,
    dry_run: Option<bool>,
}

pub fn delete(ctx: &mut Ctx, input: DeleteFlowLogs) -> Result<Unsuccessful> {
    if input.flow_log_id.is_empty() {
        return Err(missing("flowLogId"));
    }
    dry_run(input.dry_run)?;
    let mut unsuccessful = Vec::new();
    for id in &input.flow_log_id {
        match find::<FlowLog>(ctx, id) {
            Ok(log) => drop(ctx.tx.remove::<FlowLog>(&log.id)),
            Err(error) => unsuccessful.push(UnsuccessfulItem::new(id, error)),
        }
    }
    Ok(Unsuccessful { unsuccessful })
}
