//! `loadline status`

use super::args::{Output, StatusArgs};
use super::client::{Asked, snapshot};
use super::{Exit, complain, print, render};

/// Prints what the running daemon knows.
pub(crate) fn status(args: &StatusArgs) -> anyhow::Result<Exit> {
    match snapshot(&args.url)? {
        Asked::Answer(snapshot) => {
            match args.output {
                Output::Human => print(&render::status(&snapshot, render::Style::for_stdout())),
                Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&snapshot)?)),
            }
            Ok(Exit::of(&snapshot))
        }
        Asked::Nobody => Ok(nobody(&args.url)),
    }
}

/// Says that no daemon answers, and what to do.
pub(super) fn nobody(url: &str) -> Exit {
    complain(&format!(
        "loadline: no daemon answers at {url}; start one with `loadline run`, or look once with \
         `loadline once`\n"
    ));
    Exit::Failure
}
