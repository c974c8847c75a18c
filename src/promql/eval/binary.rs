//! Binary operators.

use std::sync::Arc;

use crate::model::histogram::{Histogram, Incompatible, Met, ResetHint};
use crate::model::{Labels, QueryError};

use super::super::ast::{Binary, BinaryOp, Card, Matching, Span, ValueType};
use super::super::display;
use super::group::{Groups, Key};
use super::value::{Element, Point, Vector, without_metadata};
use super::{Eval, Evaluation, changes_meaning, one_metric, truth};

impl Evaluation<'_> {
    pub(super) fn binary(&self, b: &Binary, span: Span, t: i64) -> Eval<Vector> {
        let scalar_left = b.left.value_type() == ValueType::Scalar;
        if scalar_left || b.right.value_type() == ValueType::Scalar {
            let (vector, scalar) = if scalar_left {
                let scalar = self.scalar(&b.left, t)?;
                (self.vector(&b.right, t)?, scalar)
            } else {
                (self.vector(&b.left, t)?, self.scalar(&b.right, t)?)
            };
            return self.with_scalar(b, span, vector, scalar, scalar_left);
        }
        let left = self.vector(&b.left, t)?;
        let right = self.vector(&b.right, t)?;
        self.work(left.len() + right.len())?;
        match b.op {
            BinaryOp::And => Ok(and(left, &right, &b.matching, true)),
            BinaryOp::Unless => Ok(and(left, &right, &b.matching, false)),
            BinaryOp::Or => Ok(or(left, right, &b.matching)),
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
            | BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterEqual
            | BinaryOp::Less
            | BinaryOp::LessEqual
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower => self.matched(b, span, &left, &right),
        }
    }

    fn with_scalar(
        &self,
        b: &Binary,
        span: Span,
        vector: Vector,
        scalar: f64,
        scalar_left: bool,
    ) -> Eval<Vector> {
        let drops = changes_meaning(b.op) || b.returns_bool;
        let one = !drops || one_metric(vector.iter().map(|e| &e.labels));
        self.work(vector.len())?;
        let mut out = Vec::with_capacity(vector.len());
        let number = Point::Float(scalar);
        let mut remark = None;
        for mut element in vector {
            let (left, right) = if scalar_left {
                (&number, &element.point)
            } else {
                (&element.point, &number)
            };
            // Filters keep the vector's value, on whichever side it stands.
            let paired = combined(b, (left, right), &element.point, &mut remark);
            let Paired::Kept(point) = paired else {
                continue;
            };
            element.point = point;
            if drops {
                self.drop_name(&mut element);
            }
            out.push(element);
        }
        self.remark_on_binary(remark, span);
        if !one { self.unique(out) } else { Ok(out) }
    }

    fn matched(&self, b: &Binary, span: Span, left: &[Element], right: &[Element]) -> Eval<Vector> {
        let m = &b.matching;
        let nothing = left.is_empty() || right.is_empty();
        if (nothing && !m.fills()) || (left.is_empty() && right.is_empty()) {
            return Ok(Vec::new());
        }
        // The many side is walked, the one side looked up.
        let swapped = m.card == Card::OneToMany;
        let (many, one) = if swapped {
            (right, left)
        } else {
            (left, right)
        };
        // As upstream: with group_right, fill_left is for the many side too.
        let (fill_many, fill_one) = (m.fill_left, m.fill_right);
        let mut groups = Groups::new(key(m));
        for element in one {
            let (group, new) = groups.insert(&element.labels);
            if !new {
                return Err(duplicate_on_one_side(
                    m,
                    swapped,
                    groups.first(group),
                    &element.labels,
                ));
            }
        }
        let mut pairs = Pairs {
            evaluation: self,
            binary: b,
            matched: vec![false; one.len()],
            results: Vec::new(),
            out: Vec::new(),
            remark: None,
        };
        let mut missing: Vec<Element> = Vec::new();
        for element in many {
            match (groups.find(&element.labels), fill_one) {
                (Some(i), _) => pairs.pair(element, &one[i], i)?,
                (None, Some(v)) => {
                    let (i, new) = groups.insert(&element.labels);
                    if new {
                        let labels = key(m).of(&element.labels);
                        missing.push(Element::float(labels, v));
                        pairs.matched.push(false);
                    }
                    pairs.pair(element, &missing[i - one.len()], i)?;
                }
                (None, None) => {}
            }
        }
        if let Some(v) = fill_many {
            for (i, other) in one.iter().enumerate() {
                if !pairs.matched[i] {
                    let element = Element::float(key(m).of(&other.labels), v);
                    pairs.pair(&element, other, i)?;
                }
            }
        }
        let Pairs { out, remark, .. } = pairs;
        self.remark_on_binary(remark, span);
        if m.grouped() {
            return self.unique(out);
        }
        Ok(out)
    }

    fn remark_on_binary(&self, remark: Option<Remark>, span: Span) {
        match remark {
            Some(Remark::Met(met, doing)) => self.note_met(met, span, doing),
            Some(Remark::Info(text)) => self.notes.info(span, &text),
            Some(Remark::Warning(text)) => self.notes.warn(span, &text),
            None => {}
        }
    }

    /// Says what meeting took; `doing` is addition, subtraction or aggregation.
    pub(super) fn note_met(&self, met: Met, span: Span, doing: &str) {
        if met.hints_conflict {
            self.notes.warn(
                span,
                &format!("conflicting counter resets during histogram {doing}"),
            );
        }
        if met.bounds_differed {
            self.notes.info(
                span,
                &format!("mismatched custom buckets were reconciled during {doing}"),
            );
        }
    }
}

/// The pairs of elements found so far, and what became of them.
struct Pairs<'e> {
    evaluation: &'e Evaluation<'e>,
    binary: &'e Binary,
    /// By group, whether it has had a result, kept or filtered out.
    matched: Vec<bool>,
    /// By group, the labels of its results, where several are allowed.
    results: Vec<Option<Groups<'e>>>,
    out: Vector,
    remark: Option<Remark>,
}

impl Pairs<'_> {
    /// An element of the many side and its partner in `group`.
    fn pair(&mut self, element: &Element, other: &Element, group: usize) -> Eval<()> {
        let b = self.binary;
        let m = &b.matching;
        let (l, r) = if m.card == Card::OneToMany {
            (other, element)
        } else {
            (element, other)
        };
        let point = match combined(b, (&l.point, &r.point), &l.point, &mut self.remark) {
            Paired::Kept(point) => Some(point),
            Paired::Filtered => None,
            Paired::Impossible => return Ok(()),
        };
        let again = std::mem::replace(&mut self.matched[group], true);
        if m.card == Card::OneToOne && again {
            return Err(QueryError::Execution(
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)"
                    .to_owned(),
            ));
        }
        let mut result = Element {
            labels: result_labels(&element.labels, &other.labels, b.op, m),
            point: Point::Float(0.0),
            drop_name: element.drop_name && !changes_meaning(b.op),
        };
        if b.returns_bool {
            self.evaluation.drop_name(&mut result);
        }
        if m.card != Card::OneToOne {
            if self.results.len() <= group {
                self.results.resize_with(group + 1, || None);
            }
            let labels = self.results[group].get_or_insert_with(|| Groups::new(Key::All));
            if !labels.insert(&result.labels).1 {
                return Err(QueryError::Execution(
                    "multiple matches for labels: grouping labels must ensure unique matches"
                        .to_owned(),
                ));
            }
        }
        if let Some(point) = point {
            result.point = point;
            self.out.push(result);
        }
        Ok(())
    }
}

/// What became of two points.
enum Paired {
    Kept(Point),
    /// A comparison that does not hold.
    Filtered,
    /// They do not go together.
    Impossible,
}

/// What must be said of a binary operation; as upstream, of its last pair only.
enum Remark {
    Met(Met, &'static str),
    Info(String),
    Warning(String),
}

/// The result for two points, with what must be said of it; `filtered` is what a comparison that
/// holds lets through.
fn combined(
    b: &Binary,
    (left, right): (&Point, &Point),
    filtered: &Point,
    remark: &mut Option<Remark>,
) -> Paired {
    match combine(b.op, left, right) {
        Combined::Value(point) => Paired::Kept(point),
        Combined::Merged(histogram, met) => {
            if met.hints_conflict || met.bounds_differed {
                let doing = if b.op == BinaryOp::Sub {
                    "subtraction"
                } else {
                    "addition"
                };
                *remark = Some(Remark::Met(met, doing));
            }
            Paired::Kept(Point::Histogram(Arc::new(histogram)))
        }
        Combined::Compared(held) if b.returns_bool => Paired::Kept(Point::Float(truth(held))),
        Combined::Compared(true) => Paired::Kept(filtered.clone()),
        Combined::Compared(false) => Paired::Filtered,
        Combined::Incompatible => {
            let kind = |p: &Point| match p {
                Point::Float(_) => "float",
                Point::Histogram(_) => "histogram",
            };
            let op = b.op.as_str();
            *remark = Some(Remark::Info(format!(
                "incompatible sample types encountered for binary operator {op:?}: {} {op} {}",
                kind(left),
                kind(right)
            )));
            Paired::Impossible
        }
        Combined::DifferentBuckets => {
            *remark = Some(Remark::Warning(format!(
                "incompatible bucket layout encountered for binary operator {}",
                b.op.as_str()
            )));
            Paired::Impossible
        }
    }
}

/// What an operator makes of two points.
enum Combined {
    Value(Point),
    Merged(Histogram, Met),
    Compared(bool),
    /// These types do not go together.
    Incompatible,
    /// One histogram has custom bounds, the other has not.
    DifferentBuckets,
}

fn combine(op: BinaryOp, left: &Point, right: &Point) -> Combined {
    let histogram = |h: Histogram| Combined::Value(Point::Histogram(Arc::new(h)));
    match (left, right) {
        (Point::Histogram(l), Point::Float(r)) if op.is_trim() => {
            histogram(l.trimmed(*r, op == BinaryOp::TrimUpper))
        }
        (Point::Float(_), Point::Float(_)) if op.is_trim() => Combined::Incompatible,
        (Point::Float(l), Point::Float(r)) => {
            if op.is_comparison() {
                Combined::Compared(compare(op, *l, *r))
            } else {
                Combined::Value(Point::Float(of_floats(op, *l, *r)))
            }
        }
        (Point::Histogram(l), Point::Float(r)) if op == BinaryOp::Mul => histogram(l.times(*r)),
        (Point::Histogram(l), Point::Float(r)) if op == BinaryOp::Div => histogram(l.divided(*r)),
        (Point::Float(l), Point::Histogram(r)) if op == BinaryOp::Mul => histogram(r.times(*l)),
        (Point::Histogram(l), Point::Histogram(r))
            if matches!(op, BinaryOp::Add | BinaryOp::Sub) =>
        {
            merge(op, l, r)
        }
        (Point::Histogram(l), Point::Histogram(r)) if op == BinaryOp::Equal => {
            Combined::Compared(l.equals(r))
        }
        (Point::Histogram(l), Point::Histogram(r)) if op == BinaryOp::NotEqual => {
            Combined::Compared(!l.equals(r))
        }
        (Point::Histogram(_), _) | (_, Point::Histogram(_)) => Combined::Incompatible,
    }
}

fn merge(op: BinaryOp, left: &Histogram, right: &Histogram) -> Combined {
    let mut out = left.clone();
    let minus = op == BinaryOp::Sub;
    match out.add(right, if minus { -1.0 } else { 1.0 }) {
        Ok(met) => {
            if minus {
                out.reset_hint = ResetHint::Gauge;
            }
            Combined::Merged(out.compact(), met)
        }
        Err(Incompatible) => Combined::DifferentBuckets,
    }
}

/// The result for two floats; comparisons give 1 or 0.
pub(super) fn of_floats(op: BinaryOp, l: f64, r: f64) -> f64 {
    match op {
        BinaryOp::Add => l + r,
        BinaryOp::Sub => l - r,
        BinaryOp::Mul => l * r,
        BinaryOp::Div => l / r,
        BinaryOp::Mod => l % r,
        BinaryOp::Pow => l.powf(r),
        BinaryOp::Atan2 => l.atan2(r),
        BinaryOp::Equal
        | BinaryOp::NotEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterEqual
        | BinaryOp::Less
        | BinaryOp::LessEqual => truth(compare(op, l, r)),
        // The type check keeps sets and trims of numbers out.
        BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Unless
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => f64::NAN,
    }
}

fn compare(op: BinaryOp, l: f64, r: f64) -> bool {
    match op {
        BinaryOp::Equal => l == r,
        BinaryOp::NotEqual => l != r,
        BinaryOp::Greater => l > r,
        BinaryOp::GreaterEqual => l >= r,
        BinaryOp::Less => l < r,
        BinaryOp::LessEqual => l <= r,
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Mod
        | BinaryOp::Pow
        | BinaryOp::Atan2
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Unless => false,
    }
}

fn key(m: &Matching) -> Key<'_> {
    if m.on {
        Key::Only(&m.labels)
    } else {
        Key::Without(&m.labels)
    }
}

fn result_labels(many: &Labels, one: &Labels, op: BinaryOp, m: &Matching) -> Labels {
    let mut labels = if changes_meaning(op) {
        without_metadata(many)
    } else {
        many.clone()
    };
    if m.card == Card::OneToOne {
        if m.on {
            labels = Key::Only(&m.labels).of(&labels);
        } else if !m.labels.is_empty() {
            let names: Vec<&str> = m.labels.iter().map(String::as_str).collect();
            labels = labels.without(&names);
        }
    }
    if !m.include.is_empty() {
        let mut builder = labels.to_builder();
        for name in &m.include {
            builder.set(name, one.get(name));
        }
        labels = builder.build();
    }
    labels
}

fn duplicate_on_one_side(m: &Matching, left: bool, a: &Labels, b: &Labels) -> QueryError {
    let mut pair = [a, b];
    pair.sort();
    QueryError::Execution(format!(
        "found duplicate series for the match group {} on the {} hand-side of the operation: \
         [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
        display::braced(&key(m).of(a)),
        if left { "left" } else { "right" },
        display::braced(pair[0]),
        display::braced(pair[1]),
    ))
}

/// Elements of `left` that have (or have not) a partner.
fn and(left: Vector, right: &[Element], m: &Matching, partnered: bool) -> Vector {
    let mut groups = Groups::new(key(m));
    for element in right {
        groups.insert(&element.labels);
    }
    left.into_iter()
        .filter(|e| groups.find(&e.labels).is_some() == partnered)
        .collect()
}

fn or(left: Vector, right: Vector, m: &Matching) -> Vector {
    let mut groups = Groups::new(key(m));
    for element in &left {
        groups.insert(&element.labels);
    }
    let mut out = left;
    out.extend(
        right
            .into_iter()
            .filter(|e| groups.find(&e.labels).is_none()),
    );
    out
}
