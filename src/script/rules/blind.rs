//! Tests of blindness: which rules miss their input at a time. Prometheus has no such thing, so
//! the format is our own, in TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_spanned::Spanned;

use crate::model::{Position, Problem, Problems, Timestamp, duration};
use crate::rules::{
    AlertState, EvalContext, FlappingPolicy, Group, GroupSpec, Missing, UnknownKeys,
};

use super::file::InputSeries;
use super::memory::Memory;
use super::run::{MOST_EVALUATIONS, engine, series};
use super::{CaseResult, Failure, FileResult, Files, Options, case_name, chosen, find, load};

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlindFile {
    rule_files: Vec<Spanned<String>>,
    #[serde(default = "minute", deserialize_with = "interval")]
    evaluation_interval: Duration,
    #[serde(default)]
    test: Vec<Spanned<BlindTest>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlindTest {
    #[serde(default)]
    name: String,
    /// Time between samples.
    #[serde(default = "minute", deserialize_with = "interval")]
    interval: Duration,
    #[serde(default)]
    input_series: Vec<Given>,
    /// When it is looked, since the start.
    #[serde(deserialize_with = "time")]
    eval_time: Duration,
    /// Names of rules that must be blind.
    #[serde(default)]
    blind: BTreeSet<String>,
    /// Names of rules that must not be.
    #[serde(default)]
    sees: BTreeSet<String>,
    /// Names of the alerts that fire on although their input is missing: these and no others.
    #[serde(default)]
    held: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    series: String,
    values: String,
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn time<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(d)?;
    duration::parse(&text).map_err(D::Error::custom)
}

fn interval<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let interval = time(d)?;
    if interval.is_zero() {
        return Err(D::Error::custom("an interval must be longer than 0"));
    }
    Ok(interval)
}

/// Runs all tests of a file.
pub(super) fn run(name: &str, text: &str, files: Files<'_>, options: &Options) -> FileResult {
    let mut result = FileResult::default();
    let file: BlindFile = match toml::from_str(text) {
        Ok(file) => file,
        Err(e) => {
            result.problems.push(Problem {
                file: name.to_owned(),
                position: e.span().map(|s| Position::of_offset(text, s.start)),
                context: String::new(),
                message: e.message().to_owned(),
            });
            return result;
        }
    };
    let place = |offset| Position::of_offset(text, offset);
    let patterns: Vec<(String, Position)> = file
        .rule_files
        .iter()
        .map(|p| (p.get_ref().clone(), place(p.span().start)))
        .collect();
    let Some(rule_files) = find(name, &patterns, files, &mut result) else {
        return result;
    };
    let specs = match load(&rule_files, UnknownKeys::Refuse, options.language) {
        Ok(specs) => specs,
        Err(Problems(problems)) => {
            result.problems = problems;
            return result;
        }
    };
    for (i, test) in file.test.iter().enumerate() {
        let at = place(test.span().start);
        let test = test.get_ref();
        if !chosen(&test.name, options) {
            continue;
        }
        let wrong = look(test, at, &specs, file.evaluation_interval, options)
            .and_then(|seen| compare(test, &specs, &seen));
        result.cases.push(CaseResult {
            name: case_name(&test.name, i),
            failures: wrong
                .err()
                .map(|message| Failure {
                    file: name.to_owned(),
                    at,
                    message,
                })
                .into_iter()
                .collect(),
            debug: Vec::new(),
        });
    }
    result
}

/// How things stand at the end of a test.
#[derive(Debug, Default)]
struct Seen {
    /// Blind rules by name, with what each misses.
    blind: BTreeMap<String, Vec<String>>,
    held: BTreeSet<String>,
}

fn look(
    test: &BlindTest,
    at: Position,
    specs: &[GroupSpec],
    evaluation_interval: Duration,
    options: &Options,
) -> Result<Seen, String> {
    if test.eval_time.as_millis() / evaluation_interval.as_millis().max(1) > MOST_EVALUATIONS {
        return Err(format!(
            "over the limit of {MOST_EVALUATIONS} evaluations in one test"
        ));
    }
    let input: Vec<InputSeries> = test
        .input_series
        .iter()
        .map(|s| InputSeries {
            at,
            series: s.series.clone(),
            values: s.values.clone(),
        })
        .collect();
    let (input, dropped) = series(&input, Timestamp(0), test.interval).map_err(|(_, e)| e)?;
    if dropped.is_some() {
        return Err("an input series ends in an empty line or a comment".to_owned());
    }
    let memory = Arc::new(Memory::default());
    memory.give(input);
    let engine = engine(memory.clone(), evaluation_interval, options);
    let mut groups: Vec<Group> = specs
        .iter()
        .map(|s| Group::new(s.clone(), evaluation_interval))
        .collect();
    let nothing = BTreeMap::new();
    let ctx = EvalContext {
        external_labels: &nothing,
        external_url: "",
        missing: Missing::Blind,
        warm: true,
        flapping: FlappingPolicy::OFF,
        write: &|written| drop(memory.write(written)),
        elapsed: &|| Duration::ZERO,
        known: None,
    };
    let mut seen = Seen::default();
    let mut since = Duration::ZERO;
    while since <= test.eval_time {
        let slot = Timestamp(0) + since;
        memory.reveal(slot);
        seen = Seen::default();
        for group in &mut groups {
            let outcome = group.evaluate(&engine, slot, &ctx);
            if let Some((rule, error)) = outcome.errors.first() {
                let time = duration::format(since);
                return Err(format!("rule: {rule}, time: {time}, err: {error}"));
            }
            for (rule, missing) in outcome.blind {
                seen.blind.entry(rule).or_default().extend(missing);
            }
        }
        since += evaluation_interval;
    }
    for alert in groups.iter().flat_map(Group::alerts) {
        if let AlertState::Firing {
            blind_since: Some(_),
            ..
        } = alert.state
        {
            seen.held.insert(alert.rule.clone());
        }
    }
    Ok(seen)
}

fn compare(test: &BlindTest, specs: &[GroupSpec], seen: &Seen) -> Result<(), String> {
    let known: BTreeSet<&str> = specs
        .iter()
        .flat_map(|g| &g.rules)
        .map(|r| r.name.as_str())
        .collect();
    let named = test.blind.iter().chain(&test.sees).chain(&test.held);
    let mut wrong: Vec<String> = named
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| format!("no rule has the name {name}"))
        .collect();
    for name in &test.blind {
        if known.contains(name.as_str()) && !seen.blind.contains_key(name) {
            wrong.push(format!("{name}: expected blind, but it sees"));
        }
    }
    for name in &test.sees {
        if let Some(missing) = seen.blind.get(name) {
            wrong.push(format!(
                "{name}: expected to see, but it misses {}",
                missing.join(", ")
            ));
        }
    }
    if test.held != seen.held {
        let list = |names: &BTreeSet<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("[{}]", names.join(", "))
        };
        wrong.push(format!(
            "held alerts: exp: {} got: {}",
            list(&test.held),
            list(&seen.held)
        ));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
