//! What promtool's `check metrics` says of a metric, in its words.

use std::collections::BTreeSet;

use super::{Family, Format};

/// Units by name, each with its base unit.
const UNITS: [(&str, &str); 25] = [
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
    ("fahrenheits", "celsius"),
];

const PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
    "mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
];

const ABBREVIATIONS: [&str; 14] = [
    "s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d",
];

pub(super) fn lint(
    name: &str,
    family: &Family,
    format: Format,
    out: &mut BTreeSet<(String, String)>,
) {
    let mut say = |text: String| {
        out.insert((name.to_owned(), text));
    };
    if family.help.as_deref().unwrap_or_default().is_empty() {
        say("no help text".to_owned());
    }
    if let Some((unit, base)) = unit_of(name)
        && unit != base
    {
        say(format!("use base unit {base:?} instead of {unit:?}"));
    }
    let kind = family.kind.as_deref().unwrap_or("untyped");
    if !matches!(kind, "untyped" | "unknown") && format == Format::Text {
        if kind == "counter" && !name.ends_with("_total") {
            say("counter metrics should have \"_total\" suffix".to_owned());
        }
        if kind != "counter" && name.ends_with("_total") {
            say("non-counter metrics should not have \"_total\" suffix".to_owned());
        }
        let (histogram, summary) = (kind == "histogram", kind == "summary");
        if !histogram && name.ends_with("_bucket") {
            say("non-histogram metrics should not have \"_bucket\" suffix".to_owned());
        }
        for suffix in ["_count", "_sum"] {
            if !histogram && !summary && name.ends_with(suffix) {
                say(format!(
                    "non-histogram and non-summary metrics should not have {suffix:?} suffix"
                ));
            }
        }
        if !histogram && family.labels.contains("le") {
            say("non-histogram metrics should not have \"le\" label".to_owned());
        }
        if !summary && family.labels.contains("quantile") {
            say("non-summary metrics should not have \"quantile\" label".to_owned());
        }
    }
    let lower = name.to_lowercase();
    let holds =
        |word: &str| lower.contains(&format!("_{word}_")) || lower.ends_with(&format!("_{word}"));
    for word in ["counter", "gauge", "summary", "histogram"] {
        if holds(word) {
            say(format!("metric name should not include type '{word}'"));
        }
    }
    if name.contains(':') {
        say("metric names should not contain ':'".to_owned());
    }
    if is_camel_case(name) {
        say("metric names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
    if family.labels.iter().any(|l| is_camel_case(l)) {
        say("label names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
    if ABBREVIATIONS.iter().any(|a| holds(a)) {
        say("metric names should not contain abbreviated units".to_owned());
    }
}

/// The first unit in a name and its base.
fn unit_of(name: &str) -> Option<(&str, &'static str)> {
    let base = |unit: &str| {
        UNITS
            .iter()
            .find(|(u, _)| *u == unit)
            .map(|(_, base)| *base)
    };
    name.split('_').find_map(|word| {
        let prefixed = || PREFIXES.iter().find_map(|p| base(word.strip_prefix(p)?));
        Some((word, base(word).or_else(prefixed)?))
    })
}

fn is_camel_case(name: &str) -> bool {
    let pairs = name.as_bytes().windows(2);
    pairs
        .into_iter()
        .any(|p| p[0].is_ascii_lowercase() && p[1].is_ascii_uppercase())
}
