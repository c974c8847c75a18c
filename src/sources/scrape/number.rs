//! Numbers as Go reads and writes them.

/// Reads a number as Go's `ParseFloat` does, without hexadecimals and underscores.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    if let Some(value) = decimal(text) {
        return Some(value);
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let named = text.last().is_some_and(u8::is_ascii_alphabetic);
    if value.is_nan() {
        return (text.len() == 3).then_some(f64::NAN);
    }
    (value.is_finite() || named).then_some(value)
}

/// A plain decimal of at most 15 digits: both it and the power of ten are exact as floats, so one
/// division rounds right.
fn decimal(text: &[u8]) -> Option<f64> {
    const TENS: [f64; 16] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ];
    if !(1..=16).contains(&text.len()) {
        return None;
    }
    let (mut whole, mut digits, mut point) = (0u64, 0, None);
    for (i, b) in text.iter().enumerate() {
        match b {
            b'0'..=b'9' => {
                whole = whole * 10 + u64::from(b - b'0');
                digits += 1;
            }
            b'.' if point.is_none() => point = Some(i),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |p| text.len() - 1 - p);
    ((1..=15).contains(&digits)).then(|| whole as f64 / TENS[decimals])
}

/// Go's shortest `%g` with `.0` where neither point nor exponent shows that it is a float.
pub(crate) fn openmetrics_float(f: f64) -> String {
    if f.is_nan() {
        return "NaN".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{f:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) || f == 0.0 {
        let plain = format!("{f}");
        if plain.contains('.') {
            plain
        } else {
            format!("{plain}.0")
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(20_000))]

        /// The short way and the standard library's give the same bits.
        #[test]
        fn the_short_way_is_exact(text in "[0-9]{0,9}([.][0-9]{0,9})?") {
            let exact = text.parse::<f64>().ok().map(f64::to_bits);
            proptest::prop_assert_eq!(float(text.as_bytes()).map(f64::to_bits), exact);
        }
    }

    #[test]
    fn numbers_are_go_numbers() {
        for (text, want) in [
            ("0", Some(0.0)),
            ("-0", Some(-0.0)),
            ("17", Some(17.0)),
            ("999999999999999", Some(999_999_999_999_999.0)),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
            ("+5", Some(5.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1e-05", Some(1e-5)),
            ("1E3", Some(1000.0)),
            ("1e-400", Some(0.0)),
            ("+Inf", Some(f64::INFINITY)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("Infinity", Some(f64::INFINITY)),
            ("1e400", None),
            ("0x1p-3", None),
            ("1_000", None),
            ("+nan", None),
            ("-NaN", None),
            ("", None),
            (".", None),
            ("e5", None),
            ("1 ", None),
            ("true", None),
            ("١", None),
        ] {
            let got = float(text.as_bytes());
            assert_eq!(got.map(f64::to_bits), want.map(f64::to_bits), "{text:?}");
        }
        assert!(float(b"nAn").is_some_and(f64::is_nan));
        assert!(!float(b"NaN").is_some_and(crate::model::is_stale_nan));
    }
}
