//! Conditions in a small vocabulary, with three truth values.
//!
//! `fires(SIGN)`, `fires_here(SIGN)` (on the host of the leading sign), `acts(SIGN)` (at act or
//! now), `rung >= L2`, `rung <= L1`, `present(STEP)`, `absent(STEP)`, `fact(ID)`, `known(ID)`, `before_in_place`,
//! joined by `and`, `or`, `not` and parentheses.

use std::fmt;

use serde::Deserialize;

const VOCABULARY: &str = "fires(SIGN), fires_here(SIGN), acts(SIGN), rung >= L2, rung <= L1, present(STEP), \
                          absent(STEP), fact(ID), known(ID), before_in_place, and, or, not, ( )";

/// Nested parentheses and `not`s deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// True, false, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody has said and nothing shows it.
    Unknown,
}

impl Truth {
    /// From a plain condition.
    pub fn from_bool(b: bool) -> Self {
        if b { Truth::True } else { Truth::False }
    }

    fn not(self) -> Self {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

/// One condition on something that has a truth value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Atom {
    /// A sign is at plan or higher.
    Fires {
        /// Sign id.
        sign: String,
        /// Only an instance on the leading sign's host counts.
        here: bool,
    },
    /// A sign is at act or now.
    Acts(String),
    /// The current rung is this one or above.
    RungAtLeast(String),
    /// The current rung is this one or below.
    RungAtMost(String),
    /// A step is in place.
    Present(String),
    /// A step is known to be absent.
    Absent(String),
    /// A fact holds.
    Fact(String),
    /// A fact is known, whichever way; never unknown itself.
    Known(String),
    /// Every candidate before this one in its row is in place.
    BeforeInPlace,
}

/// What an atom refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefKind {
    Sign,
    Rung,
    Step,
    Fact,
}

impl Atom {
    /// The id it refers to, for the cross-check.
    pub(crate) fn reference(&self) -> Option<(RefKind, &str)> {
        match self {
            Atom::Fires { sign, .. } | Atom::Acts(sign) => Some((RefKind::Sign, sign)),
            Atom::RungAtLeast(id) | Atom::RungAtMost(id) => Some((RefKind::Rung, id)),
            Atom::Present(id) | Atom::Absent(id) => Some((RefKind::Step, id)),
            Atom::Fact(id) | Atom::Known(id) => Some((RefKind::Fact, id)),
            Atom::BeforeInPlace => None,
        }
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// One condition.
    Is(Atom),
    /// Its opposite.
    Not(Box<Guard>),
    /// Both.
    And(Box<Guard>, Box<Guard>),
    /// Either.
    Or(Box<Guard>, Box<Guard>),
}

impl Guard {
    /// Reads a condition; the error names the accepted words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut p = Parser {
            tokens: tokens(text)?,
            at: 0,
        };
        let guard = p.either(0)?;
        match p.next() {
            None => Ok(guard),
            Some(t) => Err(unexpected(&t)),
        }
    }

    /// Its truth, given that of each atom.
    pub(crate) fn truth(&self, of: &dyn Fn(&Atom) -> Truth) -> Truth {
        match self {
            Guard::Is(atom) => of(atom),
            Guard::Not(g) => g.truth(of).not(),
            Guard::And(a, b) => match (a.truth(of), b.truth(of)) {
                (Truth::False, _) | (_, Truth::False) => Truth::False,
                (Truth::True, Truth::True) => Truth::True,
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
            },
            Guard::Or(a, b) => match (a.truth(of), b.truth(of)) {
                (Truth::True, _) | (_, Truth::True) => Truth::True,
                (Truth::False, Truth::False) => Truth::False,
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
            },
        }
    }

    /// All atoms, left to right.
    pub(crate) fn atoms(&self) -> Vec<&Atom> {
        match self {
            Guard::Is(atom) => vec![atom],
            Guard::Not(g) => g.atoms(),
            Guard::And(a, b) | Guard::Or(a, b) => {
                let mut all = a.atoms();
                all.extend(b.atoms());
                all
            }
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Fires { sign, here: false } => write!(f, "fires({sign})"),
            Atom::Fires { sign, here: true } => write!(f, "fires_here({sign})"),
            Atom::Acts(sign) => write!(f, "acts({sign})"),
            Atom::RungAtLeast(id) => write!(f, "rung >= {id}"),
            Atom::RungAtMost(id) => write!(f, "rung <= {id}"),
            Atom::Present(id) => write!(f, "present({id})"),
            Atom::Absent(id) => write!(f, "absent({id})"),
            Atom::Fact(id) => write!(f, "fact({id})"),
            Atom::Known(id) => write!(f, "known({id})"),
            Atom::BeforeInPlace => f.write_str("before_in_place"),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Is(atom) => atom.fmt(f),
            Guard::Not(g) => match **g {
                Guard::Is(_) | Guard::Not(_) => write!(f, "not {g}"),
                Guard::And(..) | Guard::Or(..) => write!(f, "not ({g})"),
            },
            Guard::And(a, b) => {
                for (i, side) in [a, b].into_iter().enumerate() {
                    if i > 0 {
                        f.write_str(" and ")?;
                    }
                    match **side {
                        Guard::Or(..) => write!(f, "({side})")?,
                        Guard::Is(_) | Guard::Not(_) | Guard::And(..) => side.fmt(f)?,
                    }
                }
                Ok(())
            }
            Guard::Or(a, b) => write!(f, "{a} or {b}"),
        }
    }
}

impl<'de> Deserialize<'de> for Guard {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Guard::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    AtLeast,
    AtMost,
    Word(String),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::Open => "(",
            Token::Close => ")",
            Token::AtLeast => ">=",
            Token::AtMost => "<=",
            Token::Word(w) => w,
        })
    }
}

fn unexpected(t: &Token) -> String {
    format!(
        "unexpected {t:?} in a guard; accepted: {VOCABULARY}",
        t = t.to_string()
    )
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let (token, len) = if c == '(' {
            (Token::Open, 1)
        } else if c == ')' {
            (Token::Close, 1)
        } else if rest.starts_with(">=") {
            (Token::AtLeast, 2)
        } else if rest.starts_with("<=") {
            (Token::AtMost, 2)
        } else if is_word(c) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (Token::Word(rest[..len].to_owned()), len)
        } else {
            return Err(format!(
                "unexpected {c:?} in a guard; accepted: {VOCABULARY}"
            ));
        };
        out.push(token);
        rest = rest[len..].trim_start();
    }
    Ok(out)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let t = self.tokens.get(self.at).cloned();
        self.at += 1;
        t
    }

    fn take_word(&mut self, word: &str) -> bool {
        let hit = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w == word);
        self.at += usize::from(hit);
        hit
    }

    fn either(&mut self, depth: usize) -> Result<Guard, String> {
        let mut left = self.both(depth)?;
        while self.take_word("or") {
            left = Guard::Or(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: usize) -> Result<Guard, String> {
        let mut left = self.one(depth)?;
        while self.take_word("and") {
            left = Guard::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Guard, String> {
        if depth > MAX_DEPTH {
            return Err(format!("a guard may be nested {MAX_DEPTH} deep at most"));
        }
        if self.take_word("not") {
            return Ok(Guard::Not(Box::new(self.one(depth + 1)?)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.either(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) => self.atom(&word).map(Guard::Is),
            Some(t) => Err(unexpected(&t)),
            None => Err(format!("a guard ends too early; accepted: {VOCABULARY}")),
        }
    }

    fn atom(&mut self, word: &str) -> Result<Atom, String> {
        match word {
            "before_in_place" => Ok(Atom::BeforeInPlace),
            "rung" => match (self.next(), self.next()) {
                (Some(Token::AtLeast), Some(Token::Word(id))) => Ok(Atom::RungAtLeast(id)),
                (Some(Token::AtMost), Some(Token::Word(id))) => Ok(Atom::RungAtMost(id)),
                _ => Err("after `rung` comes >= or <= and a rung, e.g. rung >= L2".to_owned()),
            },
            "fires" => Ok(Atom::Fires {
                sign: self.argument()?,
                here: false,
            }),
            "fires_here" => Ok(Atom::Fires {
                sign: self.argument()?,
                here: true,
            }),
            "acts" => self.argument().map(Atom::Acts),
            "present" => self.argument().map(Atom::Present),
            "absent" => self.argument().map(Atom::Absent),
            "fact" => self.argument().map(Atom::Fact),
            "known" => self.argument().map(Atom::Known),
            _ => Err(format!(
                "unknown word {word:?} in a guard; accepted: {VOCABULARY}"
            )),
        }
    }

    fn argument(&mut self) -> Result<String, String> {
        self.expect(&Token::Open)?;
        let id = match self.next() {
            Some(Token::Word(id)) => id,
            Some(t) => return Err(unexpected(&t)),
            None => return Err("a guard ends where an id is due".to_owned()),
        };
        self.expect(&Token::Close)?;
        Ok(id)
    }

    fn expect(&mut self, want: &Token) -> Result<(), String> {
        match self.next() {
            Some(t) if t == *want => Ok(()),
            Some(t) => Err(format!(
                "{:?} expected, found {:?}",
                want.to_string(),
                t.to_string()
            )),
            None => Err(format!(
                "{:?} expected at the end of a guard",
                want.to_string()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts named t are true, f false, u unknown.
    fn truth(text: &str) -> Truth {
        let guard = Guard::parse(text).unwrap();
        guard.truth(&|atom| {
            if *atom == Atom::Fact("t".to_owned()) {
                Truth::True
            } else if *atom == Atom::Fact("f".to_owned()) {
                Truth::False
            } else {
                Truth::Unknown
            }
        })
    }

    #[test]
    fn three_values_combine_as_kleene_says() {
        for (text, want) in [
            ("fact(t) and fact(u)", Truth::Unknown),
            ("fact(f) and fact(u)", Truth::False),
            ("fact(t) or fact(u)", Truth::True),
            ("fact(f) or fact(u)", Truth::Unknown),
            ("not fact(u)", Truth::Unknown),
            ("not fact(f)", Truth::True),
            ("fact(t) or fact(t) and fact(f)", Truth::True),
            ("(fact(t) or fact(t)) and fact(f)", Truth::False),
            ("not (fact(t) and fact(f))", Truth::True),
        ] {
            assert_eq!(truth(text), want, "{text}");
        }
    }

    #[test]
    fn reads_every_word_of_the_vocabulary() {
        let text = "fires(a-b) or fires_here(c) or rung >= L2 or rung <= L1 or present(d) \
                    or absent(e) or fact(f) or known(g) or before_in_place or acts(h)";
        assert_eq!(Guard::parse(text).unwrap().atoms().len(), 10);
    }

    #[test]
    fn a_guard_is_written_as_it_is_read() {
        for text in [
            "fires(a) or fires_here(b) and acts(c)",
            "(fires(a) or rung >= L2) and not (present(d) or absent(e))",
            "not fact(f) and known(g) and before_in_place or rung <= L1",
            "not not fact(f)",
        ] {
            assert_eq!(Guard::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_other_words() {
        for (text, want) in [
            ("", "ends too early"),
            ("burns(a)", "unknown word \"burns\""),
            ("fires a", "\"(\" expected"),
            ("fires(a) fires(b)", "unexpected \"fires\""),
            ("rung > L2", "unexpected '>'"),
            ("rung L2", "after `rung`"),
            ("fact(a) and", "ends too early"),
            ("(fact(a)", "\")\" expected"),
            (&"not ".repeat(100), "nested 32 deep"),
        ] {
            let err = Guard::parse(text).unwrap_err();
            assert!(err.contains(want), "{text}: {err}");
        }
    }
}
