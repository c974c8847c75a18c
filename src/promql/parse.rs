//! Query text to expression tree.
//!
//! What must stay true: an error names the first place that is wrong. No input panics or
//! overflows the stack: [`MAX_NESTING`] and [`MAX_DEPTH`] bound the tree. What this engine cannot
//! evaluate is refused here, with its position.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a token is one of dozens, and every other one is the same error"
)]

use std::fmt;

use crate::model::Position;

use super::ast::{AggregateOp, Binary, BinaryOp, Expr, ExprKind, Span, Subquery};
use super::check;
use super::lex::{Token, TokenKind, tokens};

mod call;
mod length;
mod operator;
mod selector;
mod series;

/// Most brackets, calls and operators inside one another that an expression may have.
pub const MAX_NESTING: usize = 100;

/// Most levels of the tree: a chain of operators is as deep as it is long.
pub const MAX_DEPTH: usize = 250;

/// Most regular expressions in the matchers of one query: each may take a megabyte once compiled.
pub const MAX_REGEXES: usize = 100;

/// Longest query text in bytes.
pub const MAX_LENGTH: usize = 1 << 20;

/// What is accepted beyond the default language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParseOptions {
    /// Functions and aggregations that Prometheus calls experimental.
    pub experimental_functions: bool,
    /// The selector modifiers `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right` after binary operators.
    pub fill_modifiers: bool,
}

impl ParseOptions {
    /// Everything switched on, as the official tests need it.
    pub fn all() -> Self {
        ParseOptions {
            experimental_functions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

pub use series::parse_series;

/// Why a text is not a valid expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Byte offset in the text.
    pub offset: usize,
    /// Line and column in the text.
    pub position: Position,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: parse error: {}",
            self.position.line, self.position.column, self.message
        )
    }
}

/// Reads an expression of the default language.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    parse_with(text, ParseOptions::default())
}

/// Reads an expression with switches.
pub fn parse_with(text: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    let fault = |f: Fault| parse_error(text, f);
    if text.len() > MAX_LENGTH {
        return Err(fault((
            0,
            format!(
                "query of {} bytes is over the limit of {MAX_LENGTH}",
                text.len()
            ),
        )));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text),
        at: 0,
        options,
        depth: 0,
        next_id: 0,
        regexes: 0,
    };
    let expr = parser.whole().map_err(fault)?;
    check::types(&expr).map_err(|(span, message)| fault((span.start, message)))?;
    Ok(expr)
}

fn parse_error(text: &str, (offset, message): Fault) -> ParseError {
    ParseError {
        message,
        offset,
        position: Position::of_offset(text, offset),
    }
}

/// Byte offset and message.
type Fault = (usize, String);
type Parsed<T> = Result<T, Fault>;

/// An expression with the number of its levels.
type Node = (Expr, usize);

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    options: ParseOptions,
    depth: usize,
    next_id: usize,
    regexes: usize,
}

impl Parser<'_> {
    fn whole(&mut self) -> Parsed<Expr> {
        if self.peek() == &TokenKind::End {
            return Err((0, "no expression found in input".to_owned()));
        }
        let (expr, _) = self.expr(0)?;
        match self.peek() {
            TokenKind::End => Ok(expr),
            _ => Err(self.unexpected("")),
        }
    }

    fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn peek_second(&self) -> &TokenKind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + 1).min(last)].kind
    }

    fn start(&self) -> usize {
        self.tokens[self.at].span.start
    }

    /// End of the token before.
    fn end(&self) -> usize {
        self.at
            .checked_sub(1)
            .map_or(0, |i| self.tokens[i].span.end)
    }

    /// Moves past the current token and returns what it was.
    fn advance(&mut self) -> TokenKind {
        let kind = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        kind
    }

    fn eat(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek() == kind;
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, kind: &TokenKind, context: &str) -> Parsed<()> {
        if self.eat(kind) {
            Ok(())
        } else {
            Err(self.unexpected_but(context, &format!(", expected {}", describe_kind(kind))))
        }
    }

    /// True when the current token is this keyword, in any case.
    fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), TokenKind::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn unexpected(&self, context: &str) -> Fault {
        self.unexpected_but(context, "")
    }

    fn unexpected_but(&self, context: &str, expected: &str) -> Fault {
        let token = &self.tokens[self.at];
        let message = if let TokenKind::Fault(m) = &token.kind {
            m.clone()
        } else {
            let what = self.describe(token);
            let place = if context.is_empty() {
                String::new()
            } else {
                format!(" in {context}")
            };
            format!("unexpected {what}{place}{expected}")
        };
        (token.span.start, message)
    }

    fn describe(&self, token: &Token) -> String {
        let text = &self.text[token.span.start..token.span.end];
        match &token.kind {
            TokenKind::End => "end of input".to_owned(),
            TokenKind::Word(w) | TokenKind::MetricWord(w) => format!("identifier {w:?}"),
            TokenKind::Number(_) => format!("number {text:?}"),
            TokenKind::Duration(_) => format!("duration {text:?}"),
            TokenKind::Text(_) => format!("string {text}"),
            _ => format!("{text:?}"),
        }
    }

    /// Runs `f` one level deeper.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err((
                self.start(),
                format!("expression is nested deeper than the limit of {MAX_NESTING}"),
            ));
        }
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn check_depth(&self, depth: usize, offset: usize) -> Parsed<()> {
        if depth > MAX_DEPTH {
            return Err((
                offset,
                format!("expression has more than the limit of {MAX_DEPTH} levels of operators"),
            ));
        }
        Ok(())
    }

    fn fresh_id(&mut self) -> usize {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Operators that bind at least as tight as `least`.
    fn expr(&mut self, least: u8) -> Parsed<Node> {
        let (mut left, mut depth) = self.operand()?;
        while let Some(op) = self.binary_op()? {
            let precedence = op.precedence();
            if precedence < least {
                break;
            }
            let op_start = self.start();
            self.advance();
            let (returns_bool, matching) = self.binary_modifiers(op)?;
            let right_least = if op == BinaryOp::Pow {
                precedence
            } else {
                precedence + 1
            };
            let (right, right_depth) = self.nested(|p| p.expr(right_least))?;
            depth = depth.max(right_depth) + 1;
            self.check_depth(depth, op_start)?;
            let span = Span {
                start: left.span.start,
                end: right.span.end,
            };
            left = Expr {
                kind: ExprKind::Binary(Box::new(Binary {
                    op,
                    left,
                    right,
                    returns_bool,
                    matching,
                })),
                span,
            };
        }
        Ok((left, depth))
    }

    /// A unary operator with what it binds, or a primary expression with its postfixes.
    fn operand(&mut self) -> Parsed<Node> {
        let start = self.start();
        let negative = match self.peek() {
            TokenKind::Add => false,
            TokenKind::Sub => true,
            _ => return self.postfixed(),
        };
        self.advance();
        let (expr, depth) = self.nested(|p| p.expr(BinaryOp::Pow.precedence()))?;
        let span = Span {
            start,
            end: expr.span.end,
        };
        let kind = match expr.kind {
            ExprKind::Number(v) => ExprKind::Number(if negative { -v } else { v }),
            ExprKind::String(_)
            | ExprKind::Paren(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Call(_)
            | ExprKind::Selector(_)
            | ExprKind::Range { .. }
            | ExprKind::Subquery(_) => ExprKind::Unary {
                negative,
                expr: Box::new(expr),
            },
        };
        let depth = depth + 1;
        self.check_depth(depth, start)?;
        Ok((Expr { kind, span }, depth))
    }

    fn postfixed(&mut self) -> Parsed<Node> {
        let (mut expr, mut depth) = self.primary()?;
        loop {
            if self.peek() == &TokenKind::LeftBracket {
                expr = self.bracket(expr)?;
                depth += 1;
                self.check_depth(depth, expr.span.start)?;
            } else if self.at_word("offset") {
                self.offset(&mut expr)?;
            } else if self.peek() == &TokenKind::At {
                self.at_modifier(&mut expr)?;
            } else if self.at_word("anchored") || self.at_word("smoothed") {
                self.edges(&mut expr)?;
            } else {
                return Ok((expr, depth));
            }
            expr.span.end = self.end();
        }
    }

    fn primary(&mut self) -> Parsed<Node> {
        let start = self.start();
        let word = match self.peek() {
            TokenKind::Number(v) => {
                let v = *v;
                return Ok(self.literal(ExprKind::Number(v)));
            }
            TokenKind::Duration(ms) => {
                let v = *ms as f64 / 1000.0;
                return Ok(self.literal(ExprKind::Number(v)));
            }
            TokenKind::Text(t) => {
                let t = t.clone();
                return Ok(self.literal(ExprKind::String(t)));
            }
            TokenKind::LeftParen => {
                self.advance();
                let (inner, depth) = self.nested(|p| p.expr(0))?;
                self.expect(&TokenKind::RightParen, "parenthesized expression")?;
                let span = Span {
                    start,
                    end: self.end(),
                };
                let kind = ExprKind::Paren(Box::new(inner));
                return Ok((Expr { kind, span }, depth + 1));
            }
            TokenKind::LeftBrace | TokenKind::MetricWord(_) => return self.vector_selector(),
            TokenKind::Word(w) => w.clone(),
            _ => return Err(self.unexpected("")),
        };
        if let Some(op) = AggregateOp::named(&word) {
            let is_aggregate = match self.peek_second() {
                TokenKind::LeftParen => true,
                TokenKind::Word(w) => {
                    w.eq_ignore_ascii_case("by") || w.eq_ignore_ascii_case("without")
                }
                _ => false,
            };
            if is_aggregate {
                return self.aggregate(op);
            }
        }
        if self.peek_second() == &TokenKind::LeftParen {
            return self.call(&word);
        }
        self.vector_selector()
    }

    fn literal(&mut self, kind: ExprKind) -> Node {
        let span = self.tokens[self.at].span;
        self.advance();
        (Expr { kind, span }, 1)
    }

    /// `[range]` or `[range:step]` after an expression.
    fn bracket(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.start();
        let start = expr.span.start;
        self.advance();
        let range = self.length()?;
        if self.eat(&TokenKind::Colon) {
            let step = if self.peek() == &TokenKind::RightBracket {
                None
            } else {
                Some(self.length()?)
            };
            self.expect(&TokenKind::RightBracket, "subquery selector")?;
            self.check_positive(&range, open)?;
            if let Some(step) = &step {
                self.check_positive(step, open)?;
            }
            let id = self.fresh_id();
            let span = Span {
                start,
                end: self.end(),
            };
            return Ok(Expr {
                kind: ExprKind::Subquery(Box::new(Subquery {
                    id,
                    expr,
                    range,
                    step,
                    shift: super::ast::Shift::default(),
                })),
                span,
            });
        }
        self.expect(&TokenKind::RightBracket, "range selector")?;
        self.check_positive(&range, open)?;
        let ExprKind::Selector(selector) = expr.kind else {
            return Err((open, "ranges only allowed for vector selectors".to_owned()));
        };
        if selector.shift.offset.is_some() {
            return Err((open, "no offset modifiers allowed before range".to_owned()));
        }
        if selector.shift.at.is_some() {
            return Err((open, "no @ modifiers allowed before range".to_owned()));
        }
        let span = Span {
            start,
            end: self.end(),
        };
        Ok(Expr {
            kind: ExprKind::Range { selector, range },
            span,
        })
    }
}

fn describe_kind(kind: &TokenKind) -> &'static str {
    match kind {
        TokenKind::LeftParen => "\"(\"",
        TokenKind::RightParen => "\")\"",
        TokenKind::RightBracket => "\"]\"",
        TokenKind::RightBrace => "\"}\"",
        TokenKind::Comma => "\",\"",
        _ => "another token",
    }
}

#[cfg(test)]
mod tests;
