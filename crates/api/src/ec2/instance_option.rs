//! Options of an instance that change while it runs: metadata service, monitoring,
//! CPU credits, recovery and private names.

use super::error::{Result, dry_run, error, missing};
use super::filter::{Field, Filter, one};
use super::instance_shape::{MetadataShape, Monitoring};
use super::instance_state::all;
use super::launch_template_data::{
    AutoRecovery, HostnameType, HttpTokens, MetadataOptions, Switch,
};
use super::page::{Page, describe};
use super::resource::find;
use super::{Done, done};
use crate::Ctx;
use model::instance::{Instance, InstanceState};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyInstanceMetadataOptions {
    instance_id: String,
    http_tokens: Option<HttpTokens>,
    http_put_response_hop_limit: Option<u32>,
    http_endpoint: Option<Switch>,
    http_protocol_ipv6: Option<Switch>,
    instance_metadata_tags: Option<Switch>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModifiedMetadataOptions {
    instance_id: String,
    instance_metadata_options: MetadataShape<String>,
}

pub fn modify_metadata(
    ctx: &mut Ctx,
    input: ModifyInstanceMetadataOptions,
) -> Result<ModifiedMetadataOptions> {
    let mut instance = Instance::clone(&*find::<Instance>(ctx, &input.instance_id)?);
    let limit = MetadataOptions {
        http_put_response_hop_limit: input.http_put_response_hop_limit,
        ..MetadataOptions::default()
    };
    limit.check()?;
    let options = &mut instance.metadata;
    if let Some(tokens) = input.http_tokens {
        options.http_tokens = tokens.name().to_owned();
    }
    if let Some(limit) = input.http_put_response_hop_limit {
        options.http_put_response_hop_limit = u8::try_from(limit).unwrap_or(64);
    }
    let switches = [
        (input.http_endpoint, &mut options.http_endpoint),
        (input.http_protocol_ipv6, &mut options.http_protocol_ipv6),
        (
            input.instance_metadata_tags,
            &mut options.instance_metadata_tags,
        ),
    ];
    for (given, option) in switches {
        if let Some(switch) = given {
            *option = switch.name().to_owned();
        }
    }
    dry_run(input.dry_run)?;
    let answer = ModifiedMetadataOptions {
        instance_id: instance.id.to_string(),
        instance_metadata_options: (&instance.metadata).into(),
    };
    ctx.tx.put(instance);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MonitorInstances {
    #[serde(default)]
    instance_id: Vec<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitorings {
    instances_set: Vec<InstanceMonitoring>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceMonitoring {
    instance_id: String,
    monitoring: Monitoring,
}

pub fn monitor(ctx: &mut Ctx, input: MonitorInstances) -> Result<Monitorings> {
    set_monitoring(ctx, &input, true)
}

pub fn unmonitor(ctx: &mut Ctx, input: MonitorInstances) -> Result<Monitorings> {
    set_monitoring(ctx, &input, false)
}

fn set_monitoring(ctx: &mut Ctx, input: &MonitorInstances, on: bool) -> Result<Monitorings> {
    let instances = all(ctx, &input.instance_id)?;
    dry_run(input.dry_run)?;
    let mut answer = Monitorings {
        instances_set: Vec::new(),
    };
    for instance in instances {
        let before = instance.monitoring;
        ctx.tx
            .modify::<Instance>(&instance.id, |i| i.monitoring = on);
        // The call tells of the change, Describe calls of what is so then.
        let state = match (before, on) {
            (false, true) => "pending",
            (true, false) => "disabling",
            _ => Monitoring::new(on).state,
        };
        answer.instances_set.push(InstanceMonitoring {
            instance_id: instance.id.to_string(),
            monitoring: Monitoring { state },
        });
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceCreditSpecifications {
    #[serde(default)]
    instance_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreditSpecifications {
    instance_credit_specification_set: Vec<CreditSpecification>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreditSpecification {
    instance_id: String,
    cpu_credits: String,
}

const CREDIT_FILTERS: &[Field<Instance>] = &[("instance-id", |_, i| one(&i.id))];

/// Of burstable instances; where none is named, of those that are `unlimited`.
pub fn describe_credits(
    ctx: &mut Ctx,
    input: DescribeInstanceCreditSpecifications,
) -> Result<CreditSpecifications> {
    let everything = Page::new(None, None)?;
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let (found, _) = describe(
        ctx,
        &input.instance_id,
        &input.filter,
        CREDIT_FILTERS,
        &everything,
    )?;
    dry_run(input.dry_run)?;
    let named = !input.instance_id.is_empty();
    let shapes = found.iter().filter_map(|i| {
        let cpu_credits = i.cpu_credits.clone()?;
        let gone = i.state == InstanceState::Terminated;
        (named || (cpu_credits == "unlimited" && !gone)).then(|| CreditSpecification {
            instance_id: i.id.to_string(),
            cpu_credits,
        })
    });
    let (instance_credit_specification_set, next_token) =
        page.of(shapes, |s| s.instance_id.clone());
    Ok(CreditSpecifications {
        instance_credit_specification_set,
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyInstanceCreditSpecification {
    #[serde(default)]
    instance_credit_specification: Vec<CreditRequest>,
    /// Setting an option twice is setting it once.
    #[serde(rename = "ClientToken")]
    #[serde(default, deserialize_with = "wire::validated")]
    _client_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreditRequest {
    instance_id: Option<String>,
    cpu_credits: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModifiedCredits {
    successful_instance_credit_specification_set: Vec<Modified>,
    unsuccessful_instance_credit_specification_set: Vec<NotModified>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Modified {
    instance_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotModified {
    instance_id: String,
    error: Reason,
}

#[derive(Serialize)]
struct Reason {
    code: String,
    message: String,
}

/// Each instance succeeds or fails by itself.
pub fn modify_credits(
    ctx: &mut Ctx,
    input: ModifyInstanceCreditSpecification,
) -> Result<ModifiedCredits> {
    if input.instance_credit_specification.is_empty() {
        return Err(missing("InstanceCreditSpecification"));
    }
    dry_run(input.dry_run)?;
    let mut answer = ModifiedCredits {
        successful_instance_credit_specification_set: Vec::new(),
        unsuccessful_instance_credit_specification_set: Vec::new(),
    };
    for request in input.instance_credit_specification {
        let Some(instance_id) = request.instance_id else {
            return Err(missing("InstanceCreditSpecification.InstanceId"));
        };
        let option = request.cpu_credits.unwrap_or_else(|| "standard".to_owned());
        match set_credits(ctx, &instance_id, option) {
            Ok(()) => {
                let set = &mut answer.successful_instance_credit_specification_set;
                set.push(Modified { instance_id });
            }
            Err(e) => {
                let set = &mut answer.unsuccessful_instance_credit_specification_set;
                set.push(NotModified {
                    instance_id,
                    error: Reason {
                        code: e.code.into_owned(),
                        message: e.message,
                    },
                });
            }
        }
    }
    Ok(answer)
}

fn set_credits(ctx: &mut Ctx, id: &str, option: String) -> Result<()> {
    let instance = find::<Instance>(ctx, id)?;
    if !matches!(option.as_str(), "standard" | "unlimited") {
        return Err(super::error::invalid_value(format!(
            "Value ({option}) for parameter cpuCredits is invalid."
        )));
    }
    if instance.cpu_credits.is_none() {
        return Err(error(
            "InstanceCreditSpecification.NotSupported",
            format!(
                "The instance type {} has no CPU credits.",
                instance.instance_type
            ),
        ));
    }
    ctx.tx
        .modify::<Instance>(&instance.id, |i| i.cpu_credits = Some(option));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyInstanceMaintenanceOptions {
    instance_id: String,
    auto_recovery: Option<AutoRecovery>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModifiedMaintenanceOptions {
    instance_id: String,
    auto_recovery: String,
}

pub fn modify_maintenance(
    ctx: &mut Ctx,
    input: ModifyInstanceMaintenanceOptions,
) -> Result<ModifiedMaintenanceOptions> {
    let mut instance = Instance::clone(&*find::<Instance>(ctx, &input.instance_id)?);
    if let Some(auto_recovery) = input.auto_recovery {
        instance.auto_recovery = auto_recovery.name().to_owned();
    }
    dry_run(input.dry_run)?;
    let answer = ModifiedMaintenanceOptions {
        instance_id: instance.id.to_string(),
        auto_recovery: instance.auto_recovery.clone(),
    };
    ctx.tx.put(instance);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyPrivateDnsNameOptions {
    instance_id: String,
    private_dns_hostname_type: Option<HostnameType>,
    enable_resource_name_dns_a_record: Option<bool>,
    #[serde(rename = "EnableResourceNameDnsAAAARecord")]
    enable_resource_name_dns_aaaa_record: Option<bool>,
    dry_run: Option<bool>,
}

pub fn modify_private_dns(ctx: &mut Ctx, input: ModifyPrivateDnsNameOptions) -> Result<Done> {
    let mut instance = Instance::clone(&*find::<Instance>(ctx, &input.instance_id)?);
    if let Some(kind) = input.private_dns_hostname_type {
        if instance.state != InstanceState::Stopped {
            return Err(error(
                "IncorrectInstanceState",
                format!(
                    "The instance '{}' is not in the 'stopped' state.",
                    instance.id
                ),
            ));
        }
        instance.private_dns.hostname_type = kind.name().to_owned();
    }
    let names = &mut instance.private_dns;
    if let Some(on) = input.enable_resource_name_dns_a_record {
        names.resource_name_a_record = on;
    }
    if let Some(on) = input.enable_resource_name_dns_aaaa_record {
        names.resource_name_aaaa_record = on;
    }
    dry_run(input.dry_run)?;
    ctx.tx.put(instance);
    done()
}
