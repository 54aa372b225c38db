//! Instances by the launch they are of, and their XML, which is kept from answer to answer.
//!
//! Whoever waits or watches asks again and again for instances that have not changed, and writing
//! one anew takes as long as all else of a call: 4 KiB in 130 elements. What was written holds as
//! long as the instance's record and the tables of its shape ([`Seen`]) are the same. A change in
//! one of those tables makes all anew: to know whose shape it was costs as much as the shape.

use super::instance_shape::{Seen, Versions, shape};
use model::InstanceId;
use model::instance::Instance;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use store::State;
use wire::xml::{self, Written};

/// The reservations that instances are of, in an answer.
pub struct Reservations<'a> {
    /// Those of one reservation stand together.
    instances: &'a [Arc<Instance>],
    /// Of each of them, in the same order.
    written: Vec<Written>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation<'a> {
    reservation_id: &'a str,
    owner_id: &'a str,
    group_set: [(); 0],
    instances_set: &'a [Written],
}

impl<'a> Reservations<'a> {
    pub fn new(state: &State, instances: &'a [Arc<Instance>]) -> Result<Self, xml::Error> {
        let written = written(state, instances)?;
        Ok(Self { instances, written })
    }

    pub fn iter(&self) -> impl Iterator<Item = Reservation<'_>> {
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
fn written(state: &State, instances: &[Arc<Instance>]) -> Result<Vec<Written>, xml::Error> {
    let seen = Seen::of(state);
    let versions = seen.versions();
    let mut new = Vec::new();
    let kept = KEPT.read().unwrap_or_else(PoisonError::into_inner);
    let each = instances.iter().map(|instance| {
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
        let instances: Vec<_> = state.instances.values().cloned().collect();
        let kept = written(&state, &instances).unwrap();
        let new = |i| xml::fields(&shape(Seen::of(&state), i), xml::EC2).unwrap();
        let new: Vec<Written> = instances.iter().map(|i| new(i).into()).collect();
        assert_eq!(kept, new);
        kept
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
