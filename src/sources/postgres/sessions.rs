//! Sessions by database, state and who they are.
//!
//! What must stay true: where rows are folded together for the sake of a bound, sums stay right
//! and the folding is counted.

use sqlx::postgres::PgRow;

use super::question::{Points, float, int, text};

/// Most groups of sessions that keep their own labels; the rest is folded by database and state.
const SESSION_GROUPS: usize = 500;

/// Stands for the names of folded sessions.
const FOLDED: &str = "(other)";

/// The metrics made here.
pub(crate) const NAMES: [&str; 3] = [
    "pg_stat_activity_count",
    "pg_stat_activity_max_tx_duration",
    "loadline_pg_sessions_folded",
];

/// Samples of the sessions.
pub(crate) fn read(rows: &[PgRow], out: &mut Points<'_>) -> Result<(), sqlx::Error> {
    let mut groups = Vec::with_capacity(rows.len());
    for row in rows {
        groups.push(SessionGroup {
            datname: text(row, "datname")?,
            state: text(row, "state")?,
            names: [
                text(row, "usename")?,
                text(row, "application_name")?,
                text(row, "backend_type")?,
                text(row, "wait_event_type")?,
                text(row, "wait_event")?,
            ],
            sessions: int(row, "n")?.unwrap_or(0),
            max_tx_seconds: float(row, "max_tx_seconds")?.unwrap_or(0.0),
        });
    }
    let folded = fold(&mut groups, SESSION_GROUPS);
    for g in &groups {
        let labels = [
            ("datname", g.datname.as_str()),
            ("state", &g.state),
            ("usename", &g.names[0]),
            ("application_name", &g.names[1]),
            ("backend_type", &g.names[2]),
            ("wait_event_type", &g.names[3]),
            ("wait_event", &g.names[4]),
        ];
        out.push("pg_stat_activity_count", &labels, Some(g.sessions as f64));
        out.push(
            "pg_stat_activity_max_tx_duration",
            &labels,
            Some(g.max_tx_seconds),
        );
    }
    out.push("loadline_pg_sessions_folded", &[], Some(folded as f64));
    Ok(())
}

#[derive(Debug, Clone, PartialEq)]
struct SessionGroup {
    datname: String,
    state: String,
    /// User, application, backend type, wait event type, wait event.
    names: [String; 5],
    sessions: i64,
    max_tx_seconds: f64,
}

/// Keeps the `keep` largest groups with sessions and folds the rest by database and state, so that
/// sums stay right. Zeros are kept: they are few. Returns how many groups were folded.
fn fold(groups: &mut Vec<SessionGroup>, keep: usize) -> usize {
    let with_sessions = groups.iter().filter(|g| g.sessions > 0).count();
    if with_sessions <= keep {
        return 0;
    }
    groups.sort_by(|a, b| {
        (b.sessions, &a.datname, &a.state, &a.names)
            .cmp(&(a.sessions, &b.datname, &b.state, &b.names))
    });
    let zeros = groups.split_off(with_sessions);
    let rest = groups.split_off(keep);
    let mut sums: Vec<SessionGroup> = Vec::new();
    for g in &rest {
        match sums
            .iter_mut()
            .find(|s| s.datname == g.datname && s.state == g.state)
        {
            Some(sum) => {
                sum.sessions += g.sessions;
                sum.max_tx_seconds = sum.max_tx_seconds.max(g.max_tx_seconds);
            }
            None => sums.push(SessionGroup {
                names: [
                    FOLDED.to_owned(),
                    FOLDED.to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                ],
                ..g.clone()
            }),
        }
    }
    groups.extend(sums);
    groups.extend(zeros);
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(datname: &str, application: &str, sessions: i64) -> SessionGroup {
        SessionGroup {
            datname: datname.to_owned(),
            state: "idle".to_owned(),
            names: [
                String::new(),
                application.to_owned(),
                String::new(),
                String::new(),
                String::new(),
            ],
            sessions,
            max_tx_seconds: sessions as f64,
        }
    }

    #[test]
    fn folding_keeps_the_sum_and_the_largest() {
        let mut groups: Vec<_> = (1..=10)
            .map(|n| group(if n % 2 == 0 { "a" } else { "b" }, &format!("app{n}"), n))
            .collect();
        groups.push(group("c", "", 0));
        let folded = fold(&mut groups, 3);
        assert_eq!(folded, 7);
        assert_eq!(groups.iter().map(|g| g.sessions).sum::<i64>(), 55);
        assert_eq!(groups.len(), 3 + 2 + 1);
        let a = groups
            .iter()
            .find(|g| g.datname == "a" && g.names[1] == FOLDED)
            .unwrap();
        assert_eq!((a.sessions, a.max_tx_seconds), (2 + 4 + 6, 6.0));
        let mut few = vec![group("a", "x", 1)];
        assert_eq!(fold(&mut few, 3), 0);
    }
}
