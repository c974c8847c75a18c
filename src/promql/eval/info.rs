//! The function `info`: labels of info metrics added to other series.

use std::collections::BTreeMap;

use crate::model::labels::NAME;
use crate::model::{Labels, MatchOp, Matcher, QueryError};

use super::super::ast::{Call, Expr, ExprKind, Selector};
use super::super::functions::TARGET_INFO;
use super::call::arg;
use super::group::{Groups, Key};
use super::value::{Point, Vector};
use super::{Element, Eval, Evaluation, not_a};

/// Labels by which series and info metrics find each other.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// Which series hold the info: the written matchers, and a name where none is asked for.
pub(crate) fn matchers(written: &[Matcher]) -> Eval<Vec<Matcher>> {
    let mut out = written.to_vec();
    let named = |m: &&Matcher| m.name == NAME;
    if !written.iter().any(|m| named(&m)) {
        out.push(Matcher::equal(NAME, TARGET_INFO));
    } else if !written.iter().filter(named).any(is_positive) {
        let any_info =
            Matcher::new(NAME, MatchOp::Regex, ".+_info").map_err(QueryError::Execution)?;
        out.push(any_info);
    }
    Ok(out)
}

fn is_positive(matcher: &Matcher) -> bool {
    matches!(matcher.op, MatchOp::Equal | MatchOp::Regex)
}

impl Evaluation<'_> {
    pub(super) fn info(&self, call: &Call, t: i64) -> Eval<Vector> {
        let operand = arg(call, 0)?;
        let selector = arg(call, 1)?
            .selector()
            .ok_or_else(|| not_a("label matchers"))?;
        let base = self.vector(operand, t)?;
        let at = self.reference(operand, t)?.unwrap_or(t);
        let info = self.info_at(selector, at)?;
        let names: Vec<&Matcher> = named(selector, true).collect();
        let data: Vec<&Matcher> = named(selector, false).collect();
        let optional = data.iter().all(|m| m.matches(""));
        let identity: Vec<String> = IDENTIFYING.iter().map(|n| (*n).to_owned()).collect();
        let mut groups = Groups::new(Key::Only(&identity));
        let mut by_identity: Vec<Vec<&Labels>> = Vec::new();
        for labels in &info {
            let (group, new) = groups.insert(labels);
            if new {
                by_identity.push(Vec::new());
            }
            by_identity[group].push(labels);
        }
        let mut out = Vec::with_capacity(base.len());
        for mut element in base {
            self.work(1)?;
            let is_info = names.iter().any(|m| is_positive(m))
                && names.iter().all(|m| m.matches(element.labels.name()));
            if is_info {
                out.push(element);
                continue;
            }
            let same = groups.find(&element.labels).map(|g| &by_identity[g][..]);
            let Some(added) = added(&element.labels, same.unwrap_or_default(), &data)? else {
                if optional {
                    out.push(element);
                }
                continue;
            };
            let mut labels = element.labels.to_builder();
            for (name, value) in added {
                labels.set(name, value);
            }
            element.labels = labels.build();
            out.push(element);
        }
        self.unique(out)
    }

    /// The newest info series of each name and identity at `at`.
    fn info_at(&self, selector: &Selector, at: i64) -> Eval<Vec<Labels>> {
        let keys: Vec<String> = IDENTIFYING
            .iter()
            .chain(&[NAME])
            .map(|n| (*n).to_owned())
            .collect();
        let mut groups = Groups::new(Key::Only(&keys));
        let mut newest: Vec<(Element, i64)> = Vec::new();
        for (element, time) in self.instant_at(selector, at)? {
            if matches!(element.point, Point::Histogram(_)) {
                return Err(QueryError::Execution(
                    "info sample should be float".to_owned(),
                ));
            }
            let (group, new) = groups.insert(&element.labels);
            if new {
                newest.push((element, time));
            } else if newest[group].1 == time {
                return Err(QueryError::Execution(format!(
                    "found duplicate series for info metric {}",
                    element.labels.name()
                )));
            } else if newest[group].1 < time {
                newest[group] = (element, time);
            }
        }
        Ok(newest.into_iter().map(|(e, _)| e.labels).collect())
    }

    /// The time that the first selector under `expr` is read at.
    pub(super) fn reference(&self, expr: &Expr, t: i64) -> Eval<Option<i64>> {
        if let Some(selector) = expr.selector() {
            return self.shifted(&selector.shift, t).map(Some);
        }
        let t = if let ExprKind::Subquery(s) = &expr.kind {
            self.shifted(&s.shift, t)?
        } else {
            t
        };
        for child in expr.children() {
            if let Some(at) = self.reference(child, t)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

fn named(selector: &Selector, name: bool) -> impl Iterator<Item = &Matcher> {
    selector
        .matchers
        .iter()
        .filter(move |m| (m.name == NAME) == name)
}

/// What `info`, the info series of its identity, add to `base`: the labels that `data` asks for, or
/// all when it asks for none. Labels of `base` stay. `None` when there is no such series.
fn added<'i>(
    base: &Labels,
    info: &[&'i Labels],
    data: &[&Matcher],
) -> Eval<Option<BTreeMap<&'i str, &'i str>>> {
    if IDENTIFYING.iter().all(|n| base.get(n).is_empty()) {
        return Ok(None);
    }
    let mut found = None;
    for labels in info {
        let out: &mut BTreeMap<&str, &str> = found.get_or_insert_default();
        for (name, value) in labels.iter() {
            let wanted = data.is_empty() || data.iter().any(|m| m.name == name);
            if name == NAME || !wanted {
                continue;
            }
            if out.get(name).is_some_and(|v| *v != value) {
                return Err(QueryError::Execution(format!("conflicting label: {name}")));
            }
            if base.get(name).is_empty() {
                out.insert(name, value);
            }
        }
    }
    Ok(found)
}
