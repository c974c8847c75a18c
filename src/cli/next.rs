//! `loadline next`

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::args::{NextArgs, Output};
use super::{Exit, complain, once, print, render};
use crate::advice::given::decide_given;
use crate::advice::next::Next;
use crate::clock::Clock;
use crate::daemon;

/// Largest state on standard input, in bytes; a longer one is refused as too long.
const MAX_STDIN_BYTES: u64 = 2 << 20;

/// Prints the next step only.
pub(crate) fn next(args: &NextArgs) -> anyhow::Result<Exit> {
    if let Some(file) = &args.state {
        return of_state(file, &args.playbook, args.look.output);
    }
    let Some(snapshot) = once::look(&args.look)? else {
        return Ok(Exit::BadConfig);
    };
    match args.look.output {
        Output::Human => print(&render::next(&snapshot, render::Style::for_stdout())),
        Output::Json => {
            let next = serde_json::json!({ "at": snapshot.at, "decisions": snapshot.decisions });
            print(&format!("{}\n", serde_json::to_string_pretty(&next)?));
        }
    }
    Ok(Exit::of(&snapshot))
}

/// Decides for the state in a file, without a system, a daemon or a configuration.
fn of_state(file: &Path, playbook: &[PathBuf], output: Output) -> anyhow::Result<Exit> {
    let (name, text) = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(MAX_STDIN_BYTES)
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        ("standard input".to_owned(), text)
    } else {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        (name, text)
    };
    let book = match daemon::playbook(playbook) {
        Ok(book) => book,
        Err(problems) => {
            complain(&format!("{problems}\n"));
            return Ok(Exit::Failure);
        }
    };
    let advised = match decide_given(&book, &name, &text, Clock::system().now()) {
        Ok(advised) => advised,
        Err(problems) => {
            complain(&format!("{problems}\n"));
            return Ok(Exit::Failure);
        }
    };
    let next = Next::of(&book, &advised);
    match output {
        Output::Human => print(&render::decided(
            &advised.decision,
            render::Style::for_stdout(),
        )),
        Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&next)?)),
    }
    Ok(Exit::Ok)
}
