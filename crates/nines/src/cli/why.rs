//! `nines why`: prints each step of the walk, and the first that says no.

use super::{ask, encode};
use anyhow::{Result, bail};

pub fn run(port: u16, from: &str, to: Option<&str>) -> Result<()> {
    let path = match to {
        Some(to) => format!("why?from={}&to={}", encode(from), encode(to)),
        None => match from.strip_prefix("target-group/") {
            Some(name) => format!("why?to={}", encode(name)),
            None => bail!("`nines why` wants FROM and TO[:PORT], or target-group/NAME"),
        },
    };
    let answer = ask(port, "GET", &path)?;
    for step in answer["steps"].as_array().into_iter().flatten() {
        let verdict = match step["ok"].as_bool() {
            Some(true) => "ok ",
            _ => "NO ",
        };
        println!(
            "{verdict} {:<20} {}",
            step["what"].as_str().unwrap_or_default(),
            step["why"].as_str().unwrap_or_default()
        );
    }
    println!("{}", answer["verdict"].as_str().unwrap_or_default());
    Ok(())
}
