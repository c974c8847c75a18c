//! The cross-check of the playbook: ids, citations, queries, cycles.

use std::collections::{BTreeMap, BTreeSet};

use serde_spanned::Spanned;

use crate::model::{Position, Problem};

use super::guard::{Guard, RefKind};
use super::rows::{Detect, File, OrderKind, Text};
use super::{Loaded, Playbook};

/// Splits `[B]1K-10K` into `B` and `1K-10K`.
pub(super) fn split_citation(tag: &str) -> Option<(&str, &str)> {
    tag.strip_prefix('[')?.split_once(']')
}

/// Splits a text at its first citation: what is before it, the citation, what is after it.
pub(super) fn next_citation(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('[').map(|i| i + from) {
        let rest = &text[open + 1..];
        let letters = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        if letters == 1 && rest[1..].starts_with(']') {
            let locator = rest[2..]
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+'))
                .count();
            let end = open + 3 + locator;
            if locator > 0 {
                return Some((&text[..open], &text[open..end], &text[end..]));
            }
        }
        from = open + 1;
    }
    None
}

/// What the files define, all together.
#[derive(Default)]
struct Ids {
    by_kind: BTreeMap<&'static str, BTreeSet<String>>,
    sections: BTreeMap<String, BTreeSet<String>>,
}

impl Ids {
    fn add(&mut self, kind: &'static str, id: &Text) {
        self.by_kind
            .entry(kind)
            .or_default()
            .insert(id.get_ref().clone());
    }

    fn has(&self, kind: &str, id: &str) -> bool {
        self.by_kind.get(kind).is_some_and(|ids| ids.contains(id))
    }

    fn nearest(&self, kind: &str, id: &str) -> String {
        let close = self.by_kind.get(kind).and_then(|ids| {
            ids.iter()
                .map(|known| (distance(known, id), known))
                .min()
                .filter(|(d, _)| *d <= 3)
        });
        close.map_or_else(String::new, |(_, known)| {
            format!("; did you mean {known:?}?")
        })
    }
}

/// Checks every reference of every file; returns the problems and all queries.
pub(super) fn references(
    loaded: &[Loaded<'_>],
    check_promql: &dyn Fn(&str) -> Result<(), String>,
) -> (Vec<Problem>, BTreeSet<String>) {
    let mut ids = Ids::default();
    for l in loaded {
        define(&l.file, &mut ids);
    }
    let mut problems = Vec::new();
    let mut queries = BTreeSet::new();
    for l in loaded {
        let mut c = Checker {
            l,
            ids: &ids,
            check_promql,
            problems: &mut problems,
            queries: &mut queries,
        };
        c.file();
    }
    (problems, queries)
}

/// Finds cycles among the order rules; a rule that closes one is the finding.
pub(super) fn cycles(book: &Playbook, loaded: &[Loaded<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for prefer_too in [false, true] {
        let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for o in book.orders.values() {
            // A rule with a guard may contradict another whose guard is its opposite.
            if o.kind == OrderKind::Prefer && (!prefer_too || o.guard.is_some()) {
                continue;
            }
            let (first, then) = (o.first.get_ref().as_str(), o.then.get_ref().as_str());
            if reaches(&after, then, first) {
                problems.push(in_last_file(loaded, &o.id, |p| Problem {
                    context: format!("order {:?}", o.id.get_ref()),
                    message: format!(
                        "{first:?} before {then:?} closes a cycle with the other order rules"
                    ),
                    ..p
                }));
            }
            after.entry(first).or_default().push(then);
        }
        if !problems.is_empty() {
            break;
        }
    }
    let mut row_after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in book.rows.values() {
        let sign = row.sign.get_ref().as_str();
        for to in row.candidate.iter().filter_map(|c| c.row.as_ref()) {
            if sign == to.get_ref() || reaches(&row_after, to.get_ref(), sign) {
                problems.push(in_last_file(loaded, &row.sign, |p| Problem {
                    context: format!("row {sign:?}"),
                    message: format!("going on with {:?} closes a circle", to.get_ref()),
                    ..p
                }));
            }
            row_after.entry(sign).or_default().push(to.get_ref());
        }
    }
    problems
}

fn in_last_file(loaded: &[Loaded<'_>], at: &Text, fill: impl Fn(Problem) -> Problem) -> Problem {
    let home = loaded.iter().rev().find(|l| {
        l.text
            .get(at.span())
            .is_some_and(|t| t.contains(at.get_ref()))
    });
    fill(Problem {
        file: home.map_or_else(String::new, |l| l.name.to_owned()),
        position: home.map(|l| Position::of_offset(l.text, at.span().start)),
        context: String::new(),
        message: String::new(),
    })
}

fn reaches(after: &BTreeMap<&str, Vec<&str>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            open.extend(after.get(at).into_iter().flatten());
        }
    }
    false
}

fn define(f: &File, ids: &mut Ids) {
    f.rung.iter().for_each(|r| ids.add("rung", &r.id));
    f.line.iter().for_each(|r| ids.add("line", &r.id));
    f.sign.iter().for_each(|r| ids.add("sign", &r.id));
    f.row.iter().for_each(|r| ids.add("row", &r.sign));
    f.step.iter().for_each(|r| ids.add("step", &r.id));
    f.fact.iter().for_each(|r| ids.add("fact", &r.id));
    f.order.iter().for_each(|r| ids.add("order", &r.id));
    f.conflict.iter().for_each(|r| ids.add("conflict", &r.id));
    f.dont.iter().for_each(|r| ids.add("dont", &r.id));
    f.principle.iter().for_each(|r| ids.add("principle", &r.id));
    f.sequence.iter().for_each(|r| ids.add("sequence", &r.id));
    f.example.iter().for_each(|r| ids.add("example", &r.id));
    for s in &f.source {
        ids.sections
            .entry(s.tag.get_ref().clone())
            .or_default()
            .extend(s.sections.keys().cloned());
    }
}

/// What may carry an item of a document.
const CARRIERS: [&str; 10] = [
    "sign",
    "step",
    "rung",
    "fact",
    "order",
    "conflict",
    "principle",
    "dont",
    "sequence",
    "example",
];

struct Checker<'a> {
    l: &'a Loaded<'a>,
    ids: &'a Ids,
    check_promql: &'a dyn Fn(&str) -> Result<(), String>,
    problems: &'a mut Vec<Problem>,
    queries: &'a mut BTreeSet<String>,
}

impl Checker<'_> {
    fn file(&mut self) {
        let f = &self.l.file;
        self.unique("rung", f.rung.iter().map(|r| &r.id));
        self.unique("line", f.line.iter().map(|r| &r.id));
        self.unique("sign", f.sign.iter().map(|r| &r.id));
        self.unique("row", f.row.iter().map(|r| &r.sign));
        self.unique("step", f.step.iter().map(|r| &r.id));
        self.unique("order", f.order.iter().map(|r| &r.id));
        self.unique("implies", f.implies.iter().map(|r| &r.id));
        self.unique("fact", f.fact.iter().map(|r| &r.id));
        self.unique("conflict", f.conflict.iter().map(|r| &r.id));
        self.unique("dont", f.dont.iter().map(|r| &r.id));
        self.unique("source", f.source.iter().map(|r| &r.tag));
        self.unique("limit", f.limit.iter().map(|r| &r.id));
        for r in &f.limit {
            let at = format!("limit {:?}", r.id.get_ref());
            self.reference(&at, "sign", Some(&r.sign));
            self.query(&at, r.value.as_ref());
            self.query(&at, r.limit.as_ref());
            self.reference(&at, "fact", r.value_fact.as_ref());
            self.reference(&at, "fact", r.limit_fact.as_ref());
            self.cites(&at, &r.cite);
            if let Some(problem) = r.problem() {
                self.problem(&at, &r.id, problem);
            }
        }
        self.texts();
        for r in &f.sign {
            if !self.ids.has("row", r.id.get_ref()) {
                let at = format!("sign {:?}", r.id.get_ref());
                let message = "has no [[row]] of candidates";
                self.problem(&at, &r.id, message.to_owned());
            }
        }
        for r in &f.line {
            self.refs("line", &r.id, "sign", &r.signs);
        }
        for r in &f.sign {
            let at = format!("sign {:?}", r.id.get_ref());
            self.query(&at, r.needs.as_ref());
            self.cites_in(&at, &r.id, &r.bounds);
            for aid in &r.first_aid {
                self.query(&at, aid.when.as_ref());
            }
            for cause in &r.cause {
                self.query(&at, Some(&cause.query));
                self.guard(&at, cause.guard.as_ref());
                self.reference(&at, "fact", cause.confirm.as_ref());
            }
            self.cites(&at, &r.cite);
        }
        for r in &f.row {
            let at = format!("row {:?}", r.sign.get_ref());
            self.reference(&at, "sign", Some(&r.sign));
            for c in &r.candidate {
                self.reference(&at, "step", c.step.as_ref());
                self.reference(&at, "row", c.row.as_ref());
                self.guard(&at, c.guard.as_ref());
                let kinds = [
                    c.step.is_some(),
                    c.row.is_some(),
                    c.row_of.is_some(),
                    c.each.is_some(),
                ];
                if kinds.iter().filter(|k| **k).count() != 1 {
                    let message = "each candidate has one of `step`, `row`, `row_of` and `each`";
                    self.problem(&at, &r.sign, message.to_owned());
                }
            }
        }
        for r in &f.step {
            let at = format!("step {:?}", r.id.get_ref());
            for rung in [&r.rungs.earliest, &r.rungs.usual, &r.rungs.latest] {
                self.reference(&at, "rung", Some(rung));
            }
            self.query(&at, r.verify.as_ref());
            for guard in [&r.repeat_if, &r.only_if, &r.never_if] {
                self.guard(&at, guard.as_ref());
            }
            self.refs("step", &r.id, "sign", &r.never_except);
            self.detect(&at, &r.detect);
            self.cites(&at, &r.cite);
            let texts = [
                &r.what, &r.effect, &r.cost, &r.not_yet, &r.because, &r.placed,
            ];
            for text in texts.into_iter().chain(&r.risks) {
                self.cites_in(&at, &r.id, text);
            }
        }
        for r in &f.order {
            let at = format!("order {:?}", r.id.get_ref());
            self.reference(&at, "step", Some(&r.first));
            self.reference(&at, "step", Some(&r.then));
            self.guard(&at, r.guard.as_ref());
            self.refs("order", &r.id, "sign", &r.except);
            self.cites(&at, &r.cite);
        }
        for r in &f.implies {
            let at = format!("implies {:?}", r.id.get_ref());
            self.reference(&at, "step", Some(&r.step));
            self.reference(&at, "step", Some(&r.implies));
        }
        for r in &f.fact {
            let at = format!("fact {:?}", r.id.get_ref());
            self.query(&at, r.query.as_ref());
            self.query(&at, r.unless.as_ref());
        }
        for r in &f.conflict {
            self.refs("conflict", &r.id, "step", &r.steps);
            self.refs("conflict", &r.id, "sign", &r.except);
            let at = format!("conflict {:?}", r.id.get_ref());
            self.cites(&at, &r.cite);
            self.cites_in(&at, &r.id, &r.dissent);
            self.cites_in(&at, &r.id, &r.resolution);
        }
        self.unique("locate", f.locate.iter().map(|r| &r.sign));
        for r in &f.locate {
            let at = format!("locate {:?}", r.sign.get_ref());
            self.reference(&at, "sign", Some(&r.sign));
            self.refs("locate", &r.sign, "sign", &r.replaces);
            self.refs("locate", &r.sign, "sign", &r.by);
        }
        for r in &f.dont {
            self.refs("dont", &r.id, "step", &r.steps);
            self.refs("dont", &r.id, "rung", &r.rungs);
            self.cites(&format!("dont {:?}", r.id.get_ref()), &r.cite);
        }
    }

    /// Tables that carry text only.
    fn texts(&mut self) {
        let f = &self.l.file;
        self.unique("principle", f.principle.iter().map(|r| &r.id));
        self.unique("sequence", f.sequence.iter().map(|r| &r.id));
        self.unique("example", f.example.iter().map(|r| &r.id));
        self.unique("technology", f.technology.iter().map(|r| &r.id));
        self.unique("item", f.item.iter().map(|r| &r.id));
        for r in &f.rung {
            let at = format!("rung {:?}", r.id.get_ref());
            let figures = r.figures.iter().map(|figure| &figure.text);
            for text in [&r.focus, &r.adds, &r.breaks].into_iter().chain(figures) {
                self.cites_in(&at, &r.id, text);
            }
        }
        for r in &f.principle {
            let at = format!("principle {:?}", r.id.get_ref());
            self.cites(&at, &r.cite);
            self.cites_in(&at, &r.id, &r.text);
        }
        for r in &f.sequence {
            let at = format!("sequence {:?}", r.id.get_ref());
            self.cites(&at, &r.cite);
            self.cites_in(&at, &r.id, &r.text);
        }
        for r in &f.example {
            let at = format!("example {:?}", r.id.get_ref());
            self.cites(&at, &r.cite);
            self.cites_in(&at, &r.id, &r.text);
        }
        for r in &f.technology {
            self.cites(&format!("technology {:?}", r.id.get_ref()), &r.cite);
        }
        for r in &f.item {
            let at = format!("item {:?}", r.id.get_ref());
            self.cites(&at, &r.cite);
            for by in &r.by {
                let known = CARRIERS.iter().any(|kind| self.ids.has(kind, by.get_ref()));
                if !known {
                    let message = format!("{:?} is no id of this playbook", by.get_ref());
                    self.problem(&at, by, message);
                }
            }
            if r.by.is_empty() {
                self.problem(&at, &r.id, "nothing carries it".to_owned());
            }
        }
        if let Some(horizon) = &f.horizon {
            self.cites("horizon", &horizon.cite);
        }
    }

    fn detect(&mut self, at: &str, d: &Detect) {
        self.query(at, d.present.as_ref());
        self.query(at, d.absent.as_ref());
        self.guard(at, d.guard.as_ref());
        for sign in &d.signs {
            self.reference(at, "sign", Some(sign));
        }
        for t in &d.tier {
            self.query(at, t.present.as_ref());
            self.query(at, t.absent.as_ref());
            self.guard(at, t.guard.as_ref());
            self.reference(at, "fact", t.confirm.as_ref());
        }
    }

    fn unique<'t>(&mut self, kind: &str, ids: impl Iterator<Item = &'t Text>) {
        let mut seen = BTreeSet::new();
        for id in ids {
            if !seen.insert(id.get_ref()) {
                self.problem(
                    &format!("{kind} {:?}", id.get_ref()),
                    id,
                    "stands twice in this file; a later file may replace it".to_owned(),
                );
            }
        }
    }

    fn refs(&mut self, kind: &str, id: &Text, to: &'static str, list: &[Text]) {
        let at = format!("{kind} {:?}", id.get_ref());
        for r in list {
            self.reference(&at, to, Some(r));
        }
    }

    fn reference(&mut self, at: &str, kind: &'static str, id: Option<&Text>) {
        if let Some(id) = id
            && !self.ids.has(kind, id.get_ref())
        {
            let message = format!(
                "unknown {kind} {:?}{}",
                id.get_ref(),
                self.ids.nearest(kind, id.get_ref())
            );
            self.problem(at, id, message);
        }
    }

    fn guard(&mut self, at: &str, guard: Option<&Spanned<Guard>>) {
        let Some(guard) = guard else { return };
        for atom in guard.get_ref().atoms() {
            let Some((kind, id)) = atom.reference() else {
                continue;
            };
            let kind = match kind {
                RefKind::Sign => "sign",
                RefKind::Rung => "rung",
                RefKind::Step => "step",
                RefKind::Fact => "fact",
            };
            if !self.ids.has(kind, id) {
                let message = format!(
                    "unknown {kind} {id:?} in a guard{}",
                    self.ids.nearest(kind, id)
                );
                self.problem(at, guard, message);
            }
        }
    }

    fn query(&mut self, at: &str, query: Option<&Text>) {
        let Some(query) = query else { return };
        match (self.check_promql)(query.get_ref()) {
            Ok(()) => {
                self.queries.insert(query.get_ref().clone());
            }
            Err(e) => self.problem(at, query, format!("bad PromQL: {e}")),
        }
    }

    fn cites(&mut self, at: &str, cites: &[Text]) {
        for cite in cites {
            self.cite(at, cite, cite.get_ref());
        }
    }

    /// Citations inside a text; a wrong one is shown at the row's id.
    fn cites_in(&mut self, at: &str, id: &Text, text: &str) {
        let mut rest = text;
        while let Some((_, tag, after)) = next_citation(rest) {
            self.cite(at, id, tag);
            rest = after;
        }
    }

    fn cite(&mut self, at: &str, place: &Text, tag: &str) {
        let known = split_citation(tag).is_some_and(|(letter, section)| {
            self.ids
                .sections
                .get(letter)
                .is_some_and(|s| s.contains(section))
        });
        if !known {
            let message =
                format!("unknown citation {tag:?}; accepted: [TAG]SECTION of a [[source]]");
            self.problem(at, place, message);
        }
    }

    fn problem<T>(&mut self, context: &str, at: &Spanned<T>, message: String) {
        self.problems.push(Problem {
            file: self.l.name.to_owned(),
            position: Some(Position::of_offset(self.l.text, at.span().start)),
            context: context.to_owned(),
            message,
        });
    }
}

/// Edit distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
