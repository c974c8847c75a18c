//! The way along a sign's row of candidates.
//!
//! What must stay true: an unknown guard never lets a step through that costs money or code; every
//! candidate that was met leaves a note of what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::Timestamp;

use super::ask::Ask;
use super::decision::{FactQuestion, Outcome, SignInstance};
use super::inventory::Detection;
use super::playbook::guard::{Guard, Truth};
use super::playbook::rows::{
    Candidate, DetectKind, Each, OrderKind, Row, Sign, Step, Tier, TierDetect,
};
use super::signs::host_of;
use super::situation::Situation;
use super::trail::{Pick, Trail};
use super::words;

/// A symptom step that is declared done is passed over for so long.
const DONE_FOR: Duration = Duration::from_secs(30 * 86_400);

/// One bottleneck's way through its row.
pub(crate) struct Walk<'a> {
    pub(crate) s: &'a Situation<'a>,
    pub(crate) ask: &'a Ask<'a>,
    pub(crate) sign: &'a Sign,
    pub(crate) lead: &'a SignInstance,
    pub(crate) host: &'a str,
    now: Timestamp,
}

/// A candidate with the step it stands for.
#[derive(Clone, Copy)]
struct Met<'a> {
    row: &'a str,
    candidate: &'a Candidate,
    step: &'a Step,
}

impl<'a> Walk<'a> {
    /// For the sign that leads a bottleneck.
    pub(crate) fn new(
        s: &'a Situation<'a>,
        ask: &'a Ask<'a>,
        sign: &'a Sign,
        lead: &'a SignInstance,
        now: Timestamp,
    ) -> Self {
        Walk {
            s,
            ask,
            sign,
            lead,
            host: host_of(&lead.key.labels),
            now,
        }
    }

    /// Walks a row and the rows it goes on with.
    pub(crate) fn along(&self, sign: &str) -> Trail<'a> {
        let mut trail = Trail::default();
        let mut before = Truth::True;
        let mut next = self.s.playbook.row(sign);
        let mut seen = BTreeSet::new();
        while let Some(row) = next.take() {
            let id = row.sign.get_ref().as_str();
            if !seen.insert(id) {
                break;
            }
            for c in self.in_preferred_order(row) {
                let guard = c.guard.as_ref().map(|g| g.get_ref());
                let truth = guard.map_or(Truth::True, |g| self.truth(g, before));
                let steps = self.steps_of(c);
                let diagnosis = steps.first().is_some_and(|x| x.diagnosis);
                let tried = match truth {
                    Truth::True => true,
                    Truth::False => false,
                    Truth::Unknown => diagnosis,
                };
                let named = steps.first().map_or_else(
                    || self.followed(c).unwrap_or_default(),
                    |x| x.id.get_ref().as_str(),
                );
                if !tried {
                    let in_place = steps
                        .first()
                        .is_some_and(|x| self.state(x) == Detection::Present);
                    trail.skipped |= !in_place;
                    let guard = guard.map(Guard::to_string).unwrap_or_default();
                    let (outcome, why) = match truth {
                        Truth::False | Truth::True => {
                            (Outcome::DoesNotApply, words::does_not_hold(&guard))
                        }
                        Truth::Unknown => (Outcome::ConditionUnknown, words::not_known(&guard)),
                    };
                    trail.note(id, named, outcome, why);
                    if truth == Truth::Unknown
                        && trail.open.is_empty()
                        && let Some(g) = &c.guard
                    {
                        trail.ask(self.unknown_of(g.get_ref(), before));
                    }
                    if !in_place {
                        before = Truth::False;
                    }
                    continue;
                }
                if let Some(to) = self.followed(c) {
                    if let Some(row) = self.s.playbook.row(to) {
                        let title = self.s.playbook.sign(to).map_or(to, |s| &s.title);
                        trail.note(id, to, Outcome::Followed, words::followed(title));
                        next = Some(row);
                        break;
                    }
                    continue;
                }
                for step in steps {
                    let met = Met {
                        row: id,
                        candidate: c,
                        step,
                    };
                    before = self.meet(&met, before, &mut trail);
                }
            }
        }
        trail
    }

    /// The sign whose row a candidate goes on with.
    fn followed(&self, c: &'a Candidate) -> Option<&'a str> {
        match (&c.row, &c.row_of) {
            (Some(row), _) => Some(row.get_ref()),
            (None, Some(label)) => Some(self.lead.key.labels.get(label)),
            (None, None) => None,
        }
    }

    /// The steps a candidate stands for.
    fn steps_of(&self, c: &'a Candidate) -> Vec<&'a Step> {
        let book = self.s.playbook;
        if let Some(id) = &c.step {
            return book.step(id.get_ref()).into_iter().collect();
        }
        match c.each {
            Some(Each::UsualOfNextRung) => {
                let next = self.s.stage.and_then(|s| book.rungs().get(s.low + 1));
                let usual = |s: &&Step| next.is_some_and(|r| s.rungs.usual == r.id);
                let mut steps: Vec<&Step> = book.steps().filter(usual).collect();
                steps.sort_by_key(|s| (s.no.is_empty(), &s.no));
                steps
            }
            Some(Each::MissingPrerequisite) => {
                let violated = self.s.inventory.violated(book);
                book.steps()
                    .filter(|s| violated.iter().any(|(_, first)| *first == s.id.get_ref()))
                    .collect()
            }
            None => Vec::new(),
        }
    }

    /// Sorts a candidate by its state; returns what `before_in_place` is after it.
    fn meet(&self, met: &Met<'a>, before: Truth, trail: &mut Trail<'a>) -> Truth {
        let (c, step) = (met.candidate, met.step);
        let id = step.id.get_ref().as_str();
        let mut pick = Pick {
            step,
            state: self.state(step),
            how: c.how.as_deref(),
            again: c.again,
            guarded: c.guard.is_some(),
        };
        if self.done_lately(step) && pick.state != Detection::Present {
            let title = self.named(step);
            trail.note(met.row, id, Outcome::DoneLately, words::passed_over(&title));
            trail.passed_over.push(title);
            return before;
        }
        if pick.state != Detection::Present
            && let Some((why, unknown)) = self.forbidden(step)
        {
            trail.note(met.row, id, Outcome::Forbidden, why);
            trail.skipped = true;
            if trail.open.is_empty() {
                trail.ask(unknown);
            }
            return Truth::False;
        }
        let by = self.s.inventory.by(id);
        match pick.state {
            Detection::Present => {
                trail.note(met.row, id, Outcome::InPlace, words::in_place(by));
                trail.in_place.push(pick);
                before
            }
            Detection::Absent | Detection::NotObserved => {
                let why = words::open(pick.state, by);
                trail.note(met.row, id, Outcome::Later, why);
                pick.again = false;
                trail.open.push(pick);
                Truth::False
            }
            Detection::Unknown => {
                let why = words::confirm_first(&step.question);
                trail.note(met.row, id, Outcome::Unknown, why);
                pick.again = false;
                trail.unknown.push(pick);
                if trail.open.is_empty() {
                    trail.ask([self.step_question(step)]);
                }
                if before == Truth::True {
                    Truth::Unknown
                } else {
                    before
                }
            }
        }
    }

    /// Whether people said that they did a symptom step not long ago.
    pub(crate) fn done_lately(&self, step: &Step) -> bool {
        step.detect.kind == DetectKind::Symptom
            && self
                .s
                .facts
                .done(step.id.get_ref())
                .is_some_and(|day| day <= self.now && self.now.since(day) < DONE_FOR)
    }

    /// Why a principle forbids to name `step` for this sign, with the questions that would tell.
    pub(crate) fn forbidden(&self, step: &Step) -> Option<(String, Vec<FactQuestion>)> {
        if let Some(g) = &step.never_if
            && !step.never_except.contains(&self.sign.id)
            && self.truth(g.get_ref(), Truth::Unknown) == Truth::True
        {
            return Some((words::never_while(g.get_ref()), Vec::new()));
        }
        let g = step.only_if.as_ref()?.get_ref();
        match self.truth(g, Truth::Unknown) {
            Truth::True => None,
            Truth::False => Some((words::only_while(g), Vec::new())),
            Truth::Unknown => Some((words::only_while(g), self.unknown_of(g, Truth::Unknown))),
        }
    }

    /// Row order, but after a preferred step where a rule in force says so.
    fn in_preferred_order(&self, row: &'a Row) -> Vec<&'a Candidate> {
        let id = |c: &'a Candidate| c.step.as_ref().map(|s| s.get_ref().as_str());
        let preferred: Vec<(&str, &str)> = self
            .s
            .playbook
            .orders()
            .filter(|o| o.kind == OrderKind::Prefer && self.in_force(o))
            .map(|o| (o.first.get_ref().as_str(), o.then.get_ref().as_str()))
            .collect();
        let in_row = |step: &str| row.candidate.iter().any(|c| id(c) == Some(step));
        let mut left: Vec<&Candidate> = row.candidate.iter().collect();
        let mut out: Vec<&Candidate> = Vec::new();
        while !left.is_empty() {
            let free = |c: &&Candidate| {
                preferred.iter().all(|(first, then)| {
                    c.step.as_ref().is_none_or(|s| s.get_ref() != then)
                        || !in_row(first)
                        || out
                            .iter()
                            .any(|o| o.step.as_ref().is_some_and(|s| s.get_ref() == first))
                })
            };
            let at = left.iter().position(free).unwrap_or(0);
            let candidate = left.remove(at);
            out.push(candidate);
        }
        out
    }

    /// The state of a step as this sign sees it: its tier counts, and its host.
    pub(crate) fn state(&self, step: &Step) -> Detection {
        let id = step.id.get_ref();
        if self.s.inventory.is_declared(id) {
            return self.s.inventory.state(id);
        }
        let state = self.s.inventory.state_for(id, self.sign.tier);
        if let Some(g) = &step.detect.guard
            && self.truth(g.get_ref(), Truth::Unknown) == Truth::True
        {
            return Detection::Present;
        }
        let guard = self.tier_detect(step).and_then(|t| t.guard.as_ref());
        match guard.map(|g| self.truth(g.get_ref(), Truth::Unknown)) {
            Some(Truth::True) => Detection::Present,
            Some(Truth::False) => Detection::Absent,
            Some(Truth::Unknown) | None => state,
        }
    }

    pub(crate) fn tier_of(&self, step: &'a Step) -> Option<&'a TierDetect> {
        self.tier_detect(step)
            .filter(|_| self.state(step) != Detection::Present)
    }

    fn tier_detect<'b>(&self, step: &'b Step) -> Option<&'b TierDetect> {
        let tier: Tier = self.sign.tier;
        step.detect.tier.iter().find(|t| t.tier == tier)
    }

    pub(crate) fn later_on_the_line(&self, sign: &str) -> Vec<&'a str> {
        let lines = self.s.playbook.lines_of(sign);
        let later = lines.flat_map(|line| {
            let ids = line.signs.iter().map(|s| s.get_ref().as_str());
            ids.skip_while(|s| *s != sign).skip(1)
        });
        let mut out: Vec<&str> = Vec::new();
        for sign in later.filter(|s| self.s.playbook.row(s).is_some()) {
            if !out.contains(&sign) {
                out.push(sign);
            }
        }
        out
    }

    pub(crate) fn truth(&self, guard: &Guard, before: Truth) -> Truth {
        self.s.guard(guard, self.host, before)
    }
}
