//! The durable copy: every committed change, in order, in SQLite by one writer thread.

use crate::Error;
use crate::tables::State;
use crate::tx::Changes;
use rusqlite::Connection;
use std::path::Path;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Raised whenever a record changes so that older data cannot be read.
const FORMAT: i64 = 1;

/// Most changes that share one SQLite transaction.
const BATCH: usize = 512;

type Entry = (Changes, oneshot::Sender<Result<(), String>>);

pub(crate) struct Journal {
    /// `None` only while dropping.
    entries: Option<mpsc::Sender<Entry>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Makes the file readable by its owner only: records hold the keys of certificates. SQLite's other
/// files take over its mode.
fn keep_private(path: &Path) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let made = std::fs::File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    // Whether it can be opened at all, SQLite says better.
    if let Ok(file) = made {
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
    }
}

impl Journal {
    pub fn open(path: &Path) -> Result<(Self, State), Error> {
        keep_private(path);
        let db = Connection::open(path).map_err(Error::Open)?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA locking_mode = EXCLUSIVE;
             CREATE TABLE IF NOT EXISTS records (
                 tbl TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (tbl, key)
             ) WITHOUT ROWID;",
        )
        .map_err(Error::Open)?;
        let found: i64 = db
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(Error::Open)?;
        if found != 0 && found != FORMAT {
            return Err(Error::Format {
                found,
                expected: FORMAT,
            });
        }
        db.execute_batch(&format!("PRAGMA user_version = {FORMAT}"))
            .map_err(Error::Open)?;
        let state = load(&db)?;
        let (entries, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || write(db, receiver))
            .map_err(|e| Error::Open(rusqlite::Error::ToSqlConversionFailure(e.into())))?;
        Ok((
            Self {
                entries: Some(entries),
                thread: Some(thread),
            },
            state,
        ))
    }

    pub fn append(&self, changes: Changes) -> oneshot::Receiver<Result<(), String>> {
        let (done, written) = oneshot::channel();
        if let Some(entries) = &self.entries {
            // A dead thread drops `done`, which the waiter sees as an error.
            let _ = entries.send((changes, done));
        }
        written
    }
}

impl Drop for Journal {
    /// Writes what was handed over before the process ends.
    fn drop(&mut self) {
        self.entries = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn load(db: &Connection) -> Result<State, Error> {
    let mut state = State::default();
    let mut query = db
        .prepare("SELECT tbl, key, value FROM records")
        .map_err(Error::Open)?;
    let mut rows = query.query([]).map_err(Error::Open)?;
    while let Some(row) = rows.next().map_err(Error::Open)? {
        let table: String = row.get(0).map_err(Error::Open)?;
        let key: String = row.get(1).map_err(Error::Open)?;
        let value: String = row.get(2).map_err(Error::Open)?;
        if let Err(reason) = state.load(&table, &value) {
            return Err(Error::Record { table, key, reason });
        }
    }
    Ok(state)
}

fn write(mut db: Connection, entries: mpsc::Receiver<Entry>) {
    while let Ok(first) = entries.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = entries.try_recv()
        {
            batch.push(next);
        }
        let written = append(&mut db, &batch).map_err(|e| e.to_string());
        for (_, done) in batch {
            // Nobody waits where a controller wrote.
            let _ = done.send(written.clone());
        }
    }
}

fn append(db: &mut Connection, batch: &[Entry]) -> rusqlite::Result<()> {
    let tx = db.transaction()?;
    {
        let mut put = tx.prepare_cached(
            "INSERT OR REPLACE INTO records (tbl, key, value) VALUES (?1, ?2, ?3)",
        )?;
        let mut remove = tx.prepare_cached("DELETE FROM records WHERE tbl = ?1 AND key = ?2")?;
        for (changes, _) in batch {
            for ((table, key), value) in changes {
                match value {
                    Some(value) => put.execute((table, key, value))?,
                    None => remove.execute((table, key))?,
                };
            }
        }
    }
    tx.commit()
}
