//! What one pass over one target brings.

use std::sync::Arc;

use super::{Histogram, Labels, Timestamp};

/// A series' number inside its target. The source hands numbers out and never reuses one for
/// other labels while the target lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ref(pub u32);

/// Names a target for the store: unique per configured target or built-in collector.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey(pub Arc<str>);

/// One pass over one target, in the source's own numbering of series.
///
/// `new` must name a `Ref` before `samples` uses it. `gone` lists series that were in the last
/// good pass and are not in this one: the store writes a stale marker for each at `at`.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The target this pass read.
    pub target: TargetKey,
    /// The pass's nominal time.
    pub at: Timestamp,
    /// Series seen for the first time, with full labels including the target's own.
    pub new: Vec<(Ref, Labels)>,
    /// Samples of this pass.
    pub samples: Vec<(Ref, Timestamp, f64)>,
    /// Native histograms of this pass.
    pub histograms: Vec<(Ref, Timestamp, Arc<Histogram>)>,
    /// Series that vanished since the last good pass.
    pub gone: Vec<Ref>,
    /// False when the pass failed (`up` = 0).
    pub ok: bool,
    /// True when some lines were bad and the rest was kept: absence proves nothing.
    pub partial: bool,
}

impl Batch {
    /// An empty, good pass at `at`.
    pub fn new(target: TargetKey, at: Timestamp) -> Self {
        Self {
            target,
            at,
            new: Vec::new(),
            samples: Vec::new(),
            histograms: Vec::new(),
            gone: Vec::new(),
            ok: true,
            partial: false,
        }
    }
}
