//! Label matchers with Prometheus's meaning of regular expressions.

use std::fmt;

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
    regex: Option<Regex>,
}

impl Matcher {
    /// Compiles a matcher; the error says what is wrong with the pattern.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, String> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(compile(value)?),
        };
        Ok(Self {
            name: name.to_owned(),
            op,
            value: value.to_owned(),
            regex,
        })
    }

    /// An equality matcher, which cannot fail.
    pub fn equal(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            op: MatchOp::Equal,
            value: value.to_owned(),
            regex: None,
        }
    }

    /// True when a label value satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex => self.regex.as_ref().is_some_and(|r| r.is_match(value)),
            MatchOp::NotRegex => !self.regex.as_ref().is_some_and(|r| r.is_match(value)),
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

fn build(pattern: &str, translated: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(translated)
        .size_limit(1 << 20)
        .nest_limit(100)
        .build()
        .map_err(|e| {
            format!(
                "invalid regular expression {pattern:?}: {}",
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
                Some('D') if !in_class => out.push_str("[^0-9]"),
                Some('w') => out.push_str(if in_class {
                    "0-9A-Za-z_"
                } else {
                    "[0-9A-Za-z_]"
                }),
                Some('W') if !in_class => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.push_str(if in_class {
                    r"\t\n\f\r "
                } else {
                    r"[\t\n\f\r ]"
                }),
                Some('S') if !in_class => out.push_str(r"[^\t\n\f\r ]"),
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
        ] {
            assert_eq!(is_match(pattern, value), want, "{pattern} on {value:?}");
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
