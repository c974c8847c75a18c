//! What an expression reads, and what rules ask about its shape.

use std::time::Duration;

use crate::model::Matcher;
use crate::model::selection::Need;

use super::ast::{At, BinaryOp, Edges, Expr, ExprKind, Length, Shift, Span};
use super::eval::info_matchers;
use super::functions::Func;

/// How far an instant selector looks back unless the engine is told otherwise.
pub const LOOKBACK: Duration = Duration::from_secs(300);

/// A comparison with a number at the top of an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The comparison, as if the number stood on the right.
    pub op: BinaryOp,
    /// The number.
    pub number: f64,
    /// Where the number stands in the text.
    pub span: Span,
}

/// Which inputs an expression cannot do without.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// All of them; nothing when empty.
    All(Vec<Inputs>),
    /// One is enough (`or`).
    Any(Vec<Inputs>),
    /// Series that satisfy these matchers: the metric name without other matchers, or all
    /// matchers where no name is given.
    Selector(Vec<Matcher>),
}

impl Inputs {
    /// True when `exists` finds what is needed.
    pub fn satisfied(&self, exists: &mut dyn FnMut(&[Matcher]) -> bool) -> bool {
        match self {
            Inputs::All(parts) => parts.iter().all(|p| p.satisfied(exists)),
            Inputs::Any(parts) => parts.iter().any(|p| p.satisfied(exists)),
            Inputs::Selector(matchers) => exists(matchers),
        }
    }

    /// The selectors that `exists` does not find, where that leaves the whole unsatisfied.
    pub fn missing<'a>(&'a self, exists: &mut dyn FnMut(&[Matcher]) -> bool) -> Vec<&'a [Matcher]> {
        match self {
            Inputs::All(parts) => parts.iter().flat_map(|p| p.missing(exists)).collect(),
            Inputs::Any(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    let missing = part.missing(exists);
                    if missing.is_empty() {
                        return Vec::new();
                    }
                    all.extend(missing);
                }
                all
            }
            Inputs::Selector(matchers) => {
                if exists(matchers) {
                    Vec::new()
                } else {
                    vec![matchers]
                }
            }
        }
    }
}

impl Expr {
    /// Every selector with how far back it reads before the evaluation time, for an instant
    /// query and a lookback of [`LOOKBACK`]. A selector under `@` with a fixed time has the
    /// window `Duration::MAX`.
    pub fn needs(&self) -> Vec<Need> {
        let mut out = Vec::new();
        collect_needs(self, Some(0), &mut out);
        out
    }

    /// The metrics that must exist for the expression to say anything (design: a rule without
    /// them is blind). `absent()` and its like need nothing, and neither does what only
    /// `unless` takes away.
    pub fn required_inputs(&self) -> Inputs {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) => Inputs::All(Vec::new()),
            ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => {
                Inputs::Selector(name_matchers(&s.matchers))
            }
            ExprKind::Binary(b) if b.op == BinaryOp::Or => {
                let mut sides = Vec::new();
                for side in [&b.left, &b.right] {
                    match side.required_inputs() {
                        Inputs::Any(inner) => sides.extend(inner),
                        other @ (Inputs::All(_) | Inputs::Selector(_)) => sides.push(other),
                    }
                }
                Inputs::Any(sides)
            }
            ExprKind::Binary(b) if b.op == BinaryOp::Unless => b.left.required_inputs(),
            ExprKind::Call(c) if matches!(c.function.name, "absent" | "absent_over_time") => {
                Inputs::All(Vec::new())
            }
            // The labels of info metrics are added where there are some.
            ExprKind::Call(c) if matches!(c.function.id, Func::Info) => c
                .args
                .first()
                .map_or_else(|| Inputs::All(Vec::new()), Expr::required_inputs),
            ExprKind::Paren(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Call(_)
            | ExprKind::Subquery(_) => {
                let mut parts: Vec<Inputs> = Vec::new();
                for child in self.children() {
                    let inner = match child.required_inputs() {
                        Inputs::All(inner) => inner,
                        other @ (Inputs::Any(_) | Inputs::Selector(_)) => vec![other],
                    };
                    for part in inner {
                        if !parts.contains(&part) {
                            parts.push(part);
                        }
                    }
                }
                if parts.len() == 1 {
                    parts.remove(0)
                } else {
                    Inputs::All(parts)
                }
            }
        }
    }

    /// The comparison when the expression ends in exactly one comparison with a number: the top
    /// node compares with a number (not `bool`), and no other comparison with a number is in it.
    pub fn threshold(&self) -> Option<Threshold> {
        let top = self.bare();
        let found = comparison(top)?;
        let others = top
            .children()
            .into_iter()
            .map(count_comparisons)
            .sum::<usize>();
        (others == 0).then_some(found)
    }

    /// This expression with the number of its [`threshold`](Self::threshold) replaced;
    /// unchanged without one.
    #[must_use]
    pub fn with_threshold(&self, number: f64) -> Expr {
        let mut out = self.clone();
        if self.threshold().is_some() {
            replace(&mut out, number);
        }
        out
    }
}

/// `text` of an expression with the number of its threshold replaced, everything else kept;
/// `None` when the expression has none.
pub fn replace_threshold(text: &str, expr: &Expr, number: f64) -> Option<String> {
    let span = expr.threshold()?.span;
    let before = text.get(..span.start)?;
    let after = text.get(span.end..)?;
    Some(format!("{before}{}{after}", super::display::number(number)))
}

fn name_matchers(matchers: &[Matcher]) -> Vec<Matcher> {
    let names: Vec<Matcher> = matchers
        .iter()
        .filter(|m| m.name == crate::model::labels::NAME)
        .cloned()
        .collect();
    if names.is_empty() {
        matchers.to_vec()
    } else {
        names
    }
}

/// `back` is how many milliseconds before the query's time the expression may be evaluated;
/// `None` when that is not bounded.
fn collect_needs(expr: &Expr, back: Option<i64>, out: &mut Vec<Need>) {
    if let Some(selector) = expr.selector() {
        let range = if let ExprKind::Range { range, .. } = &expr.kind {
            fixed(range)
        } else {
            0
        };
        // Without a range, or with ends that are sought beyond it, samples of before count.
        let beyond = if range == 0 || selector.edges != Edges::Plain {
            lookback()
        } else {
            0
        };
        let back = shifted(back, &selector.shift);
        let back = back.map(|b| b.saturating_add(range).saturating_add(beyond));
        add_need(selector.matchers.clone(), back, out);
        return;
    }
    if let ExprKind::Call(call) = &expr.kind
        && matches!(call.function.id, Func::Info)
        && let [base, info] = &call.args[..]
        && let Some(info) = info.selector()
    {
        collect_needs(base, back, out);
        // The info series are read at the time of the first selector of the other argument.
        let back = first_read(base, back).unwrap_or(back);
        let back = back.map(|b| b.saturating_add(lookback()));
        if let Ok(matchers) = info_matchers(&info.matchers) {
            add_need(matchers, back, out);
        }
        return;
    }
    let back = if let ExprKind::Subquery(s) = &expr.kind {
        shifted(back, &s.shift).map(|b| b.saturating_add(fixed(&s.range)))
    } else {
        back
    };
    for child in expr.children() {
        collect_needs(child, back, out);
    }
}

fn add_need(matchers: Vec<Matcher>, back: Option<i64>, out: &mut Vec<Need>) {
    let window = back.map_or(Duration::MAX, |ms| {
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    });
    match out.iter_mut().find(|n| n.matchers == matchers) {
        Some(known) => known.window = known.window.max(window),
        None => out.push(Need { matchers, window }),
    }
}

/// How far back the first selector under `expr` is read; nothing without one.
fn first_read(expr: &Expr, back: Option<i64>) -> Option<Option<i64>> {
    if let Some(selector) = expr.selector() {
        return Some(shifted(back, &selector.shift));
    }
    let back = if let ExprKind::Subquery(s) = &expr.kind {
        shifted(back, &s.shift).map(|b| b.saturating_add(fixed(&s.range)))
    } else {
        back
    };
    expr.children()
        .into_iter()
        .find_map(|e| first_read(e, back))
}

fn lookback() -> i64 {
    i64::try_from(LOOKBACK.as_millis()).unwrap_or(i64::MAX)
}

fn shifted(back: Option<i64>, shift: &Shift) -> Option<i64> {
    let base = match shift.at {
        Some(At::Time(_)) => return None,
        Some(At::Start | At::End) => 0,
        None => back?,
    };
    Some(base.saturating_add(shift.offset.as_ref().map_or(0, fixed)))
}

/// In an instant query step and range are 0.
fn fixed(length: &Length) -> i64 {
    length.millis(0, 0).unwrap_or(i64::MAX)
}

fn as_number(expr: &Expr) -> Option<(f64, Span)> {
    expr.as_number().map(|v| (v, expr.bare().span))
}

fn comparison(expr: &Expr) -> Option<Threshold> {
    let ExprKind::Binary(b) = &expr.kind else {
        return None;
    };
    if !b.op.is_comparison() || b.returns_bool {
        return None;
    }
    match (as_number(&b.left), as_number(&b.right)) {
        (None, Some((number, span))) => Some(Threshold {
            op: b.op,
            number,
            span,
        }),
        (Some((number, span)), None) => Some(Threshold {
            op: b.op.mirrored(),
            number,
            span,
        }),
        _ => None,
    }
}

fn count_comparisons(expr: &Expr) -> usize {
    usize::from(comparison(expr).is_some())
        + expr
            .children()
            .into_iter()
            .map(count_comparisons)
            .sum::<usize>()
}

fn replace(expr: &mut Expr, number: f64) {
    if let ExprKind::Paren(inner) = &mut expr.kind {
        replace(inner, number);
    } else if let ExprKind::Binary(b) = &mut expr.kind {
        let side = if b.right.as_number().is_some() {
            &mut b.right
        } else {
            &mut b.left
        };
        side.kind = ExprKind::Number(number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::{ParseOptions, parse, parse_with};
    use super::*;

    fn windows(text: &str) -> Vec<(String, u64)> {
        parse_with(text, ParseOptions::all())
            .unwrap()
            .needs()
            .into_iter()
            .map(|n| {
                let m: Vec<String> = n.matchers.iter().map(ToString::to_string).collect();
                (m.join(","), n.window.as_secs())
            })
            .collect()
    }

    #[test]
    fn needs_name_every_selector_with_its_reach() {
        for (text, want) in [
            ("up", vec![("__name__=\"up\"", 300)]),
            ("rate(a[5m] offset 1h)", vec![("__name__=\"a\"", 3900)]),
            (
                "max_over_time(rate(a{j=\"x\"}[5m])[1h:1m] offset 10m) > b",
                vec![
                    ("__name__=\"a\",j=\"x\"", 300 + 3600 + 600),
                    ("__name__=\"b\"", 300),
                ],
            ),
            ("a + a offset 5m", vec![("__name__=\"a\"", 600)]),
            ("a offset -1h", vec![("__name__=\"a\"", 0)]),
            ("1 + 2", vec![]),
            ("rate(a[5m] anchored)", vec![("__name__=\"a\"", 600)]),
            ("rate(a[5m] smoothed)", vec![("__name__=\"a\"", 600)]),
            ("a smoothed offset 1m", vec![("__name__=\"a\"", 360)]),
            (
                "info(rate(a[5m] offset 1h))",
                vec![("__name__=\"a\"", 3900), ("__name__=\"target_info\"", 3900)],
            ),
            (
                "info(a, {x=\"1\"})",
                vec![
                    ("__name__=\"a\"", 300),
                    ("x=\"1\",__name__=\"target_info\"", 300),
                ],
            ),
            (
                "max_over_time(info(a, {__name__!=\"b\"})[1h:1m])",
                vec![
                    ("__name__=\"a\"", 3900),
                    ("__name__!=\"b\",__name__=~\".+_info\"", 3900),
                ],
            ),
        ] {
            let want: Vec<(String, u64)> =
                want.into_iter().map(|(m, s)| (m.to_owned(), s)).collect();
            assert_eq!(windows(text), want, "{text}");
        }
        assert_eq!(parse("a @ 5").unwrap().needs()[0].window, Duration::MAX);
    }

    #[test]
    fn a_threshold_is_one_comparison_with_a_number_at_the_top() {
        for (text, want) in [
            ("a > 0.8", Some(("a > 0.5", BinaryOp::Greater, 0.8))),
            (
                "(0.8 <= a)",
                Some(("(0.5 <= a)", BinaryOp::GreaterEqual, 0.8)),
            ),
            (
                "a / b  >=  (90)",
                Some(("a / b  >=  (0.5)", BinaryOp::GreaterEqual, 90.0)),
            ),
            ("a < -1", Some(("a < 0.5", BinaryOp::Less, -1.0))),
            ("(a > 1) > 2", None),
            ("a > bool 2", None),
            ("a > b", None),
            ("a > 1 and b", None),
        ] {
            let expr = parse(text).unwrap();
            let got = expr.threshold().map(|t| (t.op, t.number));
            assert_eq!(got, want.map(|(_, op, n)| (op, n)), "{text}");
            assert_eq!(
                replace_threshold(text, &expr, 0.5).as_deref(),
                want.map(|w| w.0),
                "{text}"
            );
            if want.is_some() {
                let t = expr.with_threshold(0.5).threshold();
                assert_eq!(t.map(|t| t.number), Some(0.5), "{text}");
            }
        }
    }

    #[test]
    fn one_side_of_an_or_is_enough() {
        for (text, have, want) in [
            ("a{x=\"1\"} / b > 1", vec!["a", "b"], true),
            ("a / b > 1", vec!["a"], false),
            ("a or b", vec!["b"], true),
            ("(a or b or c) > 1", vec!["c"], true),
            ("a unless b", vec!["a"], true),
            ("absent(a)", vec![], true),
            ("sum(rate(a[5m])) or vector(0)", vec![], true),
        ] {
            let got = parse(text)
                .unwrap()
                .required_inputs()
                .satisfied(&mut |m| m.iter().all(|m| have.iter().any(|h| m.matches(h))));
            assert_eq!(got, want, "{text} with {have:?}");
        }
    }
}
