//! States from JSON: what is refused, and what is advised on them.

use super::*;
use crate::advice::next::Next;
use crate::advice::tests::playbook;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn next(text: &str) -> Next {
    let book = playbook();
    let advised = decide_given(&book, "s.json", text, NOW).unwrap_or_else(|e| panic!("{e}"));
    Next::of(&book, &advised)
}

/// The answer in short: `STEP`, with `?` for "unless in place", ` again`, ` -> WANTED`, or `none`.
fn short(text: &str) -> String {
    let next = next(text).answer;
    let Some(step) = next.step else {
        return "none".to_owned();
    };
    let mut out = step;
    if next.unless_in_place {
        out.push('?');
    }
    if next.again {
        out.push_str(" again");
    }
    if let Some(wanted) = next.on_the_way_to {
        out.push_str(" -> ");
        out.push_str(&wanted.step);
    }
    out
}

#[test]
fn what_nobody_knows_is_refused_with_its_line() {
    let book = playbook();
    for (text, want) in [
        ("{\n\"sings\": []}", "s.json:2:7: unknown field `sings`"),
        (
            "{\"signs\": [\n{\"id\": \"db-sat\"}]}",
            "s.json:2:8: unknown sign \"db-sat\"",
        ),
        (
            "{\"inventory\": {\n\"poling\": \"present\"}}",
            "s.json:2:1: unknown step \"poling\"",
        ),
        (
            "{\"inventory\": {\"read-replica\": \"gone\"}}",
            "unknown variant `gone`",
        ),
        (
            "{\"facts\": {\"usres\": 5}}",
            "s.json:1:12: facts.usres: unknown",
        ),
        ("{\"rung\": \"L9\"}", "unknown rung \"L9\"; accepted: L0,"),
        ("{\"at\": \"noon\"}", "\"noon\" is not a time"),
        (
            "{\"runways\": [{\"limit\": \"moon\"}]}",
            "unknown sign \"moon\"",
        ),
        (
            "{\"signs\": [{\"id\": \"db-saturated\", \"level\": \"bad\"}]}",
            "bad",
        ),
        ("[]", "expected"),
        ("", "EOF"),
    ] {
        let err = decide_given(&book, "s.json", text, NOW).unwrap_err();
        assert!(err.to_string().contains(want), "{text}: {err}");
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let book = playbook();
    let text = "{\"rung\": \"L9\", \"signs\": [{\"id\": \"a\"}, {\"id\": \"b\"}], \"inventory\": {\"c\": \"absent\"}}";
    let err = decide_given(&book, "s.json", text, NOW).unwrap_err();
    assert_eq!(err.0.len(), 4, "{err}");
}

#[test]
fn nothing_hurts_in_an_empty_state() {
    let next = next("{}");
    assert_eq!(next.answer.step, None);
    assert!(next.bottlenecks.is_empty() && next.rung.is_none());
}

#[test]
fn steps_that_are_not_listed_are_as_their_detection_leaves_them() {
    for (inventory, want) in [
        ("", "measure-first?"),
        ("\"measure-first\": \"absent\"", "measure-first"),
        (
            "\"measure-first\": \"absent\", \"basic-metrics\": \"absent\"",
            "basic-metrics -> measure-first",
        ),
        // Slow queries are quiet, so query work counts as done.
        ("\"measure-first\": \"present\"", "connection-pooling?"),
        (
            "\"measure-first\": \"present\", \"query-optimization\": \"absent\"",
            "query-optimization",
        ),
        (
            "\"measure-first\": \"present\", \"connection-pooling\": \"present\"",
            "application-cache?",
        ),
        (
            "\"measure-first\": \"present\", \"connection-pooling\": \"present\", \"application-cache\": \"present\"",
            "read-replica?",
        ),
    ] {
        let text = format!(
            "{{\"users\": 80000, \"signs\": [{{\"id\": \"db-saturated\"}}], \"inventory\": {{{inventory}}}}}"
        );
        assert_eq!(short(&text), want, "{inventory}");
    }
}

#[test]
fn the_trace_names_every_candidate_and_why_it_is_not_the_step() {
    let next = next(
        "{\"users\": 8000, \"signs\": [{\"id\": \"db-connections-near-limit\", \"level\": \"now\"}], \"inventory\": {\"connection-pooling\": \"absent\"}}",
    );
    assert_eq!(next.answer.step.as_deref(), Some("connection-pooling"));
    let not: Vec<_> = next
        .answer
        .not
        .iter()
        .map(|n| (n.step.as_str(), n.outcome))
        .collect();
    assert_eq!(
        not,
        [
            (
                "query-optimization",
                crate::advice::Outcome::ConditionUnknown
            ),
            ("read-replica", crate::advice::Outcome::DoesNotApply),
            ("service-extraction", crate::advice::Outcome::DoesNotApply),
        ]
    );
    assert_eq!(next.answer.trace.len(), 4);
    assert_eq!(next.answer.dissent[0].id, "K-06");
}

#[test]
fn a_repeated_sign_counts_at_its_highest_level_whatever_the_order() {
    let at = |a: &str, b: &str| {
        next(&format!(
            "{{\"signs\": [{{\"id\": \"db-saturated\", \"level\": \"{a}\"}}, {{\"id\": \"db-saturated\", \"level\": \"{b}\"}}]}}"
        ))
    };
    assert_eq!(at("plan", "now"), at("now", "plan"));
    assert_eq!(at("plan", "now").bottlenecks[0].level, Level::Now);
}

#[test]
fn time_to_the_limit_ranks_within_a_level() {
    let with = |limit: &str| {
        next(&format!(
            "{{\"signs\": [{{\"id\": \"db-saturated\"}}, {{\"id\": \"disk-space-runway\"}}], \"runways\": [{{\"limit\": \"{limit}\", \"p50\": 9}}]}}"
        ))
        .bottlenecks
        .first()
        .map(|b| b.sign.clone())
    };
    assert_eq!(
        with("disk-space-runway").as_deref(),
        Some("disk-space-runway")
    );
    assert_eq!(with("db-saturated").as_deref(), Some("db-saturated"));
}
