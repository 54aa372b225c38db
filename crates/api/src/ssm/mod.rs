//! Systems Manager: its parameter store with the caller's own parameters and AWS's public ones
//! that name AMIs, and Run Command.
//!
//! A secure string is kept as it was given (nothing here has keys to keep it with) and
//! answered with its value only to who asks for decryption.

mod command;
mod history;
mod label;
mod parameter;
mod public;
mod read;
mod shape;
mod tag;

use crate::Ctx;
use model::ssm::Parameter;
use std::sync::Arc;
use store::ScopedName;
use wire::{ApiError, Service, action};

pub use public::image;

type Result<T, E = ApiError> = std::result::Result<T, E>;

pub fn service() -> Service<Ctx> {
    Service {
        version: "2014-11-06",
        json_target_prefix: Some("AmazonSSM"),
        actions: vec![
            action("PutParameter", parameter::put),
            action("DeleteParameter", parameter::delete),
            action("DeleteParameters", parameter::delete_all),
            action("DescribeParameters", parameter::describe_all),
            action("GetParameter", read::get),
            action("GetParameters", read::get_all),
            action("GetParametersByPath", read::by_path),
            action("GetParameterHistory", history::get),
            action("LabelParameterVersion", label::label),
            action("UnlabelParameterVersion", label::unlabel),
            action("SendCommand", command::send),
            action("CancelCommand", command::cancel),
            action("ListCommands", command::list),
            action("GetCommandInvocation", command::get),
            action("ListCommandInvocations", command::list_invocations),
            action("DescribeInstanceInformation", command::describe_instances),
            action("AddTagsToResource", tag::add),
            action("RemoveTagsFromResource", tag::remove),
            action("ListTagsForResource", tag::list),
        ],
        ..Service::new("ssm")
    }
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}

fn not_found(name: &str) -> ApiError {
    ApiError::client("ParameterNotFound", format!("Parameter {name} not found."))
}

fn find(ctx: &Ctx, name: &str) -> Result<Arc<Parameter>> {
    let named = |name: &str| ctx.tx.parameters.get(&ScopedName::new(&ctx.scope, name));
    // At the root of the hierarchy a slash in front makes no other name of it.
    let other = || match name.strip_prefix('/') {
        Some(bare) if bare.contains('/') => None,
        Some(bare) => named(bare),
        None => named(&format!("/{name}")),
    };
    let found = named(name).or_else(other);
    found.cloned().ok_or_else(|| not_found(name))
}

/// The caller's parameters, by name.
fn owned(ctx: &Ctx) -> impl Iterator<Item = &Arc<Parameter>> {
    ctx.tx.parameters.of(&ctx.scope)
}
