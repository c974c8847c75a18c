//! The rule pack and playbook in the binary.

use include_dir::{Dir, include_dir};

static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/rules");

/// The records that all subjects share.
pub(crate) const BASE: &str = "base";

/// Shipped rule files as (name, text), the shared one first, the others sorted; the name starts
/// with `shipped:`.
pub(crate) fn rule_files() -> Vec<(String, String)> {
    let mut found = files(&RULES, "yml");
    found.sort_by_key(|(name, _)| subject(name) != BASE);
    found
}

/// The subject of a shipped rule file.
pub(crate) fn subject(name: &str) -> &str {
    name.trim_start_matches("shipped:").trim_end_matches(".yml")
}

/// Everything that is shipped for reading and changing, as (path, text), sorted.
pub(crate) fn everything() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = rule_files()
        .into_iter()
        .chain(playbook_files())
        .map(|(name, text)| (name.trim_start_matches("shipped:").to_owned(), text))
        .collect();
    found.sort();
    found
}

/// Shipped playbook files as (name, text), sorted; the name starts with `shipped:`.
pub(crate) fn playbook_files() -> Vec<(String, String)> {
    RULES
        .get_dir("playbook")
        .map(|d| files(d, "toml"))
        .unwrap_or_default()
}

fn files(dir: &Dir<'_>, extension: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = dir
        .files()
        .filter(|f| f.path().extension().is_some_and(|e| e == extension))
        .filter_map(|f| {
            Some((
                format!("shipped:{}", f.path().display()),
                f.contents_utf8()?.to_owned(),
            ))
        })
        .collect();
    found.sort();
    found
}
