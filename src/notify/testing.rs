//! Sign instances and decisions that the room's tests share.

use std::collections::BTreeMap;

use crate::advice::{
    Bottleneck, Citation, Decision, Evidence, FactQuestion, Recommendation, SignInstance, SignKey,
    StepRef, Verdict,
};
use crate::model::{Labels, Level, Timestamp};

/// 21 November 2026, 14:00 UTC.
pub(crate) const T0: Timestamp = Timestamp::from_secs(1_795_269_600);

pub(crate) fn instance(sign: &str, level: Level) -> SignInstance {
    SignInstance {
        key: SignKey {
            system: String::new(),
            sign: sign.to_owned(),
            labels: Labels::from_pairs([("server", "db1:5432")]),
        },
        level,
        since: T0,
        summary: "Postgres db1:5432 has 19 of 20 connections in use".to_owned(),
        annotations: BTreeMap::new(),
        value: Some(19.0),
        limit: Some(20.0),
        threshold: Some(0.9),
        threshold_from: "[D]S4".to_owned(),
        unit: "count".to_owned(),
        blind: false,
    }
}

pub(crate) fn on(server: &str, mut instance: SignInstance) -> SignInstance {
    instance.key.labels = instance.key.labels.with("server", server);
    instance.summary = instance.summary.replace("db1:5432", server);
    instance
}

pub(crate) fn decision(instance: &SignInstance, verdict: Verdict) -> Decision {
    Decision {
        system: instance.key.system.clone(),
        at: T0,
        rung: Some("L1".to_owned()),
        rung_from: None,
        bottlenecks: vec![Bottleneck {
            sign: instance.key.clone(),
            title: "Database connections near their limit".to_owned(),
            level: instance.level,
            evidence: vec![
                Evidence {
                    text: "connections in use: 19 of 20".to_owned(),
                    value: Some(19.0),
                    limit: Some(20.0),
                    unit: "count".to_owned(),
                },
                Evidence {
                    text: "idle connections: 14".to_owned(),
                    value: Some(14.0),
                    limit: None,
                    unit: "count".to_owned(),
                },
            ],
            also: Vec::new(),
            verdict,
            considered: Vec::new(),
        }],
    }
}

pub(crate) fn pooling() -> Verdict {
    Verdict::Step(Box::new(Recommendation {
        step: step(
            "connection-pooling",
            "Put a connection pooler in front of Postgres",
        ),
        on_the_way_to: None,
        missing: Vec::new(),
        prerequisites: vec![step("query-optimization", "Look at the slowest queries")],
        unless_in_place: true,
        again: false,
        why: "nearly all connections are taken and most of them are idle".to_owned(),
        effect: "thousands of client connections over 20-50 server connections".to_owned(),
        cost: "one more process to run; session features need care".to_owned(),
        risks: vec!["prepared statements in transaction mode".to_owned()],
        lead_time: "3d (default)".to_owned(),
        verify: None,
        first_aid: vec!["end sessions that are idle in a transaction".to_owned()],
        confirm: Vec::new(),
        then: None,
        citations: citations(),
        donts: Vec::new(),
        dissent: Vec::new(),
    }))
}

pub(crate) fn no_step() -> Verdict {
    Verdict::NoStep {
        why: "replay is paused on the replica, so it falls behind whatever its size".to_owned(),
        first_aid: vec!["resume replay: SELECT pg_wal_replay_resume()".to_owned()],
        confirm: Some(FactQuestion {
            id: "replay-paused-on-purpose".to_owned(),
            question: "Is replay paused on purpose?".to_owned(),
            config: "[facts]\nreplay-paused-on-purpose = true".to_owned(),
        }),
        citations: citations(),
    }
}

fn step(id: &str, title: &str) -> StepRef {
    StepRef {
        id: id.to_owned(),
        title: title.to_owned(),
    }
}

fn citations() -> Vec<Citation> {
    vec![
        Citation {
            tag: "[B]1K-10K".to_owned(),
            text: "The Scaling Milestones, 1K-10K".to_owned(),
        },
        Citation {
            tag: "[D]S4".to_owned(),
            text: "Scaling Signs, S4".to_owned(),
        },
    ]
}
