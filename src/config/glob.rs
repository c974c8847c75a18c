//! Finds the files that a pattern such as `rules/*.yml` names.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Most files that one pattern may name.
pub const MOST_FILES: usize = 10_000;

/// True when `pattern` has a wildcard.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// The files that `pattern` names, in order; `*` is any letters and `?` one letter of a name.
///
/// Hidden files need a pattern that begins with a point. A missing folder is no file; a folder
/// that cannot be read, or more than [`MOST_FILES`] files, is an error.
pub fn expand(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !is_pattern(&name) {
            found.iter_mut().for_each(|p| p.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    continue;
                }
                Err(e) => {
                    return Err(io::Error::new(
                        e.kind(),
                        format!("{}: {e}", folder.display()),
                    ));
                }
            };
            for entry in entries {
                let entry = entry?.file_name();
                let entry = entry.to_string_lossy();
                if entry.starts_with('.') == name.starts_with('.') && matches(&name, &entry) {
                    next.push(folder.join(entry.as_ref()));
                }
                if next.len() > MOST_FILES {
                    let message = format!("{}: more than {MOST_FILES} files", pattern.display());
                    return Err(io::Error::other(message));
                }
            }
        }
        found = next;
    }
    found.retain(|p| p.is_file());
    found.sort();
    Ok(found)
}

/// True when `name` fits `pattern`; takes at most the product of their lengths in steps.
fn matches(pattern: &str, name: &str) -> bool {
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut i, mut j) = (0, 0);
    let mut star = None;
    while j < n.len() {
        if i < p.len() && p[i] == '*' {
            star = Some((i, j));
            i += 1;
        } else if i < p.len() && (p[i] == '?' || p[i] == n[j]) {
            i += 1;
            j += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            i = at + 1;
            j = taken + 1;
        } else {
            return false;
        }
    }
    p[i..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_within_a_name() {
        for (pattern, name, want) in [
            ("*.yml", "a.yml", true),
            ("*.yml", ".yml", true),
            ("*.yml", "a.yaml", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?.yml", "ü.yml", true),
            ("?.yml", ".yml", false),
            ("**", "x", true),
            ("", "x", false),
            ("[a].yml", "[a].yml", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn files_come_in_order_and_folders_do_not_come() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/2.yml", "b/1.yml", "a/3.yml", "a/x.txt", "a/.hidden.yml"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::create_dir(dir.path().join("a/folder.yml")).unwrap();
        let check = |pattern: &str, want: &[&str]| {
            let got = expand(&dir.path().join(pattern)).unwrap();
            let want: Vec<_> = want.iter().map(|p| dir.path().join(p)).collect();
            assert_eq!(got, want, "{pattern}");
        };
        check("*/*.yml", &["a/3.yml", "b/1.yml", "b/2.yml"]);
        check("b/*", &["b/1.yml", "b/2.yml"]);
        check("a/3.yml", &["a/3.yml"]);
        check("a/.*.yml", &["a/.hidden.yml"]);
        check("no/such/*.yml", &[]);
        check("*/*/*.yml", &[]);
    }
}
