//! Lifecycle policies: checked here, followed by a controller.
//!
//! `https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html`

use super::{Result, constraint, find};
use crate::Ctx;
use model::ecr::{Expiry, LifecyclePolicy, LifecycleRule, Repository, Selection};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use store::Record;
use wire::{ApiError, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutLifecyclePolicy {
    registry_id: Option<String>,
    repository_name: String,
    lifecycle_policy_text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    registry_id: String,
    repository_name: String,
    lifecycle_policy_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_at: Option<Timestamp>,
}

pub fn put(ctx: &mut Ctx, input: PutLifecyclePolicy) -> Result<Shape> {
    let repository = find(ctx, input.registry_id.as_deref(), &input.repository_name)?;
    let rules = parse(&input.lifecycle_policy_text).map_err(|why| {
        let rule = format!("Lifecycle policy validation failure: {why}");
        constraint("LifecyclePolicyText", &rule)
    })?;
    ctx.tx.modify::<Repository>(&repository.key(), |r| {
        r.lifecycle = Some(LifecyclePolicy {
            text: input.lifecycle_policy_text.clone(),
            rules,
            evaluated: None,
        });
    });
    Ok(Shape {
        registry_id: ctx.scope.account.to_string(),
        repository_name: input.repository_name,
        lifecycle_policy_text: input.lifecycle_policy_text,
        last_evaluated_at: None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyOf {
    registry_id: Option<String>,
    repository_name: String,
}

pub fn get(ctx: &mut Ctx, input: PolicyOf) -> Result<Shape> {
    let name = input.repository_name;
    let repository = find(ctx, input.registry_id.as_deref(), &name)?;
    let account = &ctx.scope.account;
    let policy = repository.lifecycle.as_ref().ok_or_else(|| {
        ApiError::client(
            "LifecyclePolicyNotFoundException",
            format!(
                "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
            ),
        )
    })?;
    Ok(Shape {
        registry_id: account.to_string(),
        repository_name: name,
        lifecycle_policy_text: policy.text.clone(),
        last_evaluated_at: policy.evaluated.map(Into::into),
    })
}

pub fn delete(ctx: &mut Ctx, input: PolicyOf) -> Result<Shape> {
    let policy = get(ctx, input)?;
    let repository = find(ctx, None, &policy.repository_name)?;
    ctx.tx
        .modify::<Repository>(&repository.key(), |r| r.lifecycle = None);
    Ok(policy)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    rule_priority: u32,
    #[serde(rename = "description")]
    _description: Option<String>,
    selection: Selected,
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selected {
    tag_status: String,
    #[serde(default)]
    tag_prefix_list: Vec<String>,
    #[serde(default)]
    tag_pattern_list: Vec<String>,
    count_type: String,
    count_unit: Option<String>,
    count_number: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    r#type: String,
}

/// The rules by priority, or what is wrong with them.
fn parse(text: &str) -> std::result::Result<Vec<LifecycleRule>, String> {
    let policy: Policy = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if !(1..=50).contains(&policy.rules.len()) {
        return Err("a policy has 1 to 50 rules".into());
    }
    let mut rules = Vec::new();
    for rule in policy.rules {
        let priority = rule.rule_priority;
        rules.push(check(rule).map_err(|why| format!("rule {priority}: {why}"))?);
    }
    rules.sort_by_key(|rule| rule.priority);
    let priorities: BTreeSet<u32> = rules.iter().map(|rule| rule.priority).collect();
    if priorities.len() < rules.len() {
        return Err("each rule needs a priority of its own".into());
    }
    let any = |rule: &LifecycleRule| rule.selection == Selection::Any;
    let before_last = rules.len().saturating_sub(1);
    if rules.iter().take(before_last).any(any) {
        return Err("a rule for any tag status must have the highest rulePriority, alone".into());
    }
    Ok(rules)
}

fn check(rule: Rule) -> std::result::Result<LifecycleRule, &'static str> {
    if rule.rule_priority == 0 {
        return Err("rulePriority is 1 or more");
    }
    if rule.action.r#type != "expire" {
        return Err("the only action this cloud takes is expire");
    }
    let given = rule.selection;
    let lists = (
        given.tag_prefix_list.is_empty(),
        given.tag_pattern_list.is_empty(),
    );
    let selection = match (given.tag_status.as_str(), lists) {
        ("tagged", (false, true)) => Selection::Prefixes(given.tag_prefix_list),
        ("tagged", (true, false)) => Selection::Patterns(given.tag_pattern_list),
        ("tagged", _) => return Err("tagged needs tagPrefixList or tagPatternList, one of them"),
        ("untagged" | "any", lists) if lists != (true, true) => {
            return Err("tagPrefixList and tagPatternList are only for tagged images");
        }
        ("untagged", _) => Selection::Untagged,
        ("any", _) => Selection::Any,
        _ => return Err("tagStatus is tagged, untagged or any"),
    };
    if given.count_number == 0 {
        return Err("countNumber is 1 or more");
    }
    let expiry = match (given.count_type.as_str(), given.count_unit.as_deref()) {
        ("imageCountMoreThan", None) => Expiry::MoreThan(given.count_number),
        ("sinceImagePushed", Some("days")) => Expiry::DaysSincePush(given.count_number),
        ("imageCountMoreThan", Some(_)) => return Err("imageCountMoreThan has no countUnit"),
        ("sinceImagePushed", _) => return Err("sinceImagePushed needs the countUnit days"),
        _ => return Err("countType is imageCountMoreThan or sinceImagePushed in this cloud"),
    };
    Ok(LifecycleRule {
        priority: rule.rule_priority,
        selection,
        expiry,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let rule = |priority: u32, selection: &str| {
            format!(
                r#"{{"rulePriority":{priority},"selection":{{{selection}}},"action":{{"type":"expire"}}}}"#
            )
        };
        let check = |rules: &[String], expected: Option<usize>| {
            let text = format!(r#"{{"rules":[{}]}}"#, rules.join(","));
            assert_eq!(parse(&text).ok().map(|r| r.len()), expected, "{text}");
        };
        let any = r#""tagStatus":"any","countType":"imageCountMoreThan","countNumber":3"#;
        let untagged = r#""tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14"#;
        let tagged = r#""tagStatus":"tagged","tagPrefixList":["v"],"countType":"imageCountMoreThan","countNumber":3"#;
        check(&[rule(1, any)], Some(1));
        check(&[rule(9, any), rule(2, untagged), rule(1, tagged)], Some(3));
        check(&[rule(1, any), rule(2, untagged)], None);
        check(&[rule(1, untagged), rule(1, tagged)], None);
        check(&[rule(0, any)], None);
        check(&[], None);
        for (from, to) in [
            ("any", "other"),
            ("imageCountMoreThan", "sinceImagePushed"),
            (r#""countNumber":3"#, r#""countNumber":0"#),
            (r#""any","#, r#""any","tagPrefixList":["v"],"#),
            (r#""any","#, r#""any","other":1,"#),
            (r#""any""#, r#""tagged""#),
        ] {
            check(&[rule(1, &any.replace(from, to))], None);
        }
    }
}
