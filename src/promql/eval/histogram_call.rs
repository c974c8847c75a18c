//! Functions of histograms, native and classic.

use crate::model::Histogram;
use crate::model::histogram::NanEffect;

use super::super::ast::{Call, Expr, Span};
use super::super::functions::{Part, buckets, labels};
use super::call::{arg, text};
use super::group::{Groups, Key};
use super::notes::for_metric;
use super::value::{Point, Vector};
use super::{Element, Eval, Evaluation};

/// One value of a histogram, with a label that it adds.
type Valued<'l> = (Option<(&'l str, &'l str)>, f64);

impl Evaluation<'_> {
    pub(super) fn histogram_part(&self, operand: &Expr, part: Part, t: i64) -> Eval<Vector> {
        let mut vector = self.vector(operand, t)?;
        vector.retain_mut(|e| {
            let Point::Histogram(h) = &e.point else {
                return false;
            };
            e.point = Point::Float(match part {
                Part::Avg => h.sum / h.count,
                Part::Count => h.count,
                Part::Sum => h.sum,
                Part::Stddev => h.variance().sqrt(),
                Part::Stdvar => h.variance(),
            });
            true
        });
        self.nameless(vector)
    }

    pub(super) fn histogram_quantile(&self, call: &Call, t: i64) -> Eval<Vector> {
        let q = self.number(call, 0, t)?;
        self.check_quantile(q, arg(call, 0)?.span);
        self.quantiles(arg(call, 1)?, t, &[(None, q)])
    }

    pub(super) fn histogram_quantiles(&self, call: &Call, t: i64) -> Eval<Vector> {
        let label = text(arg(call, 1)?)?;
        labels::check_name(label)?;
        let mut named = Vec::new();
        for e in &call.args[2..] {
            let q = self.scalar(e, t)?;
            self.check_quantile(q, e.span);
            named.push((labels::quantile_text(q), q));
        }
        let wanted: Vec<Valued<'_>> = named
            .iter()
            .map(|(name, q)| (Some((label, name.as_str())), *q))
            .collect();
        self.quantiles(arg(call, 0)?, t, &wanted)
    }

    fn quantiles(&self, operand: &Expr, t: i64, wanted: &[Valued<'_>]) -> Eval<Vector> {
        let classic = |histogram: &buckets::Classic| {
            let mut forced = false;
            let values = wanted.iter().map(|(label, q)| {
                let (v, raised) = histogram.quantile(*q);
                forced |= raised;
                (*label, v)
            });
            (values.collect(), forced)
        };
        let native = |histogram: &Histogram, name: &str| {
            let values = wanted.iter().map(|(label, q)| {
                let (v, effect) = histogram.quantile(*q);
                self.note_nan(effect, name, operand.span);
                (*label, v)
            });
            values.collect()
        };
        self.of_histograms(operand, t, classic, native)
    }

    pub(super) fn histogram_fraction(&self, call: &Call, t: i64) -> Eval<Vector> {
        let (low, high) = (self.number(call, 0, t)?, self.number(call, 1, t)?);
        let operand = arg(call, 2)?;
        let native = |histogram: &Histogram, name: &str| {
            let (v, has_nan) = histogram.fraction(low, high);
            if has_nan {
                self.notes.info(
                    operand.span,
                    &format!(
                        "input to histogram_fraction has NaN observations, which are excluded \
                         from all fractions{}",
                        for_metric(name)
                    ),
                );
            }
            vec![(None, v)]
        };
        let classic =
            |histogram: &buckets::Classic| (vec![(None, histogram.fraction(low, high))], false);
        self.of_histograms(operand, t, classic, native)
    }

    fn note_nan(&self, effect: NanEffect, name: &str, span: Span) {
        let what = match effect {
            NanEffect::None => return,
            NanEffect::IsNan => "NaN",
            NanEffect::Skewed => "skewed higher",
        };
        self.notes.info(
            span,
            &format!(
                "input to histogram_quantile has NaN observations, result is {what}{}",
                for_metric(name)
            ),
        );
    }

    /// Groups classic buckets into histograms and computes from each, and from each native one.
    /// `classic` also tells whether falling counts had to be raised.
    fn of_histograms<'l>(
        &self,
        operand: &Expr,
        t: i64,
        classic: impl Fn(&buckets::Classic) -> (Vec<Valued<'l>>, bool),
        native: impl Fn(&Histogram, &str) -> Vec<Valued<'l>>,
    ) -> Eval<Vector> {
        let (natives, floats): (Vector, Vector) = self
            .vector(operand, t)?
            .into_iter()
            .partition(|e| matches!(e.point, Point::Histogram(_)));
        let mut bad = |element: &Element, le: &str| {
            self.notes.warn(
                operand.span,
                &format!(
                    "bucket label \"le\" is missing or has a malformed value of {le:?}{}",
                    for_metric(element.labels.name())
                ),
            );
        };
        let mut grouped = buckets::group(floats, &mut bad);
        let le = ["le".to_owned()];
        let mut out = Vec::new();
        let mut conflicts = Groups::new(Key::Except(&le));
        if !natives.is_empty() {
            let mut groups = Groups::new(Key::Except(&le));
            for (element, _) in &grouped {
                groups.insert(&element.labels);
            }
            for element in natives {
                let name = element.labels.name();
                if groups.find(&element.labels).is_some() {
                    conflicts.insert(&element.labels);
                    self.notes.warn(
                        operand.span,
                        &format!(
                            "vector contains a mix of classic and native histograms{}",
                            for_metric(name)
                        ),
                    );
                } else if let Point::Histogram(h) = &element.point {
                    let values = native(h, name);
                    self.push_values(&element, values, &mut out);
                }
            }
            grouped.retain(|(element, _)| conflicts.find(&element.labels).is_none());
        }
        for (element, histogram) in grouped {
            let (values, forced) = classic(&histogram);
            self.push_values(&element, values, &mut out);
            if forced {
                self.notes.info(
                    operand.span,
                    &format!(
                        "input to histogram_quantile needed to be fixed for monotonicity (see \
                         https://prometheus.io/docs/prometheus/latest/querying/functions/\
                         #histogram_quantile){}",
                        for_metric(element.labels.name())
                    ),
                );
            }
        }
        self.unique(out)
    }

    fn push_values(&self, element: &Element, values: Vec<Valued<'_>>, out: &mut Vector) {
        for (label, v) in values {
            let mut result = element.clone();
            result.point = Point::Float(v);
            self.drop_name(&mut result);
            if let Some((name, value)) = label {
                result.labels = result.labels.with(name, value);
            }
            out.push(result);
        }
    }
}
