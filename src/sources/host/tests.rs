use std::collections::BTreeMap;
use std::path::Path;

use super::disks::{Verdict, is_partition_or_virtual, mount, verdict};
use super::*;

const AT: Timestamp = Timestamp(1_800_000_000_500);

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn collector(procfs: &Path, rootfs: &Path) -> HostCollector {
    HostCollector::new(&Host {
        procfs: procfs.to_owned(),
        rootfs: rootfs.to_owned(),
        role: Some("database".to_owned()),
        labels: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
        ..Host::default()
    })
}

/// Series, without the labels that all have, and values.
fn values(batch: &Batch) -> BTreeMap<String, f64> {
    let known: BTreeMap<_, _> = batch.new.iter().cloned().collect();
    batch
        .samples
        .iter()
        .map(|(id, t, v)| {
            assert_eq!(*t, AT);
            let labels = &known[id];
            assert_eq!((labels.get("job"), labels.get("env")), (JOB, "prod"));
            assert!(labels.has("instance"));
            (labels.without(&["job", "env", "instance"]).to_string(), *v)
        })
        .collect()
}

fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        (
            "stat",
            "cpu  300 0 0 0 0 0 0 0 0 0\ncpu0 150 1 50 8000 25 0 3 2 7 0\ncpu11 100 0 0 0\n\
             intr 5\nctxt 42\nbtime 1799990000\nprocs_running 3\nprocs_blocked 1\n",
        ),
        ("loadavg", "0.83 1.5 2.25 3/456 7890\n"),
        (
            "meminfo",
            "MemTotal:       1000 kB\nMemFree: 200 kB\nMemAvailable: 600 kB\nBuffers: 10 kB\n\
             Cached: 20 kB\nSwapTotal: 50 kB\nSwapFree: 40 kB\nActive(anon): 5 kB\nHugePages_Total: 7\n",
        ),
        (
            "vmstat",
            "nr_free_pages 9\npswpin 1\npswpout 2\npgmajfault 3\noom_kill 4\n",
        ),
        ("sys/fs/file-nr", "1024\t0\t9223372036854775807\n"),
        (
            "pressure/cpu",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
        ),
        (
            "pressure/memory",
            "some avg10=0.00 total=1000000\nfull avg10=0.00 total=500000\n",
        ),
        (
            "1/net/dev",
            "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n\
             eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n  lo:1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
        ),
        (
            "1/net/netstat",
            "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: A\nIpExt: 1\n",
        ),
        (
            "diskstats",
            " 259 0 nvme0n1 100 0 2000 1500 200 0 4000 2500 1 3000 4000 0 0 0 0 0 0\n\
             259 1 nvme0n1p1 1 0 1 1 1 0 1 1 0 1 1\n7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\nbroken\n",
        ),
        (
            "1/mounts",
            "/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/sdb1 /mnt/my\\040data xfs ro 0 0\n\
             srv:/x /net nfs4 rw 0 0\n/dev/sda1 / ext4 rw 0 0\n/dev/gone /not/there ext4 rw 0 0\n",
        ),
    ] {
        write(dir.path(), &format!("proc/{file}"), text);
    }
    std::fs::create_dir_all(dir.path().join("root/mnt/my data")).unwrap();
    dir
}

#[test]
fn names_labels_and_units_are_node_exporter_s() {
    let dir = machine();
    let mut host = collector(&dir.path().join("proc"), &dir.path().join("root"));
    let batch = host.collect(AT, &Selection::all(1));
    assert!(batch.ok);
    let got = values(&batch);
    for (series, want) in [
        ("up", 1.0),
        ("node_cpu_seconds_total{cpu=\"0\", mode=\"user\"}", 1.5),
        ("node_cpu_seconds_total{cpu=\"0\", mode=\"nice\"}", 0.01),
        ("node_cpu_seconds_total{cpu=\"0\", mode=\"system\"}", 0.5),
        ("node_cpu_seconds_total{cpu=\"0\", mode=\"idle\"}", 80.0),
        ("node_cpu_seconds_total{cpu=\"0\", mode=\"iowait\"}", 0.25),
        ("node_cpu_seconds_total{cpu=\"0\", mode=\"softirq\"}", 0.03),
        ("node_cpu_seconds_total{cpu=\"0\", mode=\"steal\"}", 0.02),
        ("node_cpu_seconds_total{cpu=\"11\", mode=\"user\"}", 1.0),
        ("node_boot_time_seconds", 1_799_990_000.0),
        ("node_time_seconds", 1_800_000_000.5),
        ("node_procs_blocked", 1.0),
        ("node_load1", 0.83),
        ("node_load15", 2.25),
        ("node_memory_MemTotal_bytes", 1_024_000.0),
        ("node_memory_MemAvailable_bytes", 614_400.0),
        ("node_memory_SwapFree_bytes", 40_960.0),
        ("node_memory_Active_anon_bytes", 5_120.0),
        ("node_memory_HugePages_Total", 7.0),
        ("node_vmstat_pswpin", 1.0),
        ("node_vmstat_pswpout", 2.0),
        ("node_vmstat_pgmajfault", 3.0),
        ("node_vmstat_oom_kill", 4.0),
        ("node_filefd_allocated", 1_024.0),
        ("node_filefd_maximum", 9.223_372_036_854_776e18),
        ("node_pressure_cpu_waiting_seconds_total", 2.5),
        ("node_pressure_memory_waiting_seconds_total", 1.0),
        ("node_pressure_memory_stalled_seconds_total", 0.5),
        ("node_network_receive_bytes_total{device=\"eth0\"}", 100.0),
        ("node_network_receive_drop_total{device=\"eth0\"}", 4.0),
        ("node_network_transmit_bytes_total{device=\"eth0\"}", 500.0),
        ("node_network_transmit_drop_total{device=\"eth0\"}", 8.0),
        ("node_network_receive_bytes_total{device=\"lo\"}", 1.0),
        ("node_netstat_TcpExt_ListenDrops", 3.0),
        ("node_disk_reads_completed_total{device=\"nvme0n1\"}", 100.0),
        (
            "node_disk_read_bytes_total{device=\"nvme0n1\"}",
            1_024_000.0,
        ),
        ("node_disk_read_time_seconds_total{device=\"nvme0n1\"}", 1.5),
        (
            "node_disk_writes_completed_total{device=\"nvme0n1\"}",
            200.0,
        ),
        (
            "node_disk_written_bytes_total{device=\"nvme0n1\"}",
            2_048_000.0,
        ),
        (
            "node_disk_write_time_seconds_total{device=\"nvme0n1\"}",
            2.5,
        ),
        ("node_disk_io_now{device=\"nvme0n1\"}", 1.0),
        ("node_disk_io_time_seconds_total{device=\"nvme0n1\"}", 3.0),
        (
            "node_disk_io_time_weighted_seconds_total{device=\"nvme0n1\"}",
            4.0,
        ),
    ] {
        assert_eq!(got.get(series), Some(&want), "{series}");
    }
    for name in [
        "node_vmstat_nr_free_pages",
        "node_pressure_cpu_stalled_seconds_total",
    ] {
        assert!(!got.contains_key(name), "{name}");
    }
    assert!(
        !got.keys()
            .any(|k| k.contains("loop0") || k.contains("nvme0n1p1"))
    );
    let uname = got
        .keys()
        .find(|k| k.starts_with("node_uname_info{"))
        .unwrap();
    assert!(uname.contains(&format!("nodename=\"{}\"", host.meta().host)));
    let sizes: Vec<&String> = got
        .keys()
        .filter(|k| k.starts_with("node_filesystem_size_bytes"))
        .collect();
    assert_eq!(
        sizes,
        [
            "node_filesystem_size_bytes{device=\"/dev/sda1\", fstype=\"ext4\", mountpoint=\"/\"}",
            "node_filesystem_size_bytes{device=\"/dev/sdb1\", fstype=\"xfs\", mountpoint=\"/mnt/my data\"}",
        ]
    );
    let at = |name: &str| got[&sizes[0].replace("size_bytes", name)];
    assert!(at("size_bytes") >= at("free_bytes") && at("free_bytes") >= at("avail_bytes"));
    assert!(at("size_bytes") > 0.0 && at("avail_bytes") >= 0.0);
    assert!(at("files") >= at("files_free"));
    let notes = host.status().notes.join("\n");
    for want in ["node_pressure_io_*", "/net (nfs4)", "/not/there"] {
        assert!(notes.contains(want), "{want} in {notes}");
    }
    let again = host.collect(AT, &Selection::all(1));
    assert_eq!((again.new.len(), again.gone.len()), (0, 0));
    assert_eq!(again.samples.len(), batch.samples.len());
}

#[test]
fn a_machine_that_cannot_be_read_is_down() {
    let dir = machine();
    let mut host = collector(&dir.path().join("proc"), dir.path());
    let good = host.collect(AT, &Selection::all(1));
    std::fs::remove_file(dir.path().join("proc/stat")).unwrap();
    let bad = host.collect(AT, &Selection::all(1));
    assert!(!bad.ok);
    assert_eq!(bad.samples.len(), 1);
    assert_eq!(bad.samples[0].2, 0.0);
    assert_eq!(bad.gone.len(), good.samples.len() - 1);
    let error = host.status().error.unwrap();
    assert!(
        error.contains("cannot read") && error.contains("proc/stat"),
        "{error}"
    );
}

#[test]
fn families_are_left_to_an_exporter_and_taken_up_again() {
    let dir = machine();
    let mut host = collector(&dir.path().join("proc"), &dir.path().join("root"));
    let all = host.collect(AT, &Selection::all(1)).samples.len();
    host.suppress(BTreeSet::from(["node_cpu_seconds_total".into()]));
    let less = host.collect(AT, &Selection::all(1));
    assert_eq!((less.samples.len(), less.gone.len()), (all - 12, 12));
    host.suppress(BTreeSet::new());
    let back = host.collect(AT, &Selection::all(1));
    assert_eq!((back.samples.len(), back.new.len()), (all, 12));
}

#[test]
fn the_same_machine_is_recognised() {
    let dir = machine();
    let host = collector(&dir.path().join("proc"), dir.path());
    let identity = host.identity();
    assert_eq!(identity.boot_time, Some(1_799_990_000.0));
    let exporter = |boot: Option<f64>, name: Option<&str>| ExporterIdentity {
        boot_time: boot,
        nodename: name.map(str::to_owned),
        ..ExporterIdentity::default()
    };
    let own = Some(identity.nodename.as_str());
    for (other, want) in [
        (exporter(Some(1_799_990_000.0), own), true),
        (exporter(Some(1_799_990_002.0), own), true),
        (exporter(Some(1_799_989_998.0), own), true),
        (exporter(Some(1_799_990_002.5), own), false),
        (exporter(Some(1_799_990_000.0), Some("another")), false),
        (exporter(None, own), false),
        (exporter(Some(1_799_990_000.0), None), false),
    ] {
        assert_eq!(identity.is_same(&other), want, "{other:?}");
    }
}

#[test]
fn this_machine_can_be_read() {
    let mut host = HostCollector::new(&Host::default());
    let batch = host.collect(AT, &Selection::all(1));
    assert!(batch.ok, "{:?}", host.status());
    let names: BTreeSet<&str> = batch.new.iter().map(|(_, l)| l.name()).collect();
    for name in [
        "node_cpu_seconds_total",
        "node_load1",
        "node_memory_MemAvailable_bytes",
        "node_boot_time_seconds",
        "node_uname_info",
        "node_network_receive_bytes_total",
    ] {
        assert!(names.contains(name), "{name}: {:?}", host.status().notes);
    }
    let sum = |name: &str| -> f64 {
        let known: BTreeMap<_, _> = batch.new.iter().cloned().collect();
        let of_name = batch
            .samples
            .iter()
            .filter(|(id, ..)| known[id].name() == name);
        of_name.map(|(_, _, v)| v).sum()
    };
    assert!(sum("node_memory_MemTotal_bytes") > 1e6);
    assert!(sum("node_cpu_seconds_total") > 0.0);
}

#[test]
fn file_systems_are_told_apart() {
    for (line, want) in [
        ("/dev/sda1 / ext4 rw 0 0", Verdict::Measure),
        ("/dev/sda1 /devices ext4 rw 0 0", Verdict::Measure),
        ("tmpfs /run tmpfs rw 0 0", Verdict::Measure),
        ("/dev/sdc1 /mnt/usb fuseblk rw 0 0", Verdict::Measure),
        ("overlay / overlay rw 0 0", Verdict::Measure),
        ("overlay /merged overlay rw 0 0", Verdict::Skip),
        ("tmpfs /dev/shm tmpfs rw 0 0", Verdict::Skip),
        ("x /proc/fs xfs rw 0 0", Verdict::Skip),
        ("/dev/loop1 /snap/core/1 squashfs ro 0 0", Verdict::Skip),
        ("/dev/sda1 /var/lib/docker ext4 rw 0 0", Verdict::Measure),
        ("/dev/sda1 /var/lib/docker/x ext4 rw 0 0", Verdict::Skip),
        ("//srv/share /mnt cifs rw 0 0", Verdict::Remote),
        ("sshfs /home/x fuse.sshfs rw 0 0", Verdict::Remote),
    ] {
        assert_eq!(verdict(&mount(line).unwrap()), want, "{line}");
    }
    assert_eq!(mount("short line"), None);
    assert_eq!(
        mount("a /x\\134y\\011z\\ t 0 0").unwrap().mountpoint,
        "/x\\y\tz\\"
    );
}

#[test]
fn whole_disks_are_told_from_partitions() {
    for (name, want) in [
        ("sda", false),
        ("sda1", true),
        ("sdaa1", false),
        ("vda", false),
        ("xvdb2", true),
        ("nvme0n1", false),
        ("nvme0n1p2", true),
        ("loop7", true),
        ("ram0", true),
        ("zram0", true),
        ("fd0", true),
        ("dm-0", false),
        ("md127", false),
        ("mmcblk0", false),
        ("sr0", false),
    ] {
        assert_eq!(is_partition_or_virtual(name), want, "{name}");
    }
}

#[test]
fn container_limits_are_read_where_there_is_a_container() {
    let read = |files: &[(&str, &str)], in_container: bool| {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            write(dir.path(), file, text);
        }
        let mut cache = SeriesCache::default();
        let selection = Selection::all(1);
        cache.begin(&selection);
        let mut batch = Batch::new(TargetKey(Arc::from("host")), AT);
        let (labels, suppressed) = (Labels::empty(), BTreeSet::new());
        let mut out = Output {
            writer: Writer {
                cache: &mut cache,
                selection: &selection,
                batch: &mut batch,
                report: false,
            },
            labels: &labels,
            suppressed: &suppressed,
            key: Vec::new(),
            notes: Vec::new(),
        };
        cgroup::limits(dir.path(), in_container, &mut out);
        let known: BTreeMap<_, _> = batch.new.iter().cloned().collect();
        let rows = batch.samples.iter().map(|(id, _, v)| {
            let name = known[id].name().strip_prefix("loadline_cgroup_").unwrap();
            format!("{name} {v}")
        });
        rows.collect::<Vec<_>>()
    };
    let v2 = [
        ("memory.max", "1000\n"),
        ("memory.current", "400\n"),
        ("cpu.max", "150000 100000\n"),
        ("cpu.stat", "usage_usec 5\nthrottled_usec 2500000\n"),
    ];
    let v1 = [
        ("memory/memory.limit_in_bytes", "1000\n"),
        ("memory/memory.usage_in_bytes", "400\n"),
        ("cpu/cpu.cfs_quota_us", "150000\n"),
        ("cpu/cpu.cfs_period_us", "100000\n"),
        ("cpu/cpu.stat", "nr_periods 1\nthrottled_time 2500000000\n"),
    ];
    let all = [
        "memory_limit_bytes 1000",
        "memory_usage_bytes 400",
        "cpu_limit_cores 1.5",
        "cpu_throttled_seconds_total 2.5",
    ];
    assert_eq!(read(&v2, false), all);
    assert_eq!(read(&v1, true), all);
    assert!(read(&v1, false).is_empty());
    assert!(read(&[], true).is_empty());
    let unlimited = [
        ("memory.max", "max\n"),
        ("memory.current", "4\n"),
        ("cpu.max", "max 100000\n"),
    ];
    assert!(read(&unlimited, true).is_empty());
    let unlimited = [
        ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("cpu/cpu.cfs_quota_us", "-1\n"),
        ("cpu/cpu.cfs_period_us", "100000\n"),
    ];
    assert!(read(&unlimited, true).is_empty());
}

#[test]
fn the_tightest_memory_limit_of_our_own_cgroups_counts() {
    let limit = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            write(dir.path(), file, text);
        }
        memory_limit(dir.path())
    };
    let unit = ("proc/self/cgroup", "0::/system.slice/loadline.service\n");
    let top = "sys/fs/cgroup/memory.max";
    let slice = "sys/fs/cgroup/system.slice/memory.max";
    let own = "sys/fs/cgroup/system.slice/loadline.service/memory.max";
    assert_eq!(limit(&[unit, (own, "500\n"), (slice, "max\n")]), Some(500));
    assert_eq!(limit(&[unit, (own, "500\n"), (slice, "300\n")]), Some(300));
    assert_eq!(limit(&[unit, (own, "max\n"), (slice, "max\n")]), None);
    assert_eq!(limit(&[unit, (own, "max\n"), (top, "200\n")]), Some(200));
    // Another unit's limit is not ours.
    let other = "sys/fs/cgroup/system.slice/other.service/memory.max";
    assert_eq!(limit(&[unit, (other, "100\n")]), None);
    // In a container the path is that of the host, and the tree starts at our own group.
    let outside = ("proc/self/cgroup", "0::/../../docker/abc\n");
    assert_eq!(limit(&[outside, (top, "700\n")]), Some(700));
    assert_eq!(limit(&[(top, "700\n")]), None);

    let v1 = (
        "proc/self/cgroup",
        "5:cpu,cpuacct:/a\n4:memory:/a/b\n0::/a\n",
    );
    let own = "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes";
    let above = "sys/fs/cgroup/memory/a/memory.limit_in_bytes";
    let none = "9223372036854771712\n";
    assert_eq!(limit(&[v1, (own, "900\n"), (above, none)]), Some(900));
    assert_eq!(limit(&[v1, (own, none), (above, "800\n")]), Some(800));
    assert_eq!(limit(&[v1, (own, none), (above, none)]), None);
}
