//! The frame of every sentence of advice; steps and signs bring their own words as data.

use std::time::Duration;

use crate::model::{Level, Timestamp, duration};

use super::decision::{SignInstance, StepRef};
use super::inventory::Detection;
use super::playbook::Playbook;
use super::playbook::guard::Guard;
use super::playbook::rows::{Conflict, Dont, Step};

/// Why a step counts as in place: a query shows it.
pub(crate) const SEEN: &str = "seen in metrics";
/// Why a step counts as absent: a query shows that.
pub(crate) const SEEN_ABSENT: &str = "metrics show that it is not there";
/// A symptom step whose signs fire.
pub(crate) const SIGNS_FIRE: &str = "its signs fire";
/// A symptom step whose signs are quiet.
pub(crate) const SIGNS_QUIET: &str = "its signs are quiet";
/// Told by the state that was given.
pub(crate) const GIVEN: &str = "given";
/// Told by a fact.
pub(crate) const DECLARED: &str = "declared";
/// Not told by any fact.
pub(crate) const NOT_DECLARED: &str = "nobody has said so";

/// Said instead of a step where there is none.
pub const NO_STEP_YET: &str = "no scaling step yet";

/// A figure with its unit for people: `95 %`, `1.5 GiB`, `2m 10s`, `19`.
pub fn figure(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    match unit {
        "ratio" => format!("{} %", rounded(value * 100.0)),
        "bytes" => bytes(value),
        "seconds" => seconds(value),
        "bytes_per_second" => format!("{}/s", bytes(value)),
        "per_second" => format!("{}/s", rounded(value)),
        _ => rounded(value),
    }
}

/// The threshold of a sign with who gave it, e.g. `90 % (default)`; one of at most 1 beside a
/// larger limit is a share of that limit.
pub fn threshold(sign: &SignInstance, playbook: &Playbook) -> Option<String> {
    let threshold = sign.threshold?;
    let is_share = sign.limit.is_some_and(|limit| limit > 1.0) && threshold <= 1.0;
    let unit = if is_share { "ratio" } else { &sign.unit };
    let figure = figure(threshold, unit);
    Some(if sign.threshold_from.is_empty() {
        figure
    } else {
        let from = playbook.citation_text(&sign.threshold_from);
        format!("{figure} ({from})")
    })
}

/// What was measured, e.g. `19 of 20 (95 %)`; empty when nothing was.
pub fn measured(sign: &SignInstance) -> String {
    let Some(value) = sign.value else {
        return String::new();
    };
    match sign.limit {
        Some(limit) if limit > 0.0 => format!(
            "{} of {} ({})",
            figure(value, &sign.unit),
            figure(limit, &sign.unit),
            figure(value / limit, "ratio")
        ),
        Some(_) | None => figure(value, &sign.unit),
    }
}

/// Said of a sign that is not one of the two bottlenecks.
pub fn first(step: &StepRef) -> String {
    format!("first: {}", step.title)
}

/// Said of a step of which nothing was seen.
pub fn unless_in_place(step: &StepRef) -> String {
    format!("{}, unless already in place", step.title)
}

/// Said of a step that must come before the one that was wanted.
pub fn on_the_way_to(step: &StepRef) -> String {
    format!("on the way to: {}", step.title)
}

/// Said before the fact that would change the answer.
pub fn confirm_first(question: &str) -> String {
    format!("confirm first: {question}")
}

/// One line of evidence: `connections in use: 19 of 20 (95 %), over 90 % (default), for 12m`.
pub(crate) fn evidence(
    what: &str,
    sign: &SignInstance,
    playbook: &Playbook,
    now: Timestamp,
) -> String {
    let mut parts = Vec::new();
    // A rule that only tells yes from no compares with a number that says nothing to people.
    let yes_or_no = sign.threshold == Some(1.0);
    let seen = measured(sign);
    let told = seen.is_empty() || (yes_or_no && sign.limit.is_none() && sign.value == Some(1.0));
    parts.push(if told || what.is_empty() {
        sign.summary.clone()
    } else {
        format!("{what}: {seen}")
    });
    if !yes_or_no && let Some(threshold) = threshold(sign, playbook) {
        parts.push(format!("over {threshold}"));
    }
    let since = now.since(sign.since);
    if since >= Duration::from_secs(1) {
        parts.push(format!("for {}", duration::words(since)));
    }
    if sign.blind {
        parts.push("not seen any more: its input is missing".to_owned());
    }
    parts.join(", ")
}

/// Why this step and why now.
pub(crate) fn why_now(level: Level, step: &Step, how: Option<&str>) -> String {
    let urgency = match level {
        Level::Now => "The limit is being hit",
        Level::Act => "The threshold to act is passed",
        Level::Plan => "It is time to plan",
        Level::Note => "For information",
    };
    let mut why = format!("{urgency}. {}", sentence(&step.because));
    if let Some(how) = how {
        why.push(' ');
        why.push_str(&sentence(how));
    }
    why
}

/// Why a prerequisite is named in place of the step that was wanted.
pub(crate) fn why_prerequisite(wanted: &StepRef, wanted_why: &str) -> String {
    format!(
        "{wanted_why} It comes first on the way to: {}.",
        wanted.title
    )
}

/// Why no step is named although the sign fires.
pub(crate) fn why_no_step(in_place: &[StepRef], something_unknown: bool) -> String {
    let mut why = String::new();
    if !in_place.is_empty() {
        let titles: Vec<_> = in_place.iter().map(|s| s.title.as_str()).collect();
        why = format!("In place already: {}. ", titles.join("; "));
    }
    why.push_str(if something_unknown {
        "What else would help depends on something that is not known."
    } else {
        "Nothing else the documents name fits what is seen."
    });
    why
}

/// Why a step far above the current stage is not named.
pub(crate) fn too_early(step: &StepRef, rung: &str, dont: Option<&Dont>, not_yet: &str) -> String {
    let mut why = format!(
        "Too early at stage {rung}, and the sign does not press: {}.",
        step.title
    );
    match dont {
        Some(d) => {
            why.push(' ');
            why.push_str(&self::dont(d));
        }
        None if not_yet.is_empty() => {}
        None => why.push_str(&format!(" Not yet: {not_yet}.")),
    }
    why
}

/// What not to do.
pub(crate) fn dont(dont: &Dont) -> String {
    format!("Do not {}; instead: {}.", dont.text, dont.instead)
}

/// Said when the documents name nothing further.
pub(crate) const END_OF_DOCUMENTS: &str =
    "Every step that the documents name for this sign is in place; they end here.";

/// How to repeat a step.
pub(crate) fn again(how: &str) -> String {
    format!("It is in place; extend it: {how}")
}

/// A symptom step that was declared done lately.
pub(crate) fn passed_over(step: &StepRef) -> String {
    format!(
        "{} is declared done and is passed over for 30 days.",
        step.title
    )
}

/// Who disagrees.
pub(crate) fn dissent(conflict: &Conflict) -> String {
    format!(
        "{} Here: {}.",
        sentence(&conflict.dissent),
        conflict.resolution.trim_end_matches('.')
    )
}

/// Why a candidate is not the step: its condition does not hold.
pub(crate) fn does_not_hold(guard: &str) -> String {
    format!("its condition does not hold: {guard}")
}

/// Why a candidate is not the step: nobody knows whether its condition holds.
pub(crate) fn not_known(guard: &str) -> String {
    format!("it is not known whether its condition holds: {guard}")
}

/// That the row of another sign is followed.
pub(crate) fn followed(title: &str) -> String {
    format!("from here on the candidates of: {title}")
}

/// Why a candidate is not the step: it is there.
pub(crate) fn in_place(by: &str) -> String {
    if by.is_empty() {
        "in place".to_owned()
    } else {
        format!("in place: {by}")
    }
}

/// What is known of a candidate that may be taken.
pub(crate) fn open(state: Detection, by: &str) -> String {
    match state {
        Detection::Absent if by.is_empty() => "not in place".to_owned(),
        Detection::Absent => format!("not in place: {by}"),
        Detection::NotObserved | Detection::Unknown | Detection::Present => {
            "nothing shows that it is in place".to_owned()
        }
    }
}

/// Why a candidate that may be taken is not the step.
pub(crate) fn later(known: &str) -> String {
    format!("{known}; another one comes first")
}

/// Why a candidate is not the step: a principle forbids it.
pub(crate) fn never_while(guard: &Guard) -> String {
    format!("never while {guard}")
}

/// Why a candidate is not the step: a principle asks for more.
pub(crate) fn only_while(guard: &Guard) -> String {
    format!("only while {guard}")
}

/// A default lead time.
pub(crate) fn lead_time(span: &str) -> String {
    format!("{span} (default)")
}

/// A step told by another one.
pub(crate) fn follows_from(step: &StepRef) -> String {
    format!("follows from: {}", step.title)
}

/// A step told by people.
pub(crate) fn declared(contradicted: bool) -> String {
    if contradicted {
        "declared, but metrics show the opposite".to_owned()
    } else {
        DECLARED.to_owned()
    }
}

/// The config line that answers a question.
pub(crate) fn fact_line(id: &str, value: &str) -> String {
    format!("[facts]\n{id} = {value}")
}

/// A stage that somebody named.
pub(crate) const PINNED: &str = "as given";

/// A stage told by users.
pub(crate) fn users(n: f64) -> String {
    format!("{} users", grouped(n))
}

/// A stage told by the size of the database.
pub(crate) fn database_size(n: f64) -> String {
    format!("databases of {}", bytes(n))
}

/// A stage told by requests.
pub(crate) fn requests(n: f64) -> String {
    format!("{} requests per second", rounded(n))
}

/// Upper case at the start, a full stop at the end.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let mut out: String = chars
        .next()
        .map(|c| c.to_uppercase().collect::<String>())
        .unwrap_or_default();
    out.push_str(chars.as_str());
    if !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}

/// Three significant digits at most below 1000, whole numbers above.
fn rounded(value: f64) -> String {
    let size = value.abs();
    let decimals = match () {
        () if size >= 100.0 || size == 0.0 => 0,
        () if size >= 10.0 => 1,
        () if size >= 1.0 => 2,
        () => 3,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 {
        return grouped(value);
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number with commas.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if value < 0.0 && digits != "0" {
        out.insert(0, '-');
    }
    out
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value.abs() < 1024.0 {
            return format!("{} {unit}", rounded(value));
        }
        value /= 1024.0;
    }
    format!("{} PiB", rounded(value))
}

fn seconds(value: f64) -> String {
    if value < 0.0 {
        return format!("{} s", rounded(value));
    }
    if value < 1.0 {
        return format!("{} ms", rounded(value * 1000.0));
    }
    if value < 60.0 {
        return format!("{} s", rounded(value));
    }
    // Beyond a century the figure is noise, and Duration has its own limit.
    duration::words(Duration::from_secs_f64(value.min(3.2e9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (value, unit, want) in [
            (0.95, "ratio", "95 %"),
            (0.9512, "ratio", "95.1 %"),
            (1.0, "ratio", "100 %"),
            (0.0042, "ratio", "0.42 %"),
            (19.0, "count", "19"),
            (12_345.0, "count", "12,345"),
            (1_610_612_736.0, "bytes", "1.5 GiB"),
            (512.0, "bytes", "512 B"),
            (0.5, "seconds", "500 ms"),
            (12.34, "seconds", "12.3 s"),
            (130.0, "seconds", "2m 10s"),
            (0.0, "seconds", "0 ms"),
            (88.0, "per_second", "88/s"),
            (-3.0, "seconds", "-3 s"),
            (f64::NAN, "ratio", "NaN"),
            (f64::INFINITY, "seconds", "inf"),
            (1e30, "seconds", "37037d"),
            (7.5, "", "7.5"),
        ] {
            assert_eq!(figure(value, unit), want);
        }
    }

    #[test]
    fn sentences_start_and_end_as_such() {
        for (text, want) in [
            ("each one", "Each one."),
            ("Done.", "Done."),
            ("why?", "Why?"),
        ] {
            assert_eq!(sentence(text), want);
        }
    }
}
