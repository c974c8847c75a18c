//! The unit file is right for the Debian 12 on which the tests run, and its sandbox is tight.

use std::process::Command;

/// The exposure that systemd may find at most; 0 is none, 10 is all.
const MOST_EXPOSURE: f64 = 1.5;

/// The unit with the binary under test, and the answer of `systemd-analyze` on it.
fn analyze(arguments: &[&str]) -> (bool, String) {
    let shipped = include_str!("../systemd/loadline.service");
    let unit = shipped.replace("/usr/bin/loadline", env!("CARGO_BIN_EXE_loadline"));
    assert_ne!(shipped, unit);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("loadline.service");
    std::fs::write(&path, unit).unwrap();
    let out = Command::new("systemd-analyze")
        .args(arguments)
        .arg(&path)
        .output()
        .unwrap_or_else(|e| panic!("systemd-analyze: {e}; ./test --install brings it"));
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn systemd_finds_nothing_to_say() {
    let (good, text) = analyze(&["verify", "--man=no"]);
    assert!(good && text.trim().is_empty(), "{text}");
}

#[test]
fn the_sandbox_is_tight() {
    let (good, text) = analyze(&["security", "--offline=yes", "--no-pager"]);
    assert!(good, "{text}");
    let exposure: f64 = text
        .rsplit_once("exposure level for loadline.service: ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no exposure level in: {text}"));
    println!("exposure level {exposure}");
    assert!(exposure <= MOST_EXPOSURE, "{text}");
}

#[test]
fn a_wrong_config_is_not_tried_again() {
    let unit = include_str!("../systemd/loadline.service");
    for line in [
        "Type=notify",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",
        "DynamicUser=yes",
        "User=loadline",
        "StateDirectory=loadline",
        "LimitCORE=0",
    ] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
}
