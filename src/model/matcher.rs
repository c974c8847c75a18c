//! Label matchers with Prometheus's meaning of regular expressions.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::Labels;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One condition on one label; an absent label counts as empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// Comparison.
    pub op: MatchOp,
    /// Text or RE2 pattern, as written.
    pub value: String,
    pattern: Option<Pattern>,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
enum Pattern {
    /// Plain texts with `|` between them: one of these, whole.
    OneOf(Arc<BTreeSet<String>>),
    Regex(Regex),
}

impl Pattern {
    fn compile(pattern: &str) -> Result<Self, String> {
        let is_plain = |c: char| !r"\.+*?()[]{}^$".contains(c);
        if pattern.chars().all(is_plain) {
            let texts = pattern.split('|').map(str::to_owned).collect();
            return Ok(Pattern::OneOf(Arc::new(texts)));
        }
        compile(pattern).map(Pattern::Regex)
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Pattern::OneOf(texts) => texts.contains(value),
            Pattern::Regex(regex) => regex.is_match(value),
        }
    }
}

impl Matcher {
    /// Compiles a matcher; the error says what is wrong with the pattern.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, String> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Pattern::compile(value)?),
        };
        Ok(Self {
            name: name.to_owned(),
            op,
            value: value.to_owned(),
            pattern,
        })
    }

    /// An equality matcher, which cannot fail.
    pub fn equal(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            op: MatchOp::Equal,
            value: value.to_owned(),
            pattern: None,
        }
    }

    /// True when a label value satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex => self.pattern.as_ref().is_some_and(|p| p.matches(value)),
            MatchOp::NotRegex => !self.pattern.as_ref().is_some_and(|p| p.matches(value)),
        }
    }

    /// True when a label set satisfies the condition.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name))
    }
}

/// Compiles an anchored pattern in RE2's dialect: `.` matches a newline, `\w \d \s \b` are ASCII,
/// and `&&`, `--`, `~~` and `[` inside a class are plain characters.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(pattern, &format!("^(?s:{})$", re2_to_rust(pattern)))
}

/// Compiles a pattern in RE2's dialect that may match anywhere in a text, as templates use it.
pub fn compile_unanchored(pattern: &str) -> Result<Regex, String> {
    build(pattern, &re2_to_rust(pattern))
}

/// Longest pattern in bytes; a list of plain texts may be longer.
const MAX_PATTERN: usize = 64 << 10;

fn build(pattern: &str, translated: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!(
            "regular expression of {} bytes is over the limit of {MAX_PATTERN}",
            pattern.len()
        ));
    }
    let shown = || {
        let mut start: String = pattern.chars().take(80).collect();
        if start.len() < pattern.len() {
            start.push('…');
        }
        start
    };
    repeats(pattern).map_err(|e| format!("invalid regular expression {:?}: {e}", shown()))?;
    regex::RegexBuilder::new(translated)
        .size_limit(1 << 20)
        .nest_limit(100)
        .build()
        .map_err(|e| {
            format!(
                "invalid regular expression {:?}: {}",
                shown(),
                last_line(&e.to_string())
            )
        })
}

fn last_line(text: &str) -> String {
    text.lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

/// Most repetitions of anything, those of what contains it multiplied in.
const MAX_REPEAT: u32 = 1000;

/// Refuses what RE2 refuses of repetitions: more than [`MAX_REPEAT`], and one right after another.
fn repeats(pattern: &str) -> Result<(), String> {
    let mut rest = pattern;
    // The greatest repetition inside of each open group, and of the last thing read.
    let mut open: Vec<u32> = Vec::new();
    let (mut most, mut last) = (1, 1);
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let here = rest;
        rest = &rest[c.len_utf8()..];
        let times = match c {
            '\\' => {
                if let Some(quoted) = rest.strip_prefix('Q') {
                    rest = quoted.split_once("\\E").map_or("", |(_, after)| after);
                } else {
                    rest = rest.chars().next().map_or("", |c| &rest[c.len_utf8()..]);
                }
                (last, repeated) = (1, false);
                continue;
            }
            '[' => {
                rest = after_class(rest);
                (last, repeated) = (1, false);
                continue;
            }
            '(' => {
                open.push(most);
                most = 1;
                // `(?` is no repetition.
                rest = rest.strip_prefix('?').unwrap_or(rest);
                (last, repeated) = (1, false);
                continue;
            }
            ')' => {
                (last, repeated) = (most, false);
                most = most.max(open.pop().unwrap_or(1));
                continue;
            }
            '*' | '+' | '?' => 1,
            '{' => match counted(rest) {
                Some((times, after)) => {
                    rest = after;
                    times
                }
                None => {
                    (last, repeated) = (1, false);
                    continue;
                }
            },
            _ => {
                (last, repeated) = (1, false);
                continue;
            }
        };
        rest = rest.strip_prefix('?').unwrap_or(rest);
        let operator = &here[..here.len() - rest.len()];
        if repeated {
            return Err(format!("invalid nested repetition operator: {operator:?}"));
        }
        repeated = true;
        last *= times.max(1);
        if times > MAX_REPEAT || last > MAX_REPEAT {
            return Err(format!(
                "invalid repeat count: {operator:?} goes over {MAX_REPEAT} repetitions"
            ));
        }
        most = most.max(last);
    }
    Ok(())
}

/// Within how many bytes the brace of a repetition must close.
const COUNT_LENGTH: usize = 64;

/// The count of `3}`, `3,}` or `3,5}`, and what follows; `None` when the brace before it is plain
/// text.
fn counted(text: &str) -> Option<(u32, &str)> {
    let end = text.bytes().take(COUNT_LENGTH).position(|b| b == b'}')?;
    let (inside, after) = (&text[..end], &text[end + 1..]);
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if least.is_empty() || !digits(least) || !digits(most) {
        return None;
    }
    let number = |t: &str| {
        t.parse::<u32>()
            .map_or(u32::from(u16::MAX), |n| n.min(65_535))
    };
    let count = if most.is_empty() {
        number(least)
    } else {
        number(most).max(number(least))
    };
    Some((count, after))
}

/// What follows a class whose opening bracket was just read.
fn after_class(text: &str) -> &str {
    let mut rest = text.strip_prefix('^').unwrap_or(text);
    // A bracket at the start is plain.
    rest = rest.strip_prefix(']').unwrap_or(rest);
    while let Some(c) = rest.chars().next() {
        let next = &rest[c.len_utf8()..];
        rest = match c {
            ']' => return next,
            '\\' => next.chars().next().map_or("", |c| &next[c.len_utf8()..]),
            '[' if next.starts_with(':') => match next.split_once(":]") {
                Some((_, after)) => after,
                None => next,
            },
            _ => next,
        };
    }
    rest
}

/// Rewrites what the two dialects read differently; everything else passes unchanged.
fn re2_to_rust(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let at_start = std::mem::take(&mut class_start);
        match c {
            '\\' => match chars.next() {
                Some('Q') => {
                    let mut literal = String::new();
                    while let Some(l) = chars.next() {
                        if l == '\\' && chars.peek() == Some(&'E') {
                            chars.next();
                            break;
                        }
                        literal.push(l);
                    }
                    out.push_str(&regex::escape(&literal));
                }
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str(if in_class {
                    "0-9A-Za-z_"
                } else {
                    "[0-9A-Za-z_]"
                }),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(if in_class {
                    r"\t\n\f\r "
                } else {
                    r"[\t\n\f\r ]"
                }),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                // Plain in RE2, the edges of a word in Rust.
                Some(c @ ('<' | '>')) => out.push(c),
                Some('b') if !in_class => out.push_str(r"(?-u:\b)"),
                Some('C') if !in_class => out.push('.'),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if in_class => {
                if chars.peek() == Some(&':') {
                    out.push('[');
                } else {
                    out.push_str(r"\[");
                }
            }
            '[' => {
                in_class = true;
                class_start = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            '{' if !in_class => {
                let rest: String = chars.clone().take(COUNT_LENGTH).collect();
                out.push_str(if counted(&rest).is_some() { "{" } else { r"\{" });
            }
            ']' if in_class && at_start => out.push_str(r"\]"),
            ']' if in_class && out.ends_with(':') && out.contains("[:") => {
                out.push(']');
                if !closes_posix(&out) {
                    in_class = false;
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && chars.peek() == Some(&'-') => out.push_str(r"\-"),
            other => out.push(other),
        }
    }
    out
}

/// True when the text ends in a POSIX class such as `[:alpha:]`.
fn closes_posix(out: &str) -> bool {
    out.rfind("[:").is_some_and(|i| {
        let inner = &out[i + 2..out.len() - 2];
        !inner.is_empty()
            && inner
                .trim_start_matches('^')
                .bytes()
                .all(|b| b.is_ascii_lowercase())
    })
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, value: &str) -> bool {
        Matcher::new("l", MatchOp::Regex, pattern)
            .unwrap()
            .matches(value)
    }

    #[test]
    fn patterns_mean_what_re2_means() {
        for (pattern, value, want) in [
            ("a|b", "ab", false),
            ("a|b", "b", true),
            ("a.b", "a\nb", true),
            (r"\d+", "٣", false),
            (r"\d+", "42", true),
            (r"\w", "é", false),
            ("[a&&b]", "&", true),
            ("[[]", "[", true),
            ("[[:alpha:]]+", "abc", true),
            ("[[:alpha:]x-]+", "ab-", true),
            ("[]a]+", "]a", true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"[\d.]+", "1.2", true),
            ("", "", true),
            (".*", "", true),
            (".+", "", false),
            ("a{,2}", "a{,2}", true),
            ("{x}", "{x}", true),
            ("a{2}", "aa", true),
            (r"\<a\>", "<a>", true),
            (r"[\D]+", "ab", true),
            (r"[x\W]+", "x-", true),
            ("(a{10}){100}", &"a".repeat(1000), true),
            ("(?i)A|b", "B", true),
            ("|a", "", true),
            ("x|y", "x|y", false),
        ] {
            assert_eq!(is_match(pattern, value), want, "{pattern} on {value:?}");
        }
    }

    #[test]
    fn repetitions_are_bounded_as_in_re2() {
        for (pattern, want) in [
            ("a{1001}", "repeat count"),
            ("a{2,1001}", "repeat count"),
            ("a{99999999999999999999}", "repeat count"),
            ("(a{100}){11}", "repeat count"),
            ("((a{10}b){10}c){11}", "repeat count"),
            ("(?:a{1000}){2}", "repeat count"),
            ("a**", "nested repetition"),
            ("a++", "nested repetition"),
            ("a{2}{3}", "nested repetition"),
            ("a*?*", "nested repetition"),
        ] {
            let err = Matcher::new("l", MatchOp::Regex, pattern).unwrap_err();
            assert!(err.contains(want), "{pattern}: {err}");
        }
        for pattern in [
            "(a{1000}b{1000})",
            "(a*)*",
            r"\Qa**\E",
            "[*+]{2}",
            "[]*]+",
            "[[:alpha:]*]*",
            r"\*\*",
            "(?:a)?",
        ] {
            assert!(
                Matcher::new("l", MatchOp::Regex, pattern).is_ok(),
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let err = Matcher::new("l", MatchOp::Regex, "a(").unwrap_err();
        assert!(
            err.contains("a(") && err.contains("unclosed group"),
            "{err}"
        );
    }
}
