//! Change of counters and gauges over a range.

use crate::model::Sample;

/// A range in milliseconds, open on the left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Range {
    /// Change per second of a counter; `None` with fewer than two samples.
    pub(crate) fn rate(self, samples: &[Sample]) -> Option<f64> {
        let seconds = (self.to - self.from) as f64 / 1000.0;
        let (change, factor) = self.extrapolated(samples, true)?;
        Some(change * (factor / seconds))
    }

    /// Change of a counter over the range.
    pub(crate) fn increase(self, samples: &[Sample]) -> Option<f64> {
        let (change, factor) = self.extrapolated(samples, true)?;
        Some(change * factor)
    }

    /// Change of a gauge over the range.
    pub(crate) fn delta(self, samples: &[Sample]) -> Option<f64> {
        let (change, factor) = self.extrapolated(samples, false)?;
        Some(change * factor)
    }

    /// The change between the first and the last sample, and by what to multiply it so that it
    /// covers the range.
    fn extrapolated(self, samples: &[Sample], counter: bool) -> Option<(f64, f64)> {
        let (first, last) = (samples.first()?, samples.last()?);
        if samples.len() < 2 {
            return None;
        }
        let mut change = last.v - first.v;
        if counter {
            for pair in samples.windows(2) {
                if pair[1].v < pair[0].v {
                    change += pair[0].v;
                }
            }
        }
        let factor = self.factor(
            first.t.millis(),
            last.t.millis(),
            samples.len(),
            counter.then_some((first.v, change)),
        );
        Some((change, factor))
    }

    /// By what a change seen between `first` and `last` is multiplied. `counter` is the first
    /// value and the change, where the line through them must not go below zero.
    pub(crate) fn factor(
        self,
        first: i64,
        last: i64,
        samples: usize,
        counter: Option<(f64, f64)>,
    ) -> f64 {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let sampled = seconds(last - first);
        let average = sampled / (samples - 1) as f64;
        let far = average * 1.1;
        let mut before = seconds(first - self.from);
        let mut after = seconds(self.to - last);
        if before >= far {
            before = average / 2.0;
        }
        if let Some((value, change)) = counter
            && change > 0.0
            && value >= 0.0
        {
            let to_zero = sampled * (value / change);
            if to_zero < before {
                before = to_zero;
            }
        }
        if after >= far {
            after = average / 2.0;
        }
        (sampled + before + after) / sampled
    }
}

/// Change per second between the last two samples of a counter.
pub(crate) fn irate(samples: &[Sample]) -> Option<f64> {
    let [.., a, b] = samples else { return None };
    let seconds = (b.t.millis() - a.t.millis()) as f64 / 1000.0;
    let change = if b.v < a.v { b.v } else { b.v - a.v };
    Some(change / seconds)
}

/// Difference of the last two samples.
pub(crate) fn idelta(samples: &[Sample]) -> Option<f64> {
    let [.., a, b] = samples else { return None };
    Some(b.v - a.v)
}
