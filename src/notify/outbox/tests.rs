use std::time::Duration;

use super::*;
use crate::config::Route;
use crate::notify::testing::{T0, instance, on};

fn at(secs: u64) -> Timestamp {
    T0 + Duration::from_secs(secs)
}

/// Drives the pure outbox by text and keeps what the state would keep.
struct Desk {
    routing: Routing,
    pending: Vec<Notice>,
    book: GroupBook,
    current: BTreeMap<SignKey, SignInstance>,
}

impl Desk {
    fn new() -> Self {
        Self {
            routing: Routing::new(None, &[], false).unwrap(),
            pending: Vec::new(),
            book: GroupBook::new(),
            current: BTreeMap::new(),
        }
    }

    fn event(&mut self, secs: u64, event: Event, instance: &SignInstance) -> Vec<Notice> {
        match event {
            Event::Resolved => {
                self.current.remove(&instance.key);
            }
            Event::Fired | Event::LevelChanged { .. } | Event::Blind | Event::Seen => {
                self.current.insert(instance.key.clone(), instance.clone());
            }
        }
        let event = SignEvent {
            event,
            instance: instance.clone(),
            at: at(secs),
        };
        let notices = notices(&[event], &self.routing);
        let send = |n: &&Notice| n.disposition == Disposition::Send;
        self.pending.extend(notices.iter().filter(send).cloned());
        notices
    }

    /// What is told at this time, in words such as `firing: fresh act db1:5432`.
    fn flush(&mut self, secs: u64) -> Vec<String> {
        let now = at(secs);
        let flush = flush(
            now,
            &self.pending,
            &self.book,
            &self.current,
            &[],
            &self.routing,
        );
        for (id, _, _) in &flush.silent {
            self.pending.retain(|n| n.id != *id);
        }
        let mut said = Vec::new();
        for message in flush.messages {
            self.pending.retain(|n| !message.notices.contains(&n.id));
            let id = (message.endpoint.clone(), message.group.clone());
            let group = Group {
                last_message_at: now,
                told: message.told.clone(),
            };
            self.book.insert(id, group);
            let items: Vec<String> = message.content.items.iter().map(words).collect();
            let reason = message.content.reason.as_str();
            said.push(format!("{reason}: {}", items.join(", ")));
        }
        said
    }
}

fn words(item: &Item) -> String {
    let news = match item.news {
        News::Fresh => "fresh".to_owned(),
        News::LevelChanged { from } => format!("from {from} to"),
        News::SightChanged => "sight".to_owned(),
        News::Over => "over".to_owned(),
        News::Known => "known".to_owned(),
    };
    let server = item.instance.key.labels.get("server");
    format!("{news} {} {server}", item.instance.level)
}

fn sign(level: Level) -> SignInstance {
    instance("db-connections-near-limit", level)
}

const UP: Event = Event::LevelChanged { from: Level::Act };
const DOWN: Event = Event::LevelChanged { from: Level::Now };

#[test]
fn act_waits_for_its_group_and_now_does_not() {
    let mut desk = Desk::new();
    desk.event(0, Event::Fired, &sign(Level::Act));
    assert_eq!(desk.flush(29), [""; 0]);
    desk.event(29, Event::Fired, &on("db2:5432", sign(Level::Act)));
    assert_eq!(
        desk.flush(30),
        ["firing: fresh act db1:5432, fresh act db2:5432"]
    );
    assert_eq!(desk.flush(31), [""; 0]);
    desk.event(40, UP, &sign(Level::Now));
    assert_eq!(
        desk.flush(40),
        ["changed: from act to now db1:5432, known act db2:5432"]
    );
    desk.event(50, Event::Resolved, &sign(Level::Now));
    assert_eq!(desk.flush(339), [""; 0], "group_interval counts from 40");
    assert_eq!(
        desk.flush(340),
        ["changed: known act db2:5432, over now db1:5432"]
    );
}

#[test]
fn the_next_due_time_has_its_reason() {
    let mut desk = Desk::new();
    let next = |desk: &Desk, secs| {
        flush(
            at(secs),
            &desk.pending,
            &desk.book,
            &desk.current,
            &[],
            &desk.routing,
        )
        .next_due
    };
    assert_eq!(next(&desk, 0), None);
    desk.event(0, Event::Fired, &sign(Level::Act));
    assert_eq!(next(&desk, 10), Some((at(30), "group_wait")));
    desk.flush(30);
    assert_eq!(next(&desk, 31), Some((at(86_430), "repeat_interval")));
    desk.event(40, Event::Resolved, &sign(Level::Act));
    assert_eq!(next(&desk, 41), Some((at(330), "group_interval")));
}

#[test]
fn what_lived_and_died_unheard_is_one_message() {
    let mut desk = Desk::new();
    desk.event(0, Event::Fired, &sign(Level::Act));
    desk.event(20, Event::Resolved, &sign(Level::Act));
    assert_eq!(desk.flush(30), ["resolved: over act db1:5432"]);
    assert_eq!(desk.flush(100_000), [""; 0], "nothing to repeat");
}

#[test]
fn two_episodes_in_one_flush_are_both_told() {
    let mut desk = Desk::new();
    desk.event(0, Event::Fired, &sign(Level::Act));
    desk.event(10, Event::Resolved, &sign(Level::Act));
    let mut again = sign(Level::Act);
    again.since = at(20);
    desk.event(20, Event::Fired, &again);
    assert_eq!(
        desk.flush(30),
        ["firing: fresh act db1:5432, over act db1:5432"]
    );
    desk.event(40, Event::Resolved, &again);
    assert_eq!(desk.flush(330), ["resolved: over act db1:5432"]);
}

#[test]
fn note_is_muted_plan_is_kept_and_a_fall_below_act_is_told() {
    let mut desk = Desk::new();
    for (level, want) in [
        (Level::Note, Disposition::Muted),
        (Level::Plan, Disposition::Digest),
    ] {
        let notices = desk.event(0, Event::Fired, &sign(level));
        assert_eq!(notices[0].disposition, want);
        assert!(!want.reason().is_empty());
    }
    assert_eq!(desk.flush(100), [""; 0]);
    let up = Event::LevelChanged { from: Level::Plan };
    desk.event(100, up, &sign(Level::Act));
    assert_eq!(desk.flush(130), ["firing: fresh act db1:5432"]);
    desk.event(140, UP, &sign(Level::Plan));
    assert_eq!(desk.flush(430), ["resolved: over plan db1:5432"]);
    let last = desk.event(500, Event::Resolved, &sign(Level::Plan));
    assert_eq!(last[0].disposition, Disposition::Digest);
    assert_eq!(desk.flush(5000), [""; 0]);
}

#[test]
fn a_peak_between_two_messages_is_told_and_a_blink_is_not() {
    let mut desk = Desk::new();
    desk.event(0, Event::Fired, &sign(Level::Act));
    desk.flush(30);
    desk.event(40, UP, &sign(Level::Now));
    desk.event(41, DOWN, &sign(Level::Act));
    assert_eq!(desk.flush(41), ["changed: from act to act db1:5432"]);

    let mut blind = sign(Level::Act);
    blind.blind = true;
    for (event, instance) in [
        (Event::Blind, blind.clone()),
        (Event::Seen, sign(Level::Act)),
        (Event::Blind, blind),
    ] {
        // The source is told, once.
        let notices = desk.event(50, event, &instance);
        assert_eq!(notices[0].disposition, Disposition::Covered);
        assert!(notices[0].disposition.reason().contains("source"));
    }
    assert_eq!(desk.flush(1000), [""; 0]);
    assert!(desk.pending.is_empty());
}

#[test]
fn an_unchanged_group_repeats_once_a_day_with_another_id() {
    let mut desk = Desk::new();
    desk.event(0, Event::Fired, &sign(Level::Act));
    desk.flush(30);
    assert_eq!(desk.flush(86_429), [""; 0]);
    assert_eq!(desk.flush(86_430), ["repeat: known act db1:5432"]);
    assert_eq!(desk.flush(86_431), [""; 0]);
    assert_eq!(desk.flush(172_830), ["repeat: known act db1:5432"]);
}

#[test]
fn a_clock_that_stepped_back_holds_nothing_up() {
    let mut desk = Desk::new();
    desk.event(7200, Event::Fired, &sign(Level::Act));
    assert_eq!(desk.flush(3600), ["firing: fresh act db1:5432"]);
    desk.event(3610, Event::Resolved, &sign(Level::Act));
    assert_eq!(desk.flush(3000).len(), 1);
}

#[test]
fn without_send_resolved_only_news_is_told() {
    let mut desk = Desk::new();
    let toml = "[[receivers]]\nname = \"a\"\n[[receivers.log_configs]]\nsend_resolved = false\n";
    let config: crate::config::Config = toml::from_str(toml).unwrap();
    desk.routing = Routing::new(Some(&Route::to("a")), &config.receivers, false).unwrap();
    desk.event(0, Event::Fired, &sign(Level::Act));
    desk.flush(30);
    desk.event(40, Event::Resolved, &sign(Level::Act));
    assert_eq!(desk.flush(1000), [""; 0]);
    assert!(desk.pending.is_empty());
    let mut again = sign(Level::Act);
    again.since = at(2000);
    desk.event(2000, Event::Fired, &again);
    desk.event(2001, Event::Resolved, &again);
    assert_eq!(desk.flush(3000), ["resolved: over act db1:5432"]);
}

#[test]
fn ids_are_constant() {
    // Written down once: a change of these breaks receivers that know the old ones.
    let routing = Routing::new(None, &[], false).unwrap();
    let event = SignEvent {
        event: Event::Fired,
        instance: sign(Level::Act),
        at: at(1),
    };
    let first = notices(std::slice::from_ref(&event), &routing).remove(0);
    assert_eq!(first.id, "c589f7384e409cc835e476cc2e54d4d5");
    let later = SignEvent {
        at: at(99),
        ..event
    };
    assert_eq!(notices(&[later], &routing)[0].id, first.id);
    let group = Labels::from_pairs([("sign", "a")]);
    let ids = ["x".to_owned(), "y".to_owned()];
    let id = message_id("default/log", &group, &ids, at(30));
    assert_eq!(id, "ll_95497692758a25d9e60ed9a6c11a9baa");
    let swapped = ["y".to_owned(), "x".to_owned()];
    assert_eq!(message_id("default/log", &group, &swapped, at(30)), id);
    assert_ne!(message_id("default/log", &group, &ids, at(31)), id);
}
