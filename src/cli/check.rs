//! `loadline check config|rules|playbook|metrics`

use std::path::Path;

use super::args::{CheckCommand, RuleCheckArgs};
use super::{Exit, complain, print};
use crate::advice::coverage;
use crate::daemon::{self, Plan};
use crate::model::Problems;
use crate::rules::UnknownKeys;

/// Checks files without starting anything.
pub(crate) fn check(command: &CheckCommand) -> anyhow::Result<Exit> {
    let mut exit = Exit::Ok;
    match command {
        CheckCommand::Config { files } => {
            if files.is_empty() {
                exit = config(None);
            }
            for file in files {
                exit = exit.worse(config(Some(file)));
            }
        }
        CheckCommand::Rules(args) => {
            let lint = Lint::read(&args.lint);
            if args.files.is_empty() {
                exit = rules(None, args, lint);
            }
            for file in &args.files {
                exit = exit.worse(rules(Some(file), args, lint));
            }
        }
        CheckCommand::Playbook { files, coverage } => {
            let outcome = daemon::playbook(files);
            exit = said(outcome.map(|book| {
                if *coverage {
                    return coverage::page(&book).trim_end().to_owned();
                }
                let steps = book.steps().count();
                format!("the playbook is valid: {steps} steps")
            }));
        }
        CheckCommand::Metrics { places } => exit = super::metrics::metrics(places)?,
    }
    Ok(exit)
}

fn config(file: Option<&Path>) -> Exit {
    let outcome = Plan::load(file).map(|plan| {
        for warning in &plan.warnings {
            complain(&format!("warning: {warning}\n"));
        }
        let name = plan
            .file
            .as_deref()
            .map_or("no config file", |f| f.to_str().unwrap_or("it"));
        format!("{name} is valid: {} rules", plan.rule_count())
    });
    said(outcome)
}

/// What is looked for beside errors.
#[derive(Debug, Clone, Copy)]
struct Lint {
    duplicates: bool,
}

impl Lint {
    /// Reads the names as promtool does: an unknown one is told and has no effect.
    fn read(names: &str) -> Self {
        let mut lint = Lint { duplicates: false };
        for name in names.split(',') {
            match name {
                "all" | "duplicate-rules" => lint.duplicates = true,
                "none" | "too-long-scrape-interval" => {}
                _ => complain(&format!(
                    "warning: --lint {name:?} is unknown; accepted: all, duplicate-rules, none, \
                     too-long-scrape-interval\n"
                )),
            }
        }
        lint
    }
}

/// Says of one rule file what promtool says.
fn rules(file: Option<&Path>, args: &RuleCheckArgs, lint: Lint) -> Exit {
    let name = file.map_or_else(
        || "the shipped rules".to_owned(),
        |f| f.display().to_string(),
    );
    print(&format!("Checking {name}\n"));
    let unknown_keys = if args.ignore_unknown_fields {
        UnknownKeys::Ignore
    } else {
        UnknownKeys::Refuse
    };
    let exit = match daemon::check_rules(file, &args.enable_feature, unknown_keys) {
        Ok(mut checked) => {
            if !lint.duplicates {
                checked.duplicates.clear();
            }
            for warning in checked.warnings {
                complain(&format!("  WARNING: {warning}\n"));
            }
            let is_fatal = args.lint_fatal && !checked.duplicates.is_empty();
            let head = if is_fatal { "FAILED" } else { "WARNING" };
            for duplicate in checked.duplicates {
                complain(&format!("  {head}: {duplicate}\n"));
            }
            if is_fatal {
                Exit::Findings
            } else {
                print(&format!("  SUCCESS: {} rules found\n", checked.rules));
                for sentence in checked.covered {
                    print(&format!("  NOTE: {sentence}\n"));
                }
                Exit::Ok
            }
        }
        Err(Problems(problems)) => {
            complain("  FAILED:\n");
            for problem in problems {
                complain(&format!("    {problem}\n"));
            }
            Exit::Failure
        }
    };
    print("\n");
    exit
}

fn said(outcome: Result<String, Problems>) -> Exit {
    match outcome {
        Ok(line) => {
            print(&format!("{line}\n"));
            Exit::Ok
        }
        Err(problems) => {
            complain(&format!("{problems}\n"));
            Exit::Failure
        }
    }
}
