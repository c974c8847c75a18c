//! Forecasts of 68 real series are as good as they were found to be when the method was chosen.
//!
//! The bounds are targets, not what happens to come out: a change that makes a forecast worse than
//! one of them is a fault even when every other figure improves.

mod tasks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loadline::advice::forecast::{Kind, forecast, seed};
use tasks::{Answer, Score, Task, Track};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forecast/data")
}

/// Answers every task of a track; `change` may spoil each history first.
fn answered(track: Track, change: impl Fn(&mut Vec<f64>, &str, usize)) -> Vec<(Task, Answer)> {
    let mut known: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut out = Vec::new();
    for group in tasks::tasks(&data(), track).unwrap() {
        let id = group[0].id.clone();
        let series = known
            .entry(id.clone())
            .or_insert_with(|| tasks::series(&data(), track, &id).unwrap());
        let mut history = tasks::history(track, series, group[0].cut).to_vec();
        change(&mut history, &id, group[0].cut);
        let answers = tasks::answer(track, &group, &history);
        out.extend(group.into_iter().zip(answers));
    }
    out
}

fn unchanged(_: &mut Vec<f64>, _: &str, _: usize) {}

/// Upper bounds, but F1 and coverage.
struct Target {
    brier: f64,
    f1: f64,
    miss: f64,
    false_alarm: f64,
    log_error: f64,
    pinball: f64,
    coverage: (f64, f64),
    early: f64,
    level: (f64, f64),
    gauge: (f64, f64),
}

fn check(track: Track, target: &Target) {
    let answers = answered(track, unchanged);
    let all = tasks::score(track, &answers, None);
    let level = tasks::score(track, &answers, Some(Kind::Level));
    let gauge = tasks::score(track, &answers, Some(Kind::Gauge));
    let told = format!("all {all}\nlevel {level}\ngauge {gauge}");
    assert!(all.brier <= target.brier, "{told}");
    assert!(all.f1 >= target.f1, "{told}");
    assert!(
        all.miss <= target.miss && all.false_alarm <= target.false_alarm,
        "{told}"
    );
    assert!(all.log_error <= target.log_error, "{told}");
    assert!(all.pinball <= target.pinball, "{told}");
    let (low, high) = target.coverage;
    assert!(all.coverage >= low && all.coverage <= high, "{told}");
    assert!(all.early <= target.early, "{told}");
    assert!(
        level.brier <= target.level.0 && level.f1 >= target.level.1,
        "{told}"
    );
    assert!(
        gauge.brier <= target.gauge.0 && gauge.f1 >= target.gauge.1,
        "{told}"
    );
    parity(track, &answers);
}

/// The probabilities differ from the reference's only by the luck of the draw.
fn parity(track: Track, answers: &[(Task, Answer)]) {
    let path = data().join(format!("reference_{}.csv", track.name()));
    let text = std::fs::read_to_string(path).unwrap();
    let mut reference: BTreeMap<(String, usize, String), Vec<f64>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let key = (
            cells[1].to_owned(),
            cells[2].parse().unwrap(),
            cells[3].to_owned(),
        );
        let within = cells[7..].iter().filter(|c| !c.is_empty());
        reference.insert(key, within.map(|c| c.parse().unwrap()).collect());
    }
    for (i, horizon) in track.horizons().iter().enumerate() {
        let mut off: Vec<f64> = answers
            .iter()
            .map(|(t, a)| {
                let key = (t.id.clone(), t.cut, t.rise.clone());
                (a.within[i] - reference[&key][i]).abs()
            })
            .collect();
        off.sort_by(f64::total_cmp);
        let mean = off.iter().sum::<f64>() / off.len() as f64;
        let p99 = off[off.len() * 99 / 100];
        assert!(
            mean <= 0.02 && p99 <= 0.08,
            "within {horizon}: mean {mean}, p99 {p99}"
        );
    }
}

#[test]
fn days_are_forecast_as_well_as_the_reference() {
    check(
        Track::Daily,
        &Target {
            brier: 0.106,
            f1: 0.70,
            miss: 0.37,
            false_alarm: 0.08,
            log_error: 0.98,
            pinball: 0.127,
            coverage: (0.87, 0.95),
            early: 0.10,
            level: (0.068, 0.83),
            gauge: (0.137, 0.56),
        },
    );
}

#[test]
fn hours_are_forecast_as_well_as_the_reference() {
    check(
        Track::Short,
        &Target {
            brier: 0.110,
            f1: 0.67,
            miss: 0.42,
            false_alarm: 0.07,
            log_error: 1.08,
            pinball: 0.161,
            coverage: (0.86, 0.95),
            early: 0.12,
            level: (0.044, 0.94),
            gauge: (0.125, 0.50),
        },
    );
}

/// A number in [0, 1) that depends on all it is given.
fn hash(id: &str, cut: usize, i: usize) -> f64 {
    let mixed = seed(&format!("{id}/{cut}/{i}")).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

fn spoiled(change: impl Fn(&mut Vec<f64>, &str, usize)) -> Score {
    tasks::score(Track::Daily, &answered(Track::Daily, change), None)
}

#[test]
fn missing_days_do_not_spoil_a_forecast() {
    let fifth = spoiled(|history, id, cut| {
        let last = history.len() - 1;
        for (i, v) in history[..last].iter_mut().enumerate() {
            if hash(id, cut, i) < 0.2 {
                *v = f64::NAN;
            }
        }
    });
    assert!(fifth.brier <= 0.108, "a fifth of the days: {fifth}");

    let gap = spoiled(|history, _, _| {
        let n = history.len();
        if n >= 28 {
            history[n - 14..n - 7].fill(f64::NAN);
        }
    });
    assert!(gap.brier <= 0.106, "a week: {gap}");
}

#[test]
fn one_wild_value_does_not_spoil_a_forecast() {
    let wild = spoiled(|history, id, cut| {
        let n = history.len();
        let at = n - 2 - (hash(id, cut, 0) * 27.0) as usize % (n - 2).min(27);
        history[at] *= 3.0;
    });
    assert!(wild.brier <= 0.106 && wild.false_alarm <= 0.09, "{wild}");
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let twice = [(); 2].map(|()| {
        let values = tasks::series(&data(), Track::Daily, "wiki_peyton_manning_1").unwrap();
        let limit = values.iter().copied().fold(f64::MIN, f64::max);
        let engine = Track::Daily.engine();
        forecast(
            engine,
            Kind::Gauge,
            &values,
            &[limit, limit * 1.2],
            seed("x"),
        )
    });
    let [first, second] = twice;
    assert!(first.is_some());
    assert_eq!(first, second);
    let samples: Vec<_> = first.unwrap().crossings[0].samples().collect();
    assert_eq!(samples.len(), 300);
}
