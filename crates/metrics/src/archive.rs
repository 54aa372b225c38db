//! Blocks of points on disk, so that metrics outlive the control plane.
//!
//! SQLite beside the records' own database: one row a block, found by series, tier and start, so
//! that memory holds only what grows. A transaction every two seconds writes what changed; a crash
//! loses the points since, never more. Rejected: a log of points (a start would read and keep all of
//! it), and files a series (a directory entry and a sync for each).

use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Raised whenever blocks change so that older ones cannot be read. Older ones are dropped.
const FORMAT: i64 = 1;

#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} the metrics database")]
pub struct Error {
    operation: &'static str,
    source: rusqlite::Error,
}

/// One block to write.
pub struct Row {
    pub series: i64,
    pub tier: usize,
    pub start: i64,
    pub bytes: Vec<u8>,
}

pub struct Archive {
    writer: Mutex<Connection>,
    /// Readers do not wait for a flush.
    reader: Mutex<Connection>,
}

/// Everything that a flush writes.
#[derive(Default)]
pub struct Changes {
    /// Numbers and names.
    pub series: Vec<(i64, String)>,
    pub gone_series: Vec<i64>,
    pub rows: Vec<Row>,
    /// Series, tier, start.
    pub gone: Vec<(i64, usize, i64)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
            && self.gone_series.is_empty()
            && self.rows.is_empty()
            && self.gone.is_empty()
    }
}

fn during<T>(operation: &'static str, result: rusqlite::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error { operation, source })
}

impl Archive {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let writer = during("open", Connection::open(path))?;
        during("prepare", prepare(&writer))?;
        let reader = during("open", Connection::open(path))?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
        })
    }

    /// Every series by its number.
    pub fn series(&self) -> Result<Vec<(i64, String)>, Error> {
        let db = self.reader();
        let read = || {
            let mut query = db.prepare("SELECT id, name FROM series ORDER BY id")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        during("read", read())
    }

    pub fn newest(&self, series: i64, tier: usize, most: usize) -> Vec<(i64, Vec<u8>)> {
        self.blocks(
            "SELECT start, bytes FROM block WHERE series = ?1 AND tier = ?2 AND ?3 = ?3 ORDER BY start DESC LIMIT ?4",
            (series, tier, 0, most as i64),
        )
    }

    /// The block that a point at `slot` would be in.
    pub fn block_at(&self, series: i64, tier: usize, slot: i64) -> Option<(i64, Vec<u8>)> {
        self.blocks(
            "SELECT start, bytes FROM block WHERE series = ?1 AND tier = ?2 AND start <= ?3 ORDER BY start DESC LIMIT ?4",
            (series, tier, slot, 1),
        )
        .pop()
    }

    pub fn blocks_before(&self, series: i64, tier: usize, cutoff: i64) -> Vec<(i64, Vec<u8>)> {
        self.blocks(
            "SELECT start, bytes FROM block WHERE series = ?1 AND tier = ?2 AND start < ?3 ORDER BY start LIMIT ?4",
            (series, tier, cutoff, -1),
        )
    }

    /// Blocks that may have points in a time, in order.
    pub fn range(&self, series: i64, tier: usize, start: i64, end: i64) -> Vec<(i64, Vec<u8>)> {
        self.blocks(
            "SELECT start, bytes FROM block WHERE series = ?1 AND tier = ?2 AND start < ?4 AND start >= coalesce(
                 (SELECT max(start) FROM block WHERE series = ?1 AND tier = ?2 AND start <= ?3), ?3) ORDER BY start",
            (series, tier, start, end),
        )
    }

    /// Nothing is read where reading fails: a graph with a gap is better than no alarm at all.
    fn blocks(
        &self,
        sql: &str,
        (series, tier, a, b): (i64, usize, i64, i64),
    ) -> Vec<(i64, Vec<u8>)> {
        let db = self.reader();
        let read = || -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
            let mut query = db.prepare_cached(sql)?;
            let rows = query.query_map(params![series, tier as i64, a, b], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            rows.collect()
        };
        read().unwrap_or_else(|error| {
            tracing::error!(%error, series, "failed to read the metrics database");
            Vec::new()
        })
    }

    pub fn write(&self, changes: &Changes) -> Result<(), Error> {
        let mut db = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut write = || {
            let tx = db.transaction()?;
            {
                let mut forget = tx.prepare_cached("DELETE FROM series WHERE id = ?1")?;
                for id in &changes.gone_series {
                    forget.execute([id])?;
                }
                let mut name =
                    tx.prepare_cached("INSERT OR REPLACE INTO series (id, name) VALUES (?1, ?2)")?;
                for (id, text) in &changes.series {
                    name.execute(params![id, text])?;
                }
                let mut delete = tx.prepare_cached(
                    "DELETE FROM block WHERE series = ?1 AND tier = ?2 AND start = ?3",
                )?;
                for (series, tier, start) in &changes.gone {
                    delete.execute(params![series, *tier as i64, start])?;
                }
                let mut put = tx.prepare_cached(
                    "INSERT OR REPLACE INTO block (series, tier, start, bytes) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for row in &changes.rows {
                    put.execute(params![row.series, row.tier as i64, row.start, row.bytes])?;
                }
            }
            tx.commit()
        };
        during("write", write())
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;",
    )?;
    let found: i64 = db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    if found != FORMAT {
        db.execute_batch("DROP TABLE IF EXISTS block; DROP TABLE IF EXISTS series;")?;
    }
    db.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS block (
             series INTEGER NOT NULL, tier INTEGER NOT NULL, start INTEGER NOT NULL, bytes BLOB NOT NULL,
             PRIMARY KEY (series, tier, start)
         ) WITHOUT ROWID;
         PRAGMA user_version = {FORMAT};"
    ))
}
