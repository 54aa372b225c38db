//! DHCP option sets: made once, never changed, associated with VPCs.

use super::error::{Result, dry_run, has_dependencies, invalid_parameter, invalid_value, missing};
use super::filter::{Field, Filter, all, one};
use super::page::{Page, describe};
use super::resource::{Resource, find, owned};
use super::tag::{self, Tag, TagSpecification};
use super::{Done, dns_name, done};
use crate::Ctx;
use model::vpc::{DhcpOptions, Vpc};
use model::{DhcpOptionsId, Scope, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{State, Tx};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    dhcp_options_id: String,
    owner_id: String,
    dhcp_configuration_set: Vec<ConfigurationShape>,
    tag_set: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigurationShape {
    key: String,
    value_set: Vec<ValueShape>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueShape {
    value: String,
}

fn shape(options: &DhcpOptions) -> Shape {
    let configuration = options.configuration.iter();
    Shape {
        dhcp_options_id: options.id.to_string(),
        owner_id: options.scope.account.to_string(),
        dhcp_configuration_set: configuration
            .map(|(key, values)| ConfigurationShape {
                key: key.clone(),
                value_set: values
                    .iter()
                    .map(|value| ValueShape {
                        value: value.clone(),
                    })
                    .collect(),
            })
            .collect(),
        tag_set: tag::list(&options.tags),
    }
}

pub(super) fn find_default(state: &State, scope: &Scope) -> Option<DhcpOptionsId> {
    owned::<DhcpOptions>(state, scope)
        .find(|o| o.is_default)
        .map(|o| o.id.clone())
}

/// The set that new VPCs get; made where there is none yet.
pub(super) fn default_of(tx: &mut Tx, scope: &Scope) -> DhcpOptionsId {
    if let Some(id) = find_default(tx, scope) {
        return id;
    }
    let options = DhcpOptions {
        id: DhcpOptionsId::random(),
        scope: scope.clone(),
        is_default: true,
        configuration: BTreeMap::from([
            (
                "domain-name".into(),
                vec![dns_name::private_domain(&scope.region)],
            ),
            (
                "domain-name-servers".into(),
                vec!["AmazonProvidedDNS".into()],
            ),
        ]),
        tags: Tags::new(),
    };
    let id = options.id.clone();
    tx.put(options);
    id
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateDhcpOptions {
    #[serde(default)]
    dhcp_configuration: Vec<Configuration>,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    key: Option<String>,
    #[serde(default)]
    value: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneDhcpOptions {
    dhcp_options: Shape,
}

pub fn create(ctx: &mut Ctx, input: CreateDhcpOptions) -> Result<OneDhcpOptions> {
    if input.dhcp_configuration.is_empty() {
        return Err(missing("dhcpConfiguration"));
    }
    let mut configuration = BTreeMap::new();
    for option in input.dhcp_configuration {
        let Some(key) = option.key else {
            return Err(missing("dhcpConfiguration.key"));
        };
        check_option(&key, &option.value)?;
        if configuration.insert(key.clone(), option.value).is_some() {
            return Err(invalid_value(format!(
                "The DHCP option '{key}' was specified more than once."
            )));
        }
    }
    let tags = tag::of(&input.tag_specification, DhcpOptions::TYPE)?;
    dry_run(input.dry_run)?;
    let options = DhcpOptions {
        id: DhcpOptionsId::random(),
        scope: ctx.scope.clone(),
        is_default: false,
        configuration,
        tags,
    };
    let answer = OneDhcpOptions {
        dhcp_options: shape(&options),
    };
    ctx.tx.put(options);
    Ok(answer)
}

fn check_option(key: &str, values: &[String]) -> Result<()> {
    let most = match key {
        "domain-name" | "netbios-node-type" | "ipv6-address-preferred-lease-time" => 1,
        "domain-name-servers" | "ntp-servers" | "netbios-name-servers" => 4,
        _ => {
            return Err(invalid_parameter(
                key,
                "dhcpConfiguration.key",
                "Unknown DHCP option.",
            ));
        }
    };
    if values.is_empty() || values.len() > most {
        return Err(invalid_value(format!(
            "The DHCP option '{key}' takes 1 to {most} values."
        )));
    }
    let servers = matches!(
        key,
        "domain-name-servers" | "ntp-servers" | "netbios-name-servers"
    );
    for value in values {
        let provided = key == "domain-name-servers" && value == "AmazonProvidedDNS";
        if servers && !provided && value.parse::<std::net::IpAddr>().is_err() {
            return Err(invalid_value(format!(
                "Value ({value}) for the DHCP option '{key}' is not an IP address."
            )));
        }
        if key == "netbios-node-type" && !matches!(value.as_str(), "1" | "2" | "4" | "8") {
            return Err(invalid_value(format!(
                "Value ({value}) for the DHCP option '{key}' is not one of 1, 2, 4 and 8."
            )));
        }
    }
    Ok(())
}

const FILTERS: &[Field<DhcpOptions>] = &[
    ("dhcp-options-id", |_, o| one(&o.id)),
    ("key", |_, o| all(o.configuration.keys())),
    ("owner-id", |_, o| one(&o.scope.account)),
    ("value", |_, o| all(o.configuration.values().flatten())),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeDhcpOptions {
    #[serde(default)]
    dhcp_options_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DhcpOptionSets {
    dhcp_options_set: Vec<Shape>,
    next_token: Option<String>,
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeDhcpOptions) -> Result<DhcpOptionSets> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let ids = &input.dhcp_options_id;
    let (sets, next_token) = describe(ctx, ids, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(DhcpOptionSets {
        dhcp_options_set: sets.iter().map(|o| shape(o)).collect(),
        next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociateDhcpOptions {
    /// An id, or `default` for the set that new VPCs get.
    dhcp_options_id: String,
    vpc_id: String,
    dry_run: Option<bool>,
}

pub fn associate(ctx: &mut Ctx, input: AssociateDhcpOptions) -> Result<Done> {
    let vpc = find::<Vpc>(ctx, &input.vpc_id)?;
    let id = match input.dhcp_options_id.as_str() {
        "default" => {
            let scope = ctx.scope.clone();
            default_of(&mut ctx.tx, &scope)
        }
        id => find::<DhcpOptions>(ctx, id)?.id.clone(),
    };
    dry_run(input.dry_run)?;
    ctx.tx.modify::<Vpc>(&vpc.id, |v| v.dhcp_options = id);
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteDhcpOptions {
    dhcp_options_id: String,
    dry_run: Option<bool>,
}

/// The default set stays: `default` must name something.
pub fn delete(ctx: &mut Ctx, input: DeleteDhcpOptions) -> Result<Done> {
    let options = find::<DhcpOptions>(ctx, &input.dhcp_options_id)?;
    let used = owned::<Vpc>(&ctx.tx, &ctx.scope).any(|v| v.dhcp_options == options.id);
    if used || options.is_default {
        return Err(has_dependencies("dhcpOptions", &options.id));
    }
    dry_run(input.dry_run)?;
    ctx.tx.remove::<DhcpOptions>(&options.id);
    done()
}
