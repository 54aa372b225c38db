//! The commands. All but `up`, `down`, `console`, `shell` and `image` only ask the running cloud.

pub mod ca;
pub mod certificate;
pub mod coverage;
pub mod doctor;
pub mod down;
pub mod env;
pub mod events;
pub mod fault;
pub mod image;
pub mod instance;
pub mod ps;
pub mod top;
pub mod up;
pub mod why;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Asks the running cloud at `/_nines/`.
pub fn ask(port: u16, method: &str, path: &str) -> Result<Value> {
    let url = format!("http://127.0.0.1:{port}/_nines/{path}");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let sent = if method == "POST" {
        agent.post(&url).send_empty()
    } else {
        agent.get(&url).call()
    };
    let mut response = sent.with_context(|| {
        format!("no cloud answers on port {port}; start one with `nines up -d`")
    })?;
    let value: Value = response
        .body_mut()
        .read_json()
        .context("failed to read the cloud's answer")?;
    match value.get("error").and_then(Value::as_str) {
        Some(error) => bail!("{error}"),
        None => Ok(value),
    }
}

/// Percent-encodes a query value.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A column of text values, aligned with its neighbours.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|t| t.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!("{text:<width$}"))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
