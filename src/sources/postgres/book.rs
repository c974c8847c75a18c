//! What was asked, when, and what came of it.
//!
//! What must stay true: an answer stands for its question's time and no longer; a question that
//! could not be answered this time leaves its series without a sample, not without an end; nothing
//! that the role may not see is shown as 0.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use super::catalogue::CATALOGUE;
use super::connect::Session;
use super::databases::Databases;
use super::meta::Meta;
use super::question::{Answer, Points, Question, Scope};
use super::settings::PostgresSettings;
use super::state::{Failure, Trouble, of_question};
use super::statements::{self, Statements};
use super::status::{STATEMENTS_SIGNAL, SignalState, Standing};
use super::version::ServerVersion;
use crate::clock::Clock;
use crate::model::{Labels, Selection, Timestamp};

/// The catalogue with the metrics of each question.
static QUESTIONS: LazyLock<Vec<(&'static Question, BTreeSet<&'static str>)>> =
    LazyLock::new(|| CATALOGUE.iter().map(|q| (q, q.names())).collect());

/// Metrics about the contact itself, made on every pass.
pub(crate) const OWN_NAMES: [&str; 9] = [
    "pg_up",
    "up",
    "pg_postmaster_start_time_seconds",
    "loadline_pg_connect_state",
    "loadline_pg_slots_exhausted",
    "loadline_pg_system_identifier_info",
    "loadline_pg_signal_state",
    "loadline_pg_databases_left_out",
    "loadline_pg_query_seconds",
];

/// A question of every pass that takes longer than this is not asked on every pass.
const DEAR: Duration = Duration::from_millis(150);

/// Each signal with the metrics it has on a server of this major.
pub fn metrics_of(major: i64) -> Vec<(&'static str, BTreeSet<&'static str>)> {
    let version = ServerVersion(major * 10_000);
    let mut all: Vec<_> = CATALOGUE
        .iter()
        .map(|q| (q.signal, q.names_on(version)))
        .collect();
    all.push((STATEMENTS_SIGNAL, statements::NAMES.into()));
    all
}

/// A signal and the database it is asked in, empty for the server as a whole.
pub(crate) type Place = (&'static str, String);

/// All that is known of a server.
#[derive(Debug, Default)]
pub(crate) struct Book {
    answers: BTreeMap<Place, (Timestamp, Answer)>,
    signals: BTreeMap<Place, SignalState>,
    /// Asked on this pass in vain.
    unanswered: BTreeSet<Place>,
    /// How long each question took the last time.
    costs: BTreeMap<Place, Duration>,
    pub(crate) statements: Statements,
    pub(crate) databases: Databases,
    wanted: BTreeSet<&'static str>,
    wanted_for: Option<(u64, BTreeSet<String>)>,
}

impl Book {
    /// Takes up what somebody reads. After a change all is asked anew, since answers hold only
    /// what was read before.
    pub(crate) fn want(&mut self, selection: &Selection, ceded: &BTreeSet<String>) {
        let same = self.wanted_for.as_ref().is_some_and(|(generation, names)| {
            *generation == selection.generation && names == ceded
        });
        if same {
            return;
        }
        let all = QUESTIONS.iter().flat_map(|(_, names)| names);
        let wanted: BTreeSet<&'static str> = all
            .chain(&statements::NAMES)
            .chain(&OWN_NAMES)
            .copied()
            .filter(|name| selection.wants_name(name) && !ceded.contains(*name))
            .collect();
        if wanted != self.wanted {
            self.answers.clear();
            self.wanted = wanted;
        }
        self.wanted_for = Some((selection.generation, ceded.clone()));
    }

    /// The metrics that somebody reads.
    pub(crate) fn wanted(&self) -> &BTreeSet<&'static str> {
        &self.wanted
    }

    /// Forgets all answers: the server was restarted or changed its role, or its series are
    /// called otherwise.
    pub(crate) fn forget(&mut self) {
        self.answers.clear();
        self.statements = Statements::default();
    }

    /// Forgets answers that carry labels of before.
    pub(crate) fn relabel(&mut self) {
        self.answers.clear();
    }

    /// Starts a pass; `home` is the database of the session that stays.
    pub(crate) fn begin(&mut self, home: &str) {
        self.unanswered.clear();
        let (wanted, databases) = (&self.wanted, &self.databases);
        let reads = |signal: &str| {
            QUESTIONS
                .iter()
                .any(|(q, names)| q.signal == signal && !names.is_disjoint(wanted))
        };
        let stays = |(signal, database): &Place| {
            reads(signal) && (database.is_empty() || database == home || databases.has(database))
        };
        self.answers.retain(|place, _| stays(place));
        self.signals.retain(|place, _| stays(place));
        self.costs.retain(|place, _| stays(place));
    }

    /// True when somebody reads anything that statements bring.
    pub(crate) fn wants_statements(&self) -> bool {
        statements::NAMES.iter().any(|n| self.wanted.contains(n))
    }

    /// True when some question of a database beside our own is due there.
    pub(crate) fn is_due_in(&self, database: &str, meta: &Meta, now: Timestamp) -> bool {
        let statements = self.wants_statements()
            && meta.has_read_all_stats
            && self.statements.is_due(database, now);
        statements
            || self
                .read_in(Scope::Database)
                .any(|q| meta.may(q.needs) && self.is_due(q, database, now))
    }

    /// Asks all questions of a scope that are due; `database` is the session's.
    pub(crate) async fn ask_all(
        &mut self,
        scope: Scope,
        session: &mut Session,
        settings: &PostgresSettings,
        meta: &Meta,
        base: &Labels,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let questions: Vec<&'static Question> = self.read_in(scope).collect();
        let database = match scope {
            Scope::Server => String::new(),
            Scope::Database => meta.datname.clone(),
        };
        for question in questions {
            let place = (question.signal, database.clone());
            if !meta.may(question.needs) {
                self.answers.remove(&place);
                self.signals.insert(place, SignalState::NeedsPgMonitor);
                continue;
            }
            if !self.is_due(question, &database, now) {
                continue;
            }
            let state = self
                .ask(question, &place, session, settings, meta, base, now)
                .await?;
            self.signals.insert(place, state);
        }
        Ok(())
    }

    /// Notes that a database could not be looked into.
    pub(crate) fn could_not_visit(&mut self, database: &str) {
        let questions: Vec<&'static Question> = self.read_in(Scope::Database).collect();
        for question in questions {
            let place = (question.signal, database.to_owned());
            self.unanswered.insert(place.clone());
            self.signals.insert(place, SignalState::Busy);
        }
        self.statements.could_not_ask();
    }

    /// How the statements stand.
    pub(crate) fn statements_state(&self, meta: &Meta) -> SignalState {
        if meta.has_read_all_stats {
            self.statements
                .state(self.databases.all_seen(), self.databases.still_looking())
        } else {
            SignalState::NeedsPgMonitor
        }
    }

    /// How every signal stands, also those that nobody reads.
    pub(crate) fn all_signals(&self, meta: &Meta) -> BTreeMap<Place, Standing> {
        let known = self.signals(meta).into_iter().map(|(place, state)| {
            let answer = self.answers.get(&place);
            let hidden_in = answer.map(|(_, a)| a.hidden_in.clone());
            let standing = Standing {
                state,
                read: true,
                hidden_in: hidden_in.unwrap_or_default(),
            };
            (place, standing)
        });
        let mut all: BTreeMap<Place, Standing> = known.collect();
        let asked: BTreeSet<&'static str> = all.keys().map(|(signal, _)| *signal).collect();
        for (q, _) in QUESTIONS.iter().filter(|(q, _)| !asked.contains(q.signal)) {
            let state = if !meta.may(q.needs) {
                SignalState::NeedsPgMonitor
            } else if q.sql(meta.version).is_none() {
                SignalState::TooOld
            } else {
                SignalState::NotRead
            };
            all.insert((q.signal, String::new()), Standing::of(state));
        }
        for (setting, on) in &meta.switches {
            let state = if *on {
                SignalState::Ok
            } else {
                SignalState::SwitchedOff
            };
            all.insert((setting, String::new()), Standing::of(state));
        }
        all
    }

    /// How every signal stands that somebody reads.
    fn signals(&self, meta: &Meta) -> BTreeMap<Place, SignalState> {
        let mut signals = self.signals.clone();
        if self.wants_statements() {
            let place = (STATEMENTS_SIGNAL, String::new());
            signals.insert(place, self.statements_state(meta));
        }
        signals
    }

    /// True when some question was not answered on this pass.
    pub(crate) fn is_partial(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Samples that stand, and the series that have none this time and have not ended.
    pub(crate) fn samples(&self) -> (Vec<(Labels, f64)>, Vec<Labels>) {
        let (mut points, mut held) = (Vec::new(), Vec::new());
        for (place, (_, answer)) in &self.answers {
            if self.unanswered.contains(place) {
                held.extend(answer.points.iter().map(|(labels, _)| labels.clone()));
            } else {
                points.extend(answer.points.iter().cloned());
            }
        }
        (points, held)
    }

    /// The answer to a question of the server that still stands, e.g. its settings while it
    /// turns us away.
    pub(crate) fn last(&self, signal: &'static str) -> &[(Labels, f64)] {
        self.answers
            .get(&(signal, String::new()))
            .map_or(&[], |(_, answer)| &answer.points)
    }

    /// Samples about the signals themselves.
    pub(crate) fn signal_points(&self, meta: &Meta, out: &mut Points<'_>) {
        let mut worst: BTreeMap<&'static str, SignalState> = BTreeMap::new();
        for ((signal, _), state) in self.signals(meta) {
            let known = worst.entry(signal).or_insert(state);
            *known = (*known).max(state);
        }
        for (signal, state) in worst {
            let labels = [("signal", signal), ("state", state.as_str())];
            out.push("loadline_pg_signal_state", &labels, Some(1.0));
        }
        for ((signal, database), cost) in &self.costs {
            let labels = [("signal", *signal), ("datname", database.as_str())];
            let seconds = Some(cost.as_secs_f64());
            out.push("loadline_pg_query_seconds", &labels, seconds);
        }
        let left_out = self.databases.left_out();
        out.push("loadline_pg_databases_left_out", &[], Some(left_out as f64));
    }

    fn read_in(&self, scope: Scope) -> impl Iterator<Item = &'static Question> {
        QUESTIONS
            .iter()
            .filter(move |(q, names)| q.scope == scope && !names.is_disjoint(&self.wanted))
            .map(|(q, _)| *q)
    }

    fn is_due(&self, question: &Question, database: &str, now: Timestamp) -> bool {
        let place = (question.signal, database.to_owned());
        let cost = self.costs.get(&place).copied().unwrap_or_default();
        let every = slowed(question.pace.every(), cost);
        self.answers
            .get(&place)
            .is_none_or(|(at, _)| every.is_zero() || now < *at || now.since(*at) >= every)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one question with all that answers it"
    )]
    async fn ask(
        &mut self,
        question: &'static Question,
        place: &Place,
        session: &mut Session,
        settings: &PostgresSettings,
        meta: &Meta,
        base: &Labels,
        now: Timestamp,
    ) -> Result<SignalState, Failure> {
        let Some(sql) = question.sql(meta.version) else {
            self.answers.remove(place);
            return Ok(SignalState::TooOld);
        };
        let watch = Clock::system().stopwatch();
        let rows = session.ask(settings, sql).await;
        self.costs.insert(place.clone(), watch.elapsed());
        let result = rows.and_then(|rows| {
            question
                .read(&rows, &place.1, base, &self.wanted)
                .map_err(|e| of_question(settings, &e))
        });
        let (state, words) = match result {
            Ok(answer) => {
                let state = if answer.hidden > 0 {
                    SignalState::NeedsPrivilege
                } else {
                    SignalState::Ok
                };
                self.answers.insert(place.clone(), (now, answer));
                return Ok(state);
            }
            Err(Trouble::Broken(failure)) => return Err(failure),
            Err(Trouble::NeedsPrivilege) => {
                self.answers.remove(place);
                return Ok(SignalState::NeedsPgMonitor);
            }
            Err(Trouble::NotInstalled | Trouble::Unsupported) => {
                self.answers.remove(place);
                return Ok(SignalState::Unsupported);
            }
            Err(Trouble::Busy(words) | Trouble::NotInState(words)) => (SignalState::Busy, words),
            Err(Trouble::Odd(words)) => (SignalState::Failed, words),
        };
        self.unanswered.insert(place.clone());
        if self.signals.get(place) != Some(&state) {
            tracing::warn!(
                instance = settings.instance(),
                question = question.signal,
                database = place.1,
                reason = words,
                "question not answered; asked again on the next pass"
            );
        }
        Ok(state)
    }
}

/// A question that takes more than a hundredth of its time is asked half as often, and again.
fn slowed(every: Duration, cost: Duration) -> Duration {
    let mut every = if every.is_zero() && cost > DEAR {
        Duration::from_secs(15)
    } else {
        every
    };
    while !every.is_zero() && cost > every / 100 && every < Duration::from_secs(24 * 3600) {
        every *= 2;
    }
    every
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dear_questions_are_asked_more_rarely() {
        let s = Duration::from_secs;
        let ms = Duration::from_millis;
        for (every, cost, want) in [
            (s(60), ms(599), s(60)),
            (s(60), ms(700), s(120)),
            (s(60), s(3), s(480)),
            (s(0), ms(100), s(0)),
            (s(0), ms(200), s(30)),
            (s(86_400), s(3), s(86_400)),
        ] {
            assert_eq!(slowed(every, cost), want, "{every:?} {cost:?}");
        }
    }
}
