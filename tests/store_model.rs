//! The store does what the plainest store would do: random batches, selections, prunings and
//! records, against maps and vectors. The bytes that drive it may come from a fuzzer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loadline::model::labels::NAME;
use loadline::model::selection::Need;
use loadline::model::{
    Batch, Histogram, Labels, Matcher, Ref, STALE_NAN_BITS, Sample, Selection, SeriesSource,
    TargetKey, Timestamp, stale_nan,
};
use loadline::store::{Appended, Caps, Store};

/// The store's own least window, in milliseconds.
const LEAST_WINDOW: i64 = 360_000;

/// Reads choices from bytes; zeros after their end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }
}

/// A float's bits, or the count of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Point {
    Float(u64),
    Histogram(u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wait {
    Unselected,
    Capped,
    Idle,
}

#[derive(Debug, Default)]
struct Kept {
    window: i64,
    points: Vec<(i64, Point)>,
}

/// Every series by its labels' text; every number by target.
#[derive(Debug, Default)]
struct Plain {
    most: usize,
    needs: Vec<(String, i64)>,
    series: BTreeMap<Labels, Kept>,
    numbers: BTreeMap<(u8, u32), (Labels, Option<Wait>)>,
}

impl Plain {
    fn window(&self, labels: &Labels) -> Option<i64> {
        let windows = self.needs.iter().filter(|n| n.0 == labels.name());
        windows.map(|n| n.1.max(LEAST_WINDOW)).max()
    }

    /// Tries to keep a series, and says why not.
    fn admit(&mut self, labels: &Labels) -> Option<Wait> {
        let Some(window) = self.window(labels) else {
            return Some(Wait::Unselected);
        };
        if !self.series.contains_key(labels) {
            if self.series.len() >= self.most {
                return Some(Wait::Capped);
            }
            let kept = Kept {
                window,
                points: Vec::new(),
            };
            self.series.insert(labels.clone(), kept);
        }
        None
    }

    fn push(&mut self, labels: &Labels, t: i64, point: Point, done: &mut Appended) {
        let kept = self.series.get_mut(labels).expect("it was admitted");
        match kept.points.last() {
            Some((last, _)) if t < *last => done.out_of_order += 1,
            Some((last, same)) if t == *last && *same == point => {}
            Some((last, _)) if t == *last => done.duplicates += 1,
            Some(_) | None => {
                kept.points.push((t, point));
                kept.points.retain(|p| p.0 >= t - kept.window);
                done.stored += 1;
            }
        }
    }

    fn sample(&mut self, target: u8, r: u32, t: i64, point: Point, done: &mut Appended) {
        let Some((labels, wait)) = self.numbers.get(&(target, r)).cloned() else {
            done.unselected += 1;
            return;
        };
        let wait = match wait {
            None | Some(Wait::Unselected) => wait,
            Some(Wait::Capped) if self.series.len() >= self.most => wait,
            Some(Wait::Capped | Wait::Idle) => {
                let wait = self.admit(&labels);
                self.numbers.insert((target, r), (labels.clone(), wait));
                wait
            }
        };
        match wait {
            None => self.push(&labels, t, point, done),
            Some(Wait::Capped) => done.capped += 1,
            Some(Wait::Unselected | Wait::Idle) => done.unselected += 1,
        }
    }

    fn end(&mut self, ended: Vec<(Labels, Option<Wait>)>, at: i64) {
        for (labels, wait) in ended {
            if wait.is_none() {
                let stale = Point::Float(STALE_NAN_BITS);
                self.push(&labels, at, stale, &mut Appended::default());
            }
        }
    }

    fn let_wait(&mut self, gone: &[Labels], why: Wait) {
        for (labels, wait) in self.numbers.values_mut() {
            if wait.is_none() && gone.contains(labels) {
                *wait = Some(why);
            }
        }
    }
}

fn series(n: u8) -> Labels {
    let metric = format!("m{}", n % 4);
    let host = format!("h{}", n / 4 % 4);
    Labels::from_pairs([(NAME, metric.as_str()), ("host", &host), ("job", "j")])
}

fn histogram(n: u8) -> Arc<Histogram> {
    Arc::new(Histogram {
        count: f64::from(n),
        positive: vec![(1, f64::from(n))],
        ..Histogram::default()
    })
}

fn value(c: &mut Choices<'_>) -> f64 {
    match c.below(6) {
        0 => 0.0,
        1 => f64::from(c.byte()),
        2 => f64::from(c.byte()) / 100.0,
        3 => f64::from(c.byte()).sqrt(),
        4 => f64::NAN,
        _ => stale_nan(),
    }
}

fn key(target: u8) -> TargetKey {
    TargetKey(Arc::from(format!("t{target}")))
}

/// Drives a store and the plain one with the same choices, and compares what they count and hold
/// after each.
pub(crate) fn agree(bytes: &[u8]) {
    let mut c = Choices(bytes);
    let most = usize::from(c.below(12)) + 1;
    let store = Store::new(most);
    let mut plain = Plain {
        most,
        ..Plain::default()
    };
    let mut generation = 0;
    let mut next_ref = [0u32; 3];
    let mut now = 1_000_000i64;
    let mut steps = 0;
    while !c.0.is_empty() && steps < 400 {
        steps += 1;
        match c.below(10) {
            0 => {
                generation += 1;
                let chosen = c.byte();
                let window = i64::from(c.byte()) * 10_000;
                plain.needs = (0..4u8)
                    .filter(|n| chosen & (1 << n) != 0)
                    .map(|n| (format!("m{n}"), window * i64::from(n)))
                    .collect();
                let needs = plain.needs.iter().map(|(name, window)| Need {
                    matchers: vec![Matcher::equal(NAME, name)],
                    window: Duration::from_millis(window.unsigned_abs()),
                });
                store.select_only(Arc::new(Selection::new(generation, needs.collect())));
                let unwanted: Vec<Labels> = plain.series.keys().cloned().collect();
                let unwanted: Vec<Labels> = unwanted
                    .into_iter()
                    .filter(|l| plain.window(l).is_none())
                    .collect();
                plain.series.retain(|l, _| !unwanted.contains(l));
                plain.let_wait(&unwanted, Wait::Unselected);
                for labels in plain.series.keys().cloned().collect::<Vec<_>>() {
                    let window = plain.window(&labels).expect("others are gone");
                    let kept = plain.series.get_mut(&labels).expect("just listed");
                    kept.window = window;
                    if let Some((newest, _)) = kept.points.last().copied() {
                        kept.points.retain(|p| p.0 >= newest - window);
                    }
                }
                for (number, (labels, wait)) in plain.numbers.clone() {
                    if wait.is_some() {
                        let wait = plain.admit(&labels);
                        plain.numbers.insert(number, (labels, wait));
                    }
                }
            }
            1 => {
                now += i64::from(c.byte()) * 5_000;
                store.prune(Timestamp(now));
                let mut gone = Vec::new();
                plain.series.retain(|labels, kept| {
                    kept.points.retain(|p| p.0 >= now - kept.window);
                    if kept.points.is_empty() {
                        gone.push(labels.clone());
                    }
                    !kept.points.is_empty()
                });
                plain.let_wait(&gone, Wait::Idle);
            }
            2 => {
                let target = c.below(3);
                store.forget(&key(target), Timestamp(now));
                let mut ended = Vec::new();
                plain.numbers.retain(|(t, _), slot| {
                    let goes = *t == target;
                    if goes {
                        ended.push(slot.clone());
                    }
                    !goes
                });
                plain.end(ended, now);
            }
            3 => {
                let labels = series(c.byte());
                let t = now + i64::from(c.below(3)) * 1_000;
                let mut want = Appended::default();
                let known = plain.series.contains_key(&labels);
                let room = known || plain.series.len() < most;
                let n = c.byte();
                let done = if n.is_multiple_of(2) {
                    let v = value(&mut c);
                    let done = store.record(&labels, Sample { t: Timestamp(t), v });
                    (done, Point::Float(v.to_bits()))
                } else {
                    let done = store.record_histogram(&labels, Timestamp(t), &histogram(n));
                    (done, Point::Histogram(u64::from(n)))
                };
                if room {
                    let window = plain.window(&labels).unwrap_or(LEAST_WINDOW);
                    plain.series.entry(labels.clone()).or_insert(Kept {
                        window,
                        points: Vec::new(),
                    });
                    plain.push(&labels, t, done.1, &mut want);
                } else {
                    want.capped = 1;
                }
                assert_eq!(done.0, want, "record {labels}");
            }
            _ => {
                let target = c.below(3);
                now += i64::from(c.below(4)) * 5_000;
                let mut batch = Batch::new(key(target), Timestamp(now));
                let mut want = Appended::default();
                for _ in 0..c.below(5) {
                    let r = next_ref[usize::from(target)];
                    next_ref[usize::from(target)] += 1;
                    let labels = series(c.byte());
                    batch.new.push((Ref(r), labels.clone()));
                    let wait = plain.admit(&labels);
                    plain.numbers.insert((target, r), (labels, wait));
                }
                let known = next_ref[usize::from(target)] + 1;
                for _ in 0..c.below(12) {
                    let r = u32::from(c.byte()) % known;
                    let t = now - i64::from(c.below(3)) * 1_000;
                    let v = value(&mut c);
                    batch.samples.push((Ref(r), Timestamp(t), v));
                    let point = Point::Float(v.to_bits());
                    plain.sample(target, r, t, point, &mut want);
                }
                for _ in 0..c.below(3) {
                    let r = u32::from(c.byte()) % known;
                    let n = c.byte();
                    batch
                        .histograms
                        .push((Ref(r), Timestamp(now), histogram(n)));
                    let point = Point::Histogram(u64::from(n));
                    plain.sample(target, r, now, point, &mut want);
                }
                if c.below(4) == 0 {
                    let r = u32::from(c.byte()) % known;
                    batch.gone.push(Ref(r));
                }
                assert_eq!(store.append(&batch), want, "append");
                let gone = batch.gone.iter();
                let ended = gone.filter_map(|r| plain.numbers.remove(&(target, r.0)));
                let ended = ended.collect();
                plain.end(ended, now);
            }
        }
        compare(&store, &plain);
    }
}

fn compare(store: &Store, plain: &Plain) {
    let (from, to) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
    let mut held: BTreeMap<Labels, Vec<(i64, Point)>> = BTreeMap::new();
    let floats = store.select(&[], from, to);
    assert!(floats.is_sorted_by(|a, b| a.labels < b.labels));
    for series in floats {
        let points = series.samples.iter();
        let points = points.map(|s| (s.t.0, Point::Float(s.v.to_bits())));
        held.entry(series.labels).or_default().extend(points);
    }
    for series in store.select_histograms(&[], from, to) {
        let points = series.samples.iter();
        let points = points.map(|(t, h)| (t.0, Point::Histogram(h.count as u64)));
        held.entry(series.labels).or_default().extend(points);
    }
    for points in held.values_mut() {
        points.sort_by_key(|p| p.0);
    }
    let want: BTreeMap<Labels, Vec<(i64, Point)>> = plain
        .series
        .iter()
        .filter(|(_, kept)| !kept.points.is_empty())
        .map(|(labels, kept)| (labels.clone(), kept.points.clone()))
        .collect();
    assert_eq!(held, want);
    assert_eq!(store.series(), plain.series.len());
    assert_eq!(store.samples(), want.values().map(Vec::len).sum::<usize>());
    let capped = plain.numbers.values().filter(|n| n.1 == Some(Wait::Capped));
    assert_eq!(store.refused(), capped.count());
    for name in ["m0", "m1", "m2", "m3"] {
        let by_name = store.select(&[Matcher::equal(NAME, name)], from, to);
        let floats = |points: &[(i64, Point)]| {
            let floats = points.iter().filter(|p| matches!(p.1, Point::Float(_)));
            floats.count()
        };
        let of_name = want.iter().filter(|(l, _)| l.name() == name);
        let n: usize = of_name.map(|(_, points)| floats(points)).sum();
        assert_eq!(by_name.iter().map(|s| s.samples.len()).sum::<usize>(), n);
    }
}

/// Random bytes under a byte cap: memory stays under it, and the newest sample of a known series
/// is always taken.
pub(crate) fn bounded(bytes: &[u8]) {
    let caps = Caps {
        series: 1_000,
        bytes: 20_000,
    };
    let store = Store::bounded(caps);
    store.select_only(Arc::new(Selection::all(1)));
    let mut c = Choices(bytes);
    let mut next = 0;
    for at in 0..400i64 {
        let mut batch = Batch::new(key(0), Timestamp(at * 5_000));
        for _ in 0..c.below(4) {
            let host = format!("h{next}");
            let labels = Labels::from_pairs([(NAME, "m"), ("host", host.as_str())]);
            batch.new.push((Ref(next), labels));
            next += 1;
        }
        for r in 0..next {
            let v = if c.0.is_empty() {
                (f64::from(r) + at as f64).sin()
            } else {
                value(&mut c)
            };
            batch.samples.push((Ref(r), batch.at, v));
        }
        let done = store.append(&batch);
        assert_eq!(
            done.stored + done.capped,
            batch.samples.len() as u64,
            "every sample is stored or counted: {done:?}"
        );
        assert!(store.bytes() <= caps.bytes + 200, "{}", store.bytes());
        assert_eq!(done.stored, store.series() as u64);
    }
    assert_eq!(store.refused() + store.series(), next as usize);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn the_store_agrees_with_a_plain_one(bytes in proptest::collection::vec(any::<u8>(), 0..1_200)) {
            agree(&bytes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn memory_stays_under_the_cap(bytes in proptest::collection::vec(any::<u8>(), 0..4_000)) {
            bounded(&bytes);
        }
    }

    #[test]
    fn a_series_refused_at_the_cap_is_taken_in_when_there_is_room() {
        let store = Store::new(1);
        store.select_only(Arc::new(Selection::all(1)));
        let mut first = Batch::new(key(0), Timestamp(0));
        first.new = vec![(Ref(0), series(0)), (Ref(1), series(1))];
        first.samples = vec![(Ref(0), first.at, 1.0), (Ref(1), first.at, 1.0)];
        let done = store.append(&first);
        assert_eq!((done.stored, done.capped, store.refused()), (1, 1, 1));
        // The first falls silent and out of its window.
        let later = Timestamp(LEAST_WINDOW + 1);
        store.prune(later);
        let mut second = Batch::new(key(0), later);
        second.samples = vec![(Ref(1), later, 2.0)];
        let done = store.append(&second);
        assert_eq!((done.stored, done.capped, store.refused()), (1, 0, 0));
        let done = store.record(&series(7), Sample { t: later, v: 1.0 });
        assert_eq!(done.capped, 1);
    }
}
