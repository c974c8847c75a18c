use std::path::{Path, PathBuf};

use super::*;

fn no_files(_: &str) -> Result<Vec<(String, String)>, String> {
    Ok(Vec::new())
}

/// Runs a test over one rule file; `tests` is the value of `tests:`.
fn run_over(rules: &str, head: &str, tests: &str) -> FileResult {
    let text = format!("rule_files: [r.yml]\n{head}\ntests:\n{tests}\n");
    let files = |_: &str| Ok(vec![("r.yml".to_owned(), rules.to_owned())]);
    run("t.yml", &text, &files, &Options::default())
}

fn failures(result: &FileResult) -> String {
    let all = result.cases.iter().flat_map(|c| &c.failures);
    let mut lines: Vec<String> = all.map(|f| f.to_string()).collect();
    lines.extend(result.problems.iter().map(|p| p.to_string()));
    lines.join("\n")
}

/// All of it passes.
fn check(rules: &str, head: &str, tests: &str) {
    let result = run_over(rules, head, tests);
    assert_eq!(failures(&result), "", "{rules}\n{tests}");
    assert!(result.passed() > 0);
}

const FIRES: &str = "\
groups:
- name: g
  rules:
  - alert: Hot
    expr: m > 1
    for: 1m
    annotations: {value: '{{ $value }}', loadline_unit: ratio, loadline_clear: m > 0}
";

#[test]
fn only_samples_up_to_the_last_evaluation_are_seen() {
    let tests = "
- interval: 1m
  input_series: [{series: m, values: '0 1 2 3 4 5'}]
  promql_expr_test:
  - {expr: m @ 240, eval_time: 2m, exp_samples: [{labels: '{__name__=\"m\"}', value: 2}]}
  - {expr: m offset -3m, eval_time: 2m, exp_samples: [{labels: m, value: 2}]}
  - {expr: 'count_over_time(m[3m])', eval_time: 2m30s, exp_samples: [{value: 3}]}
";
    check("", "evaluation_interval: 1m", tests);
}

#[test]
fn a_subquery_without_a_step_takes_the_evaluation_interval() {
    let tests = "
- interval: 10s
  input_series: [{series: m, values: '1x100'}]
  promql_expr_test:
  - {expr: 'count_over_time(m[5m:])', eval_time: 10m, exp_samples: [{value: 10}]}
";
    check("", "evaluation_interval: 30s", tests);
}

#[test]
fn groups_run_at_every_evaluation_whatever_their_interval() {
    let rules = "groups: [{name: g, interval: 1h, rules: [{record: r, expr: m}]}]";
    let tests = "
- interval: 1m
  input_series: [{series: m, values: '1 2 3'}]
  promql_expr_test:
  - {expr: 'count_over_time(r[3m])', eval_time: 2m, exp_samples: [{value: 3}]}
";
    check(rules, "", tests);
}

#[test]
fn groups_run_in_the_order_given() {
    let rules = "
groups:
- {name: second, rules: [{record: b, expr: a}]}
- {name: first, rules: [{record: a, expr: m}]}
";
    let tests = |value: u8| {
        format!(
            "- {{interval: 1m, input_series: [{{series: m, values: 1 2}}], promql_expr_test: \
             [{{expr: b, eval_time: 1m, exp_samples: [{{labels: b, value: {value}}}]}}]}}"
        )
    };
    check(rules, "group_eval_order: [first, second]", &tests(2));
    check(rules, "group_eval_order: [second, first]", &tests(1));
    check(rules, "", &tests(1));
}

#[test]
fn loadline_annotations_are_plain_ones() {
    // The clear expression would hold the alert after the third minute.
    let tests = "
- interval: 1m
  input_series: [{series: m, values: '0 2 2 1 1'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: Hot}
  - eval_time: 2m59s
    alertname: Hot
    groupname: g
    exp_alerts:
    - exp_annotations: {value: '2', loadline_unit: ratio, loadline_clear: m > 0}
  - {eval_time: 2m, alertname: Hot, groupname: other}
  - {eval_time: 3m, alertname: Hot, exp_alerts: []}
";
    check(FIRES, "", tests);
}

#[test]
fn a_failure_shows_both_sides_and_its_place() {
    let tests = "
- name: two
  input_series: [{series: m, values: '2 2 2'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: Hot}
  promql_expr_test:
  - {expr: m, eval_time: 1m, exp_samples: [{labels: m, value: 3}]}
  - {expr: m + , eval_time: 1m}
  - {expr: 'm[1m]', eval_time: 1m}
";
    let got = failures(&run_over(FIRES, "", tests));
    let want = "\
t.yml:8:5:
name: two,
alertname: Hot, time: 1m,
    exp:[],
    got:[
        0:
          Labels:{alertname=\"Hot\"}
          Annotations:{loadline_clear=\"m > 0\", loadline_unit=\"ratio\", value=\"2\"}
        ]
t.yml:10:5:
name: two,
expr: \"m\", time: 1m,
    exp: m 3
    got: m 2
t.yml:11:5:
name: two,
expr: \"m +\", time: 1m, err: ";
    assert!(got.starts_with(want), "{got}");
    assert!(
        got.ends_with("rule result is not a vector or scalar"),
        "{got}"
    );
}

#[test]
fn a_rule_that_fails_ends_the_test() {
    let rules = "groups: [{name: g, rules: [{record: r, expr: 'm * on() n'}]}]";
    let tests = "
- input_series:
  - {series: 'm', values: '1 1'}
  - {series: 'n{a=\"1\"}', values: '_ 1'}
  - {series: 'n{a=\"2\"}', values: '_ 1'}
  alert_rule_test: [{eval_time: 5m, alertname: X, exp_alerts: [{}]}]
";
    let got = failures(&run_over(rules, "", tests));
    assert!(
        got.starts_with("t.yml:5:3:\nrule: r, time: 1m, err: "),
        "{got}"
    );
    assert!(!got.contains("alertname"), "{got}");
}

#[test]
fn series_end_at_an_empty_line_as_in_promtool() {
    let tests = "
- input_series:
  - series: m
    values: |
      1 1
  - {series: n, values: 1}
  promql_expr_test:
  - {expr: m, exp_samples: [{labels: m, value: 1}]}
  - {expr: n}
";
    let result = run_over("", "", tests);
    assert_eq!(failures(&result), "");
    assert_eq!(result.warnings.len(), 1);
    // The last of two equal series counts.
    let tests = "
- input_series: [{series: m, values: 1}, {series: 'm{}', values: 2}]
  promql_expr_test: [{expr: m, exp_samples: [{labels: m, value: 2}]}]
";
    check("", "", tests);
}

#[test]
fn a_start_time_moves_everything() {
    let tests = "
- start_timestamp: 1000
  input_series: [{series: m, values: '1 2 3'}]
  promql_expr_test:
  - {expr: time(), eval_time: 1m, exp_samples: [{value: 1060}]}
  - {expr: m, eval_time: 1m, exp_samples: [{labels: m, value: 2}]}
  - {expr: 'count_over_time(ALERTS[5m])', eval_time: 2m, exp_samples:
      [{labels: '{alertname=\"Hot\",alertstate=\"pending\"}', value: 1},
       {labels: '{alertname=\"Hot\",alertstate=\"firing\"}', value: 1}]}
";
    check(FIRES, "", &tests.replace("1 2 3", "1 2 2"));
}

#[test]
fn tests_are_chosen_by_name_and_rule_files_read_only_for_them() {
    let text = "rule_files: [r.yml]\ntests: [{name: one}, {name: two}, {}]";
    let files = |_: &str| Ok(vec![("r.yml".to_owned(), "nonsense".to_owned())]);
    let run_only = |patterns: &[&str]| {
        let options = Options {
            run: patterns.iter().map(|p| Regex::new(p).unwrap()).collect(),
            ..Options::default()
        };
        let result = run("t.yml", text, &files, &options);
        let names = result.cases.iter().map(|c| c.name.clone());
        (names.collect::<Vec<_>>(), result.failed())
    };
    assert_eq!(run_only(&["^on"]), (vec!["one".to_owned()], 1));
    assert_eq!(run_only(&["one", "two"]).0, ["one", "two"]);
    assert_eq!(run_only(&["three"]), (Vec::new(), 0));
    assert_eq!(run_only(&[]).0, ["one", "two", "unnamed#2"]);
}

#[test]
fn a_missing_rule_file_is_a_warning() {
    let result = run(
        "t.yml",
        "rule_files: [no.yml]\ntests: [{}]",
        &no_files,
        &Options::default(),
    );
    assert_eq!((result.passed(), result.failed()), (1, 0));
    assert_eq!(
        result.warnings[0].to_string(),
        "t.yml:1:14: no file matches \"no.yml\""
    );
}

#[test]
fn evaluations_are_bounded() {
    let tests = "- {promql_expr_test: [{expr: 1, eval_time: 1y}]}";
    let got = failures(&run_over("", "evaluation_interval: 1ms", tests));
    assert!(
        got.contains("over the limit of 10000000 evaluations"),
        "{got}"
    );
}

#[test]
fn blind_rules_are_told_from_seeing_ones() {
    let rules = "
groups:
- name: g
  rules:
  - {alert: A, expr: a > 1}
  - {alert: B, expr: b > 1}
  - {alert: C, expr: absent(c)}
";
    let files = |_: &str| Ok(vec![("r.yml".to_owned(), rules.to_owned())]);
    let run_text = |test: &str| {
        let text = format!("rule_files = ['r.yml']\n[[test]]\neval_time = '10m'\n{test}");
        failures(&run_blind("t.toml", &text, &files, &Options::default()))
    };
    let series = "input_series = [{ series = 'a', values = '1x10' }, \
                  { series = 'b', values = '2x2 stale' }]\n";
    let good = "blind = ['B']\nsees = ['A', 'C']\nheld = ['B']";
    assert_eq!(run_text(&format!("{series}{good}")), "");
    let got = run_text(&format!("{series}blind = ['A', 'X']\nsees = ['B']"));
    for want in [
        "t.toml:2:1:",
        "no rule has the name X",
        "A: expected blind, but it sees",
        "B: expected to see, but it misses b",
        "held alerts: exp: [] got: [B]",
    ] {
        assert!(got.contains(want), "{want}: {got}");
    }
    let got = run_text("blnd = []");
    assert!(got.starts_with("t.toml:4:1: unknown field `blnd`"), "{got}");
}

#[test]
fn junit_escapes_and_counts() {
    let tests = "
- {name: 'a<b', promql_expr_test: [{expr: '\"x\"'}]}
- {name: good}
";
    let results = [
        ("t.yml".to_owned(), run_over("", "", tests)),
        (
            "u.yml".to_owned(),
            run("u.yml", "nope: 1", &no_files, &Options::default()),
        ),
    ];
    let got = junit(&results, crate::model::Timestamp(0));
    for want in [
        "<testsuite name=\"t.yml\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" \
         timestamp=\"1970-01-01T00:00:00.000\">",
        "<testcase name=\"a&lt;b\">\n\t\t\t<failure>t.yml:5:36:\nname: a&lt;b,\nexpr: ",
        "<testsuite name=\"u.yml\" tests=\"1\" failures=\"0\" errors=\"1\"",
        "<error>u.yml:1:1: unknown key &quot;nope&quot;",
    ] {
        assert!(got.contains(want), "{want}\n{got}");
    }
}

/// The files that a folder holds, by ending.
fn folder(path: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.to_str().unwrap().ends_with(ending));
    found.sort();
    assert!(!found.is_empty(), "{path}");
    found
}

#[test]
fn every_corpus_rule_evaluates_over_nothing() {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use crate::model::Timestamp;
    use crate::rules::{EvalContext, Group, Missing};

    let files: Vec<(String, String)> = folder("tests/rules/corpus", ".yml")
        .iter()
        .map(|p| (p.display().to_string(), std::fs::read_to_string(p).unwrap()))
        .collect();
    let specs = load(&files, UnknownKeys::Refuse, ParseOptions::default()).unwrap();
    assert_eq!(specs.iter().map(|g| g.rules.len()).sum::<usize>(), 105);
    let memory = Arc::new(memory::Memory::default());
    let engine = run::engine(memory.clone(), Duration::from_secs(60), &Options::default());
    let nothing = BTreeMap::new();
    for missing in [Missing::Resolve, Missing::Blind] {
        let ctx = EvalContext {
            external_labels: &nothing,
            external_url: "",
            missing,
            warm: true,
            flapping: crate::rules::FlappingPolicy::OFF,
            write: &|written| drop(memory.write(written)),
            elapsed: &|| Duration::ZERO,
            known: None,
        };
        for spec in &specs {
            let mut group = Group::new(spec.clone(), Duration::from_secs(60));
            for secs in [0, 3600] {
                let outcome = group.evaluate(&engine, Timestamp::from_secs(secs), &ctx);
                assert_eq!(outcome.errors, [], "{}", spec.key());
            }
        }
    }
}

#[test]
fn rules_write_histograms_and_alert_on_them() {
    let rules = "
groups:
- name: g
  rules:
  - {record: 'job:h:sum', expr: sum by (job) (h), labels: {kind: all}}
  - {record: 'job:h:count', expr: 'histogram_count(job:h:sum)'}
  - alert: Slow
    expr: 'job:h:sum'
    annotations: {value: '{{ $value }}', asked: '{{ query \"job:h:sum\" | first | value }}'}
";
    let tests = "
- interval: 1m
  input_series:
  - {series: 'h{job=\"a\",i=\"1\"}', values: '{{count:2 sum:3 buckets:[2]}}x3 stale'}
  - {series: 'h{job=\"a\",i=\"2\"}', values: '{{count:1 sum:1 buckets:[1]}}x3 stale'}
  promql_expr_test:
  - expr: job:h:sum
    eval_time: 2m
    exp_samples:
    - {labels: 'job:h:sum{job=\"a\", kind=\"all\"}', histogram: '{{count:3 sum:4 counter_reset_hint:not_reset buckets:[3]}}'}
  - {expr: 'job:h:count', eval_time: 3m, exp_samples: [{labels: 'job:h:count{job=\"a\", kind=\"all\"}', value: 3}]}
  - {expr: 'job:h:sum', eval_time: 4m, exp_samples: []}
  - expr: ALERTS
    eval_time: 3m
    exp_samples:
    - {labels: 'ALERTS{alertname=\"Slow\", alertstate=\"firing\", job=\"a\", kind=\"all\"}', value: 1}
  alert_rule_test:
  - eval_time: 3m
    alertname: Slow
    exp_alerts:
    - exp_labels: {job: a, kind: all}
      exp_annotations: {value: '{count:3, sum:4, (0.5,1]:3}', asked: '0'}
  - {eval_time: 4m, alertname: Slow, exp_alerts: []}
";
    check(rules, "", tests);
    let wrong = tests.replace("buckets:[3]", "buckets:[2]");
    let result = run_over(rules, "", &wrong);
    assert!(failures(&result).contains("buckets:[2]"));
}
