//! The shipped rules: complete, tested level by level, and quiet on what real programs expose.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

/// Minutes for which the second of the two recorded minutes goes on.
const MINUTES: usize = 45;

/// One rule as its file writes it.
struct Rule {
    file: String,
    alert: bool,
    name: String,
    sign: String,
    level: String,
    severity: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The value of `key: ` in a rule's text, to the next comma, brace or line end.
fn value(text: &str, key: &str) -> String {
    let mark = format!("{key}: ");
    text.split_once(&mark)
        .map_or_else(String::new, |(_, rest)| {
            let end = rest.find([',', '}', '\n']).unwrap_or(rest.len());
            rest[..end].trim().to_owned()
        })
}

fn rules() -> Vec<Rule> {
    let mut found = Vec::new();
    for path in files("rules", "yml") {
        let text = read(&path);
        for part in text.split("\n      - ").skip(1) {
            let part = part.split("\n  - name: ").next().unwrap();
            let (kind, rest) = part.split_once(": ").unwrap();
            let labels = part
                .lines()
                .find(|l| l.trim_start().starts_with("labels: {"))
                .unwrap_or_default();
            found.push(Rule {
                file: stem(&path),
                alert: kind == "alert",
                name: rest.lines().next().unwrap().to_owned(),
                sign: value(labels, "sign"),
                level: value(labels, "level"),
                severity: value(labels, "severity"),
                text: part
                    .lines()
                    .filter(|l| !l.trim_start().starts_with('#'))
                    .collect::<Vec<_>>()
                    .join("\n"),
            });
        }
    }
    found
}

fn alerts() -> impl Iterator<Item = Rule> {
    rules().into_iter().filter(|r| r.alert)
}

#[test]
fn every_alert_is_complete() {
    let ids: BTreeSet<String> = read(&root().join("tests/rules/signs.txt"))
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(ids.len(), 94);
    let mut signs = BTreeSet::new();
    for rule in alerts() {
        let at = format!("{}: {} {}", rule.file, rule.name, rule.level);
        for want in ["summary: ", "description: "] {
            assert!(rule.text.contains(want), "{at}: no {want}");
        }
        if rule.file == "self" {
            assert!(rule.sign.is_empty() && rule.level.is_empty(), "{at}");
            continue;
        }
        assert!(ids.contains(&rule.sign), "{at}: {}", rule.sign);
        signs.insert(rule.sign.clone());
        let severity = match rule.level.as_str() {
            "note" | "plan" => "info",
            "act" => "warning",
            "now" => "critical",
            other => panic!("{at}: level {other}"),
        };
        assert_eq!(rule.severity, severity, "{at}");
        for want in ["loadline_unit: ", "loadline_threshold_from: "] {
            assert!(rule.text.contains(want), "{at}: no {want}");
        }
        assert!(
            rule.text.contains("loadline_needs: ") || rule.text.contains("loadline_no_data: ok"),
            "{at}: blindness"
        );
    }
    assert_eq!(signs.len(), 71, "{signs:?}");
}

#[test]
fn every_level_of_every_alert_has_a_firing_a_quiet_and_a_blind_case() {
    let mut fires = BTreeSet::new();
    let mut quiet = BTreeSet::new();
    for path in files("rules/tests", "yml") {
        let text = read(&path);
        for case in text.split("alertname: ").skip(1) {
            let name = case.lines().next().unwrap().to_owned();
            if case.contains("exp_alerts: []") {
                quiet.insert(name);
                continue;
            }
            for line in case.lines().filter(|l| l.contains("exp_labels: {")) {
                let level = value(line, "level").trim_matches('\'').to_owned();
                fires.insert((name.clone(), level));
            }
        }
    }
    let mut blind = BTreeSet::new();
    let names = Regex::new(r#""([A-Z][A-Za-z0-9]+)""#).unwrap();
    for path in files("rules/tests/blind", "toml") {
        let text = read(&path);
        for list in text.split("\nblind = [").skip(1) {
            let list = list.split(']').next().unwrap();
            blind.extend(names.captures_iter(list).map(|c| c[1].to_owned()));
        }
    }
    let mut missing = Vec::new();
    for rule in alerts() {
        if !fires.contains(&(rule.name.clone(), rule.level.clone())) {
            missing.push(format!("{} {}: never fires", rule.name, rule.level));
        }
        if !quiet.contains(&rule.name) {
            missing.push(format!("{}: is never quiet", rule.name));
        }
        if !blind.contains(&rule.name) && !rule.text.contains("loadline_no_data: ok") {
            missing.push(format!("{}: is never blind", rule.name));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Seconds of a duration of one unit, as the shipped files write them.
fn seconds(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        other => panic!("{text}: {other}"),
    };
    number.parse::<u64>().unwrap() * unit
}

/// What is looked at over more than an hour is a record, and every record that is asked for is
/// made: in the same file or in base.yml, which always comes along.
#[test]
fn long_windows_read_records_and_every_record_is_made() {
    let all = rules();
    let made: BTreeMap<&str, &str> = all
        .iter()
        .filter(|r| !r.alert)
        .map(|r| (r.name.as_str(), r.file.as_str()))
        .collect();
    let ranges = Regex::new(
        r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{[^}]*\})?\[([0-9]+[smhd])(?::[0-9]*[smhd]?)?\]",
    )
    .unwrap();
    let shifts = Regex::new(r"offset ([0-9]+[smhd])").unwrap();
    let records = Regex::new(r"loadline:[a-z0-9_]+(?::[a-z0-9_]+)*").unwrap();
    for rule in &all {
        let at = format!("{}: {}", rule.file, rule.name);
        for found in ranges.captures_iter(&rule.text) {
            assert!(
                seconds(&found[2]) <= 3600 || found[1].starts_with("loadline:"),
                "{at}: {}",
                &found[0]
            );
        }
        for found in shifts.captures_iter(&rule.text) {
            let raw = seconds(&found[1]) > 3600 && !rule.text.contains("(loadline:");
            assert!(!raw, "{at}: {}", &found[0]);
        }
        for name in records.find_iter(&rule.text) {
            let file = made.get(name.as_str());
            assert!(
                file.is_some_and(|f| *f == rule.file || *f == "base"),
                "{at}: {} is not made by {} or base",
                name.as_str(),
                rule.file
            );
        }
    }
}

/// What stands under a key of a rule, in one line.
fn folded(rule: &Rule, key: &str) -> String {
    let mark = format!("        {key}: ");
    let Some((_, rest)) = rule.text.split_once(&mark) else {
        return String::new();
    };
    let mut lines = rest.lines();
    let first = lines.next().unwrap();
    if first != "|" {
        return first.trim_matches('\'').replace("''", "'");
    }
    let body: Vec<&str> = lines
        .take_while(|l| l.starts_with("          "))
        .map(str::trim)
        .collect();
    body.join(" ")
}

/// The list at the end of docs/rules.md.
fn list() -> String {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let mut alerts: Vec<Rule> = alerts().filter(|r| !r.sign.is_empty()).collect();
    let order = ["note", "plan", "act", "now"];
    let rank = |r: &Rule| order.iter().position(|l| *l == r.level);
    alerts.sort_by_key(|r| (r.sign.clone(), r.file.clone(), r.name.clone(), rank(r)));
    let mut out = String::from(
        "| sign | level | alert | in | fires while | for | threshold from |\n|---|---|---|---|---|---|---|\n",
    );
    for r in &alerts {
        let from = folded(r, "  loadline_threshold_from");
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {from} |",
            r.sign,
            r.level,
            r.name,
            r.file,
            code(&folded(r, "expr")),
            folded(r, "for"),
        )
        .unwrap();
    }
    let mut records: Vec<Rule> = rules().into_iter().filter(|r| !r.alert).collect();
    records.sort_by_key(|r| r.name.clone());
    out += "\nRecords that they read:\n\n| record | in | is |\n|---|---|---|\n";
    for r in &records {
        let is = folded(r, "expr");
        let short: String = is.chars().take(160).collect();
        let dots = if short.len() < is.len() { " ..." } else { "" };
        writeln!(out, "| {} | {} | {}{dots} |", r.name, r.file, code(&short)).unwrap();
    }
    out
}

#[test]
fn the_list_in_the_docs_is_what_is_shipped() {
    let path = root().join("docs/rules.md");
    let page = read(&path);
    let mark = "<!-- The rest is written by tests/rule_pack.rs. -->\n\n";
    let (head, rest) = page.split_once(mark).unwrap();
    let want = list();
    if rest != want {
        std::fs::write(&path, format!("{head}{mark}{want}")).unwrap();
        panic!("docs/rules.md was out of date and is written anew: commit it");
    }
}

/// Series of one exposition: text before the value, and the value.
fn exposition(path: &Path) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut types = BTreeSet::new();
    let mut series = BTreeMap::new();
    for line in read(path).lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            if matches!(kind, "counter" | "histogram" | "summary") {
                types.insert(name.to_owned());
            }
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = line
            .rfind('}')
            .map_or_else(|| line.find(' ').unwrap(), |i| i + 1);
        let (key, rest) = line.split_at(at);
        let value = rest.split_whitespace().next().unwrap();
        series.insert(key.to_owned(), value.to_owned());
    }
    (series, types)
}

/// Both snapshots as a rule test's series: counters go on as in the recorded minute, gauges stay.
fn tape(path: &Path) -> String {
    let name = stem(path).replace('.', "-");
    let job = name.split('-').next().unwrap().to_owned();
    let (first, counters) = exposition(path);
    let later = root()
        .join("tests/rules/later")
        .join(path.file_name().unwrap());
    let second = if later.exists() {
        exposition(&later).0
    } else {
        first.clone()
    };
    let mut out = format!("  - name: '{name}'\n    interval: 1m\n    input_series:\n");
    for (key, value) in &first {
        let Some(after) = second.get(key) else {
            continue;
        };
        let (metric, labels) = key.split_once('{').unwrap_or((key, ""));
        let labels = labels.trim_end_matches('}').trim().trim_end_matches(',');
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|s| metric.strip_suffix(s))
            .unwrap_or(metric);
        let counts = metric.ends_with("_total")
            || counters.contains(metric)
            || counters.contains(base)
            || counters.contains(&format!("{metric}_total"));
        let (x, y): (f64, f64) = (value.parse().unwrap(), after.parse().unwrap());
        let values = if !x.is_finite() || !y.is_finite() {
            continue;
        } else if counts {
            format!("{x:?}+{:?}x{MINUTES}", (y - x).max(0.0))
        } else {
            format!("{x:?} {y:?}x{MINUTES}")
        };
        let comma = if labels.is_empty() { "" } else { "," };
        let own = if labels.contains("job=") || labels.contains("instance=") {
            String::new()
        } else {
            format!("{comma}instance=\"{name}\",job=\"{job}\"")
        };
        let series = format!("{metric}{{{labels}{own}}}").replace('\'', "''");
        writeln!(
            out,
            "      - series: '{series}'\n        values: '{values}'"
        )
        .unwrap();
    }
    writeln!(
        out,
        "    promql_expr_test:\n      - expr: ALERTS\n        eval_time: {MINUTES}m"
    )
    .unwrap();
    out
}

#[test]
fn what_fires_on_recorded_programs_is_what_a_reader_would_sign() {
    let dir = tempfile::tempdir().unwrap();
    let mut groups = Vec::new();
    let group = Regex::new(r"(?m)^  - name: (.*)$").unwrap();
    let mut text = String::from("rule_files:\n");
    let mut rule_files = files("rules", "yml");
    rule_files.sort_by_key(|p| (stem(p) != "base", p.clone()));
    for path in &rule_files {
        writeln!(text, "  - {}", path.display()).unwrap();
        groups.extend(group.captures_iter(&read(path)).map(|c| c[1].to_owned()));
    }
    // Every five minutes is enough to see what goes on.
    writeln!(
        text,
        "evaluation_interval: 5m\ngroup_eval_order: [{}]\ntests:",
        groups.join(", ")
    )
    .unwrap();
    for path in files("tests/exposition", "prom") {
        text += &tape(&path);
    }
    let file = dir.path().join("recorded.yml");
    std::fs::write(&file, text).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_loadline"))
        .args(["test", "rules", file.to_str().unwrap()])
        .output()
        .unwrap();
    let out = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
    let mut got = String::new();
    let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
    for line in out.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("name: ") {
            writeln!(got, "{}", name.trim_end_matches(',')).unwrap();
        }
        for element in line.split("ALERTS{").skip(1) {
            let labels: BTreeMap<_, _> = label
                .captures_iter(element.split('}').next().unwrap())
                .map(|c| (c[1].to_owned(), c[2].to_owned()))
                .collect();
            let get = |n: &str| labels.get(n).map_or("", String::as_str);
            let rest: Vec<String> = labels
                .iter()
                .filter(|(n, _)| {
                    ![
                        "alertname",
                        "alertstate",
                        "sign",
                        "level",
                        "severity",
                        "instance",
                        "job",
                    ]
                    .contains(&n.as_str())
                })
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            let line = format!(
                "  {} {} {} {}",
                get("alertname"),
                get("level"),
                get("alertstate"),
                rest.join(" ")
            );
            writeln!(got, "{}", line.trim_end()).unwrap();
        }
    }
    // Real faults that were put there: failing requests, servers that are down, a busy machine, 34
    // of 40 connections, dead slots, an unindexed search, a cache that finds 6 %. What is pending
    // waits for a day.
    insta::assert_snapshot!(got, @r"
    app-express-prom-bundle
      ErrorRateRaised act firing
      ErrorRateRaised now firing
      ErrorRateRaised plan firing
    app-fastapi-instrumentator
      ErrorRateRaised act firing
      ErrorRateRaised now firing
      ErrorRateRaised plan firing
      UptimeUnchecked plan pending
    app-otel-python-old-semconv
      ErrorRateRaised act firing
      ErrorRateRaised now firing
      ErrorRateRaised plan firing
      UptimeUnchecked plan pending
    app-otel-python-stable-http
      ErrorRateRaised act firing
      ErrorRateRaised now firing
      ErrorRateRaised plan firing
      UptimeUnchecked plan pending
    app-starlette_exporter
      ErrorRateRaised act firing
      ErrorRateRaised now firing
      ErrorRateRaised plan firing
      UptimeUnchecked plan pending
    blackbox_exporter-0-23-down
      ProbeFailing now firing
    caddy-2-6
      BackendUnhealthy plan firing
    haproxy-2-6-builtin
      AppQueueInFront plan firing proxy=app
      BackendUnhealthy now firing proxy=empty
      BackendUnhealthy plan firing proxy=app
      BackendUnhealthy plan firing proxy=empty
      ErrorRateRaised act firing proxy=app
      ErrorRateRaised now firing proxy=app
      ErrorRateRaised plan firing proxy=app
      NoApm note pending
      UptimeUnchecked plan pending
    haproxy_exporter-0-14-v1
      BackendUnhealthy plan firing backend=app
      BackendUnhealthy now firing backend=empty
      BackendUnhealthy plan firing backend=empty
      ErrorRateRaised act firing backend=app
      ErrorRateRaised now firing backend=app
      ErrorRateRaised plan firing backend=app
      NoApm note pending
      UptimeUnchecked plan pending
    nginx_exporter-0-11-0
      NoApm note pending
      UptimeUnchecked plan pending
    node_exporter-1-5-0
      HostCpuSustained act firing
      HostCpuSustained now firing
    postgres_exporter-0-20-names-pg15-primary
      PostgresConnectionsNearLimit act firing
      PostgresConnectionsNearLimit now firing
      PostgresConnectionsNearLimit plan firing
      PostgresSimpleQuerySlow plan firing datname=bench
      PostgresSlotLost act firing slot_name=dead_slot
      PostgresSlotLost act firing slot_name=rep_dead
      PostgresStatementDominates act firing datname=bench
      PostgresStatementDominates plan firing datname=bench
    postgres_exporter-0-20-names-pg17-primary
      PostgresConnectionsNearLimit plan firing
      PostgresSimpleQuerySlow plan firing datname=bench
      PostgresStatementDominates act firing datname=bench
      PostgresStatementDominates plan firing datname=bench
    redis_exporter-1-45-0
      CacheHitRateLow act firing
      CacheHitRateLow plan firing
    ");
}
