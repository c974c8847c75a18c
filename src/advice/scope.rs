//! Narrows a query to one system: its matchers go into every selector.

use crate::model::{MatchOp, Matcher};
use crate::promql::ast::ExprKind;
use crate::promql::{Expr, parse};

use super::signs::System;

/// `expr` with the system's matchers in every selector; the error says where it does not parse.
///
/// A label that the system does not have must be absent (an empty value matches that).
pub fn scope(expr: &str, system: &System) -> Result<String, String> {
    let mut tree = parse(expr).map_err(|e| e.to_string())?;
    narrow(&mut tree, &system.matchers);
    Ok(tree.to_string())
}

fn narrow(expr: &mut Expr, matchers: &[(String, String)]) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(e) | ExprKind::Unary { expr: e, .. } => narrow(e, matchers),
        ExprKind::Binary(b) => {
            narrow(&mut b.left, matchers);
            narrow(&mut b.right, matchers);
        }
        ExprKind::Aggregate(a) => {
            if let Some(param) = &mut a.param {
                narrow(param, matchers);
            }
            narrow(&mut a.expr, matchers);
        }
        ExprKind::Call(c) => {
            for arg in &mut c.args {
                narrow(arg, matchers);
            }
        }
        ExprKind::Subquery(s) => narrow(&mut s.expr, matchers),
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
            for (name, value) in matchers {
                let known = selector
                    .matchers
                    .iter()
                    .any(|m| m.op == MatchOp::Equal && m.name == *name && m.value == *value);
                if !known {
                    selector.matchers.push(Matcher::equal(name, value));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_narrowed() {
        let system = System {
            name: "prod".to_owned(),
            matchers: vec![("env".to_owned(), "prod".to_owned())],
        };
        for (expr, want) in [
            ("up", r#"up{env="prod"}"#),
            (
                "sum(rate(a[5m])) > 0 or max(b{x=\"y\"})",
                r#"sum(rate(a{env="prod"}[5m])) > 0 or max(b{x="y", env="prod"})"#,
            ),
            (
                "a unless on (i) -(b)",
                r#"a{env="prod"} unless on (i) -(b{env="prod"})"#,
            ),
            (
                "max_over_time(a[1h:5m])",
                r#"max_over_time(a{env="prod"}[1h:5m])"#,
            ),
            ("a{env=\"prod\"}", r#"a{env="prod"}"#),
            ("1 + time()", "1 + time()"),
        ] {
            assert_eq!(scope(expr, &system).unwrap(), want);
        }
        assert!(scope("sum(", &system).is_err());
    }
}
