//! Since when what the rules read is kept: a rule whose data is new is warming, not blind.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::selection::Need;
use crate::model::{Selection, Timestamp};
use crate::promql::{self, ParseOptions};
use crate::rules::{Reach, RuleSpec};

/// A selector that is kept over a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    matchers: BTreeSet<String>,
    window_seconds: u64,
}

impl Kept {
    fn of(need: &Need) -> Self {
        Self {
            matchers: need.matchers.iter().map(ToString::to_string).collect(),
            window_seconds: need.window.as_secs(),
        }
    }

    /// True when every series of `other` is one of this selector.
    fn selects_all_of(&self, other: &Kept) -> bool {
        self.matchers.is_subset(&other.matchers)
    }
}

/// What a selection keeps, for the next start to compare with.
pub(crate) fn kept(selection: &Selection) -> Vec<Kept> {
    selection.needs().iter().map(Kept::of).collect()
}

/// Every selector in force, with how far back its data goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Warming(Vec<(Kept, Reach)>);

impl Warming {
    /// After a start: data goes back as `reach` says for what was kept `before`.
    pub(crate) fn start(selection: &Selection, reach: Reach, before: &[Kept]) -> Self {
        let of = |need: &Kept| {
            let kept = before
                .iter()
                .any(|old| old.selects_all_of(need) && old.window_seconds >= need.window_seconds);
            if kept {
                reach
            } else {
                Reach::since(reach.since)
            }
        };
        Self(with(selection, of))
    }

    /// After a reload: what was kept before goes on; a longer window has what the shorter one had.
    pub(crate) fn adopt(&self, selection: &Selection, now: Timestamp) -> Self {
        let of = |need: &Kept| {
            let mut best = Reach::since(now);
            for (old, reach) in self.0.iter().filter(|(old, _)| old.selects_all_of(need)) {
                if old.window_seconds >= need.window_seconds {
                    return *reach;
                }
                let had = now - Duration::from_secs(old.window_seconds);
                best.since = best.since.min(had.max(reach.since));
            }
            best
        };
        Self(with(selection, of))
    }

    /// The wall clock stepped by so many milliseconds, and all samples with it.
    pub(crate) fn shift(&mut self, step: i64) {
        for (_, reach) in &mut self.0 {
            reach.since = reach.since.shifted(step);
            if let Some((first, last)) = &mut reach.before {
                (*first, *last) = (first.shifted(step), last.shifted(step));
            }
        }
    }

    /// No samples came between the two times: as after a restart with what was kept.
    pub(crate) fn pause(&mut self, from: Timestamp, to: Timestamp) {
        for (_, reach) in &mut self.0 {
            let had = (reach.since < from).then_some((reach.since, from));
            *reach = Reach {
                since: to,
                before: had.or(reach.before),
            };
        }
    }

    /// How far back everything goes that a rule of this `language` reads.
    pub(crate) fn of(&self, rule: &RuleSpec, language: ParseOptions) -> Reach {
        let mut worst: Option<Reach> = None;
        let exprs = rule.exprs();
        let parse = |e: &String| promql::parse_with(e, language).ok();
        for expr in exprs.iter().filter_map(parse) {
            for need in expr.needs() {
                let need = Kept::of(&need);
                let Some((_, reach)) = self.0.iter().find(|(kept, _)| *kept == need) else {
                    continue;
                };
                worst = Some(match worst {
                    None => *reach,
                    Some(so_far) => Reach {
                        since: so_far.since.max(reach.since),
                        before: match (so_far.before, reach.before) {
                            (Some(a), Some(b)) => Some((a.0.max(b.0), a.1.min(b.1))),
                            (None | Some(_), _) => None,
                        },
                    },
                });
            }
        }
        worst.unwrap_or_else(Reach::always)
    }
}

fn with(selection: &Selection, of: impl Fn(&Kept) -> Reach) -> Vec<(Kept, Reach)> {
    let all = kept(selection).into_iter();
    all.map(|need| {
        let reach = of(&need);
        (need, reach)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Duplicates, RuleFile, RuleSet, check_promql};

    fn rules(texts: &[&str]) -> RuleSet {
        let rules: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(i, t)| format!("{{record: r{i}, expr: '{t}'}}"))
            .collect();
        let file = RuleFile {
            name: "r.yml".to_owned(),
            text: format!("groups: [{{name: g, rules: [{}]}}]", rules.join(", ")),
            shipped: false,
        };
        let none = crate::config::Signs::default();
        RuleSet::load(&[file], &none, "", Duplicates::Refuse, &|text| {
            check_promql(text, ParseOptions::all())
        })
        .unwrap()
    }

    fn selection(set: &RuleSet) -> Selection {
        let exprs = set.exprs();
        let parse = |e: &String| promql::parse_with(e, ParseOptions::all()).ok();
        let parsed = exprs.iter().filter_map(parse);
        Selection::new(1, parsed.flat_map(|e| e.needs()).collect())
    }

    fn reaches_of(warming: &Warming, set: &RuleSet) -> Vec<Reach> {
        let rules = set.groups[0].rules.iter();
        rules.map(|r| warming.of(r, ParseOptions::all())).collect()
    }

    #[test]
    fn experimental_expressions_warm_too() {
        let set = rules(&["mad_over_time(a[5m])"]);
        let new = Reach::since(Timestamp(1000));
        let start = Warming::start(&selection(&set), new, &[]);
        assert_eq!(reaches_of(&start, &set), [new]);
    }

    #[test]
    fn a_clock_that_steps_or_stands_moves_the_reach() {
        let at = Timestamp::from_secs;
        let set = rules(&["rate(a[5m])"]);
        let needs = selection(&set);
        let old = Reach {
            since: at(1000),
            before: Some((at(100), at(990))),
        };
        let mut warming = Warming::start(&needs, old, &kept(&needs));
        warming.shift(3_600_000);
        let moved = Reach {
            since: at(4600),
            before: Some((at(3700), at(4590))),
        };
        assert_eq!(reaches_of(&warming, &set), [moved]);
        warming.pause(at(5000), at(6000));
        let hole = Reach {
            since: at(6000),
            before: Some((at(4600), at(5000))),
        };
        assert_eq!(reaches_of(&warming, &set), [hole]);
        // Nothing came since: what was before the pause is still the newest.
        warming.pause(at(6000), at(7000));
        let since = at(7000);
        assert_eq!(reaches_of(&warming, &set), [Reach { since, ..hole }]);
    }

    #[test]
    fn only_what_is_new_warms() {
        let at = Timestamp::from_secs;
        let reach = Reach {
            since: at(1000),
            before: Some((at(100), at(990))),
        };
        let old = rules(&["rate(a[5m])", "rate(b[10m])"]);
        let before = kept(&selection(&old));
        let new = rules(&[
            "rate(a{x=\"y\"}[5m])",
            "rate(a[1h])",
            "rate(c[5m])",
            "rate(b[10m]) + c",
            "vector(1)",
        ]);
        let reaches = |w: &Warming| reaches_of(w, &new);
        let start = Warming::start(&selection(&new), reach, &before);
        let nothing = Reach::since(at(1000));
        assert_eq!(
            reaches(&start),
            [reach, nothing, nothing, nothing, Reach::always()]
        );
        // The same after a reload: the longer window has five minutes already.
        let running = Warming::start(&selection(&old), reach, &before);
        let reloaded = running.adopt(&selection(&new), at(5000));
        assert_eq!(
            reaches(&reloaded),
            [
                reach,
                Reach::since(at(4700)),
                Reach::since(at(5000)),
                Reach::since(at(5000)),
                Reach::always()
            ]
        );
        // Nothing changes for what was there.
        let again = running.adopt(&selection(&old), at(6000));
        assert_eq!(reaches_of(&again, &old)[1], reach);
    }
}
