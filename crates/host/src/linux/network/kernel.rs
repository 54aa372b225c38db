//! Makes namespaces agree with their plans, touching only what differs.
//!
//! Per namespace a record of what was set lies in the state directory, so that a restarted
//! control plane adopts what runs and changes nothing. The record is widened to old and new
//! before a change and narrowed after it: whatever a crash leaves half done is set again
//! or deleted by the next run. A namespace of ours without a record is foreign and made
//! anew. What disappears by itself (a veth whose other end went) is seen by listing links.

use super::names;
use super::plan::{Kind, Link, Plan, Setting, difference};
use crate::linux::{namespace, program};
use model::NetworkInterfaceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, mem};

/// Links that go are put into this group, because the kernel deletes a group at once but
/// waits a few milliseconds for every single link.
const DOOMED: u32 = 7_777;

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

/// A step that failed, and whose it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub namespace: String,
    pub interface: Option<NetworkInterfaceId>,
    pub reason: String,
}

/// One line of `ip -batch` and what to make of its failure.
struct Line<'a> {
    text: String,
    does: Does<'a>,
}

enum Does<'a> {
    /// Gone already is as good.
    Delete,
    Raise(&'a str),
    Link(&'a str),
    Set(&'a Setting),
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
        let name = &plan.namespace;
        self.ensure(plan).map_err(|e| Failure {
            namespace: name.clone(),
            interface: None,
            reason: e.to_string(),
        })
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
    pub fn apply_filter(&mut self, plan: &Plan) -> Result<(), Failure> {
        let name = &plan.namespace;
        let Some(record) = self.records.get_mut(name) else {
            return Ok(());
        };
        if record.filter == plan.filter {
            return Ok(());
        }
        // Unknown until it is done.
        record.filter.clear();
        self.save(name)?;
        let text = if plan.filter.is_empty() {
            "table ip nines\ndelete table ip nines\n"
        } else {
            &plan.filter
        };
        run_in(name, || program::run("nft", &["-f", "-"], text))
            .map_err(|reason| failure(name, reason))?;
        if let Some(record) = self.records.get_mut(name) {
            record.filter.clone_from(&plan.filter);
        }
        self.save(name)
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

    /// Veths and settings of a namespace, in one batch. Far ends of new veths are raised
    /// when their own namespace's plan is applied, which must come after.
    pub fn apply_settings(&mut self, plan: &Plan, failures: &mut Vec<Failure>) {
        if let Err(failed) = self.try_settings(plan, failures) {
            failures.push(failed);
        }
    }

    fn try_settings(&mut self, plan: &Plan, failures: &mut Vec<Failure>) -> Result<(), Failure> {
        let name = &plan.namespace;
        let Some(record) = self.records.get(name) else {
            return Ok(());
        };
        let present = if plan.links.is_empty() && record.links.is_empty() {
            BTreeSet::new()
        } else {
            devices(name).map_err(|e| failure(name, e))?
        };
        let (doomed, born) = self.links_to_change(plan, &present);
        for device in &born {
            self.device_is_new(name, device);
            if let Some(link) = plan.links.get(device) {
                self.device_is_new(&link.peer, &link.peer_device);
            }
        }
        let Some(record) = self.records.get(name).cloned() else {
            return Ok(());
        };
        let (gone, mut new) = difference(&record.settings, &plan.settings);
        if record.unfinished {
            new = plan.settings.iter().collect();
        }
        let mut lines = Vec::new();
        for setting in gone {
            // Settings of a device go with it.
            if !setting
                .device()
                .is_some_and(|device| doomed.contains(device))
            {
                lines.push(Line {
                    text: setting.delete(),
                    does: Does::Delete,
                });
            }
        }
        for device in &doomed {
            let text = format!("link set {device} group {DOOMED}");
            lines.push(Line {
                text,
                does: Does::Delete,
            });
        }
        if !doomed.is_empty() {
            let text = format!("link del group {DOOMED}");
            lines.push(Line {
                text,
                does: Does::Delete,
            });
        }
        for device in &born {
            if let Some(link) = plan.links.get(device) {
                lines.push(Line {
                    text: link.add(device),
                    does: Does::Link(device),
                });
            }
        }
        for device in &record.down {
            let text = format!("link set {device} up");
            lines.push(Line {
                text,
                does: Does::Raise(device),
            });
        }
        lines.extend(new.into_iter().map(|s| Line {
            text: s.add(),
            does: Does::Set(s),
        }));
        if lines.is_empty()
            && !record.unfinished
            && record.links == plan.links
            && record.settings == plan.settings
        {
            return Ok(());
        }

        let mut wider = Record {
            unfinished: true,
            ..record.clone()
        };
        wider.settings.extend(plan.settings.iter().cloned());
        wider
            .links
            .extend(plan.links.iter().map(|(d, l)| (d.clone(), l.clone())));
        let mut after = Record {
            links: plan.links.clone(),
            settings: plan.settings.clone(),
            down: BTreeSet::new(),
            unfinished: false,
            ..record.clone()
        };
        self.write(name, &wider)?;
        // The far ends' records must not claim more than is there either.
        for device in &born {
            if let Some(link) = plan.links.get(device) {
                self.save(&link.peer)?;
            }
        }
        let failed = batch(name, &lines).map_err(|reason| failure(name, reason))?;
        for (index, reason) in failed {
            let Some(line) = lines.get(index) else {
                continue;
            };
            let device = match line.does {
                Does::Delete => continue,
                Does::Link(device) => {
                    after.links.remove(device);
                    Some(device)
                }
                Does::Raise(device) => {
                    after.down.insert(device.to_owned());
                    Some(device)
                }
                Does::Set(Setting::Rule { .. }) if reason.contains("File exists") => continue,
                Does::Set(setting) => {
                    after.settings.retain(|other| other != setting);
                    setting.device()
                }
            };
            let link = device.and_then(|device| plan.links.get(device));
            failures.push(Failure {
                namespace: name.clone(),
                interface: link.and_then(|link| link.interface.clone()),
                reason: format!("ip {}: {reason}", line.text),
            });
        }
        self.records.insert(name.clone(), after);
        if plan.kind == Kind::Router && !born.is_empty() {
            answer_arp_at_once(name, &born).map_err(|e| failure(name, e))?;
        }
        self.save(name)
    }

    /// Links to delete (with their settings) and links to make.
    fn links_to_change(
        &self,
        plan: &Plan,
        present: &BTreeSet<String>,
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let empty = BTreeMap::new();
        let had = self
            .records
            .get(&plan.namespace)
            .map_or(&empty, |record| &record.links);
        let born: BTreeSet<String> = plan
            .links
            .iter()
            .filter(|(device, link)| {
                // A far end that still waits to be raised is in a namespace made anew.
                let far_is_new = self
                    .records
                    .get(&link.peer)
                    .is_some_and(|far| far.down.contains("lo"));
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
        (doomed, born)
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

    fn save(&mut self, name: &str) -> Result<(), Failure> {
        match self.records.get(name).cloned() {
            Some(record) => self.write(name, &record),
            None => Ok(()),
        }
    }

    fn write(&mut self, name: &str, record: &Record) -> Result<(), Failure> {
        self.changed.insert(name.to_owned());
        let file = self.file(name);
        let new = file.with_extension("new");
        serde_json::to_vec_pretty(record)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &file))
            .map_err(|e| failure(name, format!("write record: {e}")))
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
        let doomed: Vec<String> = devices(name)?
            .into_iter()
            .filter(|device| device != "lo")
            .collect();
        let mut text: String = doomed
            .iter()
            .map(|device| format!("link set {device} group {DOOMED}\n"))
            .collect();
        text += &format!("link del group {DOOMED}\n");
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

/// The batch's failed lines, by index, with what `ip` said.
fn batch(name: &str, lines: &[Line<'_>]) -> Result<Vec<(usize, String)>, String> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let text: String = lines
        .iter()
        .map(|line| format!("{}\n", line.text))
        .collect();
    let output = run_in(name, || {
        program::output("ip", &["-force", "-batch", "-"], &text)
    })?;
    let failed = failed_lines(&String::from_utf8_lossy(&output.stderr));
    if failed.is_empty() && !output.status.success() {
        return Err(format!("ip: {}", output.status));
    }
    Ok(failed)
}

/// `RTNETLINK answers: No such device` and then `Command failed -:3`, counted from 1.
fn failed_lines(stderr: &str) -> Vec<(usize, String)> {
    let mut said = Vec::new();
    let mut failed = Vec::new();
    for line in stderr.lines() {
        match line
            .strip_prefix("Command failed -:")
            .map(str::parse::<usize>)
        {
            Some(Ok(number)) => {
                failed.push((number.saturating_sub(1), mem::take(&mut said).join("; ")));
            }
            _ => said.push(line.to_owned()),
        }
    }
    failed
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
    };
    forwarding
        .iter()
        .chain(own)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        // A kernel without IPv6 has nothing to switch off.
        .filter(|(key, _)| !key.starts_with("ipv6") || Path::new("/proc/sys/net/ipv6").exists())
        .collect()
}

fn inode(name: &str) -> io::Result<u64> {
    if name.is_empty() {
        return Ok(0);
    }
    Ok(fs::metadata(namespace::path(name))?.ino())
}

fn failure(namespace: &str, reason: impl ToString) -> Failure {
    Failure {
        namespace: namespace.to_owned(),
        interface: None,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_tells_which_line_failed() {
        let stderr = "RTNETLINK answers: File exists\nCommand failed -:2\n\
                      Cannot find device \"x\"\nCommand failed -:5\n";
        let expected = [
            (1, "RTNETLINK answers: File exists"),
            (4, "Cannot find device \"x\""),
        ];
        let found = failed_lines(stderr);
        let found: Vec<_> = found.iter().map(|(n, said)| (*n, said.as_str())).collect();
        assert_eq!(found, expected);
        assert!(failed_lines("").is_empty());
    }
}
