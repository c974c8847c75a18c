//! `loadline check config|rules|playbook|metrics`

use std::path::Path;

use super::args::CheckCommand;
use super::{Exit, complain, print};
use crate::advice::coverage;
use crate::config::Feature;
use crate::daemon::{self, Plan};
use crate::model::Problems;

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
        CheckCommand::Rules {
            enable_feature,
            files,
        } => {
            if files.is_empty() {
                exit = rules(None, enable_feature);
            }
            for file in files {
                exit = exit.worse(rules(Some(file), enable_feature));
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

/// Says of one rule file what promtool says.
fn rules(file: Option<&Path>, features: &[Feature]) -> Exit {
    let name = file.map_or_else(
        || "the shipped rules".to_owned(),
        |f| f.display().to_string(),
    );
    print(&format!("Checking {name}\n"));
    let exit = match daemon::check_rules(file, features) {
        Ok(checked) => {
            for warning in checked.warnings {
                complain(&format!("  WARNING: {warning}\n"));
            }
            print(&format!("  SUCCESS: {} rules found\n", checked.rules));
            for sentence in checked.covered {
                print(&format!("  NOTE: {sentence}\n"));
            }
            Exit::Ok
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
