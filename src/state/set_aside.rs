//! Puts a damaged database aside, so that a start never fails twice for the same reason.

use std::path::{Path, PathBuf};

use super::StateError;
use super::open::{DATABASE, io_error, sync_dir};

/// Says that the database is damaged although it opens.
const MARK: &str = "damaged";
/// Folders of damaged databases are called `damaged-1` and so on.
const FOLDER: &str = "damaged-";
/// Damaged databases that are kept; older ones are deleted.
const KEPT: u32 = 3;

/// Leaves a mark for the next start.
pub(super) fn mark(dir: &Path, why: &str) {
    if let Err(error) = std::fs::write(dir.join(MARK), why) {
        tracing::error!(%error, "the damaged state database cannot be marked for the next start");
    }
}

/// The mark of the process before, if there is one.
pub(super) fn marked(dir: &Path) -> Option<String> {
    let bytes = std::fs::read(dir.join(MARK)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Moves the database with its log into a new folder beside it, with the reason; returns the
/// folder.
pub(super) fn put(dir: &Path, why: &str) -> Result<PathBuf, StateError> {
    let numbers = numbers(dir)?;
    let number = numbers.last().map_or(1, |n| n + 1);
    let folder = dir.join(format!("{FOLDER}{number}"));
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |e| io_error(what, &path, e)
    };
    std::fs::create_dir(&folder).map_err(io("create", &folder))?;
    // Not worth failing for on a disk that is full.
    let _ = std::fs::write(folder.join("reason.txt"), why);
    // The log first: a log without its database must never meet the next one.
    for suffix in ["-wal", "-shm", ""] {
        let name = format!("{DATABASE}{suffix}");
        match std::fs::rename(dir.join(&name), folder.join(&name)) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io("put aside", &dir.join(&name))(e)),
        }
    }
    sync_dir(&folder)?;
    sync_dir(dir)?;
    match std::fs::remove_file(dir.join(MARK)) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("remove", &dir.join(MARK))(e)),
    }
    for old in numbers.iter().filter(|n| **n + KEPT <= number) {
        let _ = std::fs::remove_dir_all(dir.join(format!("{FOLDER}{old}")));
    }
    Ok(folder)
}

/// Numbers of the folders that are there, rising.
fn numbers(dir: &Path) -> Result<Vec<u32>, StateError> {
    let entries = std::fs::read_dir(dir).map_err(|e| io_error("list", dir, e))?;
    let mut numbers: Vec<u32> = entries
        .filter_map(Result::ok)
        .filter_map(|e| e.file_name().to_str()?.strip_prefix(FOLDER)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}
