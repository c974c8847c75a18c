//! Numbers that a histogram may be made of.

/// A number that can be merged with another of its kind, and take a float.
pub trait Cell: Copy + Default {
    /// Adds another cell.
    fn merge(&mut self, other: Self);
    /// Adds a float.
    fn add(&mut self, v: f64);
    /// Multiplies by a float.
    fn scale(&mut self, factor: f64);
    /// The value.
    fn total(self) -> f64;
}

impl Cell for f64 {
    fn merge(&mut self, other: f64) {
        *self += other;
    }

    fn add(&mut self, v: f64) {
        *self += v;
    }

    fn scale(&mut self, factor: f64) {
        *self *= factor;
    }

    fn total(self) -> f64 {
        self
    }
}

/// A Kahan-Neumaier sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kahan {
    /// The sum as floats give it.
    pub sum: f64,
    /// What rounding lost so far.
    pub rest: f64,
}

impl Kahan {
    /// Adds `v` and what it rounds away.
    pub fn add(&mut self, v: f64) {
        let t = self.sum + v;
        if t.is_infinite() {
            self.rest = 0.0;
        } else if self.sum.abs() >= v.abs() {
            self.rest += (self.sum - t) + v;
        } else {
            self.rest += (v - t) + self.sum;
        }
        self.sum = t;
    }

    /// The sum with what was lost.
    pub fn total(self) -> f64 {
        self.sum + self.rest
    }
}

impl Cell for Kahan {
    fn merge(&mut self, other: Kahan) {
        Kahan::add(self, other.sum);
        self.rest += other.rest;
    }

    fn add(&mut self, v: f64) {
        Kahan::add(self, v);
    }

    fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.rest *= factor;
    }

    fn total(self) -> f64 {
        Kahan::total(self)
    }
}
