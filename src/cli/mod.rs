//! The commands; the only room that prints.
//!
//! What must stay true: what was typed (`args`) and what is done are apart; results go to
//! standard output, everything else to standard error; exit codes are 0 ok, 1 findings or
//! failure, 2 usage, 3 findings of `check metrics` and of `check rules --lint-fatal`, 78 bad
//! configuration at start.

mod args;
mod check;
mod client;
mod config;
mod doctor;
mod explain;
mod metrics;
mod next;
mod once;
mod render;
mod report;
mod rules;
mod run;
mod runway;
mod stage;
mod status;
mod test;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Run(run) => run::run(&run),
        Command::Once(once) => once::once(&once),
        Command::Next(args) => next::next(&args),
        Command::Status(status) => status::status(&status),
        Command::Runway(runway) => runway::runway(&runway),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Explain(explain) => explain::explain(&explain),
        Command::Stage(args) => stage::stage(&args),
        Command::Report(args) => report::report(&args),
        Command::Check(check) => check::check(&check),
        Command::Test(test) => test::test(&test),
        Command::Rules(command) => rules::rules(&command),
        Command::Config(config) => config::config(&config),
        Command::Version => {
            print(&format!("loadline {}\n", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Ok)
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(e) => {
            complain(&format!("loadline: {e:#}\n"));
            Exit::Failure.into()
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Findings, or it failed.
    Failure,
    /// Findings of `check metrics` and of the linter, told apart from a failure as promtool does.
    Findings,
    /// The configuration is bad: restarting will not help.
    BadConfig,
}

impl Exit {
    /// Findings when a sign fires at level act or now.
    pub(crate) fn of(snapshot: &crate::api::Snapshot) -> Exit {
        let is_finding = |s: &crate::advice::SignInstance| s.level >= crate::model::Level::Act;
        if snapshot.signs.iter().any(is_finding) {
            Exit::Failure
        } else {
            Exit::Ok
        }
    }

    /// The worse of two ends; a failure is worse than findings.
    pub(crate) fn worse(self, other: Exit) -> Exit {
        match self {
            Exit::Ok => other,
            Exit::Findings if other == Exit::Failure => other,
            Exit::Findings | Exit::Failure | Exit::BadConfig => self,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Failure => 1,
            Exit::Findings => 3,
            Exit::BadConfig => 78,
        })
    }
}

/// Writes a result to standard output; a closed pipe is the reader's choice, not an error.
pub(crate) fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes to standard error.
pub(crate) fn complain(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
