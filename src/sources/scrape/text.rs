//! The grammar of one exposition line: Prometheus text 0.0.4 and 1.0.0, and OpenMetrics 1.0.0.
//!
//! What must stay true: bytes in, values or a named reason out; no line is read differently from
//! Prometheus 3.x, with one exception: a newline inside a label value must be escaped, as the
//! format's description says.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;

use super::number::{float, openmetrics_float};

/// Which grammar a body follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`, versions 0.0.4 and 1.0.0.
    Text,
    /// `application/openmetrics-text`, versions 0.0.1 and 1.0.0.
    OpenMetrics,
}

/// Why a line was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BadLine {
    /// It does not start with a metric name.
    Name,
    /// The part in braces does not follow the grammar.
    Labels,
    /// A name or label value is not UTF-8.
    Utf8,
    /// A label is there twice.
    DuplicateLabel,
    /// The value is missing or no number.
    Value,
    /// The timestamp is no whole number of milliseconds (OpenMetrics: of seconds), or too large.
    Timestamp,
    /// There is more on the line than a value and a timestamp.
    Trailing,
    /// The exemplar does not follow the grammar.
    Exemplar,
    /// A TYPE, HELP or UNIT line does not follow the grammar.
    Metadata,
    /// An empty line, or one after `# EOF`, where OpenMetrics forbids it.
    Misplaced,
    /// Longer than [`MAX_LINE`].
    LineLength,
    /// More labels than `limits.labels`.
    LabelCount,
    /// A name longer than `limits.name_length`.
    NameLength,
    /// A label value longer than `limits.value_length`.
    ValueLength,
}

/// Longest line in bytes.
pub const MAX_LINE: usize = 64 << 10;

impl BadLine {
    /// All reasons.
    pub const ALL: [BadLine; 14] = [
        BadLine::Name,
        BadLine::Labels,
        BadLine::Utf8,
        BadLine::DuplicateLabel,
        BadLine::Value,
        BadLine::Timestamp,
        BadLine::Trailing,
        BadLine::Exemplar,
        BadLine::Metadata,
        BadLine::Misplaced,
        BadLine::LineLength,
        BadLine::LabelCount,
        BadLine::NameLength,
        BadLine::ValueLength,
    ];

    /// The word used as a metric label.
    pub fn reason(self) -> &'static str {
        match self {
            BadLine::Name => "name",
            BadLine::Labels => "labels",
            BadLine::Utf8 => "utf8",
            BadLine::DuplicateLabel => "duplicate_label",
            BadLine::Value => "value",
            BadLine::Timestamp => "timestamp",
            BadLine::Trailing => "trailing",
            BadLine::Exemplar => "exemplar",
            BadLine::Metadata => "metadata",
            BadLine::Misplaced => "misplaced",
            BadLine::LineLength => "line_length",
            BadLine::LabelCount => "label_count",
            BadLine::NameLength => "name_length",
            BadLine::ValueLength => "value_length",
        }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// What the last TYPE line said, as far as it changes how labels are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Family {
    /// Labels are taken as written.
    #[default]
    Plain,
    /// `le` is a number.
    Histogram,
    /// `quantile` is a number.
    Summary,
}

/// A line that starts with `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meta {
    /// A TYPE line.
    Type(Family),
    /// A comment, HELP or UNIT.
    Other,
    /// `# EOF`
    Eof,
}

/// Bounds on one series as written in the body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Most labels.
    pub(crate) labels: usize,
    /// Longest name in bytes.
    pub(crate) name: usize,
    /// Longest label value in bytes.
    pub(crate) value: usize,
}

impl Bounds {
    /// Bounds that only the line's length sets.
    pub(crate) const NONE: Bounds = Bounds {
        labels: MAX_LINE,
        name: MAX_LINE,
        value: MAX_LINE,
    };
}

/// The labels of one line in the order written; empty values are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawSeries<'a> {
    /// Metric name.
    pub(crate) name: Cow<'a, str>,
    /// Label names and values.
    pub(crate) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// True for what may stand between tokens of the text format.
pub(crate) fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// True for what a metric name may hold without quotes.
#[inline]
pub(crate) fn is_name_byte(b: u8) -> bool {
    NAME_BYTE[usize::from(b)]
}

/// The line without blanks at its start.
pub(crate) fn trim_start(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|b| is_blank(**b)).count();
    &line[blanks..]
}

/// Length of the metric name at the start of a line, 0 when there is none.
pub(crate) fn bare_name_len(line: &[u8]) -> usize {
    match line.first() {
        Some(b) if NAME_BYTE[usize::from(*b)] && !b.is_ascii_digit() => line
            .iter()
            .take_while(|b| NAME_BYTE[usize::from(**b)])
            .count(),
        _ => 0,
    }
}

/// Length of the series at the start of a line whose name takes `name_len` bytes (0 when it is
/// quoted, in braces): up to and with the closing brace. Does not look into the braces otherwise.
pub(crate) fn series_len(line: &[u8], name_len: usize, format: Format) -> Result<usize, BadLine> {
    let after = &line[name_len..];
    let open = match format {
        Format::Text => after.iter().take_while(|b| is_blank(**b)).count(),
        Format::OpenMetrics => 0,
    };
    if after.get(open) != Some(&b'{') {
        return if name_len == 0 {
            Err(BadLine::Name)
        } else {
            Ok(name_len)
        };
    }
    let mut at = name_len + open + 1;
    loop {
        at += memchr2(b'"', b'}', &line[at..]).ok_or(BadLine::Labels)?;
        if line[at] == b'}' {
            return Ok(at + 1);
        }
        at += 1 + quoted_len(&line[at + 1..]).ok_or(BadLine::Labels)?;
    }
}

/// Reads the bytes that [`series_len`] found.
pub(crate) fn series<'a>(
    key: &'a [u8],
    format: Format,
    bounds: &Bounds,
) -> Result<RawSeries<'a>, BadLine> {
    let name_len = bare_name_len(key);
    let mut name = match name_len {
        0 => None,
        n => Some(Cow::Borrowed(ascii(&key[..n]))),
    };
    let rest = trim_start(&key[name_len..]);
    let labels = if rest.is_empty() {
        Vec::new()
    } else {
        braces(rest, format, bounds, Some(&mut name))?.0
    };
    let name = name.filter(|n| !n.is_empty()).ok_or(BadLine::Name)?;
    if name.len() > bounds.name {
        return Err(BadLine::NameLength);
    }
    if labels.iter().any(|(n, _)| n == crate::model::labels::NAME) {
        return Err(BadLine::DuplicateLabel);
    }
    Ok(RawSeries { name, labels })
}

/// Reads what follows a series: its value and, if there is one, its timestamp in milliseconds.
pub(crate) fn tail(rest: &[u8], format: Format) -> Result<(f64, Option<i64>), BadLine> {
    match format {
        Format::Text => text_tail(rest),
        Format::OpenMetrics => openmetrics_tail(rest),
    }
}

/// Reads a line that starts with `#`.
pub(crate) fn metadata(line: &[u8], format: Format) -> Result<Meta, BadLine> {
    match format {
        Format::Text => text_metadata(line),
        Format::OpenMetrics => openmetrics_metadata(line),
    }
}

/// Writes the value of `le` and `quantile` as a float, as Prometheus 3 does: `1` becomes `1.0`.
pub(crate) fn normalised<'a>(family: Family, label: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let numeric = match family {
        Family::Plain => false,
        Family::Histogram => label == "le",
        Family::Summary => label == "quantile",
    };
    if !numeric {
        return value;
    }
    match float(value.as_bytes()) {
        Some(f) => {
            let written = openmetrics_float(f);
            if written == *value {
                value
            } else {
                Cow::Owned(written)
            }
        }
        None => value,
    }
}

fn text_tail(rest: &[u8]) -> Result<(f64, Option<i64>), BadLine> {
    let rest = trim_start(rest);
    let value_len = rest.iter().take_while(|b| !is_blank(**b)).count();
    let value = float(&rest[..value_len]).ok_or(BadLine::Value)?;
    let rest = trim_start(&rest[value_len..]);
    if rest.is_empty() {
        return Ok((value, None));
    }
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let after = &rest[digits..];
    if digits == 0 {
        return Err(match rest[0] {
            b'#' => BadLine::Trailing,
            _ => BadLine::Timestamp,
        });
    }
    if after.first().is_some_and(|b| !is_blank(*b)) {
        return Err(BadLine::Timestamp);
    }
    if !trim_start(after).is_empty() {
        return Err(BadLine::Trailing);
    }
    let millis = ascii(&rest[..digits])
        .parse()
        .map_err(|_| BadLine::Timestamp)?;
    Ok((value, Some(millis)))
}

fn openmetrics_tail(rest: &[u8]) -> Result<(f64, Option<i64>), BadLine> {
    let (value, rest) = word(rest).ok_or(BadLine::Value)?;
    let value = float(value).ok_or(BadLine::Value)?;
    if rest.is_empty() {
        return Ok((value, None));
    }
    if rest.starts_with(b" # {") {
        exemplar(&rest[3..])?;
        return Ok((value, None));
    }
    let (seconds, rest) = word(rest).ok_or(BadLine::Trailing)?;
    let seconds = seconds_to_millis(seconds).ok_or(BadLine::Timestamp)?;
    if rest.starts_with(b" # {") {
        exemplar(&rest[3..])?;
    } else if !rest.is_empty() {
        return Err(BadLine::Trailing);
    }
    Ok((value, Some(seconds)))
}

/// Checks `{labels} value [seconds]`; what it says is not kept.
fn exemplar(text: &[u8]) -> Result<(), BadLine> {
    let (_, used) = braces(text, Format::OpenMetrics, &Bounds::NONE, None)?;
    let (value, rest) = word(&text[used..]).ok_or(BadLine::Exemplar)?;
    float(value).ok_or(BadLine::Exemplar)?;
    if rest.is_empty() {
        return Ok(());
    }
    let (seconds, rest) = word(rest).ok_or(BadLine::Exemplar)?;
    seconds_to_millis(seconds).ok_or(BadLine::Exemplar)?;
    if rest.is_empty() {
        Ok(())
    } else {
        Err(BadLine::Exemplar)
    }
}

/// One space and what follows it up to the next one.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b" ")?;
    let len = text.iter().take_while(|b| **b != b' ').count();
    (len > 0).then(|| text.split_at(len))
}

fn seconds_to_millis(text: &[u8]) -> Option<i64> {
    let seconds = float(text).filter(|s| s.is_finite())?;
    // Saturates: a time that far away is refused later, by its distance from now.
    Some((seconds * 1000.0) as i64)
}

fn text_metadata(line: &[u8]) -> Result<Meta, BadLine> {
    let body = trim_start(&line[1..]);
    if body.len() == line.len() - 1 {
        return Ok(Meta::Other);
    }
    let Some((keyword, rest)) = keyword(body) else {
        return Ok(Meta::Other);
    };
    let rest = trim_start(rest);
    let text = &rest[meta_name_len(rest).ok_or(BadLine::Metadata)?..];
    let text = text.get(1..).unwrap_or_default();
    match keyword {
        b"TYPE" => family(text, Format::Text).map(Meta::Type),
        _ => match std::str::from_utf8(text) {
            Ok(_) => Ok(Meta::Other),
            Err(_) => Err(BadLine::Metadata),
        },
    }
}

/// `TYPE` or `HELP` followed by a blank; anything else is a plain comment.
fn keyword(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (word, rest) = body.split_at_checked(4)?;
    ((word == b"TYPE" || word == b"HELP") && rest.first().is_some_and(|b| is_blank(*b)))
        .then_some((word, rest))
}

fn openmetrics_metadata(line: &[u8]) -> Result<Meta, BadLine> {
    if line == b"# EOF" {
        return Ok(Meta::Eof);
    }
    let body = line.strip_prefix(b"# ").ok_or(BadLine::Metadata)?;
    let (keyword, rest) = body.split_at_checked(5).ok_or(BadLine::Metadata)?;
    let name_len = meta_name_len(rest).ok_or(BadLine::Metadata)?;
    let (name, text) = rest.split_at(name_len);
    let text = text.strip_prefix(b" ").ok_or(BadLine::Metadata)?;
    match keyword {
        b"TYPE " => family(text, Format::OpenMetrics).map(Meta::Type),
        b"HELP " if std::str::from_utf8(text).is_ok() => Ok(Meta::Other),
        b"UNIT " => {
            let name = name
                .strip_prefix(b"\"")
                .and_then(|n| n.strip_suffix(b"\""))
                .unwrap_or(name);
            let suffix = name
                .strip_suffix(text)
                .is_some_and(|stem| text.is_empty() || stem.ends_with(b"_"));
            if suffix {
                Ok(Meta::Other)
            } else {
                Err(BadLine::Metadata)
            }
        }
        _ => Err(BadLine::Metadata),
    }
}

fn meta_name_len(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'"') {
        return quoted_len(&text[1..]).map(|n| n + 1);
    }
    Some(bare_name_len(text)).filter(|n| *n > 0)
}

fn family(text: &[u8], format: Format) -> Result<Family, BadLine> {
    let openmetrics = format == Format::OpenMetrics;
    match text {
        b"histogram" => Ok(Family::Histogram),
        b"summary" => Ok(Family::Summary),
        b"counter" | b"gauge" => Ok(Family::Plain),
        b"untyped" if !openmetrics => Ok(Family::Plain),
        b"gaugehistogram" | b"info" | b"stateset" | b"unknown" if openmetrics => Ok(Family::Plain),
        _ => Err(BadLine::Metadata),
    }
}

type RawLabels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Reads `{…}` and tells how many bytes it took. A quoted word without `=` is the metric's name,
/// for which there must be room in `name`.
fn braces<'a>(
    text: &'a [u8],
    format: Format,
    bounds: &Bounds,
    mut name: Option<&mut Option<Cow<'a, str>>>,
) -> Result<(RawLabels<'a>, usize), BadLine> {
    let lenient = format == Format::Text;
    let skip = |at: usize| {
        if lenient {
            text.len() - trim_start(&text[at..]).len()
        } else {
            at
        }
    };
    let mut labels: RawLabels<'a> = Vec::new();
    let mut at = skip(1);
    loop {
        let quoted = match text.get(at) {
            Some(b'}') => return Ok((labels, at + 1)),
            Some(b'"') => true,
            Some(_) => false,
            None => return Err(BadLine::Labels),
        };
        let word = if quoted {
            let len = quoted_len(&text[at + 1..]).ok_or(BadLine::Labels)?;
            let inner = &text[at + 1..at + len];
            at += 1 + len;
            unescaped(inner)?
        } else {
            let len = label_name_len(&text[at..]);
            if len == 0 {
                return Err(BadLine::Labels);
            }
            at += len;
            Cow::Borrowed(ascii(&text[at - len..at]))
        };
        if word.len() > bounds.name {
            return Err(BadLine::NameLength);
        }
        at = skip(at);
        match text.get(at) {
            Some(b'=') => {
                at = skip(at + 1);
                if text.get(at) != Some(&b'"') || word.is_empty() {
                    return Err(BadLine::Labels);
                }
                let len = quoted_len(&text[at + 1..]).ok_or(BadLine::Labels)?;
                let value = unescaped(&text[at + 1..at + len])?;
                at = skip(at + 1 + len);
                if value.len() > bounds.value {
                    return Err(BadLine::ValueLength);
                }
                if labels.len() >= bounds.labels {
                    return Err(BadLine::LabelCount);
                }
                if labels.iter().any(|(n, _)| *n == word) {
                    return Err(BadLine::DuplicateLabel);
                }
                labels.push((word, value));
            }
            Some(b',' | b'}') if quoted => match name.as_deref_mut() {
                Some(slot @ None) => *slot = Some(word),
                Some(Some(_)) | None => return Err(BadLine::Labels),
            },
            _ => return Err(BadLine::Labels),
        }
        match text.get(at) {
            Some(b',') => {
                at = skip(at + 1);
                // OpenMetrics writers put one space after a comma now and then.
                if !lenient && text.get(at) == Some(&b' ') {
                    at += 1;
                }
            }
            Some(b'}') => {}
            // The text format lets labels follow each other without a comma.
            Some(_) if lenient => {}
            _ => return Err(BadLine::Labels),
        }
    }
}

/// Length up to and with the closing quote of a quoted word whose opening quote was read.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn unescaped(inner: &[u8]) -> Result<Cow<'_, str>, BadLine> {
    let text = std::str::from_utf8(inner).map_err(|_| BadLine::Utf8)?;
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('\\' | '"')) => out.push(c),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    Ok(Cow::Owned(out))
}

fn label_name_len(text: &[u8]) -> usize {
    match bare_name_len(text) {
        0 => 0,
        n => memchr::memchr(b':', &text[..n]).unwrap_or(n),
    }
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

const NAME_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        table[b] = c.is_ascii_alphanumeric() || c == b'_' || c == b':';
        b += 1;
    }
    table
};

#[cfg(test)]
mod tests;
