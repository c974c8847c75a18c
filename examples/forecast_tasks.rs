//! Forecasts every task of a data folder and writes the answers as CSV to standard output.
//!
//! `cargo run --release --example forecast_tasks -- DIR` reads DIR/tasks_daily.csv with DIR/daily/ and
//! DIR/tasks_short.csv with DIR/hourly/ (one of the two may be missing). Columns: track, id, cut, g,
//! q10, q50, q90 (steps, `inf` beyond the horizon), p1 to p5 (probability of a crossing within 7, 14,
//! 30, 60, 90 days, or 6, 24, 72, 168 hours). `--score` prints the scores instead.

#![expect(clippy::print_stdout, reason = "an example prints its answer")]

#[path = "../tests/forecast/tasks.rs"]
mod tasks;

use std::collections::BTreeMap;
use std::path::PathBuf;

use loadline::advice::forecast::Kind;
use tasks::{Answer, Task, Track};

fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let (mut dir, mut score) = (None, false);
    for arg in args.by_ref() {
        if arg == "--score" {
            score = true;
        } else {
            dir = Some(PathBuf::from(arg));
        }
    }
    let dir = dir.ok_or("usage: forecast_tasks [--score] DIR")?;
    if !score {
        println!("track,id,cut,g,q10,q50,q90,p1,p2,p3,p4,p5");
    }
    let tracks = [Track::Daily, Track::Short];
    let there: Vec<Track> = tracks
        .into_iter()
        .filter(|t| dir.join(format!("tasks_{}.csv", t.name())).exists())
        .collect();
    if there.is_empty() {
        return Err(format!(
            "{}: neither tasks_daily.csv nor tasks_short.csv",
            dir.display()
        ));
    }
    for track in there {
        let mut known: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut answered: Vec<(Task, Answer)> = Vec::new();
        for group in tasks::tasks(&dir, track)? {
            let id = &group[0].id;
            if !known.contains_key(id) {
                known.insert(id.clone(), tasks::series(&dir, track, id)?);
            }
            let history = tasks::history(track, &known[id], group[0].cut);
            let answers = tasks::answer(track, &group, history);
            answered.extend(group.into_iter().zip(answers));
        }
        if score {
            for (name, kind) in [
                ("all", None),
                ("level", Some(Kind::Level)),
                ("gauge", Some(Kind::Gauge)),
            ] {
                println!(
                    "{} {name}: {}",
                    track.name(),
                    tasks::score(track, &answered, kind)
                );
            }
        } else {
            answered
                .iter()
                .for_each(|(task, answer)| println!("{}", row(track, task, answer)));
        }
    }
    Ok(())
}

fn row(track: Track, task: &Task, answer: &Answer) -> String {
    let steps = |v: f64| {
        if v.is_finite() {
            format!("{v:.1}")
        } else {
            "inf".to_owned()
        }
    };
    let mut cells = vec![
        track.name().to_owned(),
        task.id.clone(),
        task.cut.to_string(),
        task.rise.clone(),
    ];
    cells.extend(answer.quantiles.map(steps));
    cells.extend(answer.within.iter().map(|p| format!("{p:.4}")));
    cells.resize(12, String::new());
    cells.join(",")
}
