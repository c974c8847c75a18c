use insta::assert_snapshot;
use std::time::Duration;

use super::*;
use crate::notify::testing::{T0, decision, instance, no_step, on, pooling};

fn minutes(n: u64) -> Timestamp {
    T0 + Duration::from_secs(60 * n)
}

fn firing(instance: &SignInstance, decisions: &[Decision]) -> Item {
    Item {
        instance: instance.clone(),
        state: ItemState::Firing,
        news: News::Fresh,
        peak: instance.level,
        advice: Advice::about(instance, decisions),
    }
}

fn content(reason: Reason, items: Vec<Item>) -> Content {
    Content {
        id: "ll_0123456789abcdef0123456789abcdef".to_owned(),
        receiver: "default".to_owned(),
        group: Labels::from_pairs([("sign", items[0].instance.key.sign.as_str())]),
        reason,
        at: minutes(5),
        items,
    }
}

fn connections(level: Level) -> SignInstance {
    instance("db-connections-near-limit", level)
}

fn act_with_step() -> Content {
    let sign = connections(Level::Act);
    let item = firing(&sign, &[decision(&sign, pooling())]);
    content(Reason::Firing, vec![item])
}

fn no_step_yet() -> Content {
    let mut sign = instance("replication-lag-high", Level::Act);
    sign.summary = "Replica db2:5432 is 12 minutes behind".to_owned();
    sign.value = Some(720.0);
    sign.limit = None;
    sign.threshold = Some(30.0);
    sign.threshold_from = "default".to_owned();
    sign.unit = "seconds".to_owned();
    let mut decision = decision(&sign, no_step());
    decision.bottlenecks[0].title = "A replica falls behind".to_owned();
    decision.bottlenecks[0].evidence.clear();
    content(Reason::Firing, vec![firing(&sign, &[decision])])
}

fn resolved() -> Content {
    let sign = connections(Level::Now);
    let item = Item {
        state: ItemState::Resolved { at: minutes(4) },
        news: News::Over,
        ..firing(&sign, &[decision(&sign, pooling())])
    };
    content(Reason::Resolved, vec![item])
}

fn level_change() -> Content {
    let sign = connections(Level::Now);
    let item = Item {
        news: News::LevelChanged { from: Level::Act },
        ..firing(&sign, &[decision(&sign, pooling())])
    };
    content(Reason::Changed, vec![item])
}

fn seven() -> Content {
    let lead = connections(Level::Now);
    let decisions = [decision(&lead, pooling())];
    let mut items = vec![firing(&lead, &decisions)];
    for n in 2..=7 {
        let sign = on(&format!("db{n}:5432"), connections(Level::Act));
        items.push(firing(&sign, &decisions));
    }
    content(Reason::Firing, items)
}

fn text_of(content: &Content) -> String {
    text::full(content, &Frame::default())
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn act_with_a_step() {
    assert_snapshot!(text_of(&act_with_step()), @r#"
    Act: Database connections near their limit
    Postgres db1:5432 has 19 of 20 connections in use
    Measured: 19 of 20 (95 %), threshold 90 % of the limit (Scaling Signs, S4)
    On: server=db1:5432
    Since: 21 Nov 2026 14:00 UTC (5m)
    Next step: Put a connection pooler in front of Postgres (unless already in place)
    Do first: Look at the slowest queries
    Why now: nearly all connections are taken and most of them are idle
    Brings: thousands of client connections over 20-50 server connections
    Costs: one more process to run; session features need care
    Takes: 3d (default)
    Watch for: prepared statements in transaction mode
    Until then: end sessions that are idle in a transaction
    Seen: idle connections: 14
    Source: The Scaling Milestones, 1K-10K; Scaling Signs, S4
    Message ll_0123456789abcdef0123456789abcdef
    "#);
}

#[test]
fn now() {
    let sign = connections(Level::Now);
    let item = firing(&sign, &[decision(&sign, pooling())]);
    let now = content(Reason::Firing, vec![item]);
    assert_snapshot!(text::short(&now, &Frame::default()), @r#"
    Now: Database connections near their limit
    19 of 20 (95 %)
    since 21 Nov 2026 14:00 UTC (5m)
    Next step: Put a connection pooler in front of Postgres
    "#);
}

#[test]
fn no_step_with_first_aid() {
    assert_snapshot!(text_of(&no_step_yet()), @r#"
    Act: A replica falls behind
    Replica db2:5432 is 12 minutes behind
    Measured: 12m, threshold 30s (default)
    On: server=db1:5432
    Since: 21 Nov 2026 14:00 UTC (5m)
    No scaling step yet: replay is paused on the replica, so it falls behind whatever its size
    First aid: resume replay: SELECT pg_wal_replay_resume()
    Confirm: Is replay paused on purpose? (answer in the config: [facts] replay-paused-on-purpose = true)
    Source: The Scaling Milestones, 1K-10K; Scaling Signs, S4
    Message ll_0123456789abcdef0123456789abcdef
    "#);
}

#[test]
fn over() {
    assert_snapshot!(text_of(&resolved()), @r#"
    Resolved: Database connections near their limit
    Over. Was at level now.
    Last measured: 19 of 20 (95 %), threshold 90 % of the limit (Scaling Signs, S4)
    On: server=db1:5432
    Fired: from 21 Nov 2026 14:00 UTC to 21 Nov 2026 14:04 UTC (4m)
    Message ll_0123456789abcdef0123456789abcdef
    "#);
}

#[test]
fn another_level() {
    let text = text_of(&level_change());
    let head: Vec<&str> = text.lines().take(4).collect();
    assert_snapshot!(head.join("\n"), @r#"
    Now: Database connections near their limit
    Level changed from act to now.
    Postgres db1:5432 has 19 of 20 connections in use
    Measured: 19 of 20 (95 %), threshold 90 % of the limit (Scaling Signs, S4)
    "#);
}

#[test]
fn seven_in_one_group() {
    assert_snapshot!(text_of(&seven()), @r#"
    Now: Database connections near their limit (7 places)
    Postgres db1:5432 has 19 of 20 connections in use
    Measured: 19 of 20 (95 %), threshold 90 % of the limit (Scaling Signs, S4)
    On: server=db1:5432
    Since: 21 Nov 2026 14:00 UTC (5m)
    Next step: Put a connection pooler in front of Postgres (unless already in place)
    Do first: Look at the slowest queries
    Why now: nearly all connections are taken and most of them are idle
    Brings: thousands of client connections over 20-50 server connections
    Costs: one more process to run; session features need care
    Takes: 3d (default)
    Watch for: prepared statements in transaction mode
    Until then: end sessions that are idle in a transaction
    Seen: idle connections: 14
    Source: The Scaling Milestones, 1K-10K; Scaling Signs, S4
    Also: Act: server=db2:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    Also: Act: server=db3:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    Also: Act: server=db4:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    Also: Act: server=db5:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    and 2 more
    Message ll_0123456789abcdef0123456789abcdef
    "#);
}

#[test]
fn not_a_bottleneck_and_blind_and_eased() {
    let lead = connections(Level::Now);
    let mut other = instance("host-cpu-sustained", Level::Act);
    other.blind = true;
    let mut item = firing(&other, &[decision(&lead, pooling())]);
    assert_snapshot!(text_of(&content(Reason::Firing, vec![item.clone()])), @r#"
    Blind: host-cpu-sustained
    Its input is missing: the figures are the last known ones, level act.
    Postgres db1:5432 has 19 of 20 connections in use
    Measured: 19 of 20 (95 %), threshold 90 % of the limit (from the source documents)
    On: server=db1:5432
    Since: 21 Nov 2026 14:00 UTC (5m)
    First: Put a connection pooler in front of Postgres
    Message ll_0123456789abcdef0123456789abcdef
    "#);
    item.state = ItemState::Eased { at: minutes(3) };
    item.instance.level = Level::Plan;
    assert_snapshot!(text_of(&content(Reason::Resolved, vec![item])), @r#"
    Eased: host-cpu-sustained
    Fires on at level plan, which is not sent; was at level act.
    Last measured: 19 of 20 (95 %), threshold 90 % of the limit (from the source documents)
    On: server=db1:5432
    Fired: from 21 Nov 2026 14:00 UTC to 21 Nov 2026 14:03 UTC (3m)
    Message ll_0123456789abcdef0123456789abcdef
    "#);
}

#[test]
fn slack_act_with_a_step() {
    let body = slack::body(&act_with_step(), &Frame::default());
    assert_snapshot!(pretty(&body), @r#"
    {
      "blocks": [
        {
          "text": {
            "emoji": true,
            "text": ":warning: Act: Database connections near their limit",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "Postgres db1:5432 has 19 of 20 connections in use",
            "type": "mrkdwn"
          },
          "type": "section"
        },
        {
          "fields": [
            {
              "text": "*Measured*\n19 of 20 (95 %), threshold 90 % of the limit (Scaling Signs, S4)",
              "type": "mrkdwn"
            },
            {
              "text": "*On*\nserver=db1:5432",
              "type": "mrkdwn"
            },
            {
              "text": "*Since*\n21 Nov 2026 14:00 UTC (5m)",
              "type": "mrkdwn"
            }
          ],
          "type": "section"
        },
        {
          "type": "divider"
        },
        {
          "text": {
            "text": "*Next step:* Put a connection pooler in front of Postgres (unless already in place)\n*Do first:* Look at the slowest queries\n*Why now:* nearly all connections are taken and most of them are idle\n*Brings:* thousands of client connections over 20-50 server connections\n*Costs:* one more process to run; session features need care\n*Takes:* 3d (default)\n*Watch for:* prepared statements in transaction mode\n*Until then:* end sessions that are idle in a transaction\n*Seen:* idle connections: 14",
            "type": "mrkdwn"
          },
          "type": "section"
        },
        {
          "elements": [
            {
              "text": "Source: The Scaling Milestones, 1K-10K; Scaling Signs, S4  ·  ll_01234567",
              "type": "mrkdwn"
            }
          ],
          "type": "context"
        }
      ],
      "text": "Act: Database connections near their limit, 19 of 20 (95 %). Next step: Put a connection pooler in front of Postgres"
    }
    "#);
}

#[test]
fn slack_no_step_and_over() {
    let body = slack::body(&no_step_yet(), &Frame::default());
    assert_snapshot!(pretty(&body), @r#"
    {
      "blocks": [
        {
          "text": {
            "emoji": true,
            "text": ":warning: Act: A replica falls behind",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "Replica db2:5432 is 12 minutes behind",
            "type": "mrkdwn"
          },
          "type": "section"
        },
        {
          "fields": [
            {
              "text": "*Measured*\n12m, threshold 30s (default)",
              "type": "mrkdwn"
            },
            {
              "text": "*On*\nserver=db1:5432",
              "type": "mrkdwn"
            },
            {
              "text": "*Since*\n21 Nov 2026 14:00 UTC (5m)",
              "type": "mrkdwn"
            }
          ],
          "type": "section"
        },
        {
          "type": "divider"
        },
        {
          "text": {
            "text": "*No scaling step yet:* replay is paused on the replica, so it falls behind whatever its size\n*First aid:* resume replay: SELECT pg_wal_replay_resume()\n*Confirm:* Is replay paused on purpose? (answer in the config: [facts] replay-paused-on-purpose = true)",
            "type": "mrkdwn"
          },
          "type": "section"
        },
        {
          "elements": [
            {
              "text": "Source: The Scaling Milestones, 1K-10K; Scaling Signs, S4  ·  ll_01234567",
              "type": "mrkdwn"
            }
          ],
          "type": "context"
        }
      ],
      "text": "Act: A replica falls behind, 12m. No scaling step yet"
    }
    "#);
    let body = slack::body(&resolved(), &Frame::default());
    assert_snapshot!(pretty(&body), @r#"
    {
      "blocks": [
        {
          "text": {
            "emoji": true,
            "text": ":white_check_mark: Resolved: Database connections near their limit",
            "type": "plain_text"
          },
          "type": "header"
        },
        {
          "text": {
            "text": "Over. Was at level now.",
            "type": "mrkdwn"
          },
          "type": "section"
        },
        {
          "fields": [
            {
              "text": "*Last measured*\n19 of 20 (95 %), threshold 90 % of the limit (Scaling Signs, S4)",
              "type": "mrkdwn"
            },
            {
              "text": "*On*\nserver=db1:5432",
              "type": "mrkdwn"
            },
            {
              "text": "*Fired*\nfrom 21 Nov 2026 14:00 UTC to 21 Nov 2026 14:04 UTC (4m)",
              "type": "mrkdwn"
            }
          ],
          "type": "section"
        },
        {
          "elements": [
            {
              "text": "ll_01234567",
              "type": "mrkdwn"
            }
          ],
          "type": "context"
        }
      ],
      "text": "Resolved: Database connections near their limit"
    }
    "#);
}

#[test]
fn slack_seven() {
    let body = slack::body(&seven(), &Frame::default());
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    let also = value["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .nth(1)
        .unwrap();
    assert_snapshot!(also["text"]["text"].as_str().unwrap(), @r#"
    • Act: server=db2:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    • Act: server=db3:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    • Act: server=db4:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    • Act: server=db5:5432: 19 of 20 (95 %) since 21 Nov 2026 14:00 UTC
    and 2 more
    "#);
}

#[test]
fn webhook_act_with_a_step() {
    let frame = Frame {
        external_url: "http://127.0.0.1:9797/".to_owned(),
        external_labels: BTreeMap::from([("site".to_owned(), "north".to_owned())]),
        ..Frame::default()
    };
    let body = webhook::body(&act_with_step(), &frame);
    assert_snapshot!(pretty(&body), @r#"
    {
      "alerts": [
        {
          "annotations": {
            "summary": "Postgres db1:5432 has 19 of 20 connections in use"
          },
          "endsAt": "0001-01-01T00:00:00Z",
          "fingerprint": "3cd3569f6dd0cd53",
          "generatorURL": "http://127.0.0.1:9797/",
          "labels": {
            "alertname": "db-connections-near-limit",
            "level": "act",
            "server": "db1:5432",
            "severity": "warning",
            "sign": "db-connections-near-limit",
            "site": "north"
          },
          "startsAt": "2026-11-21T14:00:00.000Z",
          "status": "firing"
        }
      ],
      "commonAnnotations": {
        "summary": "Postgres db1:5432 has 19 of 20 connections in use"
      },
      "commonLabels": {
        "alertname": "db-connections-near-limit",
        "level": "act",
        "server": "db1:5432",
        "severity": "warning",
        "sign": "db-connections-near-limit",
        "site": "north"
      },
      "externalURL": "http://127.0.0.1:9797/",
      "groupKey": "{sign=\"db-connections-near-limit\"}",
      "groupLabels": {
        "sign": "db-connections-near-limit"
      },
      "loadline": {
        "blind": false,
        "citations": [
          {
            "tag": "[B]1K-10K",
            "text": "The Scaling Milestones, 1K-10K"
          },
          {
            "tag": "[D]S4",
            "text": "Scaling Signs, S4"
          }
        ],
        "confirm": [],
        "cost": "one more process to run; session features need care",
        "dissent": [],
        "effect": "thousands of client connections over 20-50 server connections",
        "evidence": [
          {
            "limit": 20.0,
            "text": "connections in use: 19 of 20",
            "unit": "count",
            "value": 19.0
          },
          {
            "limit": null,
            "text": "idle connections: 14",
            "unit": "count",
            "value": 14.0
          }
        ],
        "first": null,
        "first_aid": [
          "end sessions that are idle in a transaction"
        ],
        "lead_time": "3d (default)",
        "level": "act",
        "limit": 20.0,
        "message_id": "ll_0123456789abcdef0123456789abcdef",
        "next_step": {
          "id": "connection-pooling",
          "title": "Put a connection pooler in front of Postgres"
        },
        "no_step": null,
        "on_the_way_to": null,
        "prerequisites": [
          {
            "id": "query-optimization",
            "title": "Look at the slowest queries"
          }
        ],
        "risks": [
          "prepared statements in transaction mode"
        ],
        "sign": "db-connections-near-limit",
        "since": "2026-11-21T14:00:00.000Z",
        "stage": "L1",
        "system": "",
        "threshold": 0.9,
        "threshold_from": "[D]S4",
        "title": "Database connections near their limit",
        "unit": "count",
        "unless_in_place": true,
        "value": 19.0,
        "why": "nearly all connections are taken and most of them are idle"
      },
      "notification_reason": "firing",
      "receiver": "default",
      "status": "firing",
      "truncatedAlerts": 0,
      "version": "4"
    }
    "#);
}

#[test]
fn webhook_over_and_seven() {
    let value = |content: &Content| -> serde_json::Value {
        serde_json::from_str(&webhook::body(content, &Frame::default())).unwrap()
    };
    let over = value(&resolved());
    assert_eq!(over["status"], "resolved");
    assert_eq!(over["alerts"][0]["endsAt"], "2026-11-21T14:04:00.000Z");
    let seven = value(&seven());
    assert_eq!(seven["alerts"].as_array().unwrap().len(), 7);
    assert_eq!(seven["commonLabels"]["sign"], "db-connections-near-limit");
    assert!(seven["commonLabels"].get("level").is_none());
    assert_eq!(seven["loadline"]["level"], "now");
    assert_eq!(
        value(&no_step_yet())["loadline"]["next_step"],
        serde_json::Value::Null
    );
    assert_eq!(
        value(&no_step_yet())["loadline"]["no_step"]["first_aid"][0],
        "resume replay: SELECT pg_wal_replay_resume()"
    );
}

#[test]
fn what_is_added_at_sending_is_seen_and_leaves_the_rest_alone() {
    let frame = Frame::default();
    let content = act_with_step();
    let body = slack::body(&content, &frame);
    let plain = Delivery::default();
    assert_eq!(slack::deliver(&body, &content.id, &plain, &frame), body);
    let late = Delivery {
        possible_repeat: true,
        late: Some(T0),
    };
    let sent = slack::deliver(&body, &content.id, &late, &frame);
    let note = "late: written 21 Nov 2026 14:00 UTC; (possible repeat) ll_01234567";
    assert_eq!(sent.matches(note).count(), 2, "{sent}");
    let fallback = slack::plain(&content, &frame);
    let sent = slack::deliver(&fallback, &content.id, &late, &frame);
    assert_eq!(sent.matches(note).count(), 1, "{sent}");
}

/// Label values and texts that try to break out: of lines, of JSON, of Slack's markup, of limits.
#[test]
fn wild_values_break_nothing() {
    let wild = "a\r\nX: y\u{0}\"<!channel> <http://evil|x> & `b` *c*";
    let long = "ä".repeat(10_000);
    for value in [wild, long.as_str()] {
        let mut sign = on(value, connections(Level::Now));
        sign.summary = value.to_owned();
        sign.annotations.insert("note".to_owned(), value.to_owned());
        let mut decision = decision(&sign, no_step());
        decision.bottlenecks[0].title = value.to_owned();
        let Verdict::NoStep { why, first_aid, .. } = &mut decision.bottlenecks[0].verdict else {
            unreachable!("made by no_step");
        };
        *why = value.to_owned();
        *first_aid = vec![value.to_owned(); 40];
        let content = content(Reason::Firing, vec![firing(&sign, &[decision])]);
        let frame = Frame::default();

        let slack = slack::body(&content, &frame);
        let json: serde_json::Value = serde_json::from_str(&slack).unwrap();
        assert!(
            !slack.contains("<!channel>") && !slack.contains("<http"),
            "{slack}"
        );
        let mut blocks = 0;
        for block in json["blocks"].as_array().unwrap() {
            blocks += 1;
            let max = if block["type"] == "header" { 150 } else { 3000 };
            let text = block["text"]["text"].as_str().unwrap_or_default();
            assert!(text.chars().count() <= max, "{block}");
            for field in block["fields"].as_array().into_iter().flatten() {
                assert!(field["text"].as_str().unwrap().chars().count() <= 2000);
            }
        }
        assert!(blocks <= 50);
        let webhook: serde_json::Value =
            serde_json::from_str(&webhook::body(&content, &frame)).unwrap();
        assert_eq!(webhook["alerts"][0]["annotations"]["note"], value);
        let short = text::short(&content, &frame);
        assert!(!short.contains(['\r', '\u{0}']), "{short}");
        assert!(
            text::full(&content, &frame)
                .lines()
                .all(|l| !l.starts_with("X: "))
        );
    }
}
