//! Keys that other programs know in rule files and Prometheus refuses: whose they are, and what to
//! do instead.

/// What to do about a key that Prometheus does not have in `what`; nothing for one of nobody.
pub(super) fn advice(what: &str, key: &str) -> Option<String> {
    let (_, owner, instead) = KEYS
        .iter()
        .find(|(known, _, _)| *known == key)
        .filter(|_| what != "a rule file" || ROOT.contains(&key))?;
    Some(format!(
        "{key} is a key of {owner}, which Prometheus refuses; {instead}"
    ))
}

/// Those that stand at the top of a file.
const ROOT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "namespace"];

/// Key, whose it is, and what to do.
const KEYS: &[(&str, &str, &str)] = &[
    (
        "partial_response_strategy",
        "Thanos",
        "remove it: an answer here is never partial without saying so",
    ),
    (
        "source_tenants",
        "Mimir and Cortex",
        "remove it: there is one tenant here",
    ),
    (
        "evaluation_delay",
        "Mimir and Cortex",
        "write query_offset instead, with the same duration",
    ),
    (
        "align_evaluation_time_on_interval",
        "Mimir and Cortex",
        "remove it: each group has its own fixed phase here",
    ),
    (
        "remote_write",
        "Loki",
        "remove it: records are kept in the store here",
    ),
    (
        "namespace",
        "mimirtool and cortextool",
        "remove it: a file's name tells its groups from those of other files",
    ),
    (
        "type",
        "vmalert",
        "remove it where it says prometheus; keep groups of type graphite or vlogs in files of their own",
    ),
    (
        "concurrency",
        "vmalert",
        "remove it: the rules of a group are evaluated in order",
    ),
    (
        "eval_offset",
        "vmalert",
        "remove it: each group has its own fixed phase here",
    ),
    (
        "eval_delay",
        "vmalert",
        "write query_offset instead, with the same duration",
    ),
    (
        "eval_alignment",
        "vmalert",
        "remove it: each group has its own fixed phase here",
    ),
    (
        "params",
        "vmalert",
        "remove it: rules ask the store, not a server over HTTP",
    ),
    (
        "headers",
        "vmalert",
        "remove it: rules ask the store, not a server over HTTP",
    ),
    (
        "notifier_headers",
        "vmalert",
        "remove it: the receivers of the configuration say how messages are sent",
    ),
    ("tenant", "vmalert", "remove it: there is one tenant here"),
    (
        "debug",
        "vmalert",
        "remove it: loadline explain RULE shows the last evaluations of any rule",
    ),
    (
        "update_entries_limit",
        "vmalert",
        "remove it: the last evaluations of every rule are kept",
    ),
    (
        "apiVersion",
        "a Kubernetes resource",
        "keep only what stands under spec",
    ),
    (
        "kind",
        "a Kubernetes resource",
        "keep only what stands under spec",
    ),
    (
        "metadata",
        "a Kubernetes resource",
        "keep only what stands under spec",
    ),
    (
        "spec",
        "a Kubernetes resource",
        "keep only what stands under it, with groups at the top of the file",
    ),
];
