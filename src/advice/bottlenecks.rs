//! What holds a system back: signs gathered by escalation line and host.
//!
//! What must stay true: at most two bottlenecks, on different lines or hosts, worst first.

use std::cmp::Reverse;

use crate::model::Timestamp;

use super::ask::Ask;
use super::decision::{Bottleneck, Evidence, SignInstance};
use super::playbook::guard::Truth;
use super::playbook::rows::{Sign, Text};
use super::signs::host_of;
use super::situation::Situation;
use super::walk::Walk;
use super::words;

/// At most this many bottlenecks are named.
const MAX_BOTTLENECKS: usize = 2;

/// Escalation line (a sign's own id where it is on none) and host.
type Place = (String, String);

/// Names the bottlenecks of a system, worst first, each with its verdict.
pub(crate) fn bottlenecks(s: &Situation<'_>, ask: &Ask<'_>, now: Timestamp) -> Vec<Bottleneck> {
    let mut ranked: Vec<(&Sign, &SignInstance)> = s
        .signs
        .values()
        .filter_map(|i| Some((s.playbook.sign(&i.key.sign)?, *i)))
        .collect();
    if ranked.iter().any(|(sign, _)| sign.gate) {
        ranked.retain(|(sign, _)| sign.gate);
    }
    locate(s, &mut ranked);
    ranked.sort_by_key(|(sign, i)| {
        (
            Reverse(i.level),
            hours_left(s, i),
            sign.group,
            i.since,
            i.key.clone(),
        )
    });
    let place = |sign: &Sign, i: &SignInstance| {
        let id = sign.id.get_ref();
        let line = s.playbook.line_of(id).map_or(id, |l| l.id.get_ref());
        (line.clone(), host_of(&i.key.labels).to_owned())
    };
    let mut groups: Vec<(Place, Vec<(&Sign, &SignInstance)>)> = Vec::new();
    for (sign, instance) in &ranked {
        let at = place(sign, instance);
        if groups.iter().any(|(known, _)| *known == at)
            || groups.len() == MAX_BOTTLENECKS
            || s.playbook.row(sign.id.get_ref()).is_none()
        {
            continue;
        }
        groups.push((at, Vec::new()));
    }
    for (sign, instance) in ranked {
        let at = place(sign, instance);
        if let Some((_, members)) = groups.iter_mut().find(|(known, _)| *known == at) {
            members.push((sign, instance));
        }
    }
    groups
        .into_iter()
        .filter_map(|(_, members)| bottleneck(s, ask, &members, now))
        .collect()
}

/// Drops signs of a tier that is not the limit, where the sign that says so fires.
fn locate(s: &Situation<'_>, ranked: &mut Vec<(&Sign, &SignInstance)>) {
    for rule in s.playbook.locates() {
        let fires = |sign: &Text| s.fires(sign.get_ref(), None) == Truth::True;
        if fires(&rule.sign) && rule.by.iter().any(fires) {
            ranked.retain(|(sign, _)| !rule.replaces.contains(&sign.id));
        }
    }
}

/// Hours until the limit that a sign owns is reached; the most where nobody knows.
fn hours_left(s: &Situation<'_>, i: &SignInstance) -> u64 {
    let host = host_of(&i.key.labels);
    s.runways
        .iter()
        .filter(|r| r.owner() == i.key.sign)
        .filter(|r| r.labels == i.key.labels || host_of(&r.labels) == host)
        .filter_map(|r| r.p50.filter(|days| days.is_finite()))
        .map(|days| (days.max(0.0) * 24.0) as u64)
        .min()
        .unwrap_or(u64::MAX)
}

fn bottleneck(
    s: &Situation<'_>,
    ask: &Ask<'_>,
    members: &[(&Sign, &SignInstance)],
    now: Timestamp,
) -> Option<Bottleneck> {
    // The worst leads; one without a row of its own is evidence only.
    let (sign, lead) = members
        .iter()
        .find(|(sign, _)| s.playbook.row(sign.id.get_ref()).is_some())?;
    let evidence: Vec<Evidence> = std::iter::once((*sign, *lead))
        .chain(members.iter().copied().filter(|(_, i)| i.key != lead.key))
        .map(|(sign, i)| Evidence {
            text: words::evidence(&sign.what, i, s.playbook, now),
            value: i.value,
            limit: i.limit,
            unit: i.unit.clone(),
        })
        .collect();
    let (verdict, considered) = Walk::new(s, ask, sign, lead, now).verdict();
    Some(Bottleneck {
        sign: lead.key.clone(),
        title: sign.title.clone(),
        level: lead.level,
        also: members
            .iter()
            .map(|(_, i)| i.key.clone())
            .filter(|k| *k != lead.key)
            .collect(),
        verdict,
        considered,
        evidence,
    })
}
