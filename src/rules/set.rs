//! All rule files together, with the config's thresholds.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{self, Duplicates, RuleFile};
use super::spec::{Checker, GroupSpec, RuleSpec};
use super::template::Template;
use crate::config::{SignAlias, SignOverride, Signs};
use crate::model::{Level, Problem, Problems};

/// Series that tell why an alert's own series vanished: every set of rules reads them.
const HEALTH: [&str; 2] = ["up", "loadline_scrape_partial"];

/// Rules that are ready to run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleSet {
    /// Groups in order of files and of their place in them.
    pub groups: Vec<GroupSpec>,
    /// What a person should know and what stops nothing.
    pub warnings: Vec<Problem>,
}

impl RuleSet {
    /// Reads all files and applies `[signs]` of the config file `config_name`.
    ///
    /// A rule of an own file replaces the shipped rule with the same alert name, sign and level;
    /// an own rule without `sign` is added. The error has every problem of every file.
    pub fn load(
        files: &[RuleFile],
        signs: &Signs,
        config_name: &str,
        duplicates: Duplicates,
        check: Checker<'_>,
    ) -> Result<RuleSet, Problems> {
        let mut problems = Vec::new();
        let mut set = RuleSet::default();
        let mut shipped = Vec::new();
        let mut own = Vec::new();
        let mut names = BTreeSet::new();
        for f in files {
            if !names.insert(&f.name) {
                set.warnings.push(Problem {
                    file: f.name.clone(),
                    position: None,
                    context: String::new(),
                    message: "this file is named twice; it is read once".to_owned(),
                });
                continue;
            }
            let read = file::read(f, check, duplicates);
            problems.extend(read.problems);
            set.warnings.extend(read.warnings);
            let groups = read.groups.into_iter();
            if f.shipped {
                shipped.extend(groups);
            } else {
                own.extend(groups);
            }
        }
        let mut wrong = join(&mut own, &signs.alias);
        let replaced: BTreeSet<_> = own.iter().flat_map(|g| &g.rules).filter_map(key).collect();
        for group in &mut shipped {
            group
                .rules
                .retain(|r| key(r).is_none_or(|k| !replaced.contains(&k)));
        }
        set.groups = shipped;
        set.groups.extend(own);
        wrong.extend(set.apply(&signs.by_id, check));
        problems.extend(wrong.into_iter().map(|(context, message)| Problem {
            file: config_name.to_owned(),
            position: None,
            context,
            message,
        }));
        set.groups.retain(|g| !g.rules.is_empty());
        if problems.is_empty() {
            Ok(set)
        } else {
            Err(Problems(problems))
        }
    }

    /// Every PromQL text that evaluating the rules may ask, for the selection of what is kept.
    pub fn exprs(&self) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = self.rules().flat_map(RuleSpec::exprs).collect();
        if self.rules().any(|r| r.alert().is_some()) {
            found.extend(HEALTH.map(str::to_owned));
        }
        found
    }

    /// Names of all metrics that some rule cannot do without.
    pub fn input_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for rule in self.rules() {
            rule.inputs.names(&mut names);
        }
        names
    }

    fn rules(&self) -> impl Iterator<Item = &RuleSpec> {
        self.groups.iter().flat_map(|g| &g.rules)
    }

    /// Puts the config's numbers into the rules; returns (context, message) of what is wrong.
    fn apply(
        &mut self,
        overrides: &BTreeMap<String, SignOverride>,
        check: Checker<'_>,
    ) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let signs: BTreeSet<String> = self
            .rules()
            .map(|r| r.label("sign").to_owned())
            .filter(|s| !s.is_empty())
            .collect();
        for (sign, numbers) in overrides {
            let context = format!("signs.{sign}");
            if !signs.contains(sign) {
                let known: Vec<&str> = signs.iter().map(String::as_str).collect();
                wrong.push((
                    context,
                    format!("no rule has this sign; accepted: {}", known.join(", ")),
                ));
                continue;
            }
            if numbers.enabled == Some(false) {
                for group in &mut self.groups {
                    group.rules.retain(|r| r.label("sign") != sign);
                }
                continue;
            }
            for level in Level::ALL {
                let number = match level {
                    Level::Note => numbers.note,
                    Level::Plan => numbers.plan,
                    Level::Act => numbers.act,
                    Level::Now => numbers.now,
                };
                let only = numbers.alertname.as_deref();
                if let Some(number) = number
                    && let Err(message) = self.replace(sign, level, only, number, check)
                {
                    wrong.push((context.clone(), format!("{level}: {message}")));
                }
            }
        }
        wrong
    }

    fn replace(
        &mut self,
        sign: &str,
        level: Level,
        only: Option<&str>,
        number: f64,
        check: Checker<'_>,
    ) -> Result<(), String> {
        if !number.is_finite() {
            return Err(format!("{number} is not a threshold"));
        }
        let of_level: BTreeMap<&str, &str> = self
            .rules()
            .filter(|r| r.label("sign") == sign && r.label("level") == level.as_str())
            .map(|r| (r.name.as_str(), compared_unit(r)))
            .collect();
        if of_level.is_empty() {
            let levels: BTreeSet<&str> = self
                .rules()
                .filter(|r| r.label("sign") == sign)
                .map(|r| r.label("level"))
                .collect();
            let levels: Vec<&str> = levels.into_iter().collect();
            return Err(format!(
                "the sign has no rule of this level; it has {}",
                levels.join(", ")
            ));
        }
        let named = || {
            let names: Vec<String> = of_level
                .iter()
                .map(|(name, unit)| format!("{name} ({unit})"))
                .collect();
            names.join(", ")
        };
        match only {
            Some(name) if !of_level.contains_key(name) => {
                return Err(format!("no alert {name:?} has it; accepted: {}", named()));
            }
            None if of_level.values().collect::<BTreeSet<_>>().len() > 1 => {
                return Err(format!(
                    "its alerts compare in different units; say with alertname which one is \
                     meant: {}",
                    named()
                ));
            }
            Some(_) | None => {}
        }
        let rules = self.groups.iter_mut().flat_map(|g| &mut g.rules);
        let chosen = rules.filter(|r| {
            r.label("sign") == sign
                && r.label("level") == level.as_str()
                && only.is_none_or(|name| r.name == name)
        });
        for rule in chosen {
            let name = &rule.name;
            let without = || format!("rule {name:?} compares with no number");
            let old = put(&mut rule.expr, number, check)?.ok_or_else(without)?;
            if let super::spec::RuleKind::Alert(alert) = &mut rule.kind {
                alert.threshold = Some(number);
                alert.threshold_from = "config".to_owned();
                // The distance between firing and clear stays in proportion.
                if let Some(clear) = &mut alert.clear
                    && let Some(at) = file::check_expr(check, clear)
                        .map_err(|(m, _)| m)?
                        .threshold
                    && old != 0.0
                {
                    let kept = at.value / old * number;
                    // Ten digits: 1.8, not 1.7999999999999998.
                    put(clear, format!("{kept:.9e}").parse().unwrap_or(kept), check)?;
                }
            }
        }
        Ok(())
    }
}

/// Puts a number into the comparison at the end; the number before, `None` without a comparison.
fn put(expr: &mut String, number: f64, check: Checker<'_>) -> Result<Option<f64>, String> {
    let info = file::check_expr(check, expr).map_err(|(m, _)| m)?;
    let Some(threshold) = info.threshold else {
        return Ok(None);
    };
    expr.replace_range(threshold.range, &number.to_string());
    file::check_expr(check, expr).map_err(|(m, _)| m)?;
    Ok(Some(threshold.value))
}

/// What the number at the end of a rule is: a share where there is a limit.
fn compared_unit(rule: &RuleSpec) -> &str {
    match rule.alert() {
        Some(alert) if alert.limit.is_some() => "ratio",
        Some(alert) if !alert.unit.is_empty() => &alert.unit,
        Some(_) | None => "no unit",
    }
}

/// Gives own alerts the sign that an alias says; returns (context, message) of what is wrong.
fn join(own: &mut [GroupSpec], aliases: &[SignAlias]) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    for (i, alias) in aliases.iter().enumerate() {
        let context = |key: &str| format!("signs.alias[{i}].{key}");
        if let Err(e) = alias.level.parse::<Level>() {
            wrong.push((context("level"), e.to_string()));
            continue;
        }
        let named: Vec<&mut RuleSpec> = own
            .iter_mut()
            .flat_map(|g| &mut g.rules)
            .filter(|r| r.alert().is_some() && r.name == alias.alertname)
            .collect();
        if named.is_empty() {
            let name = &alias.alertname;
            let names: BTreeSet<&str> = own
                .iter()
                .flat_map(|g| &g.rules)
                .filter(|r| r.alert().is_some())
                .map(|r| r.name.as_str())
                .collect();
            let names: Vec<&str> = names.into_iter().collect();
            let accepted = if names.is_empty() {
                "an alert of a file under rules.rule_files; there is none".to_owned()
            } else {
                names.join(", ")
            };
            wrong.push((
                context("alertname"),
                format!("no own alert is called {name:?}; accepted: {accepted}"),
            ));
            continue;
        }
        for rule in named {
            let has = rule.label("sign").to_owned();
            if !has.is_empty() {
                wrong.push((
                    context("alertname"),
                    format!("alert {:?} has the sign {has} already", rule.name),
                ));
                continue;
            }
            for (label, value) in [("sign", &alias.sign), ("level", &alias.level)] {
                rule.labels
                    .insert(label.to_owned(), Template::literal(value));
            }
        }
    }
    wrong
}

/// Alert name, sign and level of a rule that has a sign.
fn key(rule: &RuleSpec) -> Option<(String, String, String)> {
    let sign = rule.label("sign");
    (rule.alert().is_some() && !sign.is_empty()).then(|| {
        (
            rule.name.clone(),
            sign.to_owned(),
            rule.label("level").to_owned(),
        )
    })
}

/// Shipped rules that say what an own rule says, as sentences: those it replaces, those beside it,
/// and those that read the same metrics.
pub fn covered(own: &[GroupSpec], shipped: &RuleSet) -> Vec<String> {
    let reads = Reads::of(shipped);
    let mut said = Vec::new();
    for rule in own.iter().flat_map(|g| &g.rules) {
        if rule.alert().is_none() {
            continue;
        }
        let name = &rule.name;
        let (sign, level) = (rule.label("sign"), rule.label("level"));
        let of_shipped = || shipped.rules().filter(|r| r.alert().is_some());
        if !sign.is_empty() {
            for other in
                of_shipped().filter(|r| r.label("sign") == sign && r.label("level") == level)
            {
                said.push(if other.name == *name {
                    format!("{name} ({sign}, {level}) replaces the shipped rule of this name")
                } else {
                    format!(
                        "{name} ({sign}, {level}) fires beside the shipped {}; give it that name to \
                         replace it",
                        other.name
                    )
                });
            }
            continue;
        }
        let mine = reads.of_rule(rule);
        if mine.is_empty() {
            continue;
        }
        let same: BTreeSet<(&str, &str)> = of_shipped()
            .filter(|r| !r.label("sign").is_empty())
            .filter(|r| {
                let theirs = reads.of_rule(r);
                mine.is_subset(&theirs) && theirs.len() <= mine.len() + 3
            })
            .map(|r| (r.label("sign"), r.name.as_str()))
            .collect();
        if !same.is_empty() {
            let names: Vec<String> = same.iter().map(|(s, n)| format!("{n} ({s})")).collect();
            said.push(format!(
                "{name} reads what the shipped {} reads; to count it for that sign write \
                 [[signs.alias]] alertname = {name:?}, sign = \"ID\", level = \"LEVEL\", and \
                 [signs.ID] enabled = false to have one of both",
                names.join(", ")
            ));
        }
    }
    said
}

/// The metrics behind records.
struct Reads(BTreeMap<String, BTreeSet<String>>);

impl Reads {
    fn of(set: &RuleSet) -> Self {
        let mut reads = Reads(BTreeMap::new());
        // Records stand before what reads them.
        for rule in set.rules().filter(|r| r.alert().is_none()) {
            let names = reads.of_rule(rule);
            reads.0.entry(rule.name.clone()).or_default().extend(names);
        }
        reads
    }

    fn of_rule(&self, rule: &RuleSpec) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        rule.inputs.names(&mut names);
        let mut found = BTreeSet::new();
        for name in names {
            match self.0.get(&name) {
                Some(behind) => found.extend(behind.iter().cloned()),
                None => {
                    found.insert(name);
                }
            }
        }
        found
    }
}

#[cfg(test)]
pub(super) mod tests;
