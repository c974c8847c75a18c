//! `loadline check config|rules|playbook`

use std::path::{Path, PathBuf};

use super::args::CheckCommand;
use super::{Exit, complain, print};
use crate::daemon::{self, Plan};
use crate::model::Problems;

/// Checks files without starting anything.
pub(crate) fn check(command: &CheckCommand) -> anyhow::Result<Exit> {
    let mut exit = Exit::Ok;
    match command {
        CheckCommand::Config { files } => {
            for file in files {
                exit = exit.worse(config(file));
            }
        }
        CheckCommand::Rules { files } => {
            let outcome = daemon::check_rules(files);
            exit = said(outcome.map(|n| format!("{n} rules are valid")));
        }
        CheckCommand::Playbook { files } => {
            let outcome = daemon::check_playbook(files);
            exit = said(outcome.map(|n| format!("the playbook is valid: {n} steps")));
        }
    }
    Ok(exit)
}

fn config(file: &PathBuf) -> Exit {
    let outcome = Plan::load(Some(Path::new(file))).map(|plan| {
        for warning in &plan.warnings {
            complain(&format!("warning: {warning}\n"));
        }
        format!("{} is valid: {} rules", file.display(), plan.rule_count())
    });
    said(outcome)
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
