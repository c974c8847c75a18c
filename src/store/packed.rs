//! The float samples of one series, packed.
//!
//! What must stay true: what is read back is bit for bit what was put in; the oldest sample can
//! be dropped and the newest appended without touching those in between.
//!
//! The oldest sample is kept as numbers; every later one is a step from the one before it. A step
//! is one byte when the interval stays the same and the value moves by at most 31 in its last
//! decimal, two bytes for up to 255 equal values in a row, and else one to eight bytes more:
//! the difference of the decimals, or the bytes in which the two floats differ.

use crate::model::{Sample, Timestamp};

/// A step: the value moved by this much less [`STILL`], up to [`MOST_INLINE`].
const STILL: u8 = 31;
const MOST_INLINE: u8 = 62;
/// The next byte tells how many equal samples follow at the same interval.
const RUN: u8 = 63;
/// From here on: the zigzag difference in 1 to 8 bytes.
const DIFFERENCE: u8 = 64;
/// From here on: 1 to 8 differing bytes and how many equal ones lie below them.
const BYTES: u8 = 72;
/// From here on: the number of decimals changes, and the step follows.
const DECIMALS: u8 = 108;
/// Set when the time since the sample before follows.
const NEW_INTERVAL: u8 = 0x80;

/// Bytes of the longest step: decimals, tag, interval and value.
const MOST_STEP: usize = 1 + 1 + 10 + 8;

/// Powers of ten by number of decimals.
const TENS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Whole numbers below this are exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a step starts from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Point {
    t: i64,
    v: f64,
    /// Milliseconds since the sample before, 0 when they do not fit.
    interval: u32,
    decimals: u8,
}

/// Samples rising strictly in time.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    bytes: Vec<u8>,
    /// Bytes before this one are of samples that were dropped.
    start: u32,
    count: u32,
    first: Point,
    last: Point,
    /// The last step is a run that may grow.
    running: bool,
}

impl Packed {
    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// The newest sample.
    pub(crate) fn last(&self) -> Option<Sample> {
        (self.count > 0).then_some(Sample {
            t: Timestamp(self.last.t),
            v: self.last.v,
        })
    }

    /// True when a sample can be appended without more memory, whatever its value.
    pub(crate) fn has_room(&self) -> bool {
        let used = self.bytes.len() - self.start as usize;
        self.count == 0 || self.bytes.capacity() - used >= MOST_STEP
    }

    /// Bytes on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a sample, which must be later than the last one. Grows by at most a quarter.
    pub(crate) fn push(&mut self, sample: Sample) {
        let (t, v) = (sample.t.0, sample.v);
        if self.count == 0 {
            self.clear();
            self.first = Point {
                t,
                v,
                ..Point::default()
            };
            self.last = self.first;
            self.count = 1;
            return;
        }
        let since = t.wrapping_sub(self.last.t);
        let interval = u32::try_from(since).unwrap_or(0);
        let same_interval = interval != 0 && interval == self.last.interval;
        if same_interval && v.to_bits() == self.last.v.to_bits() {
            self.push_same();
        } else {
            let mut step = Step::default();
            let decimals = step.value(self.last.v, v, self.last.decimals);
            step.finish((!same_interval).then_some(since as u64));
            self.room(step.len);
            self.bytes.extend_from_slice(step.bytes());
            self.running = false;
            self.last.decimals = decimals;
        }
        self.last = Point {
            t,
            v,
            interval,
            decimals: self.last.decimals,
        };
        self.count += 1;
    }

    /// Drops samples before `oldest`.
    pub(crate) fn drop_before(&mut self, oldest: Timestamp) {
        while self.count > 0 && self.first.t < oldest.0 {
            self.drop_first();
        }
    }

    /// Drops the oldest sample.
    pub(crate) fn drop_first(&mut self) {
        if self.count <= 1 {
            self.clear();
            return;
        }
        let at = self.start as usize;
        if self.bytes[at] == RUN && self.bytes[at + 1] > 1 {
            self.bytes[at + 1] -= 1;
            self.first.t += i64::from(self.first.interval);
        } else {
            let mut walk = Walk {
                bytes: &self.bytes,
                at,
                run: 0,
                point: self.first,
            };
            walk.step();
            self.first = walk.point;
            self.start = u32::try_from(walk.at).unwrap_or(u32::MAX);
        }
        self.count -= 1;
        if self.count == 1 {
            // No step is left.
            self.bytes.clear();
            self.start = 0;
            self.running = false;
        }
    }

    /// The samples, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Sample> + '_ {
        let mut walk = Walk {
            bytes: &self.bytes,
            at: self.start as usize,
            run: 0,
            point: self.first,
        };
        let mut left = self.count;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let sample = Sample {
                t: Timestamp(walk.point.t),
                v: walk.point.v,
            };
            if left > 0 {
                walk.step();
            }
            Some(sample)
        })
    }

    /// Gives back room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.compact();
        if self.bytes.capacity() > 2 * self.bytes.len() + 32 {
            self.bytes.shrink_to(self.bytes.len() + 16);
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        (self.start, self.count, self.running) = (0, 0, false);
    }

    fn push_same(&mut self) {
        if self.running
            && let Some(n) = self.bytes.last_mut()
            && *n < u8::MAX
        {
            *n += 1;
            return;
        }
        self.room(2);
        self.bytes.extend_from_slice(&[RUN, 1]);
        self.running = true;
    }

    fn room(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() >= more {
            return;
        }
        self.compact();
        if self.bytes.capacity() - self.bytes.len() < more {
            self.bytes
                .reserve_exact(more.max(16).max(self.bytes.len() / 4));
        }
    }

    fn compact(&mut self) {
        let start = std::mem::take(&mut self.start) as usize;
        if start > 0 {
            self.bytes.drain(..start);
        }
    }
}

/// A step being written: at most a change of decimals, a tag, an interval and a value.
#[derive(Debug, Default)]
struct Step {
    out: [u8; MOST_STEP],
    len: usize,
    tag: u8,
    value: [u8; 8],
    value_len: usize,
}

impl Step {
    /// Writes the way from `from` to `to` and tells how many decimals then hold.
    fn value(&mut self, from: f64, to: f64, decimals: u8) -> u8 {
        if from.to_bits() == to.to_bits() {
            self.tag = STILL;
            return decimals;
        }
        for d in decimals..TENS.len() as u8 {
            let Some(moved) = difference(from, to, d) else {
                continue;
            };
            if d > decimals {
                self.put(DECIMALS + d);
            }
            if (-i64::from(STILL)..=i64::from(STILL)).contains(&moved) {
                self.tag = (moved + i64::from(STILL)) as u8;
            } else {
                let zigzag = ((moved << 1) ^ (moved >> 63)) as u64;
                self.value_len = (8 - zigzag.leading_zeros() as usize / 8).max(1);
                self.value = zigzag.to_le_bytes();
                self.tag = DIFFERENCE + self.value_len as u8 - 1;
            }
            return d;
        }
        let differing = from.to_bits() ^ to.to_bits();
        let low = differing.trailing_zeros() as usize / 8;
        let len = 8 - differing.leading_zeros() as usize / 8 - low;
        self.value = (differing >> (8 * low)).to_le_bytes();
        self.value_len = len;
        // One code for each pair of a length and a place: 8 of length 1, 7 of length 2, ...
        self.tag = BYTES + (8 * (len - 1) - (len - 1) * len.saturating_sub(2) / 2 + low) as u8;
        decimals
    }

    fn finish(&mut self, since: Option<u64>) {
        match since {
            None => self.put(self.tag),
            Some(mut since) => {
                self.put(self.tag | NEW_INTERVAL);
                while since >= 0x80 {
                    self.put(since as u8 | 0x80);
                    since >>= 7;
                }
                self.put(since as u8);
            }
        }
        for i in 0..self.value_len {
            self.put(self.value[i]);
        }
    }

    fn put(&mut self, byte: u8) {
        self.out[self.len] = byte;
        self.len += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.out[..self.len]
    }
}

/// The move between two different values in units of the last of `decimals`, if going that far
/// from the first gives the second bit for bit.
fn difference(from: f64, to: f64, decimals: u8) -> Option<i64> {
    let ten = TENS[usize::from(decimals)];
    let target = (to * ten).round_ties_even();
    if target.abs() >= EXACT || ((target as i64) as f64 / ten).to_bits() != to.to_bits() {
        return None;
    }
    // A start that is no number or too large becomes 0 or the nearest end, here and in `Walk`.
    let origin = (from * ten).round_ties_even() as i64;
    let moved = (target as i64).checked_sub(origin)?;
    (moved != 0 && moved.unsigned_abs() < 1 << 62).then_some(moved)
}

/// Reads steps.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Samples left of a run.
    run: u8,
    point: Point,
}

impl Walk<'_> {
    fn step(&mut self) {
        if self.run > 0 {
            self.run -= 1;
            self.point.t += i64::from(self.point.interval);
            return;
        }
        let mut tag = self.byte();
        if tag == RUN {
            self.run = self.byte() - 1;
            self.point.t += i64::from(self.point.interval);
            return;
        }
        if tag & !NEW_INTERVAL >= DECIMALS {
            self.point.decimals = (tag & !NEW_INTERVAL) - DECIMALS;
            tag = self.byte();
        }
        let since = if tag & NEW_INTERVAL == 0 {
            i64::from(self.point.interval)
        } else {
            let since = self.varint();
            self.point.interval = u32::try_from(since).unwrap_or(0);
            since as i64
        };
        self.point.t = self.point.t.wrapping_add(since);
        match tag & !NEW_INTERVAL {
            tag @ 0..=MOST_INLINE => self.moved(i64::from(tag) - i64::from(STILL)),
            tag @ DIFFERENCE..BYTES => {
                let zigzag = self.number(usize::from(tag - DIFFERENCE) + 1);
                self.moved((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
            tag => {
                let mut rest = usize::from(tag.saturating_sub(BYTES));
                let mut len = 1;
                while rest >= 9 - len {
                    rest -= 9 - len;
                    len += 1;
                }
                let differing = self.number(len) << (8 * rest);
                self.point.v = f64::from_bits(self.point.v.to_bits() ^ differing);
            }
        }
    }

    fn moved(&mut self, by: i64) {
        if by == 0 {
            return;
        }
        let ten = TENS[usize::from(self.point.decimals)];
        let origin = (self.point.v * ten).round_ties_even() as i64;
        self.point.v = origin.wrapping_add(by) as f64 / ten;
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes[self.at];
        self.at += 1;
        byte
    }

    fn number(&mut self, len: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        u64::from_le_bytes(bytes)
    }

    fn varint(&mut self) -> u64 {
        let (mut out, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte();
            out |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 63 {
                return out;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(packed: &Packed) -> Vec<(i64, u64)> {
        packed.iter().map(|s| (s.t.0, s.v.to_bits())).collect()
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-40i64..40).prop_map(|n| n as f64),
            2 => any::<i64>().prop_map(|n| n as f64),
            4 => (-100_000i64..100_000, 0usize..12).prop_map(|(n, d)| n as f64 / 10f64.powi(d as i32)),
            2 => any::<u64>().prop_map(f64::from_bits),
            1 => prop::sample::select(vec![
                0.0, -0.0, 0.5, 1.4, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY,
                crate::model::stale_nan(), f64::MAX, f64::MIN_POSITIVE, 5e-324, EXACT, -EXACT,
                EXACT + 2.0, 1e15 + 0.3, 0.1 + 0.2,
            ]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(800))]
        /// Against a queue of plain samples, with drops at the front in between.
        #[test]
        fn what_is_read_is_what_was_put_in(
            start in prop_oneof![-5_000_000_000_000i64..5_000_000_000_000, any::<i32>().prop_map(i64::from)],
            steps in proptest::collection::vec((value(), 0u8..12, 0u8..8, any::<u32>()), 0..120),
        ) {
            let mut packed = Packed::default();
            let mut plain: Vec<(i64, u64)> = Vec::new();
            let (mut t, mut v) = (start, 0.0);
            for (value, gap, act, n) in steps {
                t += match gap {
                    0 => i64::from(n) + 1,
                    1 => i64::from(n) * 100_000 + 1,
                    _ => 5_000,
                };
                v = match act {
                    0..=2 => v,
                    3 => v + 1.0,
                    _ => value,
                };
                packed.push(Sample { t: Timestamp(t), v });
                plain.push((t, f64::to_bits(v)));
                if act == 7 {
                    let drop = (n as usize % 8).min(plain.len());
                    for _ in 0..drop {
                        packed.drop_first();
                    }
                    plain.drain(..drop);
                }
                if act == 6 {
                    packed.shrink();
                }
                prop_assert_eq!(packed.len(), plain.len());
                prop_assert_eq!(packed.last().map(|s| s.t.0), plain.last().map(|s| s.0));
            }
            prop_assert_eq!(read(&packed), plain);
        }
    }

    #[test]
    fn common_series_are_small() {
        let bytes = |next: &dyn Fn(i64) -> f64| {
            let mut packed = Packed::default();
            for i in 0..72 {
                packed.push(Sample {
                    t: Timestamp(i * 5_000),
                    v: next(i),
                });
            }
            packed.bytes.len()
        };
        assert!(bytes(&|_| 1.5) < 10, "constant");
        assert!(bytes(&|i| (i * 17) as f64) < 90, "counter");
        assert!(
            bytes(&|i| 81_234.0 + (i * 1_999) as f64) < 250,
            "fast counter"
        );
        assert!(
            bytes(&|i| (8_123_417 + i * 23) as f64 / 100.0) < 90,
            "seconds with decimals"
        );
        assert!(bytes(&|i| (i as f64).sin()) < 72 * 10, "noise");
    }
}
