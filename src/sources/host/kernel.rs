//! Processors, memory, load, pressure, network and identity.

use std::path::PathBuf;

use super::{Output, Roots, boot_time, read};
use crate::model::Timestamp;

/// The kernel counts processor time in hundredths of a second on every architecture it runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Modes in the order of /proc/stat; guest time is already in user and nice.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

/// Reads all files here; fails only when /proc/stat cannot be read, since then nothing can.
pub(super) fn gather(roots: &Roots, now: Timestamp, out: &mut Output<'_>) -> Result<(), String> {
    stat(&read(&roots.procfs.join("stat"))?, out);
    out.put("node_time_seconds", &[], now.as_secs_f64());
    uname(out);
    type Reader = fn(&str, &mut Output<'_>);
    let files: [(PathBuf, Reader, &str); 9] = [
        (roots.procfs.join("loadavg"), loadavg, "node_load*"),
        (roots.procfs.join("meminfo"), meminfo, "node_memory_*"),
        (roots.procfs.join("vmstat"), vmstat, "node_vmstat_*"),
        (
            roots.procfs.join("sys/fs/file-nr"),
            file_nr,
            "node_filefd_*",
        ),
        (net(roots, "dev"), net_dev, "node_network_*"),
        (net(roots, "netstat"), netstat, "node_netstat_*"),
        (
            roots.procfs.join("pressure/cpu"),
            |t, o| pressure(t, "cpu", o),
            "node_pressure_cpu_* (the kernel needs psi=1)",
        ),
        (
            roots.procfs.join("pressure/memory"),
            |t, o| pressure(t, "memory", o),
            "node_pressure_memory_* (the kernel needs psi=1)",
        ),
        (
            roots.procfs.join("pressure/io"),
            |t, o| pressure(t, "io", o),
            "node_pressure_io_* (the kernel needs psi=1)",
        ),
    ];
    for (path, reader, families) in files {
        match read(&path) {
            Ok(text) => reader(&text, out),
            Err(e) => out.note(format!("{families} are missing: {e}")),
        }
    }
    Ok(())
}

/// The machine's network files: under a mounted host /proc, `net` would be this container's.
fn net(roots: &Roots, file: &str) -> PathBuf {
    let first = roots.procfs.join("1/net").join(file);
    if roots.procfs.as_os_str() != "/proc" && first.exists() {
        first
    } else {
        roots.procfs.join("net").join(file)
    }
}

pub(super) fn stat(text: &str, out: &mut Output<'_>) {
    for line in text.lines() {
        let Some((cpu, rest)) = line.strip_prefix("cpu").and_then(|l| l.split_once(' ')) else {
            continue;
        };
        // The first line sums all processors up.
        if cpu.is_empty() {
            continue;
        }
        for (mode, ticks) in MODES.iter().zip(numbers(rest)) {
            out.put(
                "node_cpu_seconds_total",
                &[("cpu", cpu), ("mode", mode)],
                ticks / TICKS_PER_SECOND,
            );
        }
    }
    if let Some(t) = boot_time(text) {
        out.put("node_boot_time_seconds", &[], t);
    }
    for (field, name) in [
        ("procs_running ", "node_procs_running"),
        ("procs_blocked ", "node_procs_blocked"),
        ("ctxt ", "node_context_switches_total"),
    ] {
        let value = text.lines().find_map(|l| l.strip_prefix(field));
        if let Some(n) = value.and_then(|v| v.trim().parse().ok()) {
            out.put(name, &[], n);
        }
    }
}

pub(super) fn loadavg(text: &str, out: &mut Output<'_>) {
    for (name, load) in ["node_load1", "node_load5", "node_load15"]
        .iter()
        .zip(numbers(text))
    {
        out.put(name, &[], load);
    }
}

pub(super) fn meminfo(text: &str, out: &mut Output<'_>) {
    for line in text.lines() {
        let Some((field, rest)) = line.split_once(':') else {
            continue;
        };
        let Some(number) = numbers(rest).next() else {
            continue;
        };
        let field = field.replace('(', "_").replace(')', "");
        if rest.trim_end().ends_with("kB") {
            out.put(&format!("node_memory_{field}_bytes"), &[], number * 1024.0);
        } else {
            out.put(&format!("node_memory_{field}"), &[], number);
        }
    }
}

pub(super) fn vmstat(text: &str, out: &mut Output<'_>) {
    for line in text.lines() {
        let Some((field, value)) = line.split_once(' ') else {
            continue;
        };
        let wanted = ["oom_kill", "pgpg", "pswp"]
            .iter()
            .any(|p| field.starts_with(p))
            || (field.starts_with("pg") && field.contains("fault"));
        if let (true, Some(n)) = (wanted, numbers(value).next()) {
            out.put(&format!("node_vmstat_{field}"), &[], n);
        }
    }
}

pub(super) fn file_nr(text: &str, out: &mut Output<'_>) {
    let mut fields = numbers(text);
    if let (Some(allocated), Some(_), Some(maximum)) = (fields.next(), fields.next(), fields.next())
    {
        out.put("node_filefd_allocated", &[], allocated);
        out.put("node_filefd_maximum", &[], maximum);
    }
}

pub(super) fn net_dev(text: &str, out: &mut Output<'_>) {
    const COLUMNS: [(usize, &str); 8] = [
        (0, "node_network_receive_bytes_total"),
        (1, "node_network_receive_packets_total"),
        (2, "node_network_receive_errs_total"),
        (3, "node_network_receive_drop_total"),
        (8, "node_network_transmit_bytes_total"),
        (9, "node_network_transmit_packets_total"),
        (10, "node_network_transmit_errs_total"),
        (11, "node_network_transmit_drop_total"),
    ];
    // Two lines of headings have no colon after their first word.
    for (device, rest) in text.lines().filter_map(|l| l.split_once(':')) {
        let values: Vec<f64> = numbers(rest).collect();
        for (column, name) in COLUMNS {
            if let Some(value) = values.get(column) {
                out.put(name, &[("device", device.trim())], *value);
            }
        }
    }
}

pub(super) fn netstat(text: &str, out: &mut Output<'_>) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some(names), Some(values)) = (
            names.strip_prefix("TcpExt:"),
            values.strip_prefix("TcpExt:"),
        ) else {
            continue;
        };
        for (field, value) in names.split_whitespace().zip(values.split_whitespace()) {
            if let ("ListenDrops" | "ListenOverflows", Ok(n)) = (field, value.parse()) {
                out.put(&format!("node_netstat_TcpExt_{field}"), &[], n);
            }
        }
    }
}

/// `some` is time in which a task waited, `full` time in which all did; the kernel has no
/// meaningful `full` for processors.
pub(super) fn pressure(text: &str, resource: &str, out: &mut Output<'_>) {
    for line in text.lines() {
        let what = match line.split_once(' ') {
            Some(("some", _)) => "waiting",
            Some(("full", _)) if resource != "cpu" => "stalled",
            _ => continue,
        };
        let total = line.rsplit_once("total=").map(|(_, t)| t.trim().parse());
        if let Some(Ok(microseconds)) = total {
            let microseconds: f64 = microseconds;
            out.put(
                &format!("node_pressure_{resource}_{what}_seconds_total"),
                &[],
                microseconds / 1e6,
            );
        }
    }
}

fn uname(out: &mut Output<'_>) {
    let uname = rustix::system::uname();
    let text = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
    out.put(
        "node_uname_info",
        &[
            ("sysname", &text(uname.sysname())),
            ("nodename", &text(uname.nodename())),
            ("release", &text(uname.release())),
            ("version", &text(uname.version())),
            ("machine", &text(uname.machine())),
            ("domainname", &text(uname.domainname())),
        ],
        1.0,
    );
}

/// The numbers at the start of a text.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = f64> {
    text.split_whitespace().map_while(|w| w.parse().ok())
}
