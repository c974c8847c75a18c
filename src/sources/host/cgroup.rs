//! The limits of the container or unit that loadline itself runs in.

use std::path::Path;

use super::{Output, Roots, read};

/// Version 1 writes "no limit" as the largest number of pages.
const NO_LIMIT: f64 = (1u64 << 60) as f64;

/// The tightest memory limit in bytes of the cgroups that this process is in, its own and those
/// above it; `root` is the file system's root.
pub fn memory_limit(root: &Path) -> Option<u64> {
    let groups = read(&root.join("proc/self/cgroup")).ok()?;
    let mut tightest: Option<u64> = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (tree, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // A container may see a path that its own tree does not have: what is there counts.
        let inside = Path::new(path.trim_start_matches('/'));
        for folder in inside.ancestors() {
            let text = read(&root.join(tree).join(folder).join(file)).unwrap_or_default();
            let limit = text.trim().parse::<u64>().ok();
            let limit = limit.filter(|limit| (*limit as f64) < NO_LIMIT);
            tightest = tightest.into_iter().chain(limit).min();
        }
    }
    tightest
}

/// Reads the limits, where there is a container and it has some.
pub(super) fn gather(roots: &Roots, out: &mut Output<'_>) {
    // Reading a host from outside its own /proc, this container's limits are not the host's.
    if roots.procfs.as_os_str() == "/proc" {
        limits(
            Path::new("/sys/fs/cgroup"),
            Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists(),
            out,
        );
    }
}

/// Reads the limits below `cgroup`. Only a container sees limits at the top of version 2; for
/// version 1, `in_container` must say so.
pub(super) fn limits(cgroup: &Path, in_container: bool, out: &mut Output<'_>) {
    let number = |file: &str| -> Option<f64> {
        let text = read(&cgroup.join(file)).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let (limit, used, cores) = if cgroup.join("memory.max").exists() {
        let cpu = read(&cgroup.join("cpu.max")).unwrap_or_default();
        (
            number("memory.max"),
            number("memory.current"),
            ratio(cpu.split_whitespace()),
        )
    } else if in_container {
        let quota = number("cpu/cpu.cfs_quota_us").filter(|q| *q > 0.0);
        let period = number("cpu/cpu.cfs_period_us").filter(|p| *p > 0.0);
        (
            number("memory/memory.limit_in_bytes").filter(|l| *l < NO_LIMIT),
            number("memory/memory.usage_in_bytes"),
            quota.zip(period).map(|(q, p)| q / p),
        )
    } else {
        return;
    };
    if let Some(limit) = limit {
        out.put("loadline_cgroup_memory_limit_bytes", &[], limit);
        if let Some(used) = used {
            out.put("loadline_cgroup_memory_usage_bytes", &[], used);
        }
    }
    if let Some(cores) = cores {
        out.put("loadline_cgroup_cpu_limit_cores", &[], cores);
        if let Some(seconds) = throttled_seconds(cgroup) {
            out.put("loadline_cgroup_cpu_throttled_seconds_total", &[], seconds);
        }
    }
}

/// `QUOTA PERIOD` as a number of processors; `max` is no limit.
fn ratio<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<f64> {
    let quota: f64 = fields.next()?.parse().ok()?;
    let period: f64 = fields.next()?.parse().ok()?;
    (period > 0.0).then_some(quota / period)
}

fn throttled_seconds(cgroup: &Path) -> Option<f64> {
    let field = |file: &str, name: &str| -> Option<f64> {
        let text = read(&cgroup.join(file)).ok()?;
        let value = text.lines().find_map(|l| l.strip_prefix(name))?;
        value.trim().parse().ok()
    };
    field("cpu.stat", "throttled_usec ")
        .map(|us| us / 1e6)
        .or_else(|| field("cpu/cpu.stat", "throttled_time ").map(|ns| ns / 1e9))
}
