//! Rule tests in promtool's format, and tests of blindness.
//!
//! What must stay true: a test gives what `promtool test rules` of Prometheus 3 gives for the
//! same files, to the last bit. Time is the test's own. Samples later than the last evaluation
//! are never seen. Evaluations of one test are bounded.

mod blind;
mod compare;
mod file;
mod junit;
mod memory;
mod run;

use std::fmt;

use regex::Regex;

use crate::model::{Position, Problem, Problems};
use crate::promql::ParseOptions;
use crate::rules::{GroupSpec, RuleFile, UnknownKeys, check_promql, read_alone};

pub use junit::junit;

/// Finds the files that one of a test file's `rule_files` names, as (name, text).
pub type Files<'a> = &'a dyn Fn(&str) -> Result<Vec<(String, String)>, String>;

/// What can be chosen for a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only tests whose name has a match of one of these; all when empty.
    pub run: Vec<Regex>,
    /// Keys that are not known are no problem.
    pub ignore_unknown: bool,
    /// Show what differs line by line instead of both sides.
    pub diff: bool,
    /// Keep notes on every test.
    pub debug: bool,
    /// How much of the language is accepted.
    pub language: ParseOptions,
    /// Metric names go at the end of a query, not in each function.
    pub delayed_name_removal: bool,
}

/// What a file gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileResult {
    /// Why the file cannot be run at all.
    pub problems: Vec<Problem>,
    /// What a person should know.
    pub warnings: Vec<Problem>,
    /// The tests that were run, in order.
    pub cases: Vec<CaseResult>,
}

/// What one test gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Its name, or `unnamed#N`.
    pub name: String,
    /// What went wrong; nothing when it passed.
    pub failures: Vec<Failure>,
    /// Notes, when asked for.
    pub debug: Vec<String>,
}

/// One thing that went wrong: `FILE:LINE:COLUMN:` and, on lines of its own, what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// File of the test.
    pub file: String,
    /// Place of the case in it.
    pub at: Position,
    /// One or more lines.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.at;
        write!(f, "{}:{line}:{column}:\n{}", self.file, self.message)
    }
}

impl FileResult {
    /// The result of a file that cannot be read.
    pub fn unreadable(name: &str, why: &str) -> FileResult {
        FileResult {
            problems: vec![Problem {
                file: name.to_owned(),
                position: None,
                context: String::new(),
                message: format!("cannot read the file: {why}"),
            }],
            ..FileResult::default()
        }
    }

    /// Tests that passed.
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|c| c.failures.is_empty()).count()
    }

    /// Tests that failed; a file that cannot be run counts as one.
    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed() + usize::from(!self.problems.is_empty())
    }
}

/// Runs the tests of one file in promtool's format.
pub fn run(name: &str, text: &str, files: Files<'_>, options: &Options) -> FileResult {
    let mut result = FileResult::default();
    let test_file = match file::read(name, text, options.ignore_unknown) {
        Ok(file) => file,
        Err(Problems(problems)) => {
            result.problems = problems;
            return result;
        }
    };
    let patterns = find(name, &test_file.rule_files, files, &mut result);
    let Some(rule_files) = patterns else {
        return result;
    };
    let unknown_keys = if options.ignore_unknown {
        UnknownKeys::Ignore
    } else {
        UnknownKeys::Refuse
    };
    let mut rules: Option<Result<Vec<GroupSpec>, Problems>> = None;
    for (i, test) in test_file.tests.iter().enumerate() {
        if !chosen(&test.name, options) {
            continue;
        }
        let rules = rules.get_or_insert_with(|| load(&rule_files, unknown_keys, options.language));
        let mut case = CaseResult {
            name: case_name(&test.name, i),
            failures: Vec::new(),
            debug: Vec::new(),
        };
        run::test(
            name,
            &test_file,
            test,
            rules,
            options,
            &mut case,
            &mut result.warnings,
        );
        result.cases.push(case);
    }
    result
}

/// Runs the tests of one file that says which rules are blind; its format is TOML.
pub fn run_blind(name: &str, text: &str, files: Files<'_>, options: &Options) -> FileResult {
    blind::run(name, text, files, options)
}

fn chosen(name: &str, options: &Options) -> bool {
    options.run.is_empty() || options.run.iter().any(|r| r.is_match(name))
}

fn case_name(name: &str, i: usize) -> String {
    if name.is_empty() {
        format!("unnamed#{i}")
    } else {
        name.to_owned()
    }
}

/// The rule files that the patterns name; nothing when one cannot be read, which is told.
fn find(
    name: &str,
    patterns: &[(String, Position)],
    files: Files<'_>,
    result: &mut FileResult,
) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (pattern, at) in patterns {
        let say = |message: String| Problem {
            file: name.to_owned(),
            position: Some(*at),
            context: String::new(),
            message,
        };
        match files(pattern) {
            Ok(files) if files.is_empty() => {
                result
                    .warnings
                    .push(say(format!("no file matches {pattern:?}")));
            }
            Ok(files) => found.extend(files),
            Err(e) => result.problems.push(say(e)),
        }
    }
    result.problems.is_empty().then_some(found)
}

/// Loads rule files as Prometheus does; one that is named twice counts once.
fn load(
    files: &[(String, String)],
    unknown_keys: UnknownKeys,
    language: ParseOptions,
) -> Result<Vec<GroupSpec>, Problems> {
    let check_promql = |text: &str| check_promql(text, language);
    let mut groups = Vec::new();
    let mut problems = Vec::new();
    for (i, (name, text)) in files.iter().enumerate() {
        if files[..i].iter().any(|(n, _)| n == name) {
            continue;
        }
        let file = RuleFile {
            name: name.clone(),
            text: text.clone(),
            shipped: false,
        };
        match read_alone(&file, unknown_keys, &check_promql) {
            Ok((found, _)) => groups.extend(found),
            Err(Problems(found)) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(groups)
    } else {
        Err(Problems(problems))
    }
}

#[cfg(test)]
mod tests;
