//! Cuts a template into text and actions, and an action into tokens.

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The tokens of one action and the byte offset of its `{{`.
    Action(Vec<Token>, usize),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) at: usize,
    /// True when blanks stand before it.
    pub(super) spaced: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A keyword, a function, `true`, `false` or `nil`.
    Word(String),
    /// `.name`
    Field(String),
    /// `.`
    Dot,
    /// `$` or `$name`, with the dollar.
    Variable(String),
    Int(i64),
    Float(f64),
    Str(String),
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Pipe,
    Comma,
    Open,
    Close,
}

type Error = (String, usize);

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts `text`; the error is a message and a byte offset.
pub(super) fn lex(text: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    loop {
        let rest = &text[at..];
        let open = rest.find("{{");
        let mut plain = &rest[..open.unwrap_or(rest.len())];
        if trim_next {
            plain = plain.trim_start_matches(BLANKS);
        }
        let Some(open) = open else {
            if !plain.is_empty() {
                pieces.push(Piece::Text(plain.to_owned()));
            }
            return Ok(pieces);
        };
        let start = at + open;
        let mut inner = start + 2;
        if text[inner..].starts_with('-') && text[inner + 1..].starts_with(BLANKS) {
            plain = plain.trim_end_matches(BLANKS);
            inner += 2;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.to_owned()));
        }
        let mut lexer = Lexer { text, at: inner };
        if text[inner..].starts_with("/*") {
            trim_next = lexer.comment(start)?;
        } else {
            let (tokens, trim) = lexer.action(start)?;
            trim_next = trim;
            pieces.push(Piece::Action(tokens, start));
        }
        at = lexer.at;
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Steps over a right delimiter, if there is one here; says whether it trims what follows.
    fn close(&mut self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with(BLANKS) && rest[1..].starts_with("-}}") {
            self.at += 4;
            return Some(true);
        }
        if rest.starts_with("}}") {
            self.at += 2;
            return Some(false);
        }
        None
    }

    fn comment(&mut self, start: usize) -> Result<bool, Error> {
        let end = self
            .rest()
            .find("*/")
            .ok_or_else(|| ("unclosed comment".to_owned(), start))?;
        self.at += end + 2;
        self.close()
            .ok_or_else(|| ("comment ends before closing delimiter".to_owned(), start))
    }

    fn action(&mut self, start: usize) -> Result<(Vec<Token>, bool), Error> {
        let mut tokens = Vec::new();
        loop {
            if let Some(trim) = self.close() {
                return Ok((tokens, trim));
            }
            let before = self.at;
            while self.close_ahead().is_none() && self.rest().starts_with(BLANKS) {
                self.at += 1;
            }
            let spaced = self.at > before;
            if let Some(trim) = self.close() {
                return Ok((tokens, trim));
            }
            let at = self.at;
            let kind = self.token(start)?;
            tokens.push(Token { kind, at, spaced });
        }
    }

    fn close_ahead(&self) -> Option<()> {
        let rest = self.rest();
        (rest.starts_with(BLANKS) && rest[1..].starts_with("-}}")).then_some(())
    }

    fn token(&mut self, start: usize) -> Result<TokenKind, Error> {
        let at = self.at;
        let rest = &self.text[at..];
        let mut chars = rest.chars();
        let Some(c) = chars.next() else {
            return Err(("unclosed action".to_owned(), start));
        };
        let second = chars.next();
        let one = |kind| Ok((kind, 1));
        let (kind, len) = match c {
            '(' => one(TokenKind::Open)?,
            ')' => one(TokenKind::Close)?,
            '|' => one(TokenKind::Pipe)?,
            ',' => one(TokenKind::Comma)?,
            '=' => one(TokenKind::Assign)?,
            ':' if second == Some('=') => (TokenKind::Declare, 2),
            '"' => self.quoted()?,
            '`' => {
                let end = rest[1..]
                    .find('`')
                    .ok_or_else(|| ("unterminated raw quoted string".to_owned(), at))?;
                (TokenKind::Str(rest[1..=end].to_owned()), end + 2)
            }
            '\'' => self.character()?,
            '$' => {
                let len = 1 + word_len(&rest[1..]);
                (TokenKind::Variable(rest[..len].to_owned()), len)
            }
            '.' if !second.is_some_and(|d| d.is_ascii_digit()) => {
                let len = word_len(&rest[1..]);
                if len == 0 {
                    (TokenKind::Dot, 1)
                } else {
                    (TokenKind::Field(rest[1..=len].to_owned()), len + 1)
                }
            }
            '+' | '-' | '.' | '0'..='9' => self.number()?,
            c if c.is_alphabetic() || c == '_' => {
                let len = word_len(rest);
                (TokenKind::Word(rest[..len].to_owned()), len)
            }
            other => return Err((format!("unexpected {other:?} in action"), at)),
        };
        self.at += len;
        Ok(kind)
    }

    fn number(&self) -> Result<(TokenKind, usize), Error> {
        let rest = self.rest();
        let body = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let mut len = 0;
        let hex = body.starts_with("0x") || body.starts_with("0X");
        for (i, c) in body.char_indices() {
            let exponent_sign = (c == '+' || c == '-') && !hex && body[..i].ends_with(['e', 'E']);
            if c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent_sign {
                len = i + 1;
            } else {
                break;
            }
        }
        let sign = rest.len() - body.len();
        let text = &rest[..sign + len];
        let bad = || (format!("bad number syntax: {text:?}"), self.at);
        let digits = body[..len].replace('_', "");
        let radix = match digits.get(..2) {
            Some("0x" | "0X") => Some(16),
            Some("0b" | "0B") => Some(2),
            Some("0o" | "0O") => Some(8),
            _ => None,
        };
        let negative = text.starts_with('-');
        let int = |digits: &str, radix| {
            let n = i64::from_str_radix(digits, radix).map_err(|_| bad())?;
            Ok(TokenKind::Int(if negative { -n } else { n }))
        };
        let kind = if let Some(radix) = radix {
            int(&digits[2..], radix)?
        } else if digits.contains(['.', 'e', 'E']) {
            let f: f64 = digits.parse().map_err(|_| bad())?;
            TokenKind::Float(if negative { -f } else { f })
        } else if digits.len() > 1 && digits.starts_with('0') {
            int(&digits, 8)?
        } else {
            int(&digits, 10)?
        };
        Ok((kind, sign + len))
    }

    fn quoted(&self) -> Result<(TokenKind, usize), Error> {
        let rest = self.rest();
        let mut out = Vec::new();
        let mut at = 1;
        loop {
            let unterminated = || ("unterminated quoted string".to_owned(), self.at);
            match rest[at..].chars().next() {
                None | Some('\n') => return Err(unterminated()),
                Some('"') => {
                    let text = String::from_utf8_lossy(&out).into_owned();
                    return Ok((TokenKind::Str(text), at + 1));
                }
                Some('\\') => {
                    at += escape(&rest[at..], &mut out).map_err(|e| (e, self.at + at))?;
                }
                Some(c) => {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    at += c.len_utf8();
                }
            }
        }
    }

    fn character(&self) -> Result<(TokenKind, usize), Error> {
        let rest = self.rest();
        let bad = || ("malformed character constant".to_owned(), self.at);
        let mut out = Vec::new();
        let len = match rest[1..].chars().next() {
            None | Some('\'' | '\n') => return Err(bad()),
            Some('\\') => escape(&rest[1..], &mut out).map_err(|_| bad())?,
            Some(c) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                c.len_utf8()
            }
        };
        if !rest[1 + len..].starts_with('\'') {
            return Err(bad());
        }
        let c = String::from_utf8_lossy(&out)
            .chars()
            .next()
            .ok_or_else(bad)?;
        Ok((TokenKind::Int(i64::from(u32::from(c))), len + 2))
    }
}

/// Length of the identifier at the start of `text`.
fn word_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// Reads one of Go's escapes at the start of `text` and says how long it is.
fn escape(text: &str, out: &mut Vec<u8>) -> Result<usize, String> {
    let bad = || "bad escape in string; accepted: Go's escapes, e.g. \\n, \\\", \\u00e9".to_owned();
    let c = text[1..].chars().next().ok_or_else(bad)?;
    let mut code = |from: usize, digits: usize, radix: u32, bytes: bool| {
        let digits_text = text.get(from..from + digits).ok_or_else(bad)?;
        let n = u32::from_str_radix(digits_text, radix).map_err(|_| bad())?;
        if bytes {
            out.push(u8::try_from(n).map_err(|_| bad())?);
        } else {
            let c = char::from_u32(n).ok_or_else(bad)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(from + digits)
    };
    match c {
        'x' => return code(2, 2, 16, true),
        'u' => return code(2, 4, 16, false),
        'U' => return code(2, 8, 16, false),
        '0'..='7' => return code(1, 3, 8, true),
        _ => {}
    }
    out.push(match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '\'' => b'\'',
        '"' => b'"',
        _ => return Err(bad()),
    });
    Ok(2)
}
