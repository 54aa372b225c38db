//! A whole cloud on a virtual clock: real store, API and controllers over a simulated machine
//! and data plane.

use crate::plane::SimPlane;
use api::ec2::launch::{Site, from_template};
use api::{Cloud as ApiCloud, Ctx};
use control::{Bell, Inbox, Parts, Settings, Speed, World};
use host::Host;
use host::sim::{Clock, SimHost};
use jiff::{SignedDuration, Timestamp};
use model::autoscaling::{AutoScalingGroup, LifecycleState};
use model::elbv2::TargetState;
use model::event::Fault;
use model::zonal_shift::ZonalShift;
use model::{InstanceId, Scope};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use store::{ScopedName, Snapshot, Store, Tx};
use wire::{Call, HttpRequest, Service};

/// The control thread looks at everything at least this often.
const AT_LEAST: SignedDuration = SignedDuration::from_secs(1);
/// The same where nothing that it could see between goes unsaid.
const AT_LEAST_THRIFTY: SignedDuration = SignedDuration::from_secs(5);

pub type Delivered = Arc<Mutex<Vec<control::load_balancer::log::Delivery>>>;

pub struct Cloud {
    pub clock: Clock,
    pub host: Arc<SimHost>,
    pub plane: Arc<SimPlane>,
    pub store: Arc<Store>,
    pub scope: Scope,
    pub start: Timestamp,
    pub speed: f64,
    context: Arc<ApiCloud>,
    world: World,
    /// Work for the members of every group, in instances that it would fill.
    pub demand: f64,
    /// Short names of ids, in order of appearance.
    pub names: BTreeMap<String, String>,
    /// No pass is made only to find that nothing has changed: not a second one at a moment (what
    /// is left to the next pass waits for the next moment), none each second (they are made when
    /// somebody said when, and when machine or data plane have news), and none for each health check.
    pub thrifty: bool,
    /// Where nodes' logs would lie; nothing is there unless a load balancer wishes for logs.
    pub logs: PathBuf,
    /// What of them was delivered.
    pub delivered: Delivered,
    /// Called after every step of time.
    pub watch: Option<fn(&Cloud)>,
}

impl Cloud {
    pub fn new(speed: f64) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Clock::new(start);
        let host = Arc::new(SimHost::new(clock.clone()));
        let plane = Arc::new(SimPlane::new(clock.clone(), host.clone()));
        let store = Arc::new(Store::in_memory());
        let scope = Scope::new("000000000000", "us-east-1");
        store.update(|tx| api::ec2::ensure_defaults(tx, &scope, start));
        let context = Arc::new(ApiCloud {
            metrics: Arc::default(),
            public_pool: host::network::PUBLIC_POOL,
            state_dir: std::env::temp_dir(),
            images: ["debian-12"].into(),
            privileged_instances: false,
            strict_images: false,
            speed: Speed::new(speed),
            console: Box::new(|_| None),
        });
        static CLOUDS: AtomicUsize = AtomicUsize::new(0);
        let number = CLOUDS.fetch_add(1, Ordering::Relaxed);
        let logs = format!("nines-logs-{}-{number}", std::process::id());
        let logs = std::env::temp_dir().join(logs);
        let delivered = Delivered::default();
        let logging = (logs.clone(), delivered.clone());
        let world = world(&store, &host, &plane, &context, speed, false, logging);
        let mut cloud = Self {
            clock,
            host,
            plane,
            store,
            scope,
            start,
            speed,
            context,
            world,
            demand: 0.0,
            names: BTreeMap::new(),
            thrifty: false,
            logs,
            delivered,
            watch: None,
        };
        cloud.settle();
        cloud
    }

    /// The control plane ends, and another takes over; metrics are lost.
    pub fn restart(&mut self, resume: bool) {
        self.context = Arc::new(ApiCloud {
            metrics: Arc::default(),
            public_pool: self.context.public_pool,
            state_dir: std::env::temp_dir(),
            images: self.context.images.clone(),
            privileged_instances: false,
            strict_images: false,
            speed: Speed::new(self.speed),
            console: Box::new(|_| None),
        });
        self.world = world(
            &self.store,
            &self.host,
            &self.plane,
            &self.context,
            self.speed,
            resume,
            (self.logs.clone(), self.delivered.clone()),
        );
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn seconds(&self) -> f64 {
        self.now().duration_since(self.start).as_secs_f64()
    }

    pub fn state(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// One action through the wire's codec; the answer's XML, or the error's code and text.
    pub fn call(
        &self,
        service: Service<Ctx>,
        version: &str,
        parameters: &str,
    ) -> Result<String, String> {
        let request = HttpRequest {
            method: "POST".into(),
            path: "/".into(),
            headers: vec![(
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            )],
            body: format!("Version={version}&Action={parameters}").into_bytes(),
            ..HttpRequest::default()
        };
        self.ask(&service, &request)
    }

    /// The same over JSON.
    pub fn json(&self, service: Service<Ctx>, action: &str, body: &str) -> Result<String, String> {
        let target = service.json_target_prefix.unwrap_or_default();
        let request = HttpRequest {
            method: "POST".into(),
            path: "/".into(),
            headers: vec![
                ("content-type".into(), "application/x-amz-json-1.1".into()),
                ("x-amz-target".into(), format!("{target}.{action}")),
            ],
            body: body.as_bytes().to_vec(),
            ..HttpRequest::default()
        };
        self.ask(&service, &request)
    }

    fn ask(&self, service: &Service<Ctx>, request: &HttpRequest) -> Result<String, String> {
        let said = |e: wire::ApiError| format!("{}: {}", e.code, e.message);
        let call = Call::detect(request).map_err(said)?;
        let job = service.prepare(&call).map_err(said)?;
        let name = job.action.name;
        let (answer, commit) = self
            .store
            .transact(|tx| {
                let tx_of_call = std::mem::take(tx);
                let mut ctx = Ctx {
                    tx: tx_of_call,
                    scope: self.scope.clone(),
                    now: self.now(),
                    access_key: "test".into(),
                    from_host: true,
                    request_id: "request".into(),
                    cloud: self.context.clone(),
                };
                let answer = job.input.run(&mut ctx)?;
                *tx = ctx.tx;
                Ok(answer)
            })
            .map_err(said)?;
        commit.forget();
        let response = service.success(job.protocol, name, &*answer, "request");
        Ok(String::from_utf8(response.body.to_vec()).unwrap())
    }

    pub fn ec2(&self, parameters: &str) -> String {
        self.call(api::ec2::service(), "2016-11-15", parameters)
            .unwrap_or_else(|e| panic!("{parameters}: {e}"))
    }

    pub fn elbv2(&self, parameters: &str) -> String {
        self.call(api::elbv2::service(), "2015-12-01", parameters)
            .unwrap_or_else(|e| panic!("{parameters}: {e}"))
    }

    pub fn autoscaling(&self, parameters: &str) -> String {
        self.try_autoscaling(parameters)
            .unwrap_or_else(|e| panic!("{parameters}: {e}"))
    }

    pub fn cloudwatch(&self, parameters: &str) -> String {
        self.call(api::cloudwatch::service(), "2010-08-01", parameters)
            .unwrap_or_else(|e| panic!("{parameters}: {e}"))
    }

    pub fn sns(&self, parameters: &str) -> String {
        self.call(api::sns::service(), "2010-03-31", parameters)
            .unwrap_or_else(|e| panic!("{parameters}: {e}"))
    }

    pub fn try_autoscaling(&self, parameters: &str) -> Result<String, String> {
        self.call(api::autoscaling::service(), "2011-01-01", parameters)
    }

    /// Passes at this moment until nothing changes any more; says when to look again.
    pub fn settle(&mut self) -> Timestamp {
        // Thousands of instances start in slices, one a pass.
        for _ in 0..1000 {
            let before = (self.state().revision, self.plane.told());
            let checks = self.plane.tick();
            let mut again = self.world.pass(self.now());
            self.name_ids();
            if (self.state().revision, self.plane.told()) == before {
                // Once more for what the last pass left to the next one.
                if !self.thrifty {
                    self.plane.tick();
                    again = control::clock::earliest(self.world.pass(self.now()), again);
                    if (self.state().revision, self.plane.told()) != before {
                        continue;
                    }
                }
                self.spread_demand();
                let (told, at_least) = match self.thrifty {
                    true => (self.host.next_change(), AT_LEAST_THRIFTY),
                    false => (checks, AT_LEAST),
                };
                let next = control::clock::earliest(again, told).unwrap_or(Timestamp::MAX);
                return next.clamp(
                    self.now() + SignedDuration::from_millis(1),
                    self.now() + at_least,
                );
            }
        }
        panic!(
            "the controllers never come to rest:\n{}",
            crate::timeline::of(self)
        );
    }

    pub fn run(&mut self, seconds: f64) {
        let end = self.now() + SignedDuration::try_from_secs_f64(seconds).unwrap();
        loop {
            let next = self.settle();
            if let Some(watch) = self.watch {
                watch(self);
            }
            if self.now() >= end {
                return;
            }
            self.pass_time(next.min(end));
        }
    }

    /// Until then, or until the data plane has something to say before.
    fn pass_time(&self, until: Timestamp) {
        if !self.thrifty {
            return self.clock.advance_to(until);
        }
        let said = self.plane.said();
        while self.now() < until && self.plane.said() == said {
            let check = self.plane.next_check().unwrap_or(until);
            self.clock.advance_to(check.min(until));
            self.plane.tick();
        }
    }

    /// Runs until the condition holds and returns how long that took.
    pub fn until(&mut self, what: &str, limit: f64, holds: impl Fn(&Cloud) -> bool) -> f64 {
        let from = self.seconds();
        loop {
            let next = self.settle();
            if let Some(watch) = self.watch {
                watch(self);
            }
            if holds(self) {
                return self.seconds() - from;
            }
            if self.seconds() - from > limit {
                panic!(
                    "not {what} within {limit} s:\n{}",
                    crate::timeline::of(self)
                );
            }
            self.pass_time(next);
        }
    }

    /// Moves the group away from the zone for an hour.
    pub fn shift(&self, group: &str, zone: &str) {
        self.shift_resource(&self.group(group).arn, zone);
    }

    /// The same of whatever has that ARN.
    pub fn shift_resource(&self, arn: &str, zone: &str) {
        let shift = ZonalShift {
            id: format!("shift-{}", self.state().zonal_shifts.len()),
            scope: self.scope.clone(),
            resource: arn.to_owned(),
            away_from: model::zone::zone_id(zone).unwrap().to_owned(),
            comment: "as the test wants".into(),
            started: self.now(),
            expires: self.now() + Speed::new(self.speed).wait(3600),
            canceled: false,
            ended: false,
        };
        self.end_shifts();
        self.store.update(|tx| tx.put(shift));
    }

    pub fn end_shifts(&self) {
        self.store.update(|tx| {
            let shifts: Vec<ZonalShift> = tx.zonal_shifts.values().map(|s| (**s).clone()).collect();
            for shift in shifts {
                tx.put(ZonalShift {
                    canceled: true,
                    ..shift
                });
            }
        });
    }

    pub fn fault(&self, fault: Fault) {
        self.store.update(|tx| tx.put(fault));
    }

    pub fn heal(&self, fault: &Fault) {
        self.store.update(|tx| tx.remove::<Fault>(fault));
    }

    pub fn group(&self, name: &str) -> AutoScalingGroup {
        self.find_group(name)
            .unwrap_or_else(|| panic!("there is no group {name}"))
    }

    pub fn find_group(&self, name: &str) -> Option<AutoScalingGroup> {
        self.state()
            .auto_scaling_groups
            .get(&ScopedName::new(&self.scope, name))
            .map(|g| (**g).clone())
    }

    pub fn change_group(&self, name: &str, change: impl FnOnce(&mut AutoScalingGroup)) {
        let key = ScopedName::new(&self.scope, name);
        assert!(
            self.store
                .update(|tx: &mut Tx| tx.modify::<AutoScalingGroup>(&key, change))
        );
    }

    /// As `UpdateAutoScalingGroup` does it.
    pub fn resize(&self, name: &str, min: u32, max: u32, desired: u32) {
        let now = self.now();
        self.change_group(name, |g| {
            let cause = format!("a user request update of AutoScalingGroup constraints to min: {min}, max: {max}, desired: {desired} changing the desired capacity from {} to {desired}.", g.desired_capacity());
            if g.desired_capacity() != desired {
                g.last_cause = Some(control::group::at(now, &cause));
            }
            (g.min_size, g.max_size) = (min, max);
            g.set_desired_capacity(desired);
        });
    }

    /// Members in service and called healthy, by zone.
    pub fn serving(&self, name: &str) -> BTreeMap<String, usize> {
        let mut zones = BTreeMap::new();
        for member in self.find_group(name).iter().flat_map(|g| &g.instances) {
            if member.lifecycle == LifecycleState::InService && member.healthy {
                *zones.entry(member.zone.clone()).or_default() += 1;
            }
        }
        zones
    }

    pub fn in_service(&self, name: &str) -> Vec<InstanceId> {
        self.group(name)
            .instances
            .iter()
            .filter(|m| m.lifecycle == LifecycleState::InService)
            .map(|m| m.id.clone())
            .collect()
    }

    /// As many as desired in service and healthy, none else, and zones within one of each other.
    pub fn at_rest(&self, name: &str) -> bool {
        let Some(group) = self.find_group(name) else {
            return false;
        };
        let zones = self.serving(name);
        let counts: Vec<usize> = group
            .zones
            .iter()
            .map(|z| zones.get(z).copied().unwrap_or(0))
            .collect();
        let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
        let state = self.state();
        let healthy = |id: &InstanceId| {
            let mut of = state
                .target_health
                .values()
                .filter(|h| h.target == id.as_str());
            of.all(|h| h.state == TargetState::Healthy)
        };
        let ready = group.target_groups.is_empty()
            || group
                .instances
                .iter()
                .all(|m| m.seen_healthy && healthy(&m.id));
        group.has_desired()
            && counts.iter().sum::<usize>() == group.instances.len()
            && most - least <= 1
            && ready
    }

    fn name_ids(&mut self) {
        let state = self.state();
        for group in state.auto_scaling_groups.values() {
            for member in &group.instances {
                if self.names.contains_key(member.id.as_str()) {
                    continue;
                }
                let known = self.names.values().filter(|n| n.starts_with("i-"));
                let next = format!("i-{}", known.count() + 1);
                self.names.insert(member.id.to_string(), next);
            }
        }
    }

    /// Members whose application answers share the work.
    fn spread_demand(&self) {
        for group in self.state().auto_scaling_groups.values() {
            let members: Vec<&InstanceId> = group
                .instances
                .iter()
                .filter(|m| m.lifecycle == LifecycleState::InService && self.plane.serves(&m.id))
                .map(|m| &m.id)
                .collect();
            for id in &members {
                let _ = self.host.set_load(id, self.demand / members.len() as f64);
            }
        }
    }
}

fn world(
    store: &Arc<Store>,
    host: &Arc<SimHost>,
    plane: &Arc<SimPlane>,
    context: &Arc<ApiCloud>,
    speed: f64,
    resume: bool,
    (logs, delivered): (PathBuf, Delivered),
) -> World {
    let bell = Bell::default();
    let inbox = Inbox::new(bell.clone());
    plane.connect(inbox.clone());
    let (launching, fulfilling) = (context.clone(), context.clone());
    let buckets = store.clone();
    let pool = context.public_pool;
    World::new(Parts {
        store: store.clone(),
        host: host.clone() as Arc<dyn Host>,
        plane: plane.clone(),
        metrics: context.metrics.clone(),
        settings: Settings {
            cloud: "sim".into(),
            speed: Speed::new(speed),
            offline: true,
            public_pool: context.public_pool,
            images_dir: "images".into(),
            logs_dir: logs,
            repositories_dir: std::env::temp_dir().join("nines-no-repositories"),
            images: context.images.clone(),
            sized_volumes: true,
            millicores_per_vcpu: 100,
            internet_services: Vec::new(),
            internet_names: Default::default(),
            registry: None,
            checkip: None,
            name_server: None,
            health_checks: None,
            api: None,
            tunnels: Some(edge::config::Tunnels {
                netns: None,
                tls: edge::config::Tls {
                    address: ([198, 18, 0, 13], 443).into(),
                    certificate: "endpoint.pem".into(),
                    key: "endpoint.key".into(),
                },
                upstream: "api.sock".into(),
                endpoints: Default::default(),
            }),
            identity: None,
            trust: None,
        },
        inbox,
        bell,
        deliver: Arc::new(move |delivery| {
            let state = buckets.snapshot();
            let bucket = state.buckets.get(&delivery.bucket);
            if !bucket.is_some_and(|bucket| bucket.configuration.contains_key("policy")) {
                return Err("access denied".to_owned());
            }
            delivered.lock().unwrap().push(delivery);
            Ok(())
        }),
        starter: Box::new(move |tx, id, now| api::ec2::start_one(tx, pool, id, now)),
        launcher: Box::new(move |tx, scope, wanted, now| {
            let site = Site::new(&launching, scope, now);
            from_template(tx, &site, wanted)
        }),
        spot_launcher: Box::new(move |tx, request, now| {
            let site = Site::new(&fulfilling, &request.scope, now);
            api::ec2::spot_launch::fulfil(tx, &site, request)
        }),
        resume,
    })
}

/// The text of the first element of that name.
pub fn text(xml: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let rest = xml
        .split_once(&open)
        .unwrap_or_else(|| panic!("no {element} in {xml}"))
        .1;
    rest.split_once(&close).unwrap().0.to_owned()
}

/// The texts of all elements of that name, one after another.
pub fn texts(xml: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let all = xml.split(&open).skip(1);
    let text = |rest: &str| rest.split(&close).next().unwrap_or_default().to_owned();
    all.map(|rest| text(rest).replace("&quot;", "\"")).collect()
}
