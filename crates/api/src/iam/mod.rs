//! IAM: users, groups, roles, policies and instance profiles, which are global to an account.
//!
//! Policies are kept and described; nothing is evaluated against them, since
//! every caller may do everything. AWS's own policies and service-linked roles
//! are computed ([`managed_policy`], [`service_linked_role`]).

mod access_key;
mod account;
mod credential;
mod document;
mod error;
mod group;
mod identity;
mod identity_policy;
mod instance_profile;
mod login_profile;
mod managed_policy;
mod oidc_provider;
mod page;
mod policy;
mod policy_entity;
mod role;
mod saml_provider;
mod server_certificate;
mod service_linked_role;
mod ssh_public_key;
mod tag;
mod user;

use crate::Ctx;
use identity_policy::{of_group, of_role, of_user};
use model::Scope;
use model::iam::Role;
use model::iam_user::User;
use std::sync::Arc;
use store::State;
use wire::{Action, QueryKind, Service, action};

pub fn service() -> Service<Ctx> {
    Service {
        version: "2010-05-08",
        xml_namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
        query_kind: Some(QueryKind::Query),
        actions: identity_actions()
            .into_iter()
            .chain(role_actions())
            .chain(provider_actions())
            .collect(),
        ..Service::new("iam")
    }
}

/// Roles, policies, instance profiles and server certificates.
fn role_actions() -> Vec<Action<Ctx>> {
    vec![
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
        action("AttachRolePolicy", of_role::attach),
        action("DetachRolePolicy", of_role::detach),
        action("ListAttachedRolePolicies", of_role::list_attached),
        action("PutRolePolicy", of_role::put),
        action("GetRolePolicy", of_role::get),
        action("DeleteRolePolicy", of_role::delete),
        action("ListRolePolicies", of_role::list),
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
        action("ListEntitiesForPolicy", policy_entity::list),
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
    ]
}

/// Users, groups and what belongs to them, and the account.
fn identity_actions() -> Vec<Action<Ctx>> {
    vec![
        action("CreateUser", user::create),
        action("GetUser", user::get),
        action("ListUsers", user::list),
        action("UpdateUser", user::update),
        action("DeleteUser", user::delete),
        action("TagUser", user::tag),
        action("UntagUser", user::untag),
        action("ListUserTags", user::list_tags),
        action("PutUserPermissionsBoundary", user::put_permissions_boundary),
        action(
            "DeleteUserPermissionsBoundary",
            user::delete_permissions_boundary,
        ),
        action("AttachUserPolicy", of_user::attach),
        action("DetachUserPolicy", of_user::detach),
        action("ListAttachedUserPolicies", of_user::list_attached),
        action("PutUserPolicy", of_user::put),
        action("GetUserPolicy", of_user::get),
        action("DeleteUserPolicy", of_user::delete),
        action("ListUserPolicies", of_user::list),
        action("CreateGroup", group::create),
        action("GetGroup", group::get),
        action("ListGroups", group::list),
        action("ListGroupsForUser", group::list_for_user),
        action("UpdateGroup", group::update),
        action("DeleteGroup", group::delete),
        action("AddUserToGroup", group::add_user),
        action("RemoveUserFromGroup", group::remove_user),
        action("AttachGroupPolicy", of_group::attach),
        action("DetachGroupPolicy", of_group::detach),
        action("ListAttachedGroupPolicies", of_group::list_attached),
        action("PutGroupPolicy", of_group::put),
        action("GetGroupPolicy", of_group::get),
        action("DeleteGroupPolicy", of_group::delete),
        action("ListGroupPolicies", of_group::list),
        action("CreateAccessKey", access_key::create),
        action("ListAccessKeys", access_key::list),
        action("UpdateAccessKey", access_key::update),
        action("DeleteAccessKey", access_key::delete),
        action("GetAccessKeyLastUsed", access_key::last_used),
        action("UploadSSHPublicKey", ssh_public_key::upload),
        action("GetSSHPublicKey", ssh_public_key::get),
        action("ListSSHPublicKeys", ssh_public_key::list),
        action("UpdateSSHPublicKey", ssh_public_key::update),
        action("DeleteSSHPublicKey", ssh_public_key::delete),
        action("CreateLoginProfile", login_profile::create),
        action("GetLoginProfile", login_profile::get),
        action("UpdateLoginProfile", login_profile::update),
        action("DeleteLoginProfile", login_profile::delete),
        action("ListMFADevices", credential::list_mfa_devices),
        action(
            "ListVirtualMFADevices",
            credential::list_virtual_mfa_devices,
        ),
        action(
            "ListSigningCertificates",
            credential::list_signing_certificates,
        ),
        action(
            "ListServiceSpecificCredentials",
            credential::list_service_specific,
        ),
        action("GetAccountSummary", account::summary),
        action("CreateAccountAlias", account::create_alias),
        action("DeleteAccountAlias", account::delete_alias),
        action("ListAccountAliases", account::list_aliases),
        action(
            "UpdateAccountPasswordPolicy",
            account::update_password_policy,
        ),
        action("GetAccountPasswordPolicy", account::get_password_policy),
        action(
            "DeleteAccountPasswordPolicy",
            account::delete_password_policy,
        ),
    ]
}

/// Who else vouches for identities.
fn provider_actions() -> Vec<Action<Ctx>> {
    use oidc_provider as oidc;
    use saml_provider as saml;
    vec![
        action("CreateOpenIDConnectProvider", oidc::create),
        action("GetOpenIDConnectProvider", oidc::get),
        action("ListOpenIDConnectProviders", oidc::list),
        action("DeleteOpenIDConnectProvider", oidc::delete),
        action("AddClientIDToOpenIDConnectProvider", oidc::add_client),
        action(
            "RemoveClientIDFromOpenIDConnectProvider",
            oidc::remove_client,
        ),
        action(
            "UpdateOpenIDConnectProviderThumbprint",
            oidc::update_thumbprint,
        ),
        action("TagOpenIDConnectProvider", oidc::tag),
        action("UntagOpenIDConnectProvider", oidc::untag),
        action("ListOpenIDConnectProviderTags", oidc::list_tags),
        action("CreateSAMLProvider", saml::create),
        action("GetSAMLProvider", saml::get),
        action("ListSAMLProviders", saml::list),
        action("UpdateSAMLProvider", saml::update),
        action("DeleteSAMLProvider", saml::delete),
        action("TagSAMLProvider", saml::tag),
        action("UntagSAMLProvider", saml::untag),
        action("ListSAMLProviderTags", saml::list_tags),
    ]
}

/// Where an account's identities are: in no region.
fn global(ctx: &Ctx) -> Scope {
    Scope::new(&ctx.scope.account, "aws-global")
}

/// The user whose access key signed the call.
pub fn caller(ctx: &Ctx) -> Option<Arc<User>> {
    let key = ctx.tx.access_keys.get(&ctx.access_key)?;
    identity::find(ctx, &key.user).ok()
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
