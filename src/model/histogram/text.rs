//! Histograms as text.

use std::fmt;

use super::{Bucket, Histogram};

impl fmt::Display for Histogram {
    /// `{count:4, sum:5, [-1,-0.5):1, [-0.1,0.1]:1, (1,2]:2}`, empty buckets left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{count:{}, sum:{}",
            go_float(self.count),
            go_float(self.sum)
        )?;
        for bucket in self.buckets() {
            let (from, to) = self.inclusive(&bucket);
            let Bucket {
                lower,
                upper,
                count,
            } = bucket;
            let open = if from { '[' } else { '(' };
            let close = if to { ']' } else { ')' };
            let (lower, upper) = (go_float(lower), go_float(upper));
            write!(f, ", {open}{lower},{upper}{close}:{}", go_float(count))?;
        }
        f.write_str("}")
    }
}

/// The shortest text that reads back, with an exponent below 1e-4 and from 1e6 on, as Go's `%g`.
pub fn go_float(v: f64) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if v == 0.0 || (1e-4..1e6).contains(&v.abs()) {
        return v.to_string();
    }
    let text = format!("{v:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(e) => ('-', e),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}
