//! Reads bodies that nobody fetched, as a target's scrapes would read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::failure::Failure;
use super::pass::{Counts, Pass, Terms};
use super::text::{BadLine, Bounds, Format};
use crate::config::{Limits, OnParseError};
use crate::model::{Batch, Labels, Selection, TargetKey, Timestamp};
use crate::sources::series::{End, SeriesCache};

/// Reads one body after another, with the memory that a target has of the one before.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    terms: Terms,
    cache: SeriesCache,
}

/// What one body brought.
#[derive(Debug)]
pub struct ReadBody {
    /// Why the body as a whole was refused; the batch is empty then but for what is gone.
    pub result: Result<(), Failure>,
    /// Its samples.
    pub batch: Batch,
    /// Lines with a sample, wanted or not.
    pub samples: u64,
    /// Bad lines by reason.
    pub bad: BTreeMap<&'static str, u64>,
}

impl Reader {
    /// A reader with the default limits and without target labels.
    pub fn new(format: Format) -> Self {
        let limits = Limits::default();
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            format,
            terms: Terms {
                labels: Labels::empty(),
                honor_labels: true,
                honor_timestamps: true,
                on_parse_error: OnParseError::KeepGood,
                bounds: Bounds {
                    labels: limits.labels,
                    name: size(limits.name_length.0),
                    value: size(limits.value_length.0),
                },
                sample_limit: usize::MAX,
                track_timestamps: false,
                relabel: Arc::from([]),
                renames: false,
                classic_too: false,
            },
            cache: SeriesCache::default(),
        }
    }

    /// Lets one bad line fail the whole body.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.terms.on_parse_error = OnParseError::Fail;
        self
    }

    /// Reads a body that arrives in `chunks`; with `validate`, lines that `selection` does not
    /// want are read in full too.
    pub fn read<'b>(
        &mut self,
        chunks: impl IntoIterator<Item = &'b [u8]>,
        selection: &Selection,
        at: Timestamp,
        validate: bool,
    ) -> ReadBody {
        self.cache.begin(selection);
        let mut pass = Pass::new(&self.terms, selection, &mut self.cache, at, validate);
        pass.set_format(self.format);
        let fed = chunks.into_iter().try_for_each(|chunk| pass.feed(chunk));
        let result = fed.and_then(|()| pass.finish());
        let (counts, reading) = pass.into_parts();
        let mut batch = Batch::new(TargetKey(Arc::from("reader")), at);
        batch.ok = result.is_ok();
        batch.partial = batch.ok && counts.lost_samples;
        if batch.ok {
            batch.new = reading.new;
            batch.samples = reading.samples;
            batch.histograms = reading.histograms;
        }
        batch.gone = self.cache.end(match (batch.ok, batch.partial) {
            (false, _) => End::Failed,
            (true, true) => End::Partial,
            (true, false) => End::Good,
        });
        ReadBody {
            result,
            batch,
            samples: counts.samples,
            bad: by_reason(&counts),
        }
    }
}

fn by_reason(counts: &Counts) -> BTreeMap<&'static str, u64> {
    BadLine::ALL
        .iter()
        .map(|b| (b.reason(), counts.bad[*b as usize]))
        .filter(|(_, n)| *n > 0)
        .collect()
}
