//! The protobuf exposition: a stream of `io.prometheus.client.MetricFamily`, each with its length
//! in front.
//!
//! What must stay true: at most one metric is held at a time, and its size has a bound; unknown
//! fields are passed over; a damaged stream is an error, never a panic. Read by hand: five kinds of
//! fields of some twelve messages are less than a code generator's runtime, and only this way can
//! a family that nobody reads be left undecoded.

use super::failure::Failure;
use crate::model::histogram::{Buckets, Histogram, ResetHint};

/// Largest metric in bytes.
const MAX_METRIC: u64 = 1 << 20;

/// Longest family name in bytes that is read; a longer one is cut, and refused for its length.
const MAX_NAME: u64 = 64 << 10;

/// Most buckets of a native histogram.
const MAX_BUCKETS: usize = 20_000;

/// What is known of the family that a metric belongs to.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) name: Vec<u8>,
    pub(crate) gauge_histogram: bool,
}

/// Cuts a stream of chunks into metrics.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    head: Head,
    /// Bytes of the family still to come; `None` between families.
    left: Option<u64>,
    /// Bytes of a field that nobody reads still to come.
    skip: u64,
}

impl Decoder {
    /// Calls `f` with each metric that ends in `chunk`; stops at the first error.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        mut f: impl FnMut(&Head, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(chunk);
        let mut at = 0;
        let result = loop {
            match self.step(&buffer[at..], &mut f) {
                Ok(0) => break Ok(()),
                Ok(used) => at += used,
                Err(e) => break Err(e),
            }
        };
        buffer.drain(..at);
        self.buffer = buffer;
        result
    }

    /// An error when the stream ended inside a family.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        if self.buffer.is_empty() && self.skip == 0 && matches!(self.left, None | Some(0)) {
            Ok(())
        } else {
            Err(damaged("it was cut off"))
        }
    }

    /// Reads one thing and tells how many bytes it took; 0 when more bytes are needed.
    fn step(
        &mut self,
        rest: &[u8],
        f: &mut impl FnMut(&Head, &[u8]) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        if self.skip > 0 {
            let n = rest
                .len()
                .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= n as u64;
            return Ok(n);
        }
        let left = match self.left {
            Some(0) | None => {
                self.left = None;
                let Some((len, used)) = varint(rest)? else {
                    return Ok(0);
                };
                self.left = Some(len);
                self.head = Head::default();
                return Ok(used);
            }
            Some(left) => left,
        };
        let Some((tag, a)) = varint(rest)? else {
            return Ok(0);
        };
        let (used, skip) = match (tag >> 3, tag & 7) {
            (field, 0) => {
                let Some((value, b)) = varint(&rest[a..])? else {
                    return Ok(0);
                };
                if field == 3 {
                    self.head.gauge_histogram = value == 5;
                }
                (a + b, 0)
            }
            (_, 1) => (a, 8),
            (_, 5) => (a, 4),
            (field, 2) => {
                let Some((len, b)) = varint(&rest[a..])? else {
                    return Ok(0);
                };
                let head = a + b;
                if (head as u64).saturating_add(len) > left {
                    return Err(damaged("a field is longer than its family"));
                }
                match field {
                    1 if len <= MAX_NAME => {
                        let Some(name) = part(rest, head, len) else {
                            return Ok(0);
                        };
                        self.head.name = name.to_vec();
                        (head + name.len(), 0)
                    }
                    1 => {
                        self.head.name = vec![b'x'; MAX_NAME as usize];
                        (head, len)
                    }
                    4 if len > MAX_METRIC => return Err(damaged("a metric is larger than 1 MiB")),
                    4 => {
                        let Some(metric) = part(rest, head, len) else {
                            return Ok(0);
                        };
                        f(&self.head, metric)?;
                        (head + metric.len(), 0)
                    }
                    _ => (head, len),
                }
            }
            _ => return Err(damaged("a field has no known wire type")),
        };
        let taken = (used as u64).saturating_add(skip);
        self.left = Some(
            left.checked_sub(taken)
                .ok_or_else(|| damaged("a field is longer than its family"))?,
        );
        self.skip = skip;
        Ok(used)
    }
}

/// The bytes of a field, when all are there.
fn part(rest: &[u8], head: usize, len: u64) -> Option<&[u8]> {
    let len = usize::try_from(len).ok()?;
    rest.get(head..head.checked_add(len)?)
}

fn damaged(why: &str) -> Failure {
    Failure::Protobuf(why.to_owned())
}

/// A number and how many bytes it took; `None` when it goes on after the last byte.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Failure> {
    let mut out = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        out |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((out, i + 1)));
        }
    }
    if bytes.len() >= 10 {
        return Err(damaged("a number has more than ten bytes"));
    }
    Ok(None)
}

/// A field's value.
#[derive(Debug, Clone, Copy)]
enum Wire<'b> {
    Number(u64),
    Double(f64),
    Bytes(&'b [u8]),
}

/// The fields of a whole message.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn next(&mut self) -> Result<Option<(u64, Wire<'b>)>, Failure> {
        loop {
            if self.0.is_empty() {
                return Ok(None);
            }
            let tag = self.number()?;
            let field = tag >> 3;
            let wire = match tag & 7 {
                0 => Wire::Number(self.number()?),
                1 => {
                    let bytes = self.take(8)?;
                    let bits = bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
                    Wire::Double(double(bits))
                }
                2 => {
                    let len = self.number()?;
                    let len = usize::try_from(len).unwrap_or(usize::MAX);
                    Wire::Bytes(self.take(len)?)
                }
                5 => {
                    self.take(4)?;
                    continue;
                }
                _ => return Err(damaged("a field has no known wire type")),
            };
            return Ok(Some((field, wire)));
        }
    }

    fn number(&mut self) -> Result<u64, Failure> {
        let (number, used) = varint(self.0)?.ok_or_else(|| damaged("a number is cut off"))?;
        self.0 = &self.0[used..];
        Ok(number)
    }

    fn take(&mut self, n: usize) -> Result<&'b [u8], Failure> {
        let (taken, rest) = self
            .0
            .split_at_checked(n)
            .ok_or_else(|| damaged("a field is longer than its message"))?;
        self.0 = rest;
        Ok(taken)
    }
}

/// A float; every NaN is the ordinary one, so that none passes for the mark of an end.
fn double(bits: u64) -> f64 {
    let value = f64::from_bits(bits);
    if value.is_nan() { f64::NAN } else { value }
}

/// One metric.
#[derive(Debug, Default)]
pub(crate) struct Metric<'b> {
    /// `LabelPair` messages.
    pub(crate) labels: Vec<&'b [u8]>,
    pub(crate) millis: Option<i64>,
    pub(crate) value: Value<'b>,
}

/// What a metric measures.
#[derive(Debug, Default)]
pub(crate) enum Value<'b> {
    /// Nothing that is known.
    #[default]
    None,
    /// Counter, gauge or untyped.
    Single(f64),
    Summary {
        count: f64,
        sum: f64,
        /// Quantile and value.
        quantiles: Vec<(f64, f64)>,
    },
    Histogram(Box<Sent<'b>>),
}

/// A histogram, classic and native, as it was sent.
#[derive(Debug, Default)]
pub(crate) struct Sent<'b> {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    /// Upper bound and cumulative count.
    pub(crate) classic: Vec<(f64, f64)>,
    schema: i32,
    zero_threshold: f64,
    zero_count: f64,
    positive: Side<'b>,
    negative: Side<'b>,
}

/// One side's buckets of a native histogram.
#[derive(Debug, Default)]
struct Side<'b> {
    spans: Vec<&'b [u8]>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// Reads a `Metric`.
pub(crate) fn metric(bytes: &[u8]) -> Result<Metric<'_>, Failure> {
    let mut out = Metric::default();
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        match (field, wire) {
            (1, Wire::Bytes(label)) => out.labels.push(label),
            (2 | 3 | 5, Wire::Bytes(single)) => out.value = Value::Single(value(single)?),
            (4, Wire::Bytes(bytes)) => out.value = summary(bytes)?,
            (7, Wire::Bytes(bytes)) => out.value = Value::Histogram(Box::new(histogram(bytes)?)),
            // 0 is "none was given".
            (6, Wire::Number(ms)) => out.millis = Some(ms.cast_signed()).filter(|ms| *ms != 0),
            (_, Wire::Number(_) | Wire::Double(_) | Wire::Bytes(_)) => {}
        }
    }
    Ok(out)
}

/// Reads a `LabelPair`.
pub(crate) fn label(bytes: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        match (field, wire) {
            (1, Wire::Bytes(bytes)) => name = bytes,
            (2, Wire::Bytes(bytes)) => value = bytes,
            (_, Wire::Number(_) | Wire::Double(_) | Wire::Bytes(_)) => {}
        }
    }
    Ok((name, value))
}

fn value(bytes: &[u8]) -> Result<f64, Failure> {
    let mut out = 0.0;
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        if let (1, Wire::Double(v)) = (field, wire) {
            out = v;
        }
    }
    Ok(out)
}

fn summary(bytes: &[u8]) -> Result<Value<'_>, Failure> {
    let (mut count, mut sum, mut quantiles) = (0.0, 0.0, Vec::new());
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        match (field, wire) {
            (1, Wire::Number(n)) => count = n as f64,
            (2, Wire::Double(v)) => sum = v,
            (3, Wire::Bytes(bytes)) => quantiles.push(pair(bytes)?),
            (_, Wire::Number(_) | Wire::Double(_) | Wire::Bytes(_)) => {}
        }
    }
    Ok(Value::Summary {
        count,
        sum,
        quantiles,
    })
}

/// Two doubles.
fn pair(bytes: &[u8]) -> Result<(f64, f64), Failure> {
    let mut out = (0.0, 0.0);
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        match (field, wire) {
            (1, Wire::Double(v)) => out.0 = v,
            (2, Wire::Double(v)) => out.1 = v,
            (_, Wire::Number(_) | Wire::Double(_) | Wire::Bytes(_)) => {}
        }
    }
    Ok(out)
}

fn histogram(bytes: &[u8]) -> Result<Sent<'_>, Failure> {
    let mut out = Sent::default();
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        match (field, wire) {
            (1, Wire::Number(n)) if out.count == 0.0 => out.count = n as f64,
            (4, Wire::Double(v)) if v > 0.0 => out.count = v,
            (2, Wire::Double(v)) => out.sum = v,
            (3, Wire::Bytes(bytes)) => out.classic.push(bucket(bytes)?),
            (5, Wire::Number(n)) => out.schema = i32::try_from(zigzag(n)).unwrap_or(i32::MAX),
            (6, Wire::Double(v)) => out.zero_threshold = v,
            (7, Wire::Number(n)) if out.zero_count == 0.0 => out.zero_count = n as f64,
            (8, Wire::Double(v)) if v > 0.0 => out.zero_count = v,
            (9, Wire::Bytes(bytes)) => out.negative.spans.push(bytes),
            (12, Wire::Bytes(bytes)) => out.positive.spans.push(bytes),
            (10 | 13, Wire::Number(n)) => out.side(field == 13).deltas.push(zigzag(n)),
            (10 | 13, Wire::Bytes(bytes)) => {
                let mut packed = Fields(bytes);
                while !packed.0.is_empty() {
                    let delta = zigzag(packed.number()?);
                    out.side(field == 13).deltas.push(delta);
                }
            }
            (11 | 14, Wire::Double(v)) => out.side(field == 14).counts.push(v),
            (11 | 14, Wire::Bytes(bytes)) => {
                for bytes in bytes.chunks_exact(8) {
                    let bits = bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
                    out.side(field == 14).counts.push(double(bits));
                }
            }
            (_, Wire::Number(_) | Wire::Double(_) | Wire::Bytes(_)) => {}
        }
    }
    Ok(out)
}

fn bucket(bytes: &[u8]) -> Result<(f64, f64), Failure> {
    let (mut bound, mut count) = (0.0, 0.0);
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        match (field, wire) {
            (1, Wire::Number(n)) if count == 0.0 => count = n as f64,
            (4, Wire::Double(v)) if v > 0.0 => count = v,
            (2, Wire::Double(v)) => bound = v,
            (_, Wire::Number(_) | Wire::Double(_) | Wire::Bytes(_)) => {}
        }
    }
    Ok((bound, count))
}

fn zigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

impl<'b> Sent<'b> {
    fn side(&mut self, positive: bool) -> &mut Side<'b> {
        if positive {
            &mut self.positive
        } else {
            &mut self.negative
        }
    }

    /// True when native buckets were sent; an empty one is told by a span of length 0.
    pub(crate) fn is_native(&self) -> bool {
        self.zero_threshold > 0.0
            || self.zero_count > 0.0
            || !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
    }

    /// The native histogram; `None` when its parts contradict each other or are out of range.
    pub(crate) fn native(&self, gauge: bool) -> Result<Option<Histogram>, Failure> {
        let (Some(positive), Some(negative)) = (self.positive.read()?, self.negative.read()?)
        else {
            return Ok(None);
        };
        let counted: f64 = positive.iter().chain(&negative).map(|(_, n)| n).sum();
        let counted = counted + self.zero_count;
        // Observations of NaN are in no bucket; rounding of float counts is forgiven.
        let slack = 1e-9 * self.count.abs().max(1.0);
        let fits = if self.sum.is_nan() {
            counted <= self.count + slack
        } else {
            (counted - self.count).abs() <= slack
        };
        let sound = (-4..=8).contains(&self.schema)
            && self.zero_threshold.is_finite()
            && self.zero_threshold >= 0.0
            && self.zero_count >= 0.0
            && (fits || gauge);
        Ok(sound.then_some(Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive,
            negative,
            custom_values: Vec::new(),
            reset_hint: if gauge {
                ResetHint::Gauge
            } else {
                ResetHint::Unknown
            },
        }))
    }
}

impl Side<'_> {
    /// Absolute counts by index; `None` when spans and counts do not fit each other.
    fn read(&self) -> Result<Option<Buckets>, Failure> {
        let mut running = 0i64;
        let from_deltas = self.deltas.iter().map(|delta| {
            running = running.saturating_add(*delta);
            running as f64
        });
        let counts: Vec<f64> = if self.counts.is_empty() {
            from_deltas.collect()
        } else {
            self.counts.clone()
        };
        let mut counts = counts.into_iter();
        let mut out = Buckets::new();
        let mut index = 0i64;
        for (i, span) in self.spans.iter().enumerate() {
            let (mut offset, mut length) = (0, 0);
            let mut fields = Fields(span);
            while let Some((field, wire)) = fields.next()? {
                match (field, wire) {
                    (1, Wire::Number(n)) => offset = zigzag(n),
                    (2, Wire::Number(n)) => length = n,
                    (_, Wire::Number(_) | Wire::Double(_) | Wire::Bytes(_)) => {}
                }
            }
            // Only the first span may begin below the bucket before it.
            if i > 0 && offset < 0 {
                return Ok(None);
            }
            index = index.saturating_add(offset);
            if length > (MAX_BUCKETS - out.len()) as u64 {
                return Ok(None);
            }
            for _ in 0..length {
                let (Some(count), Ok(at)) = (counts.next(), i32::try_from(index)) else {
                    return Ok(None);
                };
                if count < 0.0 || !count.is_finite() {
                    return Ok(None);
                }
                out.push((at, count));
                index += 1;
            }
        }
        Ok(counts.next().is_none().then_some(out))
    }
}

#[cfg(test)]
mod tests;
