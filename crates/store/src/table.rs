//! One table: records by their key, and by what they belong to.
//!
//! Records name their owners (an interface its instance, everything its account and region) and
//! are asked for the other way round. A table keeps that other way beside its records, in every
//! snapshot alike, so that a question about one of ten thousand instances looks at one. Working it
//! out per call or pass was how it was done before, and was most of what a Describe call cost.

use crate::tables::Record;
use equivalent::{Comparable, Equivalent};
use imbl::OrdMap;
use model::Scope;
use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What records are found by besides their own key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owned {
    Scope(Scope),
    Id(Box<str>),
}

/// The same, borrowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerRef<'a> {
    Scope(&'a Scope),
    Id(&'a str),
}

impl OwnerRef<'_> {
    fn to_owned(self) -> Owned {
        match self {
            Self::Scope(scope) => Owned::Scope(scope.clone()),
            Self::Id(id) => Owned::Id(id.into()),
        }
    }
}

impl Owned {
    fn as_ref(&self) -> OwnerRef<'_> {
        match self {
            Self::Scope(scope) => OwnerRef::Scope(scope),
            Self::Id(id) => OwnerRef::Id(id),
        }
    }
}

/// Something that records belong to.
pub trait Owner {
    fn owner(&self) -> OwnerRef<'_>;
}

impl Owner for Scope {
    fn owner(&self) -> OwnerRef<'_> {
        OwnerRef::Scope(self)
    }
}

/// Ids that are text, such as ARNs.
impl Owner for str {
    fn owner(&self) -> OwnerRef<'_> {
        OwnerRef::Id(self)
    }
}

macro_rules! owners {
    ($($id:ident)*) => { $(
        impl Owner for model::$id {
            fn owner(&self) -> OwnerRef<'_> {
                OwnerRef::Id(self.as_str())
            }
        }
    )* };
}

owners! { InstanceId NetworkInterfaceId SecurityGroupId SubnetId VpcId }

/// Says that records of this kind are found by an `O`; the lines of the tables give it.
pub trait Of<O: ?Sized> {}

/// Records ordered by key; reading goes to the map itself.
pub struct Table<R: Record> {
    records: OrdMap<R::Key, Arc<R>>,
    owned: OrdMap<(Owned, R::Key), Arc<R>>,
    version: u64,
}

/// Of the next change of any table.
static VERSION: AtomicU64 = AtomicU64::new(1);

impl<R: Record> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self {
            records: self.records.clone(),
            owned: self.owned.clone(),
            version: self.version,
        }
    }
}

impl<R: Record> Default for Table<R> {
    fn default() -> Self {
        Self {
            records: OrdMap::new(),
            owned: OrdMap::new(),
            version: 0,
        }
    }
}

impl<R: Record> Deref for Table<R> {
    type Target = OrdMap<R::Key, Arc<R>>;
    fn deref(&self) -> &Self::Target {
        &self.records
    }
}

impl<'a, R: Record> IntoIterator for &'a Table<R> {
    type Item = (&'a R::Key, &'a Arc<R>);
    type IntoIter = <&'a OrdMap<R::Key, Arc<R>> as IntoIterator>::IntoIter;
    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}

impl<R: Record> Table<R> {
    /// The records that belong to `owner`, in the order of their keys.
    pub fn of<'a, O>(&'a self, owner: &O) -> impl Iterator<Item = &'a Arc<R>> + use<'a, O, R>
    where
        R: Of<O>,
        O: Owner + ?Sized,
    {
        let owner = owner.owner();
        let all = Edge::Before(owner)..Edge::After(owner);
        self.owned.range(all).map(|(_, record)| record)
    }

    /// Two tables of one version hold the same records, also in different snapshots and stores. It
    /// tells whether what was made of a table still holds.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn put(&mut self, key: R::Key, record: Arc<R>) {
        self.version = VERSION.fetch_add(1, Relaxed);
        let before = self.records.insert(key.clone(), Arc::clone(&record));
        let mut owners = record.owners();
        if owners.is_empty() && before.is_none() {
            return;
        }
        owners.sort_unstable();
        if let Some(before) = &before {
            for owner in before.owners() {
                if owners.binary_search(&owner).is_err() {
                    self.owned.remove(&Entry(owner, &key));
                }
            }
        }
        for owner in owners {
            let entry = (owner.to_owned(), key.clone());
            self.owned.insert(entry, Arc::clone(&record));
        }
    }

    pub(crate) fn take(&mut self, key: &R::Key) -> Option<Arc<R>> {
        let record = self.records.remove(key)?;
        self.version = VERSION.fetch_add(1, Relaxed);
        for owner in record.owners() {
            self.owned.remove(&Entry(owner, key));
        }
        Some(record)
    }
}

/// One record below one owner.
struct Entry<'a, K>(OwnerRef<'a>, &'a K);

impl<K: Ord> Equivalent<(Owned, K)> for Entry<'_, K> {
    fn equivalent(&self, key: &(Owned, K)) -> bool {
        self.compare(key).is_eq()
    }
}

impl<K: Ord> Comparable<(Owned, K)> for Entry<'_, K> {
    fn compare(&self, (owner, key): &(Owned, K)) -> Ordering {
        self.0.cmp(&owner.as_ref()).then_with(|| self.1.cmp(key))
    }
}

/// Where the records of an owner begin and end.
enum Edge<'a> {
    Before(OwnerRef<'a>),
    After(OwnerRef<'a>),
}

impl<K> Equivalent<(Owned, K)> for Edge<'_> {
    fn equivalent(&self, _: &(Owned, K)) -> bool {
        false
    }
}

impl<K> Comparable<(Owned, K)> for Edge<'_> {
    fn compare(&self, (owner, _): &(Owned, K)) -> Ordering {
        let owner = owner.as_ref();
        match self {
            Self::Before(own) => own.cmp(&owner).then(Ordering::Less),
            Self::After(own) => own.cmp(&owner).then(Ordering::Greater),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use model::vpc::{Address, AddressAssociation};
    use model::{AddressAssociationId, AllocationId, NetworkInterfaceId, Tags};

    fn address(account: &str, interface: Option<&NetworkInterfaceId>) -> Address {
        Address {
            allocation: AllocationId::random(),
            scope: Scope::new(account, "us-east-1"),
            public_ip: std::net::Ipv4Addr::LOCALHOST,
            association: interface.map(|id| AddressAssociation {
                id: AddressAssociationId::random(),
                interface: id.clone(),
                private_ip: std::net::Ipv4Addr::LOCALHOST,
            }),
            tags: Tags::new(),
        }
    }

    #[test]
    fn versions_tell_changes() {
        let store = Store::in_memory();
        let version = || store.snapshot().addresses.version();
        let empty = version();
        let one = address("000000000001", None);
        let key = one.allocation.clone();
        store.update(|tx| tx.put(one.clone()));
        let first = version();
        store.update(|tx| drop(tx.remove::<Address>(&AllocationId::random())));
        assert_eq!(version(), first, "nothing was removed");
        store.update(|tx| tx.put(one));
        let second = version();
        store.update(|tx| drop(tx.remove::<Address>(&key)));
        let all = [empty, first, second, version()];
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    }

    /// What the index says is what a search of the whole table says, whatever happens to it.
    #[test]
    fn owners_follow_every_change() {
        let store = Store::in_memory();
        let interfaces: Vec<_> = (0..5).map(|_| NetworkInterfaceId::random()).collect();
        let accounts = ["000000000001", "000000000002", "000000000003"];
        let mut random = 7u64;
        let mut next = |below: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as usize % below
        };
        for _ in 0..2_000 {
            let choice = next(4);
            store.update(|tx| {
                let some = tx.addresses.keys().nth(next(tx.addresses.len().max(1)));
                match (choice, some.cloned()) {
                    (0, Some(id)) => drop(tx.remove::<Address>(&id)),
                    (1, Some(id)) => {
                        let other = address(accounts[next(3)], interfaces.get(next(7)));
                        tx.modify::<Address>(&id, |a| a.association = other.association);
                    }
                    _ => tx.put(address(accounts[next(3)], interfaces.get(next(7)))),
                }
            });
            let state = store.snapshot();
            for account in accounts {
                let scope = Scope::new(account, "us-east-1");
                let found: Vec<_> = state.addresses.of(&scope).collect();
                let all = state.addresses.values();
                let expected: Vec<_> = all.filter(|a| a.scope == scope).collect();
                assert_eq!(found, expected);
            }
            for id in &interfaces {
                let bound =
                    |a: &&Arc<Address>| a.association.as_ref().is_some_and(|x| x.interface == *id);
                let found: Vec<_> = state.addresses.of(id).collect();
                let expected: Vec<_> = state.addresses.values().filter(bound).collect();
                assert_eq!(found, expected);
            }
        }
        let state = store.snapshot();
        assert!(state.addresses.len() > 100, "{}", state.addresses.len());
    }
}
