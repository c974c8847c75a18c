//! `loadline next`

use std::io::Read;

use anyhow::Context;

use super::args::{NextArgs, Output};
use super::{Exit, complain, once, print, render};
use crate::advice::given::decide_given;
use crate::advice::next::Next;
use crate::advice::{Advised, Playbook};
use crate::clock::Clock;
use crate::daemon;

/// Largest state on standard input, in bytes; a longer one is refused as too long.
const MAX_STDIN_BYTES: u64 = 2 << 20;

/// Prints the next step only.
pub(crate) fn next(args: &NextArgs) -> anyhow::Result<Exit> {
    if args.state.is_some() {
        let Some((book, advised)) = of_state(args)? else {
            return Ok(Exit::Failure);
        };
        let next = Next::of(&book, &advised);
        match args.look.output {
            Output::Human => {
                let style = render::Style::for_stdout();
                print(&render::decided(&advised.decision, style));
            }
            Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&next)?)),
        }
        return Ok(Exit::Ok);
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

/// Decides for the state in a file, without a system, a daemon or a configuration; `None` when
/// the state or the playbook is wrong (said).
pub(super) fn of_state(args: &NextArgs) -> anyhow::Result<Option<(Playbook, Advised)>> {
    let Some(file) = &args.state else {
        return Ok(None);
    };
    let (name, text) = if file.as_os_str() == "-" {
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
    let decided = daemon::playbook(&args.playbook).and_then(|book| {
        let advised = decide_given(&book, &name, &text, Clock::system().now())?;
        Ok((book, advised))
    });
    match decided {
        Ok(decided) => Ok(Some(decided)),
        Err(problems) => {
            complain(&format!("{problems}\n"));
            Ok(None)
        }
    }
}
