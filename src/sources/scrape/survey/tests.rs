use super::*;

fn words(
    found: &BTreeMap<&'static str, (usize, Vec<OnLine>)>,
) -> Vec<(&'static str, usize, usize)> {
    found
        .iter()
        .map(|(word, (n, first))| (*word, *n, first.first().map_or(0, |f| f.line)))
        .collect()
}

#[test]
fn bad_lines_are_counted_with_their_numbers() {
    let found = survey(b"a 1\nm{x=y} 1\nb 2\nm{x=y} 2\nc wtf\n", Format::Text);
    assert_eq!(words(&found.bad), [("labels", 2, 2), ("value", 1, 5)]);
    assert_eq!((found.samples, found.series), (2, 2));
    assert!(found.refused());
    let open = survey(b"a 1\n", Format::OpenMetrics);
    assert_eq!(words(&open.bad), [("no_eof", 1, 0)]);
    let after = survey(b"# EOF\na 1\n", Format::OpenMetrics);
    assert_eq!(words(&after.bad), [("misplaced", 1, 2)]);
}

#[test]
fn what_makes_trouble_later_is_named() {
    let body = "# TYPE a counter\n# TYPE a counter\na 1\nb 1\na{x=\"1\"} 2\na 3\nup 1\nc 1 1000\n\
                # TYPE c gauge\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\n\
                h_bucket{le=\"1\",p=\"x\"} 1\nh_sum 1\nh_count 1\n";
    let found = survey(body.as_bytes(), Format::Text);
    assert_eq!(
        words(&found.ours),
        [
            ("duplicate_series", 1, 6),
            ("histogram_without_inf", 1, 0),
            ("not_together", 1, 5),
            ("own_timestamp", 1, 8),
            ("reserved_name", 1, 7),
            ("second_metadata", 1, 2),
            ("type_after_samples", 1, 9),
        ]
    );
    assert!(found.bad.is_empty());
}

#[test]
fn metrics_are_linted() {
    let body = "# HELP ok_total x\n# TYPE ok_total counter\nok_total 1\n\
                # HELP ok_seconds x\n# TYPE ok_seconds histogram\n\
                ok_seconds_bucket{le=\"+Inf\"} 1\nok_seconds_sum 1\nok_seconds_count 1\n\
                # TYPE a counter\na 1\n# HELP x_total x\n# TYPE x_total gauge\nx_total{le=\"1\"} 1\n";
    let found = survey(body.as_bytes(), Format::Text);
    let lints: Vec<String> = found
        .lints
        .iter()
        .map(|(m, t)| format!("{m} {t}"))
        .collect();
    assert_eq!(
        lints,
        [
            "a counter metrics should have \"_total\" suffix",
            "a no help text",
            "x_total non-counter metrics should not have \"_total\" suffix",
            "x_total non-histogram metrics should not have \"le\" label",
        ]
    );
}

/// The table of docs/decisions: valid lines and what the common parser makes of them.
#[test]
fn what_the_second_reader_loses_is_listed() {
    for (line, want) in [
        ("job:requests:rate5m 9", Some(Misreading::Lost)),
        ("m{} 3", Some(Misreading::Lost)),
        ("m {a=\"b\"} 6", Some(Misreading::Lost)),
        ("m{path=\"/api/{id}/x\"} 14", Some(Misreading::Lost)),
        ("{\"utf8.name\"} 1", Some(Misreading::Lost)),
        ("m{v=\"x,y\"} 10", Some(Misreading::Labels)),
        ("m{v=\",\"} 11", Some(Misreading::Labels)),
        ("m{v=\"x=y\"} 12", Some(Misreading::Labels)),
        ("m{q=\"a=b,c=d\",z=\"1\"} 13", Some(Misreading::Labels)),
        ("m{ a = \"b\" , c = \"d\" } 5", Some(Misreading::Labels)),
        (r#"m{v="say \"hi\""} 1"#, Some(Misreading::Labels)),
        (r#"m{v="C:\\dir"} 1"#, Some(Misreading::Labels)),
        (r#"m{v="a\nb"} 1"#, Some(Misreading::Labels)),
        ("m{\"label.with.dots\"=\"x\"} 5", Some(Misreading::Labels)),
        ("m{a=\"b\"} 1", None),
        ("m 1e-05 1520879607000", None),
        ("m NaN", None),
    ] {
        let found = survey(line.as_bytes(), Format::Text);
        assert!(found.bad.is_empty(), "{line}");
        let misread: Vec<Misreading> = found.misread.keys().copied().collect();
        assert_eq!(misread, Vec::from_iter(want), "{line}");
    }
    let seconds = survey(b"m 1 1520879607.789\n# EOF\n", Format::OpenMetrics);
    assert!(seconds.misread.contains_key(&Misreading::Timestamp));
}

/// On every recorded body we and the second reader agree about each line that it can read, and
/// the ones that it cannot read are those known to be beyond it.
#[test]
fn the_second_reader_agrees_on_the_recorded_bodies() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exposition");
    let (mut bodies, mut samples, mut misread) = (0, 0, 0);
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "prom") {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&body);
        let lines: Vec<&str> = text.lines().collect();
        let found = survey(&body, guess(&body));
        assert!(found.bad.is_empty(), "{}: {:?}", path.display(), found.bad);
        bodies += 1;
        samples += found.samples;
        for (n, first) in found.misread.values() {
            misread += n;
            for OnLine { line, .. } in first {
                let what = lines[line - 1];
                let beyond = [":", "{}", " {", "\\", ",\"", "\", ", "=\"\""];
                let inner: Vec<&str> = what.split('"').skip(1).step_by(2).collect();
                let known = inner.iter().any(|v| v.contains([',', '=', '}', '{']))
                    || beyond.iter().any(|b| what.contains(b));
                assert!(known, "{}: {what}", path.display());
            }
        }
    }
    assert!(bodies > 25 && samples > 5_000, "{bodies} bodies");
    assert!(
        misread > 0 && misread * 2 < samples,
        "{misread} of {samples}"
    );
}
