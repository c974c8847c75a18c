//! Block devices and file systems.

use std::path::Path;

use procfs::DiskStat;
use rustix::fs::{StatVfs, StatVfsMountFlags};

use super::{Output, Roots, read};

/// /proc/diskstats counts sectors of this size whatever the device's own is.
const SECTOR_BYTES: f64 = 512.0;

/// File systems that hold no files of their own.
const PSEUDO: [&str; 26] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "ramfs",
];

/// File systems whose server may be away, which blocks who asks for its size.
const REMOTE: [&str; 16] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "virtiofs",
];

/// One line of /proc/mounts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: String,
    pub(super) mountpoint: String,
    pub(super) fstype: String,
}

/// What is done with a mounted file system.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Verdict {
    Measure,
    Skip,
    /// It could hang.
    Remote,
}

/// Reads /proc/diskstats and the size of each local file system.
pub(super) fn gather(roots: &Roots, out: &mut Output<'_>) {
    match read(&roots.procfs.join("diskstats")) {
        Ok(text) => diskstats(&text, out),
        Err(e) => out.note(format!("node_disk_* are missing: {e}")),
    }
    let text = match read(&roots.procfs.join("1/mounts")) {
        Ok(text) => text,
        // Another user's process 1 may not be looked at; our own view is the next best.
        Err(_) => match read(&roots.procfs.join("self/mounts")) {
            Ok(text) => text,
            Err(e) => return out.note(format!("node_filesystem_* are missing: {e}")),
        },
    };
    filesystems(&text, &roots.rootfs, out);
}

pub(super) fn diskstats(text: &str, out: &mut Output<'_>) {
    for d in text.lines().filter_map(|l| DiskStat::from_line(l).ok()) {
        if is_partition_or_virtual(&d.name) {
            continue;
        }
        let device = [("device", d.name.as_str())];
        let values = [
            ("node_disk_reads_completed_total", d.reads, 1.0),
            ("node_disk_read_bytes_total", d.sectors_read, SECTOR_BYTES),
            ("node_disk_read_time_seconds_total", d.time_reading, 1e-3),
            ("node_disk_writes_completed_total", d.writes, 1.0),
            (
                "node_disk_written_bytes_total",
                d.sectors_written,
                SECTOR_BYTES,
            ),
            ("node_disk_write_time_seconds_total", d.time_writing, 1e-3),
            ("node_disk_io_now", d.in_progress, 1.0),
            ("node_disk_io_time_seconds_total", d.time_in_progress, 1e-3),
            (
                "node_disk_io_time_weighted_seconds_total",
                d.weighted_time_in_progress,
                1e-3,
            ),
        ];
        for (name, count, unit) in values {
            let value = if unit < 1.0 {
                count as f64 / 1e3
            } else {
                count as f64 * unit
            };
            out.put(name, &device, value);
        }
    }
}

pub(super) fn filesystems(mounts: &str, rootfs: &Path, out: &mut Output<'_>) {
    let mut measured: Vec<(String, String)> = Vec::new();
    for mount in mounts.lines().filter_map(mount) {
        match verdict(&mount) {
            Verdict::Measure => {}
            Verdict::Skip => continue,
            Verdict::Remote => {
                out.note(format!(
                    "{} ({}) is left out of node_filesystem_*: its server could hang us",
                    mount.mountpoint, mount.fstype
                ));
                continue;
            }
        }
        let place = (mount.device.clone(), mount.mountpoint.clone());
        if measured.contains(&place) {
            continue;
        }
        measured.push(place);
        let seen_at = rootfs.join(mount.mountpoint.trim_start_matches('/'));
        match rustix::fs::statvfs(&seen_at) {
            Ok(size) => filesystem(&mount, &size, out),
            Err(e) => out.note(format!(
                "{} is left out of node_filesystem_*: {e}",
                mount.mountpoint
            )),
        }
    }
}

fn filesystem(mount: &Mount, size: &StatVfs, out: &mut Output<'_>) {
    let labels = [
        ("device", mount.device.as_str()),
        ("fstype", mount.fstype.as_str()),
        ("mountpoint", mount.mountpoint.as_str()),
    ];
    let bytes = |blocks: u64| blocks as f64 * size.f_frsize as f64;
    let read_only = size.f_flag.contains(StatVfsMountFlags::RDONLY);
    for (name, value) in [
        ("node_filesystem_size_bytes", bytes(size.f_blocks)),
        ("node_filesystem_free_bytes", bytes(size.f_bfree)),
        ("node_filesystem_avail_bytes", bytes(size.f_bavail)),
        ("node_filesystem_files", size.f_files as f64),
        ("node_filesystem_files_free", size.f_ffree as f64),
        ("node_filesystem_readonly", f64::from(u8::from(read_only))),
    ] {
        out.put(name, &labels, value);
    }
}

/// Reads a line of /proc/mounts; blanks and backslashes in paths are octal there.
pub(super) fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ').map(unescaped);
    Some(Mount {
        device: fields.next()?,
        mountpoint: fields.next()?,
        fstype: fields.next()?,
    })
}

pub(super) fn verdict(mount: &Mount) -> Verdict {
    let fstype = mount.fstype.as_str();
    let at = mount.mountpoint.as_str();
    let under = |dir: &str| {
        at.strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let inside = |dir: &str| under(dir) && at.len() > dir.len() + 1;
    if REMOTE.contains(&fstype) || fstype.starts_with("fuse.") {
        return Verdict::Remote;
    }
    // In a container, the overlay on / is the only view of the disk below.
    let pseudo = PSEUDO.contains(&fstype) && !(fstype == "overlay" && at == "/");
    let hidden = ["/dev", "/proc", "/sys"].into_iter().any(under)
        || [
            "/run/credentials",
            "/var/lib/docker",
            "/var/lib/containers/storage",
        ]
        .into_iter()
        .any(inside);
    if pseudo || hidden {
        Verdict::Skip
    } else {
        Verdict::Measure
    }
}

/// True for what node_exporter leaves out: partitions, loop, RAM and floppy devices.
pub(super) fn is_partition_or_virtual(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    let lettered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_lowercase())
    };
    let nvme_partition = stem
        .strip_prefix("nvme")
        .and_then(|rest| rest.strip_suffix('p'))
        .and_then(|rest| rest.split_once('n'))
        .is_some_and(|(controller, space)| is_number(controller) && is_number(space));
    matches!(stem, "ram" | "zram" | "loop" | "fd")
        || ["hd", "sd", "vd", "xvd"].into_iter().any(lettered)
        || nvme_partition
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn unescaped(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let bytes = field.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let octal = (bytes[at] == b'\\')
            .then(|| field.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
