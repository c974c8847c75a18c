//! Which database is looked into next.
//!
//! What must stay true: at most one database beside our own in a pass, each in its turn; at most
//! [`MOST`] of them, and those left out are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::connect::Session;
use super::question::{text, truth};
use super::settings::PostgresSettings;
use super::state::{Failure, Trouble};
use crate::model::Timestamp;

/// Most databases looked into beside our own.
const MOST: usize = 100;

/// How often it is looked for new databases.
const LIST_EVERY: Duration = Duration::from_secs(300);

/// The least time between two visits to one database.
const VISIT_EVERY: Duration = Duration::from_secs(60);

/// The databases beside our own.
#[derive(Debug, Default)]
pub(crate) struct Databases {
    listed: Option<Timestamp>,
    /// With the last visit.
    open: BTreeMap<String, Option<Timestamp>>,
    /// Databases that exist and may not be looked into, by the role's rights or by the config.
    closed: Vec<String>,
    left_out: usize,
    /// False behind a pooler, where each would cost a server connection that is not ours.
    known: bool,
}

impl Databases {
    /// Looks for databases when it is time.
    pub(crate) async fn list(
        &mut self,
        session: &mut Session,
        settings: &PostgresSettings,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let due = self
            .listed
            .is_none_or(|at| now < at || now.since(at) >= LIST_EVERY);
        if session.is_pooled() || !due {
            return Ok(());
        }
        let rows = match session
            .ask(settings, include_str!("queries/databases.sql"))
            .await
        {
            Ok(rows) => rows,
            Err(Trouble::Broken(failure)) => return Err(failure),
            Err(_) => return Ok(()),
        };
        let before = std::mem::take(&mut self.open);
        self.closed.clear();
        self.left_out = 0;
        for row in &rows {
            let name = text(row, "datname").unwrap_or_default();
            let may = truth(row, "may_connect").ok().flatten() == Some(true);
            if !may || !settings.may_look_into(&name) {
                self.closed.push(name);
            } else if self.open.len() < MOST {
                let visited = before.get(&name).copied().flatten();
                self.open.insert(name, visited);
            } else {
                self.left_out += 1;
            }
        }
        self.listed = Some(now);
        self.known = true;
        Ok(())
    }

    /// The database whose turn it is, if any is due; it counts as visited.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<String> {
        let (name, visited) = self
            .open
            .iter_mut()
            .filter(|(_, at)| at.is_none_or(|at| now < at || now.since(at) >= VISIT_EVERY))
            .min_by_key(|(_, at)| **at)?;
        *visited = Some(now);
        Some(name.clone())
    }

    /// True when the database is still there to be looked into.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.open.contains_key(name)
    }

    /// True when every database was listed and visited and none is closed to us.
    pub(crate) fn all_seen(&self) -> bool {
        self.known
            && self.closed.is_empty()
            && self.left_out == 0
            && self.open.values().all(Option::is_some)
    }

    /// True while a database waits for its first visit.
    pub(crate) fn still_looking(&self) -> bool {
        self.open.values().any(Option::is_none)
    }

    /// How many there are beyond the bound.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_turn() {
        let mut databases = Databases {
            open: ["a", "b", "c"].map(|n| (n.to_owned(), None)).into(),
            known: true,
            ..Databases::default()
        };
        let at = Timestamp::from_secs;
        assert!(databases.still_looking() && !databases.all_seen());
        let mut order = String::new();
        for pass in 0..8 {
            order += &databases
                .next(at(1000 + pass * 15))
                .unwrap_or("-".to_owned());
        }
        assert_eq!(order, "abc-abc-");
        assert!(databases.all_seen());
        databases.closed.push("d".to_owned());
        assert!(!databases.all_seen());
    }
}
