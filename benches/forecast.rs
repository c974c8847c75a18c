//! What a forecast costs, over every task of the backtest data.
//!
//! `cargo bench --bench forecast` prints the mean and the 99th percentile of a forecast with one
//! limit and with all limits of a task.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

#[path = "../tests/forecast/tasks.rs"]
#[expect(dead_code, reason = "scores are printed by the example")]
mod tasks;

use std::path::Path;

use loadline::advice::forecast::{forecast, seed};
use loadline::clock::Clock;
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
    Ok(())
}
