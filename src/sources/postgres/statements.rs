//! Statements by their share of the load, from pg_stat_statements.
//!
//! What must stay true: shares and rates come from differences between two looks, never from
//! counters since the last reset; a counter that went down starts anew; "not there" is said only
//! when every database was asked; texts are read rarely, since the server reads its whole file of
//! texts for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sqlx::postgres::PgRow;

use super::connect::Session;
use super::question::{Points, float, text};
use super::settings::PostgresSettings;
use super::state::{Failure, Trouble};
use super::statement_look::{Counters, Key, Look, read_look};
use super::statement_text::{Kind, StatementText};
use super::status::{SignalState, TopStatement};
use crate::model::{Labels, Timestamp};

/// How often the counters are read.
const EVERY: Duration = Duration::from_secs(60);

/// How far back rates and shares look.
const WINDOW: Duration = Duration::from_secs(300);

/// How often texts are read, and how soon again for a statement that is new among the first.
const TEXTS_EVERY: Duration = Duration::from_secs(3600);
const TEXTS_AGAIN: Duration = Duration::from_secs(300);

/// How often it is looked for the extension while it is not found.
const SEARCH_EVERY: Duration = Duration::from_secs(300);

/// Statements with series of their own: by counters, as the exporter, and by load.
const BY_COUNTERS: usize = 100;
const BY_LOAD: usize = 20;

/// A statement called so often, for so few rows, so quickly, is asked once for each row of another.
const N_PLUS_ONE: (f64, f64, f64, f64) = (0.3, 2.0, 0.005, 10.0);

/// A text search that reads more blocks a call has no index to help it.
const SEARCH_BLOCKS: f64 = 100.0;

/// Whether pg_stat_statements can be read.
pub(crate) const READABLE: &str = "loadline_pg_pg_stat_statements_readable";

/// Metrics made here.
pub(crate) const NAMES: [&str; 27] = [
    READABLE,
    "pg_stat_statements_calls_total",
    "pg_stat_statements_seconds_total",
    "pg_stat_statements_rows_total",
    "pg_stat_statements_block_read_seconds_total",
    "pg_stat_statements_block_write_seconds_total",
    "pg_stat_statements_query_id",
    "loadline_pg_statement_load_share",
    "loadline_pg_statement_call_share",
    "loadline_pg_statement_calls_per_second",
    "loadline_pg_statement_mean_seconds",
    "loadline_pg_statement_rows_per_call",
    "loadline_pg_statement_blocks_per_call",
    "loadline_pg_statement_blocks_read_per_call",
    "loadline_pg_statement_temp_blocks_per_call",
    "loadline_pg_statement_wal_share",
    "loadline_pg_statement_plan_share",
    "loadline_pg_statement_n_plus_one",
    "loadline_pg_statement_search_scan",
    "loadline_pg_statements_seconds_per_second",
    "loadline_pg_statements_calls_per_second",
    "loadline_pg_statements_kind_share",
    "loadline_pg_statements_read_share",
    "loadline_pg_statements_n_plus_one",
    "loadline_pg_statements_search_scans",
    "loadline_pg_statements_entries",
    "loadline_pg_statements_evictions_total",
];

/// Where the extension is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    database: String,
    /// Quoted by the server.
    schema: String,
    /// E.g. `1.10` as (1, 10).
    version: (u32, u32),
}

/// What is known of statements.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    place: Option<Place>,
    /// Databases asked in vain, with the time.
    asked: BTreeMap<String, Timestamp>,
    /// True when a database that may have it could not be asked.
    unsure: bool,
    looks: VecDeque<Look>,
    texts: BTreeMap<String, StatementText>,
    texts_read: Option<Timestamp>,
    evictions: Option<f64>,
}

impl Statements {
    /// True when the session's database should be asked now: for the extension while it is not
    /// found, else for its counters where it was.
    pub(crate) fn is_due(&self, database: &str, now: Timestamp) -> bool {
        let passed = |at: Timestamp, time| now < at || now.since(at) >= time;
        match &self.place {
            Some(place) => {
                place.database == database && self.looks.back().is_none_or(|l| passed(l.at, EVERY))
            }
            None => self
                .asked
                .get(database)
                .is_none_or(|at| passed(*at, SEARCH_EVERY)),
        }
    }

    /// The database that has the extension.
    pub(crate) fn database(&self) -> Option<&str> {
        self.place.as_ref().map(|p| p.database.as_str())
    }

    /// Forgets a place that cannot be looked into any more.
    pub(crate) fn lost(&mut self) {
        *self = Self::default();
    }

    /// Notes that a database could not be asked.
    pub(crate) fn could_not_ask(&mut self) {
        self.unsure = true;
    }

    /// Asks the session's database: for the extension, or for the counters.
    pub(crate) async fn step(
        &mut self,
        session: &mut Session,
        settings: &PostgresSettings,
        database: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if self.place.is_none() {
            self.asked.insert(database.to_owned(), now);
            match find(session, settings, database).await {
                Ok(place) => self.place = place,
                Err(Trouble::Broken(failure)) => return Err(failure),
                Err(_) => self.unsure = true,
            }
        }
        let Some(place) = self.place.clone() else {
            return Ok(());
        };
        match self.look(session, settings, &place, now).await {
            Ok(()) => Ok(()),
            Err(Trouble::Broken(failure)) => Err(failure),
            // Dropped, or the server was started without the library.
            Err(Trouble::NotInstalled | Trouble::NotInState(_) | Trouble::Unsupported) => {
                self.lost();
                self.asked.insert(database.to_owned(), now);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    async fn look(
        &mut self,
        session: &mut Session,
        settings: &PostgresSettings,
        place: &Place,
        now: Timestamp,
    ) -> Result<(), Trouble> {
        let sql = if place.version >= (1, 11) {
            include_str!("queries/statement_counters_1.11.sql")
        } else {
            include_str!("queries/statement_counters.sql")
        };
        let rows = session.ask(settings, &place.put_into(sql)).await?;
        let look = read_look(&rows, now).map_err(|_| Trouble::Unsupported)?;
        let reset = self
            .looks
            .back()
            .is_some_and(|last| look.all.1 < last.all.1 || now < last.at);
        if reset {
            self.looks.clear();
        }
        while self.looks.len() > 1 && now.since(self.looks[1].at) >= WINDOW {
            self.looks.pop_front();
        }
        self.looks.push_back(look);
        if place.version >= (1, 9) {
            let sql = include_str!("queries/statement_evictions.sql");
            let rows = session.ask(settings, &place.put_into(sql)).await?;
            self.evictions = rows
                .first()
                .and_then(|row| float(row, "dealloc").ok().flatten());
        }
        if self.wants_texts(now) {
            let sql = include_str!("queries/statement_texts.sql");
            self.texts_read = Some(now);
            // A file of texts that is too long for the time allowed leaves statements nameless.
            match session.ask(settings, &place.put_into(sql)).await {
                Ok(rows) => self.texts = read_texts(&rows),
                Err(Trouble::Busy(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    fn wants_texts(&self, now: Timestamp) -> bool {
        let Some(at) = self.texts_read else {
            return true;
        };
        let age = now.since(at);
        let unknown = || {
            self.deltas()
                .iter()
                .take(BY_LOAD)
                .any(|d| !self.texts.contains_key(&d.key.2))
        };
        now < at || age >= TEXTS_EVERY || (age >= TEXTS_AGAIN && unknown())
    }

    /// How the signal stands; `all_seen` is true when no database is left to be asked.
    pub(crate) fn state(&self, all_seen: bool, still_looking: bool) -> SignalState {
        match &self.place {
            Some(_) => SignalState::Ok,
            None if still_looking => SignalState::Looking,
            None if all_seen && !self.unsure => SignalState::NotInstalled,
            None => SignalState::Unknown,
        }
    }

    /// The first statements by load since the last minutes.
    pub(crate) fn top(&self) -> Vec<TopStatement> {
        self.deltas()
            .iter()
            .take(BY_LOAD)
            .map(|d| TopStatement {
                datname: d.key.0.clone(),
                user: d.key.1.clone(),
                queryid: d.key.2.clone(),
                text: self.texts.get(&d.key.2).map(|t| t.text.clone()),
                load_share: d.load_share,
                calls_per_second: d.calls / d.span,
                mean_seconds: d.mean(),
                rows_per_call: d.rows_per_call(),
                n_plus_one: self.is_n_plus_one(d),
            })
            .collect()
    }

    /// Samples of the last look.
    pub(crate) fn points(
        &self,
        base: &Labels,
        wanted: &BTreeSet<&'static str>,
        state: SignalState,
    ) -> Vec<(Labels, f64)> {
        let mut out = Points::new(base, wanted);
        let readable = match state {
            SignalState::Ok => Some(1.0),
            SignalState::NotInstalled => Some(0.0),
            SignalState::NeedsPgMonitor
            | SignalState::NeedsPrivilege
            | SignalState::TooOld
            | SignalState::Unsupported
            | SignalState::Busy
            | SignalState::Failed
            | SignalState::Unknown
            | SignalState::NotRead
            | SignalState::SwitchedOff
            | SignalState::Looking => None,
        };
        out.push(READABLE, &[], readable);
        if let Some(look) = self.looks.back() {
            out.push("loadline_pg_statements_entries", &[], Some(look.entries));
            out.push(
                "loadline_pg_statements_evictions_total",
                &[],
                self.evictions,
            );
            push_counters(look, &mut out);
            self.push_deltas(&mut out);
        }
        out.points
    }

    fn push_deltas(&self, out: &mut Points<'_>) {
        let deltas = self.deltas();
        let (mut n_plus_one, mut searches) = (0, 0);
        for d in deltas.iter().take(BY_LOAD) {
            let known = self.texts.get(&d.key.2);
            let mut put = |name: &str, value: f64| {
                let labels = [
                    ("datname", d.key.0.as_str()),
                    ("user", &d.key.1),
                    ("queryid", &d.key.2),
                ];
                out.push(name, &labels, Some(value).filter(|v| v.is_finite()));
            };
            put("loadline_pg_statement_load_share", d.load_share);
            put("loadline_pg_statement_call_share", d.call_share);
            put("loadline_pg_statement_calls_per_second", d.calls / d.span);
            put("loadline_pg_statement_mean_seconds", d.mean());
            put("loadline_pg_statement_rows_per_call", d.rows_per_call());
            put("loadline_pg_statement_blocks_per_call", d.blocks_per_call());
            put(
                "loadline_pg_statement_blocks_read_per_call",
                d.counters.blocks_read / d.calls,
            );
            put(
                "loadline_pg_statement_temp_blocks_per_call",
                d.counters.temp_blocks / d.calls,
            );
            put("loadline_pg_statement_wal_share", d.wal_share);
            put(
                "loadline_pg_statement_plan_share",
                d.counters.plan_seconds / (d.counters.plan_seconds + d.counters.seconds),
            );
            let one = self.is_n_plus_one(d);
            let search = known.is_some_and(|t| t.searches) && d.blocks_per_call() > SEARCH_BLOCKS;
            n_plus_one += i32::from(one);
            searches += i32::from(search);
            if one {
                put("loadline_pg_statement_n_plus_one", d.call_share);
            }
            if search {
                put("loadline_pg_statement_search_scan", d.load_share);
            }
            if let Some(known) = known {
                let labels = [("queryid", d.key.2.as_str()), ("query", &known.text)];
                out.push("pg_stat_statements_query_id", &labels, Some(1.0));
            }
        }
        if deltas.is_empty() {
            return;
        }
        let put = |out: &mut Points<'_>, name: &str, n: i32| {
            out.push(name, &[], Some(f64::from(n)));
        };
        put(out, "loadline_pg_statements_n_plus_one", n_plus_one);
        put(out, "loadline_pg_statements_search_scans", searches);
        self.push_kinds(&deltas, out);
    }

    /// Sums by what statements do. One whose text is unknown is told by whether it wrote WAL.
    fn push_kinds(&self, deltas: &[Delta], out: &mut Points<'_>) {
        let mut sums: BTreeMap<Kind, (f64, f64)> = [Kind::Read, Kind::Write, Kind::Other]
            .map(|k| (k, (0.0, 0.0)))
            .into();
        let mut span = 1.0;
        for d in deltas {
            let kind = match self.texts.get(&d.key.2) {
                Some(t) => t.kind,
                None if d.counters.wal_bytes > 0.0 => Kind::Write,
                None => Kind::Read,
            };
            let sum = sums.entry(kind).or_default();
            sum.0 += d.counters.seconds;
            sum.1 += d.calls;
            span = d.span;
        }
        let all: f64 = sums.values().map(|s| s.0).sum();
        for (kind, (seconds, calls)) in &sums {
            let labels = [("kind", kind.as_str())];
            let mut put = |name: &str, v: f64| out.push(name, &labels, Some(v));
            put("loadline_pg_statements_seconds_per_second", seconds / span);
            put("loadline_pg_statements_calls_per_second", calls / span);
            if all > 0.0 {
                put("loadline_pg_statements_kind_share", seconds / all);
            }
        }
        let (read, write) = (sums[&Kind::Read].0, sums[&Kind::Write].0);
        if read + write > 0.0 {
            let share = read / (read + write);
            out.push("loadline_pg_statements_read_share", &[], Some(share));
        }
    }

    fn is_n_plus_one(&self, d: &Delta) -> bool {
        let (share, rows, mean, rate) = N_PLUS_ONE;
        self.texts
            .get(&d.key.2)
            .is_some_and(|t| t.kind == Kind::Read)
            && d.call_share >= share
            && d.rows_per_call() <= rows
            && d.mean() < mean
            && d.calls / d.span >= rate
    }

    /// What each statement did between the oldest look and the last, dearest first.
    fn deltas(&self) -> Vec<Delta> {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else {
            return Vec::new();
        };
        let span = last.at.since(first.at).as_secs_f64();
        if span <= 0.0 {
            return Vec::new();
        }
        let mut deltas: Vec<Delta> = last
            .rows
            .iter()
            .filter_map(|(key, now)| {
                // A statement that is new since the first look did all it has done since then,
                // unless it only came back among the first by then.
                let then = first.rows.get(key).copied();
                let counters = now.since(&then.unwrap_or_default())?;
                (then.is_some() || first.is_whole()).then_some((key, counters))
            })
            .filter(|(_, c)| c.calls > 0.0)
            .map(|(key, counters)| Delta {
                key: key.clone(),
                calls: counters.calls,
                counters,
                span,
                load_share: 0.0,
                call_share: 0.0,
                wal_share: 0.0,
            })
            .collect();
        let seconds = (last.all.0 - first.all.0).max(0.0);
        let calls = (last.all.1 - first.all.1).max(0.0);
        let wal: f64 = deltas.iter().map(|d| d.counters.wal_bytes).sum();
        let share = |part: f64, whole: f64| {
            if whole > 0.0 {
                (part / whole).min(1.0)
            } else {
                0.0
            }
        };
        for d in &mut deltas {
            d.load_share = share(d.counters.seconds, seconds);
            d.call_share = share(d.calls, calls);
            d.wal_share = share(d.counters.wal_bytes, wal);
        }
        deltas.sort_by(|a, b| {
            b.counters
                .seconds
                .total_cmp(&a.counters.seconds)
                .then_with(|| a.key.cmp(&b.key))
        });
        deltas
    }
}

/// What a statement did in a span of time.
#[derive(Debug, Clone)]
struct Delta {
    key: Key,
    calls: f64,
    counters: Counters,
    span: f64,
    load_share: f64,
    call_share: f64,
    wal_share: f64,
}

impl Delta {
    fn mean(&self) -> f64 {
        self.counters.seconds / self.calls
    }

    fn rows_per_call(&self) -> f64 {
        self.counters.rows / self.calls
    }

    fn blocks_per_call(&self) -> f64 {
        (self.counters.blocks_hit + self.counters.blocks_read) / self.calls
    }
}

impl Place {
    fn put_into(&self, sql: &str) -> String {
        sql.replace("{schema}", &self.schema)
    }
}

/// The exporter's counters of the statements with most time.
fn push_counters(look: &Look, out: &mut Points<'_>) {
    let mut rows: Vec<_> = look.rows.iter().collect();
    rows.sort_by(|a, b| {
        b.1.seconds
            .total_cmp(&a.1.seconds)
            .then_with(|| a.0.cmp(b.0))
    });
    for (key, c) in rows.into_iter().take(BY_COUNTERS) {
        let labels = [
            ("datname", key.0.as_str()),
            ("user", &key.1),
            ("queryid", &key.2),
        ];
        for (name, value) in [
            ("pg_stat_statements_calls_total", c.calls),
            ("pg_stat_statements_seconds_total", c.seconds),
            ("pg_stat_statements_rows_total", c.rows),
            (
                "pg_stat_statements_block_read_seconds_total",
                c.read_seconds,
            ),
            (
                "pg_stat_statements_block_write_seconds_total",
                c.write_seconds,
            ),
        ] {
            out.push(name, &labels, Some(value));
        }
    }
}

/// Whether the session's database has the extension, and readable.
async fn find(
    session: &mut Session,
    settings: &PostgresSettings,
    database: &str,
) -> Result<Option<Place>, Trouble> {
    let rows = session
        .ask(settings, include_str!("queries/statements.sql"))
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (Ok(schema), Ok(version)) = (text(row, "schema"), text(row, "extversion")) else {
        return Ok(None);
    };
    let (major, minor) = version.split_once('.').unwrap_or((&version, "0"));
    let place = Place {
        database: database.to_owned(),
        schema,
        version: (major.parse().unwrap_or(0), minor.parse().unwrap_or(0)),
    };
    let sql = place.put_into("SELECT FROM {schema}.pg_stat_statements(false) LIMIT 1");
    match session.ask(settings, &sql).await {
        Ok(_) => Ok(Some(place)),
        // Created here, but not loaded by the server.
        Err(Trouble::NotInState(_) | Trouble::NotInstalled) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

fn read_texts(rows: &[PgRow]) -> BTreeMap<String, StatementText> {
    rows.iter()
        .filter_map(|row| {
            let (id, query) = (text(row, "queryid").ok()?, text(row, "query").ok()?);
            Some((id, StatementText::of(&query)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: i64, rows: &[(&str, f64, f64, f64)]) -> Look {
        let rows: BTreeMap<Key, Counters> = rows
            .iter()
            .map(|(id, calls, seconds, rows)| {
                (
                    (String::from("shop"), String::from("app"), (*id).to_owned()),
                    Counters {
                        calls: *calls,
                        seconds: *seconds,
                        rows: *rows,
                        ..Counters::default()
                    },
                )
            })
            .collect();
        Look {
            at: Timestamp::from_secs(at),
            all: (
                rows.values().map(|c| c.seconds).sum(),
                rows.values().map(|c| c.calls).sum(),
            ),
            entries: rows.len() as f64,
            rows,
        }
    }

    #[test]
    fn shares_are_of_what_happened_between_looks() {
        let mut s = Statements {
            looks: [
                look(0, &[("1", 1e6, 9e5, 1e6), ("2", 10.0, 1.0, 10.0)]),
                look(
                    60,
                    &[
                        ("1", 1e6, 9e5, 1e6),
                        ("2", 40.0, 4.0, 40.0),
                        ("3", 6000.0, 1.0, 6000.0),
                    ],
                ),
            ]
            .into(),
            ..Statements::default()
        };
        s.texts.insert(
            "3".to_owned(),
            StatementText::of("SELECT a FROM b WHERE c = $1"),
        );
        let top = s.top();
        assert_eq!(top.len(), 2, "{top:?}");
        assert_eq!((top[0].queryid.as_str(), top[0].load_share), ("2", 0.75));
        assert_eq!(top[0].calls_per_second, 0.5);
        assert!((top[0].mean_seconds - 0.1).abs() < 1e-9);
        assert!(top[1].n_plus_one && !top[0].n_plus_one);
        assert_eq!(top[1].calls_per_second, 100.0);
    }

    #[test]
    fn a_statement_that_began_anew_has_no_negative_growth() {
        let s = Statements {
            looks: [
                look(0, &[("1", 100.0, 10.0, 1.0), ("2", 1.0, 1.0, 1.0)]),
                look(60, &[("1", 3.0, 0.1, 1.0), ("2", 5.0, 2.0, 1.0)]),
            ]
            .into(),
            ..Statements::default()
        };
        let top = s.top();
        assert_eq!(top.len(), 1);
        assert_eq!(top[0].queryid, "2");
    }
}
