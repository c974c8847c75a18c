//! Signs that go on although the alert they began with is over: their rows alone would tell them
//! as new after a restart.

use std::collections::BTreeMap;

use anyhow::Context;

use super::unwritten::unless_full;
use crate::advice::{SignInstance, SignKey};
use crate::model::Timestamp;
use crate::state::{AdviceRow, State};

/// Kind of the rows that say when a sign began.
const EPISODE: &str = "episode";

/// Starts of such signs, by key as JSON: rows of the state.
#[derive(Debug, Default)]
pub(super) struct Carried(BTreeMap<String, Timestamp>);

impl Carried {
    /// Gives signs the start that they had before the restart.
    pub(super) async fn restore(
        state: &State,
        signs: &mut BTreeMap<SignKey, SignInstance>,
    ) -> anyhow::Result<Self> {
        let mut carried = BTreeMap::new();
        for row in state.load_advice().await? {
            let since = row.json.parse().map(Timestamp);
            let (true, Ok(since)) = (row.kind == EPISODE, since) else {
                continue;
            };
            // The row of a sign that is over goes with the next commit.
            if let Ok(key) = serde_json::from_str::<SignKey>(&row.id)
                && let Some(sign) = signs.get_mut(&key)
            {
                sign.since = sign.since.min(since);
            }
            carried.insert(row.id, since);
        }
        Ok(Self(carried))
    }

    /// Writes the starts of signs that are not those of their alerts, and forgets what is over.
    pub(super) async fn keep(
        &mut self,
        state: &State,
        fresh: &BTreeMap<SignKey, Timestamp>,
        after: &BTreeMap<SignKey, SignInstance>,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let mut carried = BTreeMap::new();
        for (key, sign) in after {
            if fresh.get(key) != Some(&sign.since) {
                let id = serde_json::to_string(key).context("a sign's key is no JSON")?;
                carried.insert(id, sign.since);
            }
        }
        let rows = carried
            .iter()
            .filter(|(id, since)| self.0.get(*id) != Some(since));
        let rows: Vec<AdviceRow> = rows
            .map(|(id, since)| AdviceRow {
                kind: EPISODE.to_owned(),
                id: id.clone(),
                json: since.millis().to_string(),
            })
            .collect();
        let over = self.0.keys().filter(|id| !carried.contains_key(*id));
        let over: Vec<(String, String)> = over.map(|id| (EPISODE.to_owned(), id.clone())).collect();
        let written = state.commit_advice(&rows, &over, &[], at);
        // With a full disk the next commit tries again.
        if unless_full(written.await)?.is_some() {
            self.0 = carried;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;
    use crate::notify::testing::instance;

    type Signs = BTreeMap<SignKey, SignInstance>;

    const AT: Timestamp = Timestamp::from_secs(5000);

    /// The sign of an alert that fires since then.
    fn sign(name: &str, since: i64) -> (SignKey, SignInstance) {
        let mut sign = instance(name, Level::Plan);
        sign.since = Timestamp::from_secs(since);
        (sign.key.clone(), sign)
    }

    fn since(signs: &Signs) -> Vec<i64> {
        signs.values().map(|s| s.since.millis() / 1000).collect()
    }

    #[tokio::test]
    async fn the_start_of_a_sign_outlives_its_alert_and_restarts() {
        let dir = tempfile::tempdir().unwrap();
        // One sign eased: its alert is of 300, it began at 100. The other is as old as its alert.
        let signs = Signs::from([sign("a", 100), sign("b", 200)]);
        let fresh = BTreeMap::from([sign("a", 300), sign("b", 200)].map(|(k, s)| (k, s.since)));
        let state = State::open(dir.path()).await.unwrap();
        let mut carried = Carried::default();
        carried.keep(&state, &fresh, &signs, AT).await.unwrap();
        state.close().await.unwrap();

        let state = State::open(dir.path()).await.unwrap();
        let from_alerts = || Signs::from([sign("a", 300), sign("b", 200)]);
        let mut signs = from_alerts();
        let mut carried = Carried::restore(&state, &mut signs).await.unwrap();
        assert_eq!(since(&signs), [100, 200]);
        // Nothing changed: the row stays.
        carried.keep(&state, &fresh, &signs, AT).await.unwrap();
        state.close().await.unwrap();

        let state = State::open(dir.path()).await.unwrap();
        let mut signs = from_alerts();
        let mut carried = Carried::restore(&state, &mut signs).await.unwrap();
        assert_eq!(since(&signs), [100, 200]);
        // It is over, and begins again after another restart.
        signs.remove(&sign("a", 0).0);
        carried.keep(&state, &fresh, &signs, AT).await.unwrap();
        state.close().await.unwrap();

        let state = State::open(dir.path()).await.unwrap();
        let mut signs = from_alerts();
        Carried::restore(&state, &mut signs).await.unwrap();
        assert_eq!(since(&signs), [300, 200]);
    }
}
