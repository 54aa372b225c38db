//! The steps of an explanation, and the first of them that says no.

use serde_json::{Value, json};

#[derive(Default)]
pub struct Walk {
    steps: Vec<Step>,
}

struct Step {
    what: &'static str,
    ok: bool,
    why: String,
}

impl Walk {
    pub fn step(&mut self, what: &'static str, ok: bool, why: impl Into<String>) {
        let why = why.into();
        self.steps.push(Step { what, ok, why });
    }

    pub fn yes(&mut self, what: &'static str, why: impl Into<String>) {
        self.step(what, true, why);
    }

    pub fn no(&mut self, what: &'static str, why: impl Into<String>) {
        self.step(what, false, why);
    }

    pub fn append(&mut self, other: Self) {
        self.steps.extend(other.steps);
    }

    /// What says no first.
    pub fn refusal(&self) -> Option<String> {
        let step = self.steps.iter().find(|s| !s.ok)?;
        Some(format!("{}: {}", step.what, step.why))
    }

    /// The steps, and `yes` unless one of them says no.
    pub fn end(self, yes: &str) -> Value {
        let verdict = match self.refusal() {
            Some(no) => format!("no, because of {no}"),
            None => yes.to_owned(),
        };
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|s| json!({ "what": s.what, "ok": s.ok, "why": s.why }))
            .collect();
        json!({ "steps": steps, "verdict": verdict })
    }
}
