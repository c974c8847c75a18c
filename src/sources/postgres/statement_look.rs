//! One look at the counters of statements.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;

use super::question::{float, text};
use crate::model::Timestamp;

/// Database, user and query id.
pub(crate) type Key = (String, String, String);

/// What a statement did since it was first seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counters {
    pub(crate) calls: f64,
    pub(crate) seconds: f64,
    pub(crate) plan_seconds: f64,
    pub(crate) rows: f64,
    pub(crate) blocks_hit: f64,
    pub(crate) blocks_read: f64,
    pub(crate) temp_blocks: f64,
    pub(crate) wal_bytes: f64,
    pub(crate) read_seconds: f64,
    pub(crate) write_seconds: f64,
}

/// One look at the counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    pub(crate) at: Timestamp,
    pub(crate) rows: BTreeMap<Key, Counters>,
    /// Seconds and calls of all statements, also of those without a row here.
    pub(crate) all: (f64, f64),
    pub(crate) entries: f64,
}

impl Look {
    /// True when it holds every statement of the server, not only the dearest.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows.len() as f64 >= self.entries
    }
}

impl Counters {
    /// The growth since `then`; `None` when the statement was evicted and began anew.
    pub(crate) fn since(&self, then: &Counters) -> Option<Counters> {
        (self.calls >= then.calls && self.seconds >= then.seconds).then(|| Counters {
            calls: self.calls - then.calls,
            seconds: self.seconds - then.seconds,
            plan_seconds: (self.plan_seconds - then.plan_seconds).max(0.0),
            rows: (self.rows - then.rows).max(0.0),
            blocks_hit: (self.blocks_hit - then.blocks_hit).max(0.0),
            blocks_read: (self.blocks_read - then.blocks_read).max(0.0),
            temp_blocks: (self.temp_blocks - then.temp_blocks).max(0.0),
            wal_bytes: (self.wal_bytes - then.wal_bytes).max(0.0),
            read_seconds: (self.read_seconds - then.read_seconds).max(0.0),
            write_seconds: (self.write_seconds - then.write_seconds).max(0.0),
        })
    }
}

/// Reads the rows of one look.
pub(crate) fn read_look(rows: &[PgRow], at: Timestamp) -> Result<Look, sqlx::Error> {
    let mut look = Look {
        at,
        ..Look::default()
    };
    for row in rows {
        let n = |column| float(row, column).map(|v| v.unwrap_or(0.0));
        let key = (
            text(row, "datname")?,
            text(row, "user")?,
            text(row, "queryid")?,
        );
        let counters = Counters {
            calls: n("calls")?,
            seconds: n("seconds")?,
            plan_seconds: n("plan_seconds")?,
            rows: n("rows")?,
            blocks_hit: n("blocks_hit")?,
            blocks_read: n("blocks_read")?,
            temp_blocks: n("temp_blocks")?,
            wal_bytes: n("wal_bytes")?,
            read_seconds: n("read_seconds")?,
            write_seconds: n("write_seconds")?,
        };
        look.all = (n("all_seconds")?, n("all_calls")?);
        look.entries = n("entries")?;
        look.rows.insert(key, counters);
    }
    Ok(look)
}
