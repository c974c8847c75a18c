//! Function calls and aggregations.

use crate::model::Matcher;
use crate::model::labels::NAME;

use super::super::ast::{
    Aggregate, AggregateOp, Call, Edges, Expr, ExprKind, Selector, Shift, Span,
};
use super::super::functions;
use super::super::lex::TokenKind;
use super::{Node, Parsed, Parser};

impl Parser<'_> {
    pub(super) fn call(&mut self, name: &str) -> Parsed<Node> {
        let start = self.start();
        // The names that durations know as words are accepted in any case.
        let lower = name.to_ascii_lowercase();
        let known = if matches!(lower.as_str(), "start" | "end" | "step" | "range") {
            functions::named(&lower)
        } else {
            functions::named(name)
        };
        let Some(function) = known else {
            return Err((
                start,
                match lower.as_str() {
                    "start_timestamp" => format!("function {name:?} is not supported yet"),
                    _ => format!("unknown function with name {name:?}"),
                },
            ));
        };
        if function.experimental && !self.options.experimental_functions {
            return Err((
                start,
                format!(
                    "function {name:?} is not enabled: it is experimental in Prometheus and \
                     refused by default; feature promql-experimental-functions switches it on"
                ),
            ));
        }
        self.advance();
        let (args, depth) = if matches!(function.id, functions::Func::Info) {
            self.info_arguments()?
        } else {
            self.arguments("function call")?
        };
        let span = Span {
            start,
            end: self.end(),
        };
        let kind = ExprKind::Call(Call { function, args });
        Ok((Expr { kind, span }, depth + 1))
    }

    /// `( expr, … )`, a trailing comma not allowed.
    fn arguments(&mut self, context: &str) -> Parsed<(Vec<Expr>, usize)> {
        self.expect(&TokenKind::LeftParen, context)?;
        let mut args = Vec::new();
        let mut deepest = 0;
        if self.eat(&TokenKind::RightParen) {
            return Ok((args, deepest));
        }
        loop {
            let (arg, depth) = self.nested(|p| p.expr(0))?;
            args.push(arg);
            deepest = deepest.max(depth);
            if self.eat(&TokenKind::RightParen) {
                return Ok((args, deepest));
            }
            if !self.eat(&TokenKind::Comma) {
                return Err(self.unexpected(context));
            }
            if self.peek() == &TokenKind::RightParen {
                return Err((
                    self.start(),
                    "trailing commas not allowed in function call args".to_owned(),
                ));
            }
        }
    }

    /// `( expr [, {matchers}] )`; without matchers, those of `target_info`.
    fn info_arguments(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        const CONTEXT: &str = "function call";
        self.expect(&TokenKind::LeftParen, CONTEXT)?;
        let (base, depth) = self.nested(|p| p.expr(0))?;
        let info = if self.eat(&TokenKind::Comma) {
            self.label_selector()?.0
        } else {
            let at = self.start();
            Expr {
                kind: ExprKind::Selector(Selector {
                    id: self.fresh_id(),
                    matchers: vec![Matcher::equal(NAME, functions::TARGET_INFO)],
                    shift: Shift::default(),
                    edges: Edges::Plain,
                    span: Span { start: at, end: at },
                }),
                span: Span { start: at, end: at },
            }
        };
        self.expect(&TokenKind::RightParen, CONTEXT)?;
        Ok((vec![base, info], depth))
    }

    pub(super) fn aggregate(&mut self, op: AggregateOp) -> Parsed<Node> {
        let start = self.start();
        if op.is_experimental() && !self.options.experimental_functions {
            return Err((
                start,
                format!(
                    "aggregation {:?} is not enabled: it is experimental in Prometheus and \
                     refused by default; feature promql-experimental-functions switches it on",
                    op.as_str()
                ),
            ));
        }
        self.advance();
        let mut modifier = self.aggregate_modifier()?;
        let (mut args, depth) = self.arguments("aggregation")?;
        if modifier.is_none() {
            modifier = self.aggregate_modifier()?;
        }
        let span = Span {
            start,
            end: self.end(),
        };
        let wanted = if op.takes_param() { 2 } else { 1 };
        if args.is_empty() {
            return Err((
                start,
                "no arguments for aggregate expression provided".to_owned(),
            ));
        }
        if args.len() != wanted {
            return Err((
                start,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected \
                     {wanted}, got {}",
                    args.len()
                ),
            ));
        }
        let modified = modifier.is_some();
        let (without, labels) = modifier.unwrap_or_default();
        let aggregate = match (args.pop(), args.pop()) {
            (Some(expr), param) => Aggregate {
                op,
                param,
                expr,
                labels,
                without,
                modified,
            },
            (None, _) => return Err(self.unexpected("aggregation")),
        };
        let kind = ExprKind::Aggregate(Box::new(aggregate));
        Ok((Expr { kind, span }, depth + 1))
    }

    /// `by (…)` or `without (…)`: whether it is `without`, and the labels.
    fn aggregate_modifier(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = self.at_word("without");
        if !without && !self.at_word("by") {
            return Ok(None);
        }
        self.advance();
        Ok(Some((without, self.label_list("grouping opts")?)))
    }

    /// `( label, … )`, a trailing comma allowed.
    pub(super) fn label_list(&mut self, context: &str) -> Parsed<Vec<String>> {
        self.expect(&TokenKind::LeftParen, context)?;
        let mut labels = Vec::new();
        loop {
            if self.eat(&TokenKind::RightParen) {
                return Ok(labels);
            }
            match self.peek().clone() {
                TokenKind::Word(w) => labels.push(w),
                TokenKind::Text(t) if !t.is_empty() => labels.push(t),
                TokenKind::Number(_) if self.number_is_word() => {
                    let span = self.tokens[self.at].span;
                    labels.push(self.text[span.start..span.end].to_owned());
                }
                _ => return Err(self.unexpected_but(context, ", expected label")),
            }
            self.advance();
            if self.peek() != &TokenKind::RightParen && !self.eat(&TokenKind::Comma) {
                return Err(self.unexpected_but(context, ", expected \",\" or \")\""));
            }
        }
    }

    /// `inf` and `nan` are numbers, but also label names.
    fn number_is_word(&self) -> bool {
        let span = self.tokens[self.at].span;
        self.text[span.start..]
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic())
    }
}
