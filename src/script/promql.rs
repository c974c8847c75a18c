//! Scripts in the format of Prometheus's own query tests (`.test`).
//!
//! What must stay true: every `eval` counts exactly once, passed or failed. An instant query is
//! looked at three times: as written, fixed to its time by `@` and evaluated at other times, and
//! as the middle of a range query; all must give the same.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{QueryError, Timestamp};
use crate::promql::{
    Element, Engine, EngineOptions, Evaluated, Expr, Outcome, ParseOptions, ValueType, parse_with,
};

mod command;
mod compare;
mod source;

use command::{Eval, Kind, Text, Times};
use source::{Memory, with_custom_bounds};

/// What a script gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileResult {
    /// Evals that gave what they should.
    pub passed: usize,
    /// The others.
    pub failed: Vec<Failure>,
}

/// An eval that did not give what it should, or a command that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Line of the command, counted from 1.
    pub line: usize,
    /// What went wrong.
    pub message: String,
    /// False for a load that cannot be read: it is no case of its own, though the evals that
    /// need it fail.
    pub is_case: bool,
}

/// Runs the script `text` with everything switched on that the official scripts need; `name` is
/// for messages only.
pub fn run(name: &str, text: &str) -> FileResult {
    run_with(name, text, options())
}

/// Runs the script `text` as a released Prometheus would without feature flags.
pub fn run_released(name: &str, text: &str) -> FileResult {
    run_with(name, text, released())
}

/// Runs the script `text` like [`run`], but lets no query hold or look at more than a few samples.
pub fn run_within(name: &str, text: &str, samples: usize) -> FileResult {
    let few = EngineOptions {
        max_samples: samples,
        max_work: samples,
        ..options()
    };
    run_with(name, text, few)
}

fn run_with(name: &str, text: &str, options: EngineOptions) -> FileResult {
    let mut result = FileResult::default();
    let memory = Arc::new(Memory::default());
    let engine = Engine::new(memory.clone(), options);
    for command in command::commands(text) {
        let line = command.line;
        let mut fail = |message: String, is_case: bool| {
            tracing::debug!(script = name, line, message, "script command failed");
            result.failed.push(Failure {
                line,
                message,
                is_case,
            });
        };
        match command.kind {
            Kind::Clear => memory.clear(),
            Kind::Load {
                step,
                custom_bounds,
                series,
            } => {
                memory.load(step, &series);
                if custom_bounds {
                    memory.load(step, &with_custom_bounds(&series));
                }
            }
            Kind::Bad(message, is_case) => fail(message, is_case),
            Kind::Eval(eval) => match check(&engine, &eval) {
                Ok(()) => result.passed += 1,
                Err(message) => fail(format!("{}: {message}", eval.expr), true),
            },
        }
    }
    result
}

/// What the official scripts are written for.
fn options() -> EngineOptions {
    EngineOptions {
        parse: ParseOptions::all(),
        delayed_name_removal: true,
        ..released()
    }
}

fn released() -> EngineOptions {
    EngineOptions {
        max_work: 200_000_000,
        ..EngineOptions::default()
    }
}

fn check(engine: &Engine, eval: &Eval) -> Result<(), String> {
    let got = match eval.times {
        Times::Instant(t) => engine.evaluate(&eval.expr, t),
        Times::Range { from, to, step } => engine.evaluate_range(&eval.expr, from, to, step),
    };
    let Some(got) = expected_error(eval, got)? else {
        return Ok(());
    };
    compare::outcome(&eval.expect, eval.times, &got.outcome)?;
    compare::annotations(&eval.expect, &got.warnings, &got.infos)?;
    if let Times::Instant(t) = eval.times {
        let tree = parse_with(&eval.expr, engine.options().parse).map_err(|e| e.to_string())?;
        fixed_in_time(engine, eval, &tree, t)?;
        middle_of_a_range(engine, eval, &tree, t)?;
    }
    Ok(())
}

/// The result, or nothing when the query had to fail and did.
fn expected_error(
    eval: &Eval,
    got: Result<Evaluated, QueryError>,
) -> Result<Option<Evaluated>, String> {
    match (&eval.expect.fail, got) {
        (None, Ok(got)) => Ok(Some(got)),
        (None, Err(e)) => Err(format!("unexpected error: {e}")),
        (Some(_), Ok(_)) => Err("expected an error".to_owned()),
        (Some(want), Err(e)) => {
            let text = e.to_string();
            if is_refusal(&e) {
                // Upstream would know the syntax; failing is no merit then.
                Err(format!("refused: {text}"))
            } else if want.matches(&text) {
                Ok(None)
            } else if let Text::Exactly(want) = want {
                Err(format!("expected error {want:?}, got {text:?}"))
            } else {
                Err(format!("unexpected error {text:?}"))
            }
        }
    }
}

/// True when a query failed because a part of the language is switched off or missing.
fn is_refusal(error: &QueryError) -> bool {
    let text = error.to_string();
    matches!(error, QueryError::Parse(_))
        && ["refused by default", "not supported yet"]
            .iter()
            .any(|words| text.contains(words))
}

/// With `@ t` on its selectors, the query gives the same at any time.
fn fixed_in_time(engine: &Engine, eval: &Eval, tree: &Expr, t: Timestamp) -> Result<(), String> {
    let Some(fixed) = tree.pinned(t) else {
        return Ok(());
    };
    let fixed = fixed.to_string();
    let t = t.millis();
    let times = if t == 0 {
        vec![-1000, 0, 1000]
    } else {
        vec![0, t / 5, t, 10 * t, -10 * t]
    };
    for at in times {
        let place = |e: String| format!("as {fixed} at {at}ms: {e}");
        let got = engine
            .evaluate(&fixed, Timestamp(at))
            .map_err(|e| place(e.to_string()))?;
        compare::outcome(&eval.expect, eval.times, &got.outcome).map_err(place)?;
    }
    Ok(())
}

/// As a range query from a minute before to a minute after, the middle step gives the same.
fn middle_of_a_range(
    engine: &Engine,
    eval: &Eval,
    tree: &Expr,
    t: Timestamp,
) -> Result<(), String> {
    const MINUTE: Duration = Duration::from_secs(60);
    let kind = tree.value_type();
    if eval.expect.ordered
        || tree.depends_on_query_times()
        || !matches!(kind, ValueType::Scalar | ValueType::Vector)
    {
        return Ok(());
    }
    let place = |e: String| format!("as the middle of a range: {e}");
    let got = engine
        .evaluate_range(&eval.expr, t - MINUTE, t + MINUTE, MINUTE)
        .map_err(|e| place(e.to_string()))?;
    let Outcome::Matrix(series) = got.outcome else {
        return Err(place("no matrix".to_owned()));
    };
    let mut middle: Vec<Element> = Vec::new();
    for s in series {
        let at = s.points.into_iter().find(|(at, _)| *at == t.millis());
        if let Some((_, point)) = at {
            middle.push(Element::new(s.labels, point));
        }
    }
    let outcome = match (kind, middle.first()) {
        (ValueType::Scalar, Some(e)) => match e.point {
            crate::promql::Point::Float(v) => Outcome::Scalar(v),
            crate::promql::Point::Histogram(_) => Outcome::Vector(middle),
        },
        _ => Outcome::Vector(middle),
    };
    compare::outcome(&eval.expect, eval.times, &outcome).map_err(place)
}

#[cfg(test)]
mod tests;
