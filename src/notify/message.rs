//! What a message says. Every channel renders this one content; `text`, `slack` and `webhook`
//! differ in form only.
//!
//! What must stay true: a sign that is not part of a bottleneck never names a step of its own; a
//! document's threshold is told from a default; times are absolute, since the text is frozen.

pub mod slack;
pub mod text;
pub mod webhook;
pub mod words;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::route::{Endpoint, Kind};
use crate::advice::{
    Bottleneck, Decision, Recommendation, SignInstance, SignKey, StepRef, Verdict,
};
use crate::model::{Labels, Level, Timestamp};

/// Sign instances that are told in full or in a line; the rest is a count.
pub const TOP: usize = 5;

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// Its id.
    pub id: String,
    /// Name of the receiver.
    pub receiver: String,
    /// Labels that its sign instances share.
    pub group: Labels,
    /// Why it is sent.
    pub reason: Reason,
    /// When it was written.
    pub at: Timestamp,
    /// Its sign instances, worst first; never empty.
    pub items: Vec<Item>,
}

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Something new fires.
    Firing,
    /// Something that fires has changed.
    Changed,
    /// All is over.
    Resolved,
    /// Nothing changed for long.
    Repeat,
}

impl Reason {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Firing => "firing",
            Reason::Changed => "changed",
            Reason::Resolved => "resolved",
            Reason::Repeat => "repeat",
        }
    }
}

/// One sign instance in a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// As it is now, or as it last was.
    pub instance: SignInstance,
    /// Whether it is over.
    pub state: ItemState,
    /// What is new about it.
    pub news: News,
    /// The highest level since the last message.
    pub peak: Level,
    /// What the advisor says about it.
    pub advice: Advice,
}

/// Whether a sign instance is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemState {
    /// Fires at level act or now.
    Firing,
    /// Is over.
    Resolved {
        /// Since when.
        at: Timestamp,
    },
    /// Fires on at a level that is not sent.
    Eased {
        /// Since when.
        at: Timestamp,
    },
}

/// What is new about a sign instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// This receiver hears of it for the first time.
    Fresh,
    /// Its level moved.
    LevelChanged {
        /// The level that was told last.
        from: Level,
    },
    /// Its input went missing or came back.
    SightChanged,
    /// Is over.
    Over,
    /// Nothing.
    Known,
}

/// What the advisor says about a sign instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Advice {
    /// It is (part of) a bottleneck.
    Bottleneck {
        /// The bottleneck.
        bottleneck: Box<Bottleneck>,
        /// Scale stage of the system, where known.
        stage: Option<String>,
    },
    /// Something else comes first.
    First {
        /// Title of the bottleneck that comes first.
        title: String,
        /// Its step, where it has one.
        step: Option<StepRef>,
    },
    /// Nothing (yet).
    None,
}

impl Advice {
    /// Looks a sign instance up in its system's decision.
    pub fn about(instance: &SignInstance, decisions: &[Decision]) -> Self {
        let Some(decision) = decisions.iter().find(|d| d.system == instance.key.system) else {
            return Advice::None;
        };
        if let Some(bottleneck) = decision.bottleneck_of(&instance.key) {
            return Advice::Bottleneck {
                bottleneck: Box::new(bottleneck.clone()),
                stage: decision.rung.clone(),
            };
        }
        decision
            .bottlenecks
            .first()
            .map_or(Advice::None, |b| Advice::First {
                title: b.title.clone(),
                step: match &b.verdict {
                    Verdict::Step(r) => Some(r.step.clone()),
                    Verdict::NoStep { .. } => None,
                },
            })
    }

    /// The bottleneck that the sign instance is part of.
    pub fn bottleneck(&self) -> Option<&Bottleneck> {
        match self {
            Advice::Bottleneck { bottleneck, .. } => Some(bottleneck),
            Advice::First { .. } | Advice::None => None,
        }
    }

    /// The recommended step.
    pub fn recommendation(&self) -> Option<&Recommendation> {
        match &self.bottleneck()?.verdict {
            Verdict::Step(r) => Some(r),
            Verdict::NoStep { .. } => None,
        }
    }
}

impl Item {
    /// True while it fires at a level that is sent.
    pub fn is_firing(&self) -> bool {
        match self.state {
            ItemState::Firing => true,
            ItemState::Resolved { .. } | ItemState::Eased { .. } => false,
        }
    }

    /// When it ended for the receiver.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            ItemState::Firing => None,
            ItemState::Resolved { at } | ItemState::Eased { at } => Some(at),
        }
    }

    /// Firing before over, worst first, oldest first.
    pub(crate) fn rank(&self) -> (bool, Reverse<Level>, Timestamp, &SignKey) {
        (
            !self.is_firing(),
            Reverse(self.instance.level),
            self.instance.since,
            &self.instance.key,
        )
    }

    /// The sign in plain words, else its id.
    pub fn title(&self) -> &str {
        let key = &self.instance.key;
        self.advice
            .bottleneck()
            .filter(|b| b.sign == *key && !b.title.is_empty())
            .map_or(&key.sign, |b| &b.title)
    }
}

impl Content {
    /// The item that leads.
    pub fn lead(&self) -> &Item {
        self.items.first().expect("a message has an item")
    }

    /// True while any of its items fires.
    pub fn is_firing(&self) -> bool {
        self.items.iter().any(Item::is_firing)
    }

    /// Higher is sent first: the worst level, resolved messages last.
    pub fn urgency(&self) -> i64 {
        if !self.is_firing() {
            return 0;
        }
        match self.lead().instance.level {
            Level::Note | Level::Plan => 1,
            Level::Act => 2,
            Level::Now => 3,
        }
    }
}

/// What all messages of an installation share.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where people reach the page; empty when nobody said.
    pub external_url: String,
    /// Labels added to every message.
    pub external_labels: BTreeMap<String, String>,
    /// Time zone of messages.
    pub timezone: TimeZone,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            external_url: String::new(),
            external_labels: BTreeMap::new(),
            timezone: TimeZone::UTC,
        }
    }
}

/// A message as it is sent, frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// JSON for webhook and Slack, plain text for log and desktop.
    pub body: String,
    /// What is sent once when the receiver refuses the body as such: JSON with nothing but text
    /// for Slack, plain text for all others.
    pub fallback: String,
}

/// Renders a message for an endpoint; one that is no longer configured gets plain text.
pub fn render(content: &Content, endpoint: Option<&Endpoint>, frame: &Frame) -> Rendered {
    let plain = || text::full(content, frame);
    match endpoint.map(|e| &e.kind) {
        Some(Kind::Webhook(_)) => Rendered {
            body: webhook::body(content, frame),
            fallback: plain(),
        },
        Some(Kind::Slack(_)) => Rendered {
            body: slack::body(content, frame),
            fallback: slack::plain(content, frame),
        },
        Some(Kind::Desktop(_)) => Rendered {
            body: text::short(content, frame),
            fallback: text::short(content, frame),
        },
        Some(Kind::Log(_)) | None => Rendered {
            body: plain(),
            fallback: plain(),
        },
    }
}

/// What is added when a message is sent, and is not part of its frozen body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// The receiver may have it already.
    pub possible_repeat: bool,
    /// When it was written, if that is long ago.
    pub late: Option<Timestamp>,
}

impl Delivery {
    /// A line for people; `None` when there is nothing to say.
    pub fn note(&self, id: &str, frame: &Frame) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(at) = self.late {
            parts.push(format!("late: written {}", words::time(at, frame)));
        }
        if self.possible_repeat {
            parts.push(format!("(possible repeat) {}", words::short_id(id)));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}
