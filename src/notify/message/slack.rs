//! Slack: `text` for notifications and old clients, blocks for the channel.

use serde_json::{Value, json};

use super::words;
use super::{Content, Delivery, Frame, Item, ItemState, TOP, text};
use crate::model::Level;

/// Slack's own limits: characters of a header, of a section's text and of a field.
const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3000;
const FIELD_MAX: usize = 2000;
/// Bytes of one value that are shown.
const VALUE_MAX: usize = 600;
/// Room for "and so many more lines".
const MORE_MAX: usize = 40;
/// Slack takes 10 fields a section.
const FIELDS_MAX: usize = 10;

/// The message with blocks.
pub fn body(content: &Content, frame: &Frame) -> String {
    let lead = content.lead();
    let title = text::title(content);
    let header = escape(&format!("{} {title}", icon(lead)), HEADER_MAX);
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": header, "emoji": true },
    })];
    let said: Vec<String> = words::change(lead)
        .into_iter()
        .chain(Some(text::summary(lead)).filter(|s| !s.is_empty()))
        .map(|line| escape(&line, FIELD_MAX))
        .collect();
    if !said.is_empty() {
        blocks.push(section(&said));
    }
    let fields: Vec<Value> = text::table(lead, content, frame)
        .into_iter()
        .take(FIELDS_MAX)
        .map(|(name, value)| mrkdwn(&format!("*{name}*\n{}", escape(&value, VALUE_MAX))))
        .collect();
    blocks.push(json!({ "type": "section", "fields": fields }));
    let advice: Vec<String> = text::advice_table(lead)
        .into_iter()
        .map(|(name, value)| format!("*{name}:* {}", escape(&value, VALUE_MAX)))
        .collect();
    if !advice.is_empty() {
        blocks.push(json!({ "type": "divider" }));
        blocks.push(section(&advice));
    }
    let mut also: Vec<String> = content
        .items
        .iter()
        .skip(1)
        .take(TOP - 1)
        .map(|item| format!("• {}", escape(&text::brief(item, frame), VALUE_MAX)))
        .collect();
    if content.items.len() > TOP {
        also.push(format!("and {} more", content.items.len() - TOP));
    }
    if !also.is_empty() {
        blocks.push(section(&also));
    }
    let mut foot: Vec<String> = text::sources(lead)
        .map(|s| format!("Source: {}", escape(&s, VALUE_MAX)))
        .into_iter()
        .collect();
    if !frame.external_url.is_empty() {
        foot.push(format!(
            "<{}|loadline>",
            escape(&frame.external_url, VALUE_MAX)
        ));
    }
    foot.push(words::short_id(&content.id).to_owned());
    blocks.push(context(&foot.join("  ·  ")));
    json!({ "text": escape(&one_liner(content), SECTION_MAX), "blocks": blocks }).to_string()
}

/// The message as text only.
pub fn plain(content: &Content, frame: &Frame) -> String {
    let text = escape(&text::full(content, frame), SECTION_MAX);
    json!({ "text": text }).to_string()
}

/// Adds to a stored body what is known only when it is sent.
pub fn deliver(body: &str, id: &str, delivery: &Delivery, frame: &Frame) -> String {
    let Some(note) = delivery.note(id, frame) else {
        return body.to_owned();
    };
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        return body.to_owned();
    };
    if let Some(Value::String(text)) = value.get_mut("text") {
        *text = format!("{text} {note}");
    }
    if let Some(Value::Array(blocks)) = value.get_mut("blocks") {
        blocks.push(context(&note));
    }
    value.to_string()
}

/// What a phone shows: what, how bad, what to do.
fn one_liner(content: &Content) -> String {
    let lead = content.lead();
    let mut line = text::title(content);
    if let Some(measured) = words::measured(&lead.instance).filter(|_| lead.is_firing()) {
        line.push_str(&format!(", {measured}"));
    }
    if let Some(step) = words::step_in_short(lead).filter(|_| lead.is_firing()) {
        line.push_str(&format!(". {step}"));
    }
    line
}

fn icon(item: &Item) -> &'static str {
    match item.state {
        ItemState::Resolved { .. } | ItemState::Eased { .. } => ":white_check_mark:",
        ItemState::Firing if item.instance.blind => ":see_no_evil:",
        ItemState::Firing if item.instance.level == Level::Now => ":rotating_light:",
        ItemState::Firing => ":warning:",
    }
}

/// As many whole lines as a section takes.
fn section(lines: &[String]) -> Value {
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        if text.len() + line.len() + MORE_MAX > SECTION_MAX {
            text.push_str(&format!("\n… and {} more lines", lines.len() - i));
            break;
        }
        if i > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
    json!({ "type": "section", "text": mrkdwn(&text) })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(text)] })
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}

/// Replaces Slack's three control characters, without which no text can mention, link or call
/// anyone; the result has at most `max` bytes and no half entity.
fn escape(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let mut buffer = [0; 4];
        let part: &str = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            other => other.encode_utf8(&mut buffer),
        };
        if out.len() + part.len() + '…'.len_utf8() > max {
            out.push('…');
            break;
        }
        out.push_str(part);
    }
    out
}
