//! The notation of series and their samples in test scripts and rule tests.

use std::sync::Arc;

use crate::model::histogram::{CUSTOM_SCHEMA, Histogram, ResetHint};
use crate::model::{Labels, stale_nan};
use crate::promql::{Point, parse_series};

/// Most samples that one series of a script may have.
const MOST_SAMPLES: usize = 1_000_000;

/// Reads `metric{…} item item …`: labels, and per step a sample or nothing.
pub fn parse_line(line: &str) -> Result<(Labels, Vec<Option<Point>>), String> {
    let (labels, end) = parse_series(line).map_err(|e| e.to_string())?;
    Ok((labels, parse_values(&line[end..])?))
}

/// Reads the items after the metric, e.g. `0+1x10 _ stale {{count:3}}`.
pub fn parse_values(text: &str) -> Result<Vec<Option<Point>>, String> {
    parse_items(text).map(|(points, _)| points)
}

/// Samples by step, and of each whether a counter reset hint was written.
pub(super) type Hinted = (Vec<Option<Point>>, Vec<bool>);

/// The same as [`parse_line`], with what is known of hints.
pub(super) fn parse_hinted(line: &str) -> Result<(Labels, Hinted), String> {
    let (labels, end) = parse_series(line).map_err(|e| e.to_string())?;
    Ok((labels, parse_items(&line[end..])?))
}

fn parse_items(text: &str) -> Result<Hinted, String> {
    let mut out = Vec::new();
    let mut hinted = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut item = Item { rest };
        item.read(&mut out)
            .map_err(|e| format!("{e} at {:?}", item.rest))?;
        let written = &rest[..rest.len() - item.rest.len()];
        let is_hinted = written.to_ascii_lowercase().contains("counter_reset_hint");
        hinted.resize(out.len().min(MOST_SAMPLES), is_hinted);
        if !item.rest.is_empty() && !item.rest.starts_with([' ', '\t']) {
            return Err(format!("unexpected text at {:?}", item.rest));
        }
        if out.len() > MOST_SAMPLES {
            return Err(format!("more than {MOST_SAMPLES} samples in a series"));
        }
        rest = item.rest.trim_start();
    }
    Ok((out, hinted))
}

struct Item<'a> {
    rest: &'a str,
}

impl<'a> Item<'a> {
    fn read(&mut self, out: &mut Vec<Option<Point>>) -> Result<(), String> {
        if self.eat("_") {
            let n = if self.eat("x") { self.count()? } else { 1 };
            out.extend(std::iter::repeat_n(None, n));
            return Ok(());
        }
        if self.rest.starts_with("{{") {
            return self.histograms(out);
        }
        if self.eat("stale") {
            out.push(Some(Point::Float(stale_nan())));
            return Ok(());
        }
        let negative = self.sign();
        let (first, plain) = self.number()?;
        let mut value = if negative { -first } else { first };
        out.push(Some(Point::Float(value)));
        if self.eat("x") {
            if !plain {
                return Err("NaN, Inf and stale cannot be repeated".to_owned());
            }
            let n = self.count()?;
            out.extend(std::iter::repeat_n(Some(Point::Float(value)), n));
        } else if self.rest.starts_with(['+', '-']) {
            let negative = self.sign();
            let (step, _) = self.number()?;
            let step = if negative { -step } else { step };
            if !self.eat("x") {
                return Err("expected x and a count after the step".to_owned());
            }
            for _ in 0..self.count()? {
                value += step;
                out.push(Some(Point::Float(value)));
            }
        }
        Ok(())
    }

    fn histograms(&mut self, out: &mut Vec<Option<Point>>) -> Result<(), String> {
        let mut current = self.histogram()?;
        out.push(Some(Point::Histogram(Arc::new(current.clone()))));
        if self.eat("x") {
            let n = self.count()?;
            out.extend(std::iter::repeat_n(
                Some(Point::Histogram(Arc::new(current))),
                n,
            ));
        } else if self.rest.starts_with("+{{") || self.rest.starts_with("-{{") {
            let sign = if self.sign() { -1.0 } else { 1.0 };
            let step = self.histogram()?;
            if !self.eat("x") {
                return Err("expected x and a count after the second histogram".to_owned());
            }
            for _ in 0..self.count()? {
                let hint = current.reset_hint;
                current.add(&step, sign).map_err(
                    |_| "a histogram with custom values and one without cannot be added",
                )?;
                // The notation says what the hint is; adding does not change it.
                current.reset_hint = hint;
                out.push(Some(Point::Histogram(Arc::new(current.clone()))));
            }
        }
        Ok(())
    }

    /// `{{ key:value … }}`.
    fn histogram(&mut self) -> Result<Histogram, String> {
        let end = self.rest.find("}}").ok_or("histogram without }}")?;
        let body = &self.rest[2..end];
        self.rest = &self.rest[end + 2..];
        let mut h = Histogram::default();
        let (mut offset, mut n_offset) = (0, 0);
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        let mut seen: Vec<String> = Vec::new();
        let mut text = body.trim();
        while !text.is_empty() {
            let (key, value) = text
                .split_once(':')
                .ok_or_else(|| format!("histogram key without a value: {text:?}"))?;
            let key = key.trim().to_ascii_lowercase();
            let value = value.trim_start();
            let end = if value.starts_with('[') {
                value.find(']').ok_or("list without ]")? + 1
            } else {
                value.find([' ', '\t']).unwrap_or(value.len())
            };
            let (value, rest) = value.split_at(end);
            text = rest.trim_start();
            if seen.contains(&key) {
                return Err(format!("histogram key {key:?} given twice"));
            }
            let integer = || -> Result<i32, String> {
                value
                    .parse()
                    .map_err(|_| format!("{key}: not an integer: {value:?}"))
            };
            match key.as_str() {
                "schema" => h.schema = integer()?,
                "offset" => offset = integer()?,
                "n_offset" => n_offset = integer()?,
                "sum" => h.sum = float(value)?,
                "count" => h.count = float(value)?,
                "z_bucket" => h.zero_count = float(value)?,
                "z_bucket_w" => h.zero_threshold = float(value)?,
                "buckets" => positive = list(value)?,
                "n_buckets" => negative = list(value)?,
                "custom_values" => h.custom_values = list(value)?,
                "counter_reset_hint" => {
                    h.reset_hint = match value {
                        "unknown" => ResetHint::Unknown,
                        "reset" => ResetHint::Reset,
                        "not_reset" => ResetHint::NotReset,
                        "gauge" => ResetHint::Gauge,
                        _ => return Err(format!("unknown counter_reset_hint {value:?}")),
                    }
                }
                _ => return Err(format!("unknown histogram key {key:?}")),
            }
            seen.push(key);
        }
        if h.schema != CUSTOM_SCHEMA && !(-4..=8).contains(&h.schema) {
            return Err(format!("histogram schema {} is not known", h.schema));
        }
        let numbered = |start: i32, counts: Vec<f64>| (start..).zip(counts).collect();
        h.positive = numbered(offset, positive);
        h.negative = numbered(n_offset, negative);
        Ok(h)
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// True when it was a minus.
    fn sign(&mut self) -> bool {
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        negative
    }

    /// An unsigned number, and false when it is a word.
    fn number(&mut self) -> Result<(f64, bool), String> {
        for (word, v) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            let head = self.rest.get(..3);
            if head.is_some_and(|h| h.eq_ignore_ascii_case(word)) {
                self.rest = &self.rest[3..];
                return Ok((v, false));
            }
        }
        let b = self.rest.as_bytes();
        let digits = |mut i: usize| {
            while b.get(i).is_some_and(|c| c.is_ascii_digit() || *c == b'_') {
                i += 1;
            }
            i
        };
        let mut end = digits(0);
        if b.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(b.get(end), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(b.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + signed);
            if after > end + 1 + signed {
                end = after;
            }
        }
        let (text, rest) = self.rest.split_at(end);
        let v = text
            .replace('_', "")
            .parse()
            .map_err(|_| "expected a number".to_owned())?;
        self.rest = rest;
        Ok((v, true))
    }

    fn count(&mut self) -> Result<usize, String> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let n: usize = text.parse().map_err(|_| "expected a count".to_owned())?;
        if n > MOST_SAMPLES {
            return Err(format!("count {n} is over {MOST_SAMPLES}"));
        }
        Ok(n)
    }
}

fn float(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("not a number: {text:?}"))
}

fn list(text: &str) -> Result<Vec<f64>, String> {
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .split_whitespace()
        .map(float)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<Option<f64>> {
        parse_values(text)
            .unwrap()
            .into_iter()
            .map(|p| match p {
                Some(Point::Float(v)) => Some(v),
                Some(Point::Histogram(h)) => Some(h.count),
                None => None,
            })
            .collect()
    }

    #[test]
    fn items_expand_to_samples() {
        for (text, want) in [
            ("1 2 _ 3", vec![Some(1.0), Some(2.0), None, Some(3.0)]),
            ("0+10x2", vec![Some(0.0), Some(10.0), Some(20.0)]),
            ("-2+4x3", vec![Some(-2.0), Some(2.0), Some(6.0), Some(10.0)]),
            ("1-1x1 _x2", vec![Some(1.0), Some(0.0), None, None]),
            ("0x2", vec![Some(0.0); 3]),
            ("1e+2 1_000", vec![Some(100.0), Some(1000.0)]),
            (
                "{{count:1}}+{{count:2}}x2",
                vec![Some(1.0), Some(3.0), Some(5.0)],
            ),
            ("", vec![]),
        ] {
            assert_eq!(floats(text), want, "{text}");
        }
        assert_eq!(floats("0x10").len(), 11);
        for text in [
            "stalex3",
            "NaNx3",
            "Infx3",
            "1+x2",
            "1 a",
            "{{foo:1}}",
            "1x",
        ] {
            assert!(parse_values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_is_a_metric_with_items() {
        let (labels, values) = parse_line(r#"{"a.b", c='d', e=""} 1"#).unwrap();
        assert_eq!(labels.to_string(), r#"a.b{c="d"}"#);
        assert_eq!(values.len(), 1);
        let (labels, values) = parse_line("m {{schema:1 buckets:[1 2]}}").unwrap();
        assert_eq!((labels.name(), values.len()), ("m", 1));
        let (labels, _) = parse_line("{} 3").unwrap();
        assert!(labels.is_empty());
    }
}
