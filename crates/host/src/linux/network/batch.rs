//! The batch of `ip` commands that leads a namespace from what it has to its plan.

use super::plan::{Plan, Setting, difference};
use crate::linux::program::{self, Failed};
use std::collections::BTreeSet;
use std::mem;

/// Links that go are put into this group, because the kernel deletes a group at once but
/// waits a few milliseconds for every single link.
const DOOMED: u32 = 7_777;

/// One line of `ip -batch` and what to make of its failure.
#[derive(Debug, PartialEq)]
pub struct Line<'a> {
    pub text: String,
    pub does: Does<'a>,
}

#[derive(Debug, PartialEq)]
pub enum Does<'a> {
    /// Gone already is as good.
    Delete,
    Link(&'a str),
    Raise(&'a str),
    Set(&'a Setting),
}

impl Line<'_> {
    /// The device it is about, if it is about one.
    pub fn device(&self) -> Option<&str> {
        match self.does {
            Does::Delete => None,
            Does::Link(device) | Does::Raise(device) => Some(device),
            Does::Set(setting) => setting.device(),
        }
    }
}

/// Commands that delete links.
pub fn deletions(doomed: &BTreeSet<String>) -> impl Iterator<Item = String> {
    let marks = doomed
        .iter()
        .map(|device| format!("link set {device} group {DOOMED}"));
    let all = (!doomed.is_empty()).then(|| format!("link del group {DOOMED}"));
    marks.chain(all)
}

/// Deletions first, then links, then what is set on them. `have` is what may have to be
/// deleted and what need not be set again.
pub fn lines<'a>(
    plan: &'a Plan,
    have: (&'a [Setting], &'a [Setting]),
    doomed: &'a BTreeSet<String>,
    born: &'a BTreeSet<String>,
    raised: impl IntoIterator<Item = &'a String>,
) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut add = |text: String, does: Does<'a>| lines.push(Line { text, does });
    for setting in difference(have.0, &plan.settings).0 {
        // Settings of a device go with it.
        if !setting
            .device()
            .is_some_and(|device| doomed.contains(device))
        {
            add(setting.delete(), Does::Delete);
        }
    }
    for text in deletions(doomed) {
        add(text, Does::Delete);
    }
    for device in born {
        if let Some(link) = plan.links.get(device) {
            add(link.add(device), Does::Link(device));
        }
    }
    for device in raised {
        add(format!("link set {device} up"), Does::Raise(device));
    }
    for setting in difference(have.1, &plan.settings).1 {
        add(setting.add(), Does::Set(setting));
    }
    lines
}

/// Runs lines in the calling thread's namespace. Those that failed, with what `ip` said.
pub fn run<'l, 'a>(lines: &'l [Line<'a>]) -> Result<Vec<(&'l Line<'a>, String)>, Failed> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let text: String = lines
        .iter()
        .map(|line| format!("{}\n", line.text))
        .collect();
    let output = program::output("ip", &["-force", "-batch", "-"], &text)?;
    let failed = failed_lines(&String::from_utf8_lossy(&output.stderr));
    if failed.is_empty() && !output.status.success() {
        return Err(Failed {
            program: "ip",
            message: output.status.to_string(),
        });
    }
    Ok(failed
        .into_iter()
        .filter_map(|(index, said)| Some((lines.get(index)?, said)))
        .collect())
}

/// `RTNETLINK answers: No such device` and then `Command failed -:3`, counted from 1.
fn failed_lines(stderr: &str) -> Vec<(usize, String)> {
    let mut said = Vec::new();
    let mut failed = Vec::new();
    for line in stderr.lines() {
        match line
            .strip_prefix("Command failed -:")
            .map(str::parse::<usize>)
        {
            Some(Ok(number)) => {
                failed.push((number.saturating_sub(1), mem::take(&mut said).join("; ")));
            }
            _ => said.push(line.to_owned()),
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_tells_which_line_failed() {
        let stderr = "RTNETLINK answers: File exists\nCommand failed -:2\n\
                      Cannot find device \"x\"\nCommand failed -:5\n";
        let expected = [
            (1, "RTNETLINK answers: File exists"),
            (4, "Cannot find device \"x\""),
        ];
        let found = failed_lines(stderr);
        let found: Vec<_> = found.iter().map(|(n, said)| (*n, said.as_str())).collect();
        assert_eq!(found, expected);
        assert!(failed_lines("").is_empty());
    }
}
