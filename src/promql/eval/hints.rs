//! What histograms say of counter resets.

use std::sync::Arc;

use crate::model::Histogram;
use crate::model::histogram::ResetHint;

use super::super::ast::{Expr, ExprKind};
use super::super::functions::{Func, Part};
use super::value::HistogramAt;

/// Whether what is under `expr` is asked for count and sum only; `None` when `expr` changes
/// nothing in that.
pub(crate) fn told(expr: &Expr) -> Option<bool> {
    if matches!(expr.kind, ExprKind::Subquery(_)) {
        return Some(false);
    }
    let ExprKind::Call(call) = &expr.kind else {
        return None;
    };
    if let Func::HistogramPart(part) = call.function.id {
        return matches!(part, Part::Avg | Part::Count | Part::Sum).then_some(true);
    }
    let whole = matches!(
        call.function.id,
        Func::HistogramQuantile | Func::HistogramQuantiles | Func::HistogramFraction
    );
    whole.then_some(false)
}

/// Replaces unknown hints by what each histogram and the one before it tell.
pub(super) fn tell(histograms: &mut [HistogramAt]) {
    let mut before: Option<Arc<Histogram>> = None;
    for (_, histogram) in histograms {
        let told = before.replace(histogram.clone());
        if let (ResetHint::Unknown, Some(before)) = (histogram.reset_hint, told) {
            let reset_hint = if histogram.is_reset_after(&before) {
                ResetHint::Reset
            } else {
                ResetHint::NotReset
            };
            Arc::make_mut(histogram).reset_hint = reset_hint;
        }
    }
}

/// A subquery may step over samples, so what they say of the one before holds no longer.
pub(super) fn without(histogram: &Arc<Histogram>) -> Arc<Histogram> {
    match histogram.reset_hint {
        ResetHint::Unknown | ResetHint::Gauge => histogram.clone(),
        ResetHint::Reset | ResetHint::NotReset => Arc::new(Histogram {
            reset_hint: ResetHint::Unknown,
            ..(**histogram).clone()
        }),
    }
}
