//! Elastic Load Balancing v2: Application and Network Load Balancers, listeners, rules, target groups.
//!
//! [`service`] is the one list of actions; each resource has a file with the
//! same noun as in the model. Records are changed here; the balancer gets its
//! configuration from them and what its nodes observe comes back by the
//! controller. Gateway balancers and Lambda targets are refused
//! in words, since nothing would serve them.

mod account_limit;
mod action;
mod arn;
mod association;
mod attribute;
mod capacity_reservation;
mod check;
mod condition;
mod error;
mod health_check;
mod listener;
mod listener_attribute;
mod listener_certificate;
mod listener_tls;
mod load_balancer;
mod load_balancer_attribute;
mod load_balancer_network;
mod log_bucket;
mod network;
mod page;
mod redirect;
mod regular_expression;
mod rule;
mod rule_priority;
mod ssl_policy;
mod tag;
mod target;
mod target_group;
mod target_group_attribute;
mod target_health;
mod transform;
mod trust_store;

pub use load_balancer::{hosted_zone, is_hosted_zone};

use crate::Ctx;
use wire::{QueryKind, Service, action as call};

const VERSION: &str = "2015-12-01";

pub fn service() -> Service<Ctx> {
    Service {
        version: VERSION,
        xml_namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        query_kind: Some(QueryKind::Query),
        actions: vec![
            call("CreateLoadBalancer", load_balancer::create),
            call("DescribeLoadBalancers", load_balancer::describe),
            call("DeleteLoadBalancer", load_balancer::delete),
            call("SetSubnets", load_balancer_network::set_subnets),
            call(
                "SetSecurityGroups",
                load_balancer_network::set_security_groups,
            ),
            call(
                "SetIpAddressType",
                load_balancer_network::set_ip_address_type,
            ),
            call(
                "DescribeLoadBalancerAttributes",
                load_balancer_attribute::describe,
            ),
            call(
                "ModifyLoadBalancerAttributes",
                load_balancer_attribute::modify,
            ),
            call(
                "DescribeCapacityReservation",
                capacity_reservation::describe,
            ),
            call("ModifyCapacityReservation", capacity_reservation::modify),
            call("DescribeAccountLimits", account_limit::describe),
            call("CreateListener", listener::create),
            call("DescribeListeners", listener::describe),
            call("ModifyListener", listener::modify),
            call("DeleteListener", listener::delete),
            call("DescribeListenerAttributes", listener_attribute::describe),
            call("ModifyListenerAttributes", listener_attribute::modify),
            call(
                "DescribeListenerCertificates",
                listener_certificate::describe,
            ),
            call("AddListenerCertificates", listener_certificate::add),
            call("RemoveListenerCertificates", listener_certificate::remove),
            call("DescribeSSLPolicies", ssl_policy::describe),
            call("CreateTrustStore", trust_store::create),
            call("DescribeTrustStores", trust_store::describe),
            call("ModifyTrustStore", trust_store::modify),
            call("DeleteTrustStore", trust_store::delete),
            call("DescribeTrustStoreAssociations", trust_store::associations),
            call("AddTrustStoreRevocations", trust_store::add_revocations),
            call(
                "RemoveTrustStoreRevocations",
                trust_store::remove_revocations,
            ),
            call(
                "DescribeTrustStoreRevocations",
                trust_store::describe_revocations,
            ),
            call("CreateRule", rule::create),
            call("DescribeRules", rule::describe),
            call("ModifyRule", rule::modify),
            call("DeleteRule", rule::delete),
            call("SetRulePriorities", rule_priority::set),
            call("CreateTargetGroup", target_group::create),
            call("DescribeTargetGroups", target_group::describe),
            call("ModifyTargetGroup", target_group::modify),
            call("DeleteTargetGroup", target_group::delete),
            call(
                "DescribeTargetGroupAttributes",
                target_group_attribute::describe,
            ),
            call(
                "ModifyTargetGroupAttributes",
                target_group_attribute::modify,
            ),
            call("RegisterTargets", target::register),
            call("DeregisterTargets", target::deregister),
            call("DescribeTargetHealth", target_health::describe),
            call("AddTags", tag::add),
            call("RemoveTags", tag::remove),
            call("DescribeTags", tag::describe),
        ],
        ..Service::new("elasticloadbalancing")
    }
}

/// The answer of actions whose output has no members.
#[derive(serde::Serialize)]
pub struct Done {}
