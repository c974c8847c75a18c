//! Numbers the series of one target.
//!
//! What must stay true: a number is never given to other labels; a series is `gone` once, and
//! comes back under a new number.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Batch, Labels, Ref, TargetKey, Timestamp};

/// The series of the last pass and their numbers.
#[derive(Debug, Default)]
pub(crate) struct SeriesNumbers {
    known: BTreeMap<Labels, Ref>,
    next: u32,
}

impl SeriesNumbers {
    /// A batch of `points`; which series are new and which ended follows from the last one.
    /// `held` series have no sample this time and have not ended.
    pub(crate) fn batch(
        &mut self,
        target: &TargetKey,
        at: Timestamp,
        points: Vec<(Labels, f64)>,
        held: Vec<Labels>,
    ) -> Batch {
        let mut batch = Batch::new(target.clone(), at);
        let mut values: BTreeMap<Labels, f64> = BTreeMap::new();
        for (labels, value) in points {
            // Two rows with the same names: the worse one speaks for both.
            values
                .entry(labels)
                .and_modify(|v| *v = v.max(value))
                .or_insert(value);
        }
        let held: BTreeSet<Labels> = held.into_iter().collect();
        self.known.retain(|labels, number| {
            let stays = values.contains_key(labels) || held.contains(labels);
            if !stays {
                batch.gone.push(*number);
            }
            stays
        });
        for (labels, value) in values {
            let number = *self.known.entry(labels).or_insert_with_key(|labels| {
                let number = Ref(self.next);
                self.next += 1;
                batch.new.push((number, labels.clone()));
                number
            });
            batch.samples.push((number, at, value));
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn numbers_are_never_used_twice() {
        let target = TargetKey(Arc::from("t"));
        let at = Timestamp::from_secs(1);
        let a = Labels::from_pairs([("__name__", "a")]);
        let b = Labels::from_pairs([("__name__", "b")]);
        let mut numbers = SeriesNumbers::default();
        let mut check =
            |points: &[(&Labels, f64)], held: &[&Labels], want: (usize, usize, usize)| {
                let points = points.iter().map(|(l, v)| ((*l).clone(), *v)).collect();
                let held = held.iter().map(|l| (*l).clone()).collect();
                let batch = numbers.batch(&target, at, points, held);
                let got = (batch.new.len(), batch.samples.len(), batch.gone.len());
                assert_eq!(got, want);
                batch
            };
        let first = check(&[(&a, 1.0), (&b, 1.0), (&b, 3.0)], &[], (2, 2, 0));
        assert_eq!(first.samples[1].2, 3.0);
        check(&[(&a, 1.0)], &[&b], (0, 1, 0));
        check(&[(&a, 1.0)], &[], (0, 1, 1));
        let back = check(&[(&a, 1.0), (&b, 1.0)], &[], (1, 2, 0));
        assert_eq!(back.new[0].0, Ref(2));
        check(&[], &[], (0, 0, 2));
    }
}
