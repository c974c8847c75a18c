//! Plain text: for the log, for the desktop, and as the last resort.

use super::words::{self, MAX_TEXT, cut, one_line};
use super::{Advice, Content, Frame, Item, TOP};
use crate::advice::{Citation, FactQuestion, Recommendation, Verdict};

/// The whole message.
pub fn full(content: &Content, frame: &Frame) -> String {
    let lead = content.lead();
    let mut lines = vec![title(content)];
    lines.extend(facts(lead, content, frame));
    lines.extend(advice(lead));
    for item in content.items.iter().skip(1).take(TOP - 1) {
        lines.push(format!("Also: {}", brief(item, frame)));
    }
    if content.items.len() > TOP {
        lines.push(format!("and {} more", content.items.len() - TOP));
    }
    if !frame.external_url.is_empty() {
        lines.push(frame.external_url.clone());
    }
    lines.push(format!("Message {}", content.id));
    lines.join("\n")
}

/// A title and a few lines for a small window.
pub fn short(content: &Content, frame: &Frame) -> String {
    let lead = content.lead();
    let mut lines = vec![title(content)];
    lines.extend(words::measured(&lead.instance));
    lines.push(capital(&words::when(lead, content.at, frame), lead));
    if lead.is_firing() {
        lines.extend(words::step_in_short(lead));
    }
    if content.items.len() > 1 {
        lines.push(format!("and {} more", content.items.len() - 1));
    }
    lines.join("\n")
}

/// `Now: Database connections near their limit`, with a count when there are several.
pub fn title(content: &Content) -> String {
    let lead = content.lead();
    let count = match content.items.len() {
        1 => String::new(),
        n => format!(" ({n} places)"),
    };
    cut(
        &one_line(&format!(
            "{}: {}{count}",
            words::headline(lead),
            lead.title()
        )),
        MAX_TEXT,
    )
}

/// One line about an item that does not lead.
pub fn brief(item: &Item, frame: &Frame) -> String {
    let mut parts = vec![format!("{}:", words::headline(item))];
    let place = words::place(&item.instance);
    if !place.is_empty() {
        parts.push(format!("{place}:"));
    }
    let said = words::measured(&item.instance).unwrap_or_else(|| summary(item));
    parts.extend(Some(said).filter(|s| !s.is_empty()));
    match item.ended_at() {
        Some(at) => parts.push(format!("until {}", words::time(at, frame))),
        None => parts.push(format!("since {}", words::time(item.instance.since, frame))),
    }
    parts.join(" ")
}

/// The alert's own summary on one line; empty once the sign is over, when it is no longer true.
pub fn summary(item: &Item) -> String {
    if !item.is_firing() {
        return String::new();
    }
    cut(&one_line(&item.instance.summary), MAX_TEXT)
}

/// The rows "Measured", "On", "Since" as name and value.
pub fn table(item: &Item, content: &Content, frame: &Frame) -> Vec<(&'static str, String)> {
    let instance = &item.instance;
    let mut rows = Vec::new();
    let label = if item.is_firing() {
        "Measured"
    } else {
        "Last measured"
    };
    let figures: Vec<String> = words::measured(instance)
        .into_iter()
        .chain(words::threshold(instance, citations(item)))
        .collect();
    if !figures.is_empty() {
        rows.push((label, figures.join(", ")));
    }
    if !instance.key.system.is_empty() {
        rows.push(("System", one_line(&instance.key.system)));
    }
    let place = words::place(instance);
    if !place.is_empty() {
        rows.push(("On", place));
    }
    let label = if item.is_firing() { "Since" } else { "Fired" };
    rows.push((label, words::when(item, content.at, frame)));
    rows
}

/// What the advisor says, as name and value; empty once the sign is over.
pub fn advice_table(item: &Item) -> Vec<(&'static str, String)> {
    if !item.is_firing() {
        return Vec::new();
    }
    match &item.advice {
        Advice::Bottleneck { bottleneck, .. } => {
            let mut rows = match &bottleneck.verdict {
                Verdict::Step(r) => step_table(r),
                Verdict::NoStep {
                    why,
                    first_aid,
                    confirm,
                    ..
                } => no_step_table(why, first_aid, confirm.as_ref()),
            };
            for evidence in bottleneck.evidence.iter().take(TOP) {
                if evidence.value != item.instance.value {
                    rows.push(("Seen", one_line(&evidence.text)));
                }
            }
            rows
        }
        Advice::First { .. } => words::step_in_short(item)
            .map(|text| text.trim_start_matches("First: ").to_owned())
            .map(|text| ("First", text))
            .into_iter()
            .collect(),
        Advice::None => Vec::new(),
    }
}

/// Who says so, in words.
pub fn sources(item: &Item) -> Option<String> {
    if !item.is_firing() {
        return None;
    }
    let texts: Vec<&str> = citations(item).iter().map(|c| c.text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

pub(super) fn citations(item: &Item) -> &[Citation] {
    match item.advice.bottleneck().map(|b| &b.verdict) {
        Some(Verdict::Step(r)) => &r.citations,
        Some(Verdict::NoStep { citations, .. }) => citations,
        None => &[],
    }
}

fn facts(item: &Item, content: &Content, frame: &Frame) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(words::change(item));
    let summary = summary(item);
    if !summary.is_empty() {
        lines.push(summary);
    }
    for (name, value) in table(item, content, frame) {
        lines.push(format!("{name}: {value}"));
    }
    lines
}

fn advice(item: &Item) -> Vec<String> {
    let mut lines: Vec<String> = advice_table(item)
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.extend(sources(item).map(|s| format!("Source: {s}")));
    lines
}

fn step_table(r: &Recommendation) -> Vec<(&'static str, String)> {
    let mut title = r.step.title.clone();
    if r.unless_in_place {
        title.push_str(" (unless already in place)");
    }
    if r.again {
        title.push_str(" (already in place: extend it)");
    }
    if let Some(wanted) = &r.on_the_way_to {
        title.push_str(&format!(" (on the way to: {})", wanted.title));
    }
    let mut rows = vec![("Next step", title)];
    let mut add = |name, value: &str| {
        if !value.is_empty() {
            rows.push((name, one_line(value)));
        }
    };
    for step in &r.prerequisites {
        add("Do first", &step.title);
    }
    add("Why now", &r.why);
    add("Brings", &r.effect);
    add("Costs", &r.cost);
    add("Takes", &r.lead_time);
    for risk in &r.risks {
        add("Watch for", risk);
    }
    for aid in &r.first_aid {
        add("Until then", aid);
    }
    if let Some(fact) = r.confirm.first() {
        add("Confirm", &question(fact));
    }
    for dissent in &r.dissent {
        add("Disagrees", dissent);
    }
    rows
}

fn no_step_table(
    why: &str,
    first_aid: &[String],
    confirm: Option<&FactQuestion>,
) -> Vec<(&'static str, String)> {
    let mut rows = vec![("No scaling step yet", one_line(why))];
    for aid in first_aid {
        rows.push(("First aid", one_line(aid)));
    }
    if let Some(fact) = confirm {
        rows.push(("Confirm", question(fact)));
    }
    rows
}

fn question(fact: &FactQuestion) -> String {
    let config: Vec<&str> = fact.config.lines().map(str::trim).collect();
    format!(
        "{} (answer in the config: {})",
        one_line(&fact.question),
        config.join(" ")
    )
}

fn capital(when: &str, item: &Item) -> String {
    if item.is_firing() {
        format!("since {when}")
    } else {
        when.to_owned()
    }
}
