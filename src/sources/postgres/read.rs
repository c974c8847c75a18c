//! One pass over one server.
//!
//! What must stay true: a pass that failed says so (`pg_up` 0, a named state) and brings no number
//! it did not read, except the limits of a server whose slots are exhausted. At most two sessions
//! of ours live on the server: one whose socket was dropped while it hung counts until the server
//! says that it is gone, and a second that hangs is waited for instead of being replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::book::Book;
use super::connect::{Session, knock};
use super::meta::{Meta, ask_meta};
use super::question::{Points, Scope, int};
use super::series::SeriesNumbers;
use super::settings::{JOB, PostgresSettings};
use super::state::{Failure, ServerState, Trouble};
use super::status::{PostgresStatus, ServerRole, Visible, describe};
use super::version::ServerVersion;
use crate::model::labels::NAME;
use crate::model::{Batch, Labels, Selection, TargetKey, Timestamp};

/// Longest pause between tries after passes that ran into the deadline.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long a hung session is waited for before a third may be opened.
const HELD: Duration = Duration::from_secs(600);

/// Reads one server, pass by pass.
pub struct PostgresCollector {
    settings: PostgresSettings,
    target: TargetKey,
    /// Labels of its series, unless another target observes the same server.
    own: Labels,
    base: Labels,
    session: Option<Session>,
    /// Processes of sessions that hung when their socket was dropped.
    orphans: Vec<i64>,
    /// The process of the short session of this pass.
    visit: Option<i64>,
    /// Since when a hung session is waited for.
    held: Option<Timestamp>,
    /// True after a pass that hung: the server is knocked at before the next login.
    wary: bool,
    /// No connect before this.
    next_connect: Option<Timestamp>,
    /// True while a pass ended without a try to connect.
    waiting: bool,
    last_failure: Option<Failure>,
    timeouts_in_a_row: u32,
    meta: Option<Meta>,
    visible: Visible,
    book: Book,
    ceded: BTreeSet<String>,
    series: SeriesNumbers,
    status: PostgresStatus,
}

impl PostgresCollector {
    /// A collector that has asked nothing yet.
    pub fn new(settings: PostgresSettings) -> Self {
        let instance = settings.instance();
        let mut base = Labels::from_pairs([("job", JOB), ("instance", &instance)]).to_builder();
        for (name, value) in &settings.labels {
            base.set(name, value);
        }
        let base = base.build();
        Self {
            target: TargetKey(Arc::from(format!("postgres:{instance}"))),
            own: base.clone(),
            base,
            session: None,
            orphans: Vec::new(),
            visit: None,
            held: None,
            wary: false,
            next_connect: None,
            waiting: false,
            last_failure: None,
            timeouts_in_a_row: 0,
            meta: None,
            visible: None,
            book: Book::default(),
            ceded: BTreeSet::new(),
            series: SeriesNumbers::default(),
            status: PostgresStatus {
                purpose: settings.purpose.clone(),
                ..PostgresStatus::not_asked(&instance)
            },
            settings,
        }
    }

    /// How the store knows this target.
    pub fn target(&self) -> &TargetKey {
        &self.target
    }

    /// What the last pass found out.
    pub fn status(&self) -> &PostgresStatus {
        &self.status
    }

    /// Leaves metrics of these names to another target that observes the same server, and puts
    /// that target's labels on the rest, so that rules see one server.
    pub fn cede(&mut self, names: BTreeSet<String>, labels: Option<&Labels>) {
        self.ceded = names;
        let base = labels.unwrap_or(&self.own);
        if self.base != *base {
            self.base = base.clone();
            self.book.relabel();
        }
    }

    /// Asks what the selection wants. Never fails: a failed pass is a batch that is not `ok`.
    /// Ends within the deadline of the settings.
    pub async fn collect(&mut self, now: Timestamp, selection: &Selection) -> Batch {
        self.waiting = false;
        self.book.want(selection, &self.ceded);
        let deadline = self.settings.deadline;
        let result = match tokio::time::timeout(deadline, self.pass(now)).await {
            Ok(result) => result,
            Err(_) => {
                self.give_up_waiting(now);
                Err(Failure::new(&self.settings, ServerState::Timeout, ""))
            }
        };
        match result {
            Ok(()) => self.good_batch(now, selection),
            Err(failure) => self.failed_batch(now, selection, failure),
        }
    }

    /// True while a database of the server waits for its first look.
    pub fn is_still_looking(&self) -> bool {
        self.book.databases.still_looking()
    }

    /// Closes the connection politely.
    pub async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    /// The pass ran into its deadline: drops the socket that hangs, unless one that was dropped
    /// before may still be served.
    fn give_up_waiting(&mut self, now: Timestamp) {
        self.wary = true;
        if let Some(pid) = self.visit.take() {
            self.orphans.push(pid);
            return;
        }
        let hangs = self.session.as_ref().is_some_and(Session::is_asking);
        if !hangs {
            // Between questions, or while it logged in.
            self.session = None;
            return;
        }
        let since = *self.held.get_or_insert(now);
        let held_long = now < since || now.since(since) >= HELD;
        if self.orphans.is_empty() || held_long {
            self.orphans.extend(self.meta.as_ref().map(|m| m.pid));
            self.held = None;
            self.session = None;
        }
    }

    async fn pass(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.visit = None;
        let (meta, fresh) = self.connected(now).await?;
        if let Some(remark) = meta.version.remark()
            && meta.version.major() < ServerVersion::OLDEST
        {
            self.close().await;
            return Err(Failure::new(&self.settings, ServerState::TooOld, &remark));
        }
        if self
            .meta
            .as_ref()
            .is_some_and(|m| !m.same_server_life(&meta))
        {
            self.book.forget();
        }
        self.meta = Some(meta.clone());
        self.book.begin(&meta.datname);
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let (settings, base, book) = (&self.settings, &self.base, &mut self.book);
        if !self.orphans.is_empty() && orphans_are_gone(session, settings, &self.orphans).await? {
            self.orphans.clear();
        }
        self.visible = None;
        if !meta.has_read_all_stats {
            self.visible = ask_visible(session, settings).await?;
        }
        for scope in [Scope::Server, Scope::Database] {
            book.ask_all(scope, session, settings, &meta, base, now)
                .await?;
        }
        book.databases.list(session, settings, now).await?;
        if book.wants_statements()
            && meta.has_read_all_stats
            && book.statements.is_due(&meta.datname, now)
        {
            book.statements
                .step(session, settings, &meta.datname, now)
                .await?;
        }
        // A session that was just replaced may still be ending.
        if !fresh && self.orphans.is_empty() {
            self.visit_next(now).await;
        }
        Ok(())
    }

    /// Looks into one further database over a short connection.
    async fn visit_next(&mut self, now: Timestamp) {
        let (Some(home), settings) = (&self.meta, &self.settings) else {
            return;
        };
        let book = &mut self.book;
        if let Some(place) = book.statements.database()
            && place != home.datname
            && !book.databases.has(place)
        {
            book.statements.lost();
        }
        let Some(database) = book.databases.next(now) else {
            return;
        };
        if !book.is_due_in(&database, home, now) {
            return;
        }
        let visited: Result<(), Failure> = async {
            let mut session = Session::open(settings, &database).await?;
            let meta = ask_meta(&mut session, settings).await?;
            self.visit = Some(meta.pid);
            let settled = session.settle(settings, &meta.timeouts).await;
            if let Err(Trouble::Broken(failure)) = settled {
                return Err(failure);
            }
            let scope = Scope::Database;
            book.ask_all(scope, &mut session, settings, &meta, &self.base, now)
                .await?;
            if book.wants_statements()
                && meta.has_read_all_stats
                && book.statements.is_due(&database, now)
            {
                book.statements
                    .step(&mut session, settings, &database, now)
                    .await?;
            }
            session.close().await;
            Ok(())
        }
        .await;
        self.visit = None;
        if let Err(failure) = visited {
            book.could_not_visit(&database);
            tracing::debug!(
                instance = self.status.instance,
                database,
                reason = failure.sentence,
                "a database cannot be looked into"
            );
        }
    }

    /// The kept session, or a new one, with the server's answer to who it is.
    async fn connected(&mut self, now: Timestamp) -> Result<(Meta, bool), Failure> {
        let mut broken = None;
        if let Some(session) = &mut self.session {
            session.catch_up().await;
            self.held = None;
            match ask_meta(session, &self.settings).await {
                Ok(meta) => return Ok((meta, false)),
                Err(failure) => {
                    broken = Some(failure);
                    self.session = None;
                }
            }
        }
        // A clock set back must not keep us away for longer than the longest pause.
        self.waiting = self
            .next_connect
            .is_some_and(|t| now < t && t.since(now) <= Duration::from_secs(60));
        if self.waiting {
            return Err(broken
                .or_else(|| self.last_failure.clone())
                .unwrap_or_else(|| Failure::new(&self.settings, ServerState::Lost, "waiting")));
        }
        self.next_connect = Some(now + Duration::from_secs(1));
        if self.wary {
            knock(&self.settings).await?;
        }
        let session = Session::open(&self.settings, self.settings.database()).await?;
        let session = self.session.insert(session);
        let meta = ask_meta(session, &self.settings).await?;
        self.meta = self.meta.take().map(|m| Meta { pid: meta.pid, ..m });
        let settled = session.settle(&self.settings, &meta.timeouts).await;
        if let Err(Trouble::Broken(failure)) = settled {
            return Err(failure);
        }
        self.wary = false;
        Ok((meta, true))
    }

    fn good_batch(&mut self, now: Timestamp, selection: &Selection) -> Batch {
        if let Some(failure) = self.last_failure.take() {
            tracing::info!(
                instance = self.status.instance,
                was = failure.state.as_str(),
                "Postgres can be read again"
            );
        }
        self.timeouts_in_a_row = 0;
        let meta = self.meta.clone().unwrap_or_default();
        let pooled = self.session.as_ref().is_some_and(Session::is_pooled);
        let signals = self.book.all_signals(&meta);
        let status = &mut self.status;
        status.state = ServerState::Up;
        status.sentence = format!(
            "Postgres {} at {} answers to role {}",
            meta.version,
            status.instance,
            self.settings.user()
        );
        status.fix = None;
        status.server_version = Some(meta.version.to_string());
        status.version_remark = meta.version.remark();
        status.role = Some(if meta.in_recovery {
            ServerRole::Replica
        } else {
            ServerRole::Primary
        });
        status.system_identifier.clone_from(&meta.system_identifier);
        status.port = u16::try_from(meta.port).ok();
        status.started = meta.started_at;
        status.via_pooler = pooled;
        status.last_good = Some(now);
        status.signals = describe(&signals, self.settings.user(), self.visible);
        status.statements = self.book.statements.top();

        let mut points = self.state_points(ServerState::Up);
        let mut out = Points::new(&self.base, self.book.wanted());
        out.push("pg_postmaster_start_time_seconds", &[], meta.started_at);
        if let Some(id) = &meta.system_identifier {
            let port = meta.port.to_string();
            out.push(
                "loadline_pg_system_identifier_info",
                &[("system_identifier", id), ("port", &port)],
                Some(1.0),
            );
        }
        self.book.signal_points(&meta, &mut out);
        points.extend(out.points);
        if self.book.wants_statements() {
            points.extend(self.book.statements.points(
                &self.base,
                self.book.wanted(),
                self.book.statements_state(&meta),
            ));
        }
        let (read, held) = self.book.samples();
        points.extend(read.into_iter().map(|(labels, v)| {
            let value = at_least_us(&labels, v, pooled);
            (labels, value)
        }));
        let mut batch = self.number(now, selection, points, held);
        batch.partial = self.book.is_partial();
        batch
    }

    fn failed_batch(&mut self, now: Timestamp, selection: &Selection, failure: Failure) -> Batch {
        if !self.waiting {
            self.timeouts_in_a_row = if failure.state == ServerState::Timeout {
                (self.timeouts_in_a_row + 1).min(5)
            } else {
                0
            };
            // A hung server is left alone for longer each time.
            let hung = Duration::from_secs(1 << self.timeouts_in_a_row.saturating_sub(1));
            let pause = failure.state.retry_after().max(hung.min(LONGEST_PAUSE));
            self.next_connect = Some(now + pause);
        }
        if self.status.state != failure.state {
            tracing::warn!(
                instance = self.status.instance,
                state = failure.state.as_str(),
                reason = failure.sentence,
                "Postgres cannot be read"
            );
        }
        self.status.state = failure.state;
        self.status.sentence.clone_from(&failure.sentence);
        self.status.fix.clone_from(&failure.fix);
        self.status.statements.clear();
        let mut points = self.state_points(failure.state);
        if failure.state == ServerState::SlotsExhausted {
            points.extend(self.book.last("settings").iter().cloned());
        }
        self.last_failure = Some(failure);
        let mut batch = self.number(now, selection, points, Vec::new());
        batch.ok = false;
        batch
    }

    /// The series that say how the contact itself went.
    fn state_points(&self, state: ServerState) -> Vec<(Labels, f64)> {
        let mut out = Points::new(&self.base, self.book.wanted());
        let up = state == ServerState::Up;
        out.push("pg_up", &[], Some(f64::from(up)));
        // As a scraped target has it, so that alerts of a server that does not answer are blind.
        // Under an exporter's labels that target's own `up` says so.
        if self.base == self.own {
            out.push("up", &[], Some(f64::from(up)));
        }
        for s in ServerState::ALL {
            out.push(
                "loadline_pg_connect_state",
                &[("state", s.as_str())],
                Some(f64::from(s == state)),
            );
        }
        // Whether slots are free is known only to who got in or was refused for that reason.
        let exhausted = if up {
            Some(0.0)
        } else {
            (state == ServerState::SlotsExhausted).then_some(1.0)
        };
        out.push("loadline_pg_slots_exhausted", &[], exhausted);
        out.points
    }

    fn number(
        &mut self,
        now: Timestamp,
        selection: &Selection,
        mut points: Vec<(Labels, f64)>,
        held: Vec<Labels>,
    ) -> Batch {
        points.retain(|(labels, _)| selection.wants(labels));
        self.series.batch(&self.target, now, points, held)
    }
}

/// Asks whether the sessions that were given up are gone, and tells those that are not to end.
async fn orphans_are_gone(
    session: &mut Session,
    settings: &PostgresSettings,
    pids: &[i64],
) -> Result<bool, Failure> {
    let list: Vec<String> = pids.iter().map(i64::to_string).collect();
    let sql = include_str!("queries/orphans.sql").replace("{pids}", &list.join(", "));
    match session.ask(settings, &sql).await {
        Ok(rows) => {
            let alive = rows
                .first()
                .and_then(|row| int(row, "alive").ok().flatten());
            Ok(alive == Some(0))
        }
        Err(Trouble::Broken(failure)) => Err(failure),
        Err(_) => Ok(false),
    }
}

/// Of how many sessions the role sees more than the name.
async fn ask_visible(
    session: &mut Session,
    settings: &PostgresSettings,
) -> Result<Visible, Failure> {
    let sql = include_str!("queries/visible.sql");
    match session.ask(settings, sql).await {
        Ok(rows) => Ok(rows.first().and_then(|row| {
            let n = |column| int(row, column).ok().flatten();
            Some((n("visible")?, n("sessions")?))
        })),
        Err(Trouble::Broken(failure)) => Err(failure),
        Err(_) => Ok(None),
    }
}

/// A path through a pooler is itself a session that a pooler holds.
fn at_least_us(labels: &Labels, value: f64, pooled: bool) -> f64 {
    if pooled && labels.get(NAME) == "loadline_pg_pooler_sessions" {
        value.max(1.0)
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pass_may_run_on_any_thread_and_starts_as_not_asked() {
        let settings = PostgresSettings::tcp("127.0.0.1", 1, "nobody", "postgres");
        let mut collector = PostgresCollector::new(settings);
        assert_eq!(collector.status().state, ServerState::NotAsked);
        let selection = Selection::all(1);
        let pass: std::pin::Pin<Box<dyn Future<Output = Batch> + Send>> =
            Box::pin(collector.collect(Timestamp::from_secs(1), &selection));
        assert!(!pass.await.ok);
        assert_eq!(collector.status().state, ServerState::Refused);
    }
}
