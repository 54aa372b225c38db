//! `nines coverage`: what each call takes, read off the code; no cloud need run.

use anyhow::{Result, bail};
use api::{CallCoverage, ServiceCoverage};
use wire::{Effect, Member, Members};

pub fn run(service: Option<&str>, call: Option<&str>, json: bool) -> Result<()> {
    let mut services = api::coverage();
    if let Some(name) = service {
        services.retain(|s| s.name.eq_ignore_ascii_case(name));
        if services.is_empty() {
            bail!(
                "there is no service {name}; `nines coverage` lists those there are, by the names in signatures"
            );
        }
    }
    if let Some(name) = call {
        for service in &mut services {
            service.calls.retain(|c| c.name.eq_ignore_ascii_case(name));
        }
        if services.iter().all(|s| s.calls.is_empty()) {
            bail!("there is no call {name} of that service; it would be refused");
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&services)?);
        return Ok(());
    }
    for found in &services {
        print(found, service.is_some());
    }
    Ok(())
}

fn print(service: &ServiceCoverage, detailed: bool) {
    if !detailed {
        println!("{:22} {:4} calls", service.name, service.calls.len());
        return;
    }
    for call in &service.calls {
        println!("{}", call.name);
        print_call(call);
    }
}

fn print_call(call: &CallCoverage) {
    if call.any {
        println!("  refused, whatever it asks for");
    }
    for (effect, label) in [
        (Effect::Honoured, "honoured"),
        (Effect::Validated, "validated"),
        (Effect::Stored, "stored only"),
        (Effect::Refused, "refused"),
    ] {
        let mut names = Vec::new();
        collect(&call.members, effect, "", &mut names);
        if !names.is_empty() {
            println!("  {label}: {}", names.join(", "));
        }
    }
}

/// The members with that effect; of a structure whose parts differ, the parts.
fn collect(members: &[Member], effect: Effect, above: &str, names: &mut Vec<String>) {
    for member in members {
        let name = format!("{above}{}", member.name);
        match &member.inner {
            Members::Named(inner) if !uniform(member) => {
                collect(inner, effect, &format!("{name}."), names);
            }
            _ if member.effect == effect => names.push(name),
            _ => {}
        }
    }
}

fn uniform(member: &Member) -> bool {
    match &member.inner {
        Members::Named(inner) => inner
            .iter()
            .all(|part| part.effect == member.effect && uniform(part)),
        _ => true,
    }
}
