//! One test: series come with time, the groups are evaluated, alerts and expressions compared.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Labels, Position, Problem, Problems, Timestamp, duration};
use crate::promql::{Element, Engine, EngineOptions, Outcome, Point};
use crate::rules::{EvalContext, FlappingPolicy, Group, GroupSpec, Missing, RuleKind};

use super::super::series::parse_line;
use super::file::{AlertCase, ExpectedAlert, ExprCase, InputSeries, Test, TestFile};
use super::memory::Memory;
use super::{CaseResult, Failure, Options, compare};

/// Most evaluations of all groups in one test.
pub(super) const MOST_EVALUATIONS: u128 = 10_000_000;

/// Runs one test and adds what went wrong to `case`.
pub(super) fn test(
    name: &str,
    file: &TestFile,
    test: &Test,
    rules: &Result<Vec<GroupSpec>, Problems>,
    options: &Options,
    case: &mut CaseResult,
    warnings: &mut Vec<Problem>,
) {
    let mut run = Run {
        name,
        file,
        test,
        options,
        case,
    };
    let (input, dropped) = match series(&test.input, test.start, test.interval) {
        Ok(found) => found,
        Err((at, message)) => {
            run.fail(at, message);
            return;
        }
    };
    if let Some((at, n)) = dropped {
        warnings.push(Problem {
            file: name.to_owned(),
            position: Some(at),
            context: String::new(),
            message: format!(
                "this series ends in an empty line or a comment, and Prometheus reads no series \
                 after that: {n} are left out"
            ),
        });
    }
    match rules {
        Ok(specs) => run.groups(specs, input),
        Err(problems) => run.fail(test.at, problems.to_string()),
    }
}

/// Evaluates and compares for one test.
struct Run<'a> {
    name: &'a str,
    file: &'a TestFile,
    test: &'a Test,
    options: &'a Options,
    case: &'a mut CaseResult,
}

impl Run<'_> {
    fn fail(&mut self, at: Position, message: String) {
        self.case.failures.push(Failure {
            file: self.name.to_owned(),
            at,
            message,
        });
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.options.debug {
            self.case.debug.push(text());
        }
    }

    fn groups(&mut self, specs: &[GroupSpec], input: Vec<(Labels, Vec<(i64, Point)>)>) {
        for alert in &self.test.alerts {
            if alert.alert.is_empty() {
                let time = duration::format(alert.eval_time);
                let message = format!(
                    "an item under alert_rule_test misses required attribute alertname at \
                     eval_time {time}"
                );
                self.fail(alert.at, message);
                return;
            }
        }
        let interval = self.file.evaluation_interval;
        let last = self.test.last();
        if last.as_millis() / interval.as_millis().max(1) > MOST_EVALUATIONS {
            let message = format!(
                "over the limit of {MOST_EVALUATIONS} evaluations in one test: use a longer \
                 evaluation_interval or an earlier eval_time"
            );
            self.fail(self.test.at, message);
            return;
        }
        let mut groups: Vec<Group> = specs
            .iter()
            .map(|spec| Group::new(as_prometheus(spec), self.test.interval))
            .collect();
        groups.sort_by_key(|g| self.file.order.get(&g.spec().name).copied().unwrap_or(0));
        let memory = Arc::new(Memory::default());
        memory.give(input);
        let engine = engine(memory.clone(), interval, self.options);
        let start = self.test.start;
        let mut cases: Vec<&AlertCase> = self.test.alerts.iter().collect();
        cases.sort_by_key(|c| c.eval_time);
        let mut next = 0;
        let mut since = Duration::ZERO;
        while since <= last {
            let slot = start + since;
            memory.reveal(slot);
            if !self.evaluate(&mut groups, &engine, &memory, slot) {
                return;
            }
            since += interval;
            while let Some(case) = cases.get(next).filter(|c| c.eval_time < since) {
                self.alerts(case, &groups);
                next += 1;
            }
        }
        for case in &self.test.exprs {
            self.expr(case, &engine);
        }
        self.note(|| format!("Data at {}:", duration::format(last)));
        if self.options.debug {
            self.case.debug.extend(memory.dump());
        }
    }

    /// False when a rule failed, which ends the test.
    fn evaluate(
        &mut self,
        groups: &mut [Group],
        engine: &Engine,
        memory: &Memory,
        slot: Timestamp,
    ) -> bool {
        let refused = RefCell::new(Vec::new());
        let ctx = EvalContext {
            external_labels: &self.test.external_labels,
            external_url: &self.test.external_url,
            missing: Missing::Resolve,
            warm: true,
            flapping: FlappingPolicy::OFF,
            write: &|written| refused.borrow_mut().extend(memory.write(written)),
            elapsed: &|| Duration::ZERO,
            known: None,
        };
        let time = duration::format(slot.since(self.test.start));
        let mut failed = Vec::new();
        for group in groups {
            let outcome = group.evaluate(engine, slot, &ctx);
            let refused = refused.take().into_iter();
            let refused = refused.map(|(labels, why)| (rule_name(&labels), why.to_owned()));
            let mut errors: Vec<(String, String)> =
                outcome.errors.into_iter().chain(refused).collect();
            errors.sort_by_key(|(rule, _)| {
                let rules = group.rules();
                rules.iter().position(|r| r.spec().name == *rule)
            });
            for (rule, error) in errors {
                failed.push(format!("rule: {rule}, time: {time}, err: {error}"));
            }
        }
        let good = failed.is_empty();
        for message in failed {
            self.fail(self.test.at, message);
        }
        good
    }

    fn alerts(&mut self, case: &AlertCase, groups: &[Group]) {
        let rules = groups
            .iter()
            .filter(|g| case.group.is_empty() || case.group == g.spec().name)
            .flat_map(|g| g.rules())
            .filter(|r| r.spec().name == case.alert);
        let firing = rules.flat_map(|r| r.alerts()).filter(|a| a.is_firing());
        let owned = |(n, v): (&str, &str)| (n.to_owned(), v.to_owned());
        let got: Vec<ExpectedAlert> = firing
            .map(|a| ExpectedAlert {
                labels: a.labels.iter().map(owned).collect(),
                annotations: a.annotations.clone(),
            })
            .collect();
        let mut want = case.expected.clone();
        for alert in &mut want {
            let name = ("alertname".to_owned(), case.alert.clone());
            alert.labels.extend([name]);
        }
        if let Some(difference) = compare::alerts(want, got, self.options.diff) {
            let message = format!(
                "{}alertname: {}, time: {},\n{}",
                self.title(),
                case.alert,
                duration::format(case.eval_time),
                indented(&difference)
            );
            self.fail(case.at, message);
        }
    }

    fn expr(&mut self, case: &ExprCase, engine: &Engine) {
        let head = format!(
            "{}expr: {:?}, time: {},",
            self.title(),
            case.expr,
            duration::format(case.eval_time)
        );
        let vector = vector(engine, &case.expr, self.test.start + case.eval_time);
        let compared = vector
            .and_then(|v| compare::samples(&case.expected, &v, self.file.fuzzy, self.options.diff));
        match compared {
            Ok(None) => {}
            Ok(Some(difference)) => {
                self.fail(case.at, format!("{head}\n{}", indented(&difference)));
            }
            Err(e) => self.fail(case.at, format!("{head} err: {e}")),
        }
    }

    fn title(&self) -> String {
        if self.test.name.is_empty() {
            String::new()
        } else {
            format!("name: {},\n", self.test.name)
        }
    }
}

/// The name of the rule that wrote a series.
fn rule_name(labels: &Labels) -> String {
    match labels.name() {
        "ALERTS" | "ALERTS_FOR_STATE" => labels.get("alertname").to_owned(),
        name => name.to_owned(),
    }
}

/// A group as Prometheus takes it: what only loadline reads means nothing.
fn as_prometheus(spec: &GroupSpec) -> GroupSpec {
    let mut spec = spec.clone();
    for rule in &mut spec.rules {
        if let RuleKind::Alert(alert) = &mut rule.kind {
            **alert = alert.as_prometheus();
        }
    }
    spec
}

/// The engine of a test: subqueries without a step take the evaluation interval.
pub(super) fn engine(memory: Arc<Memory>, default_step: Duration, options: &Options) -> Engine {
    let options = EngineOptions {
        default_step,
        parse: options.language,
        delayed_name_removal: options.delayed_name_removal,
        warn_unkept: false,
        ..EngineOptions::default()
    };
    Engine::new(memory, options)
}

fn vector(engine: &Engine, expr: &str, at: Timestamp) -> Result<Vec<Element>, String> {
    match engine
        .evaluate(expr, at)
        .map_err(|e| e.to_string())?
        .outcome
    {
        Outcome::Vector(vector) => Ok(vector),
        Outcome::Scalar(v) => Ok(vec![Element::new(Labels::empty(), Point::Float(v))]),
        Outcome::String(_) | Outcome::Matrix(_) => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|l| format!("    {l}")).collect();
    lines.join("\n")
}

/// Series with their samples, and how many were left out, with the place of the reason.
type Input = (Vec<(Labels, Vec<(i64, Point)>)>, Option<(Position, usize)>);

/// Reads the input as Prometheus does: line by line up to the first empty line or comment, and
/// the last of two equal series counts.
pub(super) fn series(
    input: &[InputSeries],
    start: Timestamp,
    interval: Duration,
) -> Result<Input, (Position, String)> {
    let mut found: BTreeMap<Labels, Vec<(i64, Point)>> = BTreeMap::new();
    let step = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    for (i, one) in input.iter().enumerate() {
        let text = format!("{} {}", one.series, one.values);
        for line in text.split('\n').map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                let left = input.len() - i - 1;
                let dropped = (left > 0).then_some((one.at, left));
                return Ok((found.into_iter().collect(), dropped));
            }
            let (labels, points) = parse_line(line)
                .map_err(|e| (one.at, format!("input series {:?}: {e}", one.series)))?;
            let samples = (0i64..).zip(points).filter_map(|(n, point)| {
                let t = n.checked_mul(step)?.checked_add(start.millis())?;
                point.map(|p| (t, p))
            });
            found.insert(labels, samples.collect());
        }
    }
    Ok((found.into_iter().collect(), None))
}
