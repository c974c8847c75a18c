//! Room that is given up when the disk is full, so that the last words can be written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is kept back: some thousand transactions.
pub const BALLAST_BYTES: u64 = 4 << 20;

const FILE: &str = "ballast";

/// A file that only takes up room.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    /// The room is given up, or could not be had.
    spent: Arc<AtomicBool>,
}

impl Ballast {
    /// Takes the room in `dir`; `spent` says from then on whether it is there.
    pub(super) fn take(dir: &Path, spent: Arc<AtomicBool>) -> Self {
        let ballast = Self {
            path: dir.join(FILE),
            spent,
        };
        ballast.spent.store(true, Ordering::SeqCst);
        ballast.restore();
        ballast
    }

    /// Gives the room up; false when it was given up before.
    pub(super) fn release(&self) -> bool {
        if self.spent.swap(true, Ordering::SeqCst) {
            return false;
        }
        tracing::error!(
            path = %self.path.display(),
            "the disk is full: the ballast is given up so that alerts and messages can still be \
             written; make room"
        );
        // Emptied first: a file that is removed while somebody reads it keeps its room.
        let emptied = File::create(&self.path);
        drop(emptied);
        let _ = std::fs::remove_file(&self.path);
        true
    }

    /// Removes the file before anybody took it; false when there is none.
    pub(super) fn drop_file(dir: &Path) -> bool {
        std::fs::remove_file(dir.join(FILE)).is_ok()
    }

    /// Takes the room again if it was given up and there is twice as much; true while it is
    /// there.
    pub(super) fn restore(&self) -> bool {
        if !self.spent.load(Ordering::SeqCst) {
            return true;
        }
        let is_whole = |path: &Path| {
            std::fs::metadata(path).is_ok_and(|m| {
                use std::os::unix::fs::MetadataExt;
                m.len() == BALLAST_BYTES && m.blocks() * 512 >= BALLAST_BYTES
            })
        };
        if !is_whole(&self.path) {
            if free(&self.path).is_some_and(|free| free < 2 * BALLAST_BYTES) {
                return false;
            }
            if let Err(error) = fill(&self.path) {
                tracing::warn!(%error, path = %self.path.display(), "there is no room for the ballast");
                let _ = std::fs::remove_file(&self.path);
                return false;
            }
        }
        self.spent.store(false, Ordering::SeqCst);
        true
    }
}

/// Bytes that we may still write beside `path`; `None` when the file system does not say.
fn free(path: &Path) -> Option<u64> {
    let stats = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(stats.f_bavail.saturating_mul(stats.f_frsize))
}

/// Written and synced, since a file with holes takes no room.
fn fill(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // Not all the same, for file systems that compress.
    let mut block = [0_u8; 4096];
    let mut x = 0x9e37_79b9_u32;
    for _ in 0..BALLAST_BYTES / 4096 {
        for byte in &mut block {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            *byte = (x >> 24) as u8;
        }
        file.write_all(&block)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_given_once_and_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let spent = Arc::new(AtomicBool::new(false));
        let ballast = Ballast::take(dir.path(), Arc::clone(&spent));
        let bytes = || std::fs::metadata(dir.path().join(FILE)).map_or(0, |m| m.len());
        assert!(!spent.load(Ordering::SeqCst));
        assert_eq!(bytes(), BALLAST_BYTES);
        assert!(ballast.release());
        assert!(spent.load(Ordering::SeqCst));
        assert_eq!(bytes(), 0);
        assert!(!ballast.release(), "only once");
        assert!(ballast.restore());
        assert_eq!(bytes(), BALLAST_BYTES);
        assert!(ballast.restore());
    }
}
