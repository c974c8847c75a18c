//! A rule test file as typed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Position, Problem, Problems, Timestamp, duration};
use crate::rules::yaml::{self, Kind, Node};

/// A whole file; the rule files are patterns, relative to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TestFile {
    pub(super) rule_files: Vec<(String, Position)>,
    /// At least 1 ms.
    pub(super) evaluation_interval: Duration,
    /// Place of a group by name.
    pub(super) order: BTreeMap<String, usize>,
    pub(super) fuzzy: bool,
    pub(super) tests: Vec<Test>,
}

/// One item of `tests`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    pub(super) at: Position,
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) start: Timestamp,
    pub(super) input: Vec<InputSeries>,
    pub(super) external_labels: BTreeMap<String, String>,
    pub(super) external_url: String,
    pub(super) alerts: Vec<AlertCase>,
    pub(super) exprs: Vec<ExprCase>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct InputSeries {
    pub(super) at: Position,
    pub(super) series: String,
    pub(super) values: String,
}

/// Which alerts fire at a time since the start.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AlertCase {
    pub(super) at: Position,
    pub(super) eval_time: Duration,
    /// Empty for any.
    pub(super) group: String,
    pub(super) alert: String,
    pub(super) expected: Vec<ExpectedAlert>,
}

/// Labels come without `alertname`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ExpectedAlert {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// What an expression gives at a time since the start.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExprCase {
    pub(super) at: Position,
    pub(super) expr: String,
    pub(super) eval_time: Duration,
    pub(super) expected: Vec<ExpectedSample>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpectedSample {
    pub(super) labels: String,
    pub(super) value: f64,
    /// Empty for a float.
    pub(super) histogram: String,
}

impl Test {
    /// The latest time that is looked at.
    pub(super) fn last(&self) -> Duration {
        let alerts = self.alerts.iter().map(|c| c.eval_time);
        let exprs = self.exprs.iter().map(|c| c.eval_time);
        alerts.chain(exprs).max().unwrap_or_default()
    }
}

/// Reads a file and says everything that is wrong with it.
pub(super) fn read(name: &str, text: &str, ignore_unknown: bool) -> Result<TestFile, Problems> {
    let mut reader = Reader {
        name,
        text,
        ignore_unknown,
        problems: Vec::new(),
    };
    let file = match yaml::parse(text) {
        Ok(root) => reader.root(&root),
        Err((message, position)) => {
            reader.problem(position, message);
            None
        }
    };
    match file {
        Some(file) if reader.problems.is_empty() => Ok(file),
        _ => {
            let mut problems = reader.problems;
            problems.sort_by_key(|p| p.position);
            Err(Problems(problems))
        }
    }
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    ignore_unknown: bool,
    problems: Vec<Problem>,
}

/// Known keys of a mapping with their values.
struct Fields<'n>(BTreeMap<&'n str, &'n Node>);

impl<'n> Fields<'n> {
    /// The value under `key`, unless it is nothing.
    fn get(&self, key: &str) -> Option<&'n Node> {
        let node = self.0.get(key).copied();
        node.filter(|n| n.kind != Kind::Null)
    }
}

impl Reader<'_> {
    fn problem(&mut self, position: Option<Position>, message: String) {
        self.problems.push(Problem {
            file: self.name.to_owned(),
            position,
            context: String::new(),
            message,
        });
    }

    fn wrong(&mut self, node: &Node, message: String) {
        self.problem(Some(node.at), message);
    }

    fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Fields<'n> {
        let mut found = BTreeMap::new();
        match &node.kind {
            Kind::Null => {}
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    match key.as_str() {
                        Some(name) if known.contains(&name) => {
                            found.insert(name, value);
                        }
                        _ if self.ignore_unknown => {}
                        name => {
                            let name = name.unwrap_or("?");
                            let accepted = known.join(", ");
                            self.wrong(
                                key,
                                format!("unknown key {name:?} in {what}; accepted: {accepted}"),
                            );
                        }
                    }
                }
            }
            Kind::Scalar(_) | Kind::Seq(_) => {
                self.wrong(
                    node,
                    format!("{what} must be a mapping, not {}", node.what()),
                );
            }
        }
        Fields(found)
    }

    fn items<'n>(&mut self, fields: &Fields<'n>, key: &str) -> &'n [Node] {
        let Some(node) = fields.get(key) else {
            return &[];
        };
        if let Kind::Seq(items) = &node.kind {
            return items;
        }
        self.wrong(node, format!("{key} must be a list, not {}", node.what()));
        &[]
    }

    fn text_of(&mut self, node: &Node, what: &str) -> String {
        match &node.kind {
            Kind::Scalar(s) => s.clone(),
            Kind::Null => String::new(),
            Kind::Seq(_) | Kind::Map(_) => {
                self.wrong(node, format!("{what} must be a text, not {}", node.what()));
                String::new()
            }
        }
    }

    fn string(&mut self, fields: &Fields<'_>, key: &str) -> String {
        let node = fields.get(key);
        node.map(|n| self.text_of(n, key)).unwrap_or_default()
    }

    fn span(&mut self, fields: &Fields<'_>, key: &str) -> Duration {
        let Some(node) = fields.get(key) else {
            return Duration::ZERO;
        };
        let text = self.text_of(node, key);
        match duration::parse(&text) {
            Ok(d) => d,
            Err(e) => {
                self.wrong(node, format!("{key}: {e}"));
                Duration::ZERO
            }
        }
    }

    fn texts(&mut self, fields: &Fields<'_>, key: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let Some(node) = fields.get(key) else {
            return found;
        };
        let Kind::Map(pairs) = &node.kind else {
            self.wrong(
                node,
                format!("{key} must be a mapping, not {}", node.what()),
            );
            return found;
        };
        for (name, value) in pairs {
            let name = self.text_of(name, "a name");
            let value = self.text_of(value, &name);
            found.insert(name, value);
        }
        found
    }

    fn root(&mut self, node: &Node) -> Option<TestFile> {
        let known = [
            "rule_files",
            "evaluation_interval",
            "group_eval_order",
            "fuzzy_compare",
            "tests",
        ];
        let fields = self.fields(node, "a rule test file", &known);
        let mut rule_files = Vec::new();
        for item in self.items(&fields, "rule_files") {
            rule_files.push((self.text_of(item, "a rule file"), item.at));
        }
        let mut evaluation_interval = self.span(&fields, "evaluation_interval");
        if evaluation_interval.is_zero() {
            evaluation_interval = Duration::from_secs(60);
        }
        let mut order = BTreeMap::new();
        let mut named = BTreeSet::new();
        for (i, item) in self.items(&fields, "group_eval_order").iter().enumerate() {
            let group = self.text_of(item, "a group's name");
            if !named.insert(group.clone()) {
                self.wrong(
                    item,
                    format!("group name repeated in evaluation order: {group}"),
                );
            }
            order.insert(group, i);
        }
        let fuzzy = self.boolean(&fields, "fuzzy_compare");
        let mut tests = Vec::new();
        for item in self.items(&fields, "tests") {
            tests.push(self.test(item, evaluation_interval));
        }
        Some(TestFile {
            rule_files,
            evaluation_interval,
            order,
            fuzzy,
            tests,
        })
    }

    fn test(&mut self, node: &Node, evaluation_interval: Duration) -> Test {
        let known = [
            "name",
            "interval",
            "start_timestamp",
            "input_series",
            "external_labels",
            "external_url",
            "alert_rule_test",
            "promql_expr_test",
        ];
        let fields = self.fields(node, "a test", &known);
        let mut interval = self.span(&fields, "interval");
        if interval.is_zero() {
            interval = evaluation_interval;
        }
        let mut input = Vec::new();
        for item in self.items(&fields, "input_series") {
            let of = self.fields(item, "an input series", &["series", "values"]);
            input.push(InputSeries {
                at: item.at,
                series: self.string(&of, "series"),
                values: self.string(&of, "values"),
            });
        }
        let mut alerts = Vec::new();
        for item in self.items(&fields, "alert_rule_test") {
            alerts.push(self.alert_case(item));
        }
        let mut exprs = Vec::new();
        for item in self.items(&fields, "promql_expr_test") {
            exprs.push(self.expr_case(item));
        }
        Test {
            at: node.at,
            name: self.string(&fields, "name"),
            interval,
            start: self.start(&fields),
            input,
            external_labels: self.texts(&fields, "external_labels"),
            external_url: self.string(&fields, "external_url"),
            alerts,
            exprs,
        }
    }

    fn alert_case(&mut self, node: &Node) -> AlertCase {
        let known = ["eval_time", "groupname", "alertname", "exp_alerts"];
        let fields = self.fields(node, "an item of alert_rule_test", &known);
        let mut expected = Vec::new();
        for item in self.items(&fields, "exp_alerts") {
            let known = ["exp_labels", "exp_annotations"];
            let of = self.fields(item, "an expected alert", &known);
            expected.push(ExpectedAlert {
                labels: self.texts(&of, "exp_labels"),
                annotations: self.texts(&of, "exp_annotations"),
            });
        }
        AlertCase {
            at: node.at,
            eval_time: self.span(&fields, "eval_time"),
            group: self.string(&fields, "groupname"),
            alert: self.string(&fields, "alertname"),
            expected,
        }
    }

    fn expr_case(&mut self, node: &Node) -> ExprCase {
        let known = ["expr", "eval_time", "exp_samples"];
        let fields = self.fields(node, "an item of promql_expr_test", &known);
        let mut expected = Vec::new();
        for item in self.items(&fields, "exp_samples") {
            let known = ["labels", "value", "histogram"];
            let of = self.fields(item, "an expected sample", &known);
            expected.push(ExpectedSample {
                labels: self.string(&of, "labels"),
                value: self.number(&of, "value"),
                histogram: self.string(&of, "histogram"),
            });
        }
        ExprCase {
            at: node.at,
            expr: self.string(&fields, "expr"),
            eval_time: self.span(&fields, "eval_time"),
            expected,
        }
    }

    fn boolean(&mut self, fields: &Fields<'_>, key: &str) -> bool {
        let Some(node) = fields.get(key) else {
            return false;
        };
        let text = self.text_of(node, key);
        let word = text.to_ascii_lowercase();
        match word.as_str() {
            "true" | "yes" | "on" | "y" if !node.is_quoted(self.text) => true,
            "false" | "no" | "off" | "n" if !node.is_quoted(self.text) => false,
            _ => {
                self.wrong(node, format!("{key} must be true or false, not {text:?}"));
                false
            }
        }
    }

    fn number(&mut self, fields: &Fields<'_>, key: &str) -> f64 {
        let Some(node) = fields.get(key) else {
            return 0.0;
        };
        let text = self.text_of(node, key);
        match yaml_number(&text) {
            Some(number) if !node.is_quoted(self.text) => number,
            _ => {
                let message = format!(
                    "{key} must be a number, .inf, -.inf or .nan, without quotes, not {text:?}"
                );
                self.wrong(node, message);
                0.0
            }
        }
    }

    /// Seconds since 1970, or RFC 3339.
    fn start(&mut self, fields: &Fields<'_>) -> Timestamp {
        let Some(node) = fields.get("start_timestamp") else {
            return Timestamp(0);
        };
        let text = self.text_of(node, "start_timestamp");
        let seconds = text.parse::<f64>().ok().filter(|s| s.abs() < 1e12);
        if let Some(seconds) = seconds {
            return Timestamp((seconds * 1000.0).round() as i64);
        }
        if let Ok(t) = text.parse::<jiff::Timestamp>() {
            return Timestamp(t.as_millisecond());
        }
        let message = format!(
            "start_timestamp must be seconds since 1970 or like 2026-11-21T12:00:00Z, not {text:?}"
        );
        self.wrong(node, message);
        Timestamp(0)
    }
}

/// A plain YAML scalar as a number.
fn yaml_number(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let whole = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|n| n as f64);
    let lower = digits.to_ascii_lowercase();
    let size = if matches!(digits, ".inf" | ".Inf" | ".INF") {
        Some(f64::INFINITY)
    } else if matches!(text, ".nan" | ".NaN" | ".NAN") {
        Some(f64::NAN)
    } else if let Some(hex) = lower.strip_prefix("0x") {
        whole(hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        whole(binary, 2)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        whole(octal, 8)
    } else if digits.len() > 1 && digits.starts_with('0') && whole(digits, 8).is_some() {
        whole(digits, 8)
    } else if digits.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
        digits.parse().ok().filter(|v: &f64| v.is_finite())
    } else {
        None
    };
    size.map(|v| if negative { -v } else { v })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_yaml_has_them() {
        for (text, want) in [
            ("1", Some(1.0)),
            ("-1.5e3", Some(-1500.0)),
            ("+2", Some(2.0)),
            (".5", Some(0.5)),
            ("1_000", Some(1000.0)),
            ("0x10", Some(16.0)),
            ("0b11", Some(3.0)),
            ("0o17", Some(15.0)),
            ("010", Some(8.0)),
            ("08", Some(8.0)),
            (".inf", Some(f64::INFINITY)),
            ("-.Inf", Some(f64::NEG_INFINITY)),
            ("NaN", None),
            ("Inf", None),
            ("1e999", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(yaml_number(text), want, "{text:?}");
        }
        assert!(yaml_number(".nan").is_some_and(f64::is_nan));
    }

    #[test]
    fn everything_wrong_is_told_with_its_place() {
        let text = "\
rule_files: a.yml
evaluation_interval: 5x
fuzzy: true
group_eval_order: [a, b, a]
tests:
- alert_rule_test:
  - {eval_time: 1m, alertnam: A}
  promql_expr_test:
  - expr: up
    exp_samples: [{value: '1'}, {value: Inf}]
  input_series: {}
";
        let got = read("t.yml", text, false).unwrap_err().to_string();
        for want in [
            "t.yml:1:13: rule_files must be a list, not a value",
            "t.yml:2:22: evaluation_interval: invalid duration",
            "t.yml:3:1: unknown key \"fuzzy\" in a rule test file; accepted: rule_files,",
            "t.yml:4:26: group name repeated in evaluation order: a",
            "t.yml:7:21: unknown key \"alertnam\" in an item of alert_rule_test",
            "t.yml:10:27: value must be a number",
            "t.yml:10:41: value must be a number",
            "t.yml:11:17: input_series must be a list, not a mapping",
        ] {
            assert!(got.contains(want), "{want}\nis not in\n{got}");
        }
        assert_eq!(got.lines().count(), 8, "{got}");
        // Unknown keys can be left alone; the rest stays wrong.
        let got = read("t.yml", text, true).unwrap_err().to_string();
        assert_eq!(got.lines().count(), 6, "{got}");
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let file = read("t.yml", "tests:\n- {}\n-\n- interval: 5s\n", false).unwrap();
        assert_eq!(file.evaluation_interval, Duration::from_secs(60));
        let intervals: Vec<u64> = file.tests.iter().map(|t| t.interval.as_secs()).collect();
        assert_eq!(intervals, [60, 60, 5]);
        assert_eq!(read("t.yml", "", false).unwrap().tests, []);
    }

    #[test]
    fn a_start_is_seconds_or_a_date() {
        for (text, want) in [
            ("0", 0),
            ("1.5", 1500),
            ("'2'", 2000),
            ("2026-11-21T00:00:01Z", 1_795_219_201_000),
        ] {
            let text = format!("tests: [{{start_timestamp: {text}}}]");
            let file = read("t.yml", &text, false).unwrap();
            assert_eq!(file.tests[0].start, Timestamp(want), "{text}");
        }
        assert!(read("t.yml", "tests: [{start_timestamp: noon}]", false).is_err());
    }
}
