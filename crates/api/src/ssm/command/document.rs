//! AWS-RunShellScript: its names, its parameters and their rules.

use super::super::Result;
use super::error;
use crate::Ctx;
use std::collections::BTreeMap;

pub const NAME: &str = "AWS-RunShellScript";

pub type Parameters = BTreeMap<String, Vec<String>>;

/// What it is told to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Script {
    pub text: String,
    pub working_directory: Option<String>,
    pub execution_secs: u32,
}

/// Refuses every other document.
pub fn check_name(ctx: &Ctx, name: &str, version: Option<&str>) -> Result<()> {
    let arn = format!("arn:aws:ssm:{}::document/{NAME}", ctx.scope.region);
    if name != NAME && name != arn {
        let message =
            format!("Document with name {name} does not exist; this cloud has {NAME} only.");
        return Err(error("InvalidDocument", message));
    }
    match version {
        None | Some("1" | "$DEFAULT" | "$LATEST") => Ok(()),
        Some(other) => Err(error(
            "InvalidDocumentVersion",
            format!("{NAME} has version 1 only, not {other}."),
        )),
    }
}

pub fn script(parameters: &Parameters) -> Result<Script> {
    let invalid = |message: String| error("InvalidParameters", message);
    let known = ["commands", "workingDirectory", "executionTimeout"];
    if let Some(other) = parameters
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(invalid(format!("{NAME} has no parameter {other}.")));
    }
    let one = |name: &str| match parameters.get(name).map(Vec::as_slice) {
        None | Some([]) => Ok(None),
        Some([value]) => Ok(Some(value.as_str()).filter(|v| !v.is_empty())),
        Some(_) => Err(invalid(format!("The parameter {name} is one value."))),
    };
    let commands = parameters.get("commands").filter(|c| !c.is_empty());
    let commands = commands.ok_or_else(|| invalid("The parameter commands is required.".into()))?;
    let seconds = one("executionTimeout")?.unwrap_or("3600");
    let execution_secs = seconds.parse().ok().filter(|s| (1..=172_800).contains(s));
    let execution_secs = execution_secs.ok_or_else(|| {
        invalid(format!(
            "executionTimeout is 1 to 172800 seconds, not {seconds}."
        ))
    })?;
    Ok(Script {
        text: commands.join("\n") + "\n",
        working_directory: one("workingDirectory")?.map(str::to_owned),
        execution_secs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let check = |given: &[(&str, &[&str])], expected: Option<(&str, Option<&str>, u32)>| {
            let own = |v: &&str| (*v).to_owned();
            let given = given
                .iter()
                .map(|(k, v)| (own(k), v.iter().map(own).collect()));
            let given: Parameters = given.collect();
            let read = script(&given).ok();
            let read = read
                .as_ref()
                .map(|s| (&*s.text, s.working_directory.as_deref(), s.execution_secs));
            assert_eq!(read, expected, "{given:?}");
        };
        let commands: (&str, &[&str]) = ("commands", &["a", "b"]);
        check(&[commands], Some(("a\nb\n", None, 3600)));
        check(
            &[commands, ("workingDirectory", &["/x"])],
            Some(("a\nb\n", Some("/x"), 3600)),
        );
        check(
            &[commands, ("workingDirectory", &[""])],
            Some(("a\nb\n", None, 3600)),
        );
        check(
            &[commands, ("executionTimeout", &["5"])],
            Some(("a\nb\n", None, 5)),
        );
        check(&[commands, ("executionTimeout", &["0"])], None);
        check(&[commands, ("executionTimeout", &["1", "2"])], None);
        check(&[commands, ("other", &["1"])], None);
        check(&[("commands", &[])], None);
        check(&[], None);
    }
}
