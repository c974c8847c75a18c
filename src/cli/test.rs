//! `loadline test promql`

use std::path::PathBuf;

use super::args::TestCommand;
use super::{Exit, complain, print};
use crate::script::promql;

/// Runs test scripts.
pub(crate) fn test(command: &TestCommand) -> anyhow::Result<Exit> {
    match command {
        TestCommand::Promql { files } => Ok(promql_files(files)),
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
    print(&format!("{passed} passed, {failed} failed\n"));
    if failed == 0 { Exit::Ok } else { Exit::Failure }
}
