//! IAM: roles, policies and instance profiles, which are global to an account.
//!
//! Policies are kept and described; nothing is evaluated against them, since
//! every caller may do everything. AWS's own policies and service-linked roles
//! are computed ([`managed_policy`], [`service_linked_role`]).

mod error;
mod instance_profile;
mod managed_policy;
mod page;
mod policy;
mod role;
mod role_policy;
mod server_certificate;
mod service_linked_role;
mod tag;

use crate::Ctx;
use model::Scope;
use model::iam::Role;
use std::sync::Arc;
use store::State;
use wire::{QueryKind, Service, action};

pub fn service() -> Service<Ctx> {
    Service {
        version: "2010-05-08",
        xml_namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
        query_kind: Some(QueryKind::Query),
        actions: vec![
            action("CreateRole", role::create),
            action("GetRole", role::get),
            action("ListRoles", role::list),
            action("UpdateRole", role::update),
            action("UpdateRoleDescription", role::update_description),
            action("UpdateAssumeRolePolicy", role::update_assume_role_policy),
            action("DeleteRole", role::delete),
            action("TagRole", role::tag),
            action("UntagRole", role::untag),
            action("ListRoleTags", role::list_tags),
            action("PutRolePermissionsBoundary", role::put_permissions_boundary),
            action(
                "DeleteRolePermissionsBoundary",
                role::delete_permissions_boundary,
            ),
            action("AttachRolePolicy", role_policy::attach),
            action("DetachRolePolicy", role_policy::detach),
            action("ListAttachedRolePolicies", role_policy::list_attached),
            action("PutRolePolicy", role_policy::put),
            action("GetRolePolicy", role_policy::get),
            action("DeleteRolePolicy", role_policy::delete),
            action("ListRolePolicies", role_policy::list),
            action("CreateInstanceProfile", instance_profile::create),
            action("GetInstanceProfile", instance_profile::get),
            action("ListInstanceProfiles", instance_profile::list),
            action(
                "ListInstanceProfilesForRole",
                instance_profile::list_for_role,
            ),
            action("AddRoleToInstanceProfile", instance_profile::add_role),
            action(
                "RemoveRoleFromInstanceProfile",
                instance_profile::remove_role,
            ),
            action("DeleteInstanceProfile", instance_profile::delete),
            action("TagInstanceProfile", instance_profile::tag),
            action("UntagInstanceProfile", instance_profile::untag),
            action("ListInstanceProfileTags", instance_profile::list_tags),
            action("CreatePolicy", policy::create),
            action("GetPolicy", policy::get),
            action("ListPolicies", policy::list),
            action("DeletePolicy", policy::delete),
            action("CreatePolicyVersion", policy::create_version),
            action("GetPolicyVersion", policy::get_version),
            action("ListPolicyVersions", policy::list_versions),
            action("DeletePolicyVersion", policy::delete_version),
            action("SetDefaultPolicyVersion", policy::set_default_version),
            action("ListEntitiesForPolicy", policy::list_entities),
            action("TagPolicy", policy::tag),
            action("UntagPolicy", policy::untag),
            action("ListPolicyTags", policy::list_tags),
            action("UploadServerCertificate", server_certificate::upload),
            action("GetServerCertificate", server_certificate::get),
            action("ListServerCertificates", server_certificate::list),
            action("DeleteServerCertificate", server_certificate::delete),
            action("TagServerCertificate", server_certificate::tag),
            action("UntagServerCertificate", server_certificate::untag),
            action("ListServerCertificateTags", server_certificate::list_tags),
            action("CreateServiceLinkedRole", service_linked_role::create),
            action("DeleteServiceLinkedRole", service_linked_role::delete),
            action(
                "GetServiceLinkedRoleDeletionStatus",
                service_linked_role::deletion_status,
            ),
        ],
        ..Service::new("iam")
    }
}

/// Where an account's identities are: in no region.
fn global(ctx: &Ctx) -> Scope {
    Scope::new(&ctx.scope.account, "aws-global")
}

/// The role with that ARN, of any account.
pub fn role_by_arn<'a>(state: &'a State, arn: &str) -> Option<&'a Arc<Role>> {
    state.roles.values().find(|role| role.arn == arn)
}

/// `AROA…` and the like: a prefix for the kind, then letters and digits.
fn unique_id(prefix: &str) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let tail = (0..17).map(|_| char::from(DIGITS[rand::random_range(0..32usize)]));
    prefix.chars().chain(tail).collect()
}
