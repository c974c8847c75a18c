//! Lengths of time in a tree.

/// A length of time that may be computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Milliseconds, written as a duration.
    Millis(i64),
    /// Seconds, written as a number.
    Seconds(f64),
    /// The query's step.
    Step,
    /// The query's range.
    Range,
    /// In parentheses.
    Paren(Box<Length>),
    /// With the sign turned.
    Negative(Box<Length>),
    /// Computed from two.
    Binary(LengthOp, Box<(Length, Length)>),
}

/// How two lengths become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `min_of(a, b)`
    Min,
    /// `max_of(a, b)`
    Max,
}

impl Length {
    /// Milliseconds, given the query's step and range in milliseconds; `None` when it is no
    /// number or too large.
    pub fn millis(&self, step: i64, range: i64) -> Option<i64> {
        if let Length::Millis(ms) = self {
            return Some(*ms);
        }
        let ms = self.seconds(step, range) * 1000.0;
        (ms.is_finite() && ms.abs() < 9.0e18).then(|| ms.round() as i64)
    }

    fn seconds(&self, step: i64, range: i64) -> f64 {
        match self {
            Length::Millis(ms) => *ms as f64 / 1000.0,
            Length::Seconds(s) => *s,
            Length::Step => step as f64 / 1000.0,
            Length::Range => range as f64 / 1000.0,
            Length::Paren(l) => l.seconds(step, range),
            Length::Negative(l) => -l.seconds(step, range),
            Length::Binary(op, sides) => {
                let (a, b) = (sides.0.seconds(step, range), sides.1.seconds(step, range));
                match op {
                    LengthOp::Add => a + b,
                    LengthOp::Sub => a - b,
                    LengthOp::Mul => a * b,
                    LengthOp::Div => a / b,
                    LengthOp::Mod => a % b,
                    LengthOp::Pow => a.powf(b),
                    LengthOp::Min => a.min(b),
                    LengthOp::Max => a.max(b),
                }
            }
        }
    }

    /// True when it does not depend on the query's step and range.
    pub(crate) fn is_constant(&self) -> bool {
        match self {
            Length::Millis(_) | Length::Seconds(_) => true,
            Length::Step | Length::Range => false,
            Length::Paren(l) | Length::Negative(l) => l.is_constant(),
            Length::Binary(_, sides) => sides.0.is_constant() && sides.1.is_constant(),
        }
    }
}
