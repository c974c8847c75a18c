//! The one next step of a bottleneck, and why.
//!
//! What must stay true: a step whose required step is known to be absent is never named; one that
//! a principle forbids is never named; a step far above the stage needs a sign that presses.

use std::collections::BTreeSet;

use crate::model::Level;

use super::decision::{Considered, FactQuestion, Outcome, Recommendation, StepRef, Verdict};
use super::inventory::Detection;
use super::playbook::guard::{Atom, Guard, Truth};
use super::playbook::rows::{FactKind, Order, OrderKind, Step};
use super::signs::host_of;
use super::trail::{MAX_QUESTIONS, Pick, Trail};
use super::walk::Walk;
use super::words;

/// The step named from rung [`SPECIALISTS_FROM`] on when the documents end.
const SPECIALISTS: &str = "hire-specialists";
const SPECIALISTS_FROM: &str = "L3";

impl<'a> Walk<'a> {
    /// The step to take, or why there is none, with all candidates that were looked at.
    pub(crate) fn verdict(&self) -> (Verdict, Vec<Considered>) {
        if let Some(verdict) = self.known_cause() {
            return (verdict, Vec::new());
        }
        let id = self.sign.id.get_ref();
        let mut trail = self.along(id);
        if let Some(verdict) = self.of_trail(&mut trail) {
            return (verdict, trail.considered);
        }
        // Everything is in place and nothing can be extended: the next sign of the line.
        for next in self.later_on_the_line(id) {
            let mut further = self.along(next);
            let first = further.open.first().copied();
            let verdict = first.map(|pick| self.gated(&pick, &mut further));
            trail.considered.append(&mut further.considered);
            if let Some(verdict) = verdict {
                return (verdict, trail.considered);
            }
        }
        let specialists = self.s.playbook.step(SPECIALISTS).filter(|step| {
            let far_enough = Atom::RungAtLeast(SPECIALISTS_FROM.to_owned());
            self.truth(&Guard::Is(far_enough), Truth::Unknown) == Truth::True
                && self.state(step) != Detection::Present
        });
        let verdict = match specialists {
            Some(step) => {
                trail.settle(SPECIALISTS, Outcome::Wins);
                let pick = Pick {
                    step,
                    state: self.state(step),
                    how: Some(words::END_OF_DOCUMENTS),
                    again: false,
                    guarded: false,
                };
                self.recommend(&pick, &trail)
            }
            None => self.no_step(words::END_OF_DOCUMENTS.to_owned(), None),
        };
        (verdict, trail.considered)
    }

    /// The verdict of one row; `None` when all of it is in place and nothing can be extended.
    fn of_trail(&self, trail: &mut Trail<'a>) -> Option<Verdict> {
        if let Some(pick) = trail.open.first().copied() {
            return Some(self.gated(&pick, trail));
        }
        let may_repeat = |p: &&Pick<'a>| self.may_repeat(p);
        let marked = trail.in_place.iter().filter(|p| p.again).find(may_repeat);
        let repeatable = trail.in_place.iter().filter(|p| p.step.repeat.is_some());
        let any = repeatable
            .clone()
            .find(may_repeat)
            .filter(|_| !trail.skipped);
        if let Some(pick) = marked.or(any) {
            let pick = Pick {
                again: true,
                ..*pick
            };
            return Some(self.gated(&pick, trail));
        }
        if let Some(pick) = trail.unknown.first().copied() {
            return Some(self.gated(&pick, trail));
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

    /// Whether a step that is in place can be taken once more; a candidate's own condition counts
    /// instead of the step's.
    fn may_repeat(&self, pick: &Pick<'a>) -> bool {
        pick.guarded
            || pick
                .step
                .repeat_if
                .as_ref()
                .is_none_or(|g| self.truth(g.get_ref(), Truth::Unknown) == Truth::True)
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

    /// Lowers a step that belongs far above the current stage to a warning not to.
    fn gated(&self, pick: &Pick<'a>, trail: &mut Trail<'a>) -> Verdict {
        let earliest = self
            .s
            .playbook
            .rung_index(pick.step.rungs.earliest.get_ref());
        if let (Some(stage), Some(earliest)) = (self.s.stage, earliest)
            && earliest > stage.low + 1
            && self.lead.level < Level::Act
        {
            trail.settle(pick.step.id.get_ref(), Outcome::TooEarly);
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
        trail.settle(pick.step.id.get_ref(), Outcome::Wins);
        self.recommend(pick, trail)
    }

    fn recommend(&self, pick: &Pick<'a>, trail: &Trail<'a>) -> Verdict {
        let wanted = pick.step;
        let missing = self.missing_requirements(wanted, wanted.strict && !pick.again);
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
            missing: missing.iter().map(|s| self.named(s)).collect(),
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
            donts: self.donts(step),
            dissent: book
                .dissent(id, self.sign.id.get_ref())
                .map(|c| book.cited(&words::dissent(c)))
                .collect(),
        }))
    }

    /// What not to do about `step` at this stage.
    fn donts(&self, step: &Step) -> Vec<String> {
        let rung = self.s.stage.map(|s| s.rung.as_str()).unwrap_or_default();
        self.s
            .playbook
            .donts_of(step.id.get_ref(), rung)
            .map(words::dont)
            .collect()
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

    /// Steps that `step` requires, directly or not, and that are known to be absent (when
    /// strict: not known to be in place); in canonical order. What a principle forbids here is not
    /// required here.
    fn missing_requirements(&self, step: &'a Step, strict: bool) -> Vec<&'a Step> {
        let all = self.requirements(step);
        self.s
            .playbook
            .steps()
            .filter(|s| all.contains(s.id.get_ref().as_str()))
            .filter(|s| match self.state(s) {
                Detection::Absent => true,
                Detection::NotObserved | Detection::Unknown => strict,
                Detection::Present => false,
            })
            .filter(|s| self.forbidden(s).is_none())
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
                let in_place =
                    self.s.playbook.step(first).is_some_and(|s| {
                        self.state(s) == Detection::Present || self.done_lately(s)
                    });
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

    pub(crate) fn in_force(&self, o: &Order) -> bool {
        !o.except.iter().any(|s| s == &self.sign.id)
            && o.guard
                .as_ref()
                .is_none_or(|g| self.truth(g.get_ref(), Truth::Unknown) == Truth::True)
    }

    /// The questions behind a guard that is unknown.
    pub(crate) fn unknown_of(&self, guard: &Guard, before: Truth) -> Vec<FactQuestion> {
        guard
            .atoms()
            .into_iter()
            .filter(|a| self.s.atom(a, self.host, before) == Truth::Unknown)
            .filter_map(|a| match a {
                Atom::Fact(id) => self.fact_question(id),
                Atom::Fires { sign, .. } | Atom::Acts(sign) => self.sign_question(sign),
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

    pub(crate) fn step_question(&self, step: &Step) -> FactQuestion {
        question(step.id.get_ref(), &step.question, "true")
    }

    pub(crate) fn named(&self, step: &Step) -> StepRef {
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
