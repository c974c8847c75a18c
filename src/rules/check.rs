//! What the loader asks the query language.

use super::spec::{ExprInfo, Inputs, Threshold};
use crate::model::labels::NAME;
use crate::model::{MatchOp, Matcher};
use crate::promql::{self, ParseOptions};

/// Checks one PromQL text with this program's own parser, which accepts what `language` says.
/// The error is a message and the byte offset it belongs to.
pub fn check_promql(text: &str, language: ParseOptions) -> Result<ExprInfo, (String, usize)> {
    let expr = promql::parse_with(text, language).map_err(|e| (e.message, e.offset))?;
    Ok(ExprInfo {
        inputs: inputs(&expr.required_inputs()),
        threshold: expr.threshold().map(|t| Threshold {
            op: t.op.as_str().to_owned(),
            value: t.number,
            range: t.span.start..t.span.end,
        }),
        window: promql::longest_range(&expr),
    })
}

fn inputs(needed: &promql::Inputs) -> Inputs {
    match needed {
        promql::Inputs::All(parts) => Inputs::All(parts.iter().map(inputs).collect()),
        promql::Inputs::Any(parts) => Inputs::Any(parts.iter().map(inputs).collect()),
        promql::Inputs::Selector(matchers) => metric(matchers).map_or_else(
            || Inputs::All(Vec::new()),
            |name| Inputs::Metric(name.to_owned()),
        ),
    }
}

/// The name a selector asks for, if it asks for exactly one.
fn metric(matchers: &[Matcher]) -> Option<&str> {
    matchers
        .iter()
        .find(|m| m.name == NAME && m.op == MatchOp::Equal)
        .map(|m| m.value.as_str())
}
