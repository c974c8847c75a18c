//! The expression tree.
//!
//! What must stay true: every node knows its byte span in the query text. `Paren` nodes are kept,
//! so that the printed tree reads back as the same tree. Selectors and subqueries of one tree
//! have different ids, from 0 on without gaps.

use std::fmt;

use crate::model::Matcher;

use super::functions::Function;

mod length;

pub use length::{Length, LengthOp};

/// Bytes `start..end` of the query text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// What an expression evaluates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// A number.
    Scalar,
    /// A string.
    String,
    /// One value per label set.
    Vector,
    /// Samples over a range per label set.
    Matrix,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
        })
    }
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of node.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A number or a duration in seconds.
    Number(f64),
    /// A string literal.
    String(String),
    /// An expression in parentheses.
    Paren(Box<Expr>),
    /// `-x` or `+x`.
    Unary {
        /// True for minus.
        negative: bool,
        /// Operand.
        expr: Box<Expr>,
    },
    /// Two operands.
    Binary(Box<Binary>),
    /// `sum by (x) (…)` and its like.
    Aggregate(Box<Aggregate>),
    /// A function call.
    Call(Call),
    /// An instant vector selector.
    Selector(Selector),
    /// A range vector selector.
    Range {
        /// What is selected.
        selector: Selector,
        /// How far back.
        range: Length,
    },
    /// `expr[range:step]`.
    Subquery(Box<Subquery>),
}

/// A selector of series.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// Number in the tree.
    pub id: usize,
    /// All must hold; the metric name is one of them.
    pub matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub shift: Shift,
    /// `anchored` or `smoothed`.
    pub edges: Edges,
    /// Where the name and the matchers stand.
    pub span: Span,
}

/// How the ends of a range are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edges {
    /// Nothing written.
    #[default]
    Plain,
    /// `anchored`: the last sample before the range counts as its start.
    Anchored,
    /// `smoothed`: values at both ends are interpolated with the samples beyond them.
    Smoothed,
}

/// An expression evaluated at steps over a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// Number in the tree.
    pub id: usize,
    /// What is evaluated.
    pub expr: Expr,
    /// How far back.
    pub range: Length,
    /// Distance of the evaluations; the engine's default when absent.
    pub step: Option<Length>,
    /// `offset` and `@`.
    pub shift: Shift,
}

/// Where in time a selector or subquery reads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shift {
    /// `offset`, applied after `@`.
    pub offset: Option<Length>,
    /// `@`.
    pub at: Option<At>,
}

/// The time of an `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum At {
    /// Milliseconds since the epoch.
    Time(i64),
    /// Start of the query's range.
    Start,
    /// End of the query's range.
    End,
}

/// A binary operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// Operator.
    pub op: BinaryOp,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
    /// Comparison that returns 0 or 1 instead of filtering.
    pub returns_bool: bool,
    /// How vector elements find each other.
    pub matching: Matching,
}

/// How elements of two vectors find each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// Which side may have several elements per group.
    pub card: Card,
    /// True for `on`, false for `ignoring` or nothing.
    pub on: bool,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels that `group_left` or `group_right` takes from the one side.
    pub include: Vec<String>,
    /// `fill` or `fill_left`: the value of elements missing on the left.
    pub fill_left: Option<f64>,
    /// `fill` or `fill_right`: the value of elements missing on the right.
    pub fill_right: Option<f64>,
}

impl Matching {
    /// Nothing written but `fill`.
    pub(crate) fn is_default(&self) -> bool {
        !self.on && self.labels.is_empty() && !self.grouped()
    }

    /// `fill` in one of its forms.
    pub(crate) fn fills(&self) -> bool {
        self.fill_left.is_some() || self.fill_right.is_some()
    }

    /// `group_left` or `group_right`.
    pub(crate) fn grouped(&self) -> bool {
        matches!(self.card, Card::ManyToOne | Card::OneToMany)
    }
}

/// Cardinality of a vector match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// One on each side.
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `</`: what a histogram observed below.
    TrimUpper,
    /// `>/`: what a histogram observed above.
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl BinaryOp {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// `==`, `<` and so on.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
        )
    }

    /// `</`, `>/`.
    pub fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// The comparison that holds when the sides are swapped.
    pub(crate) fn mirrored(self) -> BinaryOp {
        match self {
            BinaryOp::Greater => BinaryOp::Less,
            BinaryOp::Less => BinaryOp::Greater,
            BinaryOp::GreaterEqual => BinaryOp::LessEqual,
            BinaryOp::LessEqual => BinaryOp::GreaterEqual,
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
            | BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Unless => self,
        }
    }

    /// Higher binds tighter.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterEqual
            | BinaryOp::Less
            | BinaryOp::LessEqual
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            BinaryOp::Pow => 6,
        }
    }
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Operator.
    pub op: AggregateOp,
    /// `k`, the quantile, the ratio or the label name.
    pub param: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
    /// Labels of `by` or `without`.
    pub labels: Vec<String>,
    /// True for `without`.
    pub without: bool,
    /// True when `by` or `without` was written.
    pub modified: bool,
}

/// Aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `group`
    Group,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `topk`
    Topk,
    /// `bottomk`
    Bottomk,
    /// `count_values`
    CountValues,
    /// `quantile`
    Quantile,
    /// `limitk`
    Limitk,
    /// `limit_ratio`
    LimitRatio,
}

impl AggregateOp {
    const ALL: [AggregateOp; 14] = [
        AggregateOp::Sum,
        AggregateOp::Avg,
        AggregateOp::Count,
        AggregateOp::Min,
        AggregateOp::Max,
        AggregateOp::Group,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::Topk,
        AggregateOp::Bottomk,
        AggregateOp::CountValues,
        AggregateOp::Quantile,
        AggregateOp::Limitk,
        AggregateOp::LimitRatio,
    ];

    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// By name in any case.
    pub(crate) fn named(name: &str) -> Option<AggregateOp> {
        AggregateOp::ALL
            .into_iter()
            .find(|op| op.as_str().eq_ignore_ascii_case(name))
    }

    /// True when a parameter comes before the vector.
    pub(crate) fn takes_param(self) -> bool {
        matches!(
            self,
            AggregateOp::Topk
                | AggregateOp::Bottomk
                | AggregateOp::CountValues
                | AggregateOp::Quantile
                | AggregateOp::Limitk
                | AggregateOp::LimitRatio
        )
    }

    /// Refused unless switched on.
    pub(crate) fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which function.
    pub function: &'static Function,
    /// Arguments.
    pub args: Vec<Expr>,
}

impl Expr {
    /// What the expression evaluates to.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Paren(e) | ExprKind::Unary { expr: e, .. } => e.value_type(),
            ExprKind::Binary(b) => {
                let scalar = |e: &Expr| e.value_type() == ValueType::Scalar;
                if scalar(&b.left) && scalar(&b.right) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            ExprKind::Aggregate(_) | ExprKind::Selector(_) => ValueType::Vector,
            ExprKind::Call(c) => c.function.returns,
            ExprKind::Range { .. } | ExprKind::Subquery(_) => ValueType::Matrix,
        }
    }

    /// The expression inside any parentheses.
    pub fn bare(&self) -> &Expr {
        let mut e = self;
        while let ExprKind::Paren(inner) = &e.kind {
            e = inner;
        }
        e
    }

    /// The text of a string literal, in parentheses or not.
    pub(crate) fn as_string(&self) -> Option<&str> {
        if let ExprKind::String(s) = &self.bare().kind {
            Some(s)
        } else {
            None
        }
    }

    /// The value of a number literal, in parentheses or not.
    pub(crate) fn as_number(&self) -> Option<f64> {
        if let ExprKind::Number(v) = self.bare().kind {
            Some(v)
        } else {
            None
        }
    }

    /// Direct sub-expressions, left to right.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Selector(_)
            | ExprKind::Range { .. } => Vec::new(),
            ExprKind::Paren(e) | ExprKind::Unary { expr: e, .. } => vec![e],
            ExprKind::Binary(b) => vec![&b.left, &b.right],
            ExprKind::Aggregate(a) => a.param.iter().chain([&a.expr]).collect(),
            ExprKind::Call(c) => c.args.iter().collect(),
            ExprKind::Subquery(s) => vec![&s.expr],
        }
    }

    /// The selector that this node is.
    pub(crate) fn selector(&self) -> Option<&Selector> {
        match &self.kind {
            ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => Some(s),
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Paren(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Call(_)
            | ExprKind::Subquery(_) => None,
        }
    }
}
