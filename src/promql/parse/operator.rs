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
            TokenKind::TrimUpper | TokenKind::TrimLower => {
                return Err((
                    self.start(),
                    "the trimming operators </ and >/ are not supported yet".to_owned(),
                ));
            }
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
        if ["fill", "fill_left", "fill_right"]
            .iter()
            .any(|w| self.at_word(w))
            && self.peek_second() == &TokenKind::LeftParen
        {
            return Err((
                self.start(),
                "fill modifiers are experimental and not supported yet".to_owned(),
            ));
        }
        Ok((returns_bool, matching))
    }
}
