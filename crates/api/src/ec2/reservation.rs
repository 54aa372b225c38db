//! Instances by the launch they are of, and their XML, which is kept from answer to answer.
//!
//! Whoever waits or watches asks again and again for instances that have not changed, and writing
//! one anew takes as long as all else of a call: 4 KiB in 130 elements. What was written holds as
//! long as the instance's record and the tables of its shape ([`Seen`]) are the same. A change in
//! one of those tables makes all anew: to know whose shape it was costs as much as the shape.
//! A long list is kept whole once it has been asked for twice: putting a thousand pieces
//! together takes as long as handing them to the kernel.

use super::instance_shape::{Seen, Versions, shape};
use model::InstanceId;
use model::instance::Instance;
use serde::Serialize;
use serde::{Serializer, ser};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock};
use store::State;
use wire::xml::{self, Written};

/// The reservations that instances are of, in an answer.
struct Reservations<'a> {
    /// Those of one reservation stand together.
    instances: Vec<&'a Arc<Instance>>,
    /// Of each of them, in the same order.
    written: Vec<Written>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reservation<'a> {
    reservation_id: &'a str,
    owner_id: &'a str,
    group_set: [(); 0],
    instances_set: &'a [Written],
}

impl<'a> Reservations<'a> {
    fn new(state: &State, instances: &'a [Arc<Instance>]) -> Result<Self, xml::Error> {
        let mut instances: Vec<_> = instances.iter().collect();
        instances.sort_by(|a, b| a.reservation.cmp(&b.reservation));
        let written = written(state, &instances)?;
        Ok(Self { instances, written })
    }

    fn iter(&self) -> impl Iterator<Item = Reservation<'_>> {
        let mut written = self.written.as_slice();
        let together = (self.instances).chunk_by(|a, b| a.reservation == b.reservation);
        together.filter_map(move |instances| {
            let (instances_set, rest) = written.split_at_checked(instances.len())?;
            written = rest;
            let first = instances.first()?;
            Some(Reservation {
                reservation_id: first.reservation.as_str(),
                owner_id: &first.scope.account,
                group_set: [],
                instances_set,
            })
        })
    }
}

impl Serialize for Reservations<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter())
    }
}

/// Writes the reservations of instances, in order of the former's ids.
pub fn list<S: Serializer>(
    s: S,
    state: &State,
    instances: &[Arc<Instance>],
) -> Result<S::Ok, S::Error> {
    match Shown::before(state, instances) {
        Some(shown) => shown
            .written(state)
            .map_err(ser::Error::custom)?
            .serialize(s),
        None => Reservations::new(state, instances)
            .map_err(ser::Error::custom)?
            .serialize(s),
    }
}

/// Writes the one reservation that all of the instances are of.
pub fn only<S: Serializer>(
    s: S,
    state: &State,
    instances: &[Arc<Instance>],
) -> Result<S::Ok, S::Error> {
    let all = Reservations::new(state, instances).map_err(ser::Error::custom)?;
    all.iter().next().serialize(s)
}

/// A list that was asked for, and its XML if that was again.
struct Shown {
    instances: Vec<Arc<Instance>>,
    versions: Versions,
    written: OnceLock<Written>,
}

/// Lists of at least so many instances are kept whole, and at most so many lists of 4 KiB an instance.
const LONG: usize = 100;
const LISTS: usize = 4;

static SHOWN: Mutex<VecDeque<Arc<Shown>>> = Mutex::new(VecDeque::new());

impl Shown {
    /// A long list that was asked for before and would be the same now; else notes it.
    fn before(state: &State, instances: &[Arc<Instance>]) -> Option<Arc<Self>> {
        if instances.len() < LONG {
            return None;
        }
        let versions = Seen::of(state).versions();
        let mut lists = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |shown: &&Arc<Self>| {
            shown.versions == versions
                && shown.instances.len() == instances.len()
                && (shown.instances.iter().zip(instances)).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if let Some(shown) = lists.iter().find(same) {
            return Some(Arc::clone(shown));
        }
        // Versions never come back.
        lists.retain(|shown| shown.versions == versions);
        lists.truncate(LISTS - 1);
        lists.push_front(Arc::new(Self {
            instances: instances.to_vec(),
            versions,
            written: OnceLock::new(),
        }));
        None
    }

    fn written(&self, state: &State) -> Result<Written, xml::Error> {
        if let Some(written) = self.written.get() {
            return Ok(written.clone());
        }
        let all = Reservations::new(state, &self.instances)?;
        let written = xml::joined(&all, xml::EC2)?;
        Ok(self.written.get_or_init(|| written).clone())
    }
}

/// What was written of an instance, and of which records.
struct Kept {
    instance: Arc<Instance>,
    versions: Versions,
    written: Written,
}

impl Kept {
    fn new(seen: Seen<'_>, instance: &Arc<Instance>) -> Result<Self, xml::Error> {
        Ok(Self {
            written: xml::fields(&shape(seen, instance), xml::EC2)?.into(),
            instance: Arc::clone(instance),
            versions: seen.versions(),
        })
    }

    fn holds(&self, versions: &Versions, instance: &Arc<Instance>) -> bool {
        Arc::ptr_eq(&self.instance, instance) && self.versions == *versions
    }
}

type AllKept = HashMap<InstanceId, Kept>;

static KEPT: LazyLock<RwLock<AllKept>> = LazyLock::new(RwLock::default);

/// Of instances that are gone, at most so many are kept, and once more as many as there are.
const GONE: usize = 1_000;

/// The XML of each instance; made and kept where nothing that holds is kept.
fn written(state: &State, instances: &[&Arc<Instance>]) -> Result<Vec<Written>, xml::Error> {
    let seen = Seen::of(state);
    let versions = seen.versions();
    let mut new = Vec::new();
    let kept = KEPT.read().unwrap_or_else(PoisonError::into_inner);
    let each = instances.iter().map(|&instance| {
        if let Some(kept) = kept.get(&instance.id)
            && kept.holds(&versions, instance)
        {
            return Ok(kept.written.clone());
        }
        let made = Kept::new(seen, instance)?;
        let written = made.written.clone();
        new.push(made);
        Ok(written)
    });
    let each = each.collect();
    drop(kept);
    if !new.is_empty() {
        let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
        kept.extend(new.into_iter().map(|k| (k.instance.id.clone(), k)));
        if kept.len() > 2 * state.instances.len() + GONE {
            kept.retain(|id, _| state.instances.contains_key(id));
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::run_instances;
    use crate::{Ctx, testing};
    use model::instance::Volume;
    use model::vpc::{Address, AddressAssociation, NetworkInterface, SecurityGroup, Vpc};
    use model::{AddressAssociationId, AllocationId};
    use serde_json::json;

    fn shown(ctx: &Ctx) -> Vec<Written> {
        let state = ctx.tx.state();
        let instances: Vec<_> = state.instances.values().collect();
        let kept = written(&state, &instances).unwrap();
        let new = |i| xml::fields(&shape(Seen::of(&state), i), xml::EC2).unwrap();
        let new: Vec<Written> = instances.iter().map(|&i| new(i).into()).collect();
        assert_eq!(kept, new);
        kept
    }

    #[test]
    fn a_long_list_is_kept_whole_from_its_second_time_on() {
        testing::run(|ctx| {
            let launch = json!({
                "ImageId": "ami-043985f3006b29f9e", "InstanceType": "t3.micro",
                "MinCount": LONG, "MaxCount": LONG,
            });
            run_instances::run(ctx, testing::input(launch)).unwrap();
            let all = |ctx: &Ctx| -> Vec<_> { ctx.tx.instances.values().cloned().collect() };
            let whole = |ctx: &Ctx| {
                let state = ctx.tx.state();
                let instances = all(ctx);
                let new = Reservations::new(&state, &instances).unwrap();
                xml::joined(&new, xml::EC2).unwrap()
            };
            assert!(Shown::before(&ctx.tx.state(), &all(ctx)).is_none());
            let shown = Shown::before(&ctx.tx.state(), &all(ctx)).unwrap();
            assert_eq!(shown.written(&ctx.tx.state()).unwrap(), whole(ctx));

            let fewer = all(ctx).split_off(1);
            assert!(Shown::before(&ctx.tx.state(), &fewer).is_none(), "too few");
            let before = whole(ctx);
            let id = ctx.tx.instances.keys().next().unwrap().clone();
            ctx.tx
                .modify::<Instance>(&id, |i| drop(i.tags.insert("a".into(), "b".into())));
            assert!(
                Shown::before(&ctx.tx.state(), &all(ctx)).is_none(),
                "an instance"
            );
            let group = ctx.tx.security_groups.keys().next().unwrap().clone();
            ctx.tx
                .modify::<SecurityGroup>(&group, |g| g.name = "other".into());
            assert!(
                Shown::before(&ctx.tx.state(), &all(ctx)).is_none(),
                "a group"
            );
            let shown = Shown::before(&ctx.tx.state(), &all(ctx)).unwrap();
            let after = shown.written(&ctx.tx.state()).unwrap();
            assert_eq!(after, whole(ctx));
            assert_ne!(after, before);
        });
    }

    #[test]
    fn what_is_kept_follows_every_record() {
        testing::run(|ctx| {
            let launch = json!({
                "ImageId": "ami-043985f3006b29f9e", "InstanceType": "t3.micro",
                "MinCount": 2, "MaxCount": 2,
            });
            run_instances::run(ctx, testing::input(launch)).unwrap();
            let first = ctx.tx.network_interfaces.values().next().unwrap();
            let (interface, private_ip) = (first.id.clone(), first.primary_ip());
            let group = first.security_groups.first().unwrap().clone();
            let scope = ctx.scope.clone();
            let volume = ctx.tx.volumes.keys().next().unwrap().clone();
            let instance = ctx.tx.instances.keys().next().unwrap().clone();
            let vpc = first.vpc.clone();
            let changes: [&dyn Fn(&mut Ctx); 6] = [
                &|ctx| {
                    let tag = |i: &mut Instance| drop(i.tags.insert("a".into(), "b<c".into()));
                    assert!(ctx.tx.modify::<Instance>(&instance, tag));
                },
                &|ctx| {
                    ctx.tx
                        .modify::<NetworkInterface>(&interface, |i| i.description = "x".into());
                },
                &|ctx| {
                    ctx.tx.put(Address {
                        allocation: AllocationId::random(),
                        scope: scope.clone(),
                        public_ip: [198, 18, 9, 9].into(),
                        association: Some(AddressAssociation {
                            id: AddressAssociationId::random(),
                            interface: interface.clone(),
                            private_ip,
                        }),
                        tags: Default::default(),
                    });
                },
                &|ctx| {
                    ctx.tx
                        .modify::<Vpc>(&vpc, |v| v.enable_dns_hostnames ^= true);
                },
                &|ctx| {
                    ctx.tx
                        .modify::<SecurityGroup>(&group, |g| g.name = "other".into());
                },
                &|ctx| {
                    let delete = |v: &mut Volume| {
                        v.attachment.as_mut().unwrap().delete_on_termination ^= true;
                    };
                    ctx.tx.modify::<Volume>(&volume, delete);
                },
            ];
            let mut before = shown(ctx);
            assert_eq!(shown(ctx), before);
            for (at, change) in changes.iter().enumerate() {
                change(ctx);
                let after = shown(ctx);
                assert_ne!(after, before, "change {at}");
                before = after;
            }
        });
    }
}
