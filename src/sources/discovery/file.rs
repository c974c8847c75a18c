//! Targets from files.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{MOST_BYTES, Refresh, groups};
use crate::config::{FileSd, glob};
use crate::sources::scrape::Place;

/// The files of one entry, with what each said last.
#[derive(Debug)]
pub(super) struct Files {
    patterns: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
    /// False before the first look, which reports even an empty list.
    looked: bool,
}

#[derive(Debug, Default)]
struct Known {
    /// What the file was when it was read: device, inode, size, and times of change.
    mark: Option<Mark>,
    /// What it said when it was last good.
    places: Vec<Place>,
    problem: Option<String>,
}

type Mark = (u64, u64, u64, (i64, i64), (i64, i64));

impl Files {
    pub(super) fn new(config: &FileSd) -> Self {
        Self {
            patterns: config.files.iter().map(PathBuf::from).collect(),
            known: BTreeMap::new(),
            looked: false,
        }
    }

    /// Reads the files that changed. A broken one keeps what it said; one that is gone says nothing.
    pub(super) fn refresh(&mut self) -> Refresh {
        let mut out = Refresh::default();
        let mut paths = Vec::new();
        let mut all_seen = true;
        for pattern in &self.patterns {
            match glob::expand(pattern) {
                Ok(found) => paths.extend(found),
                Err(e) => {
                    all_seen = false;
                    out.problems
                        .push(format!("cannot look for {}: {e}", pattern.display()));
                }
            }
        }
        let mut changed = !self.looked;
        self.looked = true;
        if all_seen {
            let before = self.known.len();
            self.known.retain(|path, _| paths.contains(path));
            changed |= self.known.len() != before;
        }
        for path in paths {
            let known = self.known.entry(path.clone()).or_default();
            match mark(&path) {
                Ok(mark) if known.mark == Some(mark) => {}
                Ok(mark) => match read(&path) {
                    Ok(places) => {
                        changed |= known.places != places;
                        *known = Known {
                            mark: Some(mark),
                            places,
                            problem: None,
                        };
                    }
                    Err(e) => {
                        known.mark = Some(mark);
                        known.problem =
                            Some(format!("{}: {e}; its last targets stay", path.display()));
                    }
                },
                Err(e) => {
                    known.mark = None;
                    known.problem = Some(format!(
                        "cannot read {}: {e}; its last targets stay",
                        path.display()
                    ));
                }
            }
        }
        out.problems
            .extend(self.known.values().filter_map(|k| k.problem.clone()));
        if changed {
            let all = self.known.values().flat_map(|k| k.places.iter().cloned());
            out.changed = Some(all.collect());
        }
        out
    }
}

/// Follows links, so that a swapped one is a change.
fn mark(path: &Path) -> std::io::Result<Mark> {
    let m = std::fs::metadata(path)?;
    Ok((
        m.dev(),
        m.ino(),
        m.size(),
        (m.mtime(), m.mtime_nsec()),
        (m.ctime(), m.ctime_nsec()),
    ))
}

fn read(path: &Path) -> Result<Vec<Place>, String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("larger than {MOST_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let mut places = match path.extension().and_then(|e| e.to_str()) {
        Some("json") => groups::json(&text)?,
        _ => groups::yaml(&text)?,
    };
    groups::label(&mut places, "__meta_filepath", &path.display().to_string());
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses after a look, `None` when nothing changed, and how many problems there were.
    fn look(files: &mut Files) -> (Option<Vec<String>>, usize) {
        let refresh = files.refresh();
        let addresses = refresh.changed.map(|places| {
            assert!(
                places
                    .iter()
                    .all(|p| p.labels.contains_key("__meta_filepath"))
            );
            places.into_iter().map(|p| p.address).collect()
        });
        (addresses, refresh.problems.len())
    }

    fn list(addresses: &[&str]) -> Option<Vec<String>> {
        Some(addresses.iter().map(|a| (*a).to_owned()).collect())
    }

    #[test]
    fn changes_are_noticed_and_broken_files_keep_their_targets() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            // Another file each time, as editors and mounted maps do it.
            let new = dir.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, dir.path().join(name)).unwrap();
        };
        let config: FileSd = toml::from_str(&format!(
            "files = ['{0}/*.json', '{0}/b.yml']",
            dir.path().display()
        ))
        .unwrap();
        let mut files = Files::new(&config);
        assert_eq!(look(&mut files), (list(&[]), 0));
        assert_eq!(look(&mut files), (None, 0));
        write("a.json", r#"[{"targets": ["a:1"]}]"#);
        write("b.yml", "- targets: ['b:1', 'b:2']\n");
        assert_eq!(look(&mut files), (list(&["a:1", "b:1", "b:2"]), 0));
        assert_eq!(look(&mut files), (None, 0));
        // The same again is no change.
        write("a.json", r#"[ {"targets": ["a:1"]} ]"#);
        assert_eq!(look(&mut files), (None, 0));
        write("a.json", "[{");
        assert_eq!(look(&mut files), (None, 1));
        // It is said again as long as it is so, though it is not read again.
        assert_eq!(look(&mut files), (None, 1));
        write("b.yml", "- targets: ['b:2']\n");
        assert_eq!(look(&mut files), (list(&["a:1", "b:2"]), 1));
        write("a.json", r#"[{"targets": ["a:2"]}]"#);
        assert_eq!(look(&mut files), (list(&["a:2", "b:2"]), 0));
        std::fs::remove_file(dir.path().join("a.json")).unwrap();
        assert_eq!(look(&mut files), (list(&["b:2"]), 0));
    }

    #[test]
    fn a_swapped_link_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            let text = format!("[{{\"targets\": [\"{name}:1\"]}}]");
            std::fs::write(dir.path().join(name).join("t.json"), text).unwrap();
        }
        let link = dir.path().join("data");
        let swap = |to: &str| {
            let new = dir.path().join("new-link");
            std::os::unix::fs::symlink(to, &new).unwrap();
            std::fs::rename(new, &link).unwrap();
        };
        swap("one");
        let text = format!("files = ['{}/t.json']", link.display());
        let mut files = Files::new(&toml::from_str(&text).unwrap());
        assert_eq!(look(&mut files), (list(&["one:1"]), 0));
        swap("two");
        assert_eq!(look(&mut files), (list(&["two:1"]), 0));
    }
}
