//! `loadline runway`

use super::args::{Output, StatusArgs};
use super::client::{Asked, snapshot};
use super::render::{Style, line};
use super::status::nobody;
use super::{Exit, print};
use crate::advice::outlook::Outlook;
use crate::advice::words::figure;
use crate::api::RunwayView;

/// Heights of a sparkline.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// An order below this is said to be a tie.
const TIE: f64 = 0.6;

/// Prints each limit with when it is reached, the next one first.
pub(crate) fn runway(args: &StatusArgs) -> anyhow::Result<Exit> {
    match snapshot(&args.url)? {
        Asked::Answer(snapshot) => {
            match args.output {
                Output::Human => print(&render(&snapshot.runways, Style::for_stdout())),
                Output::Json => {
                    print(&format!(
                        "{}\n",
                        serde_json::to_string_pretty(&snapshot.runways)?
                    ));
                }
            }
            Ok(Exit::Ok)
        }
        Asked::Nobody => Ok(nobody(&args.url)),
    }
}

fn render(runways: &[RunwayView], style: Style) -> String {
    if runways.is_empty() {
        return "No limit is followed yet: none of the metrics that limits are read from was seen.\n"
            .to_owned();
    }
    let mut out = String::new();
    for (i, r) in runways.iter().enumerate() {
        let queued = matches!(&r.outlook, Outlook::Over { .. })
            || matches!(&r.outlook, Outlook::Ahead(a) if a.p10.is_some());
        let number = if queued {
            format!("{}. ", i + 1)
        } else {
            "-  ".to_owned()
        };
        let place = if r.place.is_empty() {
            String::new()
        } else {
            format!("  {}", r.place)
        };
        out.push_str(&format!("{number}{}{place}\n", style.bold(&r.limit)));
        let used = match r.ceiling {
            Some(limit) => {
                format!("{} of {}", figure(r.value, &r.unit), figure(limit, &r.unit))
            }
            None => figure(r.value, &r.unit),
        };
        let past = sparkline(&r.recent);
        out.push_str(format!("   {used}  {past}").trim_end());
        out.push('\n');
        let mut said = r.sentence.clone();
        if let Some((was, _)) = r.limit_was {
            said.push_str(&format!("; the limit was {} before", figure(was, &r.unit)));
        }
        line(&mut out, 3, 3, "", &said);
        if !r.record.is_empty() {
            line(&mut out, 3, 3, "", &r.record);
        }
        if let Some(p) = r.before_next {
            let next = runways.get(i + 1).map_or("", |n| n.limit.as_str());
            line(&mut out, 3, 3, "", &order(p, next));
        }
    }
    out
}

fn order(p: f64, next: &str) -> String {
    let percent = (p * 100.0).round();
    if p < TIE {
        format!("a tie with {next}: {percent} % that this one comes first")
    } else {
        format!("before {next} with {percent} % probability")
    }
}

/// The values as bars from the lowest to the highest; a gap is a space.
fn sparkline(values: &[Option<f64>]) -> String {
    let known = || values.iter().flatten().copied();
    let lowest = known().fold(f64::INFINITY, f64::min);
    let range = known().fold(f64::NEG_INFINITY, f64::max) - lowest;
    if known().count() < 2 {
        return String::new();
    }
    let bar = |v: f64| {
        let share = if range > 0.0 {
            (v - lowest) / range
        } else {
            0.5
        };
        let at = (share * BARS.len() as f64) as usize;
        BARS[at.min(BARS.len() - 1)]
    };
    values.iter().map(|v| v.map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::outlook::{Urgency, words};
    use crate::model::Labels;

    fn view(limit: &str, outlook: Outlook, before_next: Option<f64>) -> RunwayView {
        let labels = Labels::from_pairs([("instance", "db1:9100"), ("device", "/dev/sda1")]);
        RunwayView {
            limit: limit.to_owned(),
            title: String::new(),
            sign: "disk-space-runway".to_owned(),
            place: words::place(&labels),
            labels,
            unit: "bytes".to_owned(),
            value: 66e9,
            ceiling: Some(95e9),
            limit_was: None,
            sentence: words::sentence(&outlook, "bytes"),
            outlook,
            urgency: Urgency::Ok,
            lead_days: 3.0,
            past: None,
            record: String::new(),
            before_next,
            recent: (0..30).map(|i| (i != 12).then_some(f64::from(i))).collect(),
        }
    }

    #[test]
    fn limits_read_as_a_list() {
        let over = Outlook::Over {
            base: 96e9,
            limit: 95e9,
        };
        let few = Outlook::NotEnough { hours: 3, needs: 8 };
        let list = [view("disk", over, Some(0.55)), view("inodes", few, None)];
        let plain = Style { color: false };
        insta::assert_snapshot!(render(&list, plain), @r#"
        1. disk  device=/dev/sda1, instance=db1:9100
           61.5 GiB of 88.5 GiB  ▁▁▁▁▂▂▂▂▃▃▃▄ ▄▄▅▅▅▅▆▆▆▇▇▇▇████
           at its limit of 88.5 GiB now
           a tie with inodes: 55 % that this one comes first
        -  inodes  device=/dev/sda1, instance=db1:9100
           61.5 GiB of 88.5 GiB  ▁▁▁▁▂▂▂▂▃▃▃▄ ▄▄▅▅▅▅▆▆▆▇▇▇▇████
           not enough history: a first estimate needs 8 hours, there are 3
        "#);
        assert!(
            render(&list, plain)
                .lines()
                .all(|l| l.chars().count() <= 80)
        );
        assert!(render(&[], plain).starts_with("No limit is followed yet"));
    }
}
