//! From changes to notices, from notices to messages. Pure: `now` and rows in, rows out.
//!
//! What must stay true: identities are hashes of what they stand for, equal on every node and
//! after every restart; nothing that began to fire is ever folded to nothing; "resolved" is said
//! only of what was announced, or with both times.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::message::{Advice, Content, Item, ItemState, News, Reason};
use super::route::{Disposition, Routing};
use crate::advice::{Decision, SignInstance, SignKey};
use crate::model::{Labels, Level, Timestamp};

/// How the signs of our own alerts begin.
pub const OWN_SIGNS: &str = "loadline-";

/// What happened to a sign instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// Began to fire.
    Fired,
    /// Its highest level is now another.
    LevelChanged {
        /// The level before.
        from: Level,
    },
    /// Is over.
    Resolved,
    /// Fires on, but its input is missing.
    Blind,
    /// Its input is there again.
    Seen,
}

/// One change of a sign instance, with the instance as it is afterwards (for a resolved one: as it
/// last was).
#[derive(Debug, Clone, PartialEq)]
pub struct SignEvent {
    /// What happened.
    pub event: Event,
    /// To what.
    pub instance: SignInstance,
    /// When (the evaluation's slot).
    pub at: Timestamp,
}

/// One change for one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Stable identity.
    pub id: String,
    /// Where it goes.
    pub endpoint: String,
    /// The labels of its message group.
    pub group: Labels,
    /// What happened.
    pub event: Event,
    /// To what.
    pub instance: SignInstance,
    /// When.
    pub at: Timestamp,
    /// What is done with it.
    pub disposition: Disposition,
}

/// What one endpoint was last told about one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// When its last message was written.
    pub last_message_at: Timestamp,
    /// What the receiver believes to be firing.
    pub told: Vec<Told>,
}

/// One thing that a receiver believes to be firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The sign instance.
    pub key: SignKey,
    /// Its episode.
    pub since: Timestamp,
    /// The level that was told.
    pub level: Level,
    /// Whether it was told that input is missing.
    pub blind: bool,
}

/// An endpoint and the labels of a message group.
pub type GroupId = (String, Labels);

/// What all endpoints were last told.
pub type GroupBook = BTreeMap<GroupId, Group>;

/// A message to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Stable identity, `ll_` and 32 hex digits.
    pub id: String,
    /// Where it goes.
    pub endpoint: String,
    /// What it tells of.
    pub group: Labels,
    /// Notices that it tells; none for a repeat.
    pub notices: Vec<String>,
    /// What it says.
    pub content: Content,
    /// What the receiver believes afterwards.
    pub told: Vec<Told>,
}

/// What a flush brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flush {
    /// Messages to write.
    pub messages: Vec<Message>,
    /// Notices (id, endpoint) that need no message, with the reason.
    pub silent: Vec<(String, String, &'static str)>,
    /// When to flush next, and why.
    pub next_due: Option<(Timestamp, &'static str)>,
}

/// The notices of changes: one per endpoint of the route, those that are not sent included.
pub fn notices(events: &[SignEvent], routing: &Routing) -> Vec<Notice> {
    let mut all = Vec::new();
    for event in events {
        let group = routing.group(&event.instance);
        let about = endpoint_concerned(&event.instance);
        let fallbacks = routing.fallbacks.iter().filter(|_| about.is_some());
        for endpoint in routing.endpoints.iter().chain(fallbacks) {
            let disposition = if about == Some(endpoint.name.as_str()) {
                Disposition::Own
            } else {
                disposition(event)
            };
            all.push(Notice {
                id: notice_id(event, &endpoint.name),
                endpoint: endpoint.name.clone(),
                group: group.clone(),
                event: event.event,
                instance: event.instance.clone(),
                at: event.at,
                disposition,
            });
        }
    }
    all
}

/// Folds the notices of every group that is due into one message each, and repeats groups that
/// were told long ago and still fire.
pub fn flush(
    now: Timestamp,
    pending: &[Notice],
    book: &GroupBook,
    current: &BTreeMap<SignKey, SignInstance>,
    decisions: &[Decision],
    routing: &Routing,
) -> Flush {
    let mut groups: BTreeMap<GroupId, Vec<&Notice>> = BTreeMap::new();
    for notice in pending {
        groups
            .entry((notice.endpoint.clone(), notice.group.clone()))
            .or_default()
            .push(notice);
    }
    let mut firing: BTreeMap<Labels, Vec<&SignInstance>> = BTreeMap::new();
    for instance in current.values().filter(|i| i.level >= Level::Act) {
        firing
            .entry(routing.group(instance))
            .or_default()
            .push(instance);
    }
    let ids: BTreeSet<&GroupId> = groups.keys().chain(book.keys()).collect();
    let mut out = Flush::default();
    for id in ids {
        let mut notices = groups.get(id).cloned().unwrap_or_default();
        notices.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let view = View {
            id,
            told: book.get(id),
            firing: firing.get(&id.1).map_or(&[], Vec::as_slice),
            notices,
            decisions,
            routing,
        };
        if view.notices.is_empty() {
            view.repeat(now, &mut out);
        } else {
            view.tell(now, &mut out);
        }
    }
    out
}

/// One group as a flush sees it.
struct View<'a> {
    id: &'a GroupId,
    told: Option<&'a Group>,
    firing: &'a [&'a SignInstance],
    notices: Vec<&'a Notice>,
    decisions: &'a [Decision],
    routing: &'a Routing,
}

impl View<'_> {
    fn tell(&self, now: Timestamp, out: &mut Flush) {
        let (due, why) = self.due(now);
        if due > now {
            wait(out, due, why);
            return;
        }
        let items = self.items();
        let send_resolved = self
            .routing
            .endpoint(&self.id.0)
            .is_none_or(super::route::Endpoint::send_resolved);
        let items: Vec<Item> = items
            .into_iter()
            .filter(|i| send_resolved || i.is_firing() || !self.was_told(i))
            .collect();
        if items.iter().all(|i| i.news == News::Known) {
            let why = if send_resolved {
                "what had changed had changed back before it was told"
            } else {
                "send_resolved is false for this endpoint"
            };
            for n in &self.notices {
                out.silent.push((n.id.clone(), n.endpoint.clone(), why));
            }
            return;
        }
        let reason = if items.iter().any(|i| i.news == News::Fresh) {
            Reason::Firing
        } else if items.iter().any(Item::is_firing) {
            Reason::Changed
        } else {
            Reason::Resolved
        };
        out.messages.push(self.message(now, due, reason, items));
    }

    fn repeat(&self, now: Timestamp, out: &mut Flush) {
        let Some(group) = self.told else { return };
        let items: Vec<Item> = self
            .items()
            .into_iter()
            .filter(|i| i.is_firing() && self.was_told(i))
            .collect();
        if items.is_empty() || self.routing.endpoint(&self.id.0).is_none() {
            return;
        }
        let due = group.last_message_at + self.routing.route.repeat_interval.0;
        if due > now {
            wait(out, due, "repeat_interval");
            return;
        }
        out.messages
            .push(self.message(now, due, Reason::Repeat, items));
    }

    /// When this group's notices are to be told, and what sets that time.
    fn due(&self, now: Timestamp) -> (Timestamp, &'static str) {
        if let Some(urgent) = self.notices.iter().find(|n| is_urgent(n)) {
            return (urgent.at.min(now), "level now");
        }
        let route = &self.routing.route;
        let oldest = self.notices.first().map_or(now, |n| n.at);
        // A time that lies ahead was written before the clock stepped back: it is over.
        let after = |t: Timestamp, wait| if t > now { now } else { t + wait };
        let wait = after(oldest, route.group_wait.0);
        let interval = self
            .told
            .map_or(wait, |g| after(g.last_message_at, route.group_interval.0));
        if interval > wait {
            (interval, "group_interval")
        } else {
            (wait, "group_wait")
        }
    }

    fn was_told(&self, item: &Item) -> bool {
        self.told_of(&item.instance.key, item.instance.since)
            .is_some()
    }

    fn told_of(&self, key: &SignKey, since: Timestamp) -> Option<&Told> {
        self.told?
            .told
            .iter()
            .find(|t| t.key == *key && t.since == since)
    }

    /// Every episode of the group: those with notices and those that fire, worst first.
    fn items(&self) -> Vec<Item> {
        let mut episodes: BTreeMap<(&SignKey, Timestamp), Vec<&Notice>> = BTreeMap::new();
        for instance in self.firing {
            episodes.insert((&instance.key, instance.since), Vec::new());
        }
        for notice in &self.notices {
            episodes
                .entry((&notice.instance.key, notice.instance.since))
                .or_default()
                .push(notice);
        }
        let mut items: Vec<Item> = episodes
            .into_iter()
            .filter_map(|((key, since), notices)| self.item(key, since, &notices))
            .collect();
        items.sort_by(|a, b| a.rank().cmp(&b.rank()));
        items
    }

    fn item(&self, key: &SignKey, since: Timestamp, notices: &[&Notice]) -> Option<Item> {
        let mut state = ItemState::Firing;
        let mut peak = Level::Note;
        for notice in notices {
            let level = notice.instance.level;
            peak = peak.max(level);
            state = match notice.event {
                Event::Resolved => ItemState::Resolved { at: notice.at },
                Event::LevelChanged { .. } if level < Level::Act => {
                    ItemState::Eased { at: notice.at }
                }
                Event::Fired | Event::LevelChanged { .. } => ItemState::Firing,
                Event::Blind | Event::Seen => state,
            };
        }
        let now = self
            .firing
            .iter()
            .find(|i| i.key == *key && i.since == since)
            .filter(|_| state == ItemState::Firing);
        let instance = now
            .map(|i| (*i).clone())
            .or_else(|| notices.last().map(|n| n.instance.clone()))?;
        peak = peak.max(instance.level);
        let told = self.told_of(key, since);
        let level_moved = notices
            .iter()
            .any(|n| matches!(n.event, Event::LevelChanged { .. }));
        let news = match (state, told) {
            (ItemState::Resolved { .. } | ItemState::Eased { .. }, _) => News::Over,
            (ItemState::Firing, None) => News::Fresh,
            (ItemState::Firing, Some(t)) if t.level != instance.level || level_moved => {
                News::LevelChanged { from: t.level }
            }
            (ItemState::Firing, Some(t)) if t.blind != instance.blind => News::SightChanged,
            (ItemState::Firing, Some(_)) => News::Known,
        };
        Some(Item {
            advice: Advice::about(&instance, self.decisions),
            instance,
            state,
            news,
            peak,
        })
    }

    fn message(
        &self,
        now: Timestamp,
        slot: Timestamp,
        reason: Reason,
        items: Vec<Item>,
    ) -> Message {
        let (endpoint, group) = self.id;
        let notices: Vec<String> = self.notices.iter().map(|n| n.id.clone()).collect();
        let told = items
            .iter()
            .filter(|i| i.is_firing())
            .map(|i| Told {
                key: i.instance.key.clone(),
                since: i.instance.since,
                level: i.instance.level,
                blind: i.instance.blind,
            })
            .collect();
        let id = message_id(endpoint, group, &notices, slot);
        let receiver = self
            .routing
            .endpoint(endpoint)
            .map_or(endpoint.as_str(), |e| e.receiver.as_str());
        Message {
            content: Content {
                id: id.clone(),
                receiver: receiver.to_owned(),
                group: group.clone(),
                reason,
                at: now,
                items,
            },
            id,
            endpoint: endpoint.clone(),
            group: group.clone(),
            notices,
            told,
        }
    }
}

fn wait(out: &mut Flush, due: Timestamp, why: &'static str) {
    if out.next_due.is_none_or(|(t, _)| due < t) {
        out.next_due = Some((due, why));
    }
}

/// The endpoint that one of our own alerts is about.
fn endpoint_concerned(instance: &SignInstance) -> Option<&str> {
    let endpoint = instance.key.labels.get("endpoint");
    (instance.key.sign.starts_with(OWN_SIGNS) && !endpoint.is_empty()).then_some(endpoint)
}

/// A fall below act was sent as act, so its end is sent too. What is missing is told by the alert
/// about its source.
fn disposition(event: &SignEvent) -> Disposition {
    let level = event.instance.level;
    match event.event {
        Event::LevelChanged { from } => Disposition::of(level.max(from)),
        Event::Fired | Event::Resolved => Disposition::of(level),
        Event::Blind | Event::Seen => Disposition::Covered,
    }
}

/// Level now does not wait, neither when it begins nor when it is reached.
fn is_urgent(notice: &Notice) -> bool {
    notice.instance.level == Level::Now
        && matches!(notice.event, Event::Fired | Event::LevelChanged { .. })
}

/// What happens at most once in an episode is named by the episode alone, the rest also by its
/// time.
fn notice_id(event: &SignEvent, endpoint: &str) -> String {
    let (kind, at) = match event.event {
        Event::Fired => ("fired", None),
        Event::LevelChanged { .. } => ("level", Some(event.at)),
        Event::Resolved => ("resolved", None),
        Event::Blind => ("blind", Some(event.at)),
        Event::Seen => ("seen", Some(event.at)),
    };
    let key = &event.instance.key;
    let mut hash = Parts::default();
    for part in [
        endpoint,
        kind,
        event.instance.level.as_str(),
        &key.system,
        &key.sign,
    ] {
        hash.add(part);
    }
    hash.add_labels(&key.labels);
    hash.add(&event.instance.since.millis().to_string());
    hash.add(&at.map_or_else(String::new, |t| t.millis().to_string()));
    hash.hex()
}

fn message_id(endpoint: &str, group: &Labels, notices: &[String], slot: Timestamp) -> String {
    let mut notices: Vec<&String> = notices.iter().collect();
    notices.sort();
    let mut hash = Parts::default();
    hash.add(endpoint);
    hash.add_labels(group);
    for notice in notices {
        hash.add(notice);
    }
    hash.add(&slot.millis().to_string());
    format!("ll_{}", hash.hex())
}

/// A hash over texts in which no two lists of texts look alike.
#[derive(Default)]
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn add_labels(&mut self, labels: &Labels) {
        self.add(&labels.len().to_string());
        for (name, value) in labels.iter() {
            self.add(name);
            self.add(value);
        }
    }

    /// 32 hex digits.
    fn hex(self) -> String {
        let digest = self.0.finalize();
        digest[..16].iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
