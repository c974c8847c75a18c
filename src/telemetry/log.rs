//! One event, one line: `level=warn room=sources::scrape msg="target is down" target=a:9100`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::str::FromStr;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Longest value in a line, in bytes; the rest is cut and its length named.
pub const MOST_VALUE_BYTES: usize = 256;

/// Most fields of one line, those of its spans included.
const MOST_FIELDS: usize = 32;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `key=value` pairs, for people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            other => Err(format!(
                "unknown log format {other:?}; accepted: text, json"
            )),
        }
    }
}

/// Which events are written: `info`, or `info,sources=debug` for more of one room.
#[derive(Debug, Clone)]
pub struct Filter(Targets);

impl Default for Filter {
    fn default() -> Self {
        Filter::of(LevelFilter::INFO)
    }
}

impl Filter {
    fn of(level: LevelFilter) -> Self {
        Filter(
            Targets::new()
                .with_default(level.min(LevelFilter::WARN))
                .with_target("loadline", level),
        )
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let level = |word: &str| match word {
            "error" => Ok(LevelFilter::ERROR),
            "warn" => Ok(LevelFilter::WARN),
            "info" => Ok(LevelFilter::INFO),
            "debug" => Ok(LevelFilter::DEBUG),
            "trace" => Ok(LevelFilter::TRACE),
            other => Err(format!(
                "unknown log level {other:?}; accepted: error, warn, info, debug, trace, and for \
                 single rooms info,sources=debug"
            )),
        };
        let mut filter = Filter::default();
        let mut rooms = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => filter = Filter::of(level(part)?),
                Some((room, word)) => {
                    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
                    if room.is_empty() || !room.bytes().all(good) {
                        return Err(format!(
                            "unknown room {room:?}; accepted: a room such as sources or rules"
                        ));
                    }
                    rooms.push((format!("loadline::{room}"), level(word)?));
                }
            }
        }
        Ok(Filter(filter.0.with_targets(rooms)))
    }
}

/// How the log is written.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Which events.
    pub filter: Filter,
    /// How lines look.
    pub format: Format,
    /// True when lines go to the journal: they begin with its priority (`<4>`), without the time.
    pub journal: bool,
}

/// Starts the log on the error output; an error when there is one already.
pub fn init(options: LogOptions) -> Result<(), String> {
    tracing::subscriber::set_global_default(subscriber(options, std::io::stderr))
        .map_err(|_| "the log was started already".to_owned())
}

/// A subscriber that writes lines to `writer`.
pub fn subscriber<W>(options: LogOptions, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = Lines {
        format: options.format,
        journal: options.journal,
        writer,
    };
    let targets = options.filter.0;
    // Our spans are always on: they carry the words that a warning needs to make sense.
    let enabled = move |m: &Metadata<'_>| {
        let ours = m.is_span() && m.target().starts_with("loadline");
        (ours && *m.level() <= Level::INFO) || targets.would_enable(m.target(), m.level())
    };
    tracing_subscriber::registry().with(lines.with_filter(filter_fn(enabled)))
}

struct Lines<W> {
    format: Format,
    journal: bool,
    writer: W,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        if let Some(scope) = ctx.event_scope(event) {
            for span in scope.from_root() {
                if let Some(of_span) = span.extensions().get::<Fields>() {
                    of_span.0.iter().for_each(|(k, v)| fields.set(k, v.clone()));
                }
            }
        }
        event.record(&mut fields);
        let line = self.line(event.metadata(), fields);
        // A log that cannot be written has nowhere to say so.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

impl<W> Lines<W> {
    fn line(&self, event: &Metadata<'_>, mut fields: Fields) -> String {
        let message = fields.0.remove("message").unwrap_or_default();
        let room = event.target();
        let room = room.strip_prefix("loadline::").unwrap_or(room);
        let level = event.level();
        let mut out = String::new();
        if self.journal {
            let _ = write!(out, "<{}>", priority(*level));
        }
        let level = level.as_str().to_ascii_lowercase();
        let mut first = vec![
            ("level", level),
            ("room", room.to_owned()),
            ("msg", message),
        ];
        if !self.journal {
            let mut time = String::new();
            let _ = SystemTime.format_time(&mut Writer::new(&mut time));
            first.insert(0, ("ts", time));
        }
        let rest = fields.0.into_iter().filter(|(k, _)| !RESERVED.contains(k));
        let pairs = first.into_iter().chain(rest);
        match self.format {
            Format::Text => {
                for (i, (key, value)) in pairs.enumerate() {
                    let gap = if i == 0 { "" } else { " " };
                    let _ = write!(out, "{gap}{key}={}", quoted(&value));
                }
            }
            Format::Json => {
                let object: serde_json::Map<String, serde_json::Value> = pairs
                    .map(|(key, value)| (key.to_owned(), serde_json::Value::String(value)))
                    .collect();
                let _ = write!(out, "{}", serde_json::Value::Object(object));
            }
        }
        out.push('\n');
        out
    }
}

/// Keys that every line has; an event's own field of such a name is left out.
const RESERVED: [&str; 4] = ["ts", "level", "room", "msg"];

/// syslog's number for a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Fields of an event or a span; values are cut and free of control characters.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn set(&mut self, key: &'static str, value: String) {
        if self.0.len() < MOST_FIELDS || self.0.contains_key(key) {
            self.0.insert(key, value);
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), clean(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.set(field.name(), clean(&text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), clean(&format!("{value:?}")));
    }
}

/// The value cut to [`MOST_VALUE_BYTES`], with every character that could break a line, hide
/// text or move a terminal's cursor written as its code.
fn clean(value: &str) -> String {
    let end = value.floor_char_boundary(MOST_VALUE_BYTES);
    let mut out = String::with_capacity(end);
    for c in value[..end].chars() {
        let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || hides {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if end < value.len() {
        let _ = write!(out, "... ({} more bytes)", value.len() - end);
    }
    out
}

/// The value as logfmt wants it: in quotes where it would not be one word.
fn quoted(value: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            page.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `events` writes.
    fn written(filter: &str, format: Format, journal: bool, events: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let options = LogOptions {
            filter: filter.parse().unwrap(),
            format,
            journal,
        };
        let subscriber = subscriber(options, move || writer.clone());
        tracing::subscriber::with_default(subscriber, events);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_spans_fields_and_causes() {
        let text = written("warn", Format::Text, true, || {
            let span = tracing::info_span!(target: "loadline::sources", "scrape", job = "app");
            let _in = span.enter();
            let error = io::Error::other("refused");
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(target: "loadline::sources", error, tries = 3, "target is down");
            tracing::info!(target: "loadline::sources", "not written");
        });
        assert_eq!(
            text,
            "<4>level=warn room=sources msg=\"target is down\" error=refused job=app tries=3\n"
        );
    }

    #[test]
    fn nothing_breaks_a_line() {
        for value in [
            "a\nlevel=error",
            "\u{1b}[31mred",
            "a\u{202e}b",
            "\u{9b}x",
            "q\"q=q",
        ] {
            for format in [Format::Text, Format::Json] {
                let text = written("info", format, true, || {
                    tracing::info!(target: "loadline::x", value, level = "forged", "{value}");
                });
                assert_eq!(text.matches('\n').count(), 1, "{text}");
                assert!(
                    !text.trim_end().contains(|c: char| c.is_control()),
                    "{text}"
                );
                assert!(
                    !text.contains('\u{202e}') && !text.contains("forged"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let value = "ä".repeat(200);
        assert_eq!(
            clean(&value),
            format!("{}... (144 more bytes)", "ä".repeat(128))
        );
        let odd = format!("x{value}");
        assert_eq!(
            clean(&odd),
            format!("x{}... (146 more bytes)", "ä".repeat(127))
        );
        assert_eq!(clean("short"), "short");
    }

    #[test]
    fn json_is_one_object() {
        let text = written("info", Format::Json, false, || {
            tracing::error!(target: "loadline::state", path = "/x y", "cannot open");
        });
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["level"], "error");
        assert_eq!(object["room"], "state");
        assert_eq!(object["msg"], "cannot open");
        assert_eq!(object["path"], "/x y");
        assert!(object["ts"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn other_crates_stay_quiet() {
        let events = || {
            tracing::warn!(target: "sqlx", "w");
            tracing::info!(target: "hyper", "i");
            tracing::debug!(target: "loadline::sources::scrape", "s");
            tracing::debug!(target: "loadline::rules", "r");
        };
        let rooms = |filter: &str| {
            let text = written(filter, Format::Text, true, events);
            let found = text
                .lines()
                .filter_map(|l| l.rsplit_once("msg=").map(|(_, m)| m.to_owned()));
            found.collect::<String>()
        };
        for (filter, want) in [
            ("trace", "wsr"),
            ("info", "w"),
            ("error", ""),
            ("info,sources=debug", "ws"),
            ("error,rules=debug", "r"),
        ] {
            assert_eq!(rooms(filter), want, "{filter}");
        }
    }

    #[test]
    fn a_bad_filter_names_what_is_accepted() {
        for text in [
            "loud",
            "",
            "info,sources=loud",
            "info,=debug",
            "hyper/x=trace",
        ] {
            let error = text.parse::<Filter>().unwrap_err();
            assert!(error.contains("accepted: "), "{error}");
        }
        assert!(
            "logfmt"
                .parse::<Format>()
                .unwrap_err()
                .contains("text, json")
        );
    }
}
