//! One pass over one server.
//!
//! What must stay true: a pass that failed says so (`pg_up` 0, a named state) and brings no number
//! it did not read, except the limits of a server whose slots are exhausted; a question that could
//! not be answered this time leaves its series without a sample, not without an end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::connect::{STATEMENT_TIMEOUT_SHOWN, Session};
use super::meta::{Meta, ask_meta};
use super::questions::{Answer, Points, Question};
use super::series::SeriesNumbers;
use super::settings::{JOB, PostgresSettings};
use super::state::{Failure, ServerState, Trouble, of_question};
use super::statements::Statements;
use super::status::{PostgresStatus, ServerRole, SignalState, blind_signals};
use super::version::ServerVersion;
use crate::model::labels::NAME;
use crate::model::{Batch, Labels, Selection, TargetKey, Timestamp};

/// Longest pause between tries after passes that ran into the deadline.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

const STATEMENTS: &str = "loadline_pg_pg_stat_statements_readable";
const STATEMENTS_SIGNAL: &str = "statements";

/// Reads one server, pass by pass.
pub struct PostgresCollector {
    settings: PostgresSettings,
    target: TargetKey,
    /// Labels of its series, unless another target observes the same server.
    own: Labels,
    base: Labels,
    session: Option<Session>,
    /// No connect before this.
    next_connect: Option<Timestamp>,
    /// True while a pass ended without a try to connect.
    waiting: bool,
    last_failure: Option<Failure>,
    timeouts_in_a_row: u32,
    meta: Option<Meta>,
    answers: BTreeMap<Question, (Timestamp, Answer)>,
    signals: BTreeMap<&'static str, SignalState>,
    statements: Statements,
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
            next_connect: None,
            waiting: false,
            last_failure: None,
            timeouts_in_a_row: 0,
            meta: None,
            answers: BTreeMap::new(),
            signals: BTreeMap::new(),
            statements: Statements::default(),
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
            // Answers that are kept longer than a pass carry the labels of before.
            self.answers.clear();
        }
    }

    /// Asks what the selection wants. Never fails: a failed pass is a batch that is not `ok`.
    /// Ends within the deadline of the settings.
    pub async fn collect(&mut self, now: Timestamp, selection: &Selection) -> Batch {
        self.waiting = false;
        let deadline = self.settings.deadline;
        let result = match tokio::time::timeout(deadline, self.pass(now, selection)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(&self.settings, ServerState::Timeout, "")),
        };
        match result {
            Ok(pass) => self.good_batch(now, selection, pass),
            Err(failure) => self.failed_batch(now, selection, failure),
        }
    }

    /// Closes the connection politely.
    pub async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    /// The session is a local value here: whoever drops this future drops the socket.
    async fn pass(&mut self, now: Timestamp, selection: &Selection) -> Result<Pass, Failure> {
        let (mut session, meta, fresh) = self.connected(now).await?;
        if let Some(remark) = meta.version.remark()
            && meta.version.major() < ServerVersion::OLDEST
        {
            session.close().await;
            return Err(Failure::new(&self.settings, ServerState::TooOld, &remark));
        }
        if self
            .meta
            .as_ref()
            .is_some_and(|m| !m.same_server_life(&meta))
        {
            self.answers.clear();
            self.statements = Statements::default();
        }
        self.meta = Some(meta.clone());
        let before = std::mem::take(&mut self.signals);
        let mut pass = Pass::default();
        for question in Question::ALL {
            if !question.names().iter().any(|n| self.wanted(n, selection)) {
                self.answers.remove(&question);
                continue;
            }
            let old = before.get(question.signal()).copied();
            let state = self.ask(&mut session, question, &meta, now, old).await?;
            match state {
                SignalState::Busy | SignalState::Failed => {
                    pass.unanswered.insert(question);
                }
                SignalState::NotInstalled | SignalState::Unsupported => {
                    self.answers.remove(&question);
                }
                SignalState::NeedsPgMonitor
                | SignalState::Ok
                | SignalState::Unknown
                | SignalState::Looking => {}
            }
            self.signals.insert(question.signal(), state);
        }
        if !self.wanted(STATEMENTS, selection) {
            self.statements = Statements::default();
        } else if meta.has_read_all_stats {
            let state = self
                .statements
                .step(&mut session, &self.settings, now, !fresh)
                .await?;
            self.signals.insert(STATEMENTS_SIGNAL, state);
        } else {
            self.statements = Statements::default();
            self.signals
                .insert(STATEMENTS_SIGNAL, SignalState::NeedsPgMonitor);
        }
        pass.pooled = session.is_pooled();
        self.session = Some(session);
        Ok(pass)
    }

    /// The kept session, or a new one, with the server's answer to who it is.
    async fn connected(&mut self, now: Timestamp) -> Result<(Session, Meta, bool), Failure> {
        let mut broken = None;
        if let Some(mut session) = self.session.take() {
            match ask_meta(&mut session, &self.settings).await {
                Ok(meta) => return Ok((session, meta, false)),
                Err(failure) => broken = Some(failure),
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
        let mut session = Session::open(&self.settings, self.settings.database()).await?;
        let meta = ask_meta(&mut session, &self.settings).await?;
        if meta.statement_timeout != STATEMENT_TIMEOUT_SHOWN {
            session.settings_were_swallowed();
        }
        Ok((session, meta, true))
    }

    /// Answers a question, or leaves the answer that stands; says how it went.
    async fn ask(
        &mut self,
        session: &mut Session,
        question: Question,
        meta: &Meta,
        now: Timestamp,
        old: Option<SignalState>,
    ) -> Result<SignalState, Failure> {
        if question.needs_read_all_stats() && !meta.has_read_all_stats {
            self.answers.remove(&question);
            return Ok(SignalState::NeedsPgMonitor);
        }
        if !meta.in_recovery
            && let Some(answer) = question.on_primary(&self.base)
        {
            self.answers.insert(question, (now, answer));
            return Ok(SignalState::Ok);
        }
        let Some(sql) = question.sql(meta.version) else {
            return Ok(SignalState::Unsupported);
        };
        let every = question.every(&self.settings.schedule);
        if let Some((at, answer)) = self.answers.get(&question)
            && every > Duration::ZERO
            && *at <= now
            && now.since(*at) < every
        {
            return Ok(answer.signal_state());
        }
        let result = session.ask(&self.settings, sql).await.and_then(|rows| {
            question
                .read(&rows, meta.version, &self.base)
                .map_err(|e| of_question(&self.settings, &e))
        });
        let (state, words) = match result {
            Ok(answer) => {
                let state = answer.signal_state();
                self.answers.insert(question, (now, answer));
                return Ok(state);
            }
            Err(Trouble::Broken(failure)) => return Err(failure),
            Err(Trouble::NeedsPrivilege) => {
                self.answers.remove(&question);
                return Ok(SignalState::NeedsPgMonitor);
            }
            Err(Trouble::NotInstalled | Trouble::Unsupported) => {
                return Ok(SignalState::Unsupported);
            }
            Err(Trouble::Busy(words) | Trouble::NotInState(words)) => (SignalState::Busy, words),
            Err(Trouble::Odd(words)) => (SignalState::Failed, words),
        };
        if old != Some(state) {
            tracing::warn!(
                instance = self.status.instance,
                question = question.signal(),
                reason = words,
                "question not answered; asked again on the next pass"
            );
        }
        Ok(state)
    }

    fn wanted(&self, name: &str, selection: &Selection) -> bool {
        selection.wants_name(name) && !self.ceded.contains(name)
    }

    fn good_batch(&mut self, now: Timestamp, selection: &Selection, pass: Pass) -> Batch {
        if let Some(failure) = self.last_failure.take() {
            tracing::info!(
                instance = self.status.instance,
                was = failure.state.as_str(),
                "Postgres can be read again"
            );
        }
        self.timeouts_in_a_row = 0;
        let meta = self.meta.clone().unwrap_or_default();
        self.status.state = ServerState::Up;
        self.status.sentence = format!(
            "Postgres {} at {} answers to role {}",
            meta.version,
            self.status.instance,
            self.settings.user()
        );
        self.status.fix = None;
        self.status.server_version = Some(meta.version.to_string());
        self.status.version_remark = meta.version.remark();
        self.status.role = Some(if meta.in_recovery {
            ServerRole::Replica
        } else {
            ServerRole::Primary
        });
        self.status
            .system_identifier
            .clone_from(&meta.system_identifier);
        self.status.port = u16::try_from(meta.port).ok();
        self.status.started = meta.started_at;
        self.status.via_pooler = pass.pooled;
        self.status.last_good = Some(now);
        self.status.blind = blind_signals(&self.signals, self.settings.user());

        let mut points = self.state_points(ServerState::Up);
        let mut out = Points::new(&self.base);
        out.push("pg_postmaster_start_time_seconds", &[], meta.started_at);
        if let Some(id) = &meta.system_identifier {
            let port = meta.port.to_string();
            out.push(
                "loadline_pg_system_identifier_info",
                &[("system_identifier", id), ("port", &port)],
                Some(1.0),
            );
        }
        for (signal, state) in &self.signals {
            out.push(
                "loadline_pg_signal_state",
                &[("signal", signal), ("state", state.as_str())],
                Some(1.0),
            );
        }
        out.push(STATEMENTS, &[], self.statements.value());
        points.extend(out.points);
        let mut held = Vec::new();
        for (question, (_, answer)) in &self.answers {
            if pass.unanswered.contains(question) {
                held.extend(answer.points.iter().map(|(labels, _)| labels.clone()));
            } else {
                points.extend(
                    answer
                        .points
                        .iter()
                        .map(|(labels, v)| (labels.clone(), at_least_us(labels, *v, pass.pooled))),
                );
            }
        }
        let mut batch = self.number(now, selection, points, held);
        batch.partial = !pass.unanswered.is_empty();
        batch
    }

    fn failed_batch(&mut self, now: Timestamp, selection: &Selection, failure: Failure) -> Batch {
        if !self.waiting {
            self.timeouts_in_a_row = if failure.state == ServerState::Timeout {
                (self.timeouts_in_a_row + 1).min(6)
            } else {
                0
            };
            // A hung server is left alone for longer each time: a session may live on there
            // although we dropped its socket.
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
        let mut points = self.state_points(failure.state);
        if failure.state == ServerState::SlotsExhausted
            && let Some((_, limits)) = self.answers.get(&Question::Settings)
        {
            points.extend(limits.points.iter().cloned());
        }
        self.last_failure = Some(failure);
        let mut batch = self.number(now, selection, points, Vec::new());
        batch.ok = false;
        batch
    }

    /// The series that say how the contact itself went.
    fn state_points(&self, state: ServerState) -> Vec<(Labels, f64)> {
        let mut out = Points::new(&self.base);
        let up = state == ServerState::Up;
        out.push("pg_up", &[], Some(if up { 1.0 } else { 0.0 }));
        // As a scraped target has it, so that alerts of a server that does not answer are blind.
        // Under an exporter's labels that target's own `up` says so.
        if self.base == self.own {
            out.push("up", &[], Some(if up { 1.0 } else { 0.0 }));
        }
        for s in ServerState::ALL {
            out.push(
                "loadline_pg_connect_state",
                &[("state", s.as_str())],
                Some(if s == state { 1.0 } else { 0.0 }),
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
        points
            .retain(|(labels, _)| self.wanted(labels.name(), selection) && selection.wants(labels));
        self.series.batch(&self.target, now, points, held)
    }
}

/// What one pass leaves behind beside the answers.
#[derive(Debug, Default)]
struct Pass {
    unanswered: BTreeSet<Question>,
    pooled: bool,
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
