//! From files to something that can be started: parsed and checked, nothing touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::query::parse_options;
use super::shipped;
use crate::advice::{self, Playbook};
use crate::config::{self, Config, Feature, Loaded, Places, Shipped};
use crate::model::labels::NAME;
use crate::model::selection::Need;
use crate::model::{Matcher, Problem, Problems, Selection, duration};
use crate::promql::{self, ParseOptions};
use crate::rules::{
    Checker, Duplicates, GroupSpec, RuleFile, RuleSet, UnknownKeys, check_promql, covered,
    duplicates, read_alone,
};

/// A checked configuration with its rules and playbook.
#[derive(Clone)]
pub struct Plan {
    /// The configuration; defaults when there is no file.
    pub config: Arc<Config>,
    /// Its file; without one, this machine is watched as found.
    pub file: Option<PathBuf>,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// The advice.
    pub playbook: Arc<Playbook>,
    /// What works, but is probably not what was meant.
    pub warnings: Vec<Problem>,
}

impl Plan {
    /// Reads and checks `file` (else where `config::env::config_file` looks), the rules and the playbook it names.
    pub fn load(file: Option<&Path>) -> Result<Plan, Problems> {
        let file = config::env::config_file(file, &config::env::process);
        let loaded = match &file {
            Some(path) => config::load(path, &config::env::process)?,
            None => Loaded::default(),
        };
        let Loaded {
            config,
            places,
            warnings,
            ..
        } = loaded;
        let mut problems = Vec::new();
        let name = file
            .as_deref()
            .map_or_else(String::new, |f| f.display().to_string());
        let language = parse_options(&config.query.enable_features);
        let check_promql = |text: &str| check_promql(text, language);
        let check_expr = |text: &str| check_expr(text, language);
        let rules = rule_files(&config, &places).and_then(|files| {
            RuleSet::load(
                &files,
                &config.signs,
                &name,
                Duplicates::Refuse,
                &check_promql,
            )
        });
        let playbook =
            playbook_files(&config, &places).and_then(|files| Playbook::load(&files, &check_expr));
        if let Ok(playbook) = &playbook {
            for (i, alias) in config.signs.alias.iter().enumerate() {
                if playbook.sign(&alias.sign).is_none() {
                    let accepted: Vec<&str> =
                        playbook.signs().map(|s| s.id.get_ref().as_str()).collect();
                    problems.push(places.problem(
                        &format!("signs.alias[{i}].sign"),
                        format!(
                            "unknown sign {:?}; accepted: {}",
                            alias.sign,
                            accepted.join(", ")
                        ),
                    ));
                }
            }
            let wrong = advice::check_facts(playbook, &config.facts);
            problems.extend(
                wrong
                    .into_iter()
                    .map(|(path, message)| places.problem(&path, message)),
            );
        }
        let mut keep = |found: Problems| {
            // What a rule room finds in the config has a key path and no place yet.
            problems.extend(found.0.into_iter().map(|p| match p.position {
                None if p.file == name => places.problem(&p.context, p.message),
                _ => p,
            }));
        };
        match (rules.map_err(&mut keep), playbook.map_err(&mut keep)) {
            (Ok(rules), Ok(playbook)) if problems.is_empty() => Ok(Plan {
                config: Arc::new(config),
                file,
                rules: Arc::new(rules),
                playbook: Arc::new(playbook),
                warnings,
            }),
            (_, _) => Err(Problems(problems)),
        }
    }

    /// The recordings `loadline:*`, which are kept for as long as the longest outlook needs.
    fn recordings(&self) -> impl Iterator<Item = Need> {
        let rules = self.rules.groups.iter().flat_map(|g| &g.rules);
        let recorded = rules.filter(|r| r.alert().is_none() && r.name.starts_with("loadline:"));
        recorded.map(|r| Need {
            matchers: vec![Matcher::equal(NAME, &r.name)],
            window: RECORDED,
        })
    }

    /// Number of rules.
    pub(crate) fn rule_count(&self) -> usize {
        self.rules.groups.iter().map(|g| g.rules.len()).sum()
    }

    /// Everything that rules, playbook and pins read.
    pub(crate) fn selection(&self, generation: u64) -> Selection {
        let texts = self
            .rules
            .exprs()
            .into_iter()
            .chain(self.playbook.queries());
        let language = parse_options(&self.config.query.enable_features);
        let mut needs: Vec<Need> = Vec::new();
        for text in texts.chain(self.config.store.pin.iter().cloned()) {
            // Checked at load; a text that does not parse selects nothing.
            if let Ok(expr) = promql::parse_with(&text, language) {
                needs.extend(expr.needs());
            }
        }
        needs.extend(self.recordings());
        needs.sort_by(|a, b| format!("{:?}", a.matchers).cmp(&format!("{:?}", b.matchers)));
        needs.dedup();
        let selection = Selection::new(generation, needs);
        match self.config.store.keep {
            config::Keep::All => selection.keeping_all(),
            config::Keep::Selected => selection,
        }
    }
}

/// How long `loadline:*` recordings are kept, whoever reads them.
const RECORDED: Duration = Duration::from_secs(35 * 86_400);

/// The longest window over raw series that costs nothing worth telling.
const LONG: Duration = Duration::from_secs(3_600);

/// What a packed sample takes, in bytes: whole numbers one or two, others up to eight.
const SAMPLE_BYTES: u64 = 4;

/// Seconds between the samples of a target that is asked at the default interval.
const SAMPLE_EVERY: u64 = 15;

/// What windows of more than an hour over raw series cost, as warnings.
fn costs(groups: &[GroupSpec], language: ParseOptions) -> Vec<Problem> {
    let mut found = Vec::new();
    for group in groups {
        for rule in &group.rules {
            let mut longest: BTreeMap<String, Duration> = BTreeMap::new();
            let exprs = rule.exprs();
            let parse = |e: &String| promql::parse_with(e, language).ok();
            for expr in exprs.iter().filter_map(parse) {
                for need in expr.needs() {
                    let name = need.matchers.iter().find(|m| m.name == NAME);
                    let name = name.map_or("every series", |m| m.value.as_str());
                    if need.window > LONG && !name.starts_with("loadline:") {
                        let window = longest.entry(name.to_owned()).or_default();
                        *window = need.window.max(*window);
                    }
                }
            }
            found.extend(longest.into_iter().map(|(name, window)| Problem {
                file: group.file.clone(),
                position: Some(rule.position.0),
                context: format!("group {:?}, rule {:?}", group.name, rule.name),
                message: cost(&name, window),
            }));
        }
    }
    found
}

fn cost(name: &str, window: Duration) -> String {
    if window == Duration::MAX {
        return format!("reads {name} at a fixed time, which is kept for at most 35 days");
    }
    let samples = window.as_secs() / SAMPLE_EVERY;
    let kept = window.as_secs() / 300;
    format!(
        "reads {name} over {}: {samples} samples at one every {SAMPLE_EVERY}s, about {} kB for each \
         series in memory and as much in the samples file; a recording loadline:* every 5m takes \
         about {} kB",
        duration::format(window),
        (samples * SAMPLE_BYTES).div_ceil(1000),
        (kept * SAMPLE_BYTES).div_ceil(1000),
    )
}

/// True PromQL, or why not.
pub(crate) fn check_expr(text: &str, language: ParseOptions) -> Result<(), String> {
    promql::parse_with(text, language)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

fn rule_files(config: &Config, places: &Places) -> Result<Vec<RuleFile>, Problems> {
    let mut files = shipped::rule_files();
    match &config.rules.shipped {
        Shipped::All => {}
        Shipped::None => files.clear(),
        Shipped::Subjects(subjects) => {
            let known: Vec<&str> = files
                .iter()
                .map(|(n, _)| shipped::subject(n))
                .filter(|s| *s != shipped::BASE)
                .collect();
            if let Some(unknown) = subjects.iter().find(|s| !known.contains(&s.as_str())) {
                return Err(Problems(vec![places.problem(
                    "rules.shipped",
                    format!(
                        "unknown subject {unknown:?}; accepted: {}",
                        known.join(", ")
                    ),
                )]));
            }
            // What the subjects share comes along with any of them.
            files.retain(|(n, _)| {
                let subject = shipped::subject(n);
                subjects.iter().any(|s| s == subject)
                    || (subject == shipped::BASE && !subjects.is_empty())
            });
        }
    }
    let own = read_all(&config.rules.rule_files, "rules.rule_files", places)?;
    Ok(as_rule_files(files, true)
        .chain(as_rule_files(own, false))
        .collect())
}

fn as_rule_files(files: Vec<(String, String)>, shipped: bool) -> impl Iterator<Item = RuleFile> {
    files.into_iter().map(move |(name, text)| RuleFile {
        name,
        text,
        shipped,
    })
}

fn playbook_files(config: &Config, places: &Places) -> Result<Vec<(String, String)>, Problems> {
    let mut files = shipped::playbook_files();
    files.extend(read_all(
        &config.advice.playbook_files,
        "advice.playbook_files",
        places,
    )?);
    Ok(files)
}

/// Reads the files that patterns name, sorted.
fn read_all(
    patterns: &[String],
    key: &str,
    places: &Places,
) -> Result<Vec<(String, String)>, Problems> {
    let mut files = Vec::new();
    for (i, pattern) in patterns.iter().enumerate() {
        let here = format!("{key}[{i}]");
        let paths = if config::glob::is_pattern(pattern) {
            config::glob::expand(Path::new(pattern)).map_err(|e| {
                Problems(vec![
                    places.problem(&here, format!("cannot look for {pattern}: {e}")),
                ])
            })?
        } else {
            vec![PathBuf::from(pattern)]
        };
        for path in paths {
            files.push(read(&path)?);
        }
    }
    Ok(files)
}

/// Reads one file as (name, text).
pub(crate) fn read(path: &Path) -> Result<(String, String), Problems> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(e) => Err(Problems(vec![Problem {
            file: name,
            position: None,
            context: String::new(),
            message: format!("cannot read the file: {e}"),
        }])),
    }
}

/// What [`check_rules`] found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Number of rules.
    pub rules: usize,
    /// What is worth a warning.
    pub warnings: Vec<Problem>,
    /// Rules that stand there twice.
    pub duplicates: Vec<Problem>,
    /// Shipped rules that say the same, as sentences.
    pub covered: Vec<String>,
}

/// Checks one rule file as promtool does, or the shipped ones together.
pub fn check_rules(
    file: Option<&Path>,
    features: &[Feature],
    unknown_keys: UnknownKeys,
) -> Result<Checked, Problems> {
    let language = parse_options(features);
    let check_promql = |text: &str| check_promql(text, language);
    let shipped = shipped_rules(&check_promql)?;
    let Some(path) = file else {
        let mut warnings = shipped.warnings;
        warnings.extend(costs(&shipped.groups, language));
        return Ok(Checked {
            rules: count(&shipped.groups),
            warnings,
            // Refused on loading.
            duplicates: Vec::new(),
            covered: Vec::new(),
        });
    };
    let (name, text) = read(path)?;
    let file = RuleFile {
        name,
        text,
        shipped: false,
    };
    let (groups, mut warnings) = read_alone(&file, unknown_keys, &check_promql)?;
    warnings.extend(costs(&groups, language));
    let is_copy = shipped::rule_files().iter().any(|(_, t)| *t == file.text);
    Ok(Checked {
        rules: count(&groups),
        warnings,
        duplicates: duplicates(&groups),
        covered: if is_copy {
            Vec::new()
        } else {
            covered(&groups, &shipped)
        },
    })
}

fn count(groups: &[GroupSpec]) -> usize {
    groups.iter().map(|g| g.rules.len()).sum()
}

fn shipped_rules(check: Checker<'_>) -> Result<RuleSet, Problems> {
    let files: Vec<RuleFile> = as_rule_files(shipped::rule_files(), true).collect();
    let nothing = config::Signs::default();
    RuleSet::load(&files, &nothing, "", Duplicates::Refuse, check)
}

/// Writes the shipped rules and the playbook under `folder`; the number of files. A file that is
/// there and differs stays as it is unless `force`, and is an error.
pub fn export_rules(folder: &Path, force: bool) -> Result<usize, Problems> {
    let mut problems = Vec::new();
    let mut written = 0;
    for (path, text) in shipped::everything() {
        let to = folder.join(path);
        let mut wrong = |message: String| {
            problems.push(Problem {
                file: to.display().to_string(),
                position: None,
                context: String::new(),
                message,
            });
        };
        if !force && std::fs::read(&to).is_ok_and(|old| old != text.as_bytes()) {
            wrong("is there and differs; --force overwrites it".to_owned());
            continue;
        }
        let parent = to.parent().unwrap_or(folder);
        match std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&to, text)) {
            Ok(()) => written += 1,
            Err(e) => wrong(format!("cannot write the file: {e}")),
        }
    }
    if problems.is_empty() {
        Ok(written)
    } else {
        Err(Problems(problems))
    }
}

/// The shipped playbook with some files on top, checked.
pub fn playbook(files: &[PathBuf]) -> Result<Playbook, Problems> {
    let mut all = shipped::playbook_files();
    for file in files {
        all.push(read(file)?);
    }
    Playbook::load(&all, &|text| check_expr(text, ParseOptions::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    fn plan(rules: &str) -> Plan {
        let file = RuleFile {
            name: "r.yml".to_owned(),
            text: format!("groups: [{{name: g, rules: [{rules}]}}]"),
            shipped: false,
        };
        let none = config::Signs::default();
        let rules = RuleSet::load(&[file], &none, "", Duplicates::Refuse, &|text| {
            check_promql(text, ParseOptions::all())
        })
        .unwrap();
        let config = Config {
            rules: config::Rules {
                shipped: Shipped::None,
                ..config::Rules::default()
            },
            ..Config::default()
        };
        Plan {
            config: Arc::new(config),
            file: None,
            rules: Arc::new(rules),
            playbook: Arc::new(
                Playbook::load(&[], &|text| check_expr(text, ParseOptions::default())).unwrap(),
            ),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn recordings_of_ours_are_kept_for_35_days() {
        let plan = plan("{record: 'loadline:x:rate', expr: 'rate(x[5m])'}, {record: y, expr: x}");
        let selection = plan.selection(1);
        let window = |name| selection.window(&Labels::from_pairs([(NAME, name)]));
        assert_eq!(window("loadline:x:rate"), Some(RECORDED));
        assert_eq!(window("y"), None, "nobody reads it");
    }

    #[test]
    fn the_cost_of_a_long_window_is_told() {
        let costs = |rules: &str| -> Vec<String> {
            let plan = plan(rules);
            costs(&plan.rules.groups, ParseOptions::all())
                .into_iter()
                .map(|p| p.to_string())
                .collect()
        };
        assert_eq!(
            costs("{record: y, expr: 'rate(x[1h]) + avg_over_time(loadline:x[7d])'}").len(),
            0
        );
        assert_eq!(costs("{record: y, expr: 'mad_over_time(x[2h])'}").len(), 1);
        let said = costs("{alert: A, expr: 'avg_over_time(x[7d]) > max_over_time(x[2h])'}");
        assert_eq!(said.len(), 1);
        for part in [
            "r.yml:1:",
            "\"A\"",
            "x over 1w",
            "40320 samples",
            "162 kB",
            "9 kB",
        ] {
            assert!(said[0].contains(part), "{part}: {}", said[0]);
        }
    }
}
