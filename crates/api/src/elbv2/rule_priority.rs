//! Re-ordering rules: all priorities of a call take effect at once, so that two can be swapped.

use super::arn::{find, owned};
use super::error::{Result, validation};
use super::rule::{self, Rules};
use crate::Ctx;
use model::elbv2::Rule;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetRulePriorities {
    rule_priorities: Vec<RulePriority>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RulePriority {
    rule_arn: Option<String>,
    priority: Option<i64>,
}

pub fn set(ctx: &mut Ctx, input: SetRulePriorities) -> Result<Rules> {
    let mut wanted: BTreeMap<String, u32> = BTreeMap::new();
    for pair in &input.rule_priorities {
        let (Some(arn), Some(priority)) = (&pair.rule_arn, pair.priority) else {
            return Err(validation("A rule ARN and a priority must be specified"));
        };
        rule::refuse_default(ctx, arn, "re-prioritized")?;
        find::<Rule>(ctx, arn)?;
        if wanted
            .insert(arn.clone(), rule::priority(priority)?)
            .is_some()
        {
            return Err(validation(format!(
                "Rule '{arn}' is specified more than once"
            )));
        }
    }
    if wanted.is_empty() {
        return Err(validation("At least one rule priority must be specified"));
    }
    // Each (listener, priority) as it will be; one that two rules want is in use.
    let mut taken = BTreeMap::new();
    for rule in owned::<Rule>(&ctx.tx, &ctx.scope) {
        let priority = wanted.get(&rule.arn).copied().unwrap_or(rule.priority);
        if taken
            .insert((&rule.listener, priority), &rule.arn)
            .is_some()
        {
            return Err(rule::in_use(priority));
        }
    }
    let mut rules = Vec::with_capacity(wanted.len());
    for (arn, priority) in wanted {
        ctx.tx.modify::<Rule>(&arn, |r| r.priority = priority);
        rules.push(rule::shape(&*find::<Rule>(ctx, &arn)?));
    }
    Ok(Rules {
        rules,
        next_marker: None,
    })
}
