//! Makes namespaces agree with their plans, touching only what differs.
//!
//! Per namespace a record of what was set lies in the state directory, so that a restarted
//! control plane adopts what runs and changes nothing. The record is widened to old and new
//! before a change and narrowed after it: whatever a crash leaves half done is set again
//! or deleted by the next run. A namespace of ours without a record is foreign and made
//! anew. What disappears by itself (a veth whose other end went) is seen by listing links.

use super::batch::{self, Does, Line};
use super::plan::{Failure, Kind, Link, MAIN, MTU, Plan, Setting};
use super::steps::{at_once, in_steps};
use super::{done, names};
use crate::linux::{namespace, program};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, mem, thread};

pub struct Kernel {
    cloud: String,
    directory: PathBuf,
    boot: String,
    records: BTreeMap<String, Record>,
    /// Namespaces that were changed since the last [`Kernel::take_changed`].
    changed: BTreeSet<String>,
}

/// What was set in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    /// The boot and the inode of the namespace it speaks of.
    boot: String,
    inode: u64,
    filter: String,
    links: BTreeMap<String, Link>,
    settings: Vec<Setting>,
    /// A change was begun: each setting may or may not be there.
    unfinished: bool,
    /// Devices to raise before anything is set on them.
    down: BTreeSet<String>,
}

/// A plan, and what its namespace has to be rid of and given for it.
struct Change {
    plan: Plan,
    before: Record,
    /// Links to delete, with their settings, and links to make.
    doomed: BTreeSet<String>,
    born: BTreeSet<String>,
}

impl Change {
    fn lines(&self) -> Vec<Line<'_>> {
        let Self {
            plan,
            before,
            doomed,
            born,
        } = self;
        let have = match before.unfinished {
            // Only good for what to delete.
            true => (before.settings.as_slice(), &[] as &[Setting]),
            false => (before.settings.as_slice(), before.settings.as_slice()),
        };
        // A device that nothing is set on any more need not be raised.
        let raised = before.down.iter().filter(|device| {
            *device == "lo"
                || plan.links.contains_key(*device)
                || plan.settings.iter().any(|s| s.device() == Some(*device))
        });
        batch::lines(plan, have, doomed, born, raised)
    }

    /// Nothing is left to do, and the record says so.
    fn is_done(&self, lines: &[Line<'_>]) -> bool {
        let Self { plan, before, .. } = self;
        lines.is_empty() && before.links == plan.links && before.settings == plan.settings
    }
}

impl Kernel {
    pub fn open(cloud: &str, state: &Path) -> io::Result<Self> {
        let directory = state.join("namespaces");
        fs::create_dir_all(&directory)?;
        let mut records = BTreeMap::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            // One that cannot be read is as good as none: its namespace is made anew.
            let record = fs::read(&path)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(record) = record {
                records.insert(if name == "host" { "" } else { name }.to_owned(), record);
            }
        }
        Ok(Self {
            cloud: cloud.to_owned(),
            directory,
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?
                .trim()
                .to_owned(),
            records,
            changed: BTreeSet::new(),
        })
    }

    pub fn take_changed(&mut self) -> BTreeSet<String> {
        mem::take(&mut self.changed)
    }

    /// The namespace of a plan, with the kernel parameters of its kind.
    pub fn ensure_namespace(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.ensure(plan).map_err(|e| plan.failure(e))
    }

    fn ensure(&mut self, plan: &Plan) -> io::Result<()> {
        let name = &plan.namespace;
        let known = self.known(name);
        match plan.kind {
            Kind::Host => {}
            Kind::Instance { uid_base } => {
                let id = name
                    .strip_prefix(&format!("{}-", self.cloud))
                    .unwrap_or(name);
                namespace::create_instance_namespaces(&self.cloud, id, uid_base)?;
            }
            _ => {
                if namespace::exists(name) && !known {
                    tear_down(name)?;
                }
                if namespace::create(name)? {
                    self.records.remove(name);
                    load_tracking()?;
                    namespace::set_parameters(name, &parameters(plan.kind))?;
                }
            }
        }
        if !self.known(name) {
            let loopback = (plan.kind != Kind::Host).then(|| "lo".to_owned());
            let record = Record {
                boot: self.boot.clone(),
                inode: inode(name)?,
                down: loopback.into_iter().collect(),
                ..Record::default()
            };
            self.records.insert(name.clone(), record);
        }
        Ok(())
    }

    /// Whether the record speaks of the namespace that is there now.
    fn known(&self, name: &str) -> bool {
        self.records.get(name).is_some_and(|record| {
            record.boot == self.boot && inode(name).is_ok_and(|inode| inode == record.inode)
        })
    }

    /// The filter goes first: a link that appears is filtered from its first packet on,
    /// and one that is about to go is no longer known to the filter.
    ///
    /// Without its filter a router would pass everything: a plan whose filter fails is dropped.
    pub fn apply_filters(&mut self, plans: &mut Vec<Plan>, failures: &mut Vec<Failure>) {
        plans.retain(|plan| done(self.begin_filter(plan), failures));
        let changed: Vec<&Plan> = plans
            .iter()
            .filter(|plan| self.lacks_filter(plan))
            .collect();
        let outcomes = at_once(&changed, |plan| {
            let text = match plan.filter.as_str() {
                "" => "table ip nines\ndelete table ip nines\n",
                filter => filter,
            };
            run_in(&plan.namespace, || program::run("nft", &["-f", "-"], text))
        });
        let mut failed = BTreeSet::new();
        for (plan, outcome) in changed.iter().zip(outcomes) {
            if let Some(record) = self
                .records
                .get_mut(&plan.namespace)
                .filter(|_| outcome.is_ok())
            {
                record.filter.clone_from(&plan.filter);
            }
            let outcome = outcome.and_then(|_| self.save(&plan.namespace));
            if !done(outcome.map_err(|e| plan.failure(e)), failures) {
                failed.insert(plan.namespace.clone());
            }
        }
        plans.retain(|plan| !failed.contains(&plan.namespace));
    }

    fn lacks_filter(&self, plan: &Plan) -> bool {
        let record = self.records.get(&plan.namespace);
        record.is_some_and(|record| record.filter != plan.filter)
    }

    /// A filter that is about to be changed is unknown until that is done.
    fn begin_filter(&mut self, plan: &Plan) -> Result<(), Failure> {
        if !self.lacks_filter(plan) {
            return Ok(());
        }
        if let Some(record) = self.records.get_mut(&plan.namespace) {
            record.filter.clear();
        }
        self.save(&plan.namespace).map_err(|e| plan.failure(e))
    }

    /// Forgets what was set on a device that is not the one it was.
    pub fn device_is_new(&mut self, name: &str, device: &str) {
        if let Some(record) = self.records.get_mut(name) {
            record
                .settings
                .retain(|setting| setting.device() != Some(device));
            record.down.insert(device.to_owned());
        }
    }

    /// Veths and settings, a batch for each namespace. The far ends of new veths are raised
    /// when their own namespace's plan is applied, which comes after.
    pub fn apply_settings(&mut self, plans: &[Plan], failures: &mut Vec<Failure>) {
        for together in in_steps(plans) {
            self.apply_step(&together, failures);
        }
    }

    /// A plan without the links whose far namespace could not be made, which was told:
    /// `ip` gives up a whole batch over a name it does not know.
    fn possible(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        let Plan {
            links, settings, ..
        } = &mut plan;
        links.retain(|device, link| {
            let possible = self.known(&link.peer);
            if !possible {
                settings.retain(|setting| setting.device() != Some(device));
            }
            possible
        });
        plan
    }

    /// Plans none of which has a link that ends in another's namespace.
    fn apply_step(&mut self, plans: &[&Plan], failures: &mut Vec<Failure>) {
        let mut changes = Vec::new();
        for plan in plans {
            match self.change(plan) {
                Ok(change) => changes.extend(change),
                Err(reason) => failures.push(plan.failure(reason)),
            }
        }
        let mut jobs = Vec::new();
        for change in &changes {
            let lines = change.lines();
            let done = done(
                self.begin(change, &lines)
                    .map_err(|e| change.plan.failure(e)),
                failures,
            );
            if done && !change.is_done(&lines) {
                jobs.push((change, lines));
            }
        }
        let outcomes = at_once(&jobs, |(change, lines)| {
            run_in(&change.plan.namespace, || batch::run(lines))
        });
        for ((change, _), outcome) in jobs.iter().zip(outcomes) {
            let ended = outcome.and_then(|failed| self.end(change, failed, failures));
            done(ended.map_err(|e| change.plan.failure(e)), failures);
        }
    }

    /// What a plan changes in its namespace, if that is there.
    fn change(&mut self, plan: &Plan) -> Result<Option<Change>, String> {
        let plan = self.possible(plan);
        let name = &plan.namespace;
        let (doomed, born) = self.links_to_change(&plan).map_err(|e| e.to_string())?;
        for device in &born {
            self.device_is_new(name, device);
            if let Some(link) = plan.links.get(device) {
                self.device_is_new(&link.peer, &link.peer_device);
            }
        }
        let record = self.records.get(name).cloned();
        Ok(record.map(|before| Change {
            before,
            doomed,
            born,
            plan,
        }))
    }

    /// Notes what may be there from now on.
    fn begin(&mut self, change: &Change, lines: &[Line<'_>]) -> Result<(), String> {
        if change.is_done(lines) {
            return Ok(());
        }
        let Change { plan, born, .. } = change;
        let mut during = change.before.clone();
        during.unfinished = true;
        during.settings.extend(plan.settings.iter().cloned());
        during.links.extend(plan.links.clone());
        self.records.insert(plan.namespace.clone(), during);
        self.save(&plan.namespace)?;
        // The far ends' records must not claim more than is there either.
        for link in born.iter().filter_map(|device| plan.links.get(device)) {
            self.save(&link.peer)?;
        }
        Ok(())
    }

    /// Notes what is there now.
    fn end(
        &mut self,
        change: &Change,
        failed: Vec<(&Line<'_>, String)>,
        failures: &mut Vec<Failure>,
    ) -> Result<(), String> {
        let Change { plan, born, .. } = change;
        let name = &plan.namespace;
        let mut after = Record {
            links: plan.links.clone(),
            settings: plan.settings.clone(),
            down: BTreeSet::new(),
            ..change.before.clone()
        };
        after.unfinished = false;
        for (line, reason) in failed {
            // What failed is not on record, so the next run tries again.
            match line.does {
                Does::Delete => continue,
                Does::Set(Setting::Rule { .. } | Setting::Source { .. })
                    if reason.contains("File exists") =>
                {
                    continue;
                }
                Does::Set(setting) => after.settings.retain(|other| other != setting),
                Does::Link(device) => _ = after.links.remove(device),
                Does::Raise(device) => _ = after.down.insert(device.to_owned()),
            }
            let reason = format!("ip {}: {reason}", line.text);
            failures.push(plan.device_failure(line.device(), reason));
        }
        self.records.insert(name.clone(), after);
        if plan.kind == Kind::Router && !born.is_empty() {
            answer_arp_at_once(name, born).map_err(|e| e.to_string())?;
        }
        self.save(name)
    }

    /// Links to delete (with their settings) and links to make.
    fn links_to_change(&self, plan: &Plan) -> io::Result<(BTreeSet<String>, BTreeSet<String>)> {
        let empty = BTreeMap::new();
        let had = self
            .records
            .get(&plan.namespace)
            .map_or(&empty, |record| &record.links);
        if plan.links.is_empty() && had.is_empty() {
            return Ok(Default::default());
        }
        let present = devices(&plan.namespace)?;
        let born: BTreeSet<String> = plan
            .links
            .iter()
            .filter(|(device, link)| {
                // A far end that still waits to be raised is in a namespace made anew.
                let far = self.records.get(&link.peer);
                let far_is_new = far.is_some_and(|record| record.down.contains("lo"));
                !present.contains(*device) || had.get(*device) != Some(*link) || far_is_new
            })
            .map(|(device, _)| device.clone())
            .collect();
        let doomed = had
            .keys()
            .filter(|device| !plan.links.contains_key(*device))
            .chain(&born)
            .filter(|device| present.contains(*device))
            .cloned()
            .collect();
        Ok((doomed, born))
    }

    /// Removes a namespace with all its links, whoever still holds it open.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        tear_down(name)?;
        self.forget(name)
    }

    /// Drops records of namespaces that others removed (an instance's).
    pub fn forget_absent(&mut self) -> io::Result<()> {
        let absent: Vec<String> = self
            .records
            .keys()
            .filter(|name| !name.is_empty() && !namespace::exists(name))
            .cloned()
            .collect();
        absent.iter().try_for_each(|name| self.forget(name))
    }

    fn forget(&mut self, name: &str) -> io::Result<()> {
        self.records.remove(name);
        self.changed.insert(name.to_owned());
        match fs::remove_file(self.file(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn save(&mut self, name: &str) -> Result<(), String> {
        let Some(record) = self.records.get(name) else {
            return Ok(());
        };
        let file = self.file(name);
        let new = file.with_extension("new");
        let written = serde_json::to_vec_pretty(record)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &file));
        self.changed.insert(name.to_owned());
        written.map_err(|e| format!("write record: {e}"))
    }

    fn file(&self, name: &str) -> PathBuf {
        let stem = if name.is_empty() { "host" } else { name };
        self.directory.join(stem).with_extension("json")
    }
}

/// Deletes all links first: an open socket anywhere would keep the namespace, and with it
/// the far ends of its veths, alive.
pub fn tear_down(name: &str) -> io::Result<()> {
    if namespace::exists(name) {
        let mut doomed = devices(name)?;
        doomed.remove("lo");
        let text: String = batch::deletions(&doomed).map(|line| line + "\n").collect();
        if !doomed.is_empty() {
            // What cannot be deleted (a tunnel module's own device) goes with the namespace.
            run_in(name, || {
                program::output("ip", &["-force", "-batch", "-"], &text)
            })
            .map_err(io::Error::other)?;
        }
    }
    namespace::remove(name)
}

/// How often, and how long apart, a namespace's settings are looked at while they change.
const RENEWALS: u8 = 10;
const RENEWAL_PAUSE: Duration = Duration::from_millis(20);

/// Gives an instance that boots again the network of a machine that boots: links that it made,
/// filters of nftables, queueing, sizes, addresses, routes and rules that were set or taken away in
/// it are no more. What it has is read off its record, since an instance reboots without a control plane as well.
///
/// Left alone: filters of the older iptables, and addresses of no global scope.
pub fn renew(state: &Path, name: &str) -> Result<(), String> {
    let file = state.join("namespaces").join(format!("{name}.json"));
    for attempt in 1..=RENEWALS {
        let text = fs::read(&file).map_err(|e| format!("read {}: {e}", file.display()))?;
        let record: Record = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
        let failed = restore(name, &record.settings);
        // A control plane that changes the settings meanwhile writes the record before and after.
        // One that ended in between leaves it unfinished.
        let finished = !record.unfinished || attempt == RENEWALS;
        if finished && fs::read(&file).is_ok_and(|now| now == text) {
            return match failed.is_empty() {
                true => Ok(()),
                false => Err(failed.join("; ")),
            };
        }
        thread::sleep(RENEWAL_PAUSE);
    }
    Err(format!("{} kept changing", file.display()))
}

/// Sets a namespace back to its settings; what failed.
fn restore(name: &str, settings: &[Setting]) -> Vec<String> {
    let devices: BTreeSet<&str> = settings.iter().filter_map(Setting::device).collect();
    let tables: BTreeSet<u32> = settings
        .iter()
        .filter_map(|setting| match setting {
            Setting::Route { table, .. } => Some(*table),
            _ => None,
        })
        .chain([MAIN])
        .collect();
    let mut failed = Vec::new();
    // Bridges and tunnels of its own; an interface that is just being attached may have no settings yet.
    let made = self::devices(name).map(|mut links| {
        links.retain(|link| link != "lo" && names::device_index(link).is_none());
        links
    });
    let made = made.unwrap_or_else(|error| {
        failed.push(format!("list its links: {error}"));
        BTreeSet::new()
    });
    let mut lines = Vec::new();
    let mut add = |text: String, does| lines.push(Line { text, does });
    for text in batch::deletions(&made) {
        add(text, Does::Delete);
    }
    add("link set lo up".into(), Does::Raise("lo"));
    for &device in &devices {
        let addresses = format!("addr flush dev {device} scope global");
        add(addresses, Does::Delete);
        let size = format!("link set {device} mtu {MTU} up");
        add(size, Does::Raise(device));
    }
    for table in tables {
        add(format!("route flush table {table}"), Does::Delete);
    }
    add("rule flush".into(), Does::Delete);
    // Those that the kernel gives a new namespace.
    add(format!("rule add pref 32766 table {MAIN}"), Does::Delete);
    add("rule add pref 32767 table default".into(), Does::Delete);
    for setting in settings {
        add(setting.add(), Does::Set(setting));
    }
    let queues: String = devices
        .iter()
        .map(|device| format!("qdisc del dev {device} root\n"))
        .collect();

    let filters = run_in(name, || program::run("nft", &["flush", "ruleset"], ""));
    // Most devices have no queue of their own, of which `tc` complains.
    let queues = run_in(name, || {
        program::output("tc", &["-force", "-batch", "-"], &queues)
    });
    let settings = run_in(name, || batch::run(&lines));
    failed.extend(filters.err());
    failed.extend(queues.err());
    match settings {
        Ok(lines) => failed.extend(
            lines
                .into_iter()
                .filter(|(line, said)| line.does != Does::Delete && !said.contains("File exists"))
                .map(|(line, said)| format!("ip {}: {said}", line.text)),
        ),
        Err(error) => failed.push(error),
    }
    failed
}

/// Runs in a namespace; the empty name is the host.
pub fn run_in<T: Send>(
    name: &str,
    work: impl FnOnce() -> Result<T, program::Failed> + Send,
) -> Result<T, String> {
    let done = if name.is_empty() {
        work()
    } else {
        namespace::enter(name, work).map_err(|e| e.to_string())?
    };
    done.map_err(|e| e.to_string())
}

fn devices(name: &str) -> io::Result<BTreeSet<String>> {
    let list = || -> io::Result<BTreeSet<String>> {
        Ok(nix::net::if_::if_nameindex()?
            .iter()
            .map(|found| found.name().to_string_lossy().into_owned())
            .collect())
    };
    if name.is_empty() {
        list()
    } else {
        namespace::enter(name, list)?
    }
}

/// Without this the kernel holds back its first answer for another's address by up to 0.8 s.
fn answer_arp_at_once(name: &str, devices: &BTreeSet<String>) -> io::Result<()> {
    let delays: Vec<(String, String)> = devices
        .iter()
        .filter(|device| *device != names::ROUTER_TO_GATEWAY)
        .map(|device| (format!("ipv4/neigh/{device}/proxy_delay"), "0".to_owned()))
        .collect();
    namespace::set_parameters(name, &delays)
}

/// Kernel parameters of a new namespace; those of the host must not be inherited.
fn parameters(kind: Kind) -> Vec<(String, String)> {
    let forwarding = [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
        ("ipv4/conf/all/accept_redirects", "0"),
        ("ipv6/conf/all/disable_ipv6", "1"),
        ("ipv6/conf/default/disable_ipv6", "1"),
    ];
    // Windows are for the two ends to judge, not for those in between.
    let liberal = [("netfilter/nf_conntrack_tcp_be_liberal", "1")];
    // Idle timeouts of security groups and of NAT gateways, as AWS documents them:
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
    // https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html
    let own: &[(&str, &str)] = match kind {
        Kind::Host | Kind::Instance { .. } | Kind::LoadBalancerNode => return Vec::new(),
        Kind::Internet | Kind::InternetGateway => &liberal,
        Kind::Router => &[
            liberal[0],
            ("ipv4/conf/all/proxy_arp", "1"),
            ("netfilter/nf_conntrack_tcp_timeout_established", "432000"),
            ("netfilter/nf_conntrack_udp_timeout", "30"),
            ("netfilter/nf_conntrack_udp_timeout_stream", "180"),
            ("netfilter/nf_conntrack_generic_timeout", "600"),
        ],
        Kind::NatGateway => &[
            ("netfilter/nf_conntrack_tcp_timeout_established", "350"),
            ("netfilter/nf_conntrack_udp_timeout", "350"),
            ("netfilter/nf_conntrack_udp_timeout_stream", "350"),
            ("netfilter/nf_conntrack_tcp_loose", "0"),
        ],
        // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#connection-idle-timeout
        Kind::NetworkLoadBalancerNode => &[
            liberal[0],
            ("netfilter/nf_conntrack_tcp_timeout_established", "350"),
            ("netfilter/nf_conntrack_udp_timeout", "120"),
            ("netfilter/nf_conntrack_udp_timeout_stream", "120"),
            ("netfilter/nf_conntrack_tcp_loose", "0"),
        ],
    };
    forwarding
        .iter()
        .chain(own)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        // A kernel without IPv6 has nothing to switch off.
        .filter(|(key, _)| !key.starts_with("ipv6") || Path::new("/proc/sys/net/ipv6").exists())
        .collect()
}

/// Connection tracking's parameters exist once its module is loaded, which the first rule
/// that asks for a state brings about.
fn load_tracking() -> io::Result<()> {
    if Path::new("/proc/sys/net/netfilter/nf_conntrack_tcp_loose").exists() {
        return Ok(());
    }
    let text = "table ip nines { chain any { ct state new accept; }; }\n";
    namespace::scratch(|| program::run("nft", &["-f", "-"], text))?.map_err(io::Error::other)?;
    Ok(())
}

fn inode(name: &str) -> io::Result<u64> {
    if name.is_empty() {
        return Ok(0);
    }
    Ok(fs::metadata(namespace::path(name))?.ino())
}
