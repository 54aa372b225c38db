//! Route 53: hosted zones, records and health checks.
//!
//! What stands in a zone is answered by the resolvers of the VPCs and, for public zones, by name
//! servers on the cloud's internet side; there is no registry above them, so a public zone counts as
//! delegated as soon as it exists. Geolocation, geoproximity and CIDR routing, traffic policies,
//! reusable delegation sets and DNSSEC signing are refused. Texts of errors are AWS's where an
//! example of one was found; the others are our assumption.

mod change;
mod health_check;
mod health_check_shape;
mod name;
mod record;
mod record_shape;
mod record_value;
mod tag;
mod zone;
mod zone_list;
mod zone_vpc;

use crate::Ctx;
use model::route53::HostedZone;
use std::sync::Arc;
use wire::{ApiError, Protocol, Rejection, Service, action};

type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2013-04-01",
        xml_namespace: "https://route53.amazonaws.com/doc/2013-04-01/",
        rest: Some(Protocol::RestXml),
        reject,
        actions: vec![
            action("CreateHostedZone", zone::create).at("POST", "/2013-04-01/hostedzone", 201),
            action("GetHostedZone", zone::get).at("GET", "/2013-04-01/hostedzone/{Id}", 200),
            action("DeleteHostedZone", zone::delete).at(
                "DELETE",
                "/2013-04-01/hostedzone/{Id}",
                200,
            ),
            action("UpdateHostedZoneComment", zone::update_comment).at(
                "POST",
                "/2013-04-01/hostedzone/{Id}",
                200,
            ),
            action("GetHostedZoneCount", zone_list::count).at(
                "GET",
                "/2013-04-01/hostedzonecount",
                200,
            ),
            action("GetHostedZoneLimit", zone::limit).at(
                "GET",
                "/2013-04-01/hostedzonelimit/{HostedZoneId}/{Type}",
                200,
            ),
            action("GetDNSSEC", zone::dnssec).at(
                "GET",
                "/2013-04-01/hostedzone/{HostedZoneId}/dnssec",
                200,
            ),
            action("ListHostedZones", zone_list::list).at(
                "GET",
                "/2013-04-01/hostedzone?marker={Marker}&maxitems={MaxItems}&delegationsetid={DelegationSetId}&hostedzonetype={HostedZoneType}",
                200,
            ),
            action("ListHostedZonesByName", zone_list::list_by_name).at(
                "GET",
                "/2013-04-01/hostedzonesbyname?dnsname={DNSName}&hostedzoneid={HostedZoneId}&maxitems={MaxItems}",
                200,
            ),
            action("ListHostedZonesByVPC", zone_list::list_by_vpc).at(
                "GET",
                "/2013-04-01/hostedzonesbyvpc?vpcid={VPCId}&vpcregion={VPCRegion}&maxitems={MaxItems}&nexttoken={NextToken}",
                200,
            ),
            action("AssociateVPCWithHostedZone", zone_vpc::associate).at(
                "POST",
                "/2013-04-01/hostedzone/{HostedZoneId}/associatevpc",
                200,
            ),
            action("DisassociateVPCFromHostedZone", zone_vpc::disassociate).at(
                "POST",
                "/2013-04-01/hostedzone/{HostedZoneId}/disassociatevpc",
                200,
            ),
            action("ChangeResourceRecordSets", record::change).at(
                "POST",
                "/2013-04-01/hostedzone/{HostedZoneId}/rrset",
                200,
            ),
            action("ListResourceRecordSets", record::list).at(
                "GET",
                "/2013-04-01/hostedzone/{HostedZoneId}/rrset?name={StartRecordName}&type={StartRecordType}&identifier={StartRecordIdentifier}&maxitems={MaxItems}",
                200,
            ),
            action("GetChange", change::get).at("GET", "/2013-04-01/change/{Id}", 200),
            action("ChangeTagsForResource", tag::change).at(
                "POST",
                "/2013-04-01/tags/{ResourceType}/{ResourceId}",
                200,
            ),
            action("ListTagsForResource", tag::list).at(
                "GET",
                "/2013-04-01/tags/{ResourceType}/{ResourceId}",
                200,
            ),
            action("ListTagsForResources", tag::list_many).at(
                "POST",
                "/2013-04-01/tags/{ResourceType}",
                200,
            ),
            action("CreateHealthCheck", health_check::create).at(
                "POST",
                "/2013-04-01/healthcheck",
                201,
            ),
            action("GetHealthCheck", health_check::get).at(
                "GET",
                "/2013-04-01/healthcheck/{HealthCheckId}",
                200,
            ),
            action("UpdateHealthCheck", health_check::update).at(
                "POST",
                "/2013-04-01/healthcheck/{HealthCheckId}",
                200,
            ),
            action("DeleteHealthCheck", health_check::delete).at(
                "DELETE",
                "/2013-04-01/healthcheck/{HealthCheckId}",
                200,
            ),
            action("ListHealthChecks", health_check::list).at(
                "GET",
                "/2013-04-01/healthcheck?marker={Marker}&maxitems={MaxItems}",
                200,
            ),
            action("GetHealthCheckCount", health_check::count).at(
                "GET",
                "/2013-04-01/healthcheckcount",
                200,
            ),
            action("GetHealthCheckStatus", health_check::status).at(
                "GET",
                "/2013-04-01/healthcheck/{HealthCheckId}/status",
                200,
            ),
            action("GetHealthCheckLastFailureReason", health_check::last_failure).at(
                "GET",
                "/2013-04-01/healthcheck/{HealthCheckId}/lastfailurereason",
                200,
            ),
            action("GetCheckerIpRanges", health_check::ranges).at(
                "GET",
                "/2013-04-01/checkeripranges",
                200,
            ),
        ],
        ..Service::new("route53")
    }
}

/// Where what was made is found, as the `Location` of the answer has it.
fn location(of: &str) -> String {
    format!("https://route53.amazonaws.com/2013-04-01{of}")
}

fn reject(rejection: Rejection, protocol: Protocol) -> ApiError {
    invalid(rejection.into_error(protocol).message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidInput", message)
}

fn conflict(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(409, code, message)
}

/// The zone of an id, which may come as `/hostedzone/Z…`.
fn zone(ctx: &Ctx, id: &str) -> Result<Arc<HostedZone>> {
    let id = id.strip_prefix("/hostedzone/").unwrap_or(id);
    let found = ctx.tx.hosted_zones.get(id);
    let found = found.filter(|z| z.scope.account == ctx.scope.account);
    found.cloned().ok_or_else(|| {
        ApiError::not_found(
            "NoSuchHostedZone",
            format!("No hosted zone found with ID: {id}"),
        )
    })
}

/// `prefix` and upper-case letters and digits, as Route 53's ids.
fn new_id(prefix: char) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let random = (0..20).map(|_| char::from(DIGITS[rand::random_range(0..36usize)]));
    std::iter::once(prefix).chain(random).collect()
}

/// How many a list may have, from text; none is `most`.
fn max_items(text: Option<&str>, most: usize) -> Result<usize> {
    let Some(text) = text else { return Ok(most) };
    let number: Option<usize> = text.parse().ok().filter(|n| *n > 0);
    let message = format!("MaxItems is a number from 1 to {most}, not {text}.");
    Ok(number.ok_or_else(|| invalid(message))?.min(most))
}
