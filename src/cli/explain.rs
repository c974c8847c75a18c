//! `loadline explain`

use super::args::{ExplainArgs, Output};
use super::client::{self, Asked};
use super::{Exit, print, render, status};

/// Prints what each selector of a rule finds.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
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
