//! The query language.
//!
//! What must stay true: an expression that parses can be evaluated; what is not supported is
//! refused when it is parsed, with its place. Evaluation reads no clock and does no I/O beyond
//! its [`SeriesSource`](crate::model::SeriesSource). The same data, expression and time give the
//! same answer, to the last bit. Depth, samples, points and time are bounded, each with an error
//! that names the bound.
//!
//! `lex` and `parse` make the tree of `ast`, `check` types it, `eval` walks it at one time after
//! the other, `engine` is the door.

pub mod ast;
pub mod engine;
pub mod functions;
pub mod needs;
pub mod parse;
pub mod pin;

mod check;
mod display;
mod eval;
mod lex;
mod rewrite;
mod share;

pub use ast::{BinaryOp, Expr, Span, ValueType};
pub(crate) use lex::parse_number;

pub use engine::{Engine, EngineOptions, Evaluated, Outcome, StartDeadline};
pub use eval::value::{Element, Point, SeriesPoints};
pub use needs::{Inputs, Threshold, replace_threshold};
pub use parse::{ParseError, ParseOptions, parse, parse_series, parse_with};
pub use rewrite::{longest_range, shorten_ranges};
