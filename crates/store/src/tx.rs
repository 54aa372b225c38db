//! One transaction: a private copy of the state and a note of what it changed.

use crate::tables::{Record, State};
use model::Timestamp;
use model::cloudwatch::AlarmHistoryItem;
use model::event::{Event, Severity};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

/// Table and key (JSON) to the new value (JSON), or `None` where it was removed.
pub(crate) type Changes = BTreeMap<(&'static str, String), Option<String>>;

/// Newest entries kept of each log; older ones go as new ones come.
const LOG_LENGTH: usize = 10_000;

/// Reads see the transaction's own writes. Dropping it without a commit changes nothing.
pub struct Tx {
    /// Shared with a snapshot until the first change.
    state: Arc<State>,
    changes: Changes,
    changed: bool,
    /// Somebody will write the changes down.
    journaled: bool,
}

/// Stands in for a transaction that is away.
impl Default for Tx {
    fn default() -> Self {
        static EMPTY: LazyLock<Arc<State>> = LazyLock::new(Arc::default);
        Self::new(Arc::clone(&EMPTY), false)
    }
}

impl Deref for Tx {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl Tx {
    pub(crate) fn new(state: Arc<State>, journaled: bool) -> Self {
        Self {
            state,
            changes: Changes::new(),
            changed: false,
            journaled,
        }
    }

    /// A transaction that is only read from (Describe calls run on a snapshot through it).
    pub fn reading(snapshot: &crate::Snapshot) -> Self {
        Self::new(snapshot.state(), false)
    }

    /// The state, if it has changed, and what to write down of that.
    pub(crate) fn finish(self) -> Option<(Arc<State>, Changes)> {
        self.changed.then_some((self.state, self.changes))
    }

    /// The state as it is now, for answers that are written from it later.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    pub fn get<R: Record>(&self, key: &R::Key) -> Option<&R> {
        R::table(&self.state).get(key).map(Arc::as_ref)
    }

    pub fn put<R: Record>(&mut self, record: R) {
        let key = record.key();
        self.note::<R>(&key, Some(&record));
        R::table_mut(Arc::make_mut(&mut self.state)).put(key, Arc::new(record));
    }

    /// Changes the record in place if it is there; says whether it was.
    pub fn modify<R: Record>(&mut self, key: &R::Key, f: impl FnOnce(&mut R)) -> bool {
        let Some(record) = self.get::<R>(key) else {
            return false;
        };
        let mut record = record.clone();
        f(&mut record);
        self.put(record);
        true
    }

    pub fn remove<R: Record>(&mut self, key: &R::Key) -> Option<Arc<R>> {
        if !R::table(&self.state).contains_key(key) {
            return None;
        }
        let old = R::table_mut(Arc::make_mut(&mut self.state)).take(key)?;
        self.note::<R>(key, None);
        Some(old)
    }

    /// Appends to the event log.
    pub fn event(
        &mut self,
        time: Timestamp,
        severity: Severity,
        subject: impl ToString,
        kind: &str,
        message: impl Into<String>,
    ) {
        let sequence = self.state.events.get_max().map_or(0, |(last, _)| last + 1);
        self.put(Event {
            sequence,
            time,
            severity,
            subject: subject.to_string(),
            kind: kind.to_owned(),
            message: message.into(),
        });
        if self.state.events.len() > LOG_LENGTH
            && let Some((oldest, _)) = self.state.events.get_min().cloned()
        {
            self.remove::<Event>(&oldest);
        }
    }

    /// Appends to the alarm history; the item's sequence is set here.
    pub fn alarm_history(&mut self, mut item: AlarmHistoryItem) {
        item.sequence = self
            .state
            .alarm_history
            .get_max()
            .map_or(0, |(last, _)| last + 1);
        self.put(item);
        if self.state.alarm_history.len() > LOG_LENGTH
            && let Some((oldest, _)) = self.state.alarm_history.get_min().cloned()
        {
            self.remove::<AlarmHistoryItem>(&oldest);
        }
    }

    fn note<R: Record>(&mut self, key: &R::Key, value: Option<&R>) {
        self.changed = true;
        if !self.journaled {
            return;
        }
        // Keys and records are our own plain types: serialising them cannot fail.
        let key = serde_json::to_string(key).unwrap_or_default();
        let value = value.map(|v| serde_json::to_string(v).unwrap_or_default());
        self.changes.insert((R::TABLE, key), value);
    }
}
