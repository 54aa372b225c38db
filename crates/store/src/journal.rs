//! The durable copy: every committed change, in order, in SQLite.
//!
//! Whoever waits for a change writes it, and whatever else waits by then in the same transaction of
//! SQLite (group commit). A thread writes what nobody waits for, and carries the log of SQLite over
//! into its file, which takes the disk's time. Every change went to that thread first, which took two
//! wake-ups for each.

use crate::Error;
use crate::tables::State;
use crate::tx::Changes;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Raised whenever a record changes so that older data cannot be read.
const FORMAT: i64 = 1;

/// Most changes that share one SQLite transaction.
const BATCH: usize = 512;

/// Most transactions of SQLite that a caller writes, its own among them.
const IN_A_ROW: usize = 4;

/// SQLite's log is carried over into its file when it has about so many bytes, or when nothing has
/// been written for so long.
const LONG_LOG: usize = 32 << 20;
const IDLE: Duration = Duration::from_secs(1);

/// What a transaction adds to the log besides the records: pages are written whole.
const PAGES: usize = 8 << 10;

type Entry = (Changes, oneshot::Sender<Result<(), String>>);

pub(crate) struct Journal {
    file: Arc<File>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    /// The thread is to write them.
    for_thread: bool,
    /// The journal is being dropped.
    ending: bool,
}

struct File {
    /// SQLite's log.
    log: PathBuf,
    waiting: Mutex<Waiting>,
    bell: Condvar,
    db: Mutex<Database>,
}

struct Database {
    connection: Connection,
    /// About how many bytes its log has.
    log: usize,
}

/// A change on its way to disk.
pub(crate) struct Pending {
    file: Arc<File>,
    written: Option<oneshot::Receiver<Result<(), String>>>,
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
             PRAGMA wal_autocheckpoint = 0;
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
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let file = Arc::new(File {
            log: log.into(),
            waiting: Mutex::default(),
            bell: Condvar::new(),
            db: Mutex::new(Database {
                connection: db,
                log: 0,
            }),
        });
        let own = Arc::clone(&file);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || own.tend())
            .map_err(|e| Error::Open(rusqlite::Error::ToSqlConversionFailure(e.into())))?;
        let thread = Some(thread);
        Ok((Self { file, thread }, state))
    }

    /// In the order of commits, which the caller sees to.
    pub fn append(&self, changes: Changes) -> Pending {
        let (done, written) = oneshot::channel();
        self.file.waiting().entries.push_back((changes, done));
        Pending {
            file: Arc::clone(&self.file),
            written: Some(written),
        }
    }
}

impl Drop for Journal {
    /// Writes what was handed over before the process ends.
    fn drop(&mut self) {
        self.file.waiting().ending = true;
        self.file.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Pending {
    /// Sees to it that the change is written, and waits for that.
    ///
    /// Whoever else is ready on this thread has its turn first, and its change is written along.
    pub async fn written(mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        let Some(mut written) = self.written.take() else {
            return Ok(());
        };
        if let Ok(written) = written.try_recv() {
            return written;
        }
        self.file.write_here();
        written
            .await
            .unwrap_or_else(|_| Err("the journal ended".into()))
    }
}

impl Drop for Pending {
    /// Nobody waits any more: the thread's turn, unless another writes it on the way.
    fn drop(&mut self) {
        if self.written.is_some() {
            self.file.leave_to_thread();
        }
    }
}

impl File {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits, unless somebody is writing: who then sees what came meanwhile.
    fn write_here(&self) {
        let mut db = match self.db.try_lock() {
            Ok(db) => db,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // What came meanwhile too: a third thread would have to be woken for it.
        let _ = (0..IN_A_ROW).all(|_| self.write(&mut db));
        drop(db);
        // What came after the last look found the database taken. By now this caller has calls of its
        // own to answer.
        if !self.waiting().entries.is_empty() {
            self.leave_to_thread();
        }
    }

    fn leave_to_thread(&self) {
        self.waiting().for_thread = true;
        self.bell.notify_one();
    }

    /// One transaction of SQLite; says whether there was anything to write.
    fn write(&self, db: &mut Database) -> bool {
        let mut waiting = self.waiting();
        let many = waiting.entries.len().min(BATCH);
        let batch: Vec<Entry> = waiting.entries.drain(..many).collect();
        drop(waiting);
        if batch.is_empty() {
            return false;
        }
        db.log += PAGES;
        let values = batch.iter().flat_map(|(changes, _)| changes.values());
        db.log += values.flatten().map(String::len).sum::<usize>();
        let written = append(&db.connection, &batch).map_err(|e| e.to_string());
        for (_, done) in batch {
            // Nobody waits where a controller wrote.
            let _ = done.send(written.clone());
        }
        true
    }

    /// Carrying the log over begins with waiting for it to be on the disk: most of that wait is done
    /// here, while others go on writing.
    fn sync_log(&self) {
        // If it cannot be done, SQLite says so better.
        let _ = std::fs::File::open(&self.log).and_then(|log| log.sync_data());
    }

    /// The thread: writes what it is left, and keeps SQLite's log short.
    fn tend(&self) {
        let mut before = 0;
        loop {
            let wait = |w: &mut Waiting| !w.for_thread && !w.ending;
            let waited = self.bell.wait_timeout_while(self.waiting(), IDLE, wait);
            let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
            waiting.for_thread = false;
            let ending = waiting.ending;
            drop(waiting);
            let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
            while self.write(&mut db) {}
            if ending {
                return;
            }
            let idle = db.log == before;
            if db.log > LONG_LOG || (idle && db.log > 0) {
                drop(db);
                self.sync_log();
                db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = carry_over(&db.connection) {
                    tracing::warn!(%error, "failed to carry the journal's log over");
                }
                db.log = 0;
            }
            before = db.log;
            drop(db);
            // As in `write_here`.
            let mut waiting = self.waiting();
            waiting.for_thread |= !waiting.entries.is_empty();
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

/// From SQLite's log into its file.
fn carry_over(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Statements are kept: preparing `BEGIN` and `COMMIT` anew, as rusqlite's transactions do, costs as
/// much as the row between them.
fn append(db: &Connection, batch: &[Entry]) -> rusqlite::Result<()> {
    db.prepare_cached("BEGIN")?.execute(())?;
    let written = put(db, batch).and_then(|()| db.prepare_cached("COMMIT")?.execute(()));
    // Else the next `BEGIN` would fail too. Some errors have rolled back by themselves.
    if written.is_err() && !db.is_autocommit() {
        let _ = db.execute_batch("ROLLBACK");
    }
    written.map(drop)
}

fn put(db: &Connection, batch: &[Entry]) -> rusqlite::Result<()> {
    let mut put =
        db.prepare_cached("INSERT OR REPLACE INTO records (tbl, key, value) VALUES (?1, ?2, ?3)")?;
    let mut remove = db.prepare_cached("DELETE FROM records WHERE tbl = ?1 AND key = ?2")?;
    for (changes, _) in batch {
        for ((table, key), value) in changes {
            match value {
                Some(value) => put.execute((table, key, value))?,
                None => remove.execute((table, key))?,
            };
        }
    }
    Ok(())
}
