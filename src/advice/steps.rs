//! The one next step of a bottleneck, and why.
//!
//! What must stay true: a step whose required step is known to be absent is never named; an
//! unknown guard never lets a step through that costs money or code.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{Level, Timestamp};

use super::ask::Ask;
use super::decision::{FactQuestion, Recommendation, SignInstance, StepRef, Verdict};
use super::inventory::Detection;
use super::playbook::guard::{Atom, Guard, Truth};
use super::playbook::rows::{
    Candidate, DetectKind, FactKind, OrderKind, Row, Sign, Step, Tier, TierDetect,
};
use super::signs::host_of;
use super::situation::Situation;
use super::trail::{MAX_QUESTIONS, Pick, Trail};
use super::words;

/// A symptom step that is declared done is passed over for so long.
const DONE_FOR: Duration = Duration::from_secs(30 * 86_400);
/// The step named from rung [`SPECIALISTS_FROM`] on when the documents end.
const SPECIALISTS: &str = "hire-specialists";
const SPECIALISTS_FROM: &str = "L3";

/// One bottleneck's way through its row.
pub(crate) struct Walk<'a> {
    s: &'a Situation<'a>,
    ask: &'a Ask<'a>,
    sign: &'a Sign,
    lead: &'a SignInstance,
    host: &'a str,
    now: Timestamp,
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

    /// The step to take, or why there is none.
    pub(crate) fn verdict(&self) -> Verdict {
        if let Some(verdict) = self.known_cause() {
            return verdict;
        }
        let id = self.sign.id.get_ref();
        let trail = self.along(id);
        if let Some(verdict) = self.of_trail(&trail) {
            return verdict;
        }
        // Everything is in place and nothing can be extended: the next sign of the line.
        for next in self.later_on_the_line(id) {
            let further = self.along(next);
            if let Some(pick) = further.open.first() {
                return self.recommend(pick, &further);
            }
        }
        let specialists = self.s.playbook.step(SPECIALISTS).filter(|step| {
            let far_enough = Atom::RungAtLeast(SPECIALISTS_FROM.to_owned());
            self.truth(&Guard::Is(far_enough), Truth::Unknown) == Truth::True
                && self.state(step) != Detection::Present
        });
        match specialists {
            Some(step) => self.recommend(
                &Pick {
                    step,
                    state: self.state(step),
                    how: Some(words::END_OF_DOCUMENTS),
                    again: false,
                },
                &trail,
            ),
            None => self.no_step(words::END_OF_DOCUMENTS.to_owned(), None),
        }
    }

    /// The verdict of one row; `None` when all of it is in place and nothing can be extended.
    fn of_trail(&self, trail: &Trail<'a>) -> Option<Verdict> {
        if let Some(pick) = trail.open.first() {
            return Some(self.gated(pick, trail));
        }
        let repeatable = trail
            .in_place
            .iter()
            .find(|p| p.again || p.step.repeat.is_some());
        if !trail.skipped
            && let Some(pick) = repeatable
        {
            let pick = Pick {
                again: true,
                ..*pick
            };
            return Some(self.gated(&pick, trail));
        }
        if let Some(pick) = trail.unknown.first() {
            return Some(self.gated(pick, trail));
        }
        if trail.skipped {
            let in_place: Vec<StepRef> =
                trail.in_place.iter().map(|p| self.named(p.step)).collect();
            let mut why = words::why_no_step(&in_place, !trail.questions.is_empty());
            for step in &trail.passed_over {
                why.push(' ');
                why.push_str(&words::passed_over(step));
            }
            return Some(self.no_step(why, trail.questions.first().cloned()));
        }
        None
    }

    /// A cause that leaves nothing to scale: its first aid leads.
    fn known_cause(&self) -> Option<Verdict> {
        let cause = self.sign.cause.iter().find(|c| {
            let holds = c
                .guard
                .as_ref()
                .is_none_or(|g| self.truth(g.get_ref(), Truth::Unknown) == Truth::True);
            holds && self.holds_here(c.query.get_ref())
        })?;
        Some(Verdict::NoStep {
            why: cause.why.clone(),
            first_aid: cause.first_aid.clone(),
            confirm: cause
                .confirm
                .as_ref()
                .filter(|id| self.s.facts.truth(id.get_ref(), self.host) == Truth::Unknown)
                .and_then(|id| self.fact_question(id.get_ref())),
            citations: self.s.playbook.citations(&self.sign.cite),
        })
    }

    /// Whether a query is not 0 for the sign's own instance, else for its host.
    fn holds_here(&self, query: &str) -> bool {
        let elements = self.ask.vector(query).unwrap_or_default();
        let instance = self.lead.key.labels.get("instance");
        let own = elements
            .iter()
            .find(|e| e.labels.get("instance") == instance);
        match own {
            Some(e) => e.value != 0.0,
            None => elements
                .iter()
                .any(|e| host_of(&e.labels) == self.host && e.value != 0.0),
        }
    }

    /// Walks a row and the rows it goes on with.
    fn along(&self, sign: &str) -> Trail<'a> {
        let mut trail = Trail::default();
        let mut before = Truth::True;
        let mut next = self.s.playbook.row(sign);
        let mut seen = BTreeSet::new();
        while let Some(row) = next.take() {
            if !seen.insert(row.sign.get_ref()) {
                break;
            }
            for c in self.in_preferred_order(row) {
                let guard = c.guard.as_ref().map(|g| g.get_ref());
                let truth = guard.map_or(Truth::True, |g| self.truth(g, before));
                let diagnosis = c.step.as_ref().is_some_and(|id| {
                    self.s
                        .playbook
                        .step(id.get_ref())
                        .is_some_and(|x| x.diagnosis)
                });
                let tried = match truth {
                    Truth::True => true,
                    Truth::False => false,
                    Truth::Unknown => diagnosis,
                };
                if !tried {
                    trail.skipped = true;
                    if truth == Truth::Unknown
                        && trail.open.is_empty()
                        && let Some(g) = guard
                    {
                        trail.ask(self.unknown_of(g, before));
                    }
                    before = Truth::False;
                    continue;
                }
                if let Some(row) = &c.row {
                    next = self.s.playbook.row(row.get_ref());
                    break;
                }
                if let Some(step) = c
                    .step
                    .as_ref()
                    .and_then(|id| self.s.playbook.step(id.get_ref()))
                {
                    before = self.meet(c, step, guard.is_some(), before, &mut trail);
                }
            }
        }
        trail
    }

    /// Sorts a candidate by its state; returns what `before_in_place` is after it.
    fn meet(
        &self,
        c: &'a Candidate,
        step: &'a Step,
        guarded: bool,
        before: Truth,
        trail: &mut Trail<'a>,
    ) -> Truth {
        let mut pick = Pick {
            step,
            state: self.state(step),
            how: c.how.as_deref(),
            again: c.again,
        };
        let done = step.detect.kind == DetectKind::Symptom
            && self
                .s
                .facts
                .done(step.id.get_ref())
                .is_some_and(|day| day <= self.now && self.now.since(day) < DONE_FOR);
        if done && pick.state != Detection::Present {
            trail.passed_over.push(self.named(step));
            return before;
        }
        match pick.state {
            // A guard that asks for more of the same is a reason to extend it right here.
            Detection::Present if c.again && guarded => trail.open.push(pick),
            Detection::Present => {
                trail.in_place.push(pick);
                return before;
            }
            Detection::Absent | Detection::NotObserved => {
                pick.again = false;
                trail.open.push(pick);
            }
            Detection::Unknown => {
                pick.again = false;
                trail.unknown.push(pick);
                if trail.open.is_empty() {
                    trail.ask([self.step_question(step)]);
                }
                return if before == Truth::True {
                    Truth::Unknown
                } else {
                    before
                };
            }
        }
        Truth::False
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

    /// Lowers a step that belongs far above the current stage to a warning not to.
    fn gated(&self, pick: &Pick<'a>, trail: &Trail<'a>) -> Verdict {
        let earliest = self
            .s
            .playbook
            .rung_index(pick.step.rungs.earliest.get_ref());
        if let (Some(stage), Some(earliest)) = (self.s.stage, earliest)
            && earliest > stage.low + 1
            && self.lead.level < Level::Act
        {
            let dont = self.s.playbook.dont(pick.step.id.get_ref(), &stage.rung);
            let why = words::too_early(
                &self.named(pick.step),
                &stage.rung,
                dont,
                &pick.step.not_yet,
            );
            // Whether the early step is in place would change nothing.
            let other = trail
                .questions
                .iter()
                .find(|q| q.id != *pick.step.id.get_ref());
            return self.no_step(self.s.playbook.cited(&why), other.cloned());
        }
        self.recommend(pick, trail)
    }

    fn recommend(&self, pick: &Pick<'a>, trail: &Trail<'a>) -> Verdict {
        let wanted = pick.step;
        let missing = self.missing_requirements(wanted);
        let (step, on_the_way_to) = match missing.first() {
            Some(first) => (*first, Some(self.named(wanted))),
            None => (wanted, None),
        };
        let (state, again) = if on_the_way_to.is_some() {
            (self.state(step), false)
        } else {
            (pick.state, pick.again)
        };
        let tier = self.tier_of(step);
        let how = match tier {
            Some(t) => Some(t.how.as_str()),
            None if on_the_way_to.is_some() => None,
            None => pick.how,
        };
        let mut why = words::why_now(self.lead.level, step, how);
        if again && let Some(repeat) = &step.repeat {
            why.push(' ');
            why.push_str(&words::again(repeat));
        }
        if let Some(wanted) = &on_the_way_to {
            why = words::why_prerequisite(wanted, &why);
        }
        for done in &trail.passed_over {
            why.push(' ');
            why.push_str(&words::passed_over(done));
        }
        let unless_in_place = match state {
            Detection::NotObserved | Detection::Unknown => !again,
            Detection::Present | Detection::Absent => false,
        };
        let mut confirm: Vec<FactQuestion> = Vec::new();
        if unless_in_place {
            let own = tier
                .and_then(|t| t.confirm.as_ref())
                .and_then(|id| self.fact_question(id.get_ref()))
                .unwrap_or_else(|| self.step_question(step));
            confirm.push(own);
        } else if let Some(q) = tier
            .and_then(|t| t.confirm.as_ref())
            .and_then(|id| self.fact_question(id.get_ref()))
        {
            confirm.push(q);
        }
        for q in &trail.questions {
            if !confirm.contains(q) {
                confirm.push(q.clone());
            }
        }
        confirm.truncate(MAX_QUESTIONS);
        let id = step.id.get_ref();
        let book = self.s.playbook;
        let then = match missing.get(1) {
            Some(next) => Some(self.named(next)),
            None if on_the_way_to.is_some() => on_the_way_to.clone(),
            None => trail
                .open
                .iter()
                .find(|p| p.step.id.get_ref() != id)
                .map(|p| self.named(p.step)),
        };
        Verdict::Step(Box::new(Recommendation {
            step: self.named(step),
            prerequisites: self.unconfirmed_requirements(step),
            on_the_way_to,
            unless_in_place,
            again,
            why: book.cited(&why),
            effect: book.cited(&step.effect),
            cost: book.cited(&step.cost),
            risks: step.risks.iter().map(|r| book.cited(r)).collect(),
            lead_time: words::lead_time(&step.lead_time),
            verify: step.verify.as_ref().map(|q| q.get_ref().clone()),
            first_aid: self.first_aid(),
            confirm,
            then,
            citations: book.citations(&step.cite),
            dissent: book
                .conflicts_of(id)
                .map(|c| book.cited(&words::dissent(c)))
                .collect(),
        }))
    }

    fn no_step(&self, why: String, confirm: Option<FactQuestion>) -> Verdict {
        Verdict::NoStep {
            why,
            first_aid: self.first_aid(),
            confirm,
            citations: self.s.playbook.citations(&self.sign.cite),
        }
    }

    fn first_aid(&self) -> Vec<String> {
        self.sign
            .first_aid
            .iter()
            .filter(|aid| {
                aid.when
                    .as_ref()
                    .is_none_or(|q| self.ask.holds(q.get_ref()) == Truth::True)
            })
            .map(|aid| aid.text.clone())
            .collect()
    }

    /// Steps that `step` requires, directly or not, and that are known to be absent; in
    /// canonical order.
    fn missing_requirements(&self, step: &'a Step) -> Vec<&'a Step> {
        let all = self.requirements(step);
        self.s
            .playbook
            .steps()
            .filter(|s| all.contains(s.id.get_ref().as_str()))
            .filter(|s| self.state(s) == Detection::Absent)
            .collect()
    }

    /// Steps that `step` requires directly and of which nobody knows whether they are in place.
    fn unconfirmed_requirements(&self, step: &Step) -> Vec<StepRef> {
        let direct = self.required_by(step.id.get_ref());
        self.s
            .playbook
            .steps()
            .filter(|s| direct.contains(&s.id.get_ref().as_str()))
            .filter(|s| match self.state(s) {
                Detection::NotObserved | Detection::Unknown => true,
                Detection::Present | Detection::Absent => false,
            })
            .map(|s| self.named(s))
            .collect()
    }

    fn requirements(&self, step: &'a Step) -> BTreeSet<&'a str> {
        let mut all = BTreeSet::new();
        let mut open = vec![step.id.get_ref().as_str()];
        while let Some(at) = open.pop() {
            for first in self.required_by(at) {
                // What is in place needs nothing before it any more.
                let in_place = self
                    .s
                    .playbook
                    .step(first)
                    .is_some_and(|s| self.state(s) == Detection::Present);
                if !in_place && all.insert(first) {
                    open.push(first);
                }
            }
        }
        all
    }

    fn required_by(&self, step: &str) -> Vec<&'a str> {
        self.s
            .playbook
            .orders()
            .filter(|o| o.kind == OrderKind::Requires && o.then.get_ref() == step)
            .filter(|o| self.in_force(o))
            .map(|o| o.first.get_ref().as_str())
            .collect()
    }

    fn in_force(&self, o: &super::playbook::rows::Order) -> bool {
        !o.except.iter().any(|s| s == &self.sign.id)
            && o.guard
                .as_ref()
                .is_none_or(|g| self.truth(g.get_ref(), Truth::Unknown) == Truth::True)
    }

    /// The state of a step as this sign sees it: its tier counts, and its host.
    fn state(&self, step: &Step) -> Detection {
        let id = step.id.get_ref();
        if self.s.facts.declared(id).is_some() {
            return self.s.inventory.state(id);
        }
        let state = self.s.inventory.state_for(id, self.sign.tier);
        let guard = self.tier_detect(step).and_then(|t| t.guard.as_ref());
        match guard.map(|g| self.truth(g.get_ref(), Truth::Unknown)) {
            Some(Truth::True) => Detection::Present,
            Some(Truth::False) => Detection::Absent,
            Some(Truth::Unknown) | None => state,
        }
    }

    fn tier_of(&self, step: &'a Step) -> Option<&'a TierDetect> {
        self.tier_detect(step)
            .filter(|_| self.state(step) != Detection::Present)
    }

    fn tier_detect<'b>(&self, step: &'b Step) -> Option<&'b TierDetect> {
        let tier: Tier = self.sign.tier;
        step.detect.tier.iter().find(|t| t.tier == tier)
    }

    fn later_on_the_line(&self, sign: &str) -> Vec<&'a str> {
        let Some(line) = self.s.playbook.line_of(sign) else {
            return Vec::new();
        };
        line.signs
            .iter()
            .map(|s| s.get_ref().as_str())
            .skip_while(|s| *s != sign)
            .skip(1)
            .filter(|s| self.s.playbook.row(s).is_some())
            .collect()
    }

    fn truth(&self, guard: &Guard, before: Truth) -> Truth {
        self.s.guard(guard, self.host, before)
    }

    /// The questions behind a guard that is unknown.
    fn unknown_of(&self, guard: &Guard, before: Truth) -> Vec<FactQuestion> {
        guard
            .atoms()
            .into_iter()
            .filter(|a| self.s.atom(a, self.host, before) == Truth::Unknown)
            .filter_map(|a| match a {
                Atom::Fact(id) => self.fact_question(id),
                Atom::Fires { sign, .. } => self.sign_question(sign),
                Atom::Present(id) | Atom::Absent(id) => {
                    self.s.playbook.step(id).map(|s| self.step_question(s))
                }
                Atom::RungAtLeast(_) | Atom::RungAtMost(_) => self.fact_question("users"),
                Atom::Known(_) | Atom::BeforeInPlace => None,
            })
            .collect()
    }

    fn fact_question(&self, id: &str) -> Option<FactQuestion> {
        let fact = self.s.playbook.fact(id)?;
        let example = match fact.kind {
            FactKind::Bool => "true",
            FactKind::Number => "10000",
        };
        Some(question(id, &fact.question, example))
    }

    fn sign_question(&self, id: &str) -> Option<FactQuestion> {
        let text = self.s.playbook.sign(id)?.question.as_ref()?;
        Some(question(id, text, "true"))
    }

    fn step_question(&self, step: &Step) -> FactQuestion {
        question(step.id.get_ref(), &step.question, "true")
    }

    fn named(&self, step: &Step) -> StepRef {
        self.s.playbook.step_ref(step.id.get_ref())
    }
}

fn question(id: &str, text: &str, example: &str) -> FactQuestion {
    FactQuestion {
        id: id.to_owned(),
        question: text.to_owned(),
        config: words::fact_line(id, example),
    }
}
