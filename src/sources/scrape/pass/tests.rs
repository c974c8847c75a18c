use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::model::{MatchOp, Matcher, selection::Need};
use crate::sources::series::End;

const AT: Timestamp = Timestamp(1_800_000_000_000);

fn terms() -> Terms {
    Terms {
        labels: Labels::empty(),
        honor_labels: false,
        honor_timestamps: true,
        on_parse_error: OnParseError::KeepGood,
        bounds: Bounds {
            labels: 64,
            name: 256,
            value: 4096,
        },
        sample_limit: 50_000,
        track_timestamps: false,
        relabel: Arc::from([]),
        renames: false,
        classic_too: false,
    }
}

/// A target's memory over several bodies.
struct Reader {
    terms: Terms,
    selection: Selection,
    cache: SeriesCache,
    format: Format,
    known: BTreeMap<Ref, Labels>,
}

/// What one body brought.
struct Read {
    result: Result<(), Failure>,
    counts: Counts,
    samples: Vec<(Labels, Timestamp, f64)>,
    gone: Vec<Labels>,
    new: usize,
    names: Option<BTreeSet<Box<str>>>,
    identity: Option<ExporterIdentity>,
}

impl Reader {
    fn new() -> Self {
        Self {
            terms: terms(),
            selection: Selection::all(1),
            cache: SeriesCache::default(),
            format: Format::Text,
            known: BTreeMap::new(),
        }
    }

    fn read(&mut self, body: impl AsRef<[u8]>, validate: bool) -> Read {
        self.read_in_chunks(body.as_ref(), validate, usize::MAX)
    }

    fn read_in_chunks(&mut self, body: &[u8], validate: bool, chunk: usize) -> Read {
        self.cache.begin(&self.selection);
        let mut pass = Pass::new(&self.terms, &self.selection, &mut self.cache, AT, validate);
        pass.set_format(self.format);
        let fed = body
            .chunks(chunk.min(body.len().max(1)))
            .try_for_each(|c| pass.feed(c));
        let result = fed.and_then(|()| pass.finish());
        let (counts, reading) = pass.into_parts();
        let end = match &result {
            Err(_) => End::Failed,
            Ok(()) if counts.lost_samples => End::Partial,
            Ok(()) => End::Good,
        };
        let mut samples = Vec::new();
        let mut new = 0;
        if result.is_ok() {
            new = reading.new.len();
            for (id, labels) in reading.new {
                assert!(self.known.insert(id, labels).is_none(), "{id:?} again");
            }
            for (id, t, v) in reading.samples {
                samples.push((self.known[&id].clone(), t, v));
            }
        }
        let gone = self.cache.end(end);
        let gone = gone
            .iter()
            .map(|id| self.known.remove(id).expect("gone was announced"))
            .collect();
        Read {
            result,
            counts,
            samples,
            gone,
            new,
            names: reading.names,
            identity: reading.identity,
        }
    }
}

impl Read {
    /// `series value` per sample, sorted.
    fn text(&self) -> Vec<String> {
        let mut out: Vec<String> = self
            .samples
            .iter()
            .map(|(l, _, v)| format!("{l} {v}"))
            .collect();
        out.sort();
        out
    }

    fn reason(&self) -> &'static str {
        self.result.as_ref().err().map_or("", Failure::reason)
    }

    fn bad(&self) -> Vec<(&'static str, u64)> {
        BadLine::ALL
            .iter()
            .map(|b| (b.reason(), self.counts.bad[*b as usize]))
            .filter(|(_, n)| *n > 0)
            .collect()
    }
}

fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/exposition")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text_data(name: &str) -> String {
    String::from_utf8(data(name)).unwrap()
}

fn selection(generation: u64, names: &[&str]) -> Selection {
    Selection::new(
        generation,
        names
            .iter()
            .map(|n| Need {
                matchers: vec![Matcher::equal(NAME, n)],
                window: std::time::Duration::from_secs(60),
            })
            .collect(),
    )
}

fn labels(text: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(text.iter().copied())
}

/// Series and values in one number, the way tests/exposition/README.md describes.
fn digest(samples: &[(Labels, Timestamp, f64)]) -> String {
    let mut lines: Vec<String> = samples
        .iter()
        .map(|(labels, _, v)| {
            let mut parts: Vec<String> = labels
                .iter()
                .filter(|(n, _)| *n != "le" && *n != "quantile")
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            parts.push(if v.is_nan() {
                "nan".to_owned()
            } else {
                format!("{:016x}", v.to_bits())
            });
            parts.join("\u{1}")
        })
        .collect();
    lines.sort();
    let hash = lines
        .join("\n")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[test]
fn every_recorded_body_reads_as_prometheus_reads_it() {
    let mut bodies = 0;
    for line in text_data("counts.tsv")
        .lines()
        .filter(|l| !l.starts_with('#'))
    {
        let want: Vec<&str> = line.split('\t').collect();
        let body = data(want[0]);
        for chunk in [usize::MAX, 4_096, 61] {
            let mut reader = Reader::new();
            let first = reader.read_in_chunks(&body, true, chunk);
            assert_eq!(first.result, Ok(()), "{}", want[0]);
            assert_eq!(first.counts.bad_lines(), 0, "{}", want[0]);
            let names: BTreeSet<&str> = first.samples.iter().map(|(l, ..)| l.name()).collect();
            let got = [
                want[0].to_owned(),
                first.samples.len().to_string(),
                names.len().to_string(),
                digest(&first.samples),
            ];
            assert_eq!(got.join("\t"), line);
            // From the cache, without looking at labels again.
            let second = reader.read_in_chunks(&body, false, chunk);
            assert_eq!(digest(&second.samples), want[3], "{}", want[0]);
            assert_eq!((second.new, second.gone.len()), (0, 0), "{}", want[0]);
            assert_eq!(second.counts.samples, first.counts.samples, "{}", want[0]);
        }
        bodies += 1;
    }
    assert!(bodies > 25, "only {bodies} bodies were found");
}

#[test]
fn openmetrics_bodies_are_read() {
    for (file, samples) in [("alltypes.5mfs.om.txt", 53), ("1histogram.om.txt", 42)] {
        let mut reader = Reader::new();
        reader.format = Format::OpenMetrics;
        let read = reader.read(data(file), true);
        assert_eq!(read.result, Ok(()), "{file}");
        assert_eq!(
            (read.bad(), read.samples.len()),
            (vec![], samples),
            "{file}"
        );
    }
}

#[test]
fn the_line_tables_hold() {
    let mut cases = 0;
    for file in ["lines.jsonl", "upstream_accept_reject.jsonl"] {
        for line in text_data(file).lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let body = match case["input"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => base64(case["input_base64"].as_str().unwrap()),
            };
            let mut reader = Reader::new();
            reader.terms.on_parse_error = OnParseError::Fail;
            reader.format = match case["format"].as_str().unwrap() {
                "text" => Format::Text,
                _ => Format::OpenMetrics,
            };
            let read = reader.read(&body, true);
            let valid = case["valid"].as_bool().unwrap();
            assert_eq!(read.result.is_ok(), valid, "{case}: {:?}", read.result);
            cases += 1;
            let Some(want) = case["labels"].as_object() else {
                continue;
            };
            let want = Labels::from_pairs(want.iter().map(|(n, v)| (n, v.as_str().unwrap())));
            let named = case["value"].as_str().map(|v| v.parse().unwrap());
            let value: f64 = named.or(case["value"].as_f64()).unwrap();
            let t = case["timestamp_ms"].as_i64().map_or(AT, Timestamp);
            let [(got, at, v)] = read.samples.as_slice() else {
                panic!("{case}: {:?}", read.samples);
            };
            assert_eq!((got, *at), (&want, t), "{case}");
            assert!(*v == value || (v.is_nan() && value.is_nan()), "{case}: {v}");
        }
    }
    assert_eq!(cases, 66 + 109);
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut n) = (0u32, 0);
    for c in text.trim_end_matches('=').chars() {
        bits = bits << 6 | u32::try_from(DIGITS.find(c).unwrap()).unwrap();
        n += 6;
        if n >= 8 {
            n -= 8;
            out.push((bits >> n & 0xff) as u8);
        }
    }
    out
}

/// Valid lines that the common parser loses or garbles.
#[test]
fn what_the_second_reader_garbles_is_read_right() {
    for (line, want) in [
        ("job:requests:rate5m 9", "job:requests:rate5m 9"),
        ("m{} 3", "m 3"),
        ("m {a=\"b\"} 6", "m{a=\"b\"} 6"),
        ("m{path=\"/api/{id}/x\"} 14", "m{path=\"/api/{id}/x\"} 14"),
        ("{\"utf8.name\"} 1", "utf8.name 1"),
        ("m{v=\"x,y\"} 10", "m{v=\"x,y\"} 10"),
        ("m{v=\",\"} 11", "m{v=\",\"} 11"),
        ("m{v=\"x=y\"} 12", "m{v=\"x=y\"} 12"),
        (
            "m{q=\"a=b,c=d\",z=\"1\"} 13",
            "m{q=\"a=b,c=d\", z=\"1\"} 13",
        ),
        ("m{ a = \"b\" , c = \"d\" } 5", "m{a=\"b\", c=\"d\"} 5"),
        (r#"m{v="say \"hi\""} 1"#, r#"m{v="say \"hi\""} 1"#),
        (r#"m{v="C:\\dir"} 1"#, r#"m{v="C:\\dir"} 1"#),
        (r#"m{v="a\nb"} 1"#, r#"m{v="a\nb"} 1"#),
        (
            "m{\"label.with.dots\"=\"x\"} 5",
            "m{label.with.dots=\"x\"} 5",
        ),
        ("m{a=\"1\"b=\"2\"} 5", "m{a=\"1\", b=\"2\"} 5"),
    ] {
        let read = Reader::new().read(line, true);
        assert_eq!(read.text(), [want], "{line}");
    }
    let two = "h_bucket{le=\"1\",p=\"a,b\"} 1\nh_bucket{le=\"1\",p=\"a,c\"} 5\n";
    assert_eq!(
        Reader::new().read(two, true).text(),
        [
            "h_bucket{le=\"1\", p=\"a,b\"} 1",
            "h_bucket{le=\"1\", p=\"a,c\"} 5"
        ]
    );
}

/// On lines that the crate prometheus-parse can read, it and we agree.
#[test]
fn the_second_reader_agrees_on_plain_lines() {
    let mut compared = 0;
    for line in text_data("counts.tsv")
        .lines()
        .filter(|l| !l.starts_with('#'))
    {
        let name = line.split('\t').next().unwrap();
        let body = text_data(name);
        let is_plain = |line: &&str| {
            let values: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
            let head = line.split(['{', ' ']).next().unwrap_or_default();
            !line.starts_with('#')
                && !line.contains(['\\', ':'])
                && !head.is_empty()
                && !line.contains("{}")
                && !line.contains("\", ")
                && !values
                    .iter()
                    .any(|v| v.contains([',', '=', '}', '{']) || v.is_empty())
        };
        let plain: Vec<String> = body.lines().filter(is_plain).map(str::to_owned).collect();
        let theirs = prometheus_parse::Scrape::parse(plain.iter().cloned().map(Ok)).unwrap();
        let mut theirs: Vec<String> = theirs
            .samples
            .iter()
            .filter(|s| !is_reserved(&s.metric))
            .map(|sample| {
                let prometheus_parse::Value::Untyped(v) = sample.value else {
                    panic!("{sample:?}");
                };
                let mut series = Labels::from_pairs([(NAME, &sample.metric)]).to_builder();
                for (name, value) in &*sample.labels {
                    series.set(name, value);
                }
                let series = series.build();
                format!("{series} {v}")
            })
            .collect();
        theirs.sort();
        let ours = Reader::new().read(plain.join("\n"), true).text();
        assert_eq!(ours, theirs, "{name}");
        compared += ours.len();
    }
    assert!(compared > 5_000, "only {compared} lines were compared");
}

#[test]
fn bad_lines_are_counted_by_reason_and_good_ones_kept() {
    let good: String = (0..40).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect();
    let long = format!("m{{v=\"{}\"}} 1", "x".repeat(text::MAX_LINE));
    let many: String = (0..70).map(|i| format!("l{i}=\"v\",")).collect();
    for (line, want) in [
        ("m{a=\"b\"} 1 2 3", Some("trailing")),
        ("m{a=b} 1", Some("labels")),
        ("m{a=\"b\" 1", Some("labels")),
        ("m{a=\"1\",a=\"2\"} 1", Some("duplicate_label")),
        ("m{__name__=\"x\"} 1", Some("duplicate_label")),
        ("{a=\"1\"} 1", Some("name")),
        ("{\"\"} 1", Some("name")),
        ("-m 1", Some("name")),
        ("\0", Some("name")),
        ("m wtf", Some("value")),
        ("m 1e400", Some("value")),
        ("m +nan", Some("value")),
        ("m 1_0", Some("value")),
        ("m 1\r", Some("value")),
        ("m 1 9223372036854775808", Some("timestamp")),
        ("m 1 -1", Some("timestamp")),
        ("m 1 # {a=\"b\"} 1", Some("trailing")),
        (long.as_str(), Some("line_length")),
        (&format!("m{{{many}}} 1"), Some("label_count")),
        (
            &format!("m{{v=\"{}\"}} 1", "x".repeat(5_000)),
            Some("value_length"),
        ),
        (&format!("{} 1", "n".repeat(300)), Some("name_length")),
        (&format!("# HELP m {long}"), None),
        ("# a comment", None),
        ("   ", None),
        ("m 1e-400", None),
    ] {
        let shown: String = line.chars().take(60).collect();
        let body = format!("{good}{line}\nlast 1\n");
        let mut reader = Reader::new();
        for validate in [true, false] {
            let read = reader.read(&body, validate);
            assert_eq!(read.result, Ok(()), "{shown}");
            let want: Vec<_> = want.iter().map(|w| (*w, 1)).collect();
            assert_eq!(read.bad(), want, "{shown}");
            assert!(read.text().contains(&"last 1".to_owned()), "{shown}");
            assert_eq!(read.counts.lost_samples, !want.is_empty(), "{shown}");
        }
        reader.terms.on_parse_error = OnParseError::Fail;
        let strict = reader.read(&body, false);
        assert_eq!(strict.result.is_err(), want.is_some(), "{shown}");
    }
}

#[test]
fn bad_metadata_is_counted_but_loses_no_sample() {
    for line in [
        "# TYPE m wrong",
        "# TYPE m counter ",
        "# TYPE #",
        "# HELP #",
    ] {
        let good: String = (0..20).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect();
        let read = Reader::new().read(format!("{line}\n{good}"), true);
        assert_eq!(read.bad(), [("metadata", 1)], "{line}");
        assert!(!read.counts.lost_samples, "{line}");
        assert_eq!(read.samples.len(), 20, "{line}");
    }
}

#[test]
fn whole_bodies_are_judged() {
    let utf16: Vec<u8> = "m 1\nn 2\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (body, want) in [
        (b"".to_vec(), ""),
        (b"\n\n".to_vec(), ""),
        (b"m 1".to_vec(), ""),
        (b"<!DOCTYPE html>\n<html>".to_vec(), "html"),
        (b"\n  <html>".to_vec(), "html"),
        (b"\xef\xbb\xbfm 1\nn 2\n".to_vec(), "bad_lines"),
        (utf16, "bad_lines"),
        (b"m 1\r\nn 2\r\n".to_vec(), "bad_lines"),
        (b"{\"status\": \"ok\"}".to_vec(), "bad_lines"),
        (b"Service Unavailable".to_vec(), "bad_lines"),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(Reader::new().read(&body, true).reason(), want, "{shown}");
    }
    // One in ten is borne, more is not.
    for (good, want) in [(9, ""), (8, "bad_lines")] {
        let body: String = (0..good).map(|i| format!("m{i} 1\n")).collect();
        let read = Reader::new().read(format!("{body}bad\n"), true);
        assert_eq!(read.reason(), want, "{good} good lines");
    }
}

#[test]
fn the_first_bad_line_is_shown() {
    let read = Reader::new().read("m{a=b} 1\n", true);
    assert_eq!(
        read.result.unwrap_err().to_string(),
        "1 of 1 lines are bad; the first, for its labels: \"m{a=b} 1\""
    );
}

#[test]
fn unwanted_lines_cost_no_look_and_wanted_ones_are_all_there() {
    let mut reader = Reader::new();
    reader.selection = selection(1, &["b"]);
    let body = "a{x=broken\na 1\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n{\"b\",x=\"3\"} 4\n{\"a\"} 4\n";
    let lazy = reader.read(format!("{body}{body}").replace("b{x=\"1\"} 2\n", ""), false);
    assert_eq!(lazy.text(), ["b{x=\"2\"} 3", "b{x=\"3\"} 4"]);
    assert_eq!(lazy.bad(), []);
    assert_eq!((lazy.counts.samples, lazy.counts.duplicates), (10, 2));
    assert!(lazy.names.is_none());
    let full = reader.read(format!("{body}{}", "c 1\n".repeat(20)), true);
    assert_eq!(full.bad(), [("labels", 1)]);
    assert_eq!(
        full.text(),
        ["b{x=\"1\"} 2", "b{x=\"2\"} 3", "b{x=\"3\"} 4"]
    );
    let names: Vec<String> = full.names.unwrap().iter().map(|n| n.to_string()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn a_new_selection_is_taken_up_and_what_nobody_reads_goes() {
    let body = "a 1\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n";
    let mut reader = Reader::new();
    reader.selection = selection(1, &["b"]);
    assert_eq!(reader.read(body, false).new, 2);
    reader.selection = Selection::new(
        2,
        vec![
            Need {
                matchers: vec![Matcher::equal(NAME, "b"), Matcher::equal("x", "2")],
                window: std::time::Duration::ZERO,
            },
            Need {
                matchers: vec![Matcher::new(NAME, MatchOp::Equal, "a").unwrap()],
                window: std::time::Duration::ZERO,
            },
        ],
    );
    let read = reader.read(body, false);
    assert_eq!(read.text(), ["a 1", "b{x=\"2\"} 3"]);
    assert_eq!(read.gone, [labels(&[(NAME, "b"), ("x", "1")])]);
    assert_eq!(read.new, 1);
}

#[test]
fn clashing_labels_are_exported_and_reserved_names_dropped() {
    let line = "m{job=\"x\",exported_job=\"y\",instance=\"\",le=\"1\"} 1\n";
    for (honor, want) in [
        (
            false,
            "m{exported_exported_job=\"x\", exported_job=\"y\", instance=\"i\", job=\"j\", le=\"1\"} 1",
        ),
        (true, "m{exported_job=\"y\", job=\"x\", le=\"1\"} 1"),
    ] {
        let mut reader = Reader::new();
        reader.terms.labels = labels(&[("job", "j"), ("instance", "i")]);
        reader.terms.honor_labels = honor;
        assert_eq!(reader.read(line, true).text(), [want]);
    }
    let forged = "up 1\nALERTS{alertname=\"x\"} 1\nALERTS_FOR_STATE 1\nscrape_duration_seconds 1\n\
                  loadline_x 1\n{\"up\"} 0\nupper 1\n";
    for validate in [true, false] {
        let mut reader = Reader::new();
        reader.terms.honor_labels = true;
        let read = reader.read(forged, validate);
        assert_eq!(read.text(), ["upper 1"]);
        assert_eq!((read.counts.reserved, read.counts.samples), (6, 7));
    }
}

#[test]
fn timestamps_are_honoured_or_not() {
    let ahead = AT.millis() + 10 * 60_000;
    let body = format!(
        "a 1 1000\nb 2 {ahead}\nc 3 {}\na 4 2000\nd 1\nd 2\n",
        ahead + 1
    );
    let mut reader = Reader::new();
    let read = reader.read(&body, true);
    let at: Vec<(String, i64, f64)> = read
        .samples
        .iter()
        .map(|(l, t, v)| (l.to_string(), t.millis(), *v))
        .collect();
    let want = [
        ("a".to_owned(), 1000, 1.0),
        ("b".to_owned(), ahead, 2.0),
        ("a".to_owned(), 2000, 4.0),
        ("d".to_owned(), AT.millis(), 1.0),
    ];
    assert_eq!(at, want);
    assert_eq!((read.counts.future, read.counts.duplicates), (1, 1));
    // Series with their own time end without a marker.
    assert_eq!(reader.read("x 1\n", true).gone, [labels(&[(NAME, "d")])]);

    let mut reader = Reader::new();
    reader.terms.honor_timestamps = false;
    let read = reader.read(&body, true);
    assert!(read.samples.iter().all(|(_, t, _)| *t == AT));
    assert_eq!((read.samples.len(), read.counts.duplicates), (4, 2));
}

#[test]
fn series_end_after_good_and_failed_passes_only() {
    let good = "a 1\nb 1\n";
    let padding: String = (0..20).map(|i| format!("p{i} 1\n")).collect();
    let mut reader = Reader::new();
    reader.read(format!("{padding}{good}"), true);
    // b is not there, but a line was lost: it may have been b's.
    let partial = reader.read(format!("{padding}a 2\nb garbage\n"), true);
    assert_eq!((partial.gone.len(), partial.counts.lost_samples), (0, true));
    let read = reader.read(format!("{padding}a 3\n"), true);
    assert_eq!(read.gone, [labels(&[(NAME, "b")])]);
    // Back again: a new number for the same labels.
    let read = reader.read(format!("{padding}{good}"), true);
    assert_eq!((read.new, read.gone.len()), (1, 0));
    let failed = reader.read("<html>", true);
    assert_eq!((failed.reason(), failed.gone.len()), ("html", 22));
    assert_eq!(reader.cache.len(), 0);
    assert_eq!(reader.read(good, true).new, 2);
}

#[test]
fn too_many_samples_fail_the_pass() {
    let body: String = (0..11).map(|i| format!("m{{i=\"{i}\"}} 1\n")).collect();
    let mut reader = Reader::new();
    reader.terms.sample_limit = 10;
    let read = reader.read(&body, true);
    assert_eq!(read.result, Err(Failure::SampleLimit(10)));
    assert!(read.gone.is_empty(), "nothing of it was announced");
    // Only what is kept counts.
    reader.selection = selection(2, &["n"]);
    assert_eq!(reader.read(format!("{body}n 1\n"), true).text(), ["n 1"]);
}

#[test]
fn a_type_line_holds_for_series_that_come_later() {
    for (between, want) in [
        (
            "# This is only a summary\n# The end\n",
            "h_bucket{le=\"2.0\"} 1",
        ),
        ("# HELP h Words.\n", "h_bucket{le=\"2.0\"} 1"),
        ("# TYPE g gauge\n", "h_bucket{le=\"2\"} 1"),
        ("# TYPE g untyped memory\n", "h_bucket{le=\"2\"} 1"),
    ] {
        let mut reader = Reader::new();
        reader.selection = selection(1, &["h_bucket"]);
        let body = format!("a 1\n# TYPE h histogram\n{between}");
        reader.read(&body, false);
        let read = reader.read(format!("{body}h_bucket{{le=\"2\"}} 1\n"), false);
        assert_eq!(read.text(), [want], "{between}");
    }
}

#[test]
fn one_series_written_in_two_ways_is_one_series() {
    let mut reader = Reader::new();
    let read = reader.read("m{a=\"1\",b=\"2\"} 1\nm{b=\"2\",a=\"1\"} 2\n", true);
    assert_eq!(read.text(), ["m{a=\"1\", b=\"2\"} 1"]);
    assert_eq!((read.new, read.counts.duplicates), (1, 1));
    let read = reader.read("m{b=\"2\",a=\"1\"} 3\n", true);
    assert_eq!((read.new, read.gone.len()), (0, 0));
    assert_eq!(read.text(), ["m{a=\"1\", b=\"2\"} 3"]);
}

#[test]
fn a_dropped_pass_leaves_no_unannounced_series() {
    let mut reader = Reader::new();
    reader.cache.begin(&reader.selection);
    let mut pass = Pass::new(
        &reader.terms,
        &reader.selection,
        &mut reader.cache,
        AT,
        true,
    );
    pass.feed(b"a 1\nb 1\n").unwrap();
    drop(pass);
    let read = reader.read("a 1\n", true);
    assert_eq!((read.new, read.gone.len()), (1, 0));
    assert_eq!(reader.cache.len(), 1);
}

#[test]
fn exporters_tell_which_machine_and_server_they_watch() {
    let mut reader = Reader::new();
    reader.selection = selection(1, &["node_load1"]);
    let identity = reader
        .read(data("node_exporter-1.5.0.prom"), true)
        .identity
        .unwrap();
    let body = text_data("node_exporter-1.5.0.prom");
    let boot = body
        .lines()
        .find_map(|l| l.strip_prefix("node_boot_time_seconds "));
    assert_eq!(identity.boot_time, boot.map(|b| b.parse().unwrap()));
    let uname = body
        .lines()
        .find(|l| l.starts_with("node_uname_info{"))
        .unwrap();
    assert!(uname.contains(&format!("nodename=\"{}\"", identity.nodename.unwrap())));
    let read = reader.read(data("postgres_exporter-0.20-names-pg15-primary.prom"), true);
    let identity = read.identity.unwrap();
    assert_eq!(identity.pg_ports, [5415]);
    assert_eq!(identity.pg_start_times, [1_795_226_728.150_444]);
    let read = reader.read(data("postgres_exporter-0.11.1-primary.prom"), true);
    let servers: Vec<String> = read.identity.unwrap().pg_servers.into_iter().collect();
    assert_eq!(servers, ["127.0.0.1:5415"]);
}

proptest::proptest! {
    /// Whatever arrives, cut however: no panic, and the same result as in one piece.
    #[test]
    fn any_bytes_are_read_the_same_in_any_chunks(
        lines in proptest::collection::vec(
            proptest::string::string_regex(
                "(# TYPE |# HELP )?[a-c_:{}\"]{0,6}[{]?[a-c=\", \\\\{}]{0,16}[}]? ?[0-9eE+.NaInf-]{0,6}[ ]?[0-9#]{0,4}",
            ).unwrap(),
            0..30,
        ),
        chunk in 1usize..40,
        openmetrics: bool,
    ) {
        let body = lines.join("\n");
        let read = |chunk: usize| {
            let mut reader = Reader::new();
            reader.format = if openmetrics { Format::OpenMetrics } else { Format::Text };
            let read = reader.read_in_chunks(body.as_bytes(), true, chunk);
            (read.reason(), read.counts.clone(), format!("{:?}", read.samples))
        };
        proptest::prop_assert_eq!(read(chunk), read(usize::MAX));
    }
}

#[test]
fn rules_see_each_series_once_its_labels_are_whole() {
    #[derive(serde::Deserialize)]
    struct Rules {
        r: Vec<RelabelConfig>,
    }
    let rules = |text: &str| -> Arc<[RelabelConfig]> {
        let rules: Rules = toml::from_str(&format!("r = [{text}]")).unwrap();
        rules.r.into()
    };
    let mut r = Reader::new();
    r.terms.labels = Labels::from_pairs([("job", "j")]);
    r.terms.relabel = rules(
        "{ source_labels = ['__name__', 'job'], regex = 'go_.*;j', action = 'drop' }, \
         { regex = 'pod', action = 'labeldrop' }, \
         { source_labels = ['exported_job'], target_label = 'was' }",
    );
    for validate in [true, false] {
        let read = r.read("go_x 1\na{pod=\"p\",job=\"theirs\"} 2\ngo_y 3\n", validate);
        assert!(read.result.is_ok());
        let labels: Vec<String> = read.samples.iter().map(|(l, ..)| l.to_string()).collect();
        assert_eq!(
            labels,
            ["a{exported_job=\"theirs\", job=\"j\", was=\"theirs\"}"]
        );
        assert_eq!((read.counts.samples, read.counts.relabelled), (3, 2));
    }
    // Two series that a rule makes one: the first sample is taken, the second counted.
    let read = r.read("a{pod=\"1\"} 1\na{pod=\"2\"} 2\n", false);
    assert_eq!((read.samples.len(), read.counts.duplicates), (1, 1));

    // A new name may be one of ours, missing, or one that somebody wants.
    let mut r = Reader::new();
    r.selection = Selection::new(
        1,
        vec![Need {
            matchers: vec![Matcher::equal(NAME, "wanted")],
            window: std::time::Duration::ZERO,
        }],
    );
    r.terms.relabel =
        rules("{ source_labels = ['to'], regex = '(.+)', target_label = '__name__' }");
    r.terms.renames = true;
    let body = "x{to=\"wanted\"} 1\ny{to=\"up\"} 2\nwanted 3\nz 4\nup 5\n";
    let read = r.read(body, false);
    let got: Vec<String> = read
        .samples
        .iter()
        .map(|(l, _, v)| format!("{l} {v}"))
        .collect();
    assert_eq!(got, ["wanted{to=\"wanted\"} 1", "wanted 3"]);
    assert_eq!((read.counts.relabelled, read.counts.reserved), (1, 1));
    r.terms.relabel = rules("{ regex = '__name__', action = 'labeldrop' }");
    let mut r = Reader {
        cache: SeriesCache::default(),
        ..r
    };
    let read = r.read("wanted 3\n", false);
    assert_eq!((read.samples.len(), read.counts.relabelled), (0, 1));
}

#[test]
fn own_timestamps_end_with_a_marker_when_tracked() {
    for track in [false, true] {
        let mut r = Reader::new();
        r.terms.track_timestamps = track;
        r.read(format!("a 1 {}\nb 1\n", AT.0), false);
        let gone = r.read("b 1\n", false).gone;
        assert_eq!(gone.len(), usize::from(track), "tracked: {track}");
    }
}
