//! Gaps, spikes, seasons, slopes: what is read off a history before its future is drawn.

/// Gaps filled linearly, flat at the ends; all NaN stays so.
pub(super) fn fill(values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    let Some(first) = values.iter().position(|v| v.is_finite()) else {
        return out;
    };
    out[..first].fill(values[first]);
    let mut last = first;
    for i in first + 1..values.len() {
        if values[i].is_finite() {
            let slope = (values[i] - values[last]) / (i - last) as f64;
            for (n, slot) in out[last + 1..i].iter_mut().enumerate() {
                *slot = values[last] + slope * (n + 1) as f64;
            }
            last = i;
        }
    }
    out[last..].fill(values[last]);
    out
}

/// Cuts spikes of one step, which can never be a sustained crossing; never the last value.
pub(super) fn despike(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    if n < 7 {
        return values.to_vec();
    }
    let filled = fill(values);
    let mut window = Vec::with_capacity(7);
    let mut off: Vec<f64> = (0..n)
        .map(|i| {
            window.clear();
            window.extend_from_slice(&filled[i.saturating_sub(3)..(i + 4).min(n)]);
            (filled[i] - median(&mut window)).abs()
        })
        .collect();
    let mut size: Vec<f64> = filled.iter().map(|v| v.abs()).collect();
    let spread = (1.4826 * median(&mut off)).max(0.005 * median(&mut size));
    let mut out = values.to_vec();
    for i in 0..n - 1 {
        let around = [i.checked_sub(2), i.checked_sub(1), Some(i + 1), Some(i + 2)];
        let highest = around
            .into_iter()
            .flatten()
            .filter_map(|j| filled.get(j))
            .fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        if !values[i].is_nan() && filled[i] - highest > 5.0 * spread {
            out[i] = highest;
        }
    }
    out
}

/// The additive seasonal profile; index 0 is the phase of the first future step.
///
/// All zero with less than two periods.
pub(super) fn profile(values: &[f64], period: usize) -> Vec<f64> {
    let n = values.len();
    let mut out = vec![0.0; period];
    let valid = values.iter().filter(|v| v.is_finite()).count();
    if n < 2 * period || (valid as f64) < 1.5 * period as f64 {
        return out;
    }
    let filled = fill(values);
    let sums = running_sums(&filled);
    let half = period / 2;
    let mut phase = Vec::with_capacity(12);
    for (d, slot) in out.iter_mut().enumerate() {
        phase.clear();
        // The step i has the phase (i - n) modulo the period.
        let mut i = (n + d) % period;
        let steps = (n - i).div_ceil(period);
        i += steps.saturating_sub(12) * period;
        while i < n {
            let (from, to) = (i.saturating_sub(half), (i + half + period % 2).min(n));
            phase.push(filled[i] - (sums[to] - sums[from]) / (to - from) as f64);
            i += period;
        }
        let count = phase.len() as f64;
        *slot = median(&mut phase) * count / (count + 2.0);
    }
    let mean = out.iter().sum::<f64>() / period as f64;
    out.iter_mut().for_each(|v| *v -= mean);
    out
}

/// The value of a profile at step `i` of a history of `n` steps.
pub(super) fn at_phase(profile: &[f64], i: usize, n: usize) -> f64 {
    let period = profile.len();
    profile[(i + period * n.div_ceil(period) - n) % period]
}

/// The centred mean of `width` steps, cut at the ends.
pub(super) fn running_mean(values: &[f64], width: usize) -> Vec<f64> {
    let n = values.len();
    let sums = running_sums(values);
    let half = width / 2;
    (0..n)
        .map(|i| {
            let (from, to) = (i.saturating_sub(half), (i + half + 1).min(n));
            (sums[to] - sums[from]) / (to - from) as f64
        })
        .collect()
}

/// The Theil-Sen slope of a step, over at most 128 of the points.
pub(super) fn slope(values: &[f64], room: &mut Vec<f32>) -> f64 {
    let n = values.len();
    if n < 2 {
        return 0.0;
    }
    let thin = n.div_ceil(128);
    room.clear();
    let mut i = 0;
    while i < n {
        let mut j = i + thin;
        while j < n {
            room.push(((values[j] - values[i]) / (j - i) as f64) as f32);
            j += thin;
        }
        i += thin;
    }
    f64::from(median_of(room, f32::total_cmp, |a, b| (a + b) / 2.0).unwrap_or(0.0))
}

/// How often the recent past fell by more than a quarter of its range: a saw-tooth has two or more.
pub(super) fn resets(values: &[f64], window: usize) -> usize {
    let valid: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let recent = &valid[valid.len().saturating_sub(window)..];
    if recent.len() < 8 {
        return 0;
    }
    let highest = recent.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lowest = recent.iter().copied().fold(f64::INFINITY, f64::min);
    let size = recent.iter().fold(1e-12_f64, |a, v| a.max(v.abs()));
    let range = highest - lowest;
    if range <= 0.02 * size {
        return 0;
    }
    recent
        .windows(2)
        .filter(|w| w[1] - w[0] < -0.25 * range)
        .count()
}

/// The second highest of some values.
pub(super) fn second_highest(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut first, mut second) = (None, None);
    for v in values {
        if first.is_none_or(|f| v > f) {
            second = first;
            first = Some(v);
        } else if second.is_none_or(|s| v > s) {
            second = Some(v);
        }
    }
    second
}

/// The median; NaN of nothing. The order of the values is lost.
pub(super) fn median(values: &mut [f64]) -> f64 {
    median_of(values, f64::total_cmp, |a, b| (a + b) / 2.0).unwrap_or(f64::NAN)
}

fn median_of<T: Copy>(
    values: &mut [T],
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
    middle: impl Fn(T, T) -> T,
) -> Option<T> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(n / 2, &order);
    let upper = *upper;
    if n % 2 == 1 {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(&order)?;
    Some(middle(lower, upper))
}

fn running_sums(values: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    std::iter::once(0.0)
        .chain(values.iter().map(|v| {
            sum += v;
            sum
        }))
        .collect()
}

/// The mean and the population variance.
pub(super) fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    (
        mean,
        values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / n,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: f64 = f64::NAN;

    #[test]
    fn gaps_are_filled_linearly_and_flat_at_the_ends() {
        assert_eq!(
            fill(&[X, 1.0, X, X, 4.0, X]),
            [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]
        );
    }

    #[test]
    fn a_lone_spike_is_cut_and_the_last_value_is_not() {
        let mut values = vec![1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 9.0, 1.0, 1.1, 0.9, 1.0, 9.0];
        let out = despike(&values);
        assert_eq!(out[6], 1.1);
        assert_eq!(out[11], 9.0);
        values[7] = 9.0;
        assert_eq!(despike(&values)[6], 9.0, "two in a row are no spike");
    }

    #[test]
    fn a_weekly_pattern_is_found_at_its_phase() {
        let values: Vec<f64> = (0..84)
            .map(|i| if i % 7 == 3 { 17.0 } else { 10.0 })
            .collect();
        let found = profile(&values, 7);
        // 84 is a whole number of weeks, so phase 3 is the high day.
        assert!(found[3] > 4.5, "{found:?}");
        assert!(found.iter().sum::<f64>().abs() < 1e-9);
        assert_eq!(at_phase(&found, 3, 84), found[3]);
        assert_eq!(at_phase(&found, 0, 85), found[6]);
        assert_eq!(profile(&values[..13], 7), [0.0; 7]);
    }

    #[test]
    fn the_slope_of_a_line_is_its_slope_whatever_the_outliers() {
        let mut values: Vec<f64> = (0..300).map(|i| 5.0 + 0.25 * f64::from(i)).collect();
        values[40] = 900.0;
        values[200] = -50.0;
        assert!((slope(&values, &mut Vec::new()) - 0.25).abs() < 1e-3);
    }

    #[test]
    fn a_saw_tooth_has_resets() {
        let saw: Vec<f64> = (0..60).map(|i| f64::from(i % 20)).collect();
        assert_eq!(resets(&saw, 90), 2);
        let line: Vec<f64> = (0..60).map(f64::from).collect();
        assert_eq!(resets(&line, 90), 0);
    }

    #[test]
    fn the_second_highest_counts_equals() {
        let of = |v: &[f64]| second_highest(v.iter().copied());
        assert_eq!(of(&[1.0, 5.0, 5.0, 2.0]), Some(5.0));
        assert_eq!(of(&[3.0, 7.0]), Some(3.0));
        assert_eq!(of(&[7.0]), None);
    }
}
