use std::path::PathBuf;

use super::*;
use crate::rules::spec::{ExprInfo, Figure, Inputs, RuleKind, Threshold};

/// Stands in for the PromQL parser: takes anything with balanced parentheses and at least one
/// word, refuses a range function without a range, sees a comparison with a number at the end.
pub(crate) fn checker(expr: &str) -> Result<ExprInfo, (String, usize)> {
    if expr.contains("BAD") {
        return Err(("unexpected BAD".to_owned(), expr.find("BAD").unwrap()));
    }
    if expr == "rate(hi)" {
        return Err(("expected type range vector".to_owned(), 5));
    }
    let (ends, name) = patterns();
    let threshold = ends.captures(expr).map(|c| Threshold {
        op: c[1].to_owned(),
        value: c[2].parse().unwrap(),
        range: c.get(2).unwrap().range(),
    });
    let inputs = if expr.starts_with("absent") {
        Inputs::All(Vec::new())
    } else {
        Inputs::All(
            name.find(expr)
                .map(|m| Inputs::Metric(m.as_str().to_owned()))
                .into_iter()
                .collect(),
        )
    };
    Ok(ExprInfo {
        inputs,
        threshold,
        window: std::time::Duration::ZERO,
    })
}

fn patterns() -> (regex::Regex, regex::Regex) {
    let ends = r"(>=|<=|==|!=|>|<)\s*(-?[0-9.]+(e[0-9]+)?)\s*$";
    let name = "[a-z_:]+";
    (
        regex::Regex::new(ends).unwrap(),
        regex::Regex::new(name).unwrap(),
    )
}

fn file(name: &str, text: &str, shipped: bool) -> RuleFile {
    RuleFile {
        name: name.to_owned(),
        text: text.to_owned(),
        shipped,
    }
}

fn load_files(files: &[RuleFile], signs: &Signs) -> Result<RuleSet, Problems> {
    RuleSet::load(files, signs, "loadline.toml", Duplicates::Refuse, &checker)
}

fn load(text: &str) -> Result<RuleSet, Problems> {
    load_files(&[file("r.yml", text, false)], &Signs::default())
}

fn data_files(folder: &str) -> Vec<RuleFile> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/rules")
        .join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yml" || e == "yaml"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|p| {
            let name = p.file_name().unwrap().to_str().unwrap();
            file(name, &std::fs::read_to_string(p).unwrap(), false)
        })
        .collect()
}

#[test]
fn the_corpus_loads() {
    let files = data_files("corpus");
    assert_eq!(files.len(), 13);
    let set = load_files(&files, &Signs::default()).unwrap();
    let rules: usize = set.groups.iter().map(|g| g.rules.len()).sum();
    assert_eq!(rules, 105);
}

#[test]
fn upstream_files_are_taken_and_refused_as_upstream_does() {
    for f in data_files("rulefmt") {
        // Upstream only lints a rule that stands twice.
        let got = RuleSet::load(
            std::slice::from_ref(&f),
            &Signs::default(),
            "loadline.toml",
            Duplicates::Allow,
            &checker,
        );
        // Names beyond ASCII identifiers are good since Prometheus 3.0.
        let bad = f.name.contains(".bad.") && !f.name.starts_with("legacy_validation");
        assert_eq!(got.is_err(), bad, "{}: {got:?}", f.name);
        if f.name == "test.yaml" {
            let found = crate::rules::duplicates(&got.unwrap().groups);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(load_files(&[f], &Signs::default()).is_err());
        }
    }
}

#[test]
fn every_problem_is_told_with_its_place() {
    let head = "groups:\n- name: g\n  rules:\n";
    for (text, want) in [
        (
            "rules: []\n",
            "r.yml:1:1: unknown key \"rules\" in a rule file; accepted: groups",
        ),
        (
            "groups:\n- name: g\n  intervall: 5s\n",
            "r.yml:3:3: group \"g\": unknown key \"intervall\" in a group; accepted: name, interval, query_offset, limit, labels, rules",
        ),
        (
            "groups:\n- name: g\n  interval: 5x\n",
            "r.yml:3:13: group \"g\": interval: invalid duration \"5x\"; accepted: whole numbers with units y w d h m s ms in that order, e.g. 1h30m, 15s, 500ms, or 0",
        ),
        (
            "groups:\n- name: g\n- name: g\n",
            "r.yml:3:3: group \"g\": a group of this name is already in this file; rename one",
        ),
        (
            "groups:\n- rules: []\n",
            "r.yml:2:3: group \"\": a group needs a name",
        ),
        (
            "groups:\n- name: g\n  limit: many\n",
            "r.yml:3:10: group \"g\": limit must be a whole number, not \"many\"",
        ),
        (
            "groups: 5\n",
            "r.yml:1:9: groups must be a list, not a value",
        ),
        ("groups: [\n", "r.yml:1:9: not valid YAML"),
    ] {
        let got = load(text).unwrap_err().to_string();
        assert!(got.starts_with(want), "{text}\n got {got}\nwant {want}");
    }
    for (rule, want) in [
        (
            "- {expr: up}",
            "r.yml:4:5: group \"g\": a rule needs a name under either record or alert",
        ),
        (
            "- {alert: A}",
            "r.yml:4:5: group \"g\", rule \"A\": a rule needs expr",
        ),
        (
            "- {alert: A, record: b, expr: up}",
            "r.yml:4:13: group \"g\", rule \"A\": a rule is either record or alert, not both",
        ),
        (
            "- {alert: A, expr: up, fr: 5m}",
            "r.yml:4:26: group \"g\", rule \"A\": unknown key \"fr\" in a rule; accepted: record, alert, expr, for, keep_firing_for, labels, annotations",
        ),
        (
            "- {alert: A, expr: up, for: five}",
            "r.yml:4:31: group \"g\", rule \"A\": for: invalid duration",
        ),
        (
            "- {record: a, expr: up, for: 5m}",
            "r.yml:4:27: group \"g\", rule \"a\": for belongs to alerts; a record has none",
        ),
        (
            "- {record: 'a{}', expr: up}",
            "r.yml:4:14: group \"g\", rule \"a{}\": record must be a metric name without braces",
        ),
        (
            "- {record: a, expr: up, labels: {__name__: x}}",
            "r.yml:4:46: group \"g\", rule \"a\": invalid label name \"__name__\"",
        ),
        (
            "- alert: A\n  expr: 'up BAD'",
            "r.yml:5:15: group \"g\", rule \"A\": expr: unexpected BAD",
        ),
        (
            "- alert: A\n  expr: |\n    up\n      > BAD",
            "r.yml:7:11: group \"g\", rule \"A\": expr: unexpected BAD",
        ),
        (
            "- alert: A\n  expr: up\n  annotations: {s: 'x {{ nope }}'}",
            "r.yml:6:28: group \"g\", rule \"A\": s: function \"nope\" not defined",
        ),
        (
            "- {alert: A, expr: up > 1, labels: {sign: Bad_Id, level: act}}",
            "r.yml:4:45: group \"g\", rule \"A\": sign: \"Bad_Id\" is not an id; accepted: a-z, 0-9 and -",
        ),
        (
            "- {alert: A, expr: up > 1, labels: {sign: s}}",
            "r.yml:4:45: group \"g\", rule \"A\": a rule with a sign needs the label level; accepted: note, plan, act, now",
        ),
        (
            "- {alert: A, expr: up > 1, labels: {sign: s, level: high}}",
            "r.yml:4:55: group \"g\", rule \"A\": level: unknown level \"high\"; accepted: note, plan, act, now",
        ),
        (
            "- {alert: A, expr: up, labels: {sign: s, level: act}}",
            "r.yml:4:22: group \"g\", rule \"A\": a rule of level act must end in exactly one comparison with a number",
        ),
        (
            "- {alert: A, expr: up, annotations: {loadline_unit: furlong}}",
            "r.yml:4:55: group \"g\", rule \"A\": loadline_unit: unknown unit \"furlong\"; accepted: ratio, bytes, seconds, per_second, count",
        ),
        (
            "- {alert: A, expr: up, annotations: {loadline_limt: 5}}",
            "r.yml:4:55: group \"g\", rule \"A\": unknown annotation \"loadline_limt\"; accepted: loadline_value",
        ),
        (
            "- {alert: A, expr: up, annotations: {loadline_clear: up BAD}}",
            "r.yml:4:59: group \"g\", rule \"A\": loadline_clear: unexpected BAD",
        ),
        (
            "- {alert: A, expr: up, annotations: {loadline_no_data: maybe}}",
            "r.yml:4:58: group \"g\", rule \"A\": loadline_no_data: unknown value \"maybe\"; accepted: blind, ok, fire",
        ),
        (
            "- {alert: A, expr: up}\n- {alert: A, expr: down}",
            "r.yml:5:5: group \"g\", rule \"A\": duplicate rule",
        ),
        (
            "- {alert: A, expr: [up]}",
            "r.yml:4:22: group \"g\", rule \"A\": expr must be a text, not a list",
        ),
        (
            "- {alert: A, expr: ''}",
            "r.yml:4:23: group \"g\", rule \"A\": expr: empty expression",
        ),
    ] {
        let lines: Vec<String> = rule.lines().map(|l| format!("  {l}\n")).collect();
        let text = format!("{head}{}", lines.concat());
        let got = load(&text).unwrap_err().to_string();
        assert!(got.starts_with(want), "{text}\n got {got}\nwant {want}");
        assert_eq!(got.lines().count(), 1, "{got}");
    }
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let bad = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: BAD, for: x}\n  - {alert: B}\n";
    let files = [file("a.yml", bad, false), file("b.yml", "x: 1\n", false)];
    let got = load_files(&files, &Signs::default()).unwrap_err();
    assert_eq!(got.0.len(), 4, "{got}");
}

const SHIPPED: &str = "
groups:
- name: postgres
  rules:
  - alert: ConnectionsNearLimit
    expr: used / max >= 0.8
    for: 5m
    labels: {sign: db-connections-near-limit, level: act, severity: warning}
    annotations: {loadline_threshold_from: '[D]S4', loadline_unit: ratio, loadline_limit: 'max'}
  - alert: ConnectionsAtLimit
    expr: used / max >= 0.95
    labels: {sign: db-connections-near-limit, level: now, severity: critical}
  - record: loadline:used
    expr: used
";

fn overrides(text: &str) -> Signs {
    toml::from_str(text).unwrap()
}

fn rule<'a>(set: &'a RuleSet, name: &str) -> &'a RuleSpec {
    set.rules().find(|r| r.name == name).unwrap()
}

#[test]
fn the_config_replaces_a_threshold() {
    let files = [file("postgres.yml", SHIPPED, true)];
    let set = load_files(&files, &Signs::default()).unwrap();
    let act = rule(&set, "ConnectionsNearLimit").alert().unwrap();
    assert_eq!(
        (act.threshold, act.threshold_from.as_str()),
        (Some(0.8), "[D]S4")
    );
    assert_eq!(act.limit, Some(Figure::Expr("max".to_owned())));
    let now = rule(&set, "ConnectionsAtLimit").alert().unwrap();
    assert_eq!(now.threshold_from, "default");

    let set = load_files(
        &files,
        &overrides("[db-connections-near-limit]\nact = 0.7\n"),
    )
    .unwrap();
    let act = rule(&set, "ConnectionsNearLimit");
    assert_eq!(act.expr, "used / max >= 0.7");
    let alert = act.alert().unwrap();
    assert_eq!(
        (alert.threshold, alert.threshold_from.as_str()),
        (Some(0.7), "config")
    );
    assert_eq!(rule(&set, "ConnectionsAtLimit").expr, "used / max >= 0.95");

    let set = load_files(
        &files,
        &overrides("[db-connections-near-limit]\nenabled = false\n"),
    )
    .unwrap();
    assert_eq!(set.rules().count(), 1);

    for (text, want) in [
        (
            "[db-connections]\nact = 1\n",
            "loadline.toml: signs.db-connections: no rule has this sign; accepted: db-connections-near-limit",
        ),
        (
            "[db-connections-near-limit]\nplan = 1\n",
            "loadline.toml: signs.db-connections-near-limit: plan: the sign has no rule of this level; it has act, now",
        ),
        (
            "[db-connections-near-limit]\nact = nan\n",
            "loadline.toml: signs.db-connections-near-limit: act: NaN is not a threshold",
        ),
    ] {
        let got = load_files(&files, &overrides(text))
            .unwrap_err()
            .to_string();
        assert_eq!(got, want);
    }
}

#[test]
fn an_own_rule_overrides_the_shipped_one_with_its_name_sign_and_level() {
    let own = "groups:\n- name: mine\n  rules:\n\
               \x20 - {alert: ConnectionsNearLimit, expr: used > 15, labels: {sign: db-connections-near-limit, level: act}}\n\
               \x20 - {alert: ConnectionsAtLimit, expr: used > 19}\n";
    let files = [
        file("postgres.yml", SHIPPED, true),
        file("own.yml", own, false),
    ];
    let set = load_files(&files, &Signs::default()).unwrap();
    let names: Vec<_> = set
        .rules()
        .map(|r| (r.name.as_str(), r.expr.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("ConnectionsAtLimit", "used / max >= 0.95"),
            ("loadline:used", "used"),
            ("ConnectionsNearLimit", "used > 15"),
            ("ConnectionsAtLimit", "used > 19"),
        ]
    );
}

#[test]
fn group_labels_are_the_base_and_foreign_levels_are_left_alone() {
    let set = load(
        "groups:\n- name: g\n  interval: 30s\n  limit: 5\n  query_offset: 1m\n  labels: {a: g, b: g}\n\
         \x20 rules:\n  - {alert: A, expr: up, labels: {b: r, level: warning}, annotations: {q: '{{ query \"extra\" | len }}'}}\n",
    )
    .unwrap();
    let group = &set.groups[0];
    assert_eq!(group.interval, Some(std::time::Duration::from_secs(30)));
    assert_eq!((group.limit, group.query_offset.as_secs()), (5, 60));
    assert_eq!(group.key(), "r.yml;g");
    let rule = &group.rules[0];
    assert_eq!((rule.label("a"), rule.label("b")), ("g", "r"));
    assert!(matches!(rule.kind, RuleKind::Alert(_)));
    assert_eq!(set.warnings.len(), 1, "{:?}", set.warnings);
    let exprs: Vec<_> = set.exprs().into_iter().collect();
    assert_eq!(exprs, ["extra", "loadline_scrape_partial", "up"]);
}

const MIXED: &str = "
groups:
- name: g
  rules:
  - {alert: Slow, expr: 'seconds >= 0.2', labels: {sign: slow-queries, level: plan}, annotations: {loadline_unit: seconds, loadline_clear: 'seconds >= 0.18'}}
  - {alert: Share, expr: 'share >= 0.5', labels: {sign: slow-queries, level: plan}, annotations: {loadline_unit: ratio, loadline_clear: 'share >= 0.45'}}
  - {alert: Slow, expr: 'seconds >= 0.8', labels: {sign: slow-queries, level: act}, annotations: {loadline_unit: seconds}}
";

#[test]
fn clear_keeps_its_distance_when_the_threshold_moves() {
    let files = [file("postgres.yml", MIXED, true)];
    let text = "[slow-queries]\nalertname = \"Slow\"\nplan = 2.0\nact = 4.0\n";
    let set = load_files(&files, &overrides(text)).unwrap();
    let got: Vec<_> = set
        .rules()
        .map(|r| (r.expr.as_str(), r.alert().unwrap().clear.as_deref()))
        .collect();
    assert_eq!(
        got,
        [
            ("seconds >= 2", Some("seconds >= 1.8")),
            ("share >= 0.5", Some("share >= 0.45")),
            ("seconds >= 4", None),
        ]
    );
}

#[test]
fn one_number_does_not_stand_for_two_units() {
    let files = [file("postgres.yml", MIXED, true)];
    for (text, want) in [
        (
            "[slow-queries]\nplan = 2.0\n",
            "loadline.toml: signs.slow-queries: plan: its alerts compare in different units; say \
             with alertname which one is meant: Share (ratio), Slow (seconds)",
        ),
        (
            "[slow-queries]\nalertname = \"Slowly\"\nplan = 2.0\n",
            "loadline.toml: signs.slow-queries: plan: no alert \"Slowly\" has it; accepted: Share \
             (ratio), Slow (seconds)",
        ),
    ] {
        let got = load_files(&files, &overrides(text)).unwrap_err();
        assert_eq!(got.to_string(), want);
    }
}

#[test]
fn an_alias_brings_an_own_alert_in() {
    let own = "groups:\n- name: mine\n  rules:\n\
               \x20 - {alert: HostHighCpuLoad, expr: 'busy > 80', labels: {severity: page}}\n\
               \x20 - {alert: Other, expr: up == 0}\n";
    let files = [
        file("postgres.yml", MIXED, true),
        file("own.yml", own, false),
    ];
    let text = "[[alias]]\nalertname = \"HostHighCpuLoad\"\nsign = \"host-cpu-sustained\"\nlevel = \"act\"\n";
    let set = load_files(&files, &overrides(text)).unwrap();
    let own = rule(&set, "HostHighCpuLoad");
    let labels = ["sign", "level", "severity"].map(|l| own.label(l));
    assert_eq!(labels, ["host-cpu-sustained", "act", "page"]);
    assert_eq!(rule(&set, "Other").label("sign"), "");

    for (name, level, want) in [
        (
            "HostHighCpu",
            "act",
            "loadline.toml: signs.alias[0].alertname: no own alert is called \"HostHighCpu\"; \
             accepted: HostHighCpuLoad, Other",
        ),
        (
            "Slow",
            "act",
            "loadline.toml: signs.alias[0].alertname: no own alert is called \"Slow\"; accepted: \
             HostHighCpuLoad, Other",
        ),
        (
            "Other",
            "soon",
            "loadline.toml: signs.alias[0].level: unknown level \"soon\"; accepted: note, plan, act, now",
        ),
    ] {
        let text = format!(
            "[[alias]]\nalertname = \"{name}\"\nsign = \"host-cpu-sustained\"\nlevel = \"{level}\"\n"
        );
        let got = load_files(&files, &overrides(&text)).unwrap_err();
        assert_eq!(got.to_string(), want);
    }
}

#[test]
fn shipped_rules_that_an_own_rule_covers_are_named() {
    let shipped = "groups:\n- name: g\n  rules:\n\
                   \x20 - {record: 'loadline:busy', expr: '1 - idle'}\n\
                   \x20 - {alert: Busy, expr: 'loadline:busy > 0.8', labels: {sign: host-cpu-sustained, level: act}}\n";
    let own = "groups:\n- name: mine\n  rules:\n\
               \x20 - {alert: HostHighCpuLoad, expr: idle < 20}\n\
               \x20 - {alert: Busy, expr: idle < 10, labels: {sign: host-cpu-sustained, level: act}}\n\
               \x20 - {alert: Mine, expr: idle < 10, labels: {sign: host-cpu-sustained, level: act}}\n\
               \x20 - {alert: Down, expr: up == 0}\n";
    let shipped = load_files(&[file("host.yml", shipped, true)], &Signs::default()).unwrap();
    let own = load_files(&[file("own.yml", own, false)], &Signs::default()).unwrap();
    assert_eq!(
        super::covered(&own.groups, &shipped),
        [
            "HostHighCpuLoad reads what the shipped Busy (host-cpu-sustained) reads; to count it \
             for that sign write [[signs.alias]] alertname = \"HostHighCpuLoad\", sign = \"ID\", \
             level = \"LEVEL\", and [signs.ID] enabled = false to have one of both",
            "Busy (host-cpu-sustained, act) replaces the shipped rule of this name",
            "Mine (host-cpu-sustained, act) fires beside the shipped Busy; give it that name to \
             replace it",
        ]
    );
}
