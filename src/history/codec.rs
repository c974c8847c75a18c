//! How series and samples lie in a block.
//!
//! Numbers are varints, seven bits a byte; signed ones zigzag. Every block begins with its CRC-32
//! and a version, so that a block is read as it was written or not at all.

use std::io::{Read, Write};
use std::sync::Arc;

use crate::model::histogram::{Buckets, Histogram, ResetHint};
use crate::model::{Labels, Sample, Timestamp};

/// Version of the layout; a block of another one is not read.
const VERSION: u8 = 1;
/// CRC-32 and version.
const HEAD: usize = 5;
/// Most series of a block, most labels of a series, most samples of a series in a block: no block
/// that was written has more, and a damaged one must not fill the memory.
const MOST_SERIES: u64 = 50_000_000;
const MOST_LABELS: u64 = 1_000;
const MOST_SAMPLES: u64 = 10_000_000;
/// Most bytes that the names of one block may take when unpacked.
const MOST_NAMES_BYTES: u64 = 1 << 30;

/// Floats up to this size are whole numbers without loss.
const WHOLE: f64 = 9_007_199_254_740_992.0;

const SAME_TIMES: u8 = 1;
const FLOATS: u8 = 2;
const HISTOGRAMS: u8 = 4;

/// Why a block cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its checksum is wrong, or it is too short to have one.
    #[error("a block is not as it was written")]
    Checksum,
    /// Another version of loadline wrote it.
    #[error("a block has layout {0}, which this version does not know")]
    Version(u8),
    /// It ends early or holds what no writer writes.
    #[error("a block does not make sense")]
    Shape,
}

/// A block under construction.
#[derive(Debug)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    series: u32,
    last_number: u32,
    base: i64,
    times: Vec<i64>,
    scratch: Vec<i64>,
}

impl Packer {
    pub(super) fn new() -> Self {
        Packer {
            bytes: head(),
            series: 0,
            last_number: 0,
            base: 0,
            times: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds the samples of one series.
    pub(super) fn series(
        &mut self,
        number: u32,
        floats: &[Sample],
        histograms: &[(Timestamp, Arc<Histogram>)],
    ) {
        self.series += 1;
        let step = i64::from(number) - i64::from(self.last_number);
        signed(&mut self.bytes, step);
        self.last_number = number;
        let same = self.times.len() == floats.len()
            && self
                .times
                .iter()
                .zip(floats)
                .all(|(t, s)| *t == s.t.millis());
        let flags = u8::from(same) * SAME_TIMES
            + u8::from(!floats.is_empty()) * FLOATS
            + u8::from(!histograms.is_empty()) * HISTOGRAMS;
        self.bytes.push(flags);
        if !floats.is_empty() {
            if !same {
                self.times.clear();
                self.times.extend(floats.iter().map(|s| s.t.millis()));
                self.write_times();
            }
            self.values(floats);
        }
        if !histograms.is_empty() {
            varint(&mut self.bytes, histograms.len() as u64);
            let mut last = self.base;
            for (t, h) in histograms {
                signed(&mut self.bytes, t.millis().wrapping_sub(last));
                last = t.millis();
                histogram(&mut self.bytes, h);
            }
        }
    }

    fn write_times(&mut self) {
        varint(&mut self.bytes, self.times.len() as u64);
        let (mut last, mut delta) = (self.base, 0);
        for t in &self.times {
            let step = t.wrapping_sub(last);
            signed(&mut self.bytes, step.wrapping_sub(delta));
            (last, delta) = (*t, step);
        }
        self.base = self.times.first().copied().unwrap_or(self.base);
    }

    /// Whole numbers as differences, others by the bytes in which they differ from the one before;
    /// the shorter of a constant and either.
    fn values(&mut self, floats: &[Sample]) {
        let out = &mut self.bytes;
        let first = floats[0].v.to_bits();
        if floats.iter().all(|s| s.v.to_bits() == first) {
            match whole(floats[0].v) {
                Some(n) => {
                    out.push(0);
                    signed(out, n);
                }
                None => {
                    out.push(1);
                    out.extend(first.to_le_bytes());
                }
            }
            return;
        }
        self.scratch.clear();
        self.scratch.extend(floats.iter().map_while(|s| whole(s.v)));
        if self.scratch.len() == floats.len() {
            out.push(2);
            let mut last = 0;
            for n in &self.scratch {
                signed(out, n - last);
                last = *n;
            }
            return;
        }
        out.push(3);
        let mut last = 0;
        for sample in floats {
            let bits = sample.v.to_bits();
            differing(out, bits ^ last);
            last = bits;
        }
    }

    /// The block, or nothing without series.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        if self.series == 0 {
            return None;
        }
        let mut bytes = self.bytes;
        // The count comes last, where it is known: four bytes that the checksum covers.
        bytes.extend(self.series.to_le_bytes());
        Some(seal(bytes))
    }
}

/// One series of a block, as it is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Unpacked {
    pub(super) number: u32,
    pub(super) floats: Vec<Sample>,
    pub(super) histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

/// Reads a block series by series; nothing of a damaged one is handed on before it is checked.
pub(super) fn unpack(block: &[u8], take: &mut dyn FnMut(&Unpacked)) -> Result<(), Damage> {
    let body = open(block)?;
    let (body, count) = body.split_last_chunk::<4>().ok_or(Damage::Shape)?;
    let count = u32::from_le_bytes(*count);
    let mut r = Reader(body);
    let mut one = Unpacked::default();
    let (mut base, mut times) = (0, Vec::new());
    for _ in 0..count {
        let number = i64::from(one.number).wrapping_add(r.signed()?);
        one.number = u32::try_from(number).map_err(|_| Damage::Shape)?;
        one.floats.clear();
        one.histograms.clear();
        let flags = r.byte()?;
        if flags & FLOATS != 0 {
            if flags & SAME_TIMES == 0 {
                r.times(&mut times, &mut base)?;
            }
            r.values(&times, &mut one.floats)?;
        }
        if flags & HISTOGRAMS != 0 {
            let n = r.count(MOST_SAMPLES)?;
            let mut last: i64 = base;
            for _ in 0..n {
                last = last.wrapping_add(r.signed()?);
                one.histograms
                    .push((Timestamp(last), Arc::new(r.histogram()?)));
            }
        }
        take(&one);
    }
    if r.0.is_empty() {
        Ok(())
    } else {
        Err(Damage::Shape)
    }
}

/// Packs the numbers and labels of series.
pub(super) fn pack_names<'a>(series: impl Iterator<Item = (u32, &'a Labels)>) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    for (number, labels) in series {
        varint(&mut plain, u64::from(number));
        varint(&mut plain, labels.len() as u64);
        for (name, value) in labels.iter() {
            for text in [name, value] {
                varint(&mut plain, text.len() as u64);
                plain.extend(text.as_bytes());
            }
        }
    }
    if plain.is_empty() {
        return None;
    }
    let mut packer = flate2::write::DeflateEncoder::new(head(), flate2::Compression::fast());
    // Writing to memory cannot fail.
    packer.write_all(&plain).ok()?;
    Some(seal(packer.finish().ok()?))
}

/// Reads what [`pack_names`] wrote.
pub(super) fn unpack_names(block: &[u8], take: &mut dyn FnMut(u32, Labels)) -> Result<(), Damage> {
    let mut plain = Vec::new();
    let packed = flate2::read::DeflateDecoder::new(open(block)?);
    let mut bounded = packed.take(MOST_NAMES_BYTES);
    bounded.read_to_end(&mut plain).map_err(|_| Damage::Shape)?;
    let mut r = Reader(&plain);
    let mut count = 0;
    while !r.0.is_empty() {
        count += 1;
        if count > MOST_SERIES {
            return Err(Damage::Shape);
        }
        let number = u32::try_from(r.varint()?).map_err(|_| Damage::Shape)?;
        let n = r.count(MOST_LABELS)?;
        let mut pairs = Vec::with_capacity(n);
        for _ in 0..n {
            pairs.push((r.text()?, r.text()?));
        }
        take(number, Labels::from_pairs(pairs));
    }
    Ok(())
}

fn head() -> Vec<u8> {
    vec![0, 0, 0, 0, VERSION]
}

/// Puts the checksum in its place.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&bytes[4..]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn open(block: &[u8]) -> Result<&[u8], Damage> {
    let (sum, rest) = block.split_first_chunk::<4>().ok_or(Damage::Checksum)?;
    if rest.is_empty() || checksum(rest) != u32::from_le_bytes(*sum) {
        return Err(Damage::Checksum);
    }
    match rest[0] {
        VERSION => Ok(&block[HEAD..]),
        other => Err(Damage::Version(other)),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The float as a whole number, when nothing is lost by it.
fn whole(v: f64) -> Option<i64> {
    let n = v as i64;
    let same = v.abs() <= WHOLE && (n as f64).to_bits() == v.to_bits();
    same.then_some(n)
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn signed(out: &mut Vec<u8>, n: i64) {
    varint(out, (n.wrapping_shl(1) ^ (n >> 63)) as u64);
}

/// The bytes from the first to the last that is not zero, with where they lie.
fn differing(out: &mut Vec<u8>, bits: u64) {
    if bits == 0 {
        out.push(0);
        return;
    }
    let skip = bits.trailing_zeros() / 8;
    let length = 8 - skip - bits.leading_zeros() / 8;
    out.push((skip << 4 | length) as u8);
    let bytes = (bits >> (8 * skip)).to_le_bytes();
    out.extend(&bytes[..length as usize]);
}

fn histogram(out: &mut Vec<u8>, h: &Histogram) {
    out.push(match h.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    });
    signed(out, i64::from(h.schema));
    for v in [h.zero_threshold, h.zero_count, h.count, h.sum] {
        number(out, v);
    }
    for buckets in [&h.positive, &h.negative] {
        varint(out, buckets.len() as u64);
        let mut last = 0;
        for (index, count) in buckets {
            signed(out, i64::from(*index) - last);
            last = i64::from(*index);
            number(out, *count);
        }
    }
    varint(out, h.custom_values.len() as u64);
    for v in &h.custom_values {
        number(out, *v);
    }
}

/// A float on its own: a whole number behind a zero byte, or its bits.
fn number(out: &mut Vec<u8>, v: f64) {
    match whole(v) {
        Some(n) => {
            out.push(0);
            signed(out, n);
        }
        None => {
            out.push(1);
            out.extend(v.to_bits().to_le_bytes());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Damage> {
        let (first, rest) = self.0.split_first().ok_or(Damage::Shape)?;
        self.0 = rest;
        Ok(*first)
    }

    fn eight(&mut self) -> Result<u64, Damage> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(Damage::Shape)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn varint(&mut self) -> Result<u64, Damage> {
        let (mut n, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
            shift += 7;
            if shift > 63 {
                return Err(Damage::Shape);
            }
        }
    }

    fn signed(&mut self) -> Result<i64, Damage> {
        let n = self.varint()?;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// A number of things that follow, each at least one byte long.
    fn count(&mut self, most: u64) -> Result<usize, Damage> {
        let n = self.varint()?;
        let n = usize::try_from(n.min(most + 1)).map_err(|_| Damage::Shape)?;
        if n as u64 > most || n > self.0.len() {
            return Err(Damage::Shape);
        }
        Ok(n)
    }

    fn text(&mut self) -> Result<&'a str, Damage> {
        let n = usize::try_from(self.varint()?).map_err(|_| Damage::Shape)?;
        let (text, rest) = self.0.split_at_checked(n).ok_or(Damage::Shape)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Damage::Shape)
    }

    fn times(&mut self, times: &mut Vec<i64>, base: &mut i64) -> Result<(), Damage> {
        let n = self.count(MOST_SAMPLES)?;
        times.clear();
        let (mut last, mut delta) = (*base, 0_i64);
        for _ in 0..n {
            delta = delta.wrapping_add(self.signed()?);
            last = last.wrapping_add(delta);
            times.push(last);
        }
        *base = times.first().copied().unwrap_or(*base);
        Ok(())
    }

    fn values(&mut self, times: &[i64], out: &mut Vec<Sample>) -> Result<(), Damage> {
        let sample = |t: &i64, v| Sample {
            t: Timestamp(*t),
            v,
        };
        match self.byte()? {
            0 => {
                let v = self.signed()? as f64;
                out.extend(times.iter().map(|t| sample(t, v)));
            }
            1 => {
                let v = f64::from_bits(self.eight()?);
                out.extend(times.iter().map(|t| sample(t, v)));
            }
            2 => {
                let mut n = 0_i64;
                for t in times {
                    n = n.wrapping_add(self.signed()?);
                    out.push(sample(t, n as f64));
                }
            }
            3 => {
                let mut bits = 0;
                for t in times {
                    bits ^= self.differing()?;
                    out.push(sample(t, f64::from_bits(bits)));
                }
            }
            _ => return Err(Damage::Shape),
        }
        Ok(())
    }

    fn differing(&mut self) -> Result<u64, Damage> {
        let place = self.byte()?;
        let (skip, length) = (u32::from(place >> 4), usize::from(place & 15));
        if length == 0 {
            return Ok(0);
        }
        if skip as usize + length > 8 {
            return Err(Damage::Shape);
        }
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damage::Shape)?;
        self.0 = rest;
        let mut eight = [0; 8];
        eight[..length].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(eight) << (8 * skip))
    }

    fn number(&mut self) -> Result<f64, Damage> {
        match self.byte()? {
            0 => Ok(self.signed()? as f64),
            1 => Ok(f64::from_bits(self.eight()?)),
            _ => Err(Damage::Shape),
        }
    }

    fn small(&mut self) -> Result<i32, Damage> {
        i32::try_from(self.signed()?).map_err(|_| Damage::Shape)
    }

    fn histogram(&mut self) -> Result<Histogram, Damage> {
        let reset_hint = match self.byte()? {
            0 => ResetHint::Unknown,
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            3 => ResetHint::Gauge,
            _ => return Err(Damage::Shape),
        };
        let mut h = Histogram {
            reset_hint,
            schema: self.small()?,
            zero_threshold: self.number()?,
            zero_count: self.number()?,
            count: self.number()?,
            sum: self.number()?,
            ..Histogram::default()
        };
        h.positive = self.buckets()?;
        h.negative = self.buckets()?;
        for _ in 0..self.count(MOST_SAMPLES)? {
            h.custom_values.push(self.number()?);
        }
        Ok(h)
    }

    fn buckets(&mut self) -> Result<Buckets, Damage> {
        let mut buckets = Vec::new();
        let mut index = 0_i32;
        for _ in 0..self.count(MOST_SAMPLES)? {
            index = index.checked_add(self.small()?).ok_or(Damage::Shape)?;
            buckets.push((index, self.number()?));
        }
        Ok(buckets)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::stale_nan;

    fn read(block: &[u8]) -> Result<Vec<Unpacked>, Damage> {
        let mut all = Vec::new();
        unpack(block, &mut |one| all.push(one.clone()))?;
        Ok(all)
    }

    fn bits(all: &[Unpacked]) -> Vec<(u32, Vec<(i64, u64)>)> {
        let of = |u: &Unpacked| {
            let samples = u.floats.iter().map(|s| (s.t.millis(), s.v.to_bits()));
            (u.number, samples.collect())
        };
        all.iter().map(of).collect()
    }

    fn floats(start: i64, step: i64, values: &[f64]) -> Vec<Sample> {
        let at = |(i, v): (i64, &f64)| Sample {
            t: Timestamp(start + i * step),
            v: *v,
        };
        (0..).zip(values).map(at).collect()
    }

    #[test]
    fn what_scrapes_bring_takes_little() {
        let mut packer = Packer::new();
        let counters: Vec<f64> = (0..6).map(|i| 1e9 + f64::from(i) * 137.0).collect();
        for number in 0..1000 {
            packer.series(number, &floats(1_700_000_000_000, 5000, &counters), &[]);
        }
        let block = packer.finish().unwrap();
        // Number, flags, mode, five bytes for the first value, two for each of the other five.
        assert!(block.len() <= 1000 * 18 + 50, "{}", block.len());
        assert_eq!(read(&block).unwrap().len(), 1000);
    }

    #[test]
    fn histograms_and_labels_come_back() {
        let h = |hint| {
            Arc::new(Histogram {
                schema: -53,
                zero_threshold: 0.001,
                zero_count: 3.0,
                count: 0.5,
                sum: -2.25,
                positive: vec![(-3, 1.0), (7, 2.5)],
                negative: vec![(0, 1.0)],
                custom_values: vec![0.1, 5.0],
                reset_hint: hint,
            })
        };
        let histograms: Vec<_> = [
            ResetHint::Unknown,
            ResetHint::Reset,
            ResetHint::NotReset,
            ResetHint::Gauge,
        ]
        .into_iter()
        .zip(1..)
        .map(|(hint, i)| (Timestamp(i * 1000), h(hint)))
        .collect();
        let mut packer = Packer::new();
        packer.series(9, &floats(5, 10, &[1.0, 2.0]), &[]);
        packer.series(4, &floats(0, 1, &[stale_nan()]), &histograms);
        packer.series(5, &[], &histograms[1..]);
        let all = read(&packer.finish().unwrap()).unwrap();
        assert_eq!(all[1].histograms, histograms);
        assert_eq!(all[1].floats[0].v.to_bits(), stale_nan().to_bits());
        assert_eq!((all[2].number, &all[2].floats[..]), (5, &[][..]));
        assert_eq!(all[2].histograms, histograms[1..]);

        let labels = [
            Labels::from_pairs([("__name__", "m"), ("ü", "\n\"")]),
            Labels::empty(),
        ];
        let block = pack_names((7..).zip(&labels)).unwrap();
        let mut found = Vec::new();
        unpack_names(&block, &mut |n, l| found.push((n, l))).unwrap();
        assert_eq!(found, [(7, labels[0].clone()), (8, labels[1].clone())]);
        assert_eq!(pack_names(std::iter::empty()), None);
    }

    proptest! {
        #[test]
        fn floats_come_back_to_the_last_bit(
            series in proptest::collection::vec(
                (0..100_u32, proptest::collection::vec((any::<i64>(), any::<u64>()), 0..8)), 1..8,
            )
        ) {
            let mut packer = Packer::new();
            let mut want = Vec::new();
            for (number, samples) in &series {
                let floats: Vec<Sample> = samples
                    .iter()
                    .map(|(t, v)| Sample { t: Timestamp(*t), v: f64::from_bits(*v) })
                    .collect();
                packer.series(*number, &floats, &[]);
                want.push((*number, samples.clone()));
            }
            let block = packer.finish().unwrap();
            prop_assert_eq!(bits(&read(&block).unwrap()), want);
        }

        #[test]
        fn a_damaged_block_is_refused_and_a_forged_one_does_no_harm(
            cut in 0..200_usize, flip in 0..200_usize, garbage in proptest::collection::vec(any::<u8>(), 0..80)
        ) {
            let mut packer = Packer::new();
            for number in 0..5 {
                packer.series(number, &floats(1000, 15, &[0.1, 0.2, 7.0]), &[]);
            }
            let block = packer.finish().unwrap();
            prop_assert!(read(&block[..cut.min(block.len() - 1)]).is_err());
            let mut flipped = block.clone();
            flipped[flip % block.len()] ^= 1;
            prop_assert!(read(&flipped).is_err());
            // A right checksum over nonsense: an error or nothing, no panic and no great memory.
            let mut forged = head();
            forged.extend(&garbage);
            let forged = seal(forged);
            let _ = read(&forged);
            let _ = unpack_names(&forged, &mut |_, _| {});
        }
    }
}
