//! What a forecast costs, over every task of the backtest data.
//!
//! `cargo bench --bench forecast` prints the mean and the 99th percentile of a forecast with one
//! limit and with all limits of a task, then the scores beside those of what people use today, each
//! on the tasks that it can answer.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "../tests/forecast/others.rs"]
mod others;
#[path = "../tests/forecast/tasks.rs"]
mod tasks;

use std::collections::BTreeMap;
use std::path::Path;

use loadline::advice::forecast::{forecast, seed};
use loadline::clock::Clock;
use others::Other;
use tasks::Track;

fn main() -> Result<(), String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forecast/data");
    for track in [Track::Daily, Track::Short] {
        let groups = tasks::tasks(&dir, track)?;
        let mut histories = Vec::new();
        for group in &groups {
            let series = tasks::series(&dir, track, &group[0].id)?;
            histories.push(tasks::history(track, &series, group[0].cut).to_vec());
        }
        for one in [true, false] {
            let mut times: Vec<f64> = Vec::new();
            for (group, history) in groups.iter().zip(&histories) {
                let mut limits: Vec<f64> = group.iter().map(|t| t.limit).collect();
                if one {
                    limits.truncate(1);
                }
                let seed = seed(&group[0].id);
                let watch = Clock::system().stopwatch();
                let made = forecast(track.engine(), group[0].kind, history, &limits, seed);
                times.push(watch.elapsed().as_secs_f64() * 1e3);
                assert!(made.is_some(), "{} at {}", group[0].id, group[0].cut);
            }
            times.sort_by(f64::total_cmp);
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            let p99 = times[times.len() * 99 / 100];
            let what = if one { "one limit" } else { "all limits" };
            println!(
                "{} {what}: mean {mean:.3} ms, p99 {p99:.3} ms",
                track.name()
            );
        }
    }
    compare(&dir)
}

/// Scores of the product and of each rule of thumb, on the tasks that the latter can answer.
fn compare(dir: &Path) -> Result<(), String> {
    let track = Track::Daily;
    let mut ours = BTreeMap::new();
    for group in tasks::tasks(dir, track)? {
        let series = tasks::series(dir, track, &group[0].id)?;
        let history = tasks::history(track, &series, group[0].cut);
        let answers = tasks::answer(track, &group, history);
        for (task, answer) in group.into_iter().zip(answers) {
            ours.insert(
                (task.id.clone(), task.cut, task.rise.clone()),
                (task, answer),
            );
        }
    }
    let all: Vec<_> = ours.values().cloned().collect();
    println!("daily, all tasks: {}", tasks::score(track, &all, None));
    for other in Other::ALL {
        let theirs = others::answered(dir, other)?;
        let same: Vec<_> = theirs
            .iter()
            .filter_map(|(t, _)| ours.get(&(t.id.clone(), t.cut, t.rise.clone())).cloned())
            .collect();
        println!("{}: {}", other.name(), tasks::score(track, &theirs, None));
        println!(
            "  ours on these tasks: {}",
            tasks::score(track, &same, None)
        );
    }
    Ok(())
}
