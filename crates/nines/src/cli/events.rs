//! `nines events`: what happened and why.

use anyhow::Result;
use std::time::Duration;

/// Between two looks with `-f`.
const POLL: Duration = Duration::from_millis(300);

pub fn run(port: u16, follow: bool) -> Result<()> {
    let mut after: Option<u64> = None;
    loop {
        let path = after.map_or("events".to_owned(), |n| format!("events?after={n}"));
        let answer = super::ask(port, "GET", &path)?;
        for event in answer["events"].as_array().into_iter().flatten() {
            let text = |field: &str| event[field].as_str().unwrap_or_default();
            println!(
                "{}  {:<7}  {}  {}",
                &text("time").get(11..19).unwrap_or_default(),
                text("severity"),
                text("subject"),
                text("message")
            );
            after = event["sequence"].as_u64().or(after);
        }
        if !follow {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
}
