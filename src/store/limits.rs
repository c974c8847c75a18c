//! How much the store may hold.

/// Memory that the program itself takes, at most.
const PROGRAM: u64 = 32 << 20;

/// What a series takes at the least, in bytes.
const LEAST_SERIES: usize = 256;

/// Caps over all series. New series are refused from nine tenths of the bytes on; at the whole,
/// a series' newest samples take the place of its oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most series.
    pub series: usize,
    /// Most bytes of labels and samples.
    pub bytes: usize,
}

impl Caps {
    /// Caps for a process that may use `memory` bytes: six tenths of what the program leaves. The
    /// rest is for the sources' keys and for evaluation.
    pub fn of_memory(memory: u64) -> Self {
        let bytes = memory.saturating_sub(PROGRAM).max(8 << 20) / 10 * 6;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            series: bytes / LEAST_SERIES,
            bytes,
        }
    }

    /// True when one more series of `bytes` would pass a cap.
    pub(crate) fn refuses(self, series: usize, bytes: usize) -> bool {
        series >= self.series || bytes >= self.bytes / 10 * 9
    }
}
