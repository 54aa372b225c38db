//! `nines doctor`: what this host has and lacks.

use anyhow::{Result, bail};

pub fn run(plan: &host::linux::doctor::Plan<'_>) -> Result<()> {
    let checks = host::linux::doctor::checks(plan);
    for check in &checks {
        println!(
            "{} {}: {}",
            if check.ok { "ok     " } else { "MISSING" },
            check.name,
            check.found
        );
        if !check.ok {
            println!("        fix: {}", check.fix);
        }
    }
    if checks.iter().any(|c| !c.ok && c.required) {
        bail!("this host cannot run a cloud yet");
    }
    Ok(())
}
