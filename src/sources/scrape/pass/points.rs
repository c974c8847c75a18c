//! Metrics of a protobuf body, read as the lines of a text body are.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::failure::Failure;
use super::super::number::openmetrics_float;
use super::super::proto::{self, Head, Sent, Value};
use super::super::text::{BadLine, RawSeries};
use super::{Interest, MAX_AHEAD_MS, Pass, is_watched};
use crate::model::{Histogram, Timestamp};
use crate::sources::series::{Fate, Seen, Slot};

/// A sample's value.
enum Point {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// What tells the series of one metric apart: its name's ending and one more label.
struct Ending<'a> {
    suffix: &'a str,
    label: Option<(&'a str, f64)>,
}

const PLAIN: Ending<'_> = Ending {
    suffix: "",
    label: None,
};

impl Pass<'_> {
    /// Reads one metric of a family.
    pub(super) fn metric(&mut self, head: &Head, bytes: &[u8]) -> Result<(), Failure> {
        let Ok(name) = std::str::from_utf8(&head.name) else {
            return self.bad(&head.name, BadLine::Utf8);
        };
        if name.is_empty() {
            return self.bad(&head.name, BadLine::Name);
        }
        let metric = proto::metric(bytes)?;
        let (labels, millis) = (&metric.labels, metric.millis);
        let suffix = |suffix| Ending {
            suffix,
            label: None,
        };
        match metric.value {
            Value::None => self.bad(&head.name, BadLine::Value),
            Value::Single(v) => self.point(name, labels, PLAIN, Point::Float(v), millis),
            Value::Summary {
                count,
                sum,
                quantiles,
            } => {
                self.point(name, labels, suffix("_count"), Point::Float(count), millis)?;
                self.point(name, labels, suffix("_sum"), Point::Float(sum), millis)?;
                for (quantile, v) in quantiles {
                    let ending = Ending {
                        suffix: "",
                        label: Some(("quantile", quantile)),
                    };
                    self.point(name, labels, ending, Point::Float(v), millis)?;
                }
                Ok(())
            }
            Value::Histogram(sent) => self.histogram(name, labels, head, &sent, millis),
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        labels: &[&[u8]],
        head: &Head,
        sent: &Sent<'_>,
        millis: Option<i64>,
    ) -> Result<(), Failure> {
        if sent.is_native() {
            match sent.native(head.gauge_histogram)? {
                Some(histogram) => {
                    let point = Point::Histogram(Arc::new(histogram));
                    self.point(name, labels, PLAIN, point, millis)?;
                }
                None => self.bad(name.as_bytes(), BadLine::Value)?,
            }
            if !self.terms.classic_too || sent.classic.is_empty() {
                return Ok(());
            }
        }
        for (suffix, v) in [("_count", sent.count), ("_sum", sent.sum)] {
            let ending = Ending {
                suffix,
                label: None,
            };
            self.point(name, labels, ending, Point::Float(v), millis)?;
        }
        let last = sent.classic.last().map(|(bound, _)| *bound);
        let rest = (last != Some(f64::INFINITY)).then_some((f64::INFINITY, sent.count));
        for (bound, count) in sent.classic.iter().copied().chain(rest) {
            let ending = Ending {
                suffix: "_bucket",
                label: Some(("le", bound)),
            };
            self.point(name, labels, ending, Point::Float(count), millis)?;
        }
        Ok(())
    }

    fn point(
        &mut self,
        family: &str,
        labels: &[&[u8]],
        ending: Ending<'_>,
        point: Point,
        millis: Option<i64>,
    ) -> Result<(), Failure> {
        let mut name = std::mem::take(&mut self.point_name);
        name.clear();
        name.push_str(family);
        name.push_str(ending.suffix);
        let done = self.named_point(&name, labels, ending, point, millis);
        let result = match done {
            Ok(()) => {
                self.counts.samples += 1;
                if self.counts.kept > self.terms.sample_limit {
                    Err(Failure::SampleLimit(self.terms.sample_limit))
                } else {
                    Ok(())
                }
            }
            Err(bad) => self.bad(name.as_bytes(), bad),
        };
        self.point_name = name;
        result
    }

    fn named_point(
        &mut self,
        name: &str,
        labels: &[&[u8]],
        ending: Ending<'_>,
        point: Point,
        millis: Option<i64>,
    ) -> Result<(), BadLine> {
        let interest = self.interest(name.as_bytes());
        match interest {
            Interest::Unwanted if !self.validate => return Ok(()),
            Interest::Reserved => {
                self.counts.reserved += 1;
                return Ok(());
            }
            Interest::Wanted | Interest::Unwanted => {}
        }
        let watched = self.validate && is_watched(name.as_bytes());
        let mut key = std::mem::take(&mut self.point_key);
        key.clear();
        // No line of a text body begins so.
        key.push(1);
        key.extend_from_slice(name.as_bytes());
        for label in labels {
            key.push(0);
            key.extend_from_slice(&(label.len() as u64).to_le_bytes());
            key.extend_from_slice(label);
        }
        if let Some((_, bound)) = ending.label {
            key.push(2);
            key.extend_from_slice(&bound.to_le_bytes());
        }
        let known = match self.cache.get(&key) {
            Some(Fate::Unwanted | Fate::Reserved) | None => None,
            Some(fate @ (Fate::Kept(_) | Fate::Unselected | Fate::Dropped | Fate::Refused(_))) => {
                Some(fate)
            }
        };
        let fate = match known {
            Some(fate) if !watched => Ok(fate),
            Some(_) | None => self.look_at_point(name, labels, &ending, &key, interest, &point),
        };
        if let Err(bad) = fate {
            self.cache.refuse(&key, Fate::Refused(bad));
        }
        self.point_key = key;
        match fate? {
            Fate::Kept(slot) => self.put_point(slot, point, millis),
            Fate::Dropped => self.counts.relabelled += 1,
            Fate::Refused(bad) => return Err(bad),
            Fate::Unselected | Fate::Unwanted | Fate::Reserved => {}
        }
        Ok(())
    }

    fn look_at_point(
        &mut self,
        name: &str,
        labels: &[&[u8]],
        ending: &Ending<'_>,
        key: &[u8],
        interest: Interest,
        point: &Point,
    ) -> Result<Fate, BadLine> {
        let raw = self.raw_series(name, labels, ending)?;
        if let Point::Float(v) = point
            && self.validate
            && is_watched(name.as_bytes())
        {
            self.watch_series(&raw, *v);
        }
        if interest != Interest::Wanted {
            return Ok(Fate::Unwanted);
        }
        if let Some(fate @ Fate::Kept(_)) = self.cache.get(key) {
            return Ok(fate);
        }
        let Some(labels) = self.labels(&raw)? else {
            self.cache.refuse(key, Fate::Dropped);
            return Ok(Fate::Dropped);
        };
        if !self.selection.wants(&labels) {
            self.cache.refuse(key, Fate::Unselected);
            return Ok(Fate::Unselected);
        }
        let new = &mut self.reading.new;
        Ok(Fate::Kept(self.cache.keep(key, labels, false, new)))
    }

    /// Checks a series' labels as those of a line are checked.
    fn raw_series<'b>(
        &self,
        name: &'b str,
        labels: &[&'b [u8]],
        ending: &Ending<'_>,
    ) -> Result<RawSeries<'b>, BadLine> {
        let bounds = &self.terms.bounds;
        if name.len() > bounds.name {
            return Err(BadLine::NameLength);
        }
        let extra = ending
            .label
            .map(|(n, v)| (Cow::Owned(n.to_owned()), Cow::Owned(openmetrics_float(v))));
        if labels.len() + usize::from(extra.is_some()) > bounds.labels {
            return Err(BadLine::LabelCount);
        }
        let mut out: Vec<(Cow<'b, str>, Cow<'b, str>)> = Vec::with_capacity(labels.len() + 1);
        for pair in labels {
            let (n, v) = proto::label(pair).map_err(|_| BadLine::Labels)?;
            let (Ok(n), Ok(v)) = (std::str::from_utf8(n), std::str::from_utf8(v)) else {
                return Err(BadLine::Utf8);
            };
            if n.is_empty() {
                return Err(BadLine::Labels);
            }
            if n.len() > bounds.name {
                return Err(BadLine::NameLength);
            }
            if v.len() > bounds.value {
                return Err(BadLine::ValueLength);
            }
            if n == crate::model::labels::NAME || out.iter().any(|(other, _)| other == n) {
                return Err(BadLine::DuplicateLabel);
            }
            out.push((Cow::Borrowed(n), Cow::Borrowed(v)));
        }
        if let Some(extra) = extra {
            if out.iter().any(|(n, _)| *n == extra.0) {
                return Err(BadLine::DuplicateLabel);
            }
            out.push(extra);
        }
        Ok(RawSeries {
            name: Cow::Borrowed(name),
            labels: out,
        })
    }

    fn put_point(&mut self, slot: Slot, point: Point, millis: Option<i64>) {
        let histogram = match point {
            Point::Float(v) => return self.put(slot, v, millis),
            Point::Histogram(histogram) => histogram,
        };
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
                self.reading.histograms.push((id, t, histogram));
            }
            None => {}
        }
    }
}
