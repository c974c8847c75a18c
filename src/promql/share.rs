//! Work that several expressions share at one time.
//!
//! What must stay true: an answer is the one that the engine gives without sharing, to the last
//! bit, with the same annotations and under the same limits. A part that had something to say is
//! evaluated anew, so that what it says has the right place. What is kept is dropped when the time
//! changes or when series that it reads are written.

use std::collections::BTreeMap;
use std::collections::hash_map::{DefaultHasher, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::labels::NAME;
use crate::model::{Answer, Labels, MatchOp, Matcher, Querier, QueryError, Session, Timestamp};

use super::ast::{Edges, Expr, ExprKind, Selector, ValueType};
use super::engine::Engine;
use super::eval::value::Vector;
use super::eval::{Loaded, tells_resets};
use super::functions::Func;
use super::parse::{ParseOptions, parse_with};

/// Which parts of a list of expressions are equal.
#[derive(Default)]
pub(crate) struct Plan {
    texts: Vec<String>,
    trees: BTreeMap<String, Arc<Expr>>,
    /// Numbers of shared parts by the address of their nodes, which `trees` keeps in place.
    parts: HashMap<usize, usize>,
    /// Numbers of shared reads by the address of their selectors.
    reads: HashMap<usize, usize>,
    /// Of each part, then of each read, what it selects.
    selects: Vec<Vec<Vec<Matcher>>>,
    part_count: usize,
    /// Parts and reads that may read a metric: by its name, and those that name none.
    by_name: BTreeMap<String, Vec<usize>>,
    unnamed: Vec<usize>,
}

fn address<T>(node: &T) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Plan {
    pub(crate) fn new(texts: &[&str], language: ParseOptions) -> Plan {
        let mut plan = Plan {
            texts: texts.iter().map(|t| (*t).to_owned()).collect(),
            ..Plan::default()
        };
        for text in texts {
            if let Ok(tree) = parse_with(text, language) {
                plan.trees
                    .entry((*text).to_owned())
                    .or_insert(Arc::new(tree));
            }
        }
        let mut counts = Counts::default();
        for text in &plan.texts {
            if let Some(tree) = plan.trees.get(text) {
                counts.count(tree, false);
            }
        }
        let trees: Vec<Arc<Expr>> = plan.trees.values().cloned().collect();
        for tree in &trees {
            plan.number(tree, false, 1, &mut counts);
        }
        plan.part_count = plan.selects.len();
        for tree in &trees {
            plan.number_reads(tree, false, &mut counts);
        }
        for (i, selects) in plan.selects.iter().enumerate() {
            for matchers in selects {
                let name = matchers
                    .iter()
                    .find(|m| m.name == NAME && m.op == MatchOp::Equal);
                match name {
                    Some(m) => plan.by_name.entry(m.value.clone()).or_default().push(i),
                    None => plan.unnamed.push(i),
                }
            }
        }
        plan
    }

    /// True when nothing is shared.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.reads.is_empty()
    }

    pub(crate) fn is_of(&self, texts: &[&str]) -> bool {
        self.texts == texts
    }

    fn number(&mut self, expr: &Expr, resets: bool, above: usize, counts: &mut Counts) {
        let mut above = above;
        if let Some(key) = part_key(expr, resets)
            && let Some((count, number)) = counts.parts.get_mut(&key)
            && *count > above
        {
            above = *count;
            let next = self.selects.len();
            let number = *number.get_or_insert(next);
            if number == next {
                let mut selects = Vec::new();
                collect_matchers(expr, &mut selects);
                self.selects.push(selects);
            }
            self.parts.insert(address(expr), number);
        }
        each_child(expr, resets, &mut |child, resets| {
            self.number(child, resets, above, counts);
        });
    }

    fn number_reads(&mut self, expr: &Expr, resets: bool, counts: &mut Counts) {
        if let Some(selector) = expr.selector() {
            let key = read_key(expr, selector, resets);
            if let Some((count, number)) = counts.reads.get_mut(&key)
                && *count > 1
            {
                let next = self.selects.len();
                let number = *number.get_or_insert(next);
                if number == next {
                    self.selects.push(vec![selector.matchers.clone()]);
                }
                self.reads.insert(address(selector), number);
            }
        }
        each_child(expr, resets, &mut |child, resets| {
            self.number_reads(child, resets, counts);
        });
    }
}

/// How often each part and each read occurs, and its number once it has one.
#[derive(Default)]
struct Counts {
    parts: HashMap<String, (usize, Option<usize>)>,
    reads: HashMap<String, (usize, Option<usize>)>,
}

impl Counts {
    fn count(&mut self, expr: &Expr, resets: bool) {
        if let Some(key) = part_key(expr, resets) {
            self.parts.entry(key).or_default().0 += 1;
        }
        if let Some(selector) = expr.selector() {
            let key = read_key(expr, selector, resets);
            self.reads.entry(key).or_default().0 += 1;
        }
        each_child(expr, resets, &mut |child, resets| self.count(child, resets));
    }
}

/// Visits what is evaluated at the time of the whole: not what is inside a subquery, nor the
/// matchers of `info`.
fn each_child(expr: &Expr, resets: bool, visit: &mut dyn FnMut(&Expr, bool)) {
    if matches!(expr.kind, ExprKind::Subquery(_)) {
        return;
    }
    let resets = tells_resets(expr).unwrap_or(resets);
    let is_info = matches!(&expr.kind, ExprKind::Call(c) if matches!(c.function.id, Func::Info));
    let count = if is_info { 1 } else { usize::MAX };
    for child in expr.children().into_iter().take(count) {
        visit(child, resets);
    }
}

/// What tells equal parts; nothing for what is not worth keeping.
fn part_key(expr: &Expr, resets: bool) -> Option<String> {
    let worth = expr.value_type() == ValueType::Vector
        && !matches!(expr.kind, ExprKind::Paren(_) | ExprKind::Number(_))
        && selects_anything(expr);
    worth.then(|| format!("{resets} {expr}"))
}

/// What tells equal reads: how they are read counts too, but not how far back.
fn read_key(expr: &Expr, selector: &Selector, resets: bool) -> String {
    let range = matches!(expr.kind, ExprKind::Range { .. }) || selector.edges == Edges::Smoothed;
    let matchers: Vec<String> = selector.matchers.iter().map(ToString::to_string).collect();
    format!("{range} {resets} {}", matchers.join(","))
}

fn selects_anything(expr: &Expr) -> bool {
    expr.selector().is_some() || expr.children().into_iter().any(selects_anything)
}

fn collect_matchers(expr: &Expr, out: &mut Vec<Vec<Matcher>>) {
    for need in expr.needs() {
        out.push(need.matchers);
    }
}

/// A result that was kept, with what it cost to get it.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) vector: Arc<Vector>,
    pub(crate) cost: Cost,
}

/// What a part costs, whoever evaluates it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) held: usize,
    pub(crate) worked: usize,
    pub(crate) series_read: usize,
}

/// What a selector read, with the times it covers.
#[derive(Clone)]
pub(crate) struct Read {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) loaded: Arc<Vec<Loaded>>,
    pub(crate) cost: Cost,
}

/// What is kept for the expressions of one plan at one time.
pub(crate) struct Shared {
    plan: Arc<Plan>,
    most_held: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    at: Option<Timestamp>,
    held: usize,
    parts: HashMap<usize, Part>,
    reads: HashMap<usize, Read>,
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the shared part that `expr` is.
    pub(crate) fn part_number(&self, expr: &Expr) -> Option<usize> {
        self.plan.parts.get(&address(expr)).copied()
    }

    /// The number of the shared read that `selector` makes.
    pub(crate) fn read_number(&self, selector: &Selector) -> Option<usize> {
        self.plan.reads.get(&address(selector)).copied()
    }

    pub(crate) fn part(&self, number: usize) -> Option<Part> {
        self.kept().parts.get(&number).cloned()
    }

    pub(crate) fn keep_part(&self, number: usize, part: Part) {
        let mut kept = self.kept();
        kept.held = kept.held.saturating_add(part.cost.held);
        if kept.held <= self.most_held {
            kept.parts.insert(number, part);
        }
    }

    pub(crate) fn read(&self, number: usize) -> Option<Read> {
        self.kept().reads.get(&number).cloned()
    }

    pub(crate) fn keep_read(&self, number: usize, read: Read) {
        let mut kept = self.kept();
        kept.held = kept.held.saturating_add(read.cost.held);
        if kept.held <= self.most_held {
            kept.reads.insert(number, read);
        }
    }
}

/// Asks an engine on behalf of a list of expressions.
pub(crate) struct Sharing<'e> {
    engine: &'e Engine,
    shared: Shared,
}

impl<'e> Sharing<'e> {
    pub(crate) fn new(engine: &'e Engine, plan: Arc<Plan>) -> Self {
        Sharing {
            engine,
            shared: Shared {
                plan,
                most_held: engine.options().max_samples,
                kept: Mutex::default(),
            },
        }
    }
}

impl Querier for Sharing<'_> {
    fn instant(&self, expr: &str, t: Timestamp) -> Result<Answer, QueryError> {
        let Some(tree) = self.shared.plan.trees.get(expr) else {
            return self.engine.instant(expr, t);
        };
        let mut kept = self.shared.kept();
        if kept.at != Some(t) {
            *kept = Kept {
                at: Some(t),
                ..Kept::default()
            };
        }
        drop(kept);
        self.engine.instant_shared(expr, tree, t, &self.shared)
    }
}

impl Session for Sharing<'_> {
    fn wrote(&self, labels: &Labels) {
        let plan = &self.shared.plan;
        let named = plan.by_name.get(labels.name());
        let mut touched = named.into_iter().flatten().chain(&plan.unnamed).peekable();
        if touched.peek().is_none() {
            return;
        }
        let mut kept = self.shared.kept();
        for number in touched {
            let reads_it = plan.selects[*number]
                .iter()
                .any(|matchers| matchers.iter().all(|m| m.matches_labels(labels)));
            if reads_it && *number < plan.part_count {
                kept.parts.remove(number);
            } else if reads_it {
                kept.reads.remove(number);
            }
        }
    }
}

/// A key for a list of expressions.
pub(crate) fn hash_of(texts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
