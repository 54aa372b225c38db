//! DescribeInstances, and the reservation that RunInstances returns.

use super::error::{Result, dry_run, invalid_combination};
use super::filter::Filter;
use super::instance_filter::FILTERS;
use super::page::{Page, describe};
use super::reservation;
use crate::Ctx;
use model::instance::Instance;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use store::State;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstances {
    #[serde(default)]
    instance_id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    include_managed_resources: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    dry_run: Option<bool>,
}

/// The state as it was, and which of its instances are shown.
pub struct Described {
    state: Arc<State>,
    instances: Vec<Arc<Instance>>,
    next_token: Option<String>,
}

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut answer = s.serialize_struct("Described", 2)?;
        answer.serialize_field("reservationSet", &ReservationSet(self))?;
        answer.serialize_field("nextToken", &self.next_token)?;
        answer.end()
    }
}

struct ReservationSet<'a>(&'a Described);

impl Serialize for ReservationSet<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        reservation::list(s, &self.0.state, &self.0.instances)
    }
}

pub fn describe_all(ctx: &mut Ctx, input: DescribeInstances) -> Result<Described> {
    // Instances that AWS services manage do not exist here: in or out is the same.
    let _ = input.include_managed_resources;
    let page = Page::new(input.max_results, input.next_token.as_deref())?;
    if !input.instance_id.is_empty() && input.max_results.is_some() {
        return Err(invalid_combination(
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    let (instances, next_token) = describe(ctx, &input.instance_id, &input.filter, FILTERS, &page)?;
    dry_run(input.dry_run)?;
    Ok(Described {
        state: ctx.tx.state(),
        instances,
        next_token,
    })
}

/// The instances of one launch.
pub struct Launched {
    state: Arc<State>,
    instances: Vec<Arc<Instance>>,
}

impl Launched {
    pub fn new(state: Arc<State>, mut instances: Vec<Arc<Instance>>) -> Self {
        instances.sort_by_key(|i| i.launch_index);
        Self { state, instances }
    }
}

impl Serialize for Launched {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        reservation::only(s, &self.state, &self.instances)
    }
}
