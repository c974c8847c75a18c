//! The generic webhook: Alertmanager's body, version 4, with one `loadline` object.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Advice, Content, Frame, Item, text};
use crate::advice::{Citation, Evidence, FactQuestion, StepRef, Verdict};
use crate::model::Labels;

/// Alerts in one body; the rest is counted in `truncatedAlerts`.
const MAX_ALERTS: usize = 100;
/// Alertmanager's time for "has not ended".
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The body as JSON text.
pub fn body(content: &Content, frame: &Frame) -> String {
    let alerts: Vec<Alert> = content
        .items
        .iter()
        .take(MAX_ALERTS)
        .map(|item| alert(item, frame))
        .collect();
    let body = Body {
        version: "4",
        group_key: content.group.to_string(),
        truncated_alerts: content.items.len().saturating_sub(MAX_ALERTS),
        status: status(content.is_firing()),
        notification_reason: content.reason.as_str(),
        receiver: &content.receiver,
        group_labels: &content.group,
        common_labels: common(alerts.iter().map(|a| &a.labels)),
        common_annotations: common(alerts.iter().map(|a| &a.annotations)),
        external_url: &frame.external_url,
        loadline: loadline(content),
        alerts,
    };
    serde_json::to_string(&body).expect("a body of texts and numbers serializes")
}

type Pairs = BTreeMap<String, String>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
    status: &'static str,
    #[serde(rename = "notification_reason")]
    notification_reason: &'static str,
    receiver: &'a str,
    group_labels: &'a Labels,
    common_labels: Pairs,
    common_annotations: Pairs,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: Vec<Alert>,
    loadline: Loadline<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: &'static str,
    labels: Pairs,
    annotations: Pairs,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// The advice about the sign instance that leads.
#[derive(Serialize)]
struct Loadline<'a> {
    message_id: &'a str,
    system: &'a str,
    stage: Option<&'a str>,
    sign: &'a str,
    title: &'a str,
    level: &'static str,
    blind: bool,
    value: Option<f64>,
    limit: Option<f64>,
    threshold: Option<f64>,
    threshold_from: &'a str,
    unit: &'a str,
    since: String,
    next_step: Option<&'a StepRef>,
    no_step: Option<NoStep<'a>>,
    /// Set when another bottleneck comes first.
    first: Option<First<'a>>,
    prerequisites: &'a [StepRef],
    on_the_way_to: Option<&'a StepRef>,
    unless_in_place: bool,
    why: &'a str,
    effect: &'a str,
    cost: &'a str,
    lead_time: &'a str,
    risks: &'a [String],
    first_aid: &'a [String],
    confirm: &'a [FactQuestion],
    evidence: &'a [Evidence],
    citations: &'a [Citation],
    dissent: &'a [String],
}

#[derive(Serialize)]
struct NoStep<'a> {
    why: &'a str,
    first_aid: &'a [String],
    confirm: Option<&'a FactQuestion>,
}

#[derive(Serialize)]
struct First<'a> {
    title: &'a str,
    step: Option<&'a StepRef>,
}

fn loadline(content: &Content) -> Loadline<'_> {
    let item = content.lead();
    let instance = &item.instance;
    let bottleneck = item.advice.bottleneck();
    let step = item.advice.recommendation();
    let text =
        |pick: fn(&crate::advice::Recommendation) -> &String| step.map_or("", |r| pick(r).as_str());
    Loadline {
        message_id: &content.id,
        system: &instance.key.system,
        stage: match &item.advice {
            Advice::Bottleneck { stage, .. } => stage.as_deref(),
            Advice::First { .. } | Advice::None => None,
        },
        sign: &instance.key.sign,
        title: item.title(),
        level: instance.level.as_str(),
        blind: instance.blind,
        value: instance.value,
        limit: instance.limit,
        threshold: instance.threshold,
        threshold_from: &instance.threshold_from,
        unit: &instance.unit,
        since: instance.since.to_rfc3339(),
        next_step: step.map(|r| &r.step),
        no_step: bottleneck.and_then(|b| match &b.verdict {
            Verdict::Step(_) => None,
            Verdict::NoStep {
                why,
                first_aid,
                confirm,
                ..
            } => Some(NoStep {
                why,
                first_aid,
                confirm: confirm.as_ref(),
            }),
        }),
        first: match &item.advice {
            Advice::First { title, step } => Some(First {
                title,
                step: step.as_ref(),
            }),
            Advice::Bottleneck { .. } | Advice::None => None,
        },
        prerequisites: step.map_or(&[], |r| &r.prerequisites),
        on_the_way_to: step.and_then(|r| r.on_the_way_to.as_ref()),
        unless_in_place: step.is_some_and(|r| r.unless_in_place),
        why: text(|r| &r.why),
        effect: text(|r| &r.effect),
        cost: text(|r| &r.cost),
        lead_time: text(|r| &r.lead_time),
        risks: step.map_or(&[], |r| &r.risks),
        first_aid: step.map_or(&[], |r| &r.first_aid),
        confirm: step.map_or(&[], |r| &r.confirm),
        evidence: bottleneck.map_or(&[], |b| &b.evidence),
        citations: text::citations(item),
        dissent: step.map_or(&[], |r| &r.dissent),
    }
}

fn alert(item: &Item, frame: &Frame) -> Alert {
    let instance = &item.instance;
    let key = &instance.key;
    let mut labels: Pairs = frame.external_labels.clone();
    labels.extend(key.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())));
    let mut identity = key.labels.with("alertname", &key.sign);
    if !key.system.is_empty() {
        labels.insert("system".to_owned(), key.system.clone());
        identity = identity.with("system", &key.system);
    }
    for (name, value) in [
        ("alertname", key.sign.as_str()),
        ("sign", &key.sign),
        ("level", instance.level.as_str()),
        ("severity", instance.level.severity()),
    ] {
        labels.insert(name.to_owned(), value.to_owned());
    }
    let mut annotations = instance.annotations.clone();
    if !instance.summary.is_empty() {
        annotations.insert("summary".to_owned(), instance.summary.clone());
    }
    Alert {
        status: status(item.is_firing()),
        labels,
        annotations,
        starts_at: instance.since.to_rfc3339(),
        ends_at: item
            .ended_at()
            .map_or(NO_END.to_owned(), |t| t.to_rfc3339()),
        generator_url: frame.external_url.clone(),
        fingerprint: format!("{:016x}", identity.fingerprint()),
    }
}

fn status(firing: bool) -> &'static str {
    if firing { "firing" } else { "resolved" }
}

/// Pairs that all have.
fn common<'a>(all: impl Iterator<Item = &'a Pairs>) -> Pairs {
    let mut all = all;
    let mut shared = all.next().cloned().unwrap_or_default();
    for other in all {
        shared.retain(|name, value| other.get(name) == Some(value));
    }
    shared
}
