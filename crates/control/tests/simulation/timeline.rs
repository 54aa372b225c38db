//! What happened, as text that a person reads and a snapshot keeps.

use crate::cloud::Cloud;
use jiff::Timestamp;

/// Events and activities in order of time, ids replaced by short names.
pub fn of(cloud: &Cloud) -> String {
    let state = cloud.state();
    let mut lines: Vec<(Timestamp, u8, String)> = Vec::new();
    for event in state.events.values() {
        lines.push((
            event.time,
            1,
            format!(
                "{} {}: {}",
                short(cloud, &event.subject),
                event.kind,
                event.message
            ),
        ));
    }
    for activity in state.activities.values() {
        lines.push((
            activity.started,
            2,
            format!(
                "ACTIVITY {} because {}",
                activity.description, activity.cause
            ),
        ));
        if let Some(ended) = activity.ended {
            let message = activity
                .status_message
                .as_deref()
                .map(|m| format!(" ({m})"))
                .unwrap_or_default();
            lines.push((
                ended,
                3,
                format!("{}: {}{message}", activity.status, activity.description),
            ));
        }
    }
    let mut lines: Vec<(Timestamp, u8, String)> = lines
        .into_iter()
        .map(|(at, order, line)| (at, order, rename(cloud, &line)))
        .collect();
    lines.sort();
    lines
        .iter()
        .map(|(at, _, line)| {
            format!(
                "{:>8.1} {line}\n",
                at.duration_since(cloud.start).as_secs_f64()
            )
        })
        .collect()
}

/// Activities alone.
pub fn activities(cloud: &Cloud) -> String {
    let all = of(cloud);
    let wanted = |line: &&str| {
        line.contains("ACTIVITY")
            || line.contains("Successful: ")
            || line.contains("Failed: ")
            || line.contains("Cancelled: ")
    };
    all.lines()
        .filter(wanted)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn short(cloud: &Cloud, subject: &str) -> String {
    rename(cloud, subject)
}

fn rename(cloud: &Cloud, line: &str) -> String {
    let mut line = line.to_owned();
    for (id, name) in &cloud.names {
        line = line.replace(id, name);
    }
    // Wall-clock times inside sentences become seconds of the scenario.
    let mut out = String::new();
    let mut rest = line.as_str();
    while let Some(at) = rest.find("2026-01-01T") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find('Z').map_or(from.len(), |i| i + 1);
        match from[..end].parse::<Timestamp>() {
            Ok(time) => out.push_str(&format!(
                "{:.0}s",
                time.duration_since(cloud.start).as_secs_f64()
            )),
            Err(_) => out.push_str(&from[..end]),
        }
        rest = &from[end..];
    }
    out.push_str(rest);
    out
}
