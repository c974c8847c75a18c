//! `loadline rules export`

use super::args::RulesCommand;
use super::{Exit, complain, print};
use crate::daemon;

/// Writes out what is shipped.
pub(crate) fn rules(command: &RulesCommand) -> anyhow::Result<Exit> {
    let RulesCommand::Export { folder, force } = command;
    Ok(match daemon::export_rules(folder, *force) {
        Ok(files) => {
            print(&format!("{files} files written to {}\n", folder.display()));
            Exit::Ok
        }
        Err(problems) => {
            complain(&format!("{problems}\n"));
            Exit::Failure
        }
    })
}
