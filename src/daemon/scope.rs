//! A question about one system only.

use crate::advice::System;
use crate::model::{MatchOp, Matcher};
use crate::promql;

/// Adds a system's matchers to every selector of a query.
pub(crate) fn to_system(query: &str, system: &System) -> Result<String, String> {
    let mut matchers = Vec::new();
    for (name, value) in &system.matchers {
        matchers.push(Matcher::new(name, MatchOp::Equal, value)?);
    }
    let expr = promql::parse(query).map_err(|e| e.to_string())?;
    Ok(promql::add_matchers(&expr, &matchers).to_string())
}
