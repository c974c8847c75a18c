//! Every `*.bad.toml` is refused with the words in its `.txt`, every `*.good.toml` is accepted.

use std::path::{Path, PathBuf};

use loadline::config::{self, Loaded};
use loadline::model::Problems;

/// What `${WORD}` becomes; no message may show it.
const WORD: &str = "c4n4ry";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

fn files(ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.to_str().unwrap().ends_with(ending))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Loads a copy in a folder of its own, where the tests' secret files can be written.
fn load(path: &Path) -> (tempfile::TempDir, Result<Loaded, Problems>) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join(path.file_name().unwrap());
    std::fs::copy(path, &copy).unwrap();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    let secret = dir.path().join("open-secret");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let result = config::load(&copy, &|name| (name == "WORD").then(|| WORD.to_owned()));
    (dir, result)
}

#[test]
fn a_bad_file_is_refused_with_every_reason() {
    for path in files(".bad.toml") {
        let (dir, result) = load(&path);
        let got = match result {
            Ok(_) => panic!("{} was accepted", path.display()),
            Err(problems) => problems.to_string(),
        };
        let real = dir.path().canonicalize().unwrap();
        let got = got
            .replace(&format!("{}/", dir.path().display()), "")
            .replace(&format!("{}/", real.display()), "");
        assert!(!got.contains(WORD), "{}: {got}", path.display());
        assert!(!got.contains("hunter2") && !got.contains("123456"), "{got}");
        let want = std::fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        assert_eq!(got.trim_end(), want.trim_end(), "{}\n{got}", path.display());
    }
}

#[test]
fn a_good_file_is_accepted() {
    for path in files(".good.toml") {
        let (_dir, result) = load(&path);
        let loaded = result.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.warnings, [], "{}", path.display());
    }
}
