//! The rule pack and playbook in the binary.

use include_dir::{Dir, include_dir};

static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/rules");

/// Shipped rule files as (name, text), sorted; the name starts with `shipped:`.
pub(crate) fn rule_files() -> Vec<(String, String)> {
    files(&RULES, "yml")
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
