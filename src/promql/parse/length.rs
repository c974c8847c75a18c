//! Lengths of time: durations, numbers of seconds, and arithmetic on them.

use super::super::ast::{Length, LengthOp};
use super::super::lex::TokenKind;
use super::{Parsed, Parser};

impl Parser<'_> {
    /// What may stand in brackets.
    pub(super) fn length(&mut self) -> Parsed<Length> {
        self.length_at_least(1)
    }

    /// What may follow `offset`: a literal with a sign, `step()`, `range()`, `min_of`, `max_of`,
    /// or arithmetic in parentheses.
    pub(super) fn offset_length(&mut self) -> Parsed<Length> {
        let start = self.start();
        let length = self.nested(Self::signed_length)?;
        self.check_range(&length, start)?;
        Ok(length)
    }

    fn signed_length(&mut self) -> Parsed<Length> {
        match self.peek() {
            TokenKind::Add => {
                self.advance();
                self.nested(Self::signed_length)
            }
            TokenKind::Sub => {
                self.advance();
                let inner = self.nested(Self::signed_length)?;
                Ok(Length::Negative(Box::new(inner)))
            }
            _ => self.length_operand(),
        }
    }

    fn length_at_least(&mut self, least: u8) -> Parsed<Length> {
        let mut left = self.nested(Self::length_unary)?;
        let mut levels = 0;
        loop {
            let (op, precedence) = match self.peek() {
                TokenKind::Add => (LengthOp::Add, 1),
                TokenKind::Sub => (LengthOp::Sub, 1),
                TokenKind::Mul => (LengthOp::Mul, 2),
                TokenKind::Div => (LengthOp::Div, 2),
                TokenKind::Mod => (LengthOp::Mod, 2),
                TokenKind::Pow => (LengthOp::Pow, 3),
                _ => return Ok(left),
            };
            if precedence < least {
                return Ok(left);
            }
            let op_at = self.start();
            self.advance();
            levels += 1;
            self.check_depth(self.depth + levels, op_at)?;
            let right_least = if op == LengthOp::Pow {
                precedence
            } else {
                precedence + 1
            };
            let right = self.nested(|p| p.length_at_least(right_least))?;
            if matches!(op, LengthOp::Div | LengthOp::Mod)
                && right.is_constant()
                && right.millis(0, 0) == Some(0)
            {
                let what = if op == LengthOp::Div {
                    "division by zero"
                } else {
                    "modulo by zero"
                };
                return Err((op_at, what.to_owned()));
            }
            left = Length::Binary(op, Box::new((left, right)));
        }
    }

    /// A sign binds looser than `^` and as tight as `*`.
    fn length_unary(&mut self) -> Parsed<Length> {
        match self.peek() {
            TokenKind::Add => {
                self.advance();
                self.nested(|p| p.length_at_least(3))
            }
            TokenKind::Sub => {
                self.advance();
                let inner = self.nested(|p| p.length_at_least(3))?;
                Ok(Length::Negative(Box::new(inner)))
            }
            _ => self.length_operand(),
        }
    }

    fn length_operand(&mut self) -> Parsed<Length> {
        let word = match self.peek() {
            TokenKind::Duration(ms) => {
                let ms = *ms;
                self.advance();
                return Ok(Length::Millis(ms));
            }
            TokenKind::Number(v) => {
                let v = *v;
                let start = self.start();
                self.advance();
                if !v.is_finite() || v.abs() > 9.0e15 {
                    return Err((start, "duration out of range".to_owned()));
                }
                return Ok(Length::Seconds(v));
            }
            TokenKind::LeftParen => {
                self.advance();
                let inner = self.nested(|p| p.length_at_least(1))?;
                self.expect(&TokenKind::RightParen, "duration expression")?;
                return Ok(Length::Paren(Box::new(inner)));
            }
            TokenKind::Word(w) => w.to_ascii_lowercase(),
            _ => {
                return Err(
                    self.unexpected_but("duration expression", ", expected number or duration")
                );
            }
        };
        const CONTEXT: &str = "duration expression";
        match word.as_str() {
            "step" | "range" => {
                self.advance();
                self.expect(&TokenKind::LeftParen, CONTEXT)?;
                self.expect(&TokenKind::RightParen, CONTEXT)?;
                Ok(if word == "step" {
                    Length::Step
                } else {
                    Length::Range
                })
            }
            "min_of" | "max_of" => {
                self.advance();
                self.expect(&TokenKind::LeftParen, CONTEXT)?;
                let a = self.nested(|p| p.length_at_least(1))?;
                self.expect(&TokenKind::Comma, CONTEXT)?;
                let b = self.nested(|p| p.length_at_least(1))?;
                self.expect(&TokenKind::RightParen, CONTEXT)?;
                let op = if word == "min_of" {
                    LengthOp::Min
                } else {
                    LengthOp::Max
                };
                Ok(Length::Binary(op, Box::new((a, b))))
            }
            _ => Err(self.unexpected_but(CONTEXT, ", expected number or duration")),
        }
    }

    /// Refuses a constant length that is zero, negative or out of range.
    pub(super) fn check_positive(&self, length: &Length, offset: usize) -> Parsed<()> {
        self.check_range(length, offset)?;
        if length.is_constant() && length.millis(0, 0).is_some_and(|ms| ms <= 0) {
            return Err((offset, "duration must be greater than 0".to_owned()));
        }
        Ok(())
    }

    fn check_range(&self, length: &Length, offset: usize) -> Parsed<()> {
        // A thousand years either way; no sum of two of them overflows.
        const LIMIT: i64 = 1000 * 365 * 86_400_000;
        let ok = !length.is_constant() || length.millis(0, 0).is_some_and(|ms| ms.abs() <= LIMIT);
        if ok {
            Ok(())
        } else {
            Err((offset, "duration out of range".to_owned()))
        }
    }
}
