//! The committed inputs of the fuzzers, replayed: none panics, none takes a second of CPU time.

use std::path::Path;
use std::time::Duration;

#[expect(unreachable_pub, reason = "the fuzzers take it as a crate of its own")]
mod targets;

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn replay(name: &str) {
    let (_, target) = targets::TARGETS.iter().find(|t| t.0 == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let mut inputs: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    inputs.sort();
    assert!(inputs.len() > 10, "{}: too few inputs", folder.display());
    for input in inputs {
        let data = std::fs::read(&input).unwrap();
        let start = cpu();
        let result = std::panic::catch_unwind(|| target(&data));
        assert!(result.is_ok(), "{}: panicked", input.display());
        let took = cpu() - start;
        assert!(
            took < Duration::from_secs(1),
            "{}: {took:?}",
            input.display()
        );
    }
}

#[test]
fn queries_are_read() {
    replay("promql_parse");
}

#[test]
fn queries_are_evaluated() {
    replay("promql_eval");
}

#[test]
fn query_scripts_are_run() {
    replay("promql_script");
}

#[test]
fn rule_files_are_read_and_evaluated() {
    replay("rule_file");
}

#[test]
fn templates_are_expanded() {
    replay("template");
}

/// What is listed once in the targets stands in the other places too.
#[test]
fn every_target_is_built_and_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let here = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    for (name, _) in targets::TARGETS {
        let main = folder.join(format!("fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(main).unwrap();
        assert!(text.contains(&format!("targets::{name}(data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(here.contains(&format!("replay(\"{name}\")")), "{name}");
    }
}
