//! From a config file to a checked [`Config`].

use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::check::check;
use super::form::{self, MOST_PROBLEMS};
use super::places::{self, Places};
use super::resolve::resolve;
use super::substitute::substitute;
use super::{Config, Lookup};
use crate::model::{Position, Problem, Problems};

/// Largest config file that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// A configuration that passed every check that needs no network.
///
/// Paths in it are resolved and timeouts are at most their intervals.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What the file and the defaults say together.
    pub config: Config,
    /// The file's name as the person gave it; empty without a file.
    pub file: String,
    /// Where each key stands, for problems that only a later room can see.
    pub places: Places,
    /// What works, but is probably not what was meant.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a config file; `env` answers `${NAME}` and `$CREDENTIALS_DIRECTORY`.
pub fn load(path: &Path, env: Lookup<'_>) -> Result<Loaded, Problems> {
    let file = path.display().to_string();
    let text = read(path).map_err(|(position, message)| {
        Problems(vec![Problem {
            file: file.clone(),
            position,
            context: String::new(),
            message,
        }])
    })?;
    let folder = path
        .canonicalize()
        .ok()
        .and_then(|p| p.parent().map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("/"));
    load_str(&file, &text, &folder, env)
}

/// The same for a text; relative paths in it are resolved against `folder`.
pub fn load_str(
    file: &str,
    text: &str,
    folder: &Path,
    env: Lookup<'_>,
) -> Result<Loaded, Problems> {
    let (mut config, places) = parse(file, text, env)?;
    let mut warnings = Vec::new();
    let mut problems = check(&config, &places, &mut warnings);
    resolve(
        &mut config,
        &places,
        folder,
        env,
        &mut problems,
        &mut warnings,
    );
    if !problems.is_empty() {
        sort(&mut problems);
        return Err(Problems(problems));
    }
    sort(&mut warnings);
    Ok(Loaded {
        config,
        file: file.to_owned(),
        places,
        warnings,
    })
}

/// Checks the form only: TOML, variables, keys and types.
pub(super) fn parse(file: &str, text: &str, env: Lookup<'_>) -> Result<(Config, Places), Problems> {
    let problem = |path: &str, offset: usize, message: String| Problem {
        file: file.to_owned(),
        position: Some(Position::of_offset(text, offset)),
        context: path.to_owned(),
        message,
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut problems: Vec<Problem> = errors
            .iter()
            .map(|e| {
                let span = e.span().unwrap_or_default();
                let key = match e.message() {
                    "duplicate key" => text.get(span.clone()).unwrap_or_default(),
                    _ => "",
                };
                problem(key, span.start, syntax(e.message()))
            })
            .collect();
        sort(&mut problems);
        problems.truncate(MOST_PROBLEMS);
        return Err(Problems(problems));
    }

    let mut table = table.into_inner();
    let nodes = places::nodes(&table);
    let (substituted, unset) = substitute(&mut table, text, env);
    let mut problems = Vec::new();
    for variable in &unset {
        let path = nodes
            .iter()
            .rev()
            .find(|n| n.value == variable.span)
            .map_or("", |n| n.path.as_str());
        let message = format!("the environment variable {} is not set", variable.name);
        problems.push(problem(path, variable.offset, message));
    }
    let bad: Vec<_> = unset.into_iter().map(|u| u.span).collect();
    let (config, faults) = form::read(table, &nodes, &substituted, &bad);
    problems.extend(
        faults
            .into_iter()
            .map(|f| problem(&f.path, f.offset, f.message)),
    );
    sort(&mut problems);
    match config {
        Some(config) if problems.is_empty() => {
            Ok((config, Places::of(file, text, &nodes, &substituted)))
        }
        _ => Err(Problems(problems)),
    }
}

fn syntax(message: &str) -> String {
    match message {
        "duplicate key" => "this key is set twice; keep one".to_owned(),
        "string values must be quoted, expected literal string" => {
            "a text, a duration or a size stands in quotes, e.g. \"15s\"".to_owned()
        }
        other => format!("not TOML: {}", other.replace(", expected ", "; accepted: ")),
    }
}

fn sort(problems: &mut Vec<Problem>) {
    problems.sort_by(|a, b| {
        (a.position, &a.context, &a.message).cmp(&(b.position, &b.context, &b.message))
    });
    problems.dedup();
}

fn read(path: &Path) -> Result<String, (Option<Position>, String)> {
    let cannot = |e: std::io::Error| {
        if e.kind() == std::io::ErrorKind::NotFound {
            let message = "no such file; `loadline config init` writes one with every key";
            return (None, message.to_owned());
        }
        (None, format!("cannot read it: {e}"))
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("larger than {MOST_BYTES} bytes, which no config file needs to be");
        return Err((None, message));
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&e.as_bytes()[..good]).into_owned();
        let position = Position::of_offset(&before, good);
        (Some(position), "not UTF-8 from here on".to_owned())
    })
}

#[cfg(test)]
mod tests;
