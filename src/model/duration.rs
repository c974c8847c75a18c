//! Durations as Prometheus writes them: `1h30m`, `15s`, `500ms`, `0`.

use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `0` or whole numbers with the units y w d h m s ms, in this order, each at most once.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let bad = || {
        format!(
            "invalid duration {text:?}; accepted: whole numbers with units y w d h m s ms in that \
             order, e.g. 1h30m, 15s, 500ms, or 0"
        )
    };
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let n: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[..letters];
        rest = &rest[letters..];
        let at = UNITS[next_unit..]
            .iter()
            .position(|(u, _)| *u == unit)
            .ok_or_else(bad)?;
        let millis = UNITS[next_unit + at].1;
        next_unit += at + 1;
        total = n
            .checked_mul(millis)
            .and_then(|m| total.checked_add(m))
            .filter(|m| i64::try_from(*m).is_ok())
            .ok_or_else(|| format!("duration {text:?} is too long"))?;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration so that [`parse`] reads it back (to the millisecond).
pub fn format(d: Duration) -> String {
    let mut ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in UNITS {
        // As Prometheus does: years and weeks only when nothing is left over.
        if (unit == "y" || unit == "w") && !ms.is_multiple_of(size) {
            continue;
        }
        if ms >= size {
            out.push_str(&format!("{}{unit}", ms / size));
            ms %= size;
        }
    }
    out
}

/// The two largest units, for people: `2h 5m`, `45s`, `3d 4h`.
pub fn words(d: Duration) -> String {
    let mut secs = d.as_secs();
    if secs == 0 {
        return "0s".to_owned();
    }
    let mut parts = Vec::new();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if secs >= size && parts.len() < 2 {
            parts.push(format!("{}{unit}", secs / size));
            secs %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_prometheus_does() {
        for (text, ms) in [
            ("0", 0),
            ("1h30m", 5_400_000),
            ("15s", 15_000),
            ("500ms", 500),
            ("1y", 31_536_000_000),
            ("2w", 1_209_600_000),
            ("1d12h", 129_600_000),
        ] {
            let d = parse(text).unwrap();
            assert_eq!(d.as_millis(), ms, "{text}");
            assert_eq!(parse(&format(d)).unwrap(), d, "{text}");
        }
        for text in [
            "",
            "5",
            "1m1h",
            "1m1m",
            "-5m",
            "1.5h",
            "5 m",
            "1x",
            "99999999999y",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_keep_two_units() {
        for (secs, want) in [
            (0, "0s"),
            (45, "45s"),
            (7500, "2h 5m"),
            (3600, "1h"),
            (90061, "1d 1h"),
        ] {
            assert_eq!(words(Duration::from_secs(secs)), want);
        }
    }
}
