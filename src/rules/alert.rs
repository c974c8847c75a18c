//! One alert instance and what can happen to it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::flapping::Flaps;
use crate::model::{Labels, Level, Timestamp};

/// Where an alert instance stands. An inactive instance does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum AlertState {
    /// The condition holds, but not yet for `for`.
    Pending {
        /// First slot at which it held.
        active_at: Timestamp,
    },
    /// Fires.
    Firing {
        /// First slot at which it held.
        active_at: Timestamp,
        /// Slot at which it began to fire.
        fired_at: Timestamp,
        /// First slot without the condition, while `keep_firing_for` (or `loadline_clear`) holds
        /// it up.
        kept_since: Option<Timestamp>,
        /// First slot at which its input was missing; it is then neither ok nor newly firing.
        blind_since: Option<Timestamp>,
    },
    /// Was firing and is over; kept 15 minutes so that receivers hear of it.
    Resolved {
        /// Slot at which it had begun to fire.
        fired_at: Timestamp,
        /// Slot at which it was over.
        resolved_at: Timestamp,
    },
}

/// One alert instance: identity, state and what to say about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Key of the rule group, `FILE;NAME`.
    pub group: String,
    /// `alert:` of the rule.
    pub rule: String,
    /// Identity: sample labels, rule labels (expanded) and `alertname`.
    pub labels: Labels,
    /// Expanded annotations without the `loadline_*` ones.
    pub annotations: BTreeMap<String, String>,
    /// Where it stands.
    pub state: AlertState,
    /// Value of the expression at the last slot that returned it.
    #[serde(with = "float")]
    pub value: f64,
    /// What it measures, from `loadline_value`, else `value`.
    #[serde(with = "float_option", default)]
    pub measured: Option<f64>,
    /// The limit it is held against, from `loadline_limit`.
    #[serde(with = "float_option", default)]
    pub limit: Option<f64>,
    /// Unit of measured, limit and threshold, from `loadline_unit`: ratio, bytes, seconds,
    /// per_second, count; empty when the rule names none.
    pub unit: String,
    /// The number the rule compares with, where it ends in exactly one comparison with a number.
    #[serde(with = "float_option", default)]
    pub threshold: Option<f64>,
    /// Who gave the threshold: a citation such as `[D]S1`, `default` (a sign's rule that names
    /// nobody), `rule` (a rule without sign), or `config`.
    pub threshold_from: String,
    /// How often it came back soon after its end.
    #[serde(default, skip_serializing_if = "Flaps::is_none")]
    pub flaps: Flaps,
}

impl Alert {
    /// The sign it belongs to: label `sign`, else the alert's name.
    pub fn sign(&self) -> &str {
        let sign = self.labels.get("sign");
        if sign.is_empty() { &self.rule } else { sign }
    }

    /// Urgency: label `level`, else from `severity`.
    pub fn level(&self) -> Level {
        let level = self.labels.get("level");
        level
            .parse()
            .unwrap_or_else(|_| Level::from_severity(self.labels.get("severity")))
    }

    /// Moves how long it has lasted by milliseconds, with a wall clock that stepped. When it began
    /// to fire stays: that is its name.
    pub fn shift(&mut self, step: i64) {
        match &mut self.state {
            AlertState::Pending { active_at } => *active_at = active_at.shifted(step),
            AlertState::Firing {
                active_at,
                fired_at: _,
                kept_since,
                blind_since,
            } => {
                *active_at = active_at.shifted(step);
                for time in kept_since.iter_mut().chain(blind_since) {
                    *time = time.shifted(step);
                }
            }
            AlertState::Resolved {
                fired_at: _,
                resolved_at,
            } => *resolved_at = resolved_at.shifted(step),
        }
    }

    /// True while it fires, kept and blind ones included.
    pub fn is_firing(&self) -> bool {
        matches!(self.state, AlertState::Firing { .. })
    }
}

/// What happened to an alert instance in one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Began to be pending.
    Pending,
    /// Began to fire.
    Fired,
    /// Fires on, with another value or other annotations; nothing to tell, worth keeping.
    Renewed,
    /// Fires on without its condition (`keep_firing_for`, `loadline_clear`).
    Kept,
    /// Fires on, but its input is missing.
    Blind,
    /// Is over.
    Resolved,
    /// Was pending and is over: forgotten.
    Dropped,
    /// Was resolved long enough: forgotten.
    Expired,
}

/// One change with the instance as it is afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The instance after it (for dropped and expired ones: as it last was).
    pub alert: Alert,
}

/// How long a resolved alert is kept, so that receivers can hear of it again.
pub const KEEP_RESOLVED: Duration = Duration::from_secs(15 * 60);

/// How long a firing alert whose input is gone altogether stays blind before it counts as over:
/// a machine that was taken away must not fire for ever.
pub const KEEP_BLIND: Duration = Duration::from_secs(24 * 60 * 60);

/// The durations of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// `for`: how long the condition must hold before the alert fires.
    pub hold: Duration,
    /// `keep_firing_for`: how long it fires on without the condition.
    pub keep: Duration,
}

/// What one evaluation saw of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The expression returned it.
    Present,
    /// The expression did not return it.
    Absent,
    /// The expression did not return it, but `loadline_clear` did.
    NotYetClear,
    /// Not returned, and its target answers badly: absence proves nothing.
    Unreadable,
    /// Not returned, and its input is gone.
    InputGone,
}

/// Takes an instance one evaluation further: its new state (`None`: it is forgotten) and what
/// happened, in order. Mostly nothing or one thing; a firing alert that a longer `for` sends back
/// to pending is resolved first, so that every resolve follows a fire and every fire has its end.
pub fn step(
    state: Option<AlertState>,
    seen: Seen,
    timing: Timing,
    slot: Timestamp,
) -> (Option<AlertState>, Vec<ChangeKind>) {
    match (state, seen) {
        (None | Some(AlertState::Resolved { .. }), Seen::Present) => begin(timing, slot),
        (None, _) => (None, Vec::new()),
        (Some(AlertState::Pending { active_at }), Seen::Present) => {
            if slot.since(active_at) < timing.hold {
                return (state, Vec::new());
            }
            (Some(fired(active_at, slot)), vec![ChangeKind::Fired])
        }
        (Some(AlertState::Pending { .. }), _) => (None, vec![ChangeKind::Dropped]),
        (Some(AlertState::Resolved { resolved_at, .. }), _) => {
            if slot.since(resolved_at) > KEEP_RESOLVED {
                (None, vec![ChangeKind::Expired])
            } else {
                (state, Vec::new())
            }
        }
        (
            Some(AlertState::Firing {
                active_at,
                fired_at,
                kept_since,
                blind_since,
            }),
            _,
        ) => {
            let firing = Firing {
                active_at,
                fired_at,
                kept_since,
                blind_since,
            };
            firing.step(seen, timing, slot)
        }
    }
}

fn begin(timing: Timing, slot: Timestamp) -> (Option<AlertState>, Vec<ChangeKind>) {
    if timing.hold.is_zero() {
        (Some(fired(slot, slot)), vec![ChangeKind::Fired])
    } else {
        (
            Some(AlertState::Pending { active_at: slot }),
            vec![ChangeKind::Pending],
        )
    }
}

fn fired(active_at: Timestamp, fired_at: Timestamp) -> AlertState {
    AlertState::Firing {
        active_at,
        fired_at,
        kept_since: None,
        blind_since: None,
    }
}

#[derive(Clone, Copy)]
struct Firing {
    active_at: Timestamp,
    fired_at: Timestamp,
    kept_since: Option<Timestamp>,
    blind_since: Option<Timestamp>,
}

impl Firing {
    fn step(
        self,
        seen: Seen,
        timing: Timing,
        slot: Timestamp,
    ) -> (Option<AlertState>, Vec<ChangeKind>) {
        match seen {
            Seen::Present if slot.since(self.active_at) < timing.hold => (
                Some(AlertState::Pending {
                    active_at: self.active_at,
                }),
                vec![ChangeKind::Resolved, ChangeKind::Pending],
            ),
            Seen::Present => {
                let held = self.kept_since.is_some() || self.blind_since.is_some();
                let changes = held.then_some(ChangeKind::Renewed);
                (
                    Some(fired(self.active_at, self.fired_at)),
                    changes.into_iter().collect(),
                )
            }
            Seen::NotYetClear => self.kept(slot),
            Seen::Absent => {
                let since = self.kept_since.unwrap_or(slot);
                if slot.since(since) < timing.keep {
                    self.kept(slot)
                } else {
                    self.resolved(slot)
                }
            }
            Seen::Unreadable => self.blind(slot),
            Seen::InputGone => {
                let since = self.blind_since.unwrap_or(slot);
                if slot.since(since) < KEEP_BLIND {
                    self.blind(slot)
                } else {
                    self.resolved(slot)
                }
            }
        }
    }

    fn kept(self, slot: Timestamp) -> (Option<AlertState>, Vec<ChangeKind>) {
        let news = self.kept_since.is_none() || self.blind_since.is_some();
        self.on(
            Some(self.kept_since.unwrap_or(slot)),
            None,
            news.then_some(ChangeKind::Kept),
        )
    }

    fn blind(self, slot: Timestamp) -> (Option<AlertState>, Vec<ChangeKind>) {
        let news = self.blind_since.is_none();
        self.on(
            self.kept_since,
            Some(self.blind_since.unwrap_or(slot)),
            news.then_some(ChangeKind::Blind),
        )
    }

    fn on(
        self,
        kept_since: Option<Timestamp>,
        blind_since: Option<Timestamp>,
        change: Option<ChangeKind>,
    ) -> (Option<AlertState>, Vec<ChangeKind>) {
        let state = AlertState::Firing {
            active_at: self.active_at,
            fired_at: self.fired_at,
            kept_since,
            blind_since,
        };
        (Some(state), change.into_iter().collect())
    }

    fn resolved(self, slot: Timestamp) -> (Option<AlertState>, Vec<ChangeKind>) {
        let state = AlertState::Resolved {
            fired_at: self.fired_at,
            resolved_at: slot,
        };
        (Some(state), vec![ChangeKind::Resolved])
    }
}

/// JSON has no NaN and no infinity: such a value is written as text.
mod float {
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(v: &f64, s: S) -> Result<S::Ok, S::Error> {
        if v.is_finite() {
            s.serialize_f64(*v)
        } else if v.is_nan() {
            s.serialize_str("NaN")
        } else {
            s.serialize_str(if *v > 0.0 { "+Inf" } else { "-Inf" })
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, NaN, +Inf or -Inf")
            }

            fn visit_f64<E>(self, v: f64) -> Result<f64, E> {
                Ok(v)
            }

            fn visit_i64<E>(self, v: i64) -> Result<f64, E> {
                Ok(v as f64)
            }

            fn visit_u64<E>(self, v: u64) -> Result<f64, E> {
                Ok(v as f64)
            }

            fn visit_str<E: Error>(self, v: &str) -> Result<f64, E> {
                v.parse().map_err(E::custom)
            }
        }
        d.deserialize_any(Number)
    }
}

/// The same for figures that may be missing.
mod float_option {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    struct Float(f64);

    impl Serialize for Float {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            super::float::serialize(&self.0, s)
        }
    }

    impl<'de> Deserialize<'de> for Float {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            super::float::deserialize(d).map(Float)
        }
    }

    pub(super) fn serialize<S: Serializer>(v: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        v.map(Float).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Float>::deserialize(d)?.map(|f| f.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays one letter per minute: `P` present, `.` absent, `c` not yet clear, `u` unreadable,
    /// `g` input gone; writes what happened at each minute: `-` nothing, `p` pending, `F` fired,
    /// `n` renewed, `K` kept, `B` blind, `R` resolved, `d` dropped, `x` expired.
    fn play(hold: u64, keep: u64, letters: &str) -> String {
        let timing = Timing {
            hold: Duration::from_secs(hold * 60),
            keep: Duration::from_secs(keep * 60),
        };
        let mut state = None;
        let mut out = Vec::new();
        for (minute, letter) in letters.chars().enumerate() {
            let seen = match letter {
                'P' => Seen::Present,
                'c' => Seen::NotYetClear,
                'u' => Seen::Unreadable,
                'g' => Seen::InputGone,
                _ => Seen::Absent,
            };
            let slot = Timestamp::from_secs(60 * i64::try_from(minute).unwrap());
            let (next, kinds) = step(state, seen, timing, slot);
            state = next;
            out.push(if kinds.is_empty() {
                "-".to_owned()
            } else {
                kinds.into_iter().map(letter_of).collect()
            });
        }
        out.concat()
    }

    fn letter_of(kind: ChangeKind) -> char {
        match kind {
            ChangeKind::Pending => 'p',
            ChangeKind::Fired => 'F',
            ChangeKind::Renewed => 'n',
            ChangeKind::Kept => 'K',
            ChangeKind::Blind => 'B',
            ChangeKind::Resolved => 'R',
            ChangeKind::Dropped => 'd',
            ChangeKind::Expired => 'x',
        }
    }

    #[test]
    fn sequences_play_as_in_prometheus() {
        for (hold, keep, letters, want) in [
            // for: 0 fires at once and resolves at once.
            (0, 0, "P.", "FR"),
            (0, 0, "PPP.", "F--R"),
            // for: 2m fires at the third minute; a gap before drops it.
            (2, 0, "PPPP.", "p-F-R"),
            (2, 0, "PP.PPP", "p-dp-F"),
            (5, 0, "PPPPPP", "p----F"),
            // keep_firing_for: 2m counts from the first minute without it.
            (0, 2, "P...", "FK-R"),
            (0, 2, "P.P...", "FKnK-R"),
            (2, 2, "PPP...", "p-FK-R"),
            // Pending alerts are not kept.
            (2, 2, "P.", "pd"),
            // The condition comes back after a resolve: a new alert.
            (2, 0, "PPP.PPP", "p-FRp-F"),
            (0, 0, "P.P.", "FRFR"),
            // A resolved alert is forgotten in the first run more than 15 minutes later.
            (0, 0, "P.................", "FR---------------x"),
            // loadline_clear holds a firing alert only.
            (0, 0, "Pcc.", "FK-R"),
            (0, 2, "Pccc.", "FK--R"),
            (1, 0, "Pc", "pd"),
            // Blind alerts neither resolve nor fire anew.
            (0, 0, "Puuu.", "FB--R"),
            (0, 0, "PuP.", "FBnR"),
            (0, 0, "Pggg.", "FB--R"),
            (0, 5, "P.u.", "FKBK"),
            (2, 0, "Pu", "pd"),
            (0, 0, "u.g", "---"),
        ] {
            assert_eq!(
                play(hold, keep, letters),
                want,
                "for {hold}, {keep}: {letters}"
            );
        }
    }

    #[test]
    fn a_longer_for_sends_a_firing_alert_back() {
        let at = Timestamp::from_secs;
        let firing = fired(at(0), at(0));
        let longer = Timing {
            hold: Duration::from_secs(600),
            keep: Duration::ZERO,
        };
        let (state, kinds) = step(Some(firing), Seen::Present, longer, at(60));
        assert_eq!(state, Some(AlertState::Pending { active_at: at(0) }));
        assert_eq!(kinds, [ChangeKind::Resolved, ChangeKind::Pending]);
        // When it is old enough it stays.
        let (state, kinds) = step(Some(firing), Seen::Present, longer, at(600));
        assert_eq!((state, kinds), (Some(firing), Vec::new()));
    }

    #[test]
    fn a_gone_input_is_over_after_a_day_and_a_failing_one_never() {
        let at = Timestamp::from_secs;
        let blind = AlertState::Firing {
            active_at: at(0),
            fired_at: at(0),
            kept_since: None,
            blind_since: Some(at(60)),
        };
        let day = 86_400;
        for (seen, secs, want) in [
            (Seen::InputGone, day, Vec::new()),
            (Seen::InputGone, day + 60, vec![ChangeKind::Resolved]),
            (Seen::Unreadable, 100 * day, Vec::new()),
        ] {
            let (_, kinds) = step(Some(blind), seen, Timing::default(), at(secs));
            assert_eq!(kinds, want, "{seen:?} {secs}");
        }
    }

    #[test]
    fn odd_floats_survive_json() {
        let mut alert = Alert {
            group: "f;g".to_owned(),
            rule: "R".to_owned(),
            labels: Labels::empty(),
            annotations: BTreeMap::new(),
            state: fired(Timestamp(1), Timestamp(1)),
            value: f64::INFINITY,
            measured: Some(f64::NEG_INFINITY),
            limit: None,
            unit: String::new(),
            threshold: Some(3.0),
            threshold_from: String::new(),
            flaps: Flaps::default(),
        };
        let back: Alert = serde_json::from_str(&serde_json::to_string(&alert).unwrap()).unwrap();
        assert_eq!(back, alert);
        alert.value = f64::NAN;
        let back: Alert = serde_json::from_str(&serde_json::to_string(&alert).unwrap()).unwrap();
        assert!(back.value.is_nan());
    }

    proptest! {
        #[test]
        fn every_resolve_follows_a_fire(
            hold in 0u64..4,
            keep in 0u64..4,
            longer in 0u64..6,
            letters in "[P.cug]{0,60}",
        ) {
            let mut state = None;
            let mut open = false;
            for (minute, letter) in letters.chars().enumerate() {
                let timing = Timing {
                    hold: Duration::from_secs(60 * if minute > 30 { longer } else { hold }),
                    keep: Duration::from_secs(60 * keep),
                };
                let seen = match letter {
                    'P' => Seen::Present,
                    'c' => Seen::NotYetClear,
                    'u' => Seen::Unreadable,
                    'g' => Seen::InputGone,
                    _ => Seen::Absent,
                };
                let slot = Timestamp::from_secs(60 * i64::try_from(minute).unwrap());
                let (next, kinds) = step(state, seen, timing, slot);
                for kind in kinds {
                    match kind {
                        ChangeKind::Fired => {
                            prop_assert!(!open);
                            open = true;
                        }
                        ChangeKind::Resolved => {
                            prop_assert!(open);
                            open = false;
                        }
                        ChangeKind::Renewed | ChangeKind::Kept | ChangeKind::Blind => {
                            prop_assert!(open);
                        }
                        ChangeKind::Pending | ChangeKind::Dropped | ChangeKind::Expired => {
                            prop_assert!(!open);
                        }
                    }
                }
                let firing = matches!(next, Some(AlertState::Firing { .. }));
                prop_assert_eq!(firing, open);
                state = next;
            }
        }
    }
}
