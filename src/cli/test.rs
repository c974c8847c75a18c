//! `loadline test promql|rules`

use std::path::{Path, PathBuf};

use anyhow::Context;
use regex::Regex;

use super::args::{RuleTestArgs, TestCommand};
use super::{Exit, complain, print};
use crate::clock::Clock;
use crate::config::{Feature, glob};
use crate::daemon::parse_options;
use crate::script::{promql, rules};

/// Runs test scripts.
pub(crate) fn test(command: &TestCommand) -> anyhow::Result<Exit> {
    match command {
        TestCommand::Promql { files } => Ok(promql_files(files)),
        TestCommand::Rules(args) => rule_files(args),
    }
}

fn promql_files(files: &[PathBuf]) -> Exit {
    let (mut passed, mut failed) = (0, 0);
    for file in files {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let result = promql::run(&name, &text);
                for failure in &result.failed {
                    complain(&format!("{name}:{}: {}\n", failure.line, failure.message));
                }
                print(&format!(
                    "{name}: {} passed, {} failed\n",
                    result.passed,
                    result.failed.len()
                ));
                passed += result.passed;
                failed += result.failed.len();
            }
            Err(e) => {
                complain(&format!("{name}: cannot read the file: {e}\n"));
                failed += 1;
            }
        }
    }
    ended(passed, failed)
}

fn ended(passed: usize, failed: usize) -> Exit {
    print(&format!("{passed} passed, {failed} failed\n"));
    if failed == 0 { Exit::Ok } else { Exit::Failure }
}

fn rule_files(args: &RuleTestArgs) -> anyhow::Result<Exit> {
    let patterns = args.run.iter().map(|r| Regex::new(r).context("--run"));
    let options = rules::Options {
        run: patterns.collect::<Result<_, _>>()?,
        ignore_unknown: args.ignore_unknown_fields,
        diff: args.diff,
        debug: args.debug,
        language: parse_options(&args.enable_feature),
        delayed_name_removal: args.enable_feature.contains(&Feature::DelayedNameRemoval),
    };
    let clock = Clock::system();
    let at = clock.now();
    let (mut passed, mut failed) = (0, 0);
    let mut results = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        print(&format!("Unit Testing:  {name}\n"));
        let stopwatch = clock.stopwatch();
        let result = rule_file(file, &name, &options);
        print(&rule_file_text(&result));
        if args.debug {
            print(&format!("DEBUG: took {:?}\n", stopwatch.elapsed()));
        }
        print("\n");
        passed += result.passed();
        failed += result.failed();
        results.push((name, result));
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, rules::junit(&results, at))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ended(passed, failed))
}

fn rule_file(file: &Path, name: &str, options: &rules::Options) -> rules::FileResult {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => return rules::FileResult::unreadable(name, &e.to_string()),
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let files = |pattern: &str| named(folder, pattern);
    if file.extension().is_some_and(|e| e == "toml") {
        rules::run_blind(name, &text, &files, options)
    } else {
        rules::run(name, &text, &files, options)
    }
}

/// The files that a pattern relative to `folder` names, with their texts.
fn named(folder: &Path, pattern: &str) -> Result<Vec<(String, String)>, String> {
    if pattern.is_empty() {
        return Ok(Vec::new());
    }
    let path = folder.join(pattern);
    let paths = if glob::is_pattern(pattern) {
        glob::expand(&path).map_err(|e| format!("cannot look for {pattern}: {e}"))?
    } else if path.exists() {
        vec![path]
    } else {
        Vec::new()
    };
    let read = |path: PathBuf| {
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((name, text)),
            Err(e) => Err(format!("{name}: cannot read the file: {e}")),
        }
    };
    paths.into_iter().map(read).collect()
}

fn rule_file_text(result: &rules::FileResult) -> String {
    let mut out = String::new();
    for warning in &result.warnings {
        out.push_str(&format!("  WARNING: {warning}\n"));
    }
    for case in &result.cases {
        if !case.debug.is_empty() {
            out.push_str(&format!("DEBUG: Test {}\n", case.name));
        }
        for line in &case.debug {
            out.push_str(&format!("DEBUG: {line}\n"));
        }
    }
    if result.failed() == 0 {
        out.push_str("  SUCCESS\n");
        return out;
    }
    out.push_str("  FAILED:\n");
    let start = out.len();
    let failures = result.cases.iter().flat_map(|c| &c.failures);
    let failures = failures.map(|f| f.to_string());
    let problems = result.problems.iter().map(|p| p.to_string());
    for text in problems.chain(failures) {
        if out.len() > start {
            out.push('\n');
        }
        for line in text.lines() {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out
}
