use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::config::{OnParseError, RelabelConfig};
use crate::model::histogram::ResetHint;
use crate::model::selection::Need;
use crate::model::{
    Histogram, Labels, Matcher, STALE_NAN_BITS, Selection, Timestamp, labels::NAME,
};
use crate::sources::scrape::failure::Failure;
use crate::sources::scrape::pass::{Counts, ExporterIdentity, Pass, Terms};
use crate::sources::scrape::text::{BadLine, Bounds};
use crate::sources::series::{End, SeriesCache};

const AT: Timestamp = Timestamp(1_800_000_000_000);

fn number(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [
        number(field << 3 | 2),
        number(content.len() as u64),
        content.to_vec(),
    ]
    .concat()
}

fn int(field: u64, n: u64) -> Vec<u8> {
    [number(field << 3), number(n)].concat()
}

fn double(field: u64, v: f64) -> Vec<u8> {
    [number(field << 3 | 1), v.to_bits().to_le_bytes().to_vec()].concat()
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

fn span(offset: i64, length: u64) -> Vec<u8> {
    [int(1, zigzag(offset)), int(2, length)].concat()
}

fn label(name: &str, value: &str) -> Vec<u8> {
    let pair = [bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat();
    bytes(1, &pair)
}

/// A family with its length in front.
fn family(name: &str, kind: u64, metrics: &[Vec<u8>]) -> Vec<u8> {
    let metrics: Vec<u8> = metrics.iter().flat_map(|m| bytes(4, m)).collect();
    let all = [
        bytes(1, name.as_bytes()),
        bytes(2, b"Some help."),
        int(3, kind),
        metrics,
        bytes(5, b"seconds"),
    ]
    .concat();
    [number(all.len() as u64), all].concat()
}

fn counter(v: f64) -> Vec<u8> {
    // With an exemplar, which is passed over.
    bytes(3, &[double(1, v), bytes(2, &double(2, 7.0))].concat())
}

/// A histogram with buckets 1 (2 observations), 2 (1) and 4 (3), of which 4 are in the native ones.
fn native(extra: &[u8]) -> Vec<u8> {
    let parts = [
        int(1, 9),
        double(2, 12.5),
        bytes(3, &[int(1, 4), double(2, 0.5)].concat()),
        bytes(3, &[int(1, 7), double(2, 2.0)].concat()),
        int(5, zigzag(3)),
        double(6, 0.001),
        int(7, 2),
        bytes(12, &span(-2, 2)),
        bytes(12, &span(3, 1)),
        // 1, 3, 2: the last delta not packed with the others.
        bytes(13, &[number(zigzag(1)), number(zigzag(2))].concat()),
        int(13, zigzag(-1)),
        bytes(9, &span(0, 1)),
        int(10, zigzag(1)),
        extra.to_vec(),
    ];
    bytes(7, &parts.concat())
}

struct World {
    terms: Terms,
    selection: Selection,
    cache: SeriesCache,
    known: BTreeMap<crate::model::Ref, Labels>,
}

struct Read {
    result: Result<(), Failure>,
    counts: Counts,
    floats: Vec<String>,
    histograms: Vec<(String, Timestamp, Arc<Histogram>)>,
    gone: usize,
    identity: Option<ExporterIdentity>,
}

impl World {
    fn new() -> Self {
        Self {
            terms: Terms {
                labels: Labels::from_pairs([("job", "j")]),
                honor_labels: false,
                honor_timestamps: true,
                on_parse_error: OnParseError::KeepGood,
                bounds: Bounds {
                    labels: 8,
                    name: 40,
                    value: 40,
                },
                sample_limit: 1_000,
                track_timestamps: false,
                relabel: Arc::from([]),
                classic_too: false,
                renames: false,
            },
            selection: Selection::all(1),
            cache: SeriesCache::default(),
            known: BTreeMap::new(),
        }
    }

    fn read(&mut self, body: &[u8], chunk: usize, validate: bool) -> Read {
        self.cache.begin(&self.selection);
        let mut pass = Pass::new(&self.terms, &self.selection, &mut self.cache, AT, validate);
        pass.set_protobuf();
        let fed = body.chunks(chunk).try_for_each(|c| pass.feed(c));
        let result = fed.and_then(|()| pass.finish());
        let (counts, reading) = pass.into_parts();
        let mut out = Read {
            gone: 0,
            floats: Vec::new(),
            histograms: Vec::new(),
            identity: reading.identity,
            counts,
            result,
        };
        let end = match &out.result {
            Ok(()) if out.counts.lost_samples => End::Partial,
            Ok(()) => End::Good,
            Err(_) => End::Failed,
        };
        if out.result.is_ok() {
            self.known.extend(reading.new);
            for (id, t, v) in reading.samples {
                let own = if t == AT {
                    String::new()
                } else {
                    format!(" @{}", t.0)
                };
                let v = if v.to_bits() == STALE_NAN_BITS {
                    "STALE".to_owned()
                } else {
                    v.to_string()
                };
                out.floats.push(format!("{} {v}{own}", self.known[&id]));
            }
            for (id, t, h) in reading.histograms {
                out.histograms.push((self.known[&id].to_string(), t, h));
            }
        }
        out.gone = self.cache.end(end).len();
        out
    }
}

#[test]
fn families_become_series_however_they_are_cut() {
    let body = [
        family(
            "c_total",
            0,
            &[
                [label("a", "x"), counter(3.0)].concat(),
                [
                    label("job", "theirs"),
                    counter(4.0),
                    int(6, 1_700_000_000_000),
                ]
                .concat(),
            ],
        ),
        family(
            "g",
            1,
            &[bytes(2, &double(1, f64::from_bits(STALE_NAN_BITS)))],
        ),
        family(
            "s",
            2,
            &[bytes(
                4,
                &[
                    int(1, 5),
                    double(2, 1.5),
                    bytes(3, &[double(1, 0.99), double(2, 0.2)].concat()),
                ]
                .concat(),
            )],
        ),
        family("u", 3, &[bytes(5, &[])]),
        family(
            "h",
            4,
            &[bytes(
                7,
                &[
                    int(1, 3),
                    double(2, 0.6),
                    bytes(3, &[int(1, 2), double(2, 1.0)].concat()),
                ]
                .concat(),
            )],
        ),
    ]
    .concat();
    let want = [
        "c_total{a=\"x\", job=\"j\"} 3",
        "c_total{exported_job=\"theirs\", job=\"j\"} 4 @1700000000000",
        "g{job=\"j\"} NaN",
        "s_count{job=\"j\"} 5",
        "s_sum{job=\"j\"} 1.5",
        "s{job=\"j\", quantile=\"0.99\"} 0.2",
        "u{job=\"j\"} 0",
        "h_count{job=\"j\"} 3",
        "h_sum{job=\"j\"} 0.6",
        "h_bucket{job=\"j\", le=\"1.0\"} 2",
        "h_bucket{job=\"j\", le=\"+Inf\"} 3",
    ];
    for chunk in [1, 3, 64, body.len()] {
        for validate in [true, false] {
            let mut w = World::new();
            for _ in 0..2 {
                let read = w.read(&body, chunk, validate);
                assert_eq!(read.result, Ok(()));
                assert_eq!(read.floats, want, "chunks of {chunk}");
                assert_eq!((read.counts.samples, read.gone), (11, 0));
            }
            assert_eq!(w.known.len(), 11);
            // A series with its own timestamp ends without a marker.
            assert_eq!(w.read(&[], 1, validate).gone, 10);
        }
    }
    for cut in 1..body.len() {
        let mut w = World::new();
        if let Err(e) = w.read(&body[..cut], 7, true).result {
            assert_eq!(e.reason(), "protobuf");
        }
    }
}

#[test]
fn native_histograms_are_read_with_or_without_the_classic_one() {
    let mut w = World::new();
    let body = family("h", 4, &[[label("a", "x"), native(&[])].concat()]);
    let read = w.read(&body, 5, false);
    let (labels, t, h) = &read.histograms[0];
    assert_eq!((labels.as_str(), *t), ("h{a=\"x\", job=\"j\"}", AT));
    assert_eq!(
        **h,
        Histogram {
            schema: 3,
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 9.0,
            sum: 12.5,
            positive: vec![(-2, 1.0), (-1, 3.0), (3, 2.0)],
            negative: vec![(0, 1.0)],
            custom_values: Vec::new(),
            reset_hint: ResetHint::Unknown,
        }
    );
    assert_eq!((read.floats.len(), read.counts.samples), (0, 1));
    assert_eq!(w.read(&[], 1, false).gone, 1);

    w.terms.classic_too = true;
    let read = w.read(&body, 5, false);
    assert_eq!((read.histograms.len(), read.floats.len()), (1, 5));
    assert!(
        read.floats
            .contains(&"h_bucket{a=\"x\", job=\"j\", le=\"+Inf\"} 9".to_owned())
    );

    // Of floats, and a gauge, whose count need not fit.
    let floats = [
        double(4, 6.5),
        double(2, 1.0),
        double(8, 0.5),
        bytes(12, &span(1, 2)),
        bytes(14, &[1.5f64.to_le_bytes(), 4.5f64.to_le_bytes()].concat()),
    ];
    let body = family("f", 5, &[bytes(7, &floats.concat())]);
    let read = World::new().read(&body, 9, true);
    let h = &read.histograms[0].2;
    assert_eq!(
        (h.count, h.zero_count, h.reset_hint),
        (6.5, 0.5, ResetHint::Gauge)
    );
    assert_eq!(h.positive, [(1, 1.5), (2, 4.5)]);

    // One without observations is told by an empty span.
    let empty = [
        int(1, 0),
        double(2, 0.0),
        int(5, zigzag(8)),
        bytes(12, &span(0, 0)),
    ];
    let body = family("e", 4, &[bytes(7, &empty.concat())]);
    let read = World::new().read(&body, 9, true);
    assert_eq!(read.histograms[0].2.positive, []);
}

#[test]
fn what_contradicts_itself_is_counted_and_the_rest_kept() {
    let good: Vec<Vec<u8>> = (0..200)
        .map(|i| [label("i", &i.to_string()), counter(1.0)].concat())
        .collect();
    let bad = [
        // More observations than counted, an index out of order, a count too few, a schema.
        (4, native(&int(10, zigzag(5)))),
        (4, native(&bytes(12, &span(-1, 0)))),
        (4, native(&bytes(12, &span(0, 1)))),
        (4, native(&int(5, zigzag(9)))),
        (4, native(&bytes(12, &span(0, 1 << 40)))),
    ];
    for (kind, metric) in bad {
        let body = [family("g", 1, &good), family("h", kind, &[metric])].concat();
        let mut w = World::new();
        w.terms.sample_limit = 1_000;
        let read = w.read(&body, 1 << 16, false);
        assert_eq!(read.result, Ok(()));
        assert_eq!((read.floats.len(), read.histograms.len()), (200, 0));
        assert_eq!(read.counts.bad[BadLine::Value as usize], 1);
        assert!(read.counts.lost_samples);
    }
    for (metric, reason) in [
        (
            [label("a", "1"), label("a", "2"), counter(1.0)].concat(),
            BadLine::DuplicateLabel,
        ),
        (
            [label("__name__", "up"), counter(1.0)].concat(),
            BadLine::DuplicateLabel,
        ),
        ([label("", "x"), counter(1.0)].concat(), BadLine::Labels),
        (
            [label("n", &"x".repeat(41)), counter(1.0)].concat(),
            BadLine::ValueLength,
        ),
        (
            [label(&"n".repeat(41), "x"), counter(1.0)].concat(),
            BadLine::NameLength,
        ),
        (
            [
                (0..9).flat_map(|i| label(&format!("l{i}"), "x")).collect(),
                counter(1.0),
            ]
            .concat(),
            BadLine::LabelCount,
        ),
        (
            [
                bytes(1, &[bytes(1, b"n"), bytes(2, b"\xff")].concat()),
                counter(1.0),
            ]
            .concat(),
            BadLine::Utf8,
        ),
        (label("a", "x"), BadLine::Value),
    ] {
        let body = [family("g", 1, &good), family("m", 0, &[metric])].concat();
        let read = World::new().read(&body, 1 << 16, true);
        assert_eq!((read.result, read.floats.len()), (Ok(()), 200), "{reason}");
        assert_eq!(read.counts.bad[reason as usize], 1, "{reason}");
    }
}

#[test]
fn only_what_is_selected_is_decoded_and_nothing_is_forged() {
    let mut w = World::new();
    w.selection = Selection::new(
        1,
        vec![Need {
            matchers: vec![Matcher::equal(NAME, "h_sum")],
            window: std::time::Duration::ZERO,
        }],
    );
    let classic = bytes(
        7,
        &[
            int(1, 3),
            double(2, 0.6),
            bytes(3, &[int(1, 2), double(2, 1.0)].concat()),
        ]
        .concat(),
    );
    let body = [
        family("up", 1, &[counter(0.0)]),
        family("ALERTS", 1, &[counter(1.0)]),
        family("scrape_x", 1, &[counter(1.0)]),
        family("node_boot_time_seconds", 1, &[bytes(2, &double(1, 77.0))]),
        family("h", 4, &[classic]),
    ]
    .concat();
    for validate in [true, false, true] {
        let read = w.read(&body, 11, validate);
        assert_eq!(read.floats, ["h_sum{job=\"j\"} 0.6"]);
        assert_eq!((read.counts.samples, read.counts.reserved), (8, 3));
        if validate {
            assert_eq!(read.identity.unwrap().boot_time, Some(77.0));
        }
    }
    // Relabelling sees them, too.
    let rule: RelabelConfig =
        toml::from_str("source_labels = ['__name__']\nregex = 'h_sum'\naction = 'drop'").unwrap();
    w.terms.relabel = Arc::from([rule]);
    let mut w = World {
        cache: SeriesCache::default(),
        ..w
    };
    for _ in 0..2 {
        let read = w.read(&body, 11, false);
        assert_eq!((read.floats.len(), read.counts.relabelled), (0, 1));
    }
}

#[test]
fn bounds_hold() {
    // A metric and a family of absurd length.
    let metric = [number(4 << 3 | 2), number(2 << 20)].concat();
    let body = [number(3 << 20), metric].concat();
    let e = World::new().read(&body, 100, false).result.unwrap_err();
    assert!(e.to_string().contains("larger than 1 MiB"), "{e}");
    let body = [number(5), bytes(4, &[0; 60])].concat();
    assert!(World::new().read(&body, 100, false).result.is_err());
    assert!(World::new().read(&[0xff; 11], 100, false).result.is_err());
    // Help texts of any length pass by unheld.
    let help = bytes(2, &vec![b'x'; 5 << 20]);
    let all = [bytes(1, b"g"), help, bytes(4, &counter(1.0))].concat();
    let body = [number(all.len() as u64), all].concat();
    assert_eq!(World::new().read(&body, 1 << 16, false).floats.len(), 1);
    let mut w = World::new();
    w.terms.sample_limit = 3;
    let many: Vec<Vec<u8>> = (0..5)
        .map(|i| [label("i", &i.to_string()), counter(1.0)].concat())
        .collect();
    let read = w.read(&family("g", 1, &many), 1 << 16, false);
    assert_eq!(read.result, Err(Failure::SampleLimit(3)));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(
        edits in proptest::collection::vec((0usize..400, any::<u8>()), 1..8),
        chunk in 1usize..64,
    ) {
        let mut body = [
            family("h", 4, &[[label("a", "x"), native(&[])].concat()]),
            family("c", 0, &[counter(1.0)]),
        ]
        .concat();
        for (at, byte) in edits {
            let at = at % body.len();
            body[at] = byte;
        }
        let mut w = World::new();
        let whole = w.read(&body, body.len(), true);
        let mut w = World::new();
        let cut = w.read(&body, chunk, true);
        prop_assert_eq!(whole.result.is_ok(), cut.result.is_ok());
        prop_assert_eq!(whole.floats, cut.floats);
        prop_assert_eq!(whole.counts.bad, cut.counts.bad);
    }
}
