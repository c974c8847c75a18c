//! An outlook in a sentence; never more precise than its band.

use super::super::words::figure;
use super::{Ahead, Outlook, Past, Trend};
use crate::model::Labels;

/// A median error beyond this share makes a forecast doubtful.
pub const DOUBTFUL: f64 = 0.3;
/// The line of a year, in days.
const YEAR: f64 = 365.0;

/// What is said of a limit, without its name.
pub fn sentence(outlook: &Outlook, unit: &str) -> String {
    match outlook {
        Outlook::NoLimit => "no limit is known".to_owned(),
        Outlook::NotEnough { hours, needs } => {
            format!("not enough history: a first estimate needs {needs} hours, there are {hours}")
        }
        Outlook::UnitsChanged { factor } => format!(
            "the values changed by {}: another unit, not growth; no estimate until there is enough \
             history of the new one",
            if *factor >= 1.0 {
                format!("a factor of {factor}")
            } else {
                format!("1/{}", (1.0 / factor).round())
            }
        ),
        Outlook::Over { limit, .. } => format!("at its limit of {} now", figure(*limit, unit)),
        Outlook::Ahead(ahead) => {
            let mut said = ahead_words(ahead, unit);
            if ahead.early() {
                said.push_str(&format!(" (early estimate: {})", history(ahead.days)));
            }
            said
        }
    }
}

/// How well the forecasts of the last weeks did, and whether that is good enough to act on.
pub fn record(past: &Past) -> String {
    let (n, off) = (past.checked, (past.off * 100.0).round());
    let weeks = if n == 1 {
        "the last weekly forecast was".to_owned()
    } else {
        format!("the last {n} weekly forecasts were, in the middle,")
    };
    let doubt = if past.off > DOUBTFUL {
        "; too far to act on it alone"
    } else {
        ""
    };
    format!("{weeks} off by {off} %{doubt}")
}

/// Which one of several, e.g. `device=/dev/sda1, instance=db1`; empty for a figure of the team.
pub fn place(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(n, _)| *n != "job")
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    pairs.join(", ")
}

fn ahead_words(ahead: &Ahead, unit: &str) -> String {
    let limit = figure(ahead.limit, unit);
    match (ahead.p10, ahead.p50, ahead.p90) {
        (Some(near), Some(middle), Some(far)) => {
            format!(
                "reaches {limit} in {} (most likely {})",
                range(near, far),
                span(middle)
            )
        }
        (Some(near), Some(middle), None) => {
            let not = ((1.0 - reached(ahead)) * 100.0).round();
            format!(
                "reaches {limit} in about {}, could be {}; {not} % chance that not within {}",
                span(middle),
                span(near),
                horizon(ahead)
            )
        }
        (Some(near), None, _) => format!(
            "not expected to reach {limit} within {}; 1 chance in 10 before {}",
            horizon(ahead),
            span(near)
        ),
        (None, _, _) => {
            let trend = match ahead.trend {
                Trend::Flat => ", flat",
                Trend::Shrinking => ", shrinking",
                Trend::Growing if ahead.line.is_some_and(|d| d > YEAR) => ", more than a year away",
                Trend::Growing => "",
            };
            format!("does not reach {limit} within {}{trend}", horizon(ahead))
        }
    }
}

/// The share of futures that cross at all.
fn reached(ahead: &Ahead) -> f64 {
    ahead.samples.len() as f64 / ahead.drawn.max(1) as f64
}

fn horizon(ahead: &Ahead) -> &'static str {
    if ahead.horizon > 30.0 {
        "6 months"
    } else {
        "a week"
    }
}

fn history(days: usize) -> String {
    match days {
        0 => "less than a day of history".to_owned(),
        1 => "1 day of history".to_owned(),
        n => format!("{n} days of history"),
    }
}

/// Hours below two days, days below sixty, then weeks.
fn scale(days: f64) -> (i64, &'static str) {
    if days < 2.0 {
        ((days * 24.0).round().max(1.0) as i64, "hour")
    } else if days < 60.0 {
        (days.round() as i64, "day")
    } else {
        ((days / 7.0).round() as i64, "week")
    }
}

/// A time in words, e.g. `5 hours`, `41 days`, `12 weeks`.
pub fn span(days: f64) -> String {
    let (n, unit) = scale(days);
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

fn range(near: f64, far: f64) -> String {
    let ((a, unit_a), (b, unit_b)) = (scale(near), scale(far));
    if unit_a != unit_b {
        format!("{} to {}", span(near), span(far))
    } else if a == b {
        span(near)
    } else {
        format!("{a}-{b} {unit_a}s")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Within;
    use super::*;

    fn ahead(quantiles: [Option<f64>; 3]) -> Ahead {
        let [p10, p50, p90] = quantiles;
        Ahead {
            base: 50.0,
            limit: 90.0,
            p10,
            p50,
            p90,
            horizon: 180.0,
            within: Within::default(),
            trend: Trend::Growing,
            line: Some(400.0),
            days: 90,
            samples: vec![1.0; 140],
            drawn: 200,
        }
    }

    fn check(ahead: Ahead, want: &str) {
        assert_eq!(sentence(&Outlook::Ahead(ahead), "count"), want);
    }

    #[test]
    fn a_band_is_told_as_wide_as_it_is() {
        check(
            ahead([Some(34.0), Some(41.0), Some(52.0)]),
            "reaches 90 in 34-52 days (most likely 41 days)",
        );
        check(
            ahead([Some(0.25), Some(1.0), Some(3.0)]),
            "reaches 90 in 6 hours to 3 days (most likely 24 hours)",
        );
        check(
            ahead([Some(70.0), Some(90.0), None]),
            "reaches 90 in about 13 weeks, could be 10 weeks; 30 % chance that not within 6 months",
        );
        check(
            ahead([Some(100.0), None, None]),
            "not expected to reach 90 within 6 months; 1 chance in 10 before 14 weeks",
        );
        check(
            ahead([None; 3]),
            "does not reach 90 within 6 months, more than a year away",
        );
        let flat = Ahead {
            trend: Trend::Flat,
            days: 20,
            ..ahead([None; 3])
        };
        check(
            flat,
            "does not reach 90 within 6 months, flat (early estimate: 20 days of history)",
        );
    }

    #[test]
    fn what_cannot_be_said_is_said_so() {
        for (outlook, want) in [
            (Outlook::NoLimit, "no limit is known"),
            (
                Outlook::NotEnough { hours: 3, needs: 8 },
                "not enough history: a first estimate needs 8 hours, there are 3",
            ),
            (
                Outlook::Over {
                    base: 95.0,
                    limit: 90.0,
                },
                "at its limit of 90 now",
            ),
            (
                Outlook::UnitsChanged {
                    factor: 1.0 / 1024.0,
                },
                "the values changed by 1/1024: another unit, not growth; no estimate until there \
                 is enough history of the new one",
            ),
        ] {
            assert_eq!(sentence(&outlook, "count"), want);
        }
        let past = |checked, off| record(&Past { checked, off });
        assert_eq!(
            past(8, 0.094),
            "the last 8 weekly forecasts were, in the middle, off by 9 %"
        );
        assert_eq!(
            past(1, 0.5),
            "the last weekly forecast was off by 50 %; too far to act on it alone"
        );
    }
}
