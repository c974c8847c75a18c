//! This machine, read from /proc and `statvfs`, under node_exporter's names.
//!
//! What must stay true: names, labels and units are node_exporter's, `loadline_*` only where it
//! has none; a file that is missing costs its own families and a note, not the pass; nothing here
//! can hang on a network file system; where a node_exporter of this machine is scraped, it wins
//! family by family.
//!
//! Series carry `job="loadline-host"` and `instance` = the node's name, so that they never mix
//! with those of an exporter target, whose instance is an address.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod disks;
#[cfg(target_os = "linux")]
mod kernel;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::scrape::{ExporterIdentity, TargetMeta};
use super::series::{End, SeriesCache, Writer};
use crate::config::Host;
use crate::model::labels::NAME;
use crate::model::{Batch, Labels, Selection, TargetKey, Timestamp};
#[cfg(target_os = "linux")]
pub use cgroup::memory_limit;

/// No cgroups, no limit.
#[cfg(not(target_os = "linux"))]
pub fn memory_limit(_root: &Path) -> Option<u64> {
    None
}

/// Label `job` of this collector's series.
pub const JOB: &str = "loadline-host";

/// Most bytes read of one file.
const MAX_FILE: u64 = 4 << 20;

/// Boot times closer than this are one boot.
const SAME_BOOT_SECONDS: f64 = 2.0;

/// Reads this machine.
#[derive(Debug)]
pub struct HostCollector {
    key: TargetKey,
    meta: TargetMeta,
    roots: Roots,
    cache: SeriesCache,
    suppressed: BTreeSet<Box<str>>,
    notes: Vec<String>,
    error: Option<String>,
    last: Option<Timestamp>,
}

/// Which machine this is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostIdentity {
    /// Boot time in seconds since the epoch, where it can be read.
    pub boot_time: Option<f64>,
    /// The node's name.
    pub nodename: String,
}

/// How the collector is doing.
#[derive(Debug, Clone, Serialize)]
pub struct HostStatus {
    /// Job, instance, host, role and labels.
    pub meta: TargetMeta,
    /// Why nothing could be read.
    pub error: Option<String>,
    /// What is left out, and why.
    pub notes: Vec<String>,
    /// Families left to a scraped node_exporter.
    pub suppressed: usize,
    /// Series known.
    pub series: usize,
    /// When it was last read.
    pub last: Option<Timestamp>,
}

/// Where the machine's files are seen from here.
#[derive(Debug, Clone)]
struct Roots {
    procfs: PathBuf,
    rootfs: PathBuf,
}

impl HostCollector {
    /// A collector that has read nothing yet but the node's name.
    pub fn new(config: &Host) -> Self {
        let nodename = nodename();
        let mut labels =
            Labels::from_pairs([("job", JOB), ("instance", nodename.as_str())]).to_builder();
        for (name, value) in config.labels.iter().filter(|(name, _)| *name != NAME) {
            labels.set(name, value);
        }
        let labels = labels.build();
        Self {
            key: TargetKey(Arc::from("host")),
            meta: TargetMeta {
                job: labels.get("job").to_owned(),
                instance: labels.get("instance").to_owned(),
                host: nodename,
                role: config.role.clone(),
                labels,
            },
            roots: Roots {
                procfs: config.procfs.clone(),
                rootfs: config.rootfs.clone(),
            },
            cache: SeriesCache::default(),
            suppressed: BTreeSet::new(),
            notes: Vec::new(),
            error: None,
            last: None,
        }
    }

    /// Unique name.
    pub fn key(&self) -> &TargetKey {
        &self.key
    }

    /// Job, instance, host, role and labels.
    pub fn meta(&self) -> &TargetMeta {
        &self.meta
    }

    /// Which machine this is, to compare with what exporters report on.
    pub fn identity(&self) -> HostIdentity {
        HostIdentity {
            boot_time: read(&self.roots.procfs.join("stat"))
                .ok()
                .and_then(|stat| boot_time(&stat)),
            nodename: self.meta.host.clone(),
        }
    }

    /// Leaves these families to an exporter from the next pass on, and takes up all others again.
    pub fn suppress(&mut self, families: BTreeSet<Box<str>>) {
        self.suppressed = families;
    }

    /// Reads the machine once; files that cannot be read are named in the status.
    pub fn collect(&mut self, now: Timestamp, selection: &Selection) -> Batch {
        let mut batch = Batch::new(self.key.clone(), now);
        self.cache.begin(selection);
        let mut out = Output {
            writer: Writer {
                cache: &mut self.cache,
                selection,
                batch: &mut batch,
                report: false,
            },
            labels: &self.meta.labels,
            suppressed: &self.suppressed,
            key: Vec::new(),
            notes: Vec::new(),
        };
        let result = gather(&self.roots, now, &mut out);
        self.notes = std::mem::take(&mut out.notes);
        self.error = result.err();
        let ok = self.error.is_none();
        if !ok {
            batch.new.clear();
            batch.samples.clear();
        }
        batch.ok = ok;
        let mut report = Writer {
            cache: &mut self.cache,
            selection,
            batch: &mut batch,
            report: true,
        };
        report.put(b"\0up", f64::from(u8::from(ok)), || {
            self.meta.labels.with(NAME, "up")
        });
        batch.gone = self.cache.end(if ok { End::Good } else { End::Failed });
        self.last = Some(now);
        batch
    }

    /// How it is doing.
    pub fn status(&self) -> HostStatus {
        HostStatus {
            meta: self.meta.clone(),
            error: self.error.clone(),
            notes: self.notes.clone(),
            suppressed: self.suppressed.len(),
            series: self.cache.len(),
            last: self.last,
        }
    }
}

impl HostIdentity {
    /// True when the exporter reports on this machine: the same node name, booted at the same
    /// time to 2 s.
    pub fn is_same(&self, exporter: &ExporterIdentity) -> bool {
        let booted = match (self.boot_time, exporter.boot_time) {
            (Some(a), Some(b)) => (a - b).abs() <= SAME_BOOT_SECONDS,
            _ => false,
        };
        booted && exporter.nodename.as_deref() == Some(self.nodename.as_str())
    }
}

/// Takes the samples of one pass.
struct Output<'a> {
    writer: Writer<'a>,
    labels: &'a Labels,
    suppressed: &'a BTreeSet<Box<str>>,
    key: Vec<u8>,
    notes: Vec<String>,
}

impl Output<'_> {
    fn put(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        if !self.writer.selection.wants_name(name) || self.suppressed.contains(name) {
            return;
        }
        self.key.clear();
        self.key.extend_from_slice(name.as_bytes());
        for part in labels.iter().flat_map(|(n, v)| [n, v]) {
            self.key.push(0xff);
            self.key.extend_from_slice(part.as_bytes());
        }
        let own = self.labels;
        self.writer.put(&self.key, value, || {
            let mut b = own.to_builder();
            b.set(NAME, name);
            for (n, v) in labels {
                b.set(n, v);
            }
            b.build()
        });
    }

    fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

#[cfg(target_os = "linux")]
fn gather(roots: &Roots, now: Timestamp, out: &mut Output<'_>) -> Result<(), String> {
    kernel::gather(roots, now, out)?;
    disks::gather(roots, out);
    cgroup::gather(roots, out);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn gather(_: &Roots, _: Timestamp, _: &mut Output<'_>) -> Result<(), String> {
    Err(
        "the host collector reads Linux's /proc, which this system does not have; \
         scrape a node_exporter instead"
            .to_owned(),
    )
}

fn nodename() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The kernel's boot time in /proc/stat.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines()
        .find_map(|l| l.strip_prefix("btime "))
        .and_then(|t| t.trim().parse().ok())
}

/// A whole file as text, at most 4 MiB; the error names the file.
fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|f| f.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
