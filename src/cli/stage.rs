//! `loadline stage`

use super::args::{NextArgs, Output};
use super::{Exit, complain, next, once, print, render};
use crate::advice::stage::StageView;
use crate::daemon;

/// Prints where the system stands on the ladder.
pub(crate) fn stage(args: &NextArgs) -> anyhow::Result<Exit> {
    let views = if args.state.is_some() {
        match next::of_state(args)? {
            Some((book, advised)) => vec![StageView::of(&book, &advised)],
            None => return Ok(Exit::Failure),
        }
    } else {
        let Some(snapshot) = once::look(&args.look)? else {
            return Ok(Exit::BadConfig);
        };
        let book = match daemon::playbook(&[]) {
            Ok(book) => book,
            Err(problems) => {
                complain(&format!("{problems}\n"));
                return Ok(Exit::Failure);
            }
        };
        let of = |d: &crate::advice::Decision| {
            let present = |step: &str| {
                let own = |s: &&crate::api::StepView| s.system == d.system && s.id == step;
                let found = snapshot.steps.iter().find(own);
                found.is_some_and(|s| s.state == "present")
            };
            let rung = d.rung.as_deref().and_then(|r| book.rung_index(r));
            let ends = rung.map(|r| (r, r));
            StageView::told(&book, &d.system, ends, d.rung_from.clone(), &present)
        };
        snapshot.decisions.iter().map(of).collect()
    };
    match args.look.output {
        Output::Human => {
            for view in &views {
                print(&render::stage(view, render::Style::for_stdout()));
            }
        }
        Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&views)?)),
    }
    Ok(Exit::Ok)
}
