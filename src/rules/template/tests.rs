use super::*;
use crate::model::{Answer, QueryError, Value, VectorSample};

/// Knows one series, `m`, whose value is `0`.
struct OneSeries(f64);

fn m() -> Labels {
    Labels::from_pairs([("__name__", "m"), ("instance", "h:9100"), ("job", "node")])
}

impl Querier for OneSeries {
    fn instant(&self, expr: &str, _: Timestamp) -> Result<Answer, QueryError> {
        let elements = match expr {
            "m" | "m{instance='h:9100'}" => vec![VectorSample::float(m(), self.0)],
            "h" => vec![VectorSample {
                histogram: Some(histogram()),
                ..VectorSample::float(m(), 0.0)
            }],
            "nope" => Vec::new(),
            other => return Err(QueryError::Parse(format!("unexpected {other:?}"))),
        };
        Ok(Answer {
            value: Value::Vector(elements),
            warnings: Vec::new(),
            infos: Vec::new(),
            partial: false,
            series_read: 1,
        })
    }
}

fn histogram() -> Arc<Histogram> {
    Arc::new(Histogram {
        count: 4.0,
        sum: 5.5,
        positive: vec![(0, 1.0), (1, 3.0)],
        ..Histogram::default()
    })
}

#[test]
fn a_histogram_as_value_shows_its_buckets_and_is_no_number() {
    let expand = |text| expand_sample(text, 0.0, Some(&histogram()));
    for (text, want) in [
        ("{{ $value }}", "{count:4, sum:5.5, (0.5,1]:1, (1,2]:3}"),
        ("{{ .Value.Count }} {{ $value.Sum }}", "4 5.5"),
        ("{{ if $value }}yes{{ end }}", "yes"),
        (
            "{{ printf \"%s %T\" $value $value }}",
            "{count:4, sum:5.5, (0.5,1]:1, (1,2]:3} *histogram.FloatHistogram",
        ),
        // As in Prometheus, query() knows floats only.
        ("{{ query \"h\" | first | value }}", "0"),
    ] {
        assert_eq!(expand(text).as_deref(), Ok(want), "{text}");
    }
    for (text, why) in [
        (
            "{{ humanize $value }}",
            "can't convert *histogram.FloatHistogram to float",
        ),
        ("{{ gt $value 1.0 }}", "incompatible types for comparison"),
        (
            "{{ $value.Nope }}",
            "can't evaluate field Nope in type *histogram.FloatHistogram",
        ),
        (
            "{{ range $value }}{{ end }}",
            "range can't iterate over *histogram.FloatHistogram",
        ),
    ] {
        assert_eq!(expand(text).unwrap_err(), why, "{text}");
    }
}

fn expand(text: &str, value: f64) -> Result<String, String> {
    expand_sample(text, value, None)
}

fn expand_sample(
    text: &str,
    value: f64,
    histogram: Option<&Arc<Histogram>>,
) -> Result<String, String> {
    let external_labels = BTreeMap::from([("r".to_owned(), "eu".to_owned())]);
    let data = Data {
        labels: &m(),
        external_labels: &external_labels,
        external_url: "http://p.example/x",
        value,
        histogram,
    };
    Template::parse(text)
        .map_err(|(message, at)| format!("{message} at {at}"))?
        .try_expand(data, &OneSeries(value), Timestamp::from_secs(60))
}

#[test]
fn the_official_expansions_come_out() {
    let cases = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/rules/templates.jsonl"
    ));
    let mut passed = 0;
    let mut failed = Vec::new();
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = case["template"].as_str().unwrap();
        let value: f64 = case["value"].as_str().unwrap().parse().unwrap();
        let got = expand(text, value);
        let good = match case["output"].as_str() {
            Some(want) => got.as_deref() == Ok(want),
            None => case["expand_error"] == true && got.is_err(),
        };
        if good {
            passed += 1;
        } else {
            failed.push(format!(
                "{text} of {value}: {got:?}, want {}",
                case["output"]
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(passed, 285);
}

#[test]
fn further_forms_expand() {
    for (text, want) in [
        (
            "{{ define \"a\" }}({{ .arg0 }},{{ .arg1 }}){{ end }}{{ template \"a\" (args 1 \"x\") }}",
            "(1,x)",
        ),
        ("{{ block \"b\" .Value }}[{{ . }}]{{ end }}", "[42.5]"),
        (
            "{{ range $i, $e := query \"m\" }}{{ $i }}:{{ $e.Labels.job }}{{ end }}",
            "0:node",
        ),
        ("{{ range query \"m\" }}{{ break }}x{{ end }}y", "y"),
        (
            "{{ range $k, $v := $labels }}{{ if eq $k \"job\" }}{{ continue }}{{ end }}{{ $k }} {{ end }}",
            "__name__ instance ",
        ),
        (
            "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}",
            "2",
        ),
        (
            "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}",
            "1",
        ),
        ("{{ with $v := $value }}{{ $v }}{{ end }}", "42.5"),
        ("{{ with \"\" }}a{{ else with \"b\" }}{{ . }}{{ end }}", "b"),
        ("{{ (query \"m\" | first).Labels.job }}", "node"),
        (
            "{{ $.Labels.job }} {{ $.Value }} {{ .ExternalURL }}",
            "node 42.5 http://p.example/x",
        ),
        ("{{ printf \"%v %s\" $labels.job \"x\" }}", "node x"),
        ("{{ printf \"%s %s\" \"x\" }}", "x %!s(MISSING)"),
        ("{{ printf \"x\" 1 }}", "x%!(EXTRA int=1)"),
        (
            "{{ printf \"%+.1f|% d|%06.2f|%t|%T\" 1.0 5 -3.14159 true 2.0 }}",
            "+1.0| 5|-03.14|true|float64",
        ),
        ("{{ printf \"%*d|%.3s\" 4 7 \"abcdef\" }}", "   7|abc"),
        ("{{ 0x1F }} {{ 1e3 }} {{ 'a' }} {{ -3 }}", "31 1000 97 -3"),
        ("{{ toDuration $value }}", "42.5s"),
        (
            "{{ now }} {{ pathPrefix }} {{ externalURL }}",
            "60 /x http://p.example/x",
        ),
        ("{{ index (query \"m\") 0 | label \"job\" }}", "node"),
        ("{{/* only a comment */}}x", "x"),
        ("{{ \"\\u00e9\\t\" }}", "é\t"),
        (
            "{{ eq 1 2 3 1 }} {{ and 1 0 }} {{ or 0 \"x\" }}",
            "true 0 x",
        ),
        ("{{ reReplaceAll \"a(.)\" \"<${1}>\" \"abac\" }}", "<b><c>"),
        ("a }} b", "a }} b"),
    ] {
        assert_eq!(expand(text, 42.5).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn nothing_is_below_nan_and_so_it_is_above_everything() {
    let text = "{{ lt $value 1.0 }} {{ le $value 1.0 }} {{ gt $value 1.0 }} {{ ge $value 1.0 }}";
    for (value, want) in [
        (f64::NAN, "false false true true"),
        (1.0, "false true false true"),
        (2.0, "false false true true"),
    ] {
        assert_eq!(expand(text, value).as_deref(), Ok(want), "{value}");
    }
}

#[test]
fn what_does_not_parse_is_told_with_its_place() {
    for (text, word, at) in [
        ("a {{ nope }}", "function \"nope\" not defined", 5),
        ("{{ $nope }}", "undefined variable", 3),
        ("{{ if true }}x", "without {{end}}", 0),
        ("x{{ end }}", "unexpected {{end}}", 1),
        ("{{ \"a }}", "unterminated", 3),
        ("{{ }}", "missing value", 0),
        ("{{ $value | }}", "missing command", 0),
        ("{{ (1 }}", "unclosed left paren", 0),
        ("{{ 1 ) }}", "right paren", 5),
        ("{{ break }}", "outside", 0),
        ("{{ template \"x\" }}", "not defined", 0),
        ("{{ 1 | 2 }}", "piped", 0),
        ("{{ $value", "unclosed action", 0),
        ("{{ 12x }}", "bad number", 3),
        ("{{ \"a\"\"b\" }}", "blank", 6),
    ] {
        let (message, offset) = Template::parse(text).unwrap_err();
        assert!(message.contains(word), "{text}: {message}");
        assert_eq!(offset, at, "{text}: {message}");
    }
}

#[test]
fn work_is_bounded() {
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Template::parse(&deep).unwrap_err().0.contains("deeper"));
    let blocks = "{{ if true }}".repeat(10_000);
    assert!(Template::parse(&blocks).unwrap_err().0.contains("deeper"));
    for (text, word) in [
        (
            "{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}",
            "nested deeper",
        ),
        ("{{ range 999999999 }}{{ end }}", "steps"),
        (
            "{{ range 99999 }}{{ range 99999 }}{{ end }}{{ end }}",
            "steps",
        ),
        ("{{ range 9999 }}0123456789{{ end }}", "65536 bytes"),
        (
            "{{ range 101 }}{{ $x := query \"m\" }}{{ end }}",
            "100 queries",
        ),
        ("{{ printf \"%99999999d\" 1 }}", "over 65536"),
    ] {
        let err = expand(text, 1.0).unwrap_err();
        assert!(err.contains(word), "{text}: {err}");
    }
}

#[test]
fn literal_queries_are_found() {
    let text = "{{ with query \"a\" }}{{ . | first | value }}{{ end }}{{ \"b\" | query | len }}\
                {{ range sortByLabel \"x\" (query \"c\") }}{{ end }}{{ (query \"d\" | first).Value }}\
                {{ query $labels.job | len }}";
    assert_eq!(
        Template::parse(text).unwrap().queries(),
        ["a", "b", "c", "d"]
    );
}
