//! Series as test scripts and rule tests write them: `name{label="value", …}`.

use crate::model::labels::NAME;
use crate::model::{Labels, LabelsBuilder};

use super::super::lex::{TokenKind, tokens};
use super::{ParseError, Parsed, Parser, parse_error};

/// Reads the series at the start of `text`: its labels, and where it ends in bytes. Label values
/// may be empty, which means no label. `{{` is not part of a series.
pub fn parse_series(text: &str) -> Result<(Labels, usize), ParseError> {
    let mut parser = Parser {
        text,
        tokens: tokens(text),
        at: 0,
        options: Default::default(),
        depth: 0,
        next_id: 0,
        regexes: 0,
    };
    let labels = parser.series().map_err(|f| parse_error(text, f))?;
    Ok((labels, parser.end()))
}

impl Parser<'_> {
    fn series(&mut self) -> Parsed<Labels> {
        let mut labels = LabelsBuilder::default();
        let mut named = false;
        if let TokenKind::Word(name) | TokenKind::MetricWord(name) = self.peek() {
            labels.set(NAME, name);
            named = true;
            self.advance();
        }
        let braces =
            self.peek() == &TokenKind::LeftBrace && self.peek_second() != &TokenKind::LeftBrace;
        if braces {
            self.advance();
            self.series_labels(&mut labels)?;
        } else if !named {
            return Err(self.unexpected_but("series description", ", expected a metric"));
        }
        Ok(labels.build())
    }

    fn series_labels(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        const CONTEXT: &str = "series description";
        while !self.eat(&TokenKind::RightBrace) {
            let (name, quoted) = match self.peek().clone() {
                TokenKind::Word(w) => (w, false),
                TokenKind::Text(t) => (t, true),
                _ => return Err(self.unexpected_but(CONTEXT, ", expected a label")),
            };
            self.advance();
            if self.eat(&TokenKind::Assign) {
                let TokenKind::Text(value) = self.peek().clone() else {
                    return Err(self.unexpected_but(CONTEXT, ", expected string"));
                };
                self.advance();
                labels.set(&name, &value);
            } else if quoted {
                labels.set(NAME, &name);
            } else {
                return Err(self.unexpected_but(CONTEXT, ", expected \"=\""));
            }
            if self.peek() != &TokenKind::RightBrace && !self.eat(&TokenKind::Comma) {
                return Err(self.unexpected_but(CONTEXT, ", expected \",\" or \"}\""));
            }
        }
        Ok(())
    }
}
