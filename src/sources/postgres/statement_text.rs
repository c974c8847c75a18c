//! What may be shown of a statement.
//!
//! What must stay true: no literal of the statement is shown, whether or not the server replaced
//! it, and no comment; at most 1 KiB.

/// Longest text, in bytes.
const LONGEST: usize = 1024;

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Read,
    Write,
    Other,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Other => "other",
        }
    }
}

/// A statement without what belongs to its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatementText {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Searches inside texts: LIKE, ILIKE, SIMILAR TO or a regular expression.
    pub(crate) searches: bool,
}

impl StatementText {
    /// Reads a text as pg_stat_statements keeps it.
    pub(crate) fn of(query: &str) -> Self {
        let text = shown(query);
        let lower = text.to_ascii_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|w| !w.is_empty())
            .collect();
        let any = |list: &[&str]| words.iter().any(|w| list.contains(w));
        let kind = match words.first().copied().unwrap_or_default() {
            "select" | "values" | "table" | "fetch" => {
                // SELECT ... FOR UPDATE takes row locks, which are writes to a server.
                if lower.contains(" for update") || lower.contains(" for no key update") {
                    Kind::Write
                } else {
                    Kind::Read
                }
            }
            "with" if any(&["insert", "update", "delete", "merge"]) => Kind::Write,
            "with" => Kind::Read,
            "insert" | "update" | "delete" | "merge" | "copy" => Kind::Write,
            _ => Kind::Other,
        };
        let catalog = words
            .iter()
            .any(|w| w.starts_with("pg_") || *w == "information_schema");
        let searches = !catalog
            && (any(&["like", "ilike"])
                || lower.contains(" similar to ")
                || lower.contains(" ~ ")
                || lower.contains(" ~* ")
                || lower.contains(" ~~"));
        Self {
            text,
            kind,
            searches,
        }
    }
}

/// Literals become `?`, comments vanish, white space is single; names in double quotes stay.
fn shown(query: &str) -> String {
    let mut out = String::new();
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        if out.len() >= LONGEST {
            break;
        }
        let after = &rest[c.len_utf8()..];
        if c.is_whitespace() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            rest = after;
        } else if rest.starts_with("--") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = after_comment(rest);
        } else if c == '\'' {
            // E'...' has escapes; a prefix letter stays in the text.
            let escapes = out.ends_with(['e', 'E']);
            out.push('?');
            rest = after_quote(after, escapes);
        } else if c == '"' {
            let end = after.find('"').map_or(after.len(), |i| i + 1);
            out.push_str(&rest[..1 + end]);
            rest = &after[end..];
        } else if c == '$' && after.starts_with(|d: char| d.is_ascii_digit()) {
            let end = digits(after);
            out.push_str(&rest[..1 + end]);
            rest = &after[end..];
        } else if let Some(tag) = dollar_tag(rest) {
            out.push('?');
            let body = &rest[tag.len()..];
            rest = body.find(tag).map_or("", |i| &body[i + tag.len()..]);
        } else if c.is_ascii_digit() {
            out.push('?');
            rest = after_number(rest);
        } else if c.is_alphabetic() || c == '_' {
            let end = rest
                .find(|d: char| !d.is_alphanumeric() && d != '_' && d != '$')
                .unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else {
            out.push(c);
            rest = after;
        }
    }
    let mut end = out.len().min(LONGEST);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out.truncate(out.trim_end().len());
    out
}

fn digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len())
}

/// Past a number: digits, a point, an exponent, or hexadecimal.
fn after_number(text: &str) -> &str {
    let mut end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_')
        .unwrap_or(text.len());
    if text[..end].ends_with(['e', 'E']) && text[end..].starts_with(['+', '-']) {
        end += 1;
        end += digits(&text[end..]);
    }
    &text[end..]
}

fn after_comment(text: &str) -> &str {
    let mut depth = 0usize;
    let mut i = 0;
    while i < text.len() {
        if text[i..].starts_with("/*") {
            depth += 1;
            i += 2;
        } else if text[i..].starts_with("*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return &text[i..];
            }
        } else {
            i += text[i..].chars().next().map_or(1, char::len_utf8);
        }
    }
    ""
}

fn after_quote(text: &str, escapes: bool) -> &str {
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == '\'' {
            if chars.peek().is_some_and(|(_, next)| *next == '\'') {
                chars.next();
            } else {
                return &text[i + 1..];
            }
        }
    }
    ""
}

/// `$$` or `$name$` at the start.
fn dollar_tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('$')?;
    let end = inner.find('$')?;
    let name = &inner[..end];
    let good = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    good.then(|| &text[..end + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_literal_and_no_comment_is_shown() {
        for (query, want) in [
            (
                "SELECT * FROM t WHERE id = $1 AND s LIKE $2",
                "SELECT * FROM t WHERE id = $1 AND s LIKE $2",
            ),
            (
                "/*app:shop,secret:1*/ select\n  1,2.5e-3, 0xFF -- hunter2\n from t1",
                "select ?,?, ? from t1",
            ),
            (
                "ALTER ROLE x PASSWORD 'hunter''2' VALID UNTIL E'a\\'hunter2'",
                "ALTER ROLE x PASSWORD ? VALID UNTIL E?",
            ),
            (
                "DO $body$ BEGIN hunter2 $$x$$ END $body$ ; SELECT $$hunter2$$",
                "DO ? ; SELECT ?",
            ),
            (
                "SELECT \"we\"\"ird 1\", a1 /* x /* nested */ hunter2 */ + 17",
                "SELECT \"we\"\"ird 1\", a1 + ?",
            ),
            ("SET x = 'unterminated hunter2", "SET x = ?"),
            ("/* unterminated hunter2", ""),
        ] {
            assert_eq!(shown(query), want, "{query}");
        }
        let long = format!("SELECT {}", "é, ".repeat(2000));
        assert!(shown(&long).len() <= LONGEST);
    }

    #[test]
    fn kinds_and_searches() {
        for (query, kind, searches) in [
            ("/*c*/ select 1", Kind::Read, false),
            ("SELECT * FROM t WHERE n ILIKE $1", Kind::Read, true),
            (
                "select 1 from pg_class where relname like $1",
                Kind::Read,
                false,
            ),
            ("select * from t where a ~* $1", Kind::Read, true),
            ("with x as (select 1) select * from x", Kind::Read, false),
            (
                "with x as (delete from t returning 1) select 1",
                Kind::Write,
                false,
            ),
            (
                "SELECT id FROM jobs FOR UPDATE SKIP LOCKED",
                Kind::Write,
                false,
            ),
            ("insert into t values ($1)", Kind::Write, false),
            ("BEGIN", Kind::Other, false),
            ("", Kind::Other, false),
        ] {
            let t = StatementText::of(query);
            assert_eq!((t.kind, t.searches), (kind, searches), "{query}");
        }
    }
}
