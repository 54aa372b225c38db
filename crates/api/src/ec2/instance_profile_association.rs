//! Which instance profile an instance has.

use super::error::{Result, error};
use super::filter::{Field, Filter, Filters, one};
use super::launch;
use super::launch_template_data::IamInstanceProfile;
use super::page::Page;
use super::resource::{find, owned};
use crate::Ctx;
use model::instance::{Instance, InstanceState};
use model::{ProfileAssociationId, Tags};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::State;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    association_id: String,
    instance_id: String,
    iam_instance_profile: Profile,
    state: &'static str,
}

#[derive(Serialize)]
struct Profile {
    arn: String,
    id: String,
}

fn shape(
    state: &State,
    instance: &Instance,
    (id, arn): &(ProfileAssociationId, String),
    now: &'static str,
) -> Shape {
    let mut profiles = state.instance_profiles.of(arn.as_str());
    Shape {
        association_id: id.to_string(),
        instance_id: instance.id.to_string(),
        iam_instance_profile: Profile {
            arn: arn.clone(),
            id: profiles.next().map(|p| p.id.clone()).unwrap_or_default(),
        },
        state: now,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneAssociation {
    iam_instance_profile_association: Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssociateIamInstanceProfile {
    instance_id: String,
    iam_instance_profile: IamInstanceProfile,
}

pub fn associate(ctx: &mut Ctx, input: AssociateIamInstanceProfile) -> Result<OneAssociation> {
    let instance = find::<Instance>(ctx, &input.instance_id)?;
    if let Some((id, _)) = &instance.profile {
        return Err(error(
            "IncorrectState",
            format!(
                "There is an existing association for instance {}: {id}",
                instance.id
            ),
        ));
    }
    set(ctx, &instance, &input.iam_instance_profile)
}

fn set(ctx: &mut Ctx, instance: &Instance, given: &IamInstanceProfile) -> Result<OneAssociation> {
    if matches!(
        instance.state,
        InstanceState::ShuttingDown | InstanceState::Terminated
    ) {
        return Err(error(
            "IncorrectInstanceState",
            format!(
                "The instance '{}' is not in a state from which its profile can change.",
                instance.id
            ),
        ));
    }
    let Some(arn) = launch::instance_profile(&ctx.tx, &ctx.scope, given)? else {
        return Err(super::error::missing("IamInstanceProfile"));
    };
    let profile = (ProfileAssociationId::random(), arn);
    // The metadata service has the credentials as soon as this is recorded.
    let answer = shape(&ctx.tx, instance, &profile, "associating");
    ctx.tx
        .modify::<Instance>(&instance.id, |i| i.profile = Some(profile));
    Ok(OneAssociation {
        iam_instance_profile_association: answer,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplaceIamInstanceProfileAssociation {
    association_id: String,
    iam_instance_profile: IamInstanceProfile,
}

pub fn replace(
    ctx: &mut Ctx,
    input: ReplaceIamInstanceProfileAssociation,
) -> Result<OneAssociation> {
    let (instance, _) = by_id(ctx, &input.association_id)?;
    set(ctx, &instance, &input.iam_instance_profile)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisassociateIamInstanceProfile {
    association_id: String,
}

pub fn disassociate(
    ctx: &mut Ctx,
    input: DisassociateIamInstanceProfile,
) -> Result<OneAssociation> {
    let (instance, profile) = by_id(ctx, &input.association_id)?;
    ctx.tx
        .modify::<Instance>(&instance.id, |i| i.profile = None);
    Ok(OneAssociation {
        iam_instance_profile_association: shape(&ctx.tx, &instance, &profile, "disassociating"),
    })
}

type Association = (Arc<Instance>, (ProfileAssociationId, String));

fn by_id(ctx: &Ctx, id: &str) -> Result<Association> {
    associations(ctx)
        .find(|(_, (a, _))| a.as_str() == id)
        .ok_or_else(|| {
            error(
                "NoSuchAssociation",
                format!("An invalid association-id of '{id}' was given"),
            )
        })
}

fn associations(ctx: &Ctx) -> impl Iterator<Item = Association> {
    owned::<Instance>(&ctx.tx, &ctx.scope)
        .filter(|i| i.state != InstanceState::Terminated)
        .filter_map(|i| Some((i.clone(), i.profile.clone()?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeIamInstanceProfileAssociations {
    #[serde(default)]
    association_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Associations {
    iam_instance_profile_association_set: Vec<Shape>,
    next_token: Option<String>,
}

const FILTERS: &[Field<Association>] = &[
    ("instance-id", |_, (i, _)| one(&i.id)),
    ("state", |_, _| one("associated")),
];

pub fn describe_all(
    ctx: &mut Ctx,
    input: DescribeIamInstanceProfileAssociations,
) -> Result<Associations> {
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    let filters = Filters::new(&input.filter, FILTERS)?;
    for id in &input.association_id {
        by_id(ctx, id)?;
    }
    let key = |(_, (id, _)): &Association| id.to_string();
    let mut found: Vec<Association> = associations(ctx)
        .filter(|a| input.association_id.is_empty() || input.association_id.contains(&key(a)))
        .filter(|a| filters.match_tagged(&ctx.tx, a, &Tags::new()))
        .collect();
    found.sort_by_key(key);
    let (found, next_token) = page.of(found, key);
    let shapes = found
        .iter()
        .map(|(i, profile)| shape(&ctx.tx, i, profile, "associated"));
    Ok(Associations {
        iam_instance_profile_association_set: shapes.collect(),
        next_token,
    })
}
