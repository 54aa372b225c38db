//! `nines break` and `nines heal`.

use super::{ask, encode};
use anyhow::Result;

pub fn start(port: u16, kind: &str, what: &str) -> Result<()> {
    let answer = ask(
        port,
        "POST",
        &format!("break?kind={}&what={}", encode(kind), encode(what)),
    )?;
    println!("broken: {}", answer["broken"].as_str().unwrap_or_default());
    Ok(())
}

pub fn heal(port: u16) -> Result<()> {
    let answer = ask(port, "POST", "heal")?;
    let healed: Vec<&str> = answer["healed"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .collect();
    println!(
        "{}",
        if healed.is_empty() {
            "nothing was broken".to_owned()
        } else {
            format!("healed: {}", healed.join(", "))
        }
    );
    Ok(())
}
