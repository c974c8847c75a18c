//! Between the outbox's types and the state's rows.

use serde::{Deserialize, Serialize};

use super::message::Rendered;
use super::outbox::{Event, Group, GroupBook, Message, Notice};
use super::route::Disposition;
use crate::advice::SignInstance;
use crate::model::Labels;
use crate::state::{GroupRow, NewMessage, NoticeRow, NoticeState};

/// The payload of a notice row.
#[derive(Serialize, Deserialize)]
struct Payload {
    event: Event,
    instance: SignInstance,
}

pub(crate) fn notice_row(notice: &Notice) -> NoticeRow {
    let payload = Payload {
        event: notice.event,
        instance: notice.instance.clone(),
    };
    NoticeRow {
        id: notice.id.clone(),
        endpoint: notice.endpoint.clone(),
        group_key: group_key(&notice.group),
        state: match notice.disposition {
            Disposition::Send => NoticeState::Pending,
            Disposition::Digest => NoticeState::Digest,
            Disposition::Muted | Disposition::Covered | Disposition::Own => NoticeState::Muted,
        },
        reason: notice.disposition.reason().to_owned(),
        at: notice.at,
        json: json(&payload),
    }
}

pub(crate) fn notice(row: &NoticeRow) -> Result<Notice, serde_json::Error> {
    let payload: Payload = serde_json::from_str(&row.json)?;
    Ok(Notice {
        id: row.id.clone(),
        endpoint: row.endpoint.clone(),
        group: serde_json::from_str(&row.group_key)?,
        event: payload.event,
        instance: payload.instance,
        at: row.at,
        disposition: match row.state {
            NoticeState::Pending | NoticeState::Folded => Disposition::Send,
            NoticeState::Digest => Disposition::Digest,
            NoticeState::Muted => Disposition::Muted,
        },
    })
}

/// A group that cannot be read counts as never told: its receiver then hears too much rather than
/// too little.
pub(crate) fn group_book(rows: &[GroupRow]) -> GroupBook {
    rows.iter()
        .filter_map(|row| {
            let labels: Labels = serde_json::from_str(&row.group_key).ok()?;
            let group = Group {
                last_message_at: row.last_message_at,
                told: serde_json::from_str(&row.told).ok()?,
            };
            Some(((row.endpoint.clone(), labels), group))
        })
        .collect()
}

pub(crate) fn new_message(message: &Message, rendered: Rendered) -> NewMessage {
    NewMessage {
        id: message.id.clone(),
        endpoint: message.endpoint.clone(),
        group_key: group_key(&message.group),
        urgency: message.content.urgency(),
        body: rendered.body,
        fallback: rendered.fallback,
        created_at: message.content.at,
        notices: message.notices.clone(),
        told: json(&message.told),
    }
}

fn group_key(labels: &Labels) -> String {
    json(labels)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and maps with text keys serialize")
}
