//! `check metrics` says what promtool says, and ends as it ends.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn with_input(command: &mut Command, body: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses a line early closes its end.
    let _ = child.stdin.take().unwrap().write_all(body);
    child.wait_with_output().unwrap()
}

fn ours(body: &[u8]) -> (i32, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadline"));
    let output = with_input(command.args(["check", "metrics", "-"]), body);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        output.status.code().unwrap(),
        text.lines().map(str::to_owned).collect(),
    )
}

fn recorded() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exposition");
    let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    let texts = files.filter(|f| f.to_str().unwrap().ends_with(".prom"));
    texts
        .map(|f| (f.display().to_string(), std::fs::read(&f).unwrap()))
        .collect()
}

#[test]
fn exit_codes_tell_refusals_from_findings() {
    let clean = b"# HELP x_total x\n# TYPE x_total counter\nx_total 1\n";
    assert_eq!(ours(clean), (0, vec![]));
    assert_eq!(ours(b"x 1\n").0, 3);
    assert_eq!(ours(b"x{a=b} 1\n").0, 1);
    let gone = Command::new(env!("CARGO_BIN_EXE_loadline"))
        .args(["check", "metrics", "/nowhere"])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("/nowhere"));
}

#[test]
fn findings_are_promtools() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return;
    }
    let mut bodies = recorded();
    let made = "x_milliseconds 1\nx_bucket 1\nfoo_total_count 3\n# TYPE g_total gauge\n\
                g_total{le=\"1\",aLabel=\"x\"} 1\n# HELP c_gauge d\n# TYPE c_gauge gauge\nc_gauge 1\n\
                # HELP d_gb d\n# TYPE d_gb gauge\nd_gb 1\n# HELP camelCase d\n# TYPE camelCase gauge\n\
                camelCase{quantile=\"1\"} 1\n# TYPE kilobits_x summary\nkilobits_x_sum 1\n\
                kilobits_x_count 1\n# TYPE a_sum gauge\na_sum 1\n# TYPE b_count gauge\nb_count 1\n\
                # TYPE c_bucket gauge\nc_bucket 1\na:b 1\n# TYPE weeks_total counter\nweeks_total 1\n";
    bodies.push(("made".to_owned(), made.as_bytes().to_vec()));
    let mut compared = 0;
    for (name, body) in bodies {
        let theirs = with_input(Command::new("promtool").args(["check", "metrics"]), &body);
        let said = String::from_utf8_lossy(&theirs.stderr).into_owned();
        if theirs.status.code() == Some(1) {
            continue;
        }
        let mut want: Vec<&str> = said.lines().collect();
        want.sort_unstable();
        let (exit, lines) = ours(&body);
        let mut got: Vec<&str> = lines
            .iter()
            .map(String::as_str)
            .filter(|l| want.contains(l) || is_lint(l))
            .collect();
        got.sort_unstable();
        assert_eq!(got, want, "{name}");
        if !want.is_empty() {
            assert_eq!(exit, 3, "{name}");
        }
        compared += 1;
    }
    assert!(compared > 20, "{compared} bodies");
}

/// True for a line in promtool's form, not one of ours.
fn is_lint(line: &str) -> bool {
    !line.starts_with("  ") && !line.contains(": ") || line.contains("use base unit")
}
