//! What a load changes, and that no text brings it down.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Span, reference};

fn secret(path: &Path) {
    std::fs::write(path, "hunter2\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn nothing(_: &str) -> Option<String> {
    None
}

fn ok(text: &str) -> Config {
    let loaded = load_str("f", text, Path::new("/nowhere"), &nothing);
    loaded.unwrap_or_else(|e| panic!("{e}")).config
}

#[test]
fn a_timeout_that_nobody_wrote_fits_its_interval() {
    let secs = |s: u64| Span(Duration::from_secs(s));
    let c = ok("[global]\nscrape_interval = \"5s\"");
    assert_eq!(c.global.scrape_timeout, secs(5));
    let c = ok("[global]\nscrape_interval = \"30s\"");
    assert_eq!(c.global.scrape_timeout, secs(10));
    let c = ok("[[scrape_configs]]\njob_name = \"a\"\nscrape_interval = \"2s\"");
    assert_eq!(c.scrape_configs[0].scrape_timeout, Some(secs(2)));
    let c = ok("[[scrape_configs]]\njob_name = \"a\"\nscrape_interval = \"2m\"");
    assert_eq!(c.scrape_configs[0].scrape_timeout, None);
}

#[test]
fn paths_start_at_the_files_folder_and_bare_names_at_the_credentials() {
    let config_dir = tempfile::tempdir().unwrap();
    let credentials = tempfile::tempdir().unwrap();
    for name in ["both", "beside"] {
        secret(&config_dir.path().join(name));
    }
    secret(&credentials.path().join("both"));
    std::fs::write(config_dir.path().join("r.yml"), "").unwrap();
    let path = config_dir.path().join("config.toml");
    std::fs::write(
        &path,
        "[state]\ndir = \"state\"\n[rules]\nrule_files = [\"r.yml\", \"sub/*.yml\"]\n\
         [[postgres]]\nurl = \"postgres://a@b/c\"\npassword_file = \"both\"\n\
         [[postgres]]\nurl = \"postgres://a@c/c\"\npassword_file = \"beside\"\n\
         [[postgres]]\nurl = \"postgres://a@d/c\"\npassword_file = \"./both\"\n",
    )
    .unwrap();
    let folder = config_dir.path().canonicalize().unwrap();
    let given = credentials.path().to_str().unwrap().to_owned();
    let env = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| given.clone());

    let loaded = load(&path, &env).unwrap();
    let files: Vec<_> = loaded
        .config
        .postgres
        .iter()
        .map(|p| p.password_file.clone())
        .collect();
    assert_eq!(files[0], Some(credentials.path().join("both")));
    assert_eq!(files[1], Some(folder.join("beside")));
    assert_eq!(files[2], Some(folder.join("./both")));
    assert_eq!(loaded.config.state.dir, Some(folder.join("state")));
    let pattern = folder.join("sub/*.yml").display().to_string();
    assert_eq!(loaded.config.rules.rule_files[1], pattern);
    let warning = loaded.warnings[0].to_string();
    assert!(warning.ends_with(&format!("rules.rule_files[1]: no file matches {pattern}")));
    assert!(
        warning.starts_with(&format!("{}:4:", path.display())),
        "{warning}"
    );
}

#[test]
fn a_missing_file_and_a_huge_one_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let message = |path: &Path| load(path, &nothing).unwrap_err().to_string();
    assert!(message(&path).contains("config.toml: no such file"));
    assert!(message(dir.path()).contains("cannot read it"));
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    assert!(message(&path).contains("larger than 1048576 bytes"));
}

#[test]
fn the_number_of_problems_has_a_bound() {
    let many: String = (0..500).map(|i| format!("key{i} = 1\n")).collect();
    for text in [
        many.clone(),
        many.replace('1', "x"),
        format!("{many}[global]\na = 1\n"),
    ] {
        let problems = load_str("f", &text, Path::new("/"), &nothing).unwrap_err();
        assert_eq!(problems.0.len(), MOST_PROBLEMS);
    }
}

#[test]
fn the_places_outlive_the_load() {
    let text = "[signs.no-such-sign]\nact = 0.5\n";
    let loaded = load_str("f.toml", text, Path::new("/"), &nothing).unwrap();
    let problem = loaded.places.problem("signs.no-such-sign", "unknown sign");
    assert_eq!(
        problem.to_string(),
        "f.toml:1:1: signs.no-such-sign: unknown sign"
    );
    assert!(loaded.places.has("signs.no-such-sign.act"));
}

/// The example with every key made real.
fn full() -> String {
    let real = |l: &str| match l.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{l}\n"),
    };
    reference::example().lines().map(real).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_file_is_refused_with_a_place_or_accepted(
        at in any::<prop::sample::Index>(),
        length in 0..40usize,
        new in "[\\PC\n]{0,8}",
    ) {
        let text = full();
        let mut start = at.index(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        let damaged = format!("{}{new}{}", &text[..start], &text[end..]);
        if let Err(problems) = load_str("f", &damaged, Path::new("/nowhere"), &nothing) {
            prop_assert!(!problems.0.is_empty());
            for problem in problems.0 {
                prop_assert!(problem.position.is_some(), "{problem}");
                prop_assert!(!problem.message.is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = load_str("f", &text, Path::new("/nowhere"), &nothing);
    }
}
