use super::*;
use crate::advice::Playbook;

/// The shipped one; its limits are `disk`, a level, and `cpu`, a gauge.
fn playbook() -> Playbook {
    Playbook::load(&crate::daemon::shipped::playbook_files(), &|_| Ok(())).unwrap()
}

/// Some Monday at midnight.
const START: i64 = 1_763_337_600_000;

fn at(hours: f64) -> Timestamp {
    Timestamp(START + (hours * HOUR_MS as f64) as i64)
}

fn measured(limit: &str, value: f64, ceiling: f64) -> Measured {
    Measured {
        limit: limit.to_owned(),
        labels: Labels::from_pairs([("instance", "a")]),
        value,
        ceiling: Some(ceiling),
    }
}

/// Feeds one value an hour and gives the highest urgency that was ever reached, with the signal.
fn followed(
    limit: &str,
    ceiling: f64,
    hours: usize,
    value: impl Fn(usize) -> Option<f64>,
) -> (Urgency, Signal) {
    let playbook = playbook();
    let mut signals = BTreeMap::new();
    let mut highest = Urgency::Ok;
    for h in 0..hours {
        let seen: Vec<Measured> = value(h)
            .map(|v| measured(limit, v, ceiling))
            .into_iter()
            .collect();
        take(&mut signals, &seen, &playbook, at(h as f64 + 0.5));
        highest = signals
            .values()
            .map(Signal::urgency)
            .chain([highest])
            .max()
            .unwrap();
    }
    (highest, signals.into_values().next().unwrap())
}

/// A number from -1 to 1 that looks random and is the same each time.
fn noise(h: usize) -> f64 {
    let mixed = (h as u64 + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(23)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// The CPU of a healthy host: a daily rhythm, quieter at week-ends.
fn healthy(h: usize) -> f64 {
    let (hour, weekday) = (h % 24, h / 24 % 7);
    let rhythm = ((hour as f64 - 15.0) / 24.0 * std::f64::consts::TAU).cos();
    let size = if weekday >= 5 { 0.05 } else { 0.15 };
    0.25 + size * rhythm + 0.02 * noise(h)
}

const FIVE_WEEKS: usize = 35 * 24;

fn quiet(limit: &str, ceiling: f64, value: impl Fn(usize) -> Option<f64>) {
    let (highest, signal) = followed(limit, ceiling, FIVE_WEEKS, value);
    assert_eq!(highest, Urgency::Ok, "{:?}", signal.outlook);
}

#[test]
fn a_nightly_batch_is_no_trend() {
    quiet("cpu", 0.7, |h| {
        Some(if h % 24 == 3 { 0.6 } else { healthy(h) })
    });
}

#[test]
fn week_ends_and_a_changed_clock_are_no_trend() {
    // From the third week on all comes an hour earlier.
    quiet("cpu", 0.7, |h| {
        Some(healthy(if h > 14 * 24 { h + 1 } else { h }))
    });
}

#[test]
fn a_fresh_boot_and_a_counter_reset_are_no_trend() {
    quiet("cpu", 0.7, |h| match h {
        200..=203 => None,
        204 => Some(0.62),
        // A rate over a reset is missing, never negative.
        500 => None,
        _ => Some(healthy(h)),
    });
}

#[test]
fn rotated_logs_are_no_trend() {
    // Grows 4 a day and falls back each Sunday.
    quiet("disk", 1000.0, |h| Some(600.0 + (h % 168) as f64 / 6.0));
}

#[test]
fn a_package_update_is_a_step_and_no_trend() {
    quiet("disk", 1000.0, |h| {
        Some(500.0 + h as f64 / 200.0 + if h > 300 { 40.0 } else { 0.0 })
    });
}

#[test]
fn a_disk_that_fills_up_is_told_in_time() {
    let (highest, signal) = followed("disk", 1000.0, 20 * 24, |h| {
        Some(600.0 + h as f64 / 2.0 / 24.0 * 10.0)
    });
    assert!(highest >= Urgency::Act, "{:?}", signal.outlook);
    let Outlook::Ahead(ahead) = &signal.outlook else {
        panic!("{:?}", signal.outlook)
    };
    // 700 of 1000 with 5 a day: 60 days.
    let p50 = ahead.p50.unwrap();
    assert!((54.0..=66.0).contains(&p50), "{ahead:?}");
    assert!(signal.remembered.past.unwrap().off < 0.05);
}

#[test]
fn a_limit_that_moves_counts_at_once_and_is_told() {
    let playbook = playbook();
    let mut signals = BTreeMap::new();
    for h in 0..20 * 24 {
        take(
            &mut signals,
            &[measured("disk", 600.0 + h as f64 / 10.0, 1000.0)],
            &playbook,
            at(h as f64),
        );
    }
    let rows = take(
        &mut signals,
        &[measured("disk", 648.0, 650.0)],
        &playbook,
        at(20.0 * 24.0 - 0.5),
    );
    assert_eq!(rows.len(), 1);
    let signal = signals.values().next().unwrap();
    assert_eq!(signal.limit_was.map(|(was, _)| was), Some(1000.0));
    let Outlook::Ahead(ahead) = &signal.outlook else {
        panic!("{:?}", signal.outlook)
    };
    assert!(ahead.p50.unwrap() <= 2.0, "{ahead:?}");
}

#[tokio::test]
async fn the_past_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let playbook = playbook();
    let mut capacity = Capacity::default();
    for h in 0..20 * 24 {
        let seen = [measured("disk", 600.0 + h as f64 / 5.0, 1000.0)];
        let rows = take(&mut capacity.signals, &seen, &playbook, at(h as f64 + 0.2));
        state.commit_capacity(&rows).await.unwrap();
    }
    capacity.keep(&state).await.unwrap();
    state.close().await.unwrap();

    let state = State::open(dir.path()).await.unwrap();
    let mut again = Capacity::restore(&state, &playbook).await.unwrap();
    let next = [measured("disk", 696.0, 1000.0)];
    let now = at(20.0 * 24.0 - 0.5);
    take(&mut capacity.signals, &next, &playbook, now);
    take(&mut again.signals, &next, &playbook, now);
    let (before, after) = (
        capacity.signals.values().next().unwrap(),
        again.signals.values().next().unwrap(),
    );
    assert_eq!(before.recent(30, now), after.recent(30, now));
    assert_eq!(before.remembered, after.remembered);
    // The running one forecast at the last full hour, the restored one on its first look.
    let (Outlook::Ahead(before), Outlook::Ahead(after)) = (&before.outlook, &after.outlook) else {
        panic!("{:?} {:?}", before.outlook, after.outlook)
    };
    assert_eq!(before.p50, after.p50);
    state.close().await.unwrap();
}
