//! Trees as text that reads back as the same tree.

use std::fmt::{self, Write};

use crate::model::labels::NAME;
use crate::model::{Labels, MatchOp, Matcher, duration};

use super::ast::{
    Aggregate, At, Binary, Card, Edges, Expr, ExprKind, Length, LengthOp, Selector, Shift,
};
use super::functions::Func;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(v) => f.write_str(&number(*v)),
            ExprKind::String(s) => f.write_str(&quote(s)),
            ExprKind::Paren(e) => write!(f, "({e})"),
            ExprKind::Unary { negative, expr } => {
                write!(f, "{}{expr}", if *negative { "-" } else { "+" })
            }
            ExprKind::Binary(b) => binary(f, b),
            ExprKind::Aggregate(a) => aggregate(f, a),
            ExprKind::Call(c) if matches!(c.function.id, Func::Info) => info(f, &c.args),
            ExprKind::Call(c) => {
                write!(f, "{}(", c.function.name)?;
                list(f, c.args.iter())?;
                f.write_str(")")
            }
            ExprKind::Selector(s) => {
                selector(f, s)?;
                edges(f, s.edges)?;
                shift(f, &s.shift)
            }
            ExprKind::Range { selector: s, range } => {
                selector(f, s)?;
                write!(f, "[{range}]")?;
                edges(f, s.edges)?;
                shift(f, &s.shift)
            }
            ExprKind::Subquery(s) => {
                write!(f, "{}[{}:", s.expr, s.range)?;
                if let Some(step) = &s.step {
                    write!(f, "{step}")?;
                }
                f.write_str("]")?;
                shift(f, &s.shift)
            }
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Length::Millis(ms) => f.write_str(&duration::format(std::time::Duration::from_millis(
                ms.unsigned_abs(),
            ))),
            Length::Seconds(s) => f.write_str(&number(*s)),
            Length::Step => f.write_str("step()"),
            Length::Range => f.write_str("range()"),
            Length::Paren(l) => write!(f, "({l})"),
            Length::Negative(l) => write!(f, "-{l}"),
            Length::Binary(op, sides) => {
                let (a, b) = (&sides.0, &sides.1);
                match op {
                    LengthOp::Add => write!(f, "{a} + {b}"),
                    LengthOp::Sub => write!(f, "{a} - {b}"),
                    LengthOp::Mul => write!(f, "{a} * {b}"),
                    LengthOp::Div => write!(f, "{a} / {b}"),
                    LengthOp::Mod => write!(f, "{a} % {b}"),
                    LengthOp::Pow => write!(f, "{a} ^ {b}"),
                    LengthOp::Min => write!(f, "min_of({a}, {b})"),
                    LengthOp::Max => write!(f, "max_of({a}, {b})"),
                }
            }
        }
    }
}

/// A number as PromQL reads it.
pub(crate) fn number(v: f64) -> String {
    if v.is_nan() {
        "NaN".to_owned()
    } else if v.is_infinite() {
        if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if v == 0.0 || (1e-6..1e15).contains(&v.abs()) {
        v.to_string()
    } else {
        format!("{v:e}")
    }
}

/// A string in double quotes, with the escapes that PromQL undoes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// All labels in braces, the metric name among them: `{__name__="m", a="b"}`.
pub(crate) fn braced(labels: &Labels) -> String {
    let parts: Vec<String> = labels
        .iter()
        .map(|(n, v)| format!("{}={}", label_name(n), quote(v)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}

fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = T>,
) -> fmt::Result {
    for (i, item) in items.enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn binary(f: &mut fmt::Formatter<'_>, b: &Binary) -> fmt::Result {
    write!(f, "{} {}", b.left, b.op.as_str())?;
    if b.returns_bool {
        f.write_str(" bool")?;
    }
    let m = &b.matching;
    if !m.is_default() {
        f.write_str(if m.on { " on (" } else { " ignoring (" })?;
        list(f, m.labels.iter().map(|l| label_name(l)))?;
        f.write_str(")")?;
        if m.grouped() {
            f.write_str(if m.card == Card::ManyToOne {
                " group_left ("
            } else {
                " group_right ("
            })?;
            list(f, m.include.iter().map(|l| label_name(l)))?;
            f.write_str(")")?;
        }
    }
    for (word, value) in [("fill_left", m.fill_left), ("fill_right", m.fill_right)] {
        if let Some(value) = value {
            write!(f, " {word} ({})", number(value))?;
        }
    }
    write!(f, " {}", b.right)
}

fn aggregate(f: &mut fmt::Formatter<'_>, a: &Aggregate) -> fmt::Result {
    f.write_str(a.op.as_str())?;
    if a.modified {
        f.write_str(if a.without { " without (" } else { " by (" })?;
        list(f, a.labels.iter().map(|l| label_name(l)))?;
        f.write_str(") ")?;
    }
    f.write_str("(")?;
    list(f, a.param.iter().chain([&a.expr]))?;
    f.write_str(")")
}

fn selector(f: &mut fmt::Formatter<'_>, s: &Selector) -> fmt::Result {
    let name = s
        .matchers
        .first()
        .filter(|m| m.name == NAME && m.op == MatchOp::Equal && is_metric_word(&m.value));
    let rest = match name {
        Some(m) => {
            f.write_str(&m.value)?;
            &s.matchers[1..]
        }
        None => &s.matchers[..],
    };
    if rest.is_empty() && name.is_some() {
        return Ok(());
    }
    f.write_str("{")?;
    list(f, rest.iter().map(matcher))?;
    f.write_str("}")
}

/// The second argument is always matchers in braces.
fn info(f: &mut fmt::Formatter<'_>, args: &[Expr]) -> fmt::Result {
    f.write_str("info(")?;
    list(f, args.iter().take(1))?;
    if let Some(s) = args.get(1).and_then(Expr::selector) {
        f.write_str(", {")?;
        list(f, s.matchers.iter().map(matcher))?;
        f.write_str("}")?;
    }
    f.write_str(")")
}

fn edges(f: &mut fmt::Formatter<'_>, edges: Edges) -> fmt::Result {
    f.write_str(match edges {
        Edges::Plain => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    })
}

fn matcher(m: &Matcher) -> String {
    let op = match m.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    format!("{}{op}{}", label_name(&m.name), quote(&m.value))
}

fn shift(f: &mut fmt::Formatter<'_>, s: &Shift) -> fmt::Result {
    match s.at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(ms)) => {
            let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
            write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)?;
        }
    }
    if let Some(offset) = &s.offset {
        write!(f, " offset {offset}")?;
    }
    Ok(())
}

/// A label name, in quotes unless it is a plain word.
fn label_name(name: &str) -> String {
    if is_word(name) {
        name.to_owned()
    } else {
        quote(name)
    }
}

fn is_word(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// True when `name` alone reads as a metric name wherever an expression may stand.
fn is_metric_word(name: &str) -> bool {
    const RESERVED: [&str; 24] = [
        "and",
        "or",
        "unless",
        "atan2",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "offset",
        "by",
        "without",
        "inf",
        "nan",
        "start",
        "end",
        "step",
        "range",
        "anchored",
        "smoothed",
        "fill",
        "fill_left",
        "fill_right",
        "info",
    ];
    !RESERVED.iter().any(|w| name.eq_ignore_ascii_case(w))
        && super::ast::AggregateOp::named(name).is_none()
        && is_word(&name.replace(':', "_"))
}
