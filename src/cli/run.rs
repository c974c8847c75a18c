//! `loadline run`

use anyhow::Context;

use super::args::{LogFormat, RunArgs};
use super::{Exit, complain};
use crate::config::env;
use crate::telemetry::{Filter, Format, LogOptions};
use crate::{daemon, telemetry};

/// Runs the daemon until it is told to stop.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let filter = match env::log_filter(args.log.as_deref(), &env::process) {
        Some(text) => text.parse().map_err(anyhow::Error::msg).context("--log")?,
        None => Filter::default(),
    };
    let format = match args.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let journal = env::stderr_is_journal(&env::process);
    telemetry::init(LogOptions {
        filter,
        format,
        journal,
    })
    .map_err(anyhow::Error::msg)?;
    let plan = match daemon::Plan::load(args.config.as_deref()) {
        Ok(plan) => plan,
        Err(problems) => {
            complain(&format!("{problems}\n"));
            return Ok(Exit::BadConfig);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let options = daemon::Options {
        state_dir: args.state_dir.clone(),
        listen: args.listen.clone(),
    };
    let ended = runtime.block_on(daemon::run(plan, options));
    // A file system that hangs may hold a thread for good: do not wait for it.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended.map(|()| Exit::Ok)
}
