//! The slow half of an evaluation: everything that asks or expands, before anything changes.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::Seen;
use super::group::EvalContext;
use super::spec::{AlertSpec, Figure, NoData, RuleSpec};
use super::template::{Data, Template};
use crate::config::Missing;
use crate::model::labels::NAME;
use crate::model::{Labels, Querier, QueryError, Timestamp, VectorSample};

/// Most elements that a figure's query may return to be searched for the nearest labels.
const MAX_SCAN: usize = 1_000;

/// Asks on behalf of one group at one slot and remembers what several rules want to know.
pub(super) struct Asker<'a> {
    pub(super) querier: &'a dyn Querier,
    pub(super) ctx: &'a EvalContext<'a>,
    /// When queries are evaluated: the slot less the group's offset.
    pub(super) at: Timestamp,
    /// When the group is evaluated.
    pub(super) slot: Timestamp,
    present: BTreeMap<String, bool>,
    targets: Option<Targets>,
}

struct Targets {
    up: Vec<VectorSample>,
    partial: Vec<VectorSample>,
}

/// What was seen of a rule's alerts.
#[derive(Default)]
pub(super) struct Look {
    /// Returned by the expression.
    pub(super) seen: BTreeMap<Labels, Sighting>,
    /// Known before, not returned.
    pub(super) unseen: BTreeMap<Labels, (Seen, Figures)>,
    /// What the rule needs and does not find.
    pub(super) missing: Vec<String>,
    pub(super) counted: Counted,
    any_firing: bool,
}

/// For the log of evaluations.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) samples: usize,
    pub(super) series_read: usize,
    pub(super) warnings: Vec<String>,
}

pub(super) struct Sighting {
    pub(super) value: f64,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) figures: Figures,
    pub(super) has_target: bool,
}

/// `loadline_value` and `loadline_limit` of one instance.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) measured: Option<f64>,
    pub(super) limit: Option<f64>,
}

/// An instance that is known already.
pub(super) struct Known<'a> {
    pub(super) labels: &'a Labels,
    pub(super) firing: bool,
    /// True when its `instance` was a target of ours while it was last returned.
    pub(super) has_target: bool,
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        querier: &'a dyn Querier,
        ctx: &'a EvalContext<'a>,
        slot: Timestamp,
        at: Timestamp,
    ) -> Self {
        Self {
            querier,
            ctx,
            at,
            slot,
            present: BTreeMap::new(),
            targets: None,
        }
    }

    /// Floats of an expression; anything but a vector or a scalar is an error.
    pub(super) fn vector(
        &self,
        expr: &str,
        counted: &mut Counted,
    ) -> Result<Vec<VectorSample>, String> {
        let mut elements = self.elements(expr, counted)?;
        elements.retain(|e| e.histogram.is_none());
        Ok(elements)
    }

    /// Elements of an expression, native histograms included; anything but a vector or a scalar
    /// is an error.
    pub(super) fn elements(
        &self,
        expr: &str,
        counted: &mut Counted,
    ) -> Result<Vec<VectorSample>, String> {
        let answer = self
            .querier
            .instant(expr, self.at)
            .map_err(|e: QueryError| e.to_string())?;
        counted.series_read += answer.series_read;
        counted.warnings.extend(answer.warnings.iter().cloned());
        answer
            .into_elements()
            .ok_or_else(|| "rule result is not a vector or scalar".to_owned())
    }

    /// Asks everything about an alert rule. Nothing is changed; an error leaves the rule as it
    /// was.
    pub(super) fn look(
        &mut self,
        rule: &RuleSpec,
        spec: &AlertSpec,
        known: &[Known<'_>],
    ) -> Result<Look, String> {
        let mut look = Look::default();
        let samples = self.elements(&rule.expr, &mut look.counted)?;
        look.counted.samples = samples.len();
        for sample in &samples {
            self.sight(rule, spec, sample, &mut look)?;
        }
        if samples.is_empty() && self.can_be_blind(spec.no_data) {
            look.missing = self.missing(rule, spec, &mut look.counted)?;
        }
        if !look.missing.is_empty() && spec.no_data == NoData::Fire {
            let nothing = VectorSample::float(Labels::empty(), f64::NAN);
            self.sight(rule, spec, &nothing, &mut look)?;
        }
        self.find_unseen(rule, spec, known, &mut look)?;
        self.figures(spec, &mut look);
        Ok(look)
    }

    fn sight(
        &mut self,
        rule: &RuleSpec,
        spec: &AlertSpec,
        sample: &VectorSample,
        look: &mut Look,
    ) -> Result<(), String> {
        let labels = self.identity(rule, sample);
        let annotations = spec
            .annotations
            .iter()
            .map(|(name, template)| (name.clone(), self.expand(template, sample)))
            .collect();
        let has_target = self.has_target(rule, &labels)?;
        let sighting = Sighting {
            value: sample.value,
            annotations,
            figures: Figures::default(),
            has_target,
        };
        if look.seen.insert(labels, sighting).is_some() {
            return Err(
                "vector contains metrics with the same labelset after applying alert labels"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The alert's labels for a sample: its own without name, the rule's over them, alertname.
    fn identity(&self, rule: &RuleSpec, sample: &VectorSample) -> Labels {
        let mut labels = sample.labels.to_builder();
        labels.remove(NAME);
        for (name, template) in &rule.labels {
            labels.set(name, &self.expand(template, sample));
        }
        labels.set("alertname", &rule.name);
        labels.build()
    }

    fn expand(&self, template: &Template, sample: &VectorSample) -> String {
        let data = Data {
            labels: &sample.labels,
            external_labels: self.ctx.external_labels,
            external_url: self.ctx.external_url,
            value: sample.value,
            histogram: sample.histogram.as_ref(),
        };
        template.expand(data, self.querier, self.slot)
    }

    fn can_be_blind(&self, no_data: NoData) -> bool {
        self.ctx.missing == Missing::Blind && no_data != NoData::Ok
    }

    fn missing(
        &mut self,
        rule: &RuleSpec,
        spec: &AlertSpec,
        counted: &mut Counted,
    ) -> Result<Vec<String>, String> {
        if let Some(needs) = &spec.needs {
            let found = self
                .elements(needs, counted)
                .map_err(|e| format!("loadline_needs: {e}"))?;
            return Ok(if found.is_empty() {
                vec![needs.clone()]
            } else {
                Vec::new()
            });
        }
        let mut failure = None;
        let missing = rule.inputs.missing(&mut |name| {
            self.is_present(name, counted).unwrap_or_else(|e| {
                failure = Some(e);
                true
            })
        });
        match failure {
            Some(e) => Err(e),
            None => Ok(missing),
        }
    }

    fn is_present(&mut self, name: &str, counted: &mut Counted) -> Result<bool, String> {
        if let Some(known) = self.ctx.known {
            return Ok(known(name));
        }
        if let Some(present) = self.present.get(name) {
            return Ok(*present);
        }
        let found = self.vector(&format!("count({{__name__={name:?}}})"), counted)?;
        self.present.insert(name.to_owned(), !found.is_empty());
        Ok(!found.is_empty())
    }

    /// Says of each known instance that was not returned why not.
    fn find_unseen(
        &mut self,
        rule: &RuleSpec,
        spec: &AlertSpec,
        known: &[Known<'_>],
        look: &mut Look,
    ) -> Result<(), String> {
        let gone: Vec<&Known<'_>> = known
            .iter()
            .filter(|k| !look.seen.contains_key(k.labels))
            .collect();
        let mut not_clear = BTreeSet::new();
        if let Some(clear) = &spec.clear
            && gone.iter().any(|k| k.firing)
        {
            let samples = self
                .elements(clear, &mut look.counted)
                .map_err(|e| format!("loadline_clear: {e}"))?;
            not_clear.extend(samples.iter().map(|s| self.identity(rule, s)));
        }
        for k in gone {
            look.any_firing |= k.firing;
            let seen = if !k.firing {
                Seen::Absent
            } else if not_clear.contains(k.labels) {
                Seen::NotYetClear
            } else if !self.can_be_blind(spec.no_data) {
                Seen::Absent
            } else if !look.missing.is_empty() {
                Seen::InputGone
            } else {
                self.target_of(rule, k)?
            };
            look.unseen
                .insert(k.labels.clone(), (seen, Figures::default()));
        }
        Ok(())
    }

    fn targets(&mut self) -> Result<&Targets, String> {
        if self.targets.is_none() {
            let mut counted = Counted::default();
            self.targets = Some(Targets {
                up: self.vector("up", &mut counted)?,
                partial: self.vector("loadline_scrape_partial == 1", &mut counted)?,
            });
        }
        self.targets
            .as_ref()
            .ok_or_else(|| "targets were just read".to_owned())
    }

    /// True when the labels name a target of ours. A rule that sets `instance` itself says
    /// nothing about targets.
    fn has_target(&mut self, rule: &RuleSpec, labels: &Labels) -> Result<bool, String> {
        if self.ctx.missing == Missing::Resolve || !labels.has("instance") {
            return Ok(false);
        }
        if rule.labels.contains_key("instance") {
            return Ok(false);
        }
        let targets = self.targets()?;
        Ok(targets.up.iter().any(|s| is_of(rule, labels, s)))
    }

    /// Why the series of a firing alert may have vanished, by the state of its target.
    fn target_of(&mut self, rule: &RuleSpec, known: &Known<'_>) -> Result<Seen, String> {
        let labels = known.labels;
        if !labels.has("instance") || rule.labels.contains_key("instance") {
            return Ok(Seen::Absent);
        }
        let targets = self.targets()?;
        let mut up = targets
            .up
            .iter()
            .filter(|s| is_of(rule, labels, s))
            .peekable();
        if up.peek().is_none() {
            return Ok(if known.has_target {
                Seen::InputGone
            } else {
                Seen::Absent
            });
        }
        let failing = up.any(|s| s.value == 0.0);
        let partial = targets.partial.iter().any(|s| is_of(rule, labels, s));
        Ok(if failing || partial {
            Seen::Unreadable
        } else {
            Seen::Absent
        })
    }

    /// Fills in `loadline_value` and `loadline_limit`. They are for people: when one of them
    /// fails, the alert goes on without it and the log says so.
    fn figures(&mut self, spec: &AlertSpec, look: &mut Look) {
        if look.seen.is_empty() && !look.any_firing {
            return;
        }
        for (name, figure) in [
            ("loadline_value", &spec.value),
            ("loadline_limit", &spec.limit),
        ] {
            let Some(figure) = figure else { continue };
            let found = match figure {
                Figure::Number(n) => vec![VectorSample::float(Labels::empty(), *n)],
                Figure::Expr(expr) => match self.vector(expr, &mut look.counted) {
                    Ok(found) => found,
                    Err(e) => {
                        look.counted.warnings.push(format!("{name}: {e}"));
                        continue;
                    }
                },
            };
            let by_labels = ByLabels::new(found);
            let seen = look.seen.iter_mut().map(|(l, s)| (l, &mut s.figures));
            let unseen = look.unseen.iter_mut().map(|(l, (_, f))| (l, f));
            for (labels, figures) in seen.chain(unseen) {
                let value = by_labels.nearest(labels);
                if name == "loadline_value" {
                    figures.measured = value;
                } else {
                    figures.limit = value;
                }
            }
        }
    }
}

/// True when a series of a target carries the same `instance`, and `job` where both have one.
fn is_of(rule: &RuleSpec, labels: &Labels, sample: &VectorSample) -> bool {
    let job = labels.get("job");
    let own_job = rule.labels.contains_key("job");
    sample.labels.get("instance") == labels.get("instance")
        && (own_job || job.is_empty() || job == sample.labels.get("job"))
}

/// The elements of a figure's query.
struct ByLabels(Vec<VectorSample>);

impl ByLabels {
    fn new(mut found: Vec<VectorSample>) -> Self {
        for sample in &mut found {
            sample.labels = sample.labels.without(&[NAME]);
        }
        Self(found)
    }

    /// The element that shares the most labels with the alert and contradicts none; `None` when
    /// there is no such element, or several that differ.
    fn nearest(&self, labels: &Labels) -> Option<f64> {
        if self.0.len() > MAX_SCAN {
            return self
                .0
                .iter()
                .find(|s| s.labels.iter().all(|(n, v)| labels.get(n) == v))
                .map(|s| s.value);
        }
        let mut best: Option<(usize, f64, bool)> = None;
        for sample in &self.0 {
            let mut shared = 0;
            let contradicts = sample.labels.iter().any(|(n, v)| {
                shared += usize::from(labels.get(n) == v);
                labels.has(n) && labels.get(n) != v
            });
            if contradicts {
                continue;
            }
            match &mut best {
                Some((most, value, clear)) if *most == shared => {
                    *clear &= value.to_bits() == sample.value.to_bits();
                }
                Some((most, _, _)) if *most > shared => {}
                _ => best = Some((shared, sample.value, true)),
            }
        }
        best.filter(|(_, _, clear)| *clear)
            .map(|(_, value, _)| value)
    }
}
