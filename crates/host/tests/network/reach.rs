//! Who reaches whom, with which source address.

use crate::lab::*;
use host::linux::network::names;
use host::linux::program;
use host::network::*;
use std::fmt::Write as _;

/// Source, and the address under which each target saw it; `-` where nothing answered.
const WHO_REACHES_WHOM: &str = "
            internet    web         web:public  app1        app2        app3        node        node:public other:public
internet    =           -           P.2         -           -           -           -           P.2         P.2
host        P.1         =           P.1         =           =           =           =           P.1         P.1
web         P.30        =           P.30        10.0.0.5    10.0.0.5    10.0.0.5    10.0.0.5    P.30        P.30
app1        P.20        10.0.10.5   P.20        =           10.0.10.5   10.0.10.5   10.0.10.5   P.20        P.20
app2        P.21        10.0.11.5   P.21        10.0.11.5   =           10.0.11.5   10.0.11.5   P.21        P.21
lonely      -           10.0.20.5   -           10.0.20.5   10.0.20.5   10.0.20.5   10.0.20.5   -           -
node        P.40        10.0.0.9    P.40        10.0.0.9    10.0.0.9    10.0.0.9    =           P.40        P.40
other       P.50        =           P.50        -           -           -           -           P.50        P.50
";

#[test]
fn who_reaches_whom() {
    let Some(mut lab) = Lab::new("nwho", 16) else {
        return;
    };
    lab.two_vpcs();
    lab.apply();
    let names = ["web", "app1", "app2", "app3", "lonely", "node", "other"];
    let _servers: Vec<Server> = names
        .iter()
        .map(|name| lab.serve(name, name, 8080))
        .chain([
            lab.serve("internet", "internet", 8080),
            lab.serve("host", "host", 8080),
        ])
        .collect();

    let head = WHO_REACHES_WHOM.lines().nth(1).expect("a heading");
    let targets: Vec<&str> = head.split_whitespace().collect();
    let mut table = format!("\n{head}\n");
    for line in WHO_REACHES_WHOM.lines().skip(2) {
        let source = line.split_whitespace().next().expect("a source");
        let cells: Vec<&str> = line.split_whitespace().skip(1).collect();
        let asked: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = targets
                .iter()
                .zip(cells)
                .map(|(target, cell)| {
                    let lab = &lab;
                    // From the host a VPC's address is just some address of the LAN.
                    scope.spawn(move || match cell {
                        "=" => "=".to_owned(),
                        _ => lab.seen_as(source, target),
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("asked"))
                .collect()
        });
        let _ = write!(table, "{source:<12}");
        for cell in asked {
            let _ = write!(table, "{cell:<12}");
        }
        table.push('\n');
    }
    let trimmed: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    assert_eq!(trimmed, WHO_REACHES_WHOM, "{trimmed}");

    // Nobody opens a connection to the host, and the host's routes know nothing of VPCs.
    for source in ["web", "app1", "other", "internet"] {
        let host = host_address(lab.pool());
        if source != "internet" {
            assert_eq!(lab.ask(source, (host, 8080)), None, "{source} to the host");
        }
    }
    let route = program::run("ip", &["route", "get", "10.0.0.5"], "").unwrap_or_default();
    assert!(!route.contains(&names::host_device(lab.cloud())), "{route}");
}
