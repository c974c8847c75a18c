//! The lines of a script as commands.

use std::time::Duration;

use crate::model::{Labels, Timestamp, duration};
use crate::promql::Point;
use crate::script::series::{parse_hinted, parse_line};

use super::source::Loaded;

/// One command and the line it starts on, counted from 1.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Clear,
    Load {
        step: i64,
        custom_bounds: bool,
        series: Loaded,
    },
    Eval(Box<Eval>),
    /// What cannot be read, with the reason; true when it was meant as an eval.
    Bad(String, bool),
}

/// A query with what it must give.
#[derive(Debug)]
pub(super) struct Eval {
    pub(super) expr: String,
    pub(super) times: Times,
    pub(super) expect: Expect,
}

/// When a query is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) enum Times {
    Instant(Timestamp),
    Range {
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    },
}

/// The text of an error or annotation.
#[derive(Debug)]
pub(super) enum Text {
    Any,
    Exactly(String),
    Regex(regex::Regex),
}

impl Text {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Exactly(want) => text == want,
            Text::Regex(regex) => regex.is_match(text),
        }
    }
}

/// What a query must give.
#[derive(Debug, Default)]
pub(super) struct Expect {
    pub(super) fail: Option<Text>,
    pub(super) warn: Vec<Text>,
    pub(super) info: Vec<Text>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    pub(super) ordered: bool,
    pub(super) scalar: Option<f64>,
    pub(super) string: Option<String>,
    /// The result of an instant query is a range vector with values at these times.
    pub(super) range_vector: Option<(i64, i64, i64)>,
    pub(super) series: Vec<Expected>,
}

/// A series that a query must give.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) labels: Labels,
    pub(super) points: Vec<Option<Point>>,
    /// Of each point, whether its counter reset hint counts.
    pub(super) hinted: Vec<bool>,
}

/// Reads a script; never fails as a whole.
pub(super) fn commands(text: &str) -> Vec<Command> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .map(|l| if l.starts_with('#') { "" } else { l })
        .collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        let line = at + 1;
        at += 1;
        if head.is_empty() {
            continue;
        }
        let word = head.split_whitespace().next().unwrap_or_default();
        let word = word.to_ascii_lowercase();
        let word = word.as_str();
        let is_eval = word.starts_with("eval");
        if word == "clear" {
            let kind = Kind::Clear;
            out.push(Command { line, kind });
            continue;
        }
        let end = lines[at..]
            .iter()
            .position(|l| l.is_empty())
            .map_or(lines.len(), |n| at + n);
        let body = &lines[at..end];
        let kind = if is_eval {
            eval(head, body).map(|(e, read)| {
                at += read;
                Kind::Eval(Box::new(e))
            })
        } else if word == "load" || word == "load_with_nhcb" {
            load(head, body)
        } else {
            Err(format!("unknown command {word:?}"))
        };
        // What a number or an old-style message ends is followed by commands.
        if !matches!(kind, Ok(Kind::Eval(_))) {
            at = end;
        }
        let kind = kind.unwrap_or_else(|e| Kind::Bad(e, is_eval));
        out.push(Command { line, kind });
    }
    out
}

fn load(head: &str, body: &[&str]) -> Result<Kind, String> {
    let (word, step) = head
        .split_once(char::is_whitespace)
        .ok_or("load without a step")?;
    let step = millis(step.trim())?;
    let mut series = Loaded::new();
    for line in body {
        let metric_end = line.find(char::is_whitespace).unwrap_or(line.len());
        if line[..metric_end].ends_with("@st") {
            return Err("start times (@st) are not supported".to_owned());
        }
        let (labels, points) = parse_line(line).map_err(|e| format!("{line:?}: {e}"))?;
        series.insert(labels, points);
    }
    Ok(Kind::Load {
        step,
        custom_bounds: word == "load_with_nhcb",
        series,
    })
}

/// An eval, and how many lines of `body` are its own.
fn eval(head: &str, body: &[&str]) -> Result<(Eval, usize), String> {
    let (word, rest) = word(head);
    let mut expect = Expect::default();
    match word {
        "eval" => {}
        "eval_fail" => expect.fail = Some(Text::Any),
        "eval_warn" => expect.warn.push(Text::Any),
        "eval_info" => expect.info.push(Text::Any),
        "eval_ordered" => expect.ordered = true,
        _ => return Err(format!("unknown command {word:?}")),
    }
    let (kind, rest) = self::word(rest);
    let (times, expr) = match kind {
        "instant" => {
            let rest = keyword(rest, "at")?;
            let (at, expr) = self::word(rest);
            (Times::Instant(Timestamp(millis(at)?)), expr)
        }
        "range" => {
            let (from, rest) = self::word(keyword(rest, "from")?);
            let (to, rest) = self::word(keyword(rest, "to")?);
            let (step, expr) = self::word(keyword(rest, "step")?);
            let (from, to) = (Timestamp(millis(from)?), Timestamp(millis(to)?));
            if to < from {
                return Err("the range ends before it starts".to_owned());
            }
            let step = duration::parse(step)?;
            (Times::Range { from, to, step }, expr)
        }
        _ => return Err(format!("expected instant or range, got {kind:?}")),
    };
    if expr.is_empty() {
        return Err("no expression".to_owned());
    }
    let is_range = matches!(times, Times::Range { .. });
    let mut read = 0;
    for line in body {
        read += 1;
        if expect_line(&mut expect, line, word, is_range)? {
            break;
        }
    }
    let both =
        (!expect.warn.is_empty() && expect.no_warn) || (!expect.info.is_empty() && expect.no_info);
    if both {
        return Err("expects an annotation and none of its level".to_owned());
    }
    let eval = Eval {
        expr: expr.to_owned(),
        times,
        expect,
    };
    Ok((eval, read))
}

/// Reads one line of a body; true when the body ends with it.
fn expect_line(
    expect: &mut Expect,
    line: &str,
    command: &str,
    is_range: bool,
) -> Result<bool, String> {
    let (first, rest) = word(line);
    if command == "eval_fail" {
        if first == "expected_fail_message" {
            expect.fail = Some(Text::Exactly(rest.to_owned()));
            return Ok(true);
        }
        if first == "expected_fail_regexp" {
            expect.fail = Some(regex_text(rest)?);
            return Ok(true);
        }
    }
    if first == "expect" {
        expectation(expect, rest)?;
        return Ok(false);
    }
    if let Some(v) = single_number(line) {
        expect.scalar = Some(v);
        return Ok(true);
    }
    let (labels, (points, hinted)) = parse_hinted(line).map_err(|e| format!("{line:?}: {e}"))?;
    if !is_range && expect.range_vector.is_none() && points.len() != 1 {
        return Err(format!(
            "{line:?}: an instant query gives one value per series"
        ));
    }
    // Of a series that stands twice, the last counts.
    expect.series.retain(|e: &Expected| e.labels != labels);
    expect.series.push(Expected {
        labels,
        points,
        hinted,
    });
    Ok(false)
}

fn expectation(expect: &mut Expect, line: &str) -> Result<(), String> {
    let (kind, rest) = word(line);
    if kind == "range" {
        let rest = keyword(keyword(rest, "vector")?, "from")?;
        let (from, rest) = word(rest);
        let (to, rest) = word(keyword(rest, "to")?);
        let step = keyword(rest, "step")?;
        expect.range_vector = Some((millis(from)?, millis(to)?, millis(step)?));
        return Ok(());
    }
    if kind == "string" {
        let tree = crate::promql::parse(rest).map_err(|e| e.to_string())?;
        let text = tree.as_string().ok_or("expected a quoted string")?;
        expect.string = Some(text.to_owned());
        return Ok(());
    }
    let text = if rest.is_empty() {
        Text::Any
    } else if let Some(t) = rest.strip_prefix("msg:") {
        Text::Exactly(t.trim().to_owned())
    } else if let Some(t) = rest.strip_prefix("regex:") {
        regex_text(t)?
    } else {
        return Err(format!("expected msg: or regex:, got {rest:?}"));
    };
    match kind {
        "fail" if expect.fail.is_some() => return Err("two expect fail lines".to_owned()),
        "fail" => expect.fail = Some(text),
        "warn" => expect.warn.push(text),
        "info" => expect.info.push(text),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        "ordered" => expect.ordered = true,
        _ => return Err(format!("unknown expectation {kind:?}")),
    }
    Ok(())
}

fn regex_text(text: &str) -> Result<Text, String> {
    regex::Regex::new(text.trim())
        .map(Text::Regex)
        .map_err(|e| e.to_string())
}

/// The first word and the rest, trimmed.
fn word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

fn keyword<'a>(text: &'a str, want: &str) -> Result<&'a str, String> {
    match word(text) {
        (got, rest) if got == want => Ok(rest),
        (got, _) => Err(format!("expected {want:?}, got {got:?}")),
    }
}

fn millis(text: &str) -> Result<i64, String> {
    let d = duration::parse(text)?;
    i64::try_from(d.as_millis()).map_err(|_| format!("duration {text:?} is too long"))
}

/// A line that is one number, with or without a sign.
fn single_number(line: &str) -> Option<f64> {
    let (sign, digits) = match line.as_bytes().first()? {
        b'-' => (-1.0, &line[1..]),
        b'+' => (1.0, &line[1..]),
        _ => (1.0, line),
    };
    if digits.contains(char::is_whitespace) {
        return None;
    }
    crate::promql::parse_number(digits).map(|v| sign * v)
}
