//! The same pseudo-random numbers on every machine and in every release.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): the answers of a forecast are compared byte for byte, and
//! no library promises its stream over versions.

use std::sync::OnceLock;

/// A seeded stream of numbers.
pub(super) struct Draw {
    state: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A whole number below `n`, which is at least 1.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.next()) * n as u128;
        (wide >> 64) as usize
    }

    /// A number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// The `n` standard normal quantiles (i + 0.5) / n in shuffled order.
    ///
    /// Plain draws would move the medians of all series together.
    pub(super) fn stratified(&mut self, n: usize) -> Vec<f64> {
        let mut z: Vec<f64> = if n == LEVEL {
            static ONCE: OnceLock<Vec<f64>> = OnceLock::new();
            ONCE.get_or_init(|| quantiles(LEVEL)).clone()
        } else {
            quantiles(n)
        };
        for i in (1..n).rev() {
            z.swap(i, self.below(i + 1));
        }
        z
    }
}

/// The size asked for most.
const LEVEL: usize = super::LEVEL_PATHS;

fn quantiles(n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| normal_quantile((i as f64 + 0.5) / n as f64))
        .collect()
}

/// The standard normal quantile; Acklam's rational approximation, relative error below 1.2e-9.
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e+01,
        2.209460984245205e+02,
        -2.759285104469687e+02,
        1.383_577_518_672_69e2,
        -3.066479806614716e+01,
        2.506628277459239e+00,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e+01,
        1.615858368580409e+02,
        -1.556989798598866e+02,
        6.680131188771972e+01,
        -1.328068155288572e+01,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-03,
        -3.223964580411365e-01,
        -2.400758277161838e+00,
        -2.549732539343734e+00,
        4.374664141464968e+00,
        2.938163982698783e+00,
    ];
    const D: [f64; 4] = [
        7.784695709041462e-03,
        3.224671290700398e-01,
        2.445134137142996e+00,
        3.754408661907416e+00,
    ];
    let poly = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |q: f64| poly(&C, q) / (poly(&D, q) * q + 1.0);
    if p < 0.02425 {
        tail((-2.0 * p.ln()).sqrt())
    } else if p > 1.0 - 0.02425 {
        -tail((-2.0 * (1.0 - p).ln()).sqrt())
    } else {
        let q = p - 0.5;
        let r = q * q;
        poly(&A, r) * q / (poly(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_those_of_the_table() {
        for (p, want) in [
            (0.5, 0.0),
            (0.975, 1.959963984540054),
            (0.025, -1.959963984540054),
            (0.001, -3.090232306167813),
            (0.841_344_746_068_543, 1.0),
        ] {
            assert!((normal_quantile(p) - want).abs() < 1e-8, "{p}");
        }
    }

    #[test]
    fn the_stream_is_the_published_one() {
        let mut draw = Draw::new(1_234_567);
        assert_eq!(draw.next(), 6_457_827_717_110_365_317);
        assert_eq!(draw.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn strata_are_a_shuffle_of_all_quantiles() {
        let mut z = Draw::new(7).stratified(100);
        let first = z.clone();
        z.sort_by(f64::total_cmp);
        assert_ne!(first, z);
        assert_eq!(z, quantiles(100));
        assert!(z.iter().sum::<f64>().abs() < 1e-6);
    }
}
