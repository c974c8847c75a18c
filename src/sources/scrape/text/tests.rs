use super::*;

#[test]
fn bounds_of_buckets_and_quantiles_are_floats() {
    for (value, want) in [
        ("1", "1.0"),
        ("0", "0.0"),
        ("-1", "-1.0"),
        ("0.005", "0.005"),
        ("10", "10.0"),
        ("100000", "100000.0"),
        ("1000000", "1e+06"),
        ("1e6", "1e+06"),
        ("2500000", "2.5e+06"),
        ("1234567", "1.234567e+06"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("+Inf", "+Inf"),
        ("Inf", "+Inf"),
        ("-inf", "-Inf"),
        ("nan", "NaN"),
        ("1.50", "1.5"),
        ("1e100", "1e+100"),
        ("x", "x"),
        ("", ""),
    ] {
        for (family, label) in [(Family::Histogram, "le"), (Family::Summary, "quantile")] {
            assert_eq!(normalised(family, label, value.into()), want, "{value}");
        }
        for (family, label) in [
            (Family::Plain, "le"),
            (Family::Histogram, "quantile"),
            (Family::Summary, "le"),
            (Family::Histogram, "x"),
        ] {
            assert_eq!(normalised(family, label, value.into()), value);
        }
    }
}

#[test]
fn the_series_ends_at_its_brace() {
    for (line, want) in [
        ("m 1", Ok(1)),
        ("m{} 1", Ok(3)),
        ("m {a=\"b\"} 1", Ok(9)),
        ("m\t{a=\"}\"} 1", Ok(9)),
        (r#"m{a="\"}"} 1"#, Ok(10)),
        (r#"m{a="\\"} 1"#, Ok(9)),
        ("m{a=\"b\" 1", Err(BadLine::Labels)),
        ("m{a=\"b} 1", Err(BadLine::Labels)),
        (r#"m{a="b\"#, Err(BadLine::Labels)),
    ] {
        let got = series_len(
            line.as_bytes(),
            bare_name_len(line.as_bytes()),
            Format::Text,
        );
        assert_eq!(got, want, "{line}");
    }
}

#[test]
fn reasons_are_unique_and_in_order() {
    let mut reasons: Vec<_> = BadLine::ALL.iter().map(|b| b.reason()).collect();
    for (i, bad) in BadLine::ALL.iter().enumerate() {
        assert_eq!(*bad as usize, i, "{bad}");
    }
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), BadLine::ALL.len());
}
