//! Mutated expositions: no panic, each bad line counted by its reason, each good line kept,
//! whatever the chunks, the selection and what the pass before saw. The bytes that drive it may
//! come from a fuzzer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use loadline::model::labels::NAME;
use loadline::model::selection::Need;
use loadline::model::{Labels, Matcher, Ref, Selection, Timestamp};
use loadline::sources::scrape::{Format, Reader};

const AT: Timestamp = Timestamp(1_800_000_000_000);

const NAMES: [&str; 8] = ["a", "ab", "abc", "b:c", "m_total", "h_bucket", "z", "a_b"];

/// What a label value may hold, as written and as meant.
const VALUES: [(&str, &str); 12] = [
    ("x", "x"),
    ("", ""),
    ("a,b", "a,b"),
    ("a=b", "a=b"),
    ("}", "}"),
    ("{", "{"),
    (r"\\", "\\"),
    (r#"\""#, "\""),
    (r"\n", "\n"),
    (r"\d", r"\d"),
    ("# é", "# é"),
    ("1.0", "1.0"),
];

const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "-1",
    "1.5",
    ".5",
    "5.",
    "1e-05",
    "1E9",
    "+Inf",
    "-Inf",
    "123456789012345678",
    "12345.678",
];

/// Reads choices from bytes; zeros after their end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                usize::from(*first) % n
            }
            [] => 0,
        }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

/// A line and what must come of it.
#[derive(Debug, Clone)]
struct Line {
    text: Vec<u8>,
    /// The name that the selection looks at; `None` when the line has none.
    name: Option<&'static str>,
    means: Means,
}

#[derive(Debug, Clone)]
enum Means {
    Nothing,
    Sample(Labels, f64),
    Bad(&'static str),
}

fn sample(c: &mut Choices<'_>, openmetrics: bool) -> (String, &'static str, Vec<(String, String)>) {
    let name = NAMES[c.below(NAMES.len())];
    let blank = |c: &mut Choices<'_>| match (openmetrics, c.below(8)) {
        (true, _) | (false, 0..6) => "",
        (false, 6) => " ",
        (false, _) => "\t ",
    };
    let labels = c.below(4);
    let quoted_name = c.one_in(8);
    let mut text = String::new();
    let mut pairs = Vec::new();
    if !quoted_name {
        text.push_str(name);
        if labels == 0 && !c.one_in(3) {
            return (text, name, pairs);
        }
        text.push_str(blank(c));
    }
    text.push('{');
    text.push_str(blank(c));
    if quoted_name {
        text.push_str(&format!("\"{name}\""));
        if labels > 0 {
            text.push(',');
        }
    }
    for i in 0..labels {
        let (written, meant) = VALUES[c.below(VALUES.len())];
        let label = format!("l{i}");
        if c.one_in(6) {
            text.push_str(&format!("\"{label}\""));
        } else {
            text.push_str(&label);
        }
        text.push_str(blank(c));
        text.push('=');
        text.push_str(blank(c));
        text.push_str(&format!("\"{written}\""));
        text.push_str(blank(c));
        if i + 1 < labels || c.one_in(5) {
            text.push(',');
            text.push_str(blank(c));
        }
        pairs.push((label, meant.to_owned()));
    }
    text.push('}');
    (text, name, pairs)
}

fn line(c: &mut Choices<'_>, openmetrics: bool) -> Line {
    let nothing = |text: &str| Line {
        text: text.as_bytes().to_vec(),
        name: None,
        means: Means::Nothing,
    };
    let kind = c.below(16);
    match kind {
        0 if openmetrics => return nothing("# HELP a Some words # and \" more."),
        1 if openmetrics => return nothing("# TYPE a unknown"),
        2 if openmetrics => {
            return Line {
                means: Means::Bad("misplaced"),
                ..nothing("")
            };
        }
        0 => return nothing(["# HELP a Some words.", "# a comment", "#", "# HELP  a"][c.below(4)]),
        1 => {
            return nothing(
                ["# TYPE a counter", "# TYPE a untyped", "#TYPE a nonsense"][c.below(3)],
            );
        }
        2 => return nothing(["", " ", "\t"][c.below(3)]),
        _ => {}
    }
    let (key, name, pairs) = sample(c, openmetrics);
    let number = NUMBERS[c.below(NUMBERS.len())];
    let good = format!("{key} {number}");
    let has_labels = key.ends_with('}') && !pairs.is_empty();
    let open = key.trim_end_matches(['}', ',', ' ', '\t']);
    let cut = |end: &str| format!("{open}{end} {number}");
    let bad = |text: String, reason: &'static str| Line {
        text: text.into_bytes(),
        name: Some(name),
        means: Means::Bad(reason),
    };
    if kind > 3 {
        let mut labels = Labels::from_pairs([(NAME, name)]).to_builder();
        for (label, value) in &pairs {
            labels.set(label, value);
        }
        return Line {
            text: good.into_bytes(),
            name: Some(name),
            means: Means::Sample(labels.build(), number.parse().unwrap()),
        };
    }
    match c.below(12) {
        0 => bad(format!("{key} {number}x"), "value"),
        1 => bad(key, "value"),
        2 => bad(format!("{key} 0x1p3"), "value"),
        3 => bad(format!("{key} {number} 123 4"), "trailing"),
        4 => bad(format!("{key} {number} 12z"), "timestamp"),
        5 if has_labels => bad(cut(",l0=\"again\"}"), "duplicate_label"),
        6 if has_labels => bad(cut(",q=bare}"), "labels"),
        7 if has_labels => bad(cut(""), "labels"),
        8 if has_labels => bad(cut(",=\"v\"}"), "labels"),
        9 if has_labels => {
            let mut line = bad(cut(",u=\"@\"}"), "utf8");
            let at = line.text.iter().rposition(|b| *b == b'@').unwrap();
            line.text[at] = 0xff;
            line
        }
        10 => Line {
            name: None,
            ..bad(format!("0{good}"), "name")
        },
        _ => Line {
            name: None,
            ..bad(format!("-{number}"), "name")
        },
    }
}

/// Reads several mutations of one exposition with one reader.
pub(crate) fn agree(bytes: &[u8], openmetrics: bool) {
    let mut c = Choices(bytes);
    let format = if openmetrics {
        Format::OpenMetrics
    } else {
        Format::Text
    };
    let wanted: BTreeSet<&str> = NAMES.into_iter().filter(|_| !c.one_in(3)).collect();
    let needs = wanted.iter().map(|name| Need {
        matchers: vec![Matcher::equal(NAME, name)],
        window: Duration::from_secs(60),
    });
    let selection = Selection::new(1, needs.collect());
    let mut body: Vec<Line> = (0..10 + c.below(14))
        .map(|_| line(&mut c, openmetrics))
        .collect();
    let mut reader = Reader::new(format);
    let mut known: BTreeMap<Ref, Labels> = BTreeMap::new();
    for pass in 0..4 {
        for _ in 0..if pass == 0 { 0 } else { c.below(4) } {
            let at = c.below(body.len());
            match c.below(4) {
                0 => {
                    body.remove(at);
                }
                1 => {
                    let other = c.below(body.len());
                    body.swap(at, other);
                }
                2 => body[at] = line(&mut c, openmetrics),
                _ => body.insert(at, line(&mut c, openmetrics)),
            }
        }
        let validate = pass == 0 || c.one_in(4);
        check(
            &mut c,
            &body,
            &mut reader,
            &mut known,
            (&selection, &wanted, validate),
            openmetrics,
        );
    }
}

fn check(
    c: &mut Choices<'_>,
    body: &[Line],
    reader: &mut Reader,
    known: &mut BTreeMap<Ref, Labels>,
    (selection, wanted, validate): (&Selection, &BTreeSet<&str>, bool),
    openmetrics: bool,
) {
    let mut text: Vec<u8> = Vec::new();
    for line in body {
        text.extend_from_slice(&line.text);
        text.push(b'\n');
    }
    if openmetrics {
        text.extend_from_slice(b"# EOF\n");
    }
    let mut want: BTreeMap<Labels, u64> = BTreeMap::new();
    let mut bad: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut samples, mut lost) = (0, false);
    for line in body {
        let counts = validate
            || line
                .name
                .is_none_or(|n| wanted.contains(n) || line.text[0] == b'{');
        match &line.means {
            Means::Nothing => {}
            Means::Bad(reason) if counts => {
                *bad.entry(reason).or_default() += 1;
                lost |= !line.text.is_empty();
            }
            Means::Bad(_) => samples += 1,
            Means::Sample(labels, value) => {
                samples += 1;
                if wanted.contains(labels.name()) {
                    want.entry(labels.clone()).or_insert(value.to_bits());
                }
            }
        }
    }
    let chunk = 1 + c.below(97) * c.below(7);
    let read = reader.read(text.chunks(chunk), selection, AT, validate);
    let shown = || String::from_utf8_lossy(&text).into_owned();
    let all_bad: u64 = bad.values().sum();
    assert_eq!(read.bad, bad, "{}", shown());
    assert_eq!(read.samples, samples, "{}", shown());
    if all_bad * 10 > samples + all_bad {
        let reason = read
            .result
            .as_ref()
            .expect_err("too many bad lines")
            .reason();
        assert_eq!(reason, "bad_lines");
        want.clear();
    } else {
        assert_eq!(read.result, Ok(()), "{}", shown());
        assert_eq!(read.batch.partial, lost);
    }
    for (r, labels) in read.batch.new {
        assert!(
            known.insert(r, labels).is_none(),
            "a number was given twice"
        );
    }
    let got: BTreeMap<Labels, u64> = read
        .batch
        .samples
        .iter()
        .map(|(r, _, v)| (known[r].clone(), v.to_bits()))
        .collect();
    assert_eq!(got.len(), read.batch.samples.len(), "a series came twice");
    assert_eq!(got, want, "{}", shown());
    for r in &read.batch.gone {
        let labels = known.remove(r).expect("it was announced");
        assert!(!want.contains_key(&labels), "{labels} is there");
    }
    let held: BTreeSet<&Labels> = known.values().collect();
    assert_eq!(held.len(), known.len(), "two numbers for one series");
    if !read.batch.partial {
        assert_eq!(held, want.keys().collect(), "what is not there is gone");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(7_000))]

        #[test]
        fn mutated_text_is_read_line_by_line(bytes in proptest::collection::vec(any::<u8>(), 80..360)) {
            agree(&bytes, false);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn mutated_openmetrics_is_read_line_by_line(bytes in proptest::collection::vec(any::<u8>(), 80..360)) {
            agree(&bytes, true);
        }
    }
}
