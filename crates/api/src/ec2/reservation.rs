//! Instances by the launch they are of, and their XML, which is kept from answer to answer.
//!
//! Whoever waits or watches asks again and again for instances that have not changed, and writing
//! one anew takes as long as all else of a call: 4 KiB in 130 elements. What was written holds as
//! long as the instance's record and the tables of its shape ([`Seen`]) are the same. A change in
//! one of those tables makes all anew: to know whose shape it was costs as much as the shape.

use super::instance_shape::{Seen, Versions, shape};
use model::InstanceId;
use model::instance::Instance;
use serde::ser::{Error, SerializeSeq};
use serde::{Serialize, Serializer};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use store::State;
use wire::xml::{self, Written};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation<'a> {
    reservation_id: &'a str,
    owner_id: &'a str,
    group_set: [(); 0],
    instances_set: Shapes<'a>,
}

impl<'a> Reservation<'a> {
    /// `instances` are of one reservation; without any, there is none.
    pub fn new(state: &'a State, instances: &'a [Arc<Instance>]) -> Option<Self> {
        let first = instances.first()?;
        Some(Self {
            reservation_id: first.reservation.as_str(),
            owner_id: &first.scope.account,
            group_set: [],
            instances_set: Shapes(state, instances),
        })
    }
}

/// What was written of an instance, and of which records.
struct Kept {
    instance: Arc<Instance>,
    versions: Versions,
    xml: Box<str>,
}

impl Kept {
    fn new(seen: Seen<'_>, instance: &Arc<Instance>) -> Result<Self, xml::Error> {
        Ok(Self {
            xml: xml::fields(&shape(seen, instance), xml::EC2)?.into(),
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

struct Shapes<'a>(&'a State, &'a [Arc<Instance>]);

impl Shapes<'_> {
    /// Writes those of the instances anew of which nothing that holds is kept.
    fn renew(&self, versions: &Versions) -> Result<(), xml::Error> {
        let Self(state, instances) = *self;
        let seen = Seen::of(state);
        let kept = KEPT.read().unwrap_or_else(PoisonError::into_inner);
        let outdated = |i: &&Arc<Instance>| !kept.get(&i.id).is_some_and(|k| k.holds(versions, i));
        let outdated: Vec<_> = instances.iter().filter(outdated).collect();
        drop(kept);
        if outdated.is_empty() {
            return Ok(());
        }
        let new = outdated.iter().map(|i| Kept::new(seen, i));
        let new: Vec<Kept> = new.collect::<Result<_, _>>()?;
        let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
        kept.extend(new.into_iter().map(|k| (k.instance.id.clone(), k)));
        if kept.len() > 2 * state.instances.len() + GONE {
            kept.retain(|id, _| state.instances.contains_key(id));
        }
        Ok(())
    }
}

impl Serialize for Shapes<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Self(state, instances) = *self;
        let seen = Seen::of(state);
        let versions = seen.versions();
        self.renew(&versions).map_err(S::Error::custom)?;
        let kept = KEPT.read().unwrap_or_else(PoisonError::into_inner);
        let mut items = s.serialize_seq(Some(instances.len()))?;
        for instance in instances {
            match kept.get(&instance.id) {
                Some(k) if k.holds(&versions, instance) => {
                    items.serialize_element(&Written(&k.xml))?;
                }
                // An answer from a newer state came between.
                _ => items.serialize_element(&shape(seen, instance))?,
            }
        }
        items.end()
    }
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

    fn written(ctx: &Ctx) -> String {
        let state = ctx.tx.state();
        let instances: Vec<_> = state.instances.values().cloned().collect();
        let reservation = Reservation::new(&state, &instances);
        let text = xml::fields(&reservation, xml::EC2).unwrap();
        for instance in &instances {
            let new = xml::fields(&shape(Seen::of(&state), instance), xml::EC2).unwrap();
            assert!(text.contains(&new), "{text} has not {new}");
        }
        text
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
            let mut before = written(ctx);
            assert_eq!(written(ctx), before);
            for (at, change) in changes.iter().enumerate() {
                change(ctx);
                let after = written(ctx);
                assert_ne!(after, before, "change {at}");
                before = after;
            }
        });
    }
}
