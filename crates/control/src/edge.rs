//! The edge's configuration: what instances learn of themselves, and what names mean.

use crate::World;
use crate::index::{Members, interfaces};
use crate::instance::{own_name, private_name};
use edge::config as cfg;
use jiff::{SignedDuration, Timestamp};
use model::autoscaling::{AutoScalingGroup, GroupInstance};
use model::iam::SessionCredentials;
use model::instance::{Instance, InstanceState, Spot};
use model::vpc::NetworkInterface;
use model::{InstanceConnectEndpointId, InstanceId, Tags, VpcId, zone};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use store::{ScopedName, State};

/// Life of instance-profile credentials; AWS's live about six hours.
const CREDENTIALS_SECS: i64 = 6 * 3600;

/// By instance and role.
pub type Credentials = BTreeMap<(InstanceId, String), SessionCredentials>;

/// What the edge was told, and what it said it has in force.
#[derive(Default)]
pub struct Edge {
    pushed: Option<cfg::Config>,
    applied: u64,
    /// VPCs that some configuration since `applied` named: sockets may still be open in them.
    held: BTreeMap<VpcId, u64>,
    credentials: Credentials,
    /// Changes of hosted zones that are in what was pushed.
    carried: BTreeSet<String>,
    /// Failures last said, so that each is an event once.
    failures: BTreeSet<String>,
}

impl Edge {
    /// Whether the edge may still have sockets in the VPC's router.
    pub fn holds(&self, vpc: &VpcId) -> bool {
        self.held.contains_key(vpc)
    }

    /// Whether what it was told last is in force.
    pub fn has_all(&self) -> bool {
        self.pushed
            .as_ref()
            .is_some_and(|c| self.applied >= c.revision)
    }

    /// Whether the change of a hosted zone is in force.
    pub fn has_change(&self, id: &str) -> bool {
        self.has_all() && self.carried.contains(id)
    }

    /// Whether it was told last to take connections for an endpoint; nothing is known of a former
    /// control plane's words.
    pub fn has_endpoint(&self, id: &InstanceConnectEndpointId) -> bool {
        let tunnels = self.pushed.as_ref().and_then(|c| c.tunnels.as_ref());
        tunnels.is_some_and(|t| t.endpoints.contains_key(id.as_str()))
    }

    pub fn report(&mut self, report: cfg::Report) -> Vec<String> {
        match report {
            cfg::Report::Applied { revision, failures } => {
                self.applied = revision;
                let now: BTreeSet<String> = failures
                    .into_iter()
                    .map(|f| format!("{}: {}", f.listener, f.error))
                    .collect();
                let new = now.difference(&self.failures).cloned().collect();
                self.failures = now;
                let wanted: BTreeSet<VpcId> = self
                    .pushed
                    .iter()
                    .flat_map(|c| c.vpcs.keys())
                    .filter_map(|id| id.parse().ok())
                    .collect();
                self.held
                    .retain(|id, last| wanted.contains(id) || *last >= revision);
                new
            }
            // For `usage` and `hosted_zone`.
            cfg::Report::MetadataNoToken(_) | cfg::Report::HealthCheck { .. } => Vec::new(),
        }
    }
}

/// Pushes the configuration if it changed; says when credentials want rotation.
pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let moment = world.moment(&state);
    if let Some((rested, again)) = world.rested.edge
        && rested == moment
        && again.is_none_or(|at| now < at)
    {
        return again;
    }
    let mut credentials = std::mem::take(&mut world.edge.credentials);
    if world.edge.pushed.is_none() {
        credentials = given_out(&state);
    }
    credentials.retain(|(id, _), _| state.instances.contains_key(id));
    let mut config = desired(&state, &world.settings, now, &mut credentials);
    keep(world, &state, &credentials, now);
    world.edge.credentials = credentials;
    // A router that does not stand yet cannot be listened in.
    config
        .vpcs
        .retain(|id, _| id.parse().is_ok_and(|id| world.applied.has_vpc(&id)));
    if let Some(tunnels) = &mut config.tunnels {
        let applied = &world.applied;
        let stands = |id: &str| {
            let endpoint = state.instance_connect_endpoints.get(id);
            endpoint.is_some_and(|e| applied.has_interface(&e.vpc, &e.interface))
        };
        tunnels.endpoints.retain(|id, _| stands(id));
    }
    let changes = state.zone_changes.values().filter(|c| !c.in_sync);
    world.edge.carried = changes.map(|c| c.id.clone()).collect();
    let revision = world.edge.pushed.as_ref().map_or(0, |c| c.revision);
    config.revision = revision;
    if world.edge.pushed.as_ref() != Some(&config) {
        // Above whatever a former control plane used, so that an old answer never counts for this.
        config.revision = (revision + 1).max(now.as_microsecond() as u64);
        for id in config.vpcs.keys().filter_map(|id| id.parse::<VpcId>().ok()) {
            world.edge.held.insert(id, config.revision);
        }
        for id in world
            .edge
            .pushed
            .iter()
            .flat_map(|c| c.vpcs.keys())
            .filter_map(|id| id.parse::<VpcId>().ok())
        {
            if !config.vpcs.contains_key(id.as_str()) {
                world.edge.held.insert(id, config.revision - 1);
            }
        }
        world.plane.push_edge(&config);
        world.edge.pushed = Some(config);
    }
    let again = world.edge.credentials.values().map(renewal).min();
    world.rested.edge = Some((moment, again));
    again
}

/// An hour before they end, as AWS at the latest.
fn renewal(credentials: &SessionCredentials) -> Timestamp {
    credentials.expires - SignedDuration::from_hours(1)
}

/// What a former control plane gave to instances: the newest of each.
fn given_out(state: &State) -> Credentials {
    let mut found = Credentials::new();
    let mut records: Vec<_> = state.session_credentials.values().collect();
    records.sort_by_key(|c| c.issued);
    for record in records {
        if let Some(instance) = &record.instance {
            found.insert(
                (instance.clone(), record.role.clone()),
                SessionCredentials::clone(record),
            );
        }
    }
    found
}

/// Records new credentials, by which the API knows their holder, and forgets those that ended.
fn keep(world: &World, state: &State, credentials: &Credentials, now: Timestamp) {
    let known = &state.session_credentials;
    let new: Vec<_> = credentials
        .values()
        .filter(|c| !known.contains_key(&c.access_key_id))
        .collect();
    // A while longer, so that a late caller hears that they have expired.
    let end = now - SignedDuration::from_hours(1);
    let old: Vec<_> = known.values().filter(|c| c.expires < end).collect();
    if new.is_empty() && old.is_empty() {
        return;
    }
    world.store.update(|tx| {
        for credentials in new {
            tx.put(credentials.clone());
        }
        for credentials in old {
            tx.remove::<SessionCredentials>(&credentials.access_key_id);
        }
    });
}

/// The whole configuration from the records; `revision` is the caller's.
pub fn desired(
    state: &State,
    settings: &crate::Settings,
    now: Timestamp,
    credentials: &mut Credentials,
) -> cfg::Config {
    let mut config = cfg::Config {
        offline: settings.offline,
        authoritative: vec!["elb.amazonaws.com".into()],
        names: settings.internet_names.clone(),
        registry: settings.registry.clone().map(|mut registry| {
            if let Some(private) = &mut registry.private {
                private.repositories = crate::repository::served(state, &settings.repositories_dir);
            }
            registry
        }),
        hosted_zones: crate::hosted_zone::zones(state),
        name_server: settings.name_server.clone(),
        health_checks: settings.health_checks.clone().map(|mut checks| {
            checks.endpoints = crate::hosted_zone::endpoints(state, settings.speed);
            checks
        }),
        checkip: settings.checkip.clone(),
        api: settings.api.clone(),
        tunnels: settings.tunnels.clone().map(|mut tunnels| {
            tunnels.endpoints = crate::instance_connect::endpoints(state, &settings.cloud);
            tunnels
        }),
        identity: settings.identity.clone(),
        ..Default::default()
    };
    for vpc in state.vpcs.values() {
        let dns = |address: Ipv4Addr| SocketAddr::from((address, 53));
        let resolvers = if vpc.enable_dns_support {
            vec![dns(vpc.resolver()), cfg::RESOLVER]
        } else {
            Vec::new()
        };
        config.vpcs.insert(
            vpc.id.to_string(),
            cfg::Vpc {
                netns: Some(Path::new("/run/netns").join(format!("{}-{}", settings.cloud, vpc.id))),
                region: vpc.scope.region.to_string(),
                cidrs: vpc.cidrs.iter().map(|(_, c)| c.to_string()).collect(),
                metadata: Some(cfg::METADATA),
                resolvers,
                names: BTreeMap::new(),
                instances: Vec::new(),
            },
        );
    }
    for balancer in state
        .load_balancers
        .values()
        .filter(|b| b.deleted.is_none())
    {
        let internal = balancer.scheme == "internal";
        if balancer.is_network() {
            let domain = format!("elb.{}.amazonaws.com", balancer.scope.region);
            if !config.authoritative.contains(&domain) {
                config.authoritative.push(domain);
            }
        }
        for (name, addresses) in balancer_names(state, balancer, internal) {
            config.names.insert(name, cfg::Name::new(addresses));
        }
    }
    let members = Members::new(state);
    for instance in state
        .instances
        .values()
        .filter(|i| i.state != InstanceState::Terminated)
    {
        let Some(vpc) = config.vpcs.get_mut(instance.vpc.as_str()) else {
            continue;
        };
        if let Some(seen) = self_view(state, &members, instance, now, credentials) {
            for (public, private) in seen.interfaces.iter().flat_map(|i| &i.public) {
                vpc.names.insert(
                    public_name(*public, &instance.scope.region),
                    cfg::Name::new([*private]),
                );
                config.names.insert(
                    public_name(*public, &instance.scope.region),
                    cfg::Name::new([*public]),
                );
            }
            let primary = seen.interfaces.first().and_then(|i| i.addresses.first());
            if let Some(address) = primary.filter(|_| instance.private_dns.resource_name_a_record) {
                let (_, domain) = private_name(*address, &instance.scope.region);
                let name = format!("{}.{domain}", instance.id);
                vpc.names.insert(name, cfg::Name::new([*address]));
            }
            vpc.instances.push(seen);
        }
    }
    config
}

/// A load balancer's names and addresses: the whole, and one for each zone.
///
/// A zone whose node may not be used leaves the name (`crate::load_balancer::in_service`).
pub fn balancer_names(
    state: &State,
    balancer: &model::elbv2::LoadBalancer,
    private: bool,
) -> Vec<(String, Vec<Ipv4Addr>)> {
    let nodes = crate::load_balancer::in_service(state, balancer);
    let address = |z: &&model::elbv2::LoadBalancerZone| {
        if private {
            Some(z.private_ip)
        } else {
            z.public_ip
        }
    };
    let mut names = vec![(
        balancer.dns_name.to_lowercase(),
        nodes.iter().filter_map(address).collect(),
    )];
    for node in &nodes {
        if let Some(address) = address(node) {
            names.push((
                format!("{}.{}", node.zone, balancer.dns_name.to_lowercase()),
                vec![address],
            ));
        }
    }
    names
}

/// `ec2-1-2-3-4.compute-1.amazonaws.com`
pub fn public_name(address: Ipv4Addr, region: &str) -> String {
    let [a, b, c, d] = address.octets();
    let domain = if region == "us-east-1" {
        "compute-1".to_owned()
    } else {
        format!("{region}.compute")
    };
    format!("ec2-{a}-{b}-{c}-{d}.{domain}.amazonaws.com")
}

fn self_view(
    state: &State,
    members: &Members<'_>,
    instance: &Instance,
    now: Timestamp,
    credentials: &mut Credentials,
) -> Option<cfg::Instance> {
    let interfaces = interfaces(state, &instance.id);
    let primary = interfaces.first()?;
    let region = &instance.scope.region;
    let (host, domain) = own_name(state, instance, primary);
    let vpc = state.vpcs.get(&instance.vpc)?;
    let public = crate::network::public_addresses(state, primary)
        .values()
        .next()
        .copied();
    let key = instance.key_name.as_ref().and_then(|name| {
        let pair = state
            .key_pairs
            .of(&instance.scope)
            .find(|k| k.name == *name)?;
        Some(cfg::Key {
            name: name.clone(),
            public: pair.public_key.clone(),
        })
    });
    let group = members.of(instance.id.as_str());
    let root = instance.root_device.clone();
    Some(cfg::Instance {
        id: instance.id.to_string(),
        image_id: instance.image.to_string(),
        instance_type: instance.instance_type.clone(),
        architecture: instance.architecture.clone(),
        account: instance.scope.account.to_string(),
        region: region.to_string(),
        zone: instance.zone.clone(),
        zone_id: zone::zone_id(&instance.zone).unwrap_or_default().to_owned(),
        reservation_id: instance.reservation.to_string(),
        launch_index: instance.launch_index,
        pending_time: instance
            .launched
            .round(jiff::Unit::Second)
            .unwrap_or(instance.launched)
            .to_string(),
        hostname: match domain.as_str() {
            "" => host,
            domain => format!("{host}.{domain}"),
        },
        public_hostname: public
            .filter(|_| vpc.enable_dns_hostnames && vpc.enable_dns_support)
            .map(|ip| public_name(ip, region)),
        interfaces: interfaces
            .iter()
            .filter_map(|i| interface(state, i))
            .collect(),
        key,
        user_data: instance.user_data.as_ref().map(|data| base64(data)),
        sent_keys: crate::instance_connect::keys(state, &instance.id),
        profile: instance
            .profile
            .as_ref()
            .and_then(|(_, arn)| profile(state, instance, arn, now, credentials)),
        tags: instance
            .tags
            .iter()
            .filter(|(k, _)| !k.starts_with("aws:"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Tags>(),
        options: cfg::MetadataOptions {
            endpoint: instance.metadata.http_endpoint == "enabled",
            tokens_required: instance.metadata.http_tokens == "required",
            hop_limit: instance.metadata.http_put_response_hop_limit,
            tags: instance.metadata.instance_metadata_tags == "enabled",
        },
        life_cycle: if instance.spot.is_some() {
            "spot"
        } else {
            "on-demand"
        }
        .into(),
        placement_group: instance.placement_group.clone(),
        monitoring: instance.monitoring,
        hypervisor: model::instance_type::find(&instance.instance_type)
            .map_or("nitro", |kind| kind.hypervisor)
            .to_owned(),
        spot: instance.spot.as_ref().map(spot_notices).unwrap_or_default(),
        target_lifecycle_state: group.map(|(group, member)| heading_for(group, member).into()),
        block_devices: BTreeMap::from([("ami".into(), root.clone()), ("root".into(), root)]),
    })
}

fn spot_notices(spot: &Spot) -> cfg::SpotNotices {
    let text = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    cfg::SpotNotices {
        rebalance: spot.rebalance.map(text),
        action: spot
            .ends
            .map(|at| (crate::spot::action(spot).to_owned(), text(at))),
    }
}

/// The state that a member is moving to, or is in.
fn heading_for(group: &AutoScalingGroup, member: &GroupInstance) -> &'static str {
    use model::autoscaling::LifecycleState as L;
    let warm = group.warm.iter().any(|m| m.id == member.id);
    let running = group.warm_pool.as_ref().is_some_and(|p| p.running);
    let pool = if running {
        "Warmed:Running"
    } else {
        "Warmed:Stopped"
    };
    match member.lifecycle {
        state if state.is_terminating() && member.to_pool => pool,
        state if state.is_terminating() && warm => "Warmed:Terminated",
        state if state.is_terminating() => "Terminated",
        L::Detaching => "Detached",
        L::EnteringStandby | L::Standby => "Standby",
        _ if warm => pool,
        _ => "InService",
    }
}

fn interface(state: &State, i: &NetworkInterface) -> Option<cfg::Interface> {
    let subnet = state.subnets.get(&i.subnet)?;
    let vpc = state.vpcs.get(&i.vpc)?;
    let mac: Vec<String> = i.mac.iter().map(|b| format!("{b:02x}")).collect();
    let groups = i
        .security_groups
        .iter()
        .filter_map(|id| state.security_groups.get(id));
    Some(cfg::Interface {
        id: i.id.to_string(),
        mac: mac.join(":"),
        device_number: i.attachment.as_ref().map_or(0, |a| a.device_index.into()),
        subnet_id: i.subnet.to_string(),
        subnet_cidr: subnet.cidr.to_string(),
        vpc_id: i.vpc.to_string(),
        vpc_cidrs: vpc.cidrs.iter().map(|(_, c)| c.to_string()).collect(),
        addresses: i.private_ips.clone(),
        ipv6: cfg::Ipv6 {
            addresses: i.ipv6_addresses.clone(),
            subnet_cidrs: subnet
                .ipv6_cidr
                .iter()
                .map(|(_, c)| c.to_string())
                .collect(),
            vpc_cidrs: vpc.ipv6_cidrs.iter().map(|(_, c)| c.to_string()).collect(),
        },
        public: crate::network::public_addresses(state, i)
            .into_iter()
            .map(|(private, public)| (public, private))
            .collect(),
        groups: groups
            .map(|g| cfg::Group {
                id: g.id.to_string(),
                name: g.name.clone(),
            })
            .collect(),
    })
}

/// Credentials of the profile's role, kept until an hour before they expire.
fn profile(
    state: &State,
    instance: &Instance,
    arn: &str,
    now: Timestamp,
    credentials: &mut Credentials,
) -> Option<cfg::Profile> {
    let profile = state.instance_profiles.of(arn).next()?;
    let role = profile
        .role
        .as_ref()
        .and_then(|name| state.roles.get(&ScopedName::new(&profile.scope, name)))
        .map(|role| {
            let new = || {
                let expires = now + SignedDuration::from_secs(CREDENTIALS_SECS);
                let session = instance.id.as_str();
                let mut new = SessionCredentials::new(role, session, now, expires);
                new.instance = Some(instance.id.clone());
                new
            };
            let entry = credentials
                .entry((instance.id.clone(), role.name.clone()))
                .or_insert_with(new);
            if renewal(entry) <= now {
                *entry = new();
            }
            shown(entry)
        });
    Some(cfg::Profile {
        arn: profile.arn.clone(),
        id: profile.id.clone(),
        role,
    })
}

fn shown(credentials: &SessionCredentials) -> cfg::Role {
    let second = |t: Timestamp| t.round(jiff::Unit::Second).unwrap_or(t).to_string();
    cfg::Role {
        name: credentials.role.clone(),
        access_key_id: credentials.access_key_id.clone(),
        secret_access_key: credentials.secret_access_key.clone(),
        token: credentials.session_token.clone(),
        last_updated: second(credentials.issued),
        expiration: second(credentials.expires),
    }
}

fn base64(data: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(data)
}
