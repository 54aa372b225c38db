//! `nines ps`: what runs, in tables.

use super::{ask, table};
use anyhow::Result;
use serde_json::Value;

pub fn run(port: u16, json: bool) -> Result<()> {
    let answer = ask(port, "GET", "ps")?;
    if json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        other => other.to_string(),
    };
    let show = |title: &str, list: &str, columns: &[&str]| {
        let rows = answer[list].as_array().map_or(&[][..], Vec::as_slice);
        if rows.is_empty() {
            return;
        }
        let mut lines = vec![columns.iter().map(|c| c.to_uppercase()).collect::<Vec<_>>()];
        lines.extend(
            rows.iter()
                .map(|row| columns.iter().map(|c| cell(&row[*c])).collect()),
        );
        println!("{title}\n{}", table(&lines));
    };
    show(
        "Load balancers",
        "load_balancers",
        &["name", "dns_name", "active", "in_service"],
    );
    show(
        "Groups",
        "groups",
        &["name", "min", "desired", "max", "instances"],
    );
    show(
        "Instances",
        "instances",
        &[
            "id",
            "name",
            "type",
            "cores",
            "zone",
            "private_ip",
            "state",
            "ready",
            "checks",
            "user_data",
            "lifecycle",
            "healthy",
        ],
    );
    show(
        "Targets",
        "targets",
        &["group", "target", "port", "state", "reason"],
    );
    show(
        "NAT gateways",
        "nat_gateways",
        &["id", "state", "subnet", "public_ip"],
    );
    show("Alarms", "alarms", &["name", "state", "since"]);
    let faults: Vec<String> = answer["faults"]
        .as_array()
        .into_iter()
        .flatten()
        .map(cell)
        .collect();
    if !faults.is_empty() {
        println!("Broken: {}", faults.join(", "));
    }
    Ok(())
}
