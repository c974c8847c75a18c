//! One pass over one body: what its lines mean for one target.

use std::collections::BTreeSet;
use std::sync::Arc;

pub use identity::ExporterIdentity;

use super::failure::Failure;
use super::lines::{Line, Lines};
use super::names::{is_reserved, is_watched};
use super::proto::Decoder;
use super::relabel::relabel;
use super::text::{self, BadLine, Bounds, Family, Format, Meta, RawSeries};
use crate::config::{OnParseError, RelabelConfig};
use crate::model::labels::NAME;
use crate::model::{Histogram, Labels, Ref, Selection, Timestamp};
use crate::sources::series::{Fate, Seen, SeriesCache, Slot};

/// Timestamps further ahead than this are refused.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// Most metric names remembered of one target.
const MAX_NAMES: usize = 5_000;

/// Bytes of a bad line that are shown.
const SHOWN_BYTES: usize = 120;

/// How a target's lines are read.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The target's own labels.
    pub(crate) labels: Labels,
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    pub(crate) on_parse_error: OnParseError,
    pub(crate) bounds: Bounds,
    /// Most samples kept.
    pub(crate) sample_limit: usize,
    /// True: series with timestamps of their own end with a marker, too.
    pub(crate) track_timestamps: bool,
    /// Rules over the labels of each series.
    pub(crate) relabel: Arc<[RelabelConfig]>,
    /// Of a histogram with native and classic buckets both are kept.
    pub(crate) classic_too: bool,
    /// A rule changes names, so that every line must be read.
    pub(crate) renames: bool,
}

/// What a pass counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Lines with a sample, wanted or not.
    pub(crate) samples: u64,
    /// Bad lines by reason, in the order of [`BadLine::ALL`].
    pub(crate) bad: [u64; BadLine::ALL.len()],
    /// Samples of names that only we may use.
    pub(crate) reserved: u64,
    /// Second samples of a series.
    pub(crate) duplicates: u64,
    /// Samples from the future.
    pub(crate) future: u64,
    /// Samples that a relabelling rule dropped, as far as their names are wanted.
    pub(crate) relabelled: u64,
    /// Bytes of the body, inflated.
    pub(crate) bytes: u64,
    /// A bad line held a sample.
    pub(crate) lost_samples: bool,
    /// Samples kept.
    pub(crate) kept: usize,
}

impl Counts {
    /// All bad lines.
    pub(crate) fn bad_lines(&self) -> u64 {
        self.bad.iter().sum()
    }
}

/// What a good pass brought.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) new: Vec<(Ref, Labels)>,
    pub(crate) samples: Vec<(Ref, Timestamp, f64)>,
    pub(crate) histograms: Vec<(Ref, Timestamp, Arc<Histogram>)>,
    /// Set on validating passes.
    pub(crate) names: Option<BTreeSet<Box<str>>>,
    /// Set on validating passes.
    pub(crate) identity: Option<ExporterIdentity>,
}

/// Takes a body chunk by chunk.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    terms: &'a Terms,
    selection: &'a Selection,
    cache: &'a mut SeriesCache,
    at: Timestamp,
    /// Every line is read in full, not only those that somebody wants.
    validate: bool,
    format: Format,
    lines: Lines,
    /// Set for a protobuf body.
    decoder: Option<Decoder>,
    /// Name and key of the point that is read, kept for their room.
    point_name: String,
    point_key: Vec<u8>,
    begun: bool,
    eof: bool,
    /// Lines that nobody wants may be passed by.
    brisk: bool,
    family: Family,
    /// The last TYPE line that was passed by: read only when a new series needs it.
    type_line: Vec<u8>,
    last_name: Vec<u8>,
    last_interest: Interest,
    first_bad: Option<(BadLine, String)>,
    counts: Counts,
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    Wanted,
    Unwanted,
    Reserved,
}

impl<'a> Pass<'a> {
    /// A pass over a body read at `at`; the cache's pass must be open.
    pub(crate) fn new(
        terms: &'a Terms,
        selection: &'a Selection,
        cache: &'a mut SeriesCache,
        at: Timestamp,
        validate: bool,
    ) -> Self {
        let validate = validate || terms.on_parse_error == OnParseError::Fail;
        // As many as last time, and some more.
        let samples = Vec::with_capacity(cache.len() + cache.len() / 8);
        Self {
            terms,
            selection,
            cache,
            at,
            validate,
            format: Format::Text,
            lines: Lines::default(),
            decoder: None,
            point_name: String::new(),
            point_key: Vec::new(),
            begun: false,
            eof: false,
            brisk: false,
            family: Family::default(),
            type_line: Vec::new(),
            last_name: Vec::new(),
            last_interest: Interest::Unwanted,
            first_bad: None,
            counts: Counts::default(),
            reading: Reading {
                names: validate.then(BTreeSet::new),
                identity: validate.then(ExporterIdentity::default),
                samples,
                ..Reading::default()
            },
        }
    }

    /// Sets the grammar, before the first chunk.
    pub(crate) fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// Has the body read as protobuf, before the first chunk.
    pub(crate) fn set_protobuf(&mut self) {
        self.decoder = Some(Decoder::default());
    }

    /// Reads the next part of the body.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.counts.bytes += chunk.len() as u64;
        if let Some(mut decoder) = self.decoder.take() {
            let result = decoder.feed(chunk, |head, metric| self.metric(head, metric));
            self.decoder = Some(decoder);
            return result;
        }
        let mut lines = std::mem::take(&mut self.lines);
        let result = lines.feed(chunk, |line| self.line(line));
        self.lines = lines;
        result
    }

    /// Reads the last line and judges the whole.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if let Some(decoder) = &self.decoder {
            decoder.finish()?;
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(|line| self.line(line))?;
        if self.format == Format::OpenMetrics && !self.eof {
            return Err(Failure::NoEof);
        }
        let bad = self.counts.bad_lines();
        if bad * 10 > self.counts.samples + bad {
            return Err(self.bad_lines());
        }
        Ok(())
    }

    /// What was counted and, after a good end, read.
    pub(crate) fn into_parts(self) -> (Counts, Reading) {
        (self.counts, self.reading)
    }

    #[inline]
    fn line(&mut self, line: Line<'_>) -> Result<(), Failure> {
        if self.brisk
            && let Line::Whole(line) = line
            && self.pass_by(line)
        {
            return Ok(());
        }
        self.read_line(line)
    }

    /// True for a line that needs no closer look, which is then counted.
    #[inline]
    fn pass_by(&mut self, line: &[u8]) -> bool {
        if line.first() == Some(&b'#') {
            return self.pass_by_comment(line);
        }
        if self.cache.skips(line) {
            self.counts.samples += 1;
            return true;
        }
        match self.cache.expected(line) {
            Some((Fate::Unwanted | Fate::Unselected, _)) => self.counts.samples += 1,
            Some((Fate::Dropped, _)) => {
                self.counts.samples += 1;
                self.counts.relabelled += 1;
            }
            Some((Fate::Reserved, _)) => {
                self.counts.samples += 1;
                self.counts.reserved += 1;
            }
            Some((Fate::Kept(slot), len)) => {
                let Ok((value, millis)) = text::tail(&line[len..], self.format) else {
                    return false;
                };
                // At the limit the closer look tells.
                if self.counts.kept >= self.terms.sample_limit {
                    return false;
                }
                self.put(slot, value, millis);
                self.counts.samples += 1;
            }
            Some((Fate::Refused(_), _)) | None => return false,
        }
        true
    }

    #[inline]
    fn pass_by_comment(&mut self, line: &[u8]) -> bool {
        match line {
            [_, b' ', b'H', ..] => true,
            // Only histograms and summaries are read differently.
            [_, b' ', b'T', b'Y', b'P', b'E', b' ' | b'\t', .., last] => {
                self.type_line.clear();
                if matches!(last, b'm' | b'y') {
                    self.type_line.extend_from_slice(line);
                } else {
                    self.family = Family::Plain;
                }
                true
            }
            _ => false,
        }
    }

    #[inline(never)]
    fn read_line(&mut self, line: Line<'_>) -> Result<(), Failure> {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong(start) if text::trim_start(start).first() == Some(&b'#') => {
                return Ok(());
            }
            Line::TooLong(start) => return self.bad(start, BadLine::LineLength),
        };
        let content = match self.format {
            _ if self.eof => return self.bad(line, BadLine::Misplaced),
            Format::Text => text::trim_start(line),
            Format::OpenMetrics => line,
        };
        let begun = self.begun;
        self.begun |= !content.is_empty();
        let done = match (content.first(), self.format) {
            (None, Format::Text) => Ok(()),
            (None, Format::OpenMetrics) => self.bad(line, BadLine::Misplaced),
            (Some(b'#'), _) => self.meta(content),
            (Some(b'<'), _) if !begun => Err(Failure::Html),
            (Some(_), _) => match self.sample(content) {
                Ok(()) => {
                    self.counts.samples += 1;
                    if self.counts.kept > self.terms.sample_limit {
                        return Err(Failure::SampleLimit(self.terms.sample_limit));
                    }
                    Ok(())
                }
                Err(bad) => self.bad(line, bad),
            },
        };
        self.brisk = self.begun && !self.validate && !self.eof;
        done
    }

    fn meta(&mut self, line: &[u8]) -> Result<(), Failure> {
        // TYPE and EOF change what follows, the rest is only checked.
        let matters = matches!(text::trim_start(&line[1..]).first(), Some(b'T' | b'E'));
        if !matters && !self.validate {
            return Ok(());
        }
        match text::metadata(line, self.format) {
            Ok(Meta::Type(family)) => {
                self.family = family;
                self.type_line.clear();
            }
            Ok(Meta::Eof) => self.eof = true,
            Ok(Meta::Other) => {}
            Err(bad) => {
                self.family = Family::Plain;
                return self.bad(line, bad);
            }
        }
        Ok(())
    }

    fn sample(&mut self, line: &[u8]) -> Result<(), BadLine> {
        let name_len = text::bare_name_len(line);
        // A name in quotes is known only after the labels were split.
        let interest = if name_len > 0 {
            Some(self.interest(&line[..name_len]))
        } else if line[0] == b'{' {
            None
        } else {
            return Err(BadLine::Name);
        };
        match interest {
            Some(Interest::Unwanted) if !self.validate => return Ok(()),
            Some(Interest::Reserved) if !self.validate => {
                self.counts.reserved += 1;
                return Ok(());
            }
            Some(_) | None => {}
        }
        let (key, rest) = line.split_at(text::series_len(line, name_len, self.format)?);
        let fate = match self.cache.get(key) {
            Some(fate @ (Fate::Kept(_) | Fate::Unselected | Fate::Dropped | Fate::Refused(_))) => {
                fate
            }
            // The first two are a name's.
            Some(Fate::Unwanted | Fate::Reserved) | None => {
                match self.look_at(key, rest, interest) {
                    Ok(Some(fate)) => fate,
                    Ok(None) => return text::tail(rest, self.format).map(|_| ()),
                    Err(bad) => {
                        if matches!(interest, None | Some(Interest::Wanted)) {
                            self.cache.refuse(key, Fate::Refused(bad));
                        }
                        return Err(bad);
                    }
                }
            }
        };
        match fate {
            Fate::Refused(bad) => Err(bad),
            Fate::Dropped => {
                self.counts.relabelled += 1;
                text::tail(rest, self.format).map(|_| ())
            }
            Fate::Unselected if !self.validate => Ok(()),
            Fate::Unselected | Fate::Unwanted | Fate::Reserved => {
                text::tail(rest, self.format).map(|_| ())
            }
            Fate::Kept(slot) => {
                let (value, millis) = text::tail(rest, self.format)?;
                if self.validate && is_watched(self.last_name.as_slice()) {
                    self.watch(key, value);
                }
                self.put(slot, value, millis);
                Ok(())
            }
        }
    }

    /// Decides about a key that is not in the cache; `None` when its name is not wanted.
    fn look_at(
        &mut self,
        key: &[u8],
        rest: &[u8],
        interest: Option<Interest>,
    ) -> Result<Option<Fate>, BadLine> {
        let raw = text::series(key, self.format, &self.terms.bounds)?;
        let interest = match interest {
            Some(interest) => interest,
            None => self.interest(raw.name.as_bytes()),
        };
        match interest {
            Interest::Wanted => {}
            Interest::Unwanted => {
                if is_watched(raw.name.as_bytes())
                    && let Ok((value, _)) = text::tail(rest, self.format)
                {
                    self.watch(key, value);
                }
                return Ok(None);
            }
            Interest::Reserved => {
                self.counts.reserved += 1;
                return Ok(None);
            }
        }
        // A line that brings no value must not announce a series.
        if text::tail(rest, self.format).is_err() {
            return Ok(None);
        }
        self.read_type_line();
        let Some(labels) = self.labels(&raw)? else {
            self.cache.refuse(key, Fate::Dropped);
            return Ok(Some(Fate::Dropped));
        };
        if !self.selection.wants(&labels) {
            self.cache.refuse(key, Fate::Unselected);
            return Ok(Some(Fate::Unselected));
        }
        let new = &mut self.reading.new;
        Ok(Some(Fate::Kept(self.cache.keep(key, labels, false, new))))
    }

    fn put(&mut self, slot: Slot, value: f64, millis: Option<i64>) {
        let own = millis.filter(|_| self.terms.honor_timestamps);
        if own.is_some_and(|t| t > self.at.millis().saturating_add(MAX_AHEAD_MS)) {
            self.counts.future += 1;
            return;
        }
        let unmarked = own.is_some() && !self.terms.track_timestamps;
        match self.cache.touch(slot, unmarked) {
            Some(Seen::Again(_)) if own.is_none() => self.counts.duplicates += 1,
            Some(Seen::First(id) | Seen::Again(id)) => {
                self.counts.kept += 1;
                let t = own.map_or(self.at, Timestamp);
                self.reading.samples.push((id, t, value));
            }
            None => {}
        }
    }

    /// The series' full labels: its own, the target's, and `exported_` ones where they clash, after
    /// the job's rules; `None` when these drop it, leave it without a name or give it one of ours.
    fn labels(&self, raw: &RawSeries<'_>) -> Result<Option<Labels>, BadLine> {
        let own = &self.terms.labels;
        let mut builder = own.to_builder();
        let mut clashes: Vec<(&str, &str)> = Vec::new();
        builder.set(NAME, &raw.name);
        let values: Vec<_> = raw
            .labels
            .iter()
            .map(|(n, v)| text::normalised(self.family, n, v.clone()))
            .collect();
        for ((name, _), value) in raw.labels.iter().zip(&values) {
            if self.terms.honor_labels || !own.has(name) {
                builder.set(name, value);
            } else if !value.is_empty() {
                clashes.push((name, value));
            }
        }
        clashes.sort_by_key(|(name, _)| name.len());
        for (name, value) in clashes {
            let mut exported = format!("exported_{name}");
            while !builder.get(&exported).is_empty() {
                exported.insert_str(0, "exported_");
            }
            builder.set(&exported, value);
        }
        if !self.terms.relabel.is_empty() {
            if !relabel(&self.terms.relabel, &mut builder) {
                return Ok(None);
            }
            let name = builder.get(NAME);
            if name.is_empty() || is_reserved(name) {
                return Ok(None);
            }
        }
        let labels = builder.build();
        if labels.len() > self.terms.bounds.labels {
            return Err(BadLine::LabelCount);
        }
        Ok(Some(labels))
    }

    fn interest(&mut self, name: &[u8]) -> Interest {
        if name == self.last_name.as_slice() {
            return self.last_interest;
        }
        self.last_name.clear();
        self.last_name.extend_from_slice(name);
        let name = std::str::from_utf8(name).unwrap_or_default();
        if let Some(names) = &mut self.reading.names
            && names.len() < MAX_NAMES
            && name.len() <= self.terms.bounds.name
        {
            names.insert(name.into());
        }
        self.last_interest = match self.cache.get(name.as_bytes()) {
            Some(Fate::Unwanted) => Interest::Unwanted,
            Some(Fate::Reserved) => Interest::Reserved,
            Some(Fate::Kept(_) | Fate::Unselected | Fate::Dropped | Fate::Refused(_)) => {
                Interest::Wanted
            }
            None if is_reserved(name) => {
                self.cache.refuse(name.as_bytes(), Fate::Reserved);
                Interest::Reserved
            }
            None if self.terms.renames || self.selection.wants_name(name) => Interest::Wanted,
            None => {
                self.cache.refuse(name.as_bytes(), Fate::Unwanted);
                Interest::Unwanted
            }
        };
        self.last_interest
    }

    /// Takes in the TYPE line that was passed by.
    fn read_type_line(&mut self) {
        if !self.type_line.is_empty() {
            self.family = match text::metadata(&self.type_line, self.format) {
                Ok(Meta::Type(family)) => family,
                // The next full reading counts it.
                Ok(Meta::Other | Meta::Eof) | Err(_) => Family::Plain,
            };
            self.type_line.clear();
        }
    }

    fn bad(&mut self, line: &[u8], reason: BadLine) -> Result<(), Failure> {
        self.counts.bad[reason as usize] += 1;
        self.counts.lost_samples |= reason != BadLine::Metadata && !line.is_empty();
        if self.first_bad.is_none() {
            let shown = &line[..line.len().min(SHOWN_BYTES)];
            self.first_bad = Some((reason, String::from_utf8_lossy(shown).into_owned()));
        }
        match self.terms.on_parse_error {
            OnParseError::KeepGood => Ok(()),
            OnParseError::Fail => Err(self.bad_lines()),
        }
    }

    fn bad_lines(&self) -> Failure {
        let bad = self.counts.bad_lines();
        let (reason, line) = self
            .first_bad
            .clone()
            .unwrap_or((BadLine::Name, String::new()));
        Failure::BadLines {
            bad,
            lines: self.counts.samples + bad,
            reason,
            line,
        }
    }
}

mod identity;
mod points;

#[cfg(test)]
mod tests;
