//! Times and durations as Go prints them.

/// `2006-01-02 15:04:05.999 +0000 UTC` from milliseconds since the epoch.
pub(super) fn time(ms: i64) -> String {
    let Ok(t) = jiff::Timestamp::from_millisecond(ms) else {
        return ms.to_string();
    };
    let whole = t.strftime("%Y-%m-%d %H:%M:%S");
    let fraction = ms.rem_euclid(1000);
    if fraction == 0 {
        return format!("{whole} +0000 UTC");
    }
    let digits = format!("{fraction:03}");
    format!("{whole}.{} +0000 UTC", digits.trim_end_matches('0'))
}

/// `1h15m30.5s`, `1.5ms`, `0s` from nanoseconds.
pub(super) fn duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let fraction = |n: u64, unit: u64| {
        let digits = unit.ilog10() as usize;
        let rest = format!("{:0digits$}", n % unit);
        let rest = rest.trim_end_matches('0');
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{}{dot}{rest}", n / unit)
    };
    match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{ns}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(ns, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(ns, 1_000_000)),
        _ => {
            let minutes = ns / 60_000_000_000;
            let seconds = fraction(ns % 60_000_000_000, 1_000_000_000);
            match minutes {
                0 => format!("{sign}{seconds}s"),
                1..60 => format!("{sign}{minutes}m{seconds}s"),
                _ => format!("{sign}{}h{}m{seconds}s", minutes / 60, minutes % 60),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        assert_eq!(time(42_500), "1970-01-01 00:00:42.5 +0000 UTC");
        assert_eq!(time(-75_500), "1969-12-31 23:58:44.5 +0000 UTC");
        for (ns, want) in [
            (0, "0s"),
            (15, "15ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (42_500_000_000, "42.5s"),
            (-90_000_000_000, "-1m30s"),
            (3_661_000_000_000, "1h1m1s"),
        ] {
            assert_eq!(duration(ns), want);
        }
    }
}
