//! What users, groups and roles share: a name in an account, and policies.

use super::error::{Result, no_such_entity};
use super::global;
use crate::Ctx;
use model::Scope;
use model::iam::Role;
use model::iam_user::{Group, User};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Record, ScopedName};
use wire::ApiError;

/// The identity's policies: attached ones by ARN, its own by name.
pub struct Policies<'a> {
    pub attached: &'a mut Vec<String>,
    pub inline: &'a mut BTreeMap<String, String>,
}

pub trait Identity: Record<Key = ScopedName> {
    /// As in texts.
    const KIND: &'static str;
    /// How many policies can be attached, and the name of that quota.
    const ATTACHABLE: (usize, &'static str);

    fn scope(&self) -> &Scope;
    fn name(&self) -> &str;
    fn attached(&self) -> &Vec<String>;
    fn inline(&self) -> &BTreeMap<String, String>;
    fn policies(&mut self) -> Policies<'_>;

    /// Refuses to change what is AWS's own.
    fn check_changeable(&self) -> Result<()> {
        Ok(())
    }
}

macro_rules! identities {
    ($($record:ty: $kind:literal, $most:literal, $quota:literal $(, $changeable:path)?;)*) => {$(
        impl Identity for $record {
            const KIND: &'static str = $kind;
            const ATTACHABLE: (usize, &'static str) = ($most, $quota);
            fn scope(&self) -> &Scope { &self.scope }
            fn name(&self) -> &str { &self.name }
            fn attached(&self) -> &Vec<String> { &self.attached_policies }
            fn inline(&self) -> &BTreeMap<String, String> { &self.inline_policies }
            fn policies(&mut self) -> Policies<'_> {
                Policies { attached: &mut self.attached_policies, inline: &mut self.inline_policies }
            }
            $(fn check_changeable(&self) -> Result<()> { $changeable(self) })?
        }
    )*};
}

// AWS's quotas, with the increase of roles.
identities! {
    User: "user", 10, "PoliciesPerUser";
    Group: "group", 10, "PoliciesPerGroup";
    Role: "role", 20, "PoliciesPerRole", super::role::refuse_service_role;
}

pub fn find<I: Identity>(ctx: &Ctx, name: &str) -> Result<Arc<I>> {
    let key = ScopedName::new(&global(ctx), name);
    let found = I::table(&ctx.tx).get(&key).cloned();
    found.ok_or_else(|| not_found::<I>(name))
}

fn not_found<I: Identity>(name: &str) -> ApiError {
    no_such_entity(format!("The {} with name {name} cannot be found.", I::KIND))
}

/// Changes the identity, which must exist.
pub fn modify<I: Identity>(
    ctx: &mut Ctx,
    name: &str,
    change: impl FnOnce(&mut I) -> Result<()>,
) -> Result<()> {
    let mut identity = I::clone(&*find::<I>(ctx, name)?);
    identity.check_changeable()?;
    change(&mut identity)?;
    ctx.tx.put(identity);
    Ok(())
}

/// Every identity of that kind in the caller's account, by name.
pub fn all<I: Identity>(ctx: &Ctx) -> impl Iterator<Item = &Arc<I>> {
    let scope = global(ctx);
    I::table(&ctx.tx)
        .values()
        .filter(move |i| *i.scope() == scope)
}

/// The name that `name` collides with: names differing only in case are the same name.
pub fn same_name<I: Identity>(ctx: &Ctx, name: &str) -> Option<String> {
    all::<I>(ctx)
        .find(|i| i.name().eq_ignore_ascii_case(name))
        .map(|i| i.name().to_owned())
}
