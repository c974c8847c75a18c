use super::*;
use crate::model::is_stale_nan;
use crate::model::labels::NAME;
use crate::model::{Ref, selection::Need};

fn series(name: &str, host: &str) -> Labels {
    Labels::from_pairs([(NAME, name), ("host", host)])
}

fn need(name: &str, secs: u64) -> Need {
    Need {
        matchers: vec![Matcher::equal(NAME, name)],
        window: Duration::from_secs(secs),
    }
}

fn batch(at: i64, new: Vec<(u32, Labels)>, samples: &[(u32, f64)]) -> Batch {
    let mut b = Batch::new(TargetKey(Arc::from("t")), Timestamp::from_secs(at));
    b.new = new.into_iter().map(|(r, l)| (Ref(r), l)).collect();
    b.samples = samples.iter().map(|(r, v)| (Ref(*r), b.at, *v)).collect();
    b
}

fn read(store: &Store, name: &str, from: i64, to: i64) -> Vec<Series> {
    store.select(
        &[Matcher::equal(NAME, name)],
        Timestamp::from_secs(from),
        Timestamp::from_secs(to),
    )
}

#[test]
fn keeps_only_what_is_selected_and_takes_it_up_after_a_new_selection() {
    let store = Store::new(10);
    store.select_only(Arc::new(Selection::new(1, vec![need("a", 60)])));
    let done = store.append(&batch(
        1,
        vec![(0, series("a", "x")), (1, series("b", "x"))],
        &[(0, 1.0), (1, 2.0)],
    ));
    assert_eq!((done.stored, done.unselected), (1, 1));
    assert!(
        store
            .unkept(&[Matcher::equal(NAME, "b")])
            .unwrap()
            .contains("pin")
    );

    store.select_only(Arc::new(Selection::new(2, vec![need("b", 60)])));
    assert!(read(&store, "a", 0, 10).is_empty());
    assert_eq!(
        store
            .append(&batch(2, vec![], &[(0, 1.0), (1, 3.0)]))
            .stored,
        1
    );
    assert_eq!(
        read(&store, "b", 0, 10)[0].samples,
        [Sample {
            t: Timestamp::from_secs(2),
            v: 3.0
        }]
    );
}

#[test]
fn a_vanished_series_and_a_forgotten_target_end_stale() {
    let store = Store::new(10);
    store.select_only(Arc::new(Selection::all(1)));
    store.append(&batch(
        1,
        vec![(0, series("a", "x")), (1, series("a", "y"))],
        &[(0, 1.0), (1, 1.0)],
    ));
    let mut second = batch(2, vec![], &[(1, 1.0)]);
    second.gone = vec![Ref(0)];
    store.append(&second);
    assert!(is_stale_nan(read(&store, "a", 1, 2)[0].samples[0].v));
    store.forget(&TargetKey(Arc::from("t")), Timestamp::from_secs(3));
    assert!(is_stale_nan(read(&store, "a", 2, 3)[0].samples[0].v));
}

#[test]
fn order_duplicates_and_the_cap_are_counted() {
    let store = Store::new(1);
    store.select_only(Arc::new(Selection::all(1)));
    let done = store.append(&batch(
        5,
        vec![(0, series("a", "x")), (1, series("a", "y"))],
        &[(0, 1.0), (1, 1.0)],
    ));
    assert_eq!((done.stored, done.capped, done.unselected), (1, 1, 0));
    assert_eq!(store.append(&batch(4, vec![], &[(0, 1.0)])).out_of_order, 1);
    assert_eq!(store.append(&batch(5, vec![], &[(0, 2.0)])).duplicates, 1);
    assert_eq!(
        store.append(&batch(5, vec![], &[(0, 1.0)])),
        Appended::default()
    );
}

#[test]
fn windows_bound_what_is_kept_and_old_series_go() {
    let store = Store::new(10);
    store.select_only(Arc::new(Selection::new(1, vec![need("a", 1000)])));
    store.append(&batch(0, vec![(0, series("a", "x"))], &[(0, 0.0)]));
    for t in 1..=2000 {
        store.append(&batch(t, vec![], &[(0, 1.0)]));
    }
    assert_eq!(store.samples(), 1001);
    store.prune(Timestamp::from_secs(5000));
    assert_eq!(store.samples(), 0);
    // The source still holds its number: its next sample is kept, with the selection's window.
    assert_eq!(store.append(&batch(5001, vec![], &[(0, 1.0)])).stored, 1);
}

#[test]
fn histograms_are_kept_beside_floats_in_order_and_within_the_window() {
    let store = Store::new(10);
    store.select_only(Arc::new(Selection::new(1, vec![need("h", 60)])));
    let histogram = |n: f64| {
        Arc::new(Histogram {
            count: n,
            positive: vec![(0, n)],
            ..Histogram::default()
        })
    };
    let mut first = batch(
        1000,
        vec![(0, series("h", "a")), (1, series("x", "a"))],
        &[],
    );
    first.histograms = vec![
        (Ref(0), first.at, histogram(1.0)),
        (Ref(1), first.at, histogram(1.0)),
    ];
    let done = store.append(&first);
    assert_eq!((done.stored, done.unselected), (1, 1));
    let at = Timestamp::from_secs;
    let labels = series("h", "a");
    assert_eq!(
        store
            .record_histogram(&labels, at(1015), &histogram(3.0))
            .stored,
        1
    );
    // The same again is nothing new; another one of its time, and an older one, are refused.
    let again = store.record_histogram(&labels, at(1015), &histogram(3.0));
    assert_eq!((again.stored, again.duplicates), (0, 0));
    assert_eq!(
        store
            .record_histogram(&labels, at(1015), &histogram(4.0))
            .duplicates,
        1
    );
    assert_eq!(
        store
            .record_histogram(&labels, at(1010), &histogram(4.0))
            .out_of_order,
        1
    );
    let float = |t, v| store.record(&labels, Sample { t: at(t), v });
    assert_eq!(
        (float(1015, 1.0).duplicates, float(1014, 1.0).out_of_order),
        (1, 1)
    );
    assert_eq!(float(1030, stale_nan()).stored, 1);
    assert_eq!(
        store
            .record_histogram(&labels, at(1045), &histogram(9.0))
            .stored,
        1
    );
    assert_eq!(store.samples(), 4);

    let found = |from, to| {
        let found = store.select_histograms(&[Matcher::equal(NAME, "h")], at(from), at(to));
        let all = found.into_iter().flat_map(|s| s.samples);
        all.map(|(t, h)| (t.millis() / 1000, h.count, h.reset_hint))
            .collect::<Vec<_>>()
    };
    use crate::model::histogram::ResetHint::{NotReset, Unknown};
    assert_eq!(
        found(0, 2000),
        [
            (1000, 1.0, Unknown),
            (1015, 3.0, NotReset),
            (1045, 9.0, Unknown)
        ]
    );
    assert_eq!(found(1000, 1030), [(1015, 3.0, NotReset)]);
    store.prune(at(1015) + LEAST_WINDOW + Duration::from_secs(1));
    assert_eq!(found(0, 2000), [(1045, 9.0, Unknown)]);
    store.prune(at(1045) + LEAST_WINDOW + Duration::from_secs(1));
    assert_eq!(store.series(), 0);
}
