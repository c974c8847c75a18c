//! A look at the Postgres servers alone: what can be read, what cannot, and what would open it.
//!
//! What must stay true: it only asks; every question is asked, whether or not a rule reads it.

use std::time::Duration;

use futures_util::future::join_all;

use super::collect::Source;
use super::plan::Plan;
use super::{discover, views};
use crate::api::{Blind, ServerView};
use crate::clock::Clock;
use crate::model::Selection;
use crate::sources::Client;
use crate::sources::postgres::PostgresCollector;

/// Most passes: one further database is looked into on each.
const PASSES: u32 = 22;

/// Passes are apart by so much, to the collector's mind, that everything is due on each.
const APART: Duration = Duration::from_secs(61);

/// What there is to say of the servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Servers that were asked.
    pub servers: Vec<ServerView>,
    /// Servers that were found and let nobody in.
    pub blind: Vec<Blind>,
}

/// Asks every configured or found server for every signal.
pub async fn examine(plan: Plan) -> anyhow::Result<Examined> {
    let clock = Clock::system();
    let client = Client::new(discover::memory(&plan.config)).map_err(anyhow::Error::msg)?;
    // Only servers are examined, which no provider finds.
    let found = discover::sources(&plan, &client, &clock, &super::seek::Places::new()).await?;
    let servers = found
        .sources
        .into_iter()
        .filter_map(|ready| match ready.source {
            Source::Postgres(collector) => Some(collector),
            Source::Host(_, _) | Source::Scrape(_) => None,
        });
    let looks = servers.map(|collector| examine_one(*collector, &clock));
    Ok(Examined {
        servers: join_all(looks).await,
        blind: found
            .blind
            .into_iter()
            .filter(|b| b.what.starts_with("postgres"))
            .collect(),
    })
}

async fn examine_one(mut collector: PostgresCollector, clock: &Clock) -> ServerView {
    let selection = Selection::all(1);
    let start = clock.now();
    for n in 0..PASSES {
        let batch = collector.collect(start + APART * n, &selection).await;
        let done = n > 0 && !collector.is_still_looking();
        if !batch.ok || done {
            break;
        }
    }
    let view = views::server(collector.status());
    collector.close().await;
    view
}
