//! `loadline explain`

use super::args::{ExplainArgs, Output};
use super::client::{self, Asked};
use super::{Exit, complain, print, render, status};
use crate::advice::explain;
use crate::daemon;

/// Prints what the playbook says of a sign or step, or what each selector of a rule finds.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let book = match daemon::playbook(&[]) {
        Ok(book) => book,
        Err(problems) => {
            complain(&format!("{problems}\n"));
            return Ok(Exit::Failure);
        }
    };
    if let Some(explained) = explain::explain(&book, &args.rule) {
        match args.output {
            Output::Human => print(&render::explained(&explained, render::Style::for_stdout())),
            Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&explained)?)),
        }
        return Ok(Exit::Ok);
    }
    match client::explain(&args.url, &args.rule)? {
        Asked::Answer(explained) => {
            match args.output {
                Output::Human => print(&render::explain(&explained, render::Style::for_stdout())),
                Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&explained)?)),
            }
            Ok(Exit::Ok)
        }
        Asked::Nobody => Ok(status::nobody(&args.url)),
    }
}
