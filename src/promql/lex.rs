//! Splits query text into tokens, each with its byte span.
//!
//! What must stay true: never fails. A fault becomes the last token, so that the parser can
//! report an earlier one first. Inside braces words are label names, inside brackets a colon
//! stands alone.

use crate::model::duration;

use super::ast::Span;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    Word(String),
    /// A word with a colon: only a metric name.
    MetricWord(String),
    Number(f64),
    /// Milliseconds.
    Duration(i64),
    Text(String),
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Assign,
    EqualRegex,
    NotEqual,
    NotRegex,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    TrimUpper,
    TrimLower,
    At,
    End,
    Fault(String),
}

/// One token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// Splits `text`; the last token is always `End` or `Fault`.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        at: 0,
        out: Vec::new(),
        in_braces: false,
        brackets: 0,
    };
    lexer.run();
    lexer.out
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: Vec<Token>,
    in_braces: bool,
    brackets: usize,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) {
        loop {
            self.skip_blanks();
            let start = self.at;
            let result = match self.peek() {
                None => Ok(TokenKind::End),
                Some(_) => self.token(),
            };
            let done = matches!(result, Ok(TokenKind::End) | Err(_));
            let kind = result.unwrap_or_else(TokenKind::Fault);
            self.out.push(Token {
                kind,
                span: Span {
                    start,
                    end: self.at,
                },
            });
            if done {
                return;
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn take_while(&mut self, mut keep: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<TokenKind, String> {
        let Some(c) = self.peek() else {
            return Ok(TokenKind::End);
        };
        if c == '"' || c == '\'' || c == '`' {
            return self.quoted(c);
        }
        if c.is_ascii_alphabetic()
            || c == '_'
            || (c == ':' && !self.in_braces && self.brackets == 0)
        {
            return Ok(self.word());
        }
        let second = self.rest().chars().nth(1);
        if !self.in_braces
            && (c.is_ascii_digit() || (c == '.' && second.is_some_and(|s| s.is_ascii_digit())))
        {
            return self.number();
        }
        self.symbol(c)
    }

    fn symbol(&mut self, c: char) -> Result<TokenKind, String> {
        const LONG: [(&str, TokenKind); 8] = [
            ("==", TokenKind::Equal),
            ("=~", TokenKind::EqualRegex),
            ("!=", TokenKind::NotEqual),
            ("!~", TokenKind::NotRegex),
            ("<=", TokenKind::LessEqual),
            (">=", TokenKind::GreaterEqual),
            ("</", TokenKind::TrimUpper),
            (">/", TokenKind::TrimLower),
        ];
        const SHORT: [(char, TokenKind); 18] = [
            ('(', TokenKind::LeftParen),
            (')', TokenKind::RightParen),
            ('{', TokenKind::LeftBrace),
            ('}', TokenKind::RightBrace),
            ('[', TokenKind::LeftBracket),
            (']', TokenKind::RightBracket),
            (',', TokenKind::Comma),
            (':', TokenKind::Colon),
            ('=', TokenKind::Assign),
            ('+', TokenKind::Add),
            ('-', TokenKind::Sub),
            ('*', TokenKind::Mul),
            ('/', TokenKind::Div),
            ('%', TokenKind::Mod),
            ('^', TokenKind::Pow),
            ('<', TokenKind::Less),
            ('>', TokenKind::Greater),
            ('@', TokenKind::At),
        ];
        for (text, kind) in LONG {
            if self.eat(text) {
                return Ok(kind);
            }
        }
        let Some((_, kind)) = SHORT.into_iter().find(|(s, _)| *s == c) else {
            return Err(if self.in_braces {
                format!("unexpected character inside braces: {c:?}")
            } else {
                format!("unexpected character: {c:?}")
            });
        };
        self.at += 1;
        if kind == TokenKind::LeftBrace {
            self.in_braces = true;
        } else if kind == TokenKind::RightBrace {
            self.in_braces = false;
        } else if kind == TokenKind::LeftBracket {
            self.brackets += 1;
        } else if kind == TokenKind::RightBracket {
            self.brackets = self.brackets.saturating_sub(1);
        }
        Ok(kind)
    }

    fn word(&mut self) -> TokenKind {
        let colon_ends = self.brackets > 0 || self.in_braces;
        let word =
            self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && !colon_ends));
        if self.in_braces {
            return TokenKind::Word(word.to_owned());
        }
        if word.eq_ignore_ascii_case("inf") {
            TokenKind::Number(f64::INFINITY)
        } else if word.eq_ignore_ascii_case("nan") {
            TokenKind::Number(f64::NAN)
        } else if word.contains(':') {
            TokenKind::MetricWord(word.to_owned())
        } else {
            TokenKind::Word(word.to_owned())
        }
    }

    fn number(&mut self) -> Result<TokenKind, String> {
        let start = self.at;
        let mut after_exponent = false;
        let hex = matches!(self.text.as_bytes().get(self.at + 1), Some(b'x' | b'X'))
            && self.rest().starts_with('0');
        let text = self.take_while(|c| {
            let sign = after_exponent && (c == '+' || c == '-');
            after_exponent = !hex && (c == 'e' || c == 'E');
            c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign
        });
        if let Some(v) = parse_number(text) {
            return Ok(TokenKind::Number(v));
        }
        // A duration cannot hold a sign, so look at the letters and digits alone.
        self.at = start;
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
        match duration::parse(text) {
            Ok(d) => i64::try_from(d.as_millis())
                .map(TokenKind::Duration)
                .map_err(|_| "duration out of range".to_owned()),
            Err(e) if e.ends_with("too long") => Err("duration out of range".to_owned()),
            Err(_) => Err(format!("bad number or duration syntax: {text:?}")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<TokenKind, String> {
        let start = self.at;
        self.at += 1;
        if quote == '`' {
            let Some(end) = self.rest().find('`') else {
                self.at = self.text.len();
                return Err("unterminated raw string".to_owned());
            };
            let raw = self.rest()[..end].to_owned();
            self.at += end + 1;
            return Ok(TokenKind::Text(raw));
        }
        let mut end = None;
        let mut escaped = false;
        for (i, c) in self.rest().char_indices() {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == '\n' {
                break;
            } else if c == quote {
                end = Some(i);
                break;
            }
        }
        let Some(end) = end else {
            self.at = start + 1;
            return Err("unterminated quoted string".to_owned());
        };
        let raw = &self.rest()[..end];
        self.at += end + 1;
        unescape(raw).map(TokenKind::Text)
    }
}

/// Reads a number as Go does: decimal, hexadecimal, octal, binary, with underscores between
/// digits, `Inf` and `NaN` in any case; `None` when it is none.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let lower = text.to_ascii_lowercase();
    let based = |digits: &str, radix: u32| {
        let digits = digits.strip_prefix('_').unwrap_or(digits);
        let plain = without_underscores(digits)?;
        u64::from_str_radix(&plain, radix).ok().map(|v| v as f64)
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return based(digits, radix);
        }
    }
    let all_digits = lower.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if let Some(digits) = lower.strip_prefix('0')
        && all_digits
        && !digits.is_empty()
        && let Some(v) = based(digits, 8)
    {
        return Some(v);
    }
    let plain = without_underscores(&lower)?;
    let mantissa_digits = plain
        .split('e')
        .next()
        .is_some_and(|m| m.bytes().any(|b| b.is_ascii_digit()));
    let shape = plain
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    if mantissa_digits && shape {
        plain.parse().ok()
    } else {
        None
    }
}

fn without_underscores(text: &str) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let b = text.as_bytes();
    let between_digits = b.iter().enumerate().all(|(i, c)| {
        *c != b'_'
            || (i > 0
                && b[i - 1].is_ascii_hexdigit()
                && b.get(i + 1).is_some_and(u8::is_ascii_hexdigit))
    });
    between_digits.then(|| text.replace('_', ""))
}

/// Undoes the escapes of a quoted string, as Go reads them.
pub(crate) fn unescape(raw: &str) -> Result<String, String> {
    if !raw.contains('\\') {
        return Ok(raw.to_owned());
    }
    let bad = || format!("unknown escape sequence in {raw:?}");
    let mut out: Vec<u8> = Vec::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next().ok_or_else(bad)? {
            'a' => out.push(0x07),
            'b' => out.push(0x08),
            'f' => out.push(0x0c),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(0x0b),
            c @ ('\\' | '\'' | '"') => out.push(c as u8),
            'x' => out.push(code(&mut chars, 0, 2, 16).ok_or_else(bad)? as u8),
            c @ ('u' | 'U') => {
                let digits = if c == 'u' { 4 } else { 8 };
                let c = code(&mut chars, 0, digits, 16)
                    .and_then(char::from_u32)
                    .ok_or_else(bad)?;
                out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            c @ '0'..='7' => {
                let v = code(&mut chars, c as u32 - '0' as u32, 2, 8).ok_or_else(bad)?;
                out.push(u8::try_from(v).map_err(|_| bad())?);
            }
            _ => return Err(bad()),
        }
    }
    String::from_utf8(out).map_err(|_| format!("string {raw:?} is not valid UTF-8"))
}

/// Adds `digits` digits of `radix` to `value`.
fn code(chars: &mut std::str::Chars<'_>, value: u32, digits: usize, radix: u32) -> Option<u32> {
    (0..digits).try_fold(value, |v, _| {
        let d = chars.next()?.to_digit(radix)?;
        v.checked_mul(radix)?.checked_add(d)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_go() {
        for (text, want) in [
            ("5", Some(5.0)),
            ("2.", Some(2.0)),
            (".5", Some(0.5)),
            ("12.34e-6", Some(12.34e-6)),
            ("0x1F", Some(31.0)),
            ("1_000", Some(1000.0)),
            ("0b11", Some(3.0)),
            ("0o17", Some(15.0)),
            ("010", Some(8.0)),
            ("09", Some(9.0)),
            ("1e999", Some(f64::INFINITY)),
            ("Inf", Some(f64::INFINITY)),
            ("1__0", None),
            ("1_", None),
            ("5m", None),
            ("e5", None),
        ] {
            assert_eq!(parse_number(text), want, "{text}");
        }
    }

    #[test]
    fn strings_undo_escapes_and_refuse_bytes_that_are_no_text() {
        assert_eq!(unescape(r#"a\n\"\x41\101\u00e9"#).unwrap(), "a\n\"AA\u{e9}");
        assert!(unescape(r"\xff").unwrap_err().contains("UTF-8"));
        assert!(unescape(r"\q").unwrap_err().contains("escape"));
    }

    #[test]
    fn a_colon_belongs_to_names_outside_brackets_only() {
        let kinds = |t: &str| -> Vec<TokenKind> { tokens(t).into_iter().map(|t| t.kind).collect() };
        assert_eq!(
            kinds("a:b[5m:1m]"),
            [
                TokenKind::MetricWord("a:b".to_owned()),
                TokenKind::LeftBracket,
                TokenKind::Duration(300_000),
                TokenKind::Colon,
                TokenKind::Duration(60_000),
                TokenKind::RightBracket,
                TokenKind::End
            ]
        );
    }
}
