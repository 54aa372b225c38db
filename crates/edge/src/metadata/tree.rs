//! Everything an instance can read of itself, as one map from path to content.
//!
//! A directory exists by having something in it, so a listing can never
//! disagree with what is there. Source of the keys:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html>

use super::identity::Identity;
use crate::config::{Instance, Interface, Profile, SentKey};
use base64::Engine;
use serde_json::json;
use std::collections::BTreeMap;

/// By path below the version, such as `meta-data/instance-id`. A path that ends
/// with `/` holds the listing of a directory that is not listed in the usual way.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Vec<u8>>);

/// Builds the tree of an instance as it is at a second since the epoch.
pub fn tree(instance: &Instance, identity: Option<&Identity>, now: u64) -> Tree {
    let mut tree = Tree::default();
    let mut meta = tree.at("meta-data/");
    let i = instance;

    meta.put("ami-id", &i.image_id);
    // Of images in instance stores; AWS says this of all others.
    meta.put("ami-manifest-path", "(unknown)");
    meta.put("ami-launch-index", i.launch_index.to_string());
    meta.put("hostname", &i.hostname);
    meta.put("instance-action", "none");
    meta.put("instance-id", &i.id);
    meta.put("instance-life-cycle", &i.life_cycle);
    meta.put("instance-type", &i.instance_type);
    meta.put("local-hostname", &i.hostname);
    meta.put("profile", "default-hvm");
    meta.put("reservation-id", &i.reservation_id);
    meta.put("placement/availability-zone", &i.zone);
    meta.put("placement/availability-zone-id", &i.zone_id);
    meta.put("placement/region", &i.region);
    if let Some(group) = &i.placement_group {
        meta.put("placement/group-name", group);
    }
    meta.put("system", &i.hypervisor);
    meta.put("services/domain", "amazonaws.com");
    meta.put("services/partition", "aws");
    meta.put("events/maintenance/history", "[]");
    meta.put("events/maintenance/scheduled", "[]");
    meta.put(
        "metrics/vhostmd",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
    );
    if let Some(time) = &i.spot.rebalance {
        let notice = json!({ "noticeTime": time }).to_string();
        meta.put("events/recommendations/rebalance", notice);
    }
    if let Some((action, time)) = &i.spot.action {
        let notice = json!({ "action": action, "time": time }).to_string();
        meta.put("spot/instance-action", notice);
        // The older form, of which AWS says that only a termination has it.
        if action == "terminate" {
            meta.put("spot/termination-time", time);
        }
    }
    for (name, device) in &i.block_devices {
        meta.put(&format!("block-device-mapping/{name}"), device);
    }
    if let Some(state) = &i.target_lifecycle_state {
        meta.put("autoscaling/target-lifecycle-state", state);
    }
    if let Some(key) = &i.key {
        // The one directory whose listing carries a value.
        meta.put("public-keys/", format!("0={}", key.name));
        meta.put("public-keys/0/openssh-key", &key.public);
    }
    for key in i.sent_keys.iter().filter(|key| now < key.expires) {
        // A directory to those who ask, which holds its content itself.
        let path = format!("managed-ssh-keys/active-keys/{}/", key.os_user);
        meta.append(&path, &sent_key(instance, key));
    }
    if i.options.tags {
        for (key, value) in &i.tags {
            // AWS refuses to switch tags on for an instance with such a key.
            if !key.is_empty() && !key.contains('/') {
                meta.put(&format!("tags/instance/{key}"), value);
            }
        }
    }
    if let Some(profile) = &i.profile {
        credentials(&mut meta, profile);
    }
    if let Some(primary) = i.interfaces.first() {
        meta.put("mac", &primary.mac);
        meta.put(
            "security-groups",
            lines(primary.groups.iter().map(|g| &g.name)),
        );
        if let Some(address) = primary.addresses.first() {
            meta.put("local-ipv4", address.to_string());
        }
        if let Some(address) = primary.ipv6.addresses.first() {
            meta.put("ipv6", address.to_string());
        }
        if let Some(public) = primary.public.keys().next() {
            meta.put("public-ipv4", public.to_string());
            if let Some(name) = &i.public_hostname {
                meta.put("public-hostname", name);
            }
        }
    }
    for face in &i.interfaces {
        let at = format!("meta-data/network/interfaces/macs/{}/", face.mac);
        interface(&mut tree.at(&at), instance, face);
    }

    let monitoring = if i.monitoring { "enabled" } else { "disabled" };
    tree.at("dynamic/")
        .put("fws/instance-monitoring", monitoring);
    let document = identity_document(instance);
    let mut dynamic = tree.at("dynamic/instance-identity/");
    if let Some(signatures) = identity.and_then(|identity| identity.sign(&document)) {
        dynamic.put("signature", &signatures.plain);
        // AWS's is by another algorithm, for which nobody makes keys any more.
        dynamic.put("pkcs7", &signatures.pkcs7);
        dynamic.put("rsa2048", &signatures.pkcs7);
    }
    dynamic.put("document", document);
    if let Some(data) = &i.user_data {
        // The API has refused anything that is no base64 before it came here.
        match base64::engine::general_purpose::STANDARD.decode(data) {
            Ok(bytes) => tree.at("").put("user-data", bytes),
            Err(error) => tracing::warn!(instance = i.id, %error, "decode user data"),
        }
    }
    tree
}

fn interface(face: &mut At<'_>, instance: &Instance, interface: &Interface) {
    let primary = interface.device_number == 0;
    face.put("device-number", interface.device_number.to_string());
    face.put("interface-id", &interface.id);
    face.put("local-ipv4s", lines(&interface.addresses));
    face.put("mac", &interface.mac);
    face.put("network-card", "0");
    face.put("owner-id", &instance.account);
    face.put(
        "security-group-ids",
        lines(interface.groups.iter().map(|g| &g.id)),
    );
    face.put(
        "security-groups",
        lines(interface.groups.iter().map(|g| &g.name)),
    );
    face.put("subnet-id", &interface.subnet_id);
    face.put("subnet-ipv4-cidr-block", &interface.subnet_cidr);
    face.put("vpc-id", &interface.vpc_id);
    face.put(
        "vpc-ipv4-cidr-block",
        interface.vpc_cidrs.first().map_or("", |c| c),
    );
    face.put("vpc-ipv4-cidr-blocks", lines(&interface.vpc_cidrs));
    for (name, values) in [
        ("ipv6s", lines(&interface.ipv6.addresses)),
        (
            "subnet-ipv6-cidr-blocks",
            lines(&interface.ipv6.subnet_cidrs),
        ),
        ("vpc-ipv6-cidr-blocks", lines(&interface.ipv6.vpc_cidrs)),
    ] {
        if !values.is_empty() {
            face.put(name, values);
        }
    }
    if primary {
        face.put("local-hostname", &instance.hostname);
    }
    if !interface.public.is_empty() {
        face.put("public-ipv4s", lines(interface.public.keys()));
        if let (true, Some(name)) = (primary, &instance.public_hostname) {
            face.put("public-hostname", name);
        }
    }
    for (public, private) in &interface.public {
        face.put(&format!("ipv4-associations/{public}"), private.to_string());
    }
}

/// As AWS writes it, but for the signature at its end, which nobody else can make.
fn sent_key(instance: &Instance, key: &SentKey) -> String {
    format!(
        "#Timestamp={}\n#Instance={}\n#Caller={}\n#Request={}\n{}\n",
        key.expires, instance.id, key.caller, key.request, key.public
    )
}

fn credentials(meta: &mut At<'_>, profile: &Profile) {
    let Some(role) = &profile.role else {
        // AWS says no more than that there is nothing to give.
        return;
    };
    let info = json!({
        "Code": "Success",
        "LastUpdated": role.last_updated,
        "InstanceProfileArn": profile.arn,
        "InstanceProfileId": profile.id,
    });
    meta.put("iam/info", pretty(&info));
    let credentials = json!({
        "Code": "Success",
        "LastUpdated": role.last_updated,
        "Type": "AWS-HMAC",
        "AccessKeyId": role.access_key_id,
        "SecretAccessKey": role.secret_access_key,
        "Token": role.token,
        "Expiration": role.expiration,
    });
    let path = format!("iam/security-credentials/{}", role.name);
    meta.put(&path, pretty(&credentials));
}

fn identity_document(instance: &Instance) -> String {
    let address = instance
        .interfaces
        .first()
        .and_then(|i| i.addresses.first());
    pretty(&json!({
        "accountId": instance.account,
        "architecture": instance.architecture,
        "availabilityZone": instance.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": null,
        "marketplaceProductCodes": null,
        "pendingTime": instance.pending_time,
        "privateIp": address,
        "ramdiskId": null,
        "region": instance.region,
        "version": "2017-09-30",
    }))
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}

fn lines<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join("\n")
}

impl Tree {
    /// The content at a path below the version, or the listing of a directory,
    /// which may be asked for with and without its final `/`.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        if let Some(content) = self.0.get(path) {
            return Some(content.clone());
        }
        let directory = match path.strip_suffix('/').unwrap_or(path) {
            "" => String::new(),
            path => format!("{path}/"),
        };
        if let Some(listing) = self.0.get(&directory) {
            return Some(listing.clone());
        }
        let mut names: Vec<&str> = Vec::new();
        for (path, _) in self.0.range(directory.clone()..) {
            let Some(below) = path.strip_prefix(&directory) else {
                break;
            };
            let name = match below.find('/') {
                // AWS marks the directories of every level but the first.
                Some(end) if directory.is_empty() => &below[..end],
                Some(end) => &below[..=end],
                None => below,
            };
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join("\n").into_bytes())
    }

    fn at<'t>(&'t mut self, prefix: &str) -> At<'t> {
        At {
            tree: self,
            prefix: prefix.to_owned(),
        }
    }
}

/// A directory that is being filled.
struct At<'t> {
    tree: &'t mut Tree,
    prefix: String,
}

impl At<'_> {
    fn append(&mut self, path: &str, content: &str) {
        let path = format!("{}{path}", self.prefix);
        let there = self.tree.0.entry(path).or_default();
        there.extend_from_slice(content.as_bytes());
    }

    fn put(&mut self, path: &str, content: impl AsRef<[u8]>) {
        let path = format!("{}{path}", self.prefix);
        self.tree.0.insert(path, content.as_ref().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::instance;

    fn check(instance: &Instance, path: &str, expected: &str) {
        let content = tree(instance, None, 100)
            .get(path)
            .unwrap_or_else(|| b"404".to_vec());
        assert_eq!(String::from_utf8_lossy(&content), expected, "{path}");
    }

    #[test]
    fn the_tree_of_a_private_instance() {
        let i = instance();
        for (path, expected) in [
            ("", "dynamic\nmeta-data"),
            ("meta-data/instance-id", "i-0123456789abcdef0"),
            ("meta-data/ami-id", "ami-0123456789abcdef0"),
            ("meta-data/ami-launch-index", "0"),
            ("meta-data/instance-type", "t3.micro"),
            ("meta-data/instance-life-cycle", "on-demand"),
            ("meta-data/hostname", "ip-10-0-1-5.ec2.internal"),
            ("meta-data/local-hostname", "ip-10-0-1-5.ec2.internal"),
            ("meta-data/local-ipv4", "10.0.1.5"),
            ("meta-data/mac", "02:00:0a:00:01:05"),
            (
                "meta-data/placement",
                "availability-zone\navailability-zone-id\nregion",
            ),
            (
                "meta-data/placement/",
                "availability-zone\navailability-zone-id\nregion",
            ),
            ("meta-data/placement/availability-zone", "us-east-1a"),
            ("meta-data/placement/availability-zone-id", "use1-az1"),
            ("meta-data/placement/region", "us-east-1"),
            ("meta-data/security-groups", "web\napp"),
            ("meta-data/network/interfaces/macs/", "02:00:0a:00:01:05/"),
            (
                "meta-data/network/interfaces/macs/02:00:0a:00:01:05/local-ipv4s",
                "10.0.1.5\n10.0.1.6",
            ),
            (
                "meta-data/network/interfaces/macs/02:00:0a:00:01:05/security-group-ids",
                "sg-1\nsg-2",
            ),
            (
                "meta-data/network/interfaces/macs/02:00:0a:00:01:05/subnet-ipv4-cidr-block",
                "10.0.1.0/24",
            ),
            (
                "meta-data/network/interfaces/macs/02:00:0a:00:01:05/vpc-ipv4-cidr-blocks",
                "10.0.0.0/16\n10.1.0.0/16",
            ),
            ("meta-data/block-device-mapping/", "ami\nroot"),
            ("meta-data/events/", "maintenance/"),
            ("meta-data/services/domain", "amazonaws.com"),
            ("dynamic/", "fws/\ninstance-identity/"),
            ("dynamic/fws/instance-monitoring", "disabled"),
            ("meta-data/system", "nitro"),
            ("meta-data/ipv6", "404"),
            ("meta-data/placement/group-name", "404"),
            ("dynamic/instance-identity/", "document"),
            // What it does not have is not there.
            ("user-data", "404"),
            ("meta-data/public-ipv4", "404"),
            ("meta-data/public-hostname", "404"),
            ("meta-data/public-keys/", "404"),
            ("meta-data/tags/instance/Name", "404"),
            ("meta-data/iam/", "404"),
            ("meta-data/autoscaling/target-lifecycle-state", "404"),
            ("meta-data/spot/instance-action", "404"),
            ("meta-data/events/recommendations/rebalance", "404"),
            ("meta-data/instance-id/", "404"),
            ("meta-data/inst", "404"),
            ("meta-data//placement", "404"),
            ("nothing", "404"),
        ] {
            check(&i, path, expected);
        }
    }

    #[test]
    fn the_whole_first_level() {
        let expected = "ami-id\nami-launch-index\nami-manifest-path\nblock-device-mapping/\nevents/\nhostname\n\
            instance-action\ninstance-id\ninstance-life-cycle\ninstance-type\nlocal-hostname\n\
            local-ipv4\nmac\nmetrics/\nnetwork/\nplacement/\nprofile\nreservation-id\n\
            security-groups\nservices/\nsystem";
        check(&instance(), "meta-data/", expected);
        check(&instance(), "meta-data", expected);
    }

    #[test]
    fn a_spot_instance_reads_its_notices() {
        let mut i = instance();
        let time = "2026-01-02T03:04:05Z";
        i.spot.rebalance = Some(time.into());
        i.spot.action = Some(("terminate".into(), time.into()));
        let notice = r#"{"noticeTime":"2026-01-02T03:04:05Z"}"#;
        check(&i, "meta-data/events/recommendations/rebalance", notice);
        let action = r#"{"action":"terminate","time":"2026-01-02T03:04:05Z"}"#;
        check(&i, "meta-data/spot/instance-action", action);
        check(&i, "meta-data/spot/termination-time", time);
        i.spot.action = Some(("stop".into(), time.into()));
        check(&i, "meta-data/spot/", "instance-action");
    }

    #[test]
    fn what_is_given_appears() {
        let mut i = instance();
        let public = [198, 18, 0, 9].into();
        i.interfaces[0].public.insert(public, [10, 0, 1, 5].into());
        i.public_hostname = Some("ec2-198-18-0-9.compute-1.amazonaws.com".into());
        i.key = Some(crate::config::Key {
            name: "ops".into(),
            public: "ssh-ed25519 AAAA ops".into(),
        });
        i.user_data = Some("IyEvYmluL3NoCg==".into());
        i.options.tags = true;
        i.tags.insert("a/b".into(), "hidden".into());
        i.target_lifecycle_state = Some("InService".into());
        i.placement_group = Some("spread".into());
        i.monitoring = true;
        i.interfaces[0].ipv6 = crate::config::Ipv6 {
            addresses: vec!["2600::1".parse().unwrap(), "2600::2".parse().unwrap()],
            subnet_cidrs: vec!["2600::/64".into()],
            vpc_cidrs: vec!["2600::/56".into()],
        };
        for (path, expected) in [
            ("", "dynamic\nmeta-data\nuser-data"),
            ("user-data", "#!/bin/sh\n"),
            ("meta-data/public-ipv4", "198.18.0.9"),
            (
                "meta-data/public-hostname",
                "ec2-198-18-0-9.compute-1.amazonaws.com",
            ),
            (
                "meta-data/network/interfaces/macs/02:00:0a:00:01:05/public-ipv4s",
                "198.18.0.9",
            ),
            (
                "meta-data/network/interfaces/macs/02:00:0a:00:01:05/ipv4-associations/198.18.0.9",
                "10.0.1.5",
            ),
            ("meta-data/public-keys/", "0=ops"),
            ("meta-data/public-keys", "0=ops"),
            ("meta-data/public-keys/0/", "openssh-key"),
            (
                "meta-data/public-keys/0/openssh-key",
                "ssh-ed25519 AAAA ops",
            ),
            ("meta-data/tags/", "instance/"),
            ("meta-data/tags/instance/", "Name"),
            ("meta-data/tags/instance/Name", "web-1"),
            ("meta-data/autoscaling/", "target-lifecycle-state"),
            ("meta-data/placement/group-name", "spread"),
            ("meta-data/ipv6", "2600::1"),
            ("dynamic/fws/instance-monitoring", "enabled"),
        ] {
            check(&i, path, expected);
        }
        let face = "meta-data/network/interfaces/macs/02:00:0a:00:01:05/";
        check(
            &i,
            face,
            "device-number\ninterface-id\nipv4-associations/\nipv6s\nlocal-hostname\n\
             local-ipv4s\nmac\nnetwork-card\nowner-id\npublic-hostname\npublic-ipv4s\n\
             security-group-ids\nsecurity-groups\nsubnet-id\nsubnet-ipv4-cidr-block\n\
             subnet-ipv6-cidr-blocks\nvpc-id\nvpc-ipv4-cidr-block\nvpc-ipv4-cidr-blocks\n\
             vpc-ipv6-cidr-blocks",
        );
        check(&i, &format!("{face}ipv6s"), "2600::1\n2600::2");
    }

    #[test]
    fn sent_keys_until_they_expire() {
        let mut i = instance();
        let sent = |user: &str, request: &str, expires| SentKey {
            os_user: user.into(),
            public: format!("ssh-ed25519 {request}"),
            caller: "arn".into(),
            request: request.into(),
            expires,
        };
        i.sent_keys = vec![
            sent("admin", "a", 101),
            sent("admin", "b", 100),
            sent("admin", "c", 102),
            sent("old", "d", 99),
        ];
        let key = |request, expires| {
            format!(
                "#Timestamp={expires}\n#Instance=i-0123456789abcdef0\n#Caller=arn\n#Request={request}\nssh-ed25519 {request}\n"
            )
        };
        let keys = key("a", 101) + &key("c", 102);
        let at = "meta-data/managed-ssh-keys/active-keys/";
        check(&i, at, "admin/");
        check(&i, &format!("{at}admin"), &keys);
        check(&i, &format!("{at}admin/"), &keys);
        check(&i, &format!("{at}old/"), "404");
        i.sent_keys.clear();
        check(&i, "meta-data/managed-ssh-keys/", "404");
    }

    #[test]
    fn credentials_of_the_role() {
        let mut i = instance();
        i.profile = Some(crate::testing::profile());
        check(&i, "meta-data/iam/", "info\nsecurity-credentials/");
        check(&i, "meta-data/iam/security-credentials/", "web-role");
        let read = |path| -> serde_json::Value {
            serde_json::from_slice(&tree(&i, None, 100).get(path).unwrap()).unwrap()
        };
        let credentials = read("meta-data/iam/security-credentials/web-role");
        assert_eq!(credentials["Code"], "Success");
        assert_eq!(credentials["Type"], "AWS-HMAC");
        assert_eq!(credentials["SecretAccessKey"], "secret");
        let document = read("dynamic/instance-identity/document");
        assert_eq!(document["privateIp"], "10.0.1.5");
        assert_eq!(document["region"], "us-east-1");
        assert!(document["kernelId"].is_null());
        i.profile.as_mut().unwrap().role = None;
        check(&i, "meta-data/iam/", "404");
    }
}
