//! Binary operators and their modifiers.

use super::super::ast::{BinaryOp, Card, Matching};
use super::super::lex::TokenKind;
use super::{Parsed, Parser};

impl Parser<'_> {
    pub(super) fn binary_op(&self) -> Parsed<Option<BinaryOp>> {
        let op = match self.peek() {
            TokenKind::Add => BinaryOp::Add,
            TokenKind::Sub => BinaryOp::Sub,
            TokenKind::Mul => BinaryOp::Mul,
            TokenKind::Div => BinaryOp::Div,
            TokenKind::Mod => BinaryOp::Mod,
            TokenKind::Pow => BinaryOp::Pow,
            TokenKind::Equal => BinaryOp::Equal,
            TokenKind::NotEqual => BinaryOp::NotEqual,
            TokenKind::Greater => BinaryOp::Greater,
            TokenKind::GreaterEqual => BinaryOp::GreaterEqual,
            TokenKind::Less => BinaryOp::Less,
            TokenKind::LessEqual => BinaryOp::LessEqual,
            TokenKind::TrimUpper => BinaryOp::TrimUpper,
            TokenKind::TrimLower => BinaryOp::TrimLower,
            TokenKind::Word(w) => match w.to_ascii_lowercase().as_str() {
                "and" => BinaryOp::And,
                "or" => BinaryOp::Or,
                "unless" => BinaryOp::Unless,
                "atan2" => BinaryOp::Atan2,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(op))
    }

    pub(super) fn binary_modifiers(&mut self, op: BinaryOp) -> Parsed<(bool, Matching)> {
        let mut matching = Matching {
            card: if op.is_set() {
                Card::ManyToMany
            } else {
                Card::OneToOne
            },
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        let bool_at = self.start();
        let returns_bool = self.eat_word("bool");
        if returns_bool && !op.is_comparison() {
            return Err((
                bool_at,
                "bool modifier can only be used on comparison operators".to_owned(),
            ));
        }
        let on = self.at_word("on");
        if (on || self.at_word("ignoring")) && self.peek_second() == &TokenKind::LeftParen {
            self.advance();
            matching.on = on;
            matching.labels = self.label_list("grouping opts")?;
            let group_at = self.start();
            let left = self.at_word("group_left");
            if left || self.at_word("group_right") {
                self.advance();
                if op.is_set() {
                    return Err((
                        group_at,
                        format!("no grouping allowed for {:?} operation", op.as_str()),
                    ));
                }
                matching.card = if left {
                    Card::ManyToOne
                } else {
                    Card::OneToMany
                };
                if self.peek() == &TokenKind::LeftParen {
                    matching.include = self.label_list("grouping opts")?;
                }
            }
            let both = matching
                .include
                .iter()
                .find(|l| matching.labels.contains(l));
            if let (true, Some(label)) = (on, both) {
                return Err((
                    group_at,
                    format!("label {label:?} must not occur in ON and GROUP clause at once"),
                ));
            }
        }
        self.fill_modifiers(op, &mut matching)?;
        Ok((returns_bool, matching))
    }

    fn fill_modifiers(&mut self, op: BinaryOp, matching: &mut Matching) -> Parsed<()> {
        loop {
            let start = self.start();
            let both = self.at_word("fill");
            let left = both || self.at_word("fill_left");
            let right = both || self.at_word("fill_right");
            if !(left || right) || self.peek_second() != &TokenKind::LeftParen {
                return Ok(());
            }
            if !self.options.fill_modifiers {
                return Err((
                    start,
                    "fill modifiers are not enabled: they are experimental in Prometheus and \
                     refused by default; feature promql-binop-fill-modifiers switches them on"
                        .to_owned(),
                ));
            }
            if op.is_set() {
                return Err((
                    start,
                    "filling in missing series not allowed for set operators".to_owned(),
                ));
            }
            let given =
                (left && matching.fill_left.is_some()) || (right && matching.fill_right.is_some());
            if given {
                return Err((start, "fill value given twice".to_owned()));
            }
            self.advance();
            self.advance();
            let value = self.fill_value()?;
            self.expect(&TokenKind::RightParen, "fill modifier")?;
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
        }
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        let mut sign = 1.0;
        if let TokenKind::Add | TokenKind::Sub = self.peek()
            && self.advance() == TokenKind::Sub
        {
            sign = -1.0;
        }
        let value = match self.peek() {
            TokenKind::Number(v) => *v,
            TokenKind::Duration(ms) => *ms as f64 / 1000.0,
            _ => return Err(self.unexpected_but("fill modifier", ", expected a number")),
        };
        self.advance();
        Ok(sign * value)
    }
}
