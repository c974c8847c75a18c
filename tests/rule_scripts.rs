//! `test rules` and `check rules` give promtool's verdicts, file by file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Upstream's and our own test files with the verdict that Prometheus 3 gives.
const VERDICTS: &[(&str, bool)] = &[
    ("promtool/unittest.yml", true),
    ("promtool/no-test-group-interval.yml", true),
    ("promtool/at-modifier-test.yml", true),
    ("promtool/bad-input-series.yml", false),
    ("promtool/bad-rules-syntax-test.yml", false),
    ("promtool/failing.yml", false),
    ("promtool/rules_run.yml", false),
    ("promtool/rules_run_fuzzy.yml", false),
    ("state/state.test.yml", true),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of a folder below the root, as paths from the root.
fn files(folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut found: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| wanted(name))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

/// Runs a program at the root.
fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .current_dir(root())
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; ./test --install brings what tests need"))
}

fn loadline(arguments: &[&str]) -> (Option<i32>, String) {
    let out = run(env!("CARGO_BIN_EXE_loadline"), arguments);
    let text = [out.stdout, out.stderr].concat();
    (out.status.code(), String::from_utf8(text).unwrap())
}

/// Exit code 0 is a pass, 1 a failure; nothing else may come.
fn verdict(program: &str, arguments: &[&str]) -> (&'static str, String) {
    let out = run(program, arguments);
    let text = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
    match out.status.code() {
        Some(0) => ("pass", text),
        Some(1) => ("fail", text),
        other => panic!("{program} {arguments:?}: exit {other:?}\n{text}"),
    }
}

/// The cases that failed, as `expr: "…", time: …` and `alertname: …, time: …`.
fn failed_cases(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| l.starts_with("expr: ") || l.starts_with("alertname: "))
        .filter_map(|l| {
            let time = l.rfind(", time: ")? + ", time: ".len();
            let end = l[time..].find(',').map_or(l.len(), |i| time + i);
            Some(l[..end].to_owned())
        })
        .collect();
    found.sort();
    found
}

/// Lines of the list of differences.
fn differences(command: &str) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(root().join("tests/rules/differences.txt")).unwrap();
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    let split = lines.map(|line| {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let [of, file, ours, theirs, reason] = words.as_slice() else {
            panic!("not COMMAND FILE LOADLINE PROMTOOL REASON: {line}");
        };
        assert!(!reason.trim().is_empty(), "{line}");
        let listed = ((*file).to_owned(), (*ours).to_owned(), (*theirs).to_owned());
        ((*of).to_owned(), listed)
    });
    let mine = split.filter(|(of, _)| of == command).map(|(_, l)| l);
    mine.collect()
}

/// Compares the verdicts on every file with promtool's.
fn compare(command: &str, files: &[String], also_cases: bool) {
    let mut listed = differences(command);
    let mut wrong = Vec::new();
    for file in files {
        let arguments = [command, "rules", file];
        let (ours, our_text) = verdict(env!("CARGO_BIN_EXE_loadline"), &arguments);
        let (theirs, their_text) = verdict("promtool", &arguments);
        let entry = (file.clone(), ours.to_owned(), theirs.to_owned());
        if let Some(i) = listed.iter().position(|l| *l == entry) {
            listed.remove(i);
        } else if ours != theirs {
            wrong.push(format!("{entry:?}:\n{our_text}\n{their_text}"));
        } else if also_cases && failed_cases(&our_text) != failed_cases(&their_text) {
            wrong.push(format!("{file}: other cases:\n{our_text}\n{their_text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(listed.is_empty(), "differs no longer: {listed:?}");
}

fn test_files() -> Vec<String> {
    let mut all: Vec<String> = VERDICTS
        .iter()
        .map(|(f, _)| format!("tests/rules/{f}"))
        .collect();
    let is_test = |name: &str| name.ends_with(".yml") && !name.ends_with("rules.yml");
    all.extend(files("tests/rules/cases", is_test));
    all.extend(files("rules/tests", |name| name.ends_with(".yml")));
    all
}

#[test]
fn rule_tests_give_promtools_verdicts() {
    compare("test", &test_files(), true);
}

#[test]
fn rule_files_give_promtools_verdicts() {
    let yaml = |name: &str| name.ends_with(".yml") || name.ends_with(".yaml");
    let mut all = Vec::new();
    for folder in ["corpus", "rulefmt", "promtool", "state", "cases"] {
        all.extend(files(&format!("tests/rules/{folder}"), yaml));
    }
    all.extend(files("rules", yaml));
    compare("check", &all, false);
}

#[test]
fn upstream_tests_pass_and_fail_as_in_prometheus_3() {
    for (file, good) in VERDICTS {
        let (code, text) = loadline(&["test", "rules", &format!("tests/rules/{file}")]);
        assert_eq!(code, Some(i32::from(!good)), "{file}: {text}");
    }
    let folder = "tests/rules/cases";
    for file in files(folder, |n| n.ends_with(".yml") && !n.ends_with("rules.yml")) {
        let (code, text) = loadline(&["test", "rules", &file]);
        let bad = file.starts_with(&format!("{folder}/bad-"));
        assert_eq!(code, Some(i32::from(bad)), "{file}: {text}");
    }
}

#[test]
fn the_shipped_rules_pass_their_tests() {
    let mut all = files("rules/tests", |name| name.ends_with(".yml"));
    all.extend(files("rules/tests/blind", |name| name.ends_with(".toml")));
    let arguments: Vec<&str> = ["test", "rules"]
        .into_iter()
        .chain(all.iter().map(String::as_str))
        .collect();
    let (code, text) = loadline(&arguments);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with(" passed, 0 failed\n"), "{text}");
}

#[test]
fn a_run_is_told_as_promtool_tells_it() {
    let file = "tests/rules/promtool/rules_run.yml";
    let (code, text) = loadline(&["test", "rules", file]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(text, @r#"
    Unit Testing:  tests/rules/promtool/rules_run.yml
      FAILED:
        tests/rules/promtool/rules_run.yml:26:9:
        name: wrong test,
        expr: "test", time: 0s,
            exp: test 1
            got: test 0

    1 passed, 1 failed
    "#);
    let (code, text) = loadline(&["test", "rules", "--run", "^correct", file, "--run", "x y"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text, @"
    Unit Testing:  tests/rules/promtool/rules_run.yml
      SUCCESS

    1 passed, 0 failed
    ");
    let (_, text) = loadline(&["test", "rules", "--diff", "--debug", "--run", "wrong", file]);
    for want in [
        " - test 1\n",
        " + test 0\n",
        "DEBUG: test =>\nDEBUG: 0 @[0]\n",
    ] {
        assert!(text.contains(want), "{text}");
    }
}

#[test]
fn a_wrong_file_is_named_with_its_place() {
    let (code, text) = loadline(&[
        "test",
        "rules",
        "tests/rules/cases/bad-key.yml",
        "no-such.yml",
    ]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(text, @r#"
    Unit Testing:  tests/rules/cases/bad-key.yml
      FAILED:
        tests/rules/cases/bad-key.yml:1:10: unknown key "alert_rule_tests" in a test; accepted: name, interval, start_timestamp, input_series, external_labels, external_url, alert_rule_test, promql_expr_test

    Unit Testing:  no-such.yml
      FAILED:
        no-such.yml: cannot read the file: No such file or directory (os error 2)

    0 passed, 2 failed
    "#);
    let key = "tests/rules/cases/bad-key.yml";
    let (code, _) = loadline(&["test", "rules", "--ignore-unknown-fields", key]);
    assert_eq!(code, Some(0));
    // A pattern that is none is a usage error of the person, not of the test.
    let (code, text) = loadline(&["test", "rules", "--run", "(", key]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--run"), "{text}");
}

#[test]
fn results_are_written_as_junit() {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("results.xml");
    let file = "tests/rules/promtool/rules_run.yml";
    let junit = path.to_str().unwrap();
    let (code, _) = loadline(&["test", "rules", "--junit", junit, file]);
    assert_eq!(code, Some(1));
    let xml = std::fs::read_to_string(&path).unwrap();
    assert!(xml.contains(
        "<testsuite name=\"tests/rules/promtool/rules_run.yml\" tests=\"2\" failures=\"1\""
    ));
    assert!(
        xml.contains("<testcase name=\"wrong test\">\n\t\t\t<failure>"),
        "{xml}"
    );
}

#[test]
fn a_check_counts_rules_and_names_what_is_wrong() {
    let good = "tests/rules/promtool/rules.yml";
    let twice = "tests/rules/cases/duplicate-labels.rules.yml";
    let bad = "tests/rules/promtool/bad-rules-syntax.yml";
    let (code, text) = loadline(&["check", "rules", good]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text, @"
    Checking tests/rules/promtool/rules.yml
      SUCCESS: 5 rules found
    ");
    let (code, text) = loadline(&["check", "rules", twice]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("WARNING: ") && text.contains("duplicate rule"),
        "{text}"
    );
    let (code, text) = loadline(&["check", "rules", bad, good]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&format!("  FAILED:\n    {bad}:7:22: ")),
        "{text}"
    );
    assert!(text.contains("  SUCCESS: 5 rules found\n"), "{text}");
    assert_eq!(loadline(&["check", "rules"]).0, Some(0));
}

#[test]
fn lints_end_as_promtools_do() {
    let twice = "tests/rules/cases/duplicate-labels.rules.yml";
    let good = "tests/rules/promtool/rules.yml";
    let bad = "tests/rules/promtool/bad-rules-syntax.yml";
    for (arguments, want) in [
        (vec![twice], 0),
        (vec!["--lint-fatal", twice], 3),
        (vec!["--lint-fatal", good], 0),
        (vec!["--lint-fatal", twice, good], 3),
        (vec!["--lint-fatal", twice, bad], 1),
        (vec!["--lint-fatal", bad, twice], 1),
        (vec!["--lint=none", "--lint-fatal", twice], 0),
        (vec!["--lint=all", "--lint-fatal", twice], 3),
        (
            vec!["--lint=none,duplicate-rules", "--lint-fatal", twice],
            3,
        ),
        (vec!["--lint=nonsense", "--lint-fatal", twice], 0),
        (
            vec!["--lint=too-long-scrape-interval", "--lint-fatal", twice],
            0,
        ),
    ] {
        let arguments = [vec!["check", "rules"], arguments].concat();
        let (ours, text) = loadline(&arguments);
        assert_eq!(ours, Some(want), "{arguments:?}: {text}");
        let theirs = run("promtool", &arguments).status.code();
        assert_eq!(theirs, Some(want), "promtool {arguments:?}");
        assert_eq!(text.contains("nonsense"), arguments[2].contains("nonsense"));
    }
}

#[test]
fn a_rule_twice_in_a_file_is_found_across_groups() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.yml");
    let rule = "rules: [{record: a, expr: up, labels: {x: y}}]";
    let text =
        format!("groups:\n- {{name: g, {rule}}}\n- {{name: h, {rule}}}\n- {{name: i, {rule}}}\n");
    std::fs::write(&file, text).unwrap();
    let arguments = ["check", "rules", "--lint-fatal", file.to_str().unwrap()];
    let (code, text) = loadline(&arguments);
    assert_eq!(code, Some(3), "{text}");
    assert_eq!(text.matches("duplicate rule").count(), 1, "{text}");
    assert!(
        text.contains("r.yml:3:21: group \"h\", rule \"a\": duplicate rule"),
        "{text}"
    );
    assert_eq!(run("promtool", &arguments).status.code(), Some(3));
}

#[test]
fn keys_of_other_programs_are_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.yml");
    let path = file.to_str().unwrap();
    let of_group = [
        ("partial_response_strategy: abort", "Thanos"),
        ("source_tenants: [a]", "Mimir"),
        ("evaluation_delay: 1m", "query_offset"),
        ("type: prometheus", "vmalert"),
        ("concurrency: 2", "vmalert"),
        ("eval_offset: 1m", "vmalert"),
        ("eval_delay: 1m", "query_offset"),
        ("params: {nocache: ['1']}", "vmalert"),
        ("remote_write: []", "Loki"),
    ];
    let of_rule = [
        ("debug: true", "loadline explain RULE"),
        ("update_entries_limit: 9", "vmalert"),
    ];
    let of_file = [
        ("apiVersion: monitoring.coreos.com/v1", "spec"),
        ("namespace: n", "mimirtool"),
    ];
    let rule = "{record: a, expr: up}";
    let texts = of_group
        .map(|(key, want)| {
            (
                format!("groups: [{{name: g, {key}, rules: [{rule}]}}]"),
                key,
                want,
            )
        })
        .into_iter()
        .chain(of_rule.map(|(key, want)| {
            let rule = format!("{{record: a, expr: up, {key}}}");
            (format!("groups: [{{name: g, rules: [{rule}]}}]"), key, want)
        }))
        .chain(of_file.map(|(key, want)| {
            (
                format!("{key}\ngroups: [{{name: g, rules: [{rule}]}}]"),
                key,
                want,
            )
        }));
    for (text, key, want) in texts {
        std::fs::write(&file, text).unwrap();
        let (code, said) = loadline(&["check", "rules", path]);
        assert_eq!(code, Some(1), "{key}: {said}");
        assert_eq!(verdict("promtool", &["check", "rules", path]).0, "fail");
        let key = key.split(':').next().unwrap();
        assert!(
            said.contains(&format!("{key} is a key of ")) && said.contains(want),
            "{said}"
        );
        assert!(said.contains("Prometheus refuses; "), "{said}");
        let (code, said) = loadline(&["check", "rules", "--ignore-unknown-fields", path]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("SUCCESS: 1 rules found"), "{said}");
    }
}

/// The code blocks of one language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    let rest = page.split(&open).skip(1);
    rest.map(|r| r.split("```").next().unwrap()).collect()
}

#[test]
fn the_examples_of_the_page_pass() {
    let page = std::fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let yaml = blocks(&page, "yaml");
    let toml = blocks(&page, "toml");
    let [rules, test] = yaml.as_slice() else {
        panic!("{} blocks", yaml.len());
    };
    for (name, text) in [("disk.yml", rules), ("t.yml", test), ("t.toml", &toml[0])] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let path = |name: &str| dir.path().join(name).display().to_string();
    assert_eq!(loadline(&["check", "rules", &path("disk.yml")]).0, Some(0));
    let (code, text) = loadline(&["test", "rules", &path("t.yml"), &path("t.toml")]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        verdict("promtool", &["test", "rules", &path("t.yml")]).0,
        "pass"
    );
}
