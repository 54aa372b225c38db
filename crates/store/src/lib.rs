//! State of the cloud: typed tables, one transaction, cheap snapshots, durability.
//!
//! All state lies in memory as persistent maps, so a snapshot is a pointer and
//! readers never block the writer. A transaction changes a copy and publishes it
//! whole. Each committed change is appended to SQLite (WAL) with group commit; an
//! API answer waits for that, controllers do not. A `kill -9` loses nothing acknowledged; a power cut may lose the last
//! moments (`synchronous = NORMAL`) but never consistency.
//!
//! Rejected: a lock per table (no transaction over two of them), and reading
//! through SQLite (each Describe would decode records).

mod journal;
mod table;
mod tables;
mod tx;

pub use table::{Of, Owner, OwnerRef, Table};
pub use tables::{ObjectKey, Record, ScopedName, State, TargetHealthKey};
pub use tx::Tx;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// What opening or writing the state directory can run into.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to open the state database")]
    Open(#[source] rusqlite::Error),
    #[error(
        "the state was written by another version of nines (format {found}, this one reads {expected}); run `nines down --purge`"
    )]
    Format { found: i64, expected: i64 },
    #[error("record {key} of table {table} cannot be read: {reason}; run `nines down --purge`")]
    Record {
        table: String,
        key: String,
        reason: String,
    },
}

/// A consistent view of everything at one revision.
#[derive(Clone)]
pub struct Snapshot {
    /// Counts commits since the process started.
    pub revision: u64,
    state: Arc<State>,
}

impl Snapshot {
    /// The state alone, for answers that are written from it later.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }
}

impl std::ops::Deref for Snapshot {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

type OnCommit = Box<dyn Fn(u64) + Send + Sync>;

/// The one store of a control plane.
pub struct Store {
    current: RwLock<Snapshot>,
    /// Serialises writers; readers never take it.
    writer: Mutex<()>,
    journal: Option<journal::Journal>,
    on_commit: RwLock<Vec<OnCommit>>,
}

/// A committed transaction on its way to disk.
#[must_use = "an acknowledged call waits until it is durable"]
pub struct Commit {
    pub revision: u64,
    durable: Option<journal::Pending>,
}

impl Commit {
    /// Waits until the change is on disk.
    pub async fn durable(self) -> Result<(), String> {
        match self.durable {
            None => Ok(()),
            Some(pending) => pending.written().await,
        }
    }
    /// Does not wait: for observed state, which a restart observes again.
    pub fn forget(self) {}
}

impl Store {
    /// Opens (or creates) `nines.db` in `dir` and loads every record.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let (journal, state) = journal::Journal::open(&dir.join("nines.db"))?;
        Ok(Self::new(state, Some(journal)))
    }

    /// A store without a disk, for tests and simulations.
    pub fn in_memory() -> Self {
        Self::new(State::default(), None)
    }

    fn new(state: State, journal: Option<journal::Journal>) -> Self {
        Self {
            current: RwLock::new(Snapshot {
                revision: 0,
                state: Arc::new(state),
            }),
            writer: Mutex::new(()),
            journal,
            on_commit: RwLock::default(),
        }
    }

    /// The newest state; costs one reference count.
    pub fn snapshot(&self) -> Snapshot {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Calls `f` with the revision after every commit. It must be quick: ring a bell, no more.
    pub fn on_commit(&self, f: impl Fn(u64) + Send + Sync + 'static) {
        self.on_commit
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(f));
    }

    /// Runs `f` on a copy of the state and publishes it whole, or drops it on `Err`.
    pub fn transact<T, E>(
        &self,
        f: impl FnOnce(&mut Tx) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        let _one_writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let mut tx = Tx::new(before.state(), self.journal.is_some());
        let value = f(&mut tx)?;
        let Some((state, changes)) = tx.finish() else {
            let commit = Commit {
                revision: before.revision,
                durable: None,
            };
            return Ok((value, commit));
        };
        let revision = before.revision + 1;
        let durable = self.journal.as_ref().map(|journal| journal.append(changes));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            Snapshot { revision, state };
        for f in self
            .on_commit
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            f(revision);
        }
        Ok((value, Commit { revision, durable }))
    }

    /// A transaction that cannot fail and need not be waited for (controllers).
    pub fn update<T>(&self, f: impl FnOnce(&mut Tx) -> T) -> T {
        let done = self.transact(|tx| Ok::<T, std::convert::Infallible>(f(tx)));
        match done {
            Ok((value, commit)) => {
                commit.forget();
                value
            }
            Err(never) => match never {},
        }
    }
}
