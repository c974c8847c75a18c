//! All rule files together, with the config's thresholds.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{self, Duplicates, RuleFile};
use super::spec::{Checker, GroupSpec, RuleSpec};
use crate::config::SignOverride;
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
    /// Reads all files and applies `[signs.ID]` of the config file `config_name`.
    ///
    /// A rule of an own file replaces the shipped rule with the same alert name, sign and level;
    /// an own rule without `sign` is added. The error has every problem of every file.
    pub fn load(
        files: &[RuleFile],
        overrides: &BTreeMap<String, SignOverride>,
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
        let replaced: BTreeSet<_> = own.iter().flat_map(|g| &g.rules).filter_map(key).collect();
        for group in &mut shipped {
            group
                .rules
                .retain(|r| key(r).is_none_or(|k| !replaced.contains(&k)));
        }
        set.groups = shipped;
        set.groups.extend(own);
        let wrong = set.apply(overrides, check);
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
                if let Some(number) = number
                    && let Err(message) = self.replace(sign, level, number, check)
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
        number: f64,
        check: Checker<'_>,
    ) -> Result<(), String> {
        if !number.is_finite() {
            return Err(format!("{number} is not a threshold"));
        }
        let mut found = false;
        let rules = self.groups.iter_mut().flat_map(|g| &mut g.rules);
        for rule in rules.filter(|r| r.label("sign") == sign && r.label("level") == level.as_str())
        {
            let info = file::check_expr(check, &rule.expr).map_err(|(m, _)| m)?;
            let threshold = info
                .threshold
                .ok_or_else(|| format!("rule {:?} compares with no number", rule.name))?;
            rule.expr
                .replace_range(threshold.range, &number.to_string());
            file::check_expr(check, &rule.expr).map_err(|(m, _)| m)?;
            if let super::spec::RuleKind::Alert(alert) = &mut rule.kind {
                alert.threshold = Some(number);
                alert.threshold_from = "config".to_owned();
            }
            found = true;
        }
        if found {
            Ok(())
        } else {
            let levels: BTreeSet<&str> = self
                .rules()
                .filter(|r| r.label("sign") == sign)
                .map(|r| r.label("level"))
                .collect();
            let levels: Vec<&str> = levels.into_iter().collect();
            Err(format!(
                "the sign has no rule of this level; it has {}",
                levels.join(", ")
            ))
        }
    }
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

#[cfg(test)]
pub(super) mod tests;
