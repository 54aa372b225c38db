//! Run Command: scripts in instances, written down here, run and observed by a controller.
//!
//! The only document is AWS-RunShellScript. An instance is managed as on AWS: it runs, has booted
//! and has an instance profile, whose policies nobody evaluates.

mod cancel;
mod describe;
mod document;
mod instance;
mod invocation;
mod send;
mod shape;

pub use cancel::cancel;
pub use describe::list;
pub use instance::describe as describe_instances;
pub use invocation::{get, list as list_invocations};
pub use send::send;

use super::Result;
use crate::Ctx;
use model::ssm::Command;
use std::sync::Arc;
use wire::ApiError;

fn error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, message)
}

fn find(ctx: &Ctx, id: &str) -> Result<Arc<Command>> {
    let found = ctx.tx.commands.get(id);
    found
        .filter(|c| c.scope == ctx.scope)
        .cloned()
        .ok_or_else(|| {
            error(
                "InvalidCommandId",
                format!("{id} is no command of this account"),
            )
        })
}

/// A page of what is in order already; the token says how many came before.
fn page<T>(
    items: Vec<T>,
    most: Option<usize>,
    token: Option<&str>,
) -> Result<(Vec<T>, Option<String>)> {
    let most = most.unwrap_or(50);
    if !(1..=50).contains(&most) {
        return Err(super::validation(format!(
            "1 validation error detected: Value '{most}' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and 50"
        )));
    }
    let start = match token {
        None | Some("") => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| error("InvalidNextToken", "The specified token is not valid."))?,
    };
    let end = start.saturating_add(most);
    let next = (end < items.len()).then(|| end.to_string());
    Ok((items.into_iter().skip(start).take(most).collect(), next))
}
