//! Slack: `text` for notifications and old clients, blocks for the channel.

use serde_json::{Value, json};

use super::words::{self, cut};
use super::{Content, Delivery, Frame, Item, ItemState, TOP, text};
use crate::model::Level;

/// Slack's own limits: characters of a header, of a section's text and of a field.
const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3000;
const FIELD_MAX: usize = 2000;
/// Slack takes 10 fields a section.
const FIELDS_MAX: usize = 10;

/// The message with blocks.
pub fn body(content: &Content, frame: &Frame) -> String {
    let lead = content.lead();
    let title = text::title(content);
    let header = cut(&format!("{} {title}", icon(lead)), HEADER_MAX);
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": header, "emoji": true },
    })];
    let said: Vec<String> = words::change(lead)
        .into_iter()
        .chain(Some(text::summary(lead)).filter(|s| !s.is_empty()))
        .map(|line| escape(&line))
        .collect();
    if !said.is_empty() {
        blocks.push(section(&said.join("\n")));
    }
    let fields: Vec<Value> = text::table(lead, content, frame)
        .into_iter()
        .take(FIELDS_MAX)
        .map(|(name, value)| mrkdwn(&cut(&format!("*{name}*\n{}", escape(&value)), FIELD_MAX)))
        .collect();
    blocks.push(json!({ "type": "section", "fields": fields }));
    let advice: Vec<String> = text::advice_table(lead)
        .into_iter()
        .map(|(name, value)| format!("*{name}:* {}", escape(&value)))
        .collect();
    if !advice.is_empty() {
        blocks.push(json!({ "type": "divider" }));
        blocks.push(section(&advice.join("\n")));
    }
    let mut also: Vec<String> = content
        .items
        .iter()
        .skip(1)
        .take(TOP - 1)
        .map(|item| format!("• {}", escape(&text::brief(item, frame))))
        .collect();
    if content.items.len() > TOP {
        also.push(format!("and {} more", content.items.len() - TOP));
    }
    if !also.is_empty() {
        blocks.push(section(&also.join("\n")));
    }
    let mut foot: Vec<String> = text::sources(lead)
        .map(|s| format!("Source: {}", escape(&s)))
        .into_iter()
        .collect();
    if !frame.external_url.is_empty() {
        foot.push(format!("<{}|loadline>", escape(&frame.external_url)));
    }
    foot.push(words::short_id(&content.id).to_owned());
    blocks.push(context(&foot.join("  ·  ")));
    json!({ "text": escape(&one_liner(content)), "blocks": blocks }).to_string()
}

/// The message as text only.
pub fn plain(content: &Content, frame: &Frame) -> String {
    let text = cut(&escape(&text::full(content, frame)), SECTION_MAX);
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

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(&cut(text, SECTION_MAX)) })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(&cut(text, SECTION_MAX))] })
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text })
}

/// Slack's three control characters: without them no text can mention, link or call anyone.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
