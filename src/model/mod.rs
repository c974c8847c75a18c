//! The words that all rooms share.
//!
//! What must stay true: nothing in here does I/O, reads a clock or knows a room. A type belongs
//! here when two rooms need it and neither is upstream of the other.

pub mod batch;
pub mod duration;
pub mod histogram;
pub mod labels;
pub mod level;
pub mod matcher;
pub mod problem;
pub mod querier;
pub mod sample;
pub mod selection;
pub mod series;

pub use batch::{Batch, Ref, TargetKey};
pub use histogram::{Histogram, HistogramSeries};
pub use labels::{Labels, LabelsBuilder};
pub use level::Level;
pub use matcher::{MatchOp, Matcher};
pub use problem::{Position, Problem, Problems};
pub use querier::{Answer, MatrixSeries, Querier, QueryError, Session, Value, VectorSample};
pub use sample::{STALE_NAN_BITS, Sample, Timestamp, is_stale_nan, stale_nan};
pub use selection::Selection;
pub use series::{Grouped, Series, SeriesSource, Shown};
