//! Everything a guard may ask about one system at one time.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Level;

use super::decision::{SignInstance, SignKey};
use super::facts::Facts;
use super::inventory::{Detection, Inventory};
use super::ladder::Stage;
use super::playbook::Playbook;
use super::playbook::guard::{Atom, Guard, Truth};
use super::runway::Runway;
use super::signs::host_of;

/// Which signs have their input, so that silence means false.
#[derive(Debug, Clone)]
pub(crate) enum Measured {
    /// All of them: a state that somebody wrote down is complete.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Measured {
    fn holds(&self, sign: &str) -> bool {
        match self {
            Measured::All => true,
            Measured::Only(signs) => signs.contains(sign),
        }
    }
}

/// What is known of a system.
pub(crate) struct Situation<'a> {
    pub(crate) playbook: &'a Playbook,
    pub(crate) signs: BTreeMap<&'a SignKey, &'a SignInstance>,
    /// Signs whose input is there, so that silence means false.
    pub(crate) measured: &'a Measured,
    pub(crate) facts: &'a Facts,
    pub(crate) stage: Option<&'a Stage>,
    /// When limits will be reached.
    pub(crate) runways: &'a [Runway],
    /// Empty while the inventory itself is being taken.
    pub(crate) inventory: &'a Inventory,
}

impl Situation<'_> {
    /// The truth of a guard for a sign on `host`, `before` being that of `before_in_place`.
    pub(crate) fn guard(&self, guard: &Guard, host: &str, before: Truth) -> Truth {
        guard.truth(&|atom| self.atom(atom, host, before))
    }

    /// The truth of one condition.
    pub(crate) fn atom(&self, atom: &Atom, host: &str, before: Truth) -> Truth {
        match atom {
            Atom::Fires { sign, here } => self.fires(sign, here.then_some(host)),
            Atom::Acts(sign) => self.at_least(sign, Level::Act, None),
            Atom::RungAtLeast(id) => self.rung(id, |now, bound| now >= bound),
            Atom::RungAtMost(id) => self.rung(id, |now, bound| now <= bound),
            Atom::Present(step) => match self.inventory.state(step) {
                Detection::Present => Truth::True,
                Detection::Absent => Truth::False,
                Detection::NotObserved | Detection::Unknown => Truth::Unknown,
            },
            Atom::Absent(step) => match self.inventory.state(step) {
                Detection::Absent => Truth::True,
                Detection::Present => Truth::False,
                Detection::NotObserved | Detection::Unknown => Truth::Unknown,
            },
            Atom::Fact(id) => self.facts.truth(id, host),
            Atom::Known(id) => Truth::from_bool(self.facts.truth(id, host) != Truth::Unknown),
            Atom::BeforeInPlace => before,
        }
    }

    /// Whether a sign is at plan or higher, on `host` where one is given.
    pub(crate) fn fires(&self, sign: &str, host: Option<&str>) -> Truth {
        self.at_least(sign, Level::Plan, host)
    }

    fn at_least(&self, sign: &str, level: Level, host: Option<&str>) -> Truth {
        let (mut blind, mut lower) = (false, false);
        for instance in self.signs.values().filter(|i| {
            i.key.sign == sign && host.is_none_or(|h| h.is_empty() || host_of(&i.key.labels) == h)
        }) {
            match (instance.level >= level, instance.blind) {
                (true, false) => return Truth::True,
                (_, true) => blind = true,
                (false, false) => lower = true,
            }
        }
        if let Some(declared) = self.facts.declared(sign) {
            return Truth::from_bool(declared);
        }
        if !blind && (lower || self.measured.holds(sign)) {
            Truth::False
        } else {
            Truth::Unknown
        }
    }

    fn rung(&self, id: &str, holds: impl Fn(usize, usize) -> bool) -> Truth {
        match (self.stage, self.playbook.rung_index(id)) {
            (Some(stage), Some(bound)) => Truth::from_bool(holds(stage.low, bound)),
            (None, _) | (_, None) => Truth::Unknown,
        }
    }
}
