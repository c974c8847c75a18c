//! Which limit is reached first, and how sure that is.

use super::{Ahead, Outlook};

/// From here on an order is more than a guess.
const TIE: f64 = 0.6;

/// One limit in the order in which they are reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its index among those that were given.
    pub index: usize,
    /// Probability that it is reached before the one after it, each half a chance when both lie
    /// beyond the horizon; `None` for the last one.
    pub before_next: Option<f64>,
    /// True when that is no more than a guess.
    pub tie: bool,
}

/// Orders limits by when they are reached: those that are passed, then by the middle of the
/// forecast, then by its near end; those that nothing can be said about, and those that are not
/// expected, are left out.
pub fn queue(outlooks: &[&Outlook]) -> Vec<Order> {
    let mut known: Vec<(usize, Option<&Ahead>)> = outlooks
        .iter()
        .enumerate()
        .filter_map(|(i, outlook)| match outlook {
            Outlook::Over { .. } => Some((i, None)),
            Outlook::Ahead(ahead) if ahead.p10.is_some() => Some((i, Some(ahead))),
            Outlook::Ahead(_)
            | Outlook::NoLimit
            | Outlook::NotEnough { .. }
            | Outlook::UnitsChanged { .. } => None,
        })
        .collect();
    let far = f64::INFINITY;
    let rank = |ahead: Option<&Ahead>| {
        ahead.map_or([0.0; 3], |a| {
            [
                a.p50.unwrap_or(far),
                a.p10.unwrap_or(far),
                a.p90.unwrap_or(far),
            ]
        })
    };
    known.sort_by(|(_, a), (_, b)| {
        let (a, b) = (rank(*a), rank(*b));
        a.iter()
            .zip(&b)
            .map(|(a, b)| a.total_cmp(b))
            .find(|o| o.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    (0..known.len())
        .map(|n| {
            let (index, this) = known[n];
            let before_next = known.get(n + 1).map(|(_, next)| before(this, *next));
            Order {
                index,
                before_next,
                tie: before_next.is_some_and(|p| p < TIE),
            }
        })
        .collect()
}

/// The probability that one is reached before another, as if they moved apart from each other.
fn before(first: Option<&Ahead>, second: Option<&Ahead>) -> f64 {
    match (first, second) {
        (None, None) => 0.5,
        (None, Some(_)) => 1.0,
        (Some(_), None) => 0.0,
        (Some(first), Some(second)) => {
            let (n, m) = (first.drawn as f64, second.drawn as f64);
            if n == 0.0 || m == 0.0 {
                return 0.5;
            }
            let never = |a: &Ahead| (a.drawn - a.samples.len()) as f64;
            let mut sooner = 0.0;
            for t in &first.samples {
                let earlier = second.samples.partition_point(|s| s < t);
                let not_later = second.samples.partition_point(|s| s <= t);
                let same = (not_later - earlier) as f64;
                sooner += m - not_later as f64 + same / 2.0;
            }
            (sooner + never(first) * never(second) / 2.0) / (n * m)
        }
    }
}
