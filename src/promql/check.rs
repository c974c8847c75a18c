//! Types of arguments and operands.

use super::ast::{AggregateOp, Expr, ExprKind, Span, ValueType};

type Check = Result<(), (Span, String)>;

/// Refuses expressions whose parts do not fit together.
pub(crate) fn types(expr: &Expr) -> Check {
    for child in expr.children() {
        types(child)?;
    }
    match &expr.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::Paren(_)
        | ExprKind::Selector(_)
        | ExprKind::Range { .. } => Ok(()),
        ExprKind::Unary { expr: operand, .. } => match operand.value_type() {
            ValueType::Scalar | ValueType::Vector => Ok(()),
            got @ (ValueType::String | ValueType::Matrix) => Err((
                expr.span,
                format!(
                    "unary expression only allowed on expressions of type scalar or instant \
                     vector, got {:?}",
                    got.to_string()
                ),
            )),
        },
        ExprKind::Binary(b) => {
            let (left, right) = (b.left.value_type(), b.right.value_type());
            for (side, t) in [(&b.left, left), (&b.right, right)] {
                if !matches!(t, ValueType::Scalar | ValueType::Vector) {
                    return Err((
                        side.span,
                        "binary expression must contain only scalar and instant vector types"
                            .to_owned(),
                    ));
                }
            }
            let both_vectors = left == ValueType::Vector && right == ValueType::Vector;
            if b.op.is_set() && !both_vectors {
                return Err((
                    expr.span,
                    format!(
                        "set operator {:?} not allowed in binary scalar expression",
                        b.op.as_str()
                    ),
                ));
            }
            if b.op.is_comparison()
                && !b.returns_bool
                && left == ValueType::Scalar
                && right == ValueType::Scalar
            {
                return Err((
                    expr.span,
                    "comparisons between scalars must use BOOL modifier".to_owned(),
                ));
            }
            if b.op.is_trim() && left == ValueType::Scalar && right == ValueType::Scalar {
                return Err((
                    expr.span,
                    format!(
                        "operator {:?} trims histograms, not numbers: one side must be an \
                         instant vector",
                        b.op.as_str()
                    ),
                ));
            }
            if !both_vectors && b.matching.fills() {
                return Err((
                    expr.span,
                    "filling in missing series only allowed between instant vectors".to_owned(),
                ));
            }
            if !both_vectors && !b.matching.is_default() {
                return Err((
                    expr.span,
                    "vector matching only allowed between instant vectors".to_owned(),
                ));
            }
            Ok(())
        }
        ExprKind::Aggregate(a) => {
            expect(&a.expr, ValueType::Vector, "aggregation expression")?;
            match (&a.param, a.op) {
                (Some(p), AggregateOp::CountValues) => {
                    expect(p, ValueType::String, "aggregation parameter")?;
                    if let ExprKind::String(label) = &p.bare().kind
                        && label.is_empty()
                    {
                        return Err((p.span, format!("invalid label name {label:?}")));
                    }
                    Ok(())
                }
                (Some(p), _) => expect(p, ValueType::Scalar, "aggregation parameter"),
                (None, _) => Ok(()),
            }
        }
        ExprKind::Subquery(s) => match s.expr.value_type() {
            ValueType::Vector => Ok(()),
            got @ (ValueType::Scalar | ValueType::String | ValueType::Matrix) => Err((
                s.expr.span,
                format!("subquery is only allowed on instant vector, got {got} instead"),
            )),
        },
        ExprKind::Call(call) => {
            let (f, got) = (call.function, call.args.len());
            let wrong = |bound: &str, want: usize| {
                Err((
                    expr.span,
                    format!(
                        "expected {bound}{want} argument(s) in call to {:?}, got {got}",
                        f.name
                    ),
                ))
            };
            if f.max_args == Some(f.min_args) && got != f.min_args {
                return wrong("", f.min_args);
            }
            if got < f.min_args {
                return wrong("at least ", f.min_args);
            }
            if let Some(max) = f.max_args
                && got > max
            {
                return wrong("at most ", max);
            }
            for (i, arg) in call.args.iter().enumerate() {
                let Some(want) = f.args.get(i).or(f.args.last()) else {
                    continue;
                };
                expect(arg, *want, &format!("call to function {:?}", f.name))?;
            }
            Ok(())
        }
    }
}

fn expect(expr: &Expr, want: ValueType, context: &str) -> Check {
    let got = expr.value_type();
    if got == want {
        Ok(())
    } else {
        Err((
            expr.span,
            format!("expected type {want} in {context}, got {got}"),
        ))
    }
}
