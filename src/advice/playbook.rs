//! The advice as data: loading and cross-checking it.
//!
//! What must stay true: the program knows the vocabulary, not the content; an unknown key, an
//! unknown id, a cycle, a bad citation, a guard outside the vocabulary or bad PromQL is an error
//! with file, line and column; a later file adds rows or replaces whole rows by id.

mod check;
pub mod guard;
pub mod rows;
pub mod texts;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Position, Problem, Problems};

use super::decision::{Citation, StepRef};
use super::limits::Limit;
use rows::{
    Conflict, Dont, Dwell, Fact, File, Horizon, Implies, Line, Locate, Order, OrderKind, Row, Rung,
    Sign, Source, Step, Text,
};
use texts::{Example, Item, Principle, Sequence, Technology};

/// Largest playbook file in bytes.
const MAX_FILE_BYTES: usize = 4 << 20;

/// The loaded advice, cross-checked.
#[derive(Debug, Clone, Default)]
pub struct Playbook {
    rungs: Vec<Rung>,
    lines: BTreeMap<String, Line>,
    signs: BTreeMap<String, Sign>,
    rows: BTreeMap<String, Row>,
    steps: BTreeMap<String, Step>,
    canonical: Vec<String>,
    orders: BTreeMap<String, Order>,
    implies: BTreeMap<String, Implies>,
    facts: BTreeMap<String, Fact>,
    conflicts: BTreeMap<String, Conflict>,
    donts: BTreeMap<String, Dont>,
    locates: BTreeMap<String, Locate>,
    sources: BTreeMap<String, Source>,
    limits: BTreeMap<String, Limit>,
    principles: BTreeMap<String, Principle>,
    sequences: BTreeMap<String, Sequence>,
    examples: BTreeMap<String, Example>,
    technologies: BTreeMap<String, Technology>,
    items: BTreeMap<String, Item>,
    dwell: Option<Dwell>,
    horizon: Option<Horizon>,
    queries: BTreeSet<String>,
}

/// A parsed file with what is needed to point into it.
struct Loaded<'a> {
    name: &'a str,
    text: &'a str,
    file: File,
}

impl Playbook {
    /// Loads `(name, text)` pairs in order; `check_promql` says what is wrong with an expression.
    ///
    /// All problems of all files are returned together.
    pub fn load(
        files: &[(String, String)],
        check_promql: &dyn Fn(&str) -> Result<(), String>,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut loaded = Vec::new();
        for (name, text) in files {
            if text.len() > MAX_FILE_BYTES {
                problems.push(Problem {
                    file: name.clone(),
                    position: None,
                    context: String::new(),
                    message: format!(
                        "the file has {} bytes; a playbook file may have {MAX_FILE_BYTES} at most",
                        text.len()
                    ),
                });
                continue;
            }
            match toml::from_str::<File>(text) {
                Ok(file) => loaded.push(Loaded { name, text, file }),
                Err(e) => problems.push(Problem {
                    file: name.clone(),
                    position: e.span().map(|s| Position::of_offset(text, s.start)),
                    context: String::new(),
                    message: e.message().to_owned(),
                }),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let (problems, queries) = check::references(&loaded, check_promql);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let mut book = Playbook {
            queries,
            ..Playbook::default()
        };
        for l in &loaded {
            book.merge(&l.file);
        }
        let problems = check::cycles(&book, &loaded);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        book.canonical = book.in_order_of_requirement();
        Ok(book)
    }

    /// Every PromQL text in it, for the selection of what the store keeps.
    pub fn queries(&self) -> Vec<String> {
        self.queries.iter().cloned().collect()
    }

    /// Rungs, lowest first.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Where a rung stands, counted from 0.
    pub fn rung_index(&self, id: &str) -> Option<usize> {
        self.rungs.iter().position(|r| r.id.get_ref() == id)
    }

    /// A sign by id.
    pub fn sign(&self, id: &str) -> Option<&Sign> {
        self.signs.get(id)
    }

    /// All signs by id.
    pub fn signs(&self) -> impl Iterator<Item = &Sign> {
        self.signs.values()
    }

    /// The candidates of a sign.
    pub fn row(&self, sign: &str) -> Option<&Row> {
        self.rows.get(sign)
    }

    /// A step by id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.get(id)
    }

    /// All steps in canonical order: file order, required steps first.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.canonical.iter().filter_map(|id| self.steps.get(id))
    }

    /// A fact by id.
    pub fn fact(&self, id: &str) -> Option<&Fact> {
        self.facts.get(id)
    }

    /// All facts by id.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.facts.values()
    }

    /// A limit by id.
    pub fn limit(&self, id: &str) -> Option<&Limit> {
        self.limits.get(id)
    }

    /// All limits by id.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.limits.values()
    }

    /// All order rules by id.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// All implications by id.
    pub fn implications(&self) -> impl Iterator<Item = &Implies> {
        self.implies.values()
    }

    /// The escalation lines of a sign.
    pub fn lines_of(&self, sign: &str) -> impl Iterator<Item = &Line> {
        self.lines
            .values()
            .filter(move |l| l.signs.iter().any(|s| s.get_ref() == sign))
    }

    /// The first escalation line of a sign.
    pub fn line_of(&self, sign: &str) -> Option<&Line> {
        self.lines
            .values()
            .find(|l| l.signs.iter().any(|s| s.get_ref() == sign))
    }

    /// Disagreements that the advice to take `step` because of `sign` should name.
    pub fn dissent(&self, step: &str, sign: &str) -> impl Iterator<Item = &Conflict> {
        self.conflicts_of(step)
            .filter(move |c| !c.except.iter().any(|s| s.get_ref() == sign))
    }

    /// Disagreements about `step`.
    pub fn conflicts_of(&self, step: &str) -> impl Iterator<Item = &Conflict> {
        self.conflicts
            .values()
            .filter(move |c| c.steps.iter().any(|s| s.get_ref() == step))
    }

    /// Rules that move the attention to the tier that is the limit.
    pub fn locates(&self) -> impl Iterator<Item = &Locate> {
        self.locates.values()
    }

    /// All disagreements by id.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.values()
    }

    /// All warnings by id.
    pub fn donts(&self) -> impl Iterator<Item = &Dont> {
        self.donts.values()
    }

    /// All principles by id.
    pub fn principles(&self) -> impl Iterator<Item = &Principle> {
        self.principles.values()
    }

    /// All orders of documents by id.
    pub fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.sequences.values()
    }

    /// All systems that documents tell of, by id.
    pub fn examples(&self) -> impl Iterator<Item = &Example> {
        self.examples.values()
    }

    /// All products that documents name, by kind.
    pub fn technologies(&self) -> impl Iterator<Item = &Technology> {
        self.technologies.values()
    }

    /// All items of the documents by id.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// How long a rung must be told before it counts.
    pub fn dwell(&self) -> Option<&Dwell> {
        self.dwell.as_ref()
    }

    /// How near a forecast limit opens a level.
    pub fn horizon(&self) -> Option<&Horizon> {
        self.horizon.as_ref()
    }

    /// All candidate rows by sign.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The warning that fits `step` on `rung` best: the one about the fewest rungs.
    pub fn dont(&self, step: &str, rung: &str) -> Option<&Dont> {
        self.donts_of(step, rung).min_by_key(|d| {
            let rungs = if d.rungs.is_empty() {
                usize::MAX
            } else {
                d.rungs.len()
            };
            (rungs, std::cmp::Reverse(d.id.get_ref()))
        })
    }

    /// All warnings about `step` that hold on `rung`; those about all rungs where it is not known.
    pub fn donts_of(&self, step: &str, rung: &str) -> impl Iterator<Item = &Dont> {
        self.donts.values().filter(move |d| {
            d.steps.iter().any(|s| s.get_ref() == step)
                && (d.rungs.is_empty() || d.rungs.iter().any(|r| r.get_ref() == rung))
        })
    }

    /// A step as a message names it.
    pub fn step_ref(&self, id: &str) -> StepRef {
        StepRef {
            id: id.to_owned(),
            title: self
                .step(id)
                .map_or_else(|| id.to_owned(), |s| s.title.clone()),
        }
    }

    /// Citations with their documents' titles and section names.
    pub fn citations(&self, cite: &[Text]) -> Vec<Citation> {
        cite.iter()
            .map(|c| Citation {
                tag: c.get_ref().clone(),
                text: self.citation_text(c.get_ref()),
            })
            .collect()
    }

    /// The title of a document.
    pub fn source_title(&self, tag: &str) -> Option<&str> {
        self.sources.get(tag).map(|s| s.title.as_str())
    }

    /// A citation in words, e.g. `The Scaling Milestones, 1K-10K`; the tag itself when unknown.
    pub fn citation_text(&self, tag: &str) -> String {
        check::split_citation(tag)
            .and_then(|(letter, locator)| {
                let source = self.sources.get(letter)?;
                let section = source.sections.get(locator)?;
                Some(format!("{}, {section}", source.title))
            })
            .unwrap_or_else(|| tag.to_owned())
    }

    /// A text with its citations in words: `[B]pit` becomes `(The Scaling Milestones, ...)`.
    pub fn cited(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, tag, after)) = check::next_citation(rest) {
            out.push_str(before);
            out.push('(');
            out.push_str(&self.citation_text(tag));
            // Neighbours share one pair of parentheses.
            let mut after = after;
            while let Some(("" | " ", tag, next)) = check::next_citation(after) {
                out.push_str("; ");
                out.push_str(&self.citation_text(tag));
                after = next;
            }
            out.push(')');
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn merge(&mut self, file: &File) {
        fn put<T: Clone>(into: &mut BTreeMap<String, T>, from: &[T], id: impl Fn(&T) -> &Text) {
            for row in from {
                into.insert(id(row).get_ref().clone(), row.clone());
            }
        }
        for rung in &file.rung {
            match self.rungs.iter_mut().find(|r| r.id == rung.id) {
                Some(old) => *old = rung.clone(),
                None => self.rungs.push(rung.clone()),
            }
        }
        for step in &file.step {
            if !self.steps.contains_key(step.id.get_ref()) {
                self.canonical.push(step.id.get_ref().clone());
            }
        }
        put(&mut self.lines, &file.line, |r| &r.id);
        put(&mut self.signs, &file.sign, |r| &r.id);
        put(&mut self.rows, &file.row, |r| &r.sign);
        put(&mut self.steps, &file.step, |r| &r.id);
        put(&mut self.orders, &file.order, |r| &r.id);
        put(&mut self.implies, &file.implies, |r| &r.id);
        put(&mut self.facts, &file.fact, |r| &r.id);
        put(&mut self.conflicts, &file.conflict, |r| &r.id);
        put(&mut self.donts, &file.dont, |r| &r.id);
        put(&mut self.locates, &file.locate, |r| &r.sign);
        put(&mut self.principles, &file.principle, |r| &r.id);
        put(&mut self.sequences, &file.sequence, |r| &r.id);
        put(&mut self.examples, &file.example, |r| &r.id);
        put(&mut self.technologies, &file.technology, |r| &r.id);
        put(&mut self.items, &file.item, |r| &r.id);
        if let Some(dwell) = &file.dwell {
            self.dwell = Some(dwell.clone());
        }
        if let Some(horizon) = &file.horizon {
            self.horizon = Some(horizon.clone());
        }
        put(&mut self.sources, &file.source, |r| &r.tag);
        put(&mut self.limits, &file.limit, |r| &r.id);
    }

    /// File order, but no step before one that it requires. There is no cycle (checked before).
    fn in_order_of_requirement(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut left = self.canonical.clone();
        while !left.is_empty() {
            let free = left
                .iter()
                .position(|id| {
                    !self.orders.values().any(|o| {
                        o.kind == OrderKind::Requires
                            && o.then.get_ref() == id
                            && left.contains(o.first.get_ref())
                    })
                })
                .unwrap_or(0);
            out.push(left.remove(free));
        }
        out
    }
}

#[cfg(test)]
mod tests;
