//! Numbers for people, as Prometheus's templates write them.

use super::printf;

/// Go's `%.4g`.
pub(super) fn short(v: f64) -> String {
    printf::float(v, 'g', Some(4))
}

pub(super) fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return short(v);
    }
    scaled(v, &["k", "M", "G", "T", "P", "E", "Z", "Y"])
}

/// A number with a prefix: `big` ones from 1000 up, else m, u, n, …
fn scaled(mut v: f64, big: &[&str]) -> String {
    let mut prefix = "";
    if v.abs() >= 1.0 {
        for p in big {
            if v.abs() < 1000.0 {
                break;
            }
            prefix = p;
            v /= 1000.0;
        }
    } else {
        for p in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if v.abs() >= 1.0 {
                break;
            }
            prefix = p;
            v *= 1000.0;
        }
    }
    format!("{}{prefix}", short(v))
}

pub(super) fn humanize1024(mut v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        return short(v);
    }
    let mut prefix = "";
    for p in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if v.abs() < 1024.0 {
            break;
        }
        prefix = p;
        v /= 1024.0;
    }
    format!("{}{prefix}", short(v))
}

pub(super) fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return short(v);
    }
    if v == 0.0 {
        return format!("{}s", short(v));
    }
    if v.abs() < 1.0 {
        return format!("{}s", scaled(v, &[]));
    }
    let (sign, v) = if v < 0.0 { ("-", -v) } else { ("", v) };
    // Go's conversion of what does not fit.
    let whole = if v >= 9_223_372_036_854_775_808.0 {
        i64::MIN
    } else {
        v as i64
    };
    let (days, hours) = (whole / 86_400, whole / 3_600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", short(v))
    }
}
