use super::*;

const X: f64 = f64::NAN;

fn days(of: impl Fn(usize) -> f64, n: usize) -> Vec<f64> {
    (0..n).map(of).collect()
}

fn said(kind: Kind, daily: &[f64], limit: Option<f64>) -> Outlook {
    let hourly: Vec<f64> = daily.iter().flat_map(|v| [*v; 24]).collect();
    let recent = &hourly[hourly.len().saturating_sub(840)..];
    outlook(&Seen {
        name: "test",
        kind,
        hourly: recent,
        daily,
        limit,
    })
}

fn ahead_of(outlook: Outlook) -> Ahead {
    let told = format!("{outlook:?}");
    if let Outlook::Ahead(ahead) = outlook {
        return ahead;
    }
    panic!("{told}")
}

#[test]
fn a_steady_growth_is_told_to_the_day() {
    let disk = days(|i| 100.0 + i as f64, 100);
    let ahead = ahead_of(said(Kind::Level, &disk, Some(240.0)));
    let (p10, p90) = (ahead.p10.unwrap(), ahead.p90.unwrap());
    assert!(p10 >= 38.0 && p90 <= 46.0, "{ahead:?}");
    assert_eq!(ahead.trend, Trend::Growing);
    assert!(ahead.within.half_year == Some(1.0) && ahead.within.two_weeks == Some(0.0));
    assert!(!ahead.early());
}

#[test]
fn nothing_to_say_is_a_verdict() {
    let flat = days(|_| 5.0, 40);
    assert_eq!(said(Kind::Gauge, &flat, None), Outlook::NoLimit);
    assert_eq!(said(Kind::Gauge, &flat, Some(X)), Outlook::NoLimit);
    assert_eq!(
        said(Kind::Gauge, &flat, Some(f64::INFINITY)),
        Outlook::NoLimit
    );
    let few = Seen {
        name: "n",
        kind: Kind::Gauge,
        hourly: &[1.0, X, 2.0],
        daily: &[],
        limit: Some(9.0),
    };
    assert_eq!(outlook(&few), Outlook::NotEnough { hours: 2, needs: 8 });
    let none = Seen { hourly: &[], ..few };
    assert_eq!(outlook(&none), Outlook::NotEnough { hours: 0, needs: 8 });
    let gone = Seen {
        hourly: &[X; 500],
        daily: &[X; 40],
        ..few
    };
    assert_eq!(outlook(&gone), Outlook::NotEnough { hours: 0, needs: 8 });
}

#[test]
fn at_or_over_the_limit_is_now_and_never_infinity() {
    let flat = days(|_| 5.0, 40);
    for limit in [5.0, 4.0, 0.0, -3.0] {
        assert_eq!(
            said(Kind::Gauge, &flat, Some(limit)),
            Outlook::Over { base: 5.0, limit }
        );
        assert_eq!(
            said(Kind::Level, &flat, Some(limit)),
            Outlook::Over { base: 5.0, limit }
        );
    }
}

#[test]
fn a_new_limit_counts_at_once() {
    let disk = days(|i| 100.0 + i as f64, 100);
    let before = ahead_of(said(Kind::Level, &disk, Some(340.0))).p50.unwrap();
    let after = ahead_of(said(Kind::Level, &disk, Some(250.0))).p50.unwrap();
    assert!(before > 120.0 && after < 60.0, "{before} {after}");
    assert!(matches!(
        said(Kind::Level, &disk, Some(150.0)),
        Outlook::Over { .. }
    ));
}

#[test]
fn a_flat_and_a_shrinking_series_are_called_so() {
    let noise = |i: usize| f64::from(u8::try_from(i * 37 % 11).unwrap()) / 50.0;
    let flat = ahead_of(said(
        Kind::Gauge,
        &days(|i| 50.0 + noise(i), 120),
        Some(90.0),
    ));
    assert_eq!((flat.trend, flat.p10), (Trend::Flat, None), "{flat:?}");
    let down = days(|i| 50.0 - i as f64 / 4.0 + noise(i), 120);
    let down = ahead_of(said(Kind::Level, &down, Some(90.0)));
    assert_eq!(
        (down.trend, down.p10, down.line),
        (Trend::Shrinking, None, None),
        "{down:?}"
    );
}

#[test]
fn a_changed_unit_is_not_growth() {
    let mut kib = days(|i| 5_000_000.0 + i as f64 * 1000.0, 60);
    let bytes = days(|i| (5_060_000.0 + i as f64 * 1000.0) * 1024.0, 3);
    kib.extend(bytes);
    let told = |daily: &[f64]| {
        let (kind, limit) = (Kind::Level, Some(1e10));
        outlook(&Seen {
            name: "n",
            kind,
            hourly: &[],
            daily,
            limit,
        })
    };
    assert_eq!(told(&kib), Outlook::UnitsChanged { factor: 1024.0 });
    // Once there is enough of the new unit, that is what counts.
    kib.extend(days(|i| (5_063_000.0 + i as f64 * 1000.0) * 1024.0, 30));
    let ahead = ahead_of(told(&kib));
    assert_eq!(ahead.days, 33);
    assert!(ahead.p10.is_none(), "{ahead:?}");
    // A load that grows a thousandfold over a week is growth.
    let growth = days(|i| 2.0_f64.powi(i32::try_from(i).unwrap()), 20);
    assert_eq!(same_unit(&growth).1, None);
}

#[test]
fn odd_histories_give_a_verdict_and_no_panic() {
    let cases: [&[f64]; 8] = [
        &[0.0; 60],
        &[-5.0; 60],
        &[X; 60],
        &[f64::INFINITY; 60],
        &[1e308; 60],
        &[f64::MIN_POSITIVE; 60],
        &[1.0],
        &[],
    ];
    for daily in cases {
        for kind in [Kind::Level, Kind::Gauge] {
            for limit in [0.0, 1.0, -1.0, 1e308, f64::MIN_POSITIVE] {
                if let Outlook::Ahead(a) = said(kind, daily, Some(limit)) {
                    for p in [a.within.two_weeks, a.within.half_year]
                        .into_iter()
                        .flatten()
                    {
                        assert!((0.0..=1.0).contains(&p), "{daily:?} {limit} {a:?}");
                    }
                }
            }
        }
    }
    let mut gap = days(|i| 100.0 + i as f64, 90);
    gap[30..75].fill(X);
    let ahead = ahead_of(said(Kind::Level, &gap, Some(240.0)));
    let p50 = ahead.p50.unwrap();
    assert!((40.0..60.0).contains(&p50), "{ahead:?}");
}

#[test]
fn urgency_needs_two_in_a_row_and_leaves_after_three() {
    let with = |quarter: f64, half_year: f64| {
        let mut ahead = ahead_of(said(Kind::Gauge, &days(|_| 5.0, 40), Some(9.0)));
        ahead.within = Within {
            day: Some(0.0),
            two_weeks: Some(0.0),
            quarter: Some(quarter),
            half_year: Some(half_year),
        };
        Outlook::Ahead(ahead)
    };
    let mut standing = Standing::default();
    let mut told = |quarter, half_year| standing.step(&with(quarter, half_year));
    assert_eq!(told(0.1, 0.5), Urgency::Ok, "once is not enough");
    assert_eq!(told(0.1, 0.3), Urgency::Ok);
    assert_eq!(told(0.5, 0.9), Urgency::Ok);
    assert_eq!(told(0.1, 0.5), Urgency::Plan, "the lower of the two");
    assert_eq!(
        told(0.1, 0.3),
        Urgency::Plan,
        "0.3 is not clearly below 0.4"
    );
    assert_eq!(told(0.1, 0.2), Urgency::Plan);
    assert_eq!(told(0.1, 0.2), Urgency::Plan);
    assert_eq!(told(0.1, 0.2), Urgency::Ok);
    let over = Outlook::Over {
        base: 9.0,
        limit: 9.0,
    };
    assert_eq!(standing.step(&over), Urgency::Now);
    assert_eq!(
        standing.step(&Outlook::NoLimit),
        Urgency::Now,
        "a gap changes nothing"
    );
}

#[test]
fn past_forecasts_are_checked_against_what_came() {
    let steady = weekly_errors(Kind::Level, &days(|i| 100.0 + i as f64, 100), "n").unwrap();
    assert_eq!(steady.checked, 8);
    assert!(steady.off < 0.02, "{steady:?}");
    let wild = days(|i| if i / 7 % 2 == 0 { 10.0 } else { 100.0 }, 98);
    assert!(weekly_errors(Kind::Gauge, &wild, "n").unwrap().off > 0.3);
    assert_eq!(weekly_errors(Kind::Level, &[1.0; 12], "n"), None);
}

#[test]
fn limits_are_ordered_and_a_tie_is_said_as_a_tie() {
    let grows = |per_day: f64| {
        said(
            Kind::Level,
            &days(|i| 100.0 + i as f64 * per_day, 100),
            Some(100.0 + per_day * 99.0 + 60.0),
        )
    };
    let (fast, slow, same) = (grows(2.0), grows(1.0), grows(1.0));
    let over = Outlook::Over {
        base: 1.0,
        limit: 1.0,
    };
    let flat = said(Kind::Gauge, &days(|_| 5.0, 60), Some(500.0));
    let order = queue(&[&slow, &Outlook::NoLimit, &fast, &over, &same, &flat]);
    let told: Vec<(usize, bool)> = order.iter().map(|o| (o.index, o.tie)).collect();
    assert_eq!(told, [(3, false), (2, false), (0, true), (4, false)]);
    assert_eq!(order[1].before_next, Some(1.0));
}
