//! Figures, times and short phrases as people read them.

use std::time::Duration;

use super::{Frame, Item, ItemState, News};
use crate::advice::{Citation, SignInstance, Verdict};
use crate::model::{Level, Timestamp, duration};

/// Bytes of a name or text from outside that a message shows.
pub const MAX_TEXT: usize = 600;

/// `21 Nov 2026 14:03 UTC`.
pub fn time(at: Timestamp, frame: &Frame) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(
        |_| at.millis().to_string(),
        |t| {
            t.to_zoned(frame.timezone.clone())
                .strftime("%-d %b %Y %H:%M %Z")
                .to_string()
        },
    )
}

/// How long something lasted, to the second at most.
pub fn lasted(from: Timestamp, to: Timestamp) -> String {
    duration::words(Duration::from_secs(to.since(from).as_secs()))
}

/// The beginning of an id, enough to find it.
pub fn short_id(id: &str) -> &str {
    id.get(..11).unwrap_or(id)
}

/// `Now`, `Act`; over: `Resolved`, `Eased`; without input: `Blind`.
pub fn headline(item: &Item) -> &'static str {
    match (item.state, item.instance.level) {
        (ItemState::Resolved { .. }, _) => "Resolved",
        (ItemState::Eased { .. }, _) => "Eased",
        (ItemState::Firing, _) if item.instance.blind => "Blind",
        (ItemState::Firing, Level::Now) => "Now",
        (ItemState::Firing, Level::Act) => "Act",
        (ItemState::Firing, Level::Plan) => "Plan",
        (ItemState::Firing, Level::Note) => "Note",
    }
}

/// `19 of 20 (95 %)`, `81 %`, `3h 2m`; `None` when nothing was measured.
pub fn measured(instance: &SignInstance) -> Option<String> {
    let value = instance.value?;
    let unit = instance.unit.as_str();
    let text = quantity(value, unit);
    Some(match instance.limit {
        Some(limit) if unit != "ratio" && limit > 0.0 => format!(
            "{text} of {} ({})",
            quantity(limit, unit),
            quantity(value / limit, "ratio")
        ),
        Some(_) | None => text,
    })
}

/// `threshold 90 % (default)`; `None` when the rule has none.
///
/// A rule that compares a share while it shows figures (19 of 20) has a threshold of at most 1
/// beside a limit above 1: that is a share of the limit.
pub fn threshold(instance: &SignInstance, citations: &[Citation]) -> Option<String> {
    let threshold = instance.threshold?;
    let is_share = instance.limit.is_some_and(|l| l > 1.0) && threshold <= 1.0;
    let unit = if is_share { "ratio" } else { &instance.unit };
    let share = if is_share { " of the limit" } else { "" };
    let from = threshold_from(&instance.threshold_from, citations);
    Some(format!(
        "threshold {}{share} ({from})",
        quantity(threshold, unit)
    ))
}

/// Who gave a threshold, in words: a bare tag is never shown.
fn threshold_from(from: &str, citations: &[Citation]) -> String {
    match from {
        "" | "default" => "default".to_owned(),
        "config" => "from your config".to_owned(),
        tag => citations
            .iter()
            .find(|c| c.tag == tag)
            .map_or("from the source documents".to_owned(), |c| c.text.clone()),
    }
}

/// A figure with its unit: ratio, bytes, seconds, per_second, count or nothing.
pub fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "ratio" => format!("{} %", number(value * 100.0)),
        "bytes" => bytes(value),
        "seconds" if (1.0..1e12).contains(&value) => {
            duration::words(Duration::from_secs_f64(value.round()))
        }
        "seconds" => format!("{} s", number(value)),
        "per_second" => format!("{}/s", number(value)),
        _ => number(value),
    }
}

/// At most three significant digits after the point, none when whole.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 || v == 0.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value.abs() < 1024.0 {
            return format!("{} {unit}", number(value));
        }
        value /= 1024.0;
    }
    format!("{} PiB", number(value))
}

/// `server=db1:5432, datname=shop`; empty without labels.
pub fn place(instance: &SignInstance) -> String {
    let labels = &instance.key.labels;
    let parts: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
    cut(&one_line(&parts.join(", ")), MAX_TEXT)
}

/// Since when, and from when to when once it is over.
pub fn when(item: &Item, now: Timestamp, frame: &Frame) -> String {
    let since = item.instance.since;
    match item.ended_at() {
        Some(end) => format!(
            "from {} to {} ({})",
            time(since, frame),
            time(end, frame),
            lasted(since, end)
        ),
        None => format!("{} ({})", time(since, frame), lasted(since, now)),
    }
}

/// What changed since the last message, in a sentence; `None` when the headline says it all.
pub fn change(item: &Item) -> Option<String> {
    let level = item.instance.level;
    match (item.state, item.news) {
        (ItemState::Resolved { .. }, _) => Some(format!("Over. Was at level {}.", item.peak)),
        (ItemState::Eased { .. }, _) => Some(format!(
            "Fires on at level {level}, which is not sent; was at level {}.",
            item.peak
        )),
        (ItemState::Firing, News::LevelChanged { from }) if from == level => Some(format!(
            "Was at level {} for a while, is at {level} again.",
            item.peak
        )),
        (ItemState::Firing, News::LevelChanged { from }) => {
            Some(format!("Level changed from {from} to {level}."))
        }
        (ItemState::Firing, _) if item.instance.blind => Some(format!(
            "Its input is missing: the figures are the last known ones, level {level}."
        )),
        (ItemState::Firing, News::SightChanged) => Some("Its input is there again.".to_owned()),
        (ItemState::Firing, News::Fresh | News::Over | News::Known) => None,
    }
}

/// The step in a few words, or that there is none.
pub fn step_in_short(item: &Item) -> Option<String> {
    use super::Advice;
    match &item.advice {
        Advice::Bottleneck { bottleneck, .. } => Some(match &bottleneck.verdict {
            Verdict::Step(r) => format!("Next step: {}", r.step.title),
            Verdict::NoStep { .. } => "No scaling step yet".to_owned(),
        }),
        Advice::First {
            step: Some(step), ..
        } => Some(format!("First: {}", step.title)),
        Advice::First { title, step: None } => Some(format!("First: {title}")),
        Advice::None => None,
    }
}

/// Text from outside on one line, without control characters.
pub fn one_line(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `max` bytes, cut at a character and marked.
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short_and_have_units() {
        for (value, unit, want) in [
            (19.0, "count", "19"),
            (0.954, "ratio", "95.4 %"),
            (1.0, "ratio", "100 %"),
            (0.0, "ratio", "0 %"),
            (1_610_612_736.0, "bytes", "1.5 GiB"),
            (512.0, "bytes", "512 B"),
            (7500.0, "seconds", "2h 5m"),
            (0.25, "seconds", "0.25 s"),
            (12.345, "per_second", "12.3/s"),
            (0.00012, "", "0.0001"),
            (f64::NAN, "count", "NaN"),
            (f64::INFINITY, "seconds", "inf s"),
        ] {
            assert_eq!(quantity(value, unit), want);
        }
    }

    #[test]
    fn long_and_wild_text_is_tamed() {
        assert_eq!(one_line("a\r\n\u{0}b\tc"), "a b c");
        assert_eq!(cut("häää", 5), "h…");
        assert_eq!(cut("abc", 3), "abc");
        assert!(cut(&"ä".repeat(5000), MAX_TEXT).len() <= MAX_TEXT);
    }
}
