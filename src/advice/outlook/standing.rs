//! How urgent a limit is, with hysteresis.

use serde::{Deserialize, Serialize};

use super::Outlook;

/// So many evaluations in a row must ask for a higher urgency.
const ENTER: u8 = 2;
/// So many in a row must be clearly below it before it is left.
const LEAVE: u8 = 3;
/// Clearly below: the probability is by so much under the rule.
const BELOW: f64 = 0.15;

/// What takes the place of the rules while the history is short.
const NEARLY_CERTAIN: f64 = 0.9;

/// How urgent a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// More than six months.
    #[default]
    Ok,
    /// Three to six months: choose the next step.
    Plan,
    /// Under three months: take it.
    Act,
    /// Days: today.
    Now,
}

/// Urgency that follows an outlook slowly enough to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// What holds.
    pub urgency: Urgency,
    up: u8,
    down: u8,
    wanted: Urgency,
}

impl Standing {
    /// Takes the outlook of one evaluation (an hour or a day) and says what holds now.
    ///
    /// No outlook (no history, no limit, another unit) changes nothing and starts counting anew; a
    /// limit that is passed is `now` at once.
    pub fn step(&mut self, outlook: &Outlook) -> Urgency {
        let ahead = match outlook {
            Outlook::Ahead(ahead) => ahead,
            Outlook::Over { .. } => {
                *self = Self {
                    urgency: Urgency::Now,
                    ..Self::default()
                };
                return Urgency::Now;
            }
            Outlook::NoLimit | Outlook::NotEnough { .. } | Outlook::UnitsChanged { .. } => {
                (self.up, self.down) = (0, 0);
                return self.urgency;
            }
        };
        let within = &ahead.within;
        let short = ahead.short();
        let holds = |margin: f64| {
            let at_least = |p: Option<f64>, rule: f64| {
                let rule = if short { NEARLY_CERTAIN } else { rule };
                p.is_some_and(|p| p >= rule - margin)
            };
            if at_least(within.day, 0.5) || at_least(within.two_weeks, 0.5) {
                Urgency::Now
            } else if at_least(within.quarter, 0.4) {
                Urgency::Act
            } else if at_least(within.half_year, 0.4) {
                Urgency::Plan
            } else {
                Urgency::Ok
            }
        };
        let (wanted, kept) = (holds(0.0), holds(BELOW));
        if wanted > self.urgency {
            self.wanted = if self.up == 0 {
                wanted
            } else {
                self.wanted.min(wanted)
            };
            (self.up, self.down) = (self.up + 1, 0);
            if self.up >= ENTER {
                *self = Self {
                    urgency: self.wanted,
                    ..Self::default()
                };
            }
        } else if kept < self.urgency {
            self.wanted = if self.down == 0 {
                kept
            } else {
                self.wanted.max(kept)
            };
            (self.up, self.down) = (0, self.down + 1);
            if self.down >= LEAVE {
                *self = Self {
                    urgency: self.wanted,
                    ..Self::default()
                };
            }
        } else {
            (self.up, self.down) = (0, 0);
        }
        self.urgency
    }
}
