//! Who has a policy: the users, groups and roles it is attached to or bounds.

use super::error::Result;
use super::identity::all;
use super::page;
use super::policy::{self, Usage};
use crate::Ctx;
use model::iam::Role;
use model::iam_user::{Group, User};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListEntitiesForPolicy {
    policy_arn: String,
    entity_filter: Option<String>,
    path_prefix: Option<String>,
    policy_usage_filter: Option<Usage>,
    max_items: Option<i64>,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entities {
    policy_groups: Vec<PolicyGroup>,
    policy_users: Vec<PolicyUser>,
    policy_roles: Vec<PolicyRole>,
    is_truncated: bool,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyGroup {
    group_name: String,
    group_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyUser {
    user_name: String,
    user_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyRole {
    role_name: String,
    role_id: String,
}

/// One entity of whichever kind; the kinds are paged through one after the other.
struct Entity {
    kind: &'static str,
    name: String,
    id: String,
}

pub fn list(ctx: &mut Ctx, input: ListEntitiesForPolicy) -> Result<Entities> {
    let policy = policy::find(ctx, &input.policy_arn)?;
    let prefix = input.path_prefix.unwrap_or_default();
    let uses = |attached: &[String], boundary: Option<&String>| {
        let attached = attached.contains(&policy.arn);
        let bounds = boundary == Some(&policy.arn);
        match input.policy_usage_filter {
            None => attached || bounds,
            Some(Usage::PermissionsPolicy) => attached,
            Some(Usage::PermissionsBoundary) => bounds,
        }
    };
    let wanted = |kind: &str, path: &str| {
        let kinds = input.entity_filter.as_deref();
        kinds.is_none_or(|k| k == kind) && path.starts_with(&prefix)
    };
    let entity = |kind, name: &str, id: &str| Entity {
        kind,
        name: name.to_owned(),
        id: id.to_owned(),
    };
    let mut found = Vec::new();
    for g in all::<Group>(ctx) {
        if wanted("Group", &g.path) && uses(&g.attached_policies, None) {
            found.push(entity("Group", &g.name, &g.id));
        }
    }
    for r in all::<Role>(ctx) {
        let bound = r.permissions_boundary.as_ref();
        if wanted("Role", &r.path) && uses(&r.attached_policies, bound) {
            found.push(entity("Role", &r.name, &r.id));
        }
    }
    for u in all::<User>(ctx) {
        let bound = u.permissions_boundary.as_ref();
        if wanted("User", &u.path) && uses(&u.attached_policies, bound) {
            found.push(entity("User", &u.name, &u.id));
        }
    }
    let (found, marker) = page::of(
        found,
        |e| format!("{}/{}", e.kind, e.name),
        input.max_items,
        input.marker.as_deref(),
    )?;
    let mut answer = Entities {
        policy_groups: Vec::new(),
        policy_users: Vec::new(),
        policy_roles: Vec::new(),
        is_truncated: marker.is_some(),
        marker,
    };
    for Entity { kind, name, id } in found {
        match kind {
            "Group" => answer.policy_groups.push(PolicyGroup {
                group_name: name,
                group_id: id,
            }),
            "Role" => answer.policy_roles.push(PolicyRole {
                role_name: name,
                role_id: id,
            }),
            _ => answer.policy_users.push(PolicyUser {
                user_name: name,
                user_id: id,
            }),
        }
    }
    Ok(answer)
}
