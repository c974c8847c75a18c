//! Properties of advice on random states of the shipped playbook.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::advice::decision::Verdict;
use crate::advice::next::Next;
use crate::advice::tests::playbook;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn book() -> &'static Playbook {
    static BOOK: OnceLock<Playbook> = OnceLock::new();
    BOOK.get_or_init(playbook)
}

fn states() -> impl Strategy<Value = Given> {
    let book = book();
    let signs: Vec<String> = book.signs().map(|s| s.id.get_ref().clone()).collect();
    let steps: Vec<String> = book.steps().map(|s| s.id.get_ref().clone()).collect();
    let facts: Vec<String> = book
        .facts()
        .filter(|f| f.kind == crate::advice::playbook::rows::FactKind::Bool)
        .map(|f| f.id.get_ref().clone())
        .collect();
    let level = prop::sample::select(Level::ALL.to_vec());
    let host = prop::sample::select(vec!["", "a:1", "b:1"]);
    let sign = (prop::sample::select(signs), level, host).prop_map(|(id, level, host)| GivenSign {
        id,
        level,
        value: None,
        limit: None,
        threshold: None,
        threshold_from: String::new(),
        unit: String::new(),
        labels: Labels::from_pairs([("instance", host)]),
    });
    let state = prop::sample::select(vec![
        Detection::Present,
        Detection::Absent,
        Detection::NotObserved,
        Detection::Unknown,
    ]);
    (
        prop::option::of(prop::sample::select(vec![
            "L0", "L1", "L2", "L3", "L4", "L5", "L6",
        ])),
        prop::collection::vec(sign, 1..4),
        prop::collection::btree_map(
            prop::sample::select(facts),
            any::<bool>().prop_map(FactValue::Bool),
            0..12,
        ),
        // Most steps are said, so that rows are walked far.
        (
            prop::collection::btree_map(prop::sample::select(steps.clone()), state.clone(), 0..60),
            prop::bool::weighted(0.4),
        )
            .prop_map(move |(mut some, fill)| {
                if fill {
                    for step in &steps {
                        some.entry(step.clone()).or_insert(Detection::Present);
                    }
                }
                some
            }),
    )
        .prop_map(|(rung, signs, facts, inventory)| Given {
            rung: rung.map(str::to_owned),
            signs,
            facts,
            inventory,
            ..Given::default()
        })
}

fn decide(given: &Given) -> Advised {
    given.decide(book(), NOW)
}

/// The answers of all bottlenecks that name a step: (step, again, missing prerequisites).
fn named(a: &Advised) -> Vec<(String, bool, Vec<String>)> {
    a.decision
        .bottlenecks
        .iter()
        .filter_map(|b| match &b.verdict {
            Verdict::Step(r) => {
                let missing = r.missing.iter().map(|s| s.id.clone()).collect();
                Some((r.step.id.clone(), r.again, missing))
            }
            Verdict::NoStep { .. } => None,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_step_in_place_is_named_only_to_extend_it(given in states()) {
        let a = decide(&given);
        for (step, again, _) in named(&a) {
            let present = given.inventory.get(&step) == Some(&Detection::Present);
            prop_assert!(!present || again, "{step}");
            if again {
                prop_assert_eq!(a.inventory.state(&step), Detection::Present, "{}", step);
            }
        }
    }

    #[test]
    fn no_step_goes_before_one_that_it_requires_and_that_is_absent(given in states()) {
        let a = decide(&given);
        for b in &a.decision.bottlenecks {
            let Verdict::Step(r) = &b.verdict else { continue };
            for o in book().orders() {
                let counts = o.kind == crate::advice::playbook::rows::OrderKind::Requires
                    && o.guard.is_none()
                    && o.then.get_ref() == &r.step.id
                    && !o.except.iter().any(|s| *s.get_ref() == b.sign.sign);
                let first = o.first.get_ref();
                let absent = given.inventory.get(first) == Some(&Detection::Absent);
                let forbidden = given.facts.contains_key("data-must-be-fresh")
                    || book().step(first).is_some_and(|s| s.never_if.is_some() || s.only_if.is_some());
                prop_assert!(!(counts && absent) || forbidden, "{} before {first}", r.step.id);
            }
        }
    }

    #[test]
    fn sharding_is_never_named_while_its_conditions_fail(given in states()) {
        let a = decide(&given);
        for (step, again, _) in named(&a) {
            if step != "horizontal-sharding" || again {
                continue;
            }
            let at = |id: &str, level| given.signs.iter().any(|s| s.id == id && s.level >= level);
            prop_assert!(
                at("db-write-ceiling", Level::Plan) || at("db-size-near-limit", Level::Plan)
            );
            prop_assert!(
                given.rung.as_deref() >= Some("L4") || at("db-write-ceiling", Level::Act)
            );
            for first in [
                "query-optimization", "connection-pooling", "read-replica", "vertical-scale-database",
            ] {
                prop_assert_eq!(a.inventory.state(first), Detection::Present, "{}", first);
            }
            if given.facts.get("data-must-be-fresh") != Some(&FactValue::Bool(true)) {
                prop_assert_eq!(a.inventory.state("application-cache"), Detection::Present);
            }
        }
    }

    #[test]
    fn the_same_state_in_another_order_gets_the_same_answer(given in states()) {
        let mut turned = given.clone();
        turned.signs.reverse();
        let answer = |g: &Given| serde_json::to_string(&Next::of(book(), &decide(g))).unwrap();
        prop_assert_eq!(answer(&given), answer(&turned));
        prop_assert_eq!(answer(&given), answer(&given));
    }

    #[test]
    fn a_step_that_was_taken_does_not_come_back(given in states()) {
        let mut given = given;
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..40 {
            let a = decide(&given);
            let Some((step, again, _)) = named(&a).into_iter().next() else { break };
            if again {
                break;
            }
            prop_assert!(taken.insert(step.clone(), 1).is_none(), "{step} came back");
            given.inventory.insert(step, Detection::Present);
        }
        prop_assert!(taken.len() < 40);
    }

    #[test]
    fn two_bottlenecks_at_most_and_each_says_why(given in states()) {
        let a = decide(&given);
        prop_assert!((1..=2).contains(&a.decision.bottlenecks.len()));
        let next = Next::of(book(), &a);
        for hurt in &next.bottlenecks {
            prop_assert!(!hurt.answer.reasons[0].is_empty());
            prop_assert!(hurt.answer.step.is_none() || !hurt.answer.citations.is_empty());
        }
    }
}
