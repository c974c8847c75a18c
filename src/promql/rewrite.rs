//! The same question over a shorter past.

use std::time::Duration;

use super::ast::{Expr, ExprKind, Length};

/// Replaces every range of `expr` that is longer than `window` by `window`: for a look at a
/// system of which only the last seconds are known.
pub fn shorten_ranges(expr: &Expr, window: Duration) -> Expr {
    let millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let cap = |length: &mut Length| {
        if length.millis(1, 1).is_none_or(|m| m > millis) {
            *length = Length::Millis(millis);
        }
    };
    let mut short = expr.clone();
    visit(&mut short, &mut |expr| match &mut expr.kind {
        ExprKind::Range { range, .. } => cap(range),
        ExprKind::Subquery(subquery) => cap(&mut subquery.range),
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::Paren(_)
        | ExprKind::Unary { .. }
        | ExprKind::Binary(_)
        | ExprKind::Aggregate(_)
        | ExprKind::Call(_)
        | ExprKind::Selector(_) => {}
    });
    short
}

/// The longest range or subquery of `expr`; zero when it reads instants only.
pub fn longest_range(expr: &Expr) -> Duration {
    let mut longest = 0;
    visit(&mut expr.clone(), &mut |expr| {
        let range = match &expr.kind {
            ExprKind::Range { range, .. } => range.millis(1, 1),
            ExprKind::Subquery(subquery) => subquery.range.millis(1, 1),
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Paren(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Call(_)
            | ExprKind::Selector(_) => None,
        };
        longest = longest.max(range.unwrap_or(0));
    });
    Duration::from_millis(longest.unsigned_abs())
}

fn visit(expr: &mut Expr, each: &mut dyn FnMut(&mut Expr)) {
    each(expr);
    match &mut expr.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::Selector(_)
        | ExprKind::Range { .. } => {}
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => visit(inner, each),
        ExprKind::Binary(binary) => {
            visit(&mut binary.left, each);
            visit(&mut binary.right, each);
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                visit(param, each);
            }
            visit(&mut aggregate.expr, each);
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| visit(arg, each)),
        ExprKind::Subquery(subquery) => visit(&mut subquery.expr, each),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse;

    #[test]
    fn only_longer_ranges_change() {
        for (text, want) in [
            ("rate(m[15m]) > 0.5", "rate(m[10s]) > 0.5"),
            (
                "max_over_time(rate(m[5s])[1h:1m])",
                "max_over_time(rate(m[5s])[10s:1m])",
            ),
            ("m offset 5m", "m offset 5m"),
            (
                "quantile(0.9, rate(m[1m])) / sum(n)",
                "quantile(0.9, rate(m[10s])) / sum(n)",
            ),
        ] {
            let short = shorten_ranges(&parse(text).unwrap(), Duration::from_secs(10));
            assert_eq!(short.to_string(), parse(want).unwrap().to_string());
        }
    }

    #[test]
    fn the_longest_range_counts() {
        for (text, secs) in [
            ("m > 1", 0),
            ("rate(m[5m]) / rate(n[1h])", 3600),
            ("avg_over_time(m[2h:1m])", 7200),
        ] {
            assert_eq!(
                longest_range(&parse(text).unwrap()),
                Duration::from_secs(secs)
            );
        }
    }
}
