//! `loadline config init`

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};

use super::args::ConfigCommand;
use super::{Exit, print};
use crate::config::reference;

/// Writes a configuration.
pub(crate) fn config(command: &ConfigCommand) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Init { file, force } => init(file, *force),
    }
}

fn init(file: &Path, force: bool) -> anyhow::Result<Exit> {
    let text = reference::example();
    if file == Path::new("-") {
        print(&text);
        return Ok(Exit::Ok);
    }
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(force)
        .create_new(!force);
    match options.open(file) {
        Ok(mut out) => {
            out.write_all(text.as_bytes())
                .with_context(|| format!("cannot write {}", file.display()))?;
            print(&format!(
                "wrote {}: every key with its default, commented out\n",
                file.display()
            ));
            Ok(Exit::Ok)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} exists; --force overwrites it", file.display())
        }
        Err(e) => Err(e).with_context(|| format!("cannot write {}", file.display())),
    }
}
