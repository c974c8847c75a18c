use super::*;

fn exponential(schema: i32, positive: &[(i32, f64)]) -> Histogram {
    Histogram {
        schema,
        count: positive.iter().map(|(_, n)| n).sum(),
        positive: positive.to_vec(),
        ..Histogram::default()
    }
}

fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
    Histogram {
        schema: CUSTOM_SCHEMA,
        count: counts.iter().sum(),
        positive: (0..).zip(counts.iter().copied()).collect(),
        custom_values: bounds.to_vec(),
        ..Histogram::default()
    }
}

#[test]
fn bounds_follow_from_the_schema() {
    for (schema, index, want) in [
        (0, 0, 1.0),
        (0, 3, 8.0),
        (0, -1, 0.5),
        (1, 1, 2.0_f64.sqrt()),
        (1, -1, 0.5_f64.sqrt()),
        (-1, 1, 4.0),
        (-4, 1, 65536.0),
        (0, 1024, f64::MAX),
        (0, 1025, f64::INFINITY),
        (8, 256, 2.0),
    ] {
        assert_eq!(bounds::exponential(schema, index), want, "{schema} {index}");
    }
}

#[test]
fn the_coarser_schema_wins() {
    let mut a = exponential(1, &[(1, 1.0), (2, 2.0), (3, 4.0)]);
    a.add(&exponential(0, &[(1, 10.0)]), 1.0).unwrap();
    assert_eq!(a.schema, 0);
    assert_eq!(a.positive, [(1, 13.0), (2, 4.0)]);
    let mut b = exponential(0, &[(1, 10.0)]);
    b.add(&exponential(1, &[(1, 1.0), (2, 2.0), (3, 4.0)]), -1.0)
        .unwrap();
    assert_eq!(b.positive, [(1, 7.0), (2, -4.0)]);
}

#[test]
fn zero_buckets_widen_until_they_cut_no_bucket() {
    let mut a = exponential(0, &[(0, 1.0), (1, 2.0), (2, 4.0)]);
    let b = Histogram {
        zero_threshold: 1.5,
        zero_count: 3.0,
        count: 3.0,
        ..Histogram::default()
    };
    a.add(&b, 1.0).unwrap();
    assert_eq!((a.zero_threshold, a.zero_count), (2.0, 6.0));
    assert_eq!(a.positive, [(2, 4.0)]);
}

#[test]
fn custom_bounds_meet_in_those_they_share() {
    let mut a = custom(&[1.0, 2.0, 5.0], &[1.0, 2.0, 4.0, 8.0]);
    let met = a.add(&custom(&[2.0, 3.0, 5.0], &[1.0; 4]), 1.0).unwrap();
    assert!(met.bounds_differed);
    assert_eq!(a.custom_values, [2.0, 5.0]);
    assert_eq!(a.positive, [(0, 4.0), (1, 6.0), (2, 9.0)]);
    assert_eq!(a.add(&Histogram::default(), 1.0), Err(Incompatible));
}

#[test]
fn hints_meet() {
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    for (a, b, want, conflict) in [
        (Gauge, Reset, Gauge, false),
        (Unknown, Gauge, Gauge, false),
        (NotReset, Unknown, Unknown, false),
        (NotReset, NotReset, NotReset, false),
        (NotReset, Reset, Unknown, true),
    ] {
        let hinted = |reset_hint| Histogram {
            reset_hint,
            ..Histogram::default()
        };
        let mut sum = hinted(a);
        let met = sum.add(&hinted(b), 1.0).unwrap();
        assert_eq!((sum.reset_hint, met.hints_conflict), (want, conflict));
    }
}

#[test]
fn a_reset_is_any_number_that_fell() {
    let before = exponential(1, &[(1, 2.0), (2, 2.0)]);
    for (now, want) in [
        (exponential(1, &[(1, 2.0), (2, 2.0)]), false),
        (exponential(1, &[(1, 2.0), (2, 2.0), (5, 1.0)]), false),
        (exponential(1, &[(1, 1.0), (2, 9.0)]), true),
        (exponential(0, &[(1, 4.0)]), false),
        (exponential(0, &[(1, 3.0), (2, 5.0)]), true),
        (exponential(2, &[(1, 9.0)]), true),
        (custom(&[1.0], &[9.0]), true),
    ] {
        assert_eq!(now.is_reset_after(&before), want, "{now}");
    }
    let bounds = custom(&[2.0, 4.0], &[1.0, 1.0]);
    assert!(!custom(&[2.0, 3.0], &[1.0, 0.0, 1.0]).is_reset_after(&bounds));
    assert!(custom(&[2.0, 3.0], &[0.0, 9.0]).is_reset_after(&bounds));
}

#[test]
fn text_leaves_empty_buckets_out() {
    let h = Histogram {
        sum: 1e21,
        count: 6.0,
        zero_threshold: 0.001,
        zero_count: 1.0,
        positive: vec![(0, 1.0), (1, 0.0), (2, 2.0)],
        negative: vec![(1, 2.0)],
        ..Histogram::default()
    };
    assert_eq!(
        h.to_string(),
        "{count:6, sum:1e+21, [-2,-1):2, [-0.001,0.001]:1, (0.5,1]:1, (2,4]:2}"
    );
    let mut h = custom(&[-5.0, -1.0], &[1.0, 2.0, 3e6]);
    h.sum = 0.00002;
    assert_eq!(
        h.to_string(),
        "{count:3.000003e+06, sum:2e-05, [-Inf,-5]:1, (-5,-1]:2, (-1,+Inf]:3e+06}"
    );
}

#[test]
fn sums_keep_what_rounding_loses() {
    let with_sum = |sum| Histogram {
        sum,
        ..Histogram::default()
    };
    let mut total = with_sum(1.0).compensated();
    for sum in [1e100, 1.0, -1e100] {
        total.add(&with_sum(sum), 1.0).unwrap();
    }
    assert_eq!(total.totals(1.0).sum, 2.0);
    assert_eq!(total.totals(4.0).sum, 0.5);
}

#[test]
fn observations_interpolate() {
    let h = exponential(0, &[(1, 2.0), (2, 2.0)]);
    assert!((h.quantile(0.25).0 - 2.0_f64.sqrt()).abs() < 1e-12);
    assert!((h.fraction(1.0, 2.0_f64.sqrt()).0 - 0.25).abs() < 1e-12);
    let cut = h.trimmed(2.0_f64.sqrt(), true);
    assert!((cut.count - 1.0).abs() < 1e-12);
    let h = custom(&[5.0, 10.0], &[1.0, 6.0, 4.0]);
    assert_eq!(h.quantile(1.0).0, 10.0);
    assert_eq!(h.trimmed(7.5, true).positive, [(0, 1.0), (1, 3.0)]);
}

/// No extreme number makes it loop or panic.
#[test]
fn extreme_numbers_end() {
    let odd = Histogram {
        zero_threshold: f64::NAN,
        positive: vec![(i32::MIN, 1.0), (i32::MAX, 1.0)],
        negative: vec![(i32::MIN, f64::NAN)],
        ..Histogram::default()
    };
    let mut h = exponential(8, &[(i32::MIN, 1.0), (i32::MAX, 1.0)]);
    h.add(&odd, 1.0).unwrap();
    h.add(&exponential(-4, &[(i32::MIN, 1.0)]), 1.0).unwrap();
    let wide = Histogram {
        zero_threshold: f64::INFINITY,
        ..Histogram::default()
    };
    h.add(&wide, 1.0).unwrap();
    for v in [f64::NAN, 0.0, 0.5, 1.0, f64::INFINITY] {
        let _ = (odd.quantile(v), odd.fraction(-v, v), odd.trimmed(v, true));
        let _ = (h.trimmed(v, false), h.variance(), h.is_reset_after(&odd));
    }
}
