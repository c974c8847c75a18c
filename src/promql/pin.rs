//! An expression fixed in time by `@`.

use crate::model::Timestamp;

use super::ast::{At, Expr, ExprKind, Shift};
use super::functions::Func;

/// Functions whose result depends on the evaluation time whatever their argument.
const OF_TIME: [&str; 15] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

impl Expr {
    /// True when a function of one of these names is called somewhere.
    pub fn calls_any(&self, names: &[&str]) -> bool {
        let here = matches!(&self.kind, ExprKind::Call(c) if names.contains(&c.function.name));
        here || self.children().into_iter().any(|e| e.calls_any(names))
    }

    /// True when the result depends on where the query's range starts and ends or on its step,
    /// be it through a function, a duration or `@`.
    pub fn depends_on_query_times(&self) -> bool {
        let shift = |s: &Shift| {
            matches!(s.at, Some(At::Start | At::End))
                || s.offset.as_ref().is_some_and(|o| !o.is_constant())
        };
        let here = match &self.kind {
            ExprKind::Selector(s) => shift(&s.shift),
            ExprKind::Range { selector, range } => shift(&selector.shift) || !range.is_constant(),
            ExprKind::Subquery(s) => {
                shift(&s.shift)
                    || !s.range.is_constant()
                    || s.step.as_ref().is_some_and(|l| !l.is_constant())
            }
            ExprKind::Call(c) => ["start", "end", "range", "step"].contains(&c.function.name),
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Paren(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary(_)
            | ExprKind::Aggregate(_) => false,
        };
        here || self
            .children()
            .into_iter()
            .any(Expr::depends_on_query_times)
    }

    /// The expression with `@ t` on every selector and subquery that has no `@`, the inside of
    /// a subquery left alone: it gives the same result at any time. `None` when it calls a
    /// function that depends on the evaluation time.
    pub fn pinned(&self, t: Timestamp) -> Option<Expr> {
        if self.calls_any(&OF_TIME) {
            return None;
        }
        let mut out = self.clone();
        pin(&mut out, t.millis());
        Some(out)
    }
}

fn pin(expr: &mut Expr, t: i64) {
    let set = |shift: &mut Shift| shift.at = Some(shift.at.unwrap_or(At::Time(t)));
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => set(&mut s.shift),
        ExprKind::Subquery(s) => set(&mut s.shift),
        ExprKind::Paren(e) | ExprKind::Unary { expr: e, .. } => pin(e, t),
        ExprKind::Binary(b) => {
            pin(&mut b.left, t);
            pin(&mut b.right, t);
        }
        ExprKind::Aggregate(a) => {
            if let Some(param) = &mut a.param {
                pin(param, t);
            }
            pin(&mut a.expr, t);
        }
        // The second argument of info is no selector of its own: it follows the first.
        ExprKind::Call(c) if matches!(c.function.id, Func::Info) => {
            c.args.iter_mut().take(1).for_each(|e| pin(e, t));
        }
        ExprKind::Call(c) => c.args.iter_mut().for_each(|e| pin(e, t)),
    }
}
