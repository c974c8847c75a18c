//! `loadline once`

use anyhow::Context;

use super::args::{DEFAULT_URL, LookArgs, Output};
use super::client::{self, Asked};
use super::{Exit, complain, print, render};
use crate::api::Snapshot;
use crate::daemon;

/// Prints what is watched, what hurts and the next step.
pub(crate) fn once(args: &LookArgs) -> anyhow::Result<Exit> {
    let Some(snapshot) = look(args)? else {
        return Ok(Exit::BadConfig);
    };
    match args.output {
        Output::Human => print(&render::status(&snapshot, render::Style::for_stdout())),
        Output::Json => print(&format!("{}\n", serde_json::to_string_pretty(&snapshot)?)),
    }
    Ok(Exit::of(&snapshot))
}

/// The running daemon's view, else an own look; `None` when the configuration is bad (said).
pub(super) fn look(args: &LookArgs) -> anyhow::Result<Option<Snapshot>> {
    if args.config.is_none() && !args.no_daemon {
        let url = args.url.as_deref().unwrap_or(DEFAULT_URL);
        match client::snapshot(url) {
            Ok(Asked::Answer(snapshot)) => return Ok(Some(*snapshot)),
            Ok(Asked::Nobody) if args.url.is_none() => {}
            Ok(Asked::Nobody) => anyhow::bail!("no daemon answers at {url}"),
            // Something else may listen on the port: look for ourselves.
            Err(_) if args.url.is_none() => {}
            Err(e) => return Err(e),
        }
    }
    match daemon::Plan::load(args.config.as_deref()) {
        Ok(plan) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .context("cannot start the async runtime")?;
            let seen = runtime.block_on(daemon::look_once(plan));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            Ok(Some(seen?))
        }
        Err(problems) => {
            complain(&format!("{problems}\n"));
            Ok(None)
        }
    }
}
