//! Changes that a full disk keeps from being written: they wait in order, none is lost.
//!
//! What must stay true: changes are written in the order in which they happened; while some wait,
//! nothing that follows from them is written; the number that waits has a bound, at which
//! evaluation stops.

use std::collections::VecDeque;

use crate::model::Timestamp;
use crate::state::{AlertRow, NoticeRow, State, StateError};

/// Transactions that may wait; then rules are not evaluated until some are written.
const MOST: usize = 10_000;

/// One group's evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluated {
    pub(crate) group: String,
    pub(crate) upserts: Vec<AlertRow>,
    pub(crate) deletes: Vec<u64>,
    pub(crate) notices: Vec<NoticeRow>,
    pub(crate) at: Timestamp,
}

/// The transactions that wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unwritten(VecDeque<Evaluated>);

impl Unwritten {
    /// Adds what happened last.
    pub(crate) fn push(&mut self, evaluated: Evaluated) {
        self.0.push_back(evaluated);
    }

    /// Transactions that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when no more should be made.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Writes what waits, until all is written or the disk is full. An error is another one.
    pub(crate) async fn write(&mut self, state: &State) -> Result<(), StateError> {
        while let Some(next) = self.0.front() {
            let written = state
                .commit_group(
                    &next.group,
                    &next.upserts,
                    &next.deletes,
                    &next.notices,
                    next.at,
                )
                .await;
            if unless_full(written)?.is_none() {
                return Ok(());
            }
            self.0.pop_front();
        }
        Ok(())
    }
}

/// `None` when the disk is full: said once a minute by the one who counts what waits.
pub(crate) fn unless_full<T>(written: Result<T, StateError>) -> Result<Option<T>, StateError> {
    match written {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_disk_full() => {
            tracing::debug!(%error, "the disk is full; what happened is kept in memory");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
