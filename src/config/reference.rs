//! Every key with its type, default and meaning: the source of `config.example.toml` and
//! `docs/configuration.md`.
//!
//! What must stay true: the tables below and the config's structs have the same keys and the
//! same defaults; tests compare them, and compare both files with what is written here.

use std::fmt::Write as _;

/// One table of the config file.
#[derive(Debug)]
pub struct Section {
    /// Its path without list indices, e.g. `scrape_configs.static_configs`; `*` is any name.
    pub path: &'static str,
    /// True when it is a list of tables.
    pub list: bool,
    /// The header as the example writes it.
    pub header: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Lines that the example needs before the header.
    pub before: &'static [&'static str],
    /// Its keys.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Name; `*` where any name is a key.
    pub name: &'static str,
    /// Type in words.
    pub kind: &'static str,
    /// What stands in the example: the default or, without one, an example.
    pub value: Value,
    /// What it means, with unit and bound.
    pub doc: &'static str,
}

/// What the example shows for a key, in TOML.
#[derive(Debug)]
pub enum Value {
    /// The default.
    Default(&'static str),
    /// An example; the key has no default, or one that depends.
    Example(&'static str),
    /// An example of a key that must be written.
    Required(&'static str),
    /// An example of a key that replaces the one before it.
    Instead(&'static str),
    /// Whole lines, for keys with free names.
    Lines(&'static [&'static str]),
}

use Value::{Default, Example, Instead, Lines, Required};

const fn key(name: &'static str, kind: &'static str, value: Value, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        value,
        doc,
    }
}

const fn section(
    path: &'static str,
    header: &'static str,
    doc: &'static str,
    keys: &'static [Key],
) -> Section {
    Section {
        path,
        list: header.as_bytes()[1] == b'[',
        header,
        doc,
        before: &[],
        keys,
    }
}

/// All tables, in the order of the example.
pub const SECTIONS: &[Section] = &[
    section(
        "global",
        "[global]",
        "Defaults for all sources and rules.",
        &[
            key(
                "scrape_interval",
                "duration",
                Default(r#""15s""#),
                "How often targets are read.",
            ),
            key(
                "scrape_timeout",
                "duration",
                Default(r#""10s""#),
                "How long one read may take; at most the interval.",
            ),
            key(
                "evaluation_interval",
                "duration",
                Default(r#""1m""#),
                "How often rules are evaluated.",
            ),
            key(
                "discovery_interval",
                "duration",
                Default(r#""5m""#),
                "How often this machine is looked over for something new to watch, when no target \
                 is named.",
            ),
            key(
                "external_labels",
                "table of texts",
                Example(r#"{ site = "fra1" }"#),
                "Labels added to every message.",
            ),
            key(
                "timezone",
                "text",
                Example(r#""Europe/Berlin""#),
                "Time zone of messages, an IANA name; default: the system's.",
            ),
        ],
    ),
    section(
        "state",
        "[state]",
        "Where state is kept.",
        &[
            key(
                "dir",
                "path",
                Example(r#""/var/lib/loadline""#),
                "Folder of the state database; default: $STATE_DIRECTORY, else \
                 $XDG_STATE_HOME/loadline, else ~/.local/state/loadline.",
            ),
            key(
                "samples_max",
                "size",
                Default(r#""1GiB""#),
                "Most bytes of the samples file, from which windows are full again after a \
                 restart; 0 keeps none.",
            ),
            key(
                "samples_interval",
                "duration",
                Default(r#""30s""#),
                "How often samples are added to it, 1s to 1m: what a kill may lose.",
            ),
        ],
    ),
    section(
        "server",
        "[server]",
        "The page and the API.",
        &[
            key(
                "listen",
                "address",
                Default(r#""127.0.0.1:9797""#),
                "Address of the page and the API; only loopback is accepted.",
            ),
            key(
                "external_url",
                "URL",
                Example(r#""https://loadline.example""#),
                "Where people reach the page, for links in messages.",
            ),
        ],
    ),
    section(
        "limits",
        "[limits]",
        "Bounds that are on by default; each counts when it bites.",
        &[
            key(
                "body_size",
                "size",
                Default(r#""64MiB""#),
                "Largest exposition, inflated.",
            ),
            key(
                "samples_per_target",
                "number",
                Default("50000"),
                "Most stored samples of one target.",
            ),
            key(
                "labels",
                "number",
                Default("64"),
                "Most labels of one series, the target's included.",
            ),
            key(
                "name_length",
                "size",
                Default("256"),
                "Longest metric or label name in bytes.",
            ),
            key(
                "value_length",
                "size",
                Default(r#""4KiB""#),
                "Longest label value in bytes.",
            ),
            key(
                "memory",
                "size",
                Example(r#""256MiB""#),
                "Memory budget, 16MiB or more; default: 70 % of the cgroup limit, else 256MiB. \
                 Sizes the series cap.",
            ),
        ],
    ),
    section(
        "store",
        "[store]",
        "What is kept in memory.",
        &[
            key(
                "keep",
                "selected, all",
                Default(r#""selected""#),
                "selected: only series that something reads; all: everything scraped.",
            ),
            key(
                "pin",
                "list of texts",
                Example(r#"["node_load1", '{job="api"}']"#),
                "Further selectors to keep.",
            ),
        ],
    ),
    section(
        "query",
        "[query]",
        "Bounds of one PromQL query, of rules and of people alike. A change needs a restart.",
        &[
            key(
                "timeout",
                "duration",
                Default(r#""10s""#),
                "Longest evaluation of one query.",
            ),
            key(
                "max_samples",
                "number",
                Default("5000000"),
                "Most samples that one query may hold in memory at once, 16 bytes each; texts and \
                 histograms count by their size.",
            ),
            key(
                "enable_features",
                "list of texts",
                Default("[]"),
                "Parts of PromQL that are off in Prometheus too: promql-experimental-functions, \
                 promql-extended-range-selectors, promql-binop-fill-modifiers, \
                 promql-delayed-name-removal.",
            ),
        ],
    ),
    section(
        "rules",
        "[rules]",
        "Rule files.",
        &[
            key(
                "shipped",
                "true, false or list of texts",
                Default("true"),
                "Which shipped rule files are used: all, none, or subjects such as \
                 [\"host\", \"postgres\"].",
            ),
            key(
                "rule_files",
                "list of paths",
                Example(r#"["rules/*.yml"]"#),
                "Own rule files in Prometheus's format. * and ? are wildcards.",
            ),
            key(
                "missing",
                "blind, resolve",
                Default(r#""blind""#),
                "What a rule is whose input is missing: blind, or resolve as in Prometheus.",
            ),
        ],
    ),
    section(
        "rules.flapping",
        "[rules.flapping]",
        "Alerts that come and go: one that comes back again and again is held firing.",
        &[
            key(
                "after",
                "number",
                Default("3"),
                "Times that an alert may come back before it is held.",
            ),
            key(
                "hold",
                "duration",
                Default(r#""5m""#),
                "How long it is held then; twice as long each time after. 0s: never, as in \
                 Prometheus.",
            ),
            key(
                "most",
                "duration",
                Default(r#""4h""#),
                "The longest it is held.",
            ),
            key(
                "forget",
                "duration",
                Default(r#""1h""#),
                "After how long one time is forgotten.",
            ),
        ],
    ),
    section(
        "advice",
        "[advice]",
        "The advisor.",
        &[
            key(
                "system_labels",
                "list of texts",
                Example(r#"["env"]"#),
                "Target labels that separate systems; advice is given once per system.",
            ),
            key(
                "playbook_files",
                "list of paths",
                Example(r#"["playbook/*.toml"]"#),
                "Own playbook files that add rows or override them by id. * and ? are wildcards.",
            ),
        ],
    ),
    section(
        "facts",
        "[facts]",
        "What the team declares about itself, where metrics cannot tell.",
        &[key(
            "*",
            "true, false, number, text, date or table",
            Lines(&[
                "users = 12000",
                "launch = 2026-11-01",
                "done = { query-optimization = 2026-11-01 }",
            ]),
            "A fact's id and its value.",
        )],
    ),
    section(
        "signs.alias",
        "[[signs.alias]]",
        "Own alerts that stand for a sign: the advice counts them like the shipped ones.",
        &[
            key(
                "alertname",
                "text",
                Required(r#""HostHighCpuLoad""#),
                "Name of an alert in your rule files that has no label sign.",
            ),
            key(
                "sign",
                "text",
                Required(r#""host-cpu-sustained""#),
                "Id of the sign, as `docs/rules.md` lists them.",
            ),
            key(
                "level",
                "note, plan, act, now",
                Required(r#""act""#),
                "How urgent it is.",
            ),
        ],
    ),
    section(
        "signs.*",
        "[signs.host-cpu-sustained]",
        "Own thresholds for a sign's levels; the sign's id is in the header.",
        &[
            key(
                "enabled",
                "true, false",
                Example("true"),
                "False silences the sign altogether.",
            ),
            key(
                "alertname",
                "text",
                Example(r#""HostCpuSustained""#),
                "Name of the alerts that the numbers are for; needed where the alerts of a level \
                 compare in different units.",
            ),
            key(
                "note",
                "number",
                Example("0.5"),
                "Replaces the number that the rule of this level compares with.",
            ),
            key("plan", "number", Example("0.6"), "The same for level plan."),
            key("act", "number", Example("0.8"), "The same for level act."),
            key("now", "number", Example("0.95"), "The same for level now."),
        ],
    ),
    section(
        "host",
        "[host]",
        "The built-in collector of this machine.",
        &[
            key(
                "enabled",
                "true, false, auto",
                Default(r#""auto""#),
                "auto: off where a node_exporter of this machine is scraped.",
            ),
            key(
                "procfs",
                "path",
                Default(r#""/proc""#),
                "Where the host's /proc is seen from here (containers mount it elsewhere).",
            ),
            key(
                "rootfs",
                "path",
                Default(r#""/""#),
                "Where the host's root file system is seen from here.",
            ),
            key(
                "role",
                "text",
                Example(r#""app""#),
                "What the machine is for: app, database, cache, queue.",
            ),
            key(
                "labels",
                "table of texts",
                Example(r#"{ env = "production" }"#),
                "Further labels of this machine's series.",
            ),
        ],
    ),
    section(
        "postgres",
        "[[postgres]]",
        "A watched Postgres server; one table each.",
        &[
            key(
                "url",
                "URL, secret",
                Required(r#""postgres://loadline@db1.internal:5432/postgres""#),
                "Where it is; for the local socket postgres:///postgres?host=/run/postgresql.",
            ),
            key(
                "password_file",
                "path",
                Example(r#""postgres-password""#),
                "File with the password, read at every connect.",
            ),
            key(
                "databases",
                "list of texts",
                Default(r#"["*"]"#),
                "Databases to look into; * for all.",
            ),
            key(
                "exclude",
                "list of texts",
                Example(r#"["scratch"]"#),
                "Databases to leave out.",
            ),
            key(
                "role",
                "text",
                Example(r#""primary database""#),
                "What the server is for, in the team's words.",
            ),
            key(
                "labels",
                "table of texts",
                Example(r#"{ env = "production" }"#),
                "Further labels of this server's series.",
            ),
            key(
                "scrape_interval",
                "duration",
                Example(r#""30s""#),
                "How often it is asked; default: global.scrape_interval.",
            ),
        ],
    ),
    section(
        "scrape_configs",
        "[[scrape_configs]]",
        "Scraped targets of one job, in Prometheus's words; one table each.",
        &[
            key(
                "job_name",
                "text",
                Required(r#""app""#),
                "Label job of its series; unique.",
            ),
            key(
                "scrape_interval",
                "duration",
                Example(r#""30s""#),
                "Default: global.scrape_interval.",
            ),
            key(
                "scrape_timeout",
                "duration",
                Example(r#""10s""#),
                "Default: global.scrape_timeout, or the interval if that is shorter; at most the \
                 interval.",
            ),
            key(
                "metrics_path",
                "text",
                Default(r#""/metrics""#),
                "Path of the exposition.",
            ),
            key(
                "scheme",
                "http, https",
                Default(r#""http""#),
                "How targets are asked.",
            ),
            key(
                "params",
                "table of lists of texts",
                Example(r#"{ "collect[]" = ["cpu", "meminfo"] }"#),
                "Query parameters.",
            ),
            key(
                "honor_labels",
                "true, false",
                Default("false"),
                "True: the target's labels win over ours.",
            ),
            key(
                "honor_timestamps",
                "true, false",
                Default("true"),
                "True: timestamps in the body are used.",
            ),
            key(
                "track_timestamps_staleness",
                "true, false",
                Default("false"),
                "True: series with timestamps of their own get a marker when they end, too.",
            ),
            key(
                "scrape_protocols",
                "list of PrometheusProto, OpenMetricsText1.0.0, OpenMetricsText0.0.1, \
                 PrometheusText1.0.0, PrometheusText0.0.4",
                Default(
                    r#"["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"]"#,
                ),
                "Formats to ask for, the most wanted first; native histograms come with \
                 PrometheusProto only.",
            ),
            key(
                "fallback_scrape_protocol",
                "one of these",
                Example(r#""PrometheusText0.0.4""#),
                "How a body is read whose content type is missing or unknown; default: as text.",
            ),
            key(
                "always_scrape_classic_histograms",
                "true, false",
                Default("false"),
                "True: where a histogram has native and classic buckets, both are kept.",
            ),
            key(
                "proxy_url",
                "URL, secret",
                Example(r#""http://proxy.internal:3128""#),
                "Proxy for all requests of the job.",
            ),
            key(
                "no_proxy",
                "text",
                Example(r#""localhost,10.0.0.0/8,.internal""#),
                "Hosts, domains and networks that are asked without the proxy.",
            ),
            key(
                "proxy_from_environment",
                "true, false",
                Default("false"),
                "True: HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment; not beside \
                 proxy_url.",
            ),
            key(
                "follow_redirects",
                "true, false, any",
                Default("true"),
                "True: to the same scheme, host and port; any: to other hosts too, without \
                 credentials.",
            ),
            key(
                "allow_link_local",
                "true, false",
                Default("false"),
                "True: link-local addresses may be asked, where metadata services live.",
            ),
            key(
                "body_size_limit",
                "size",
                Example(r#""16MiB""#),
                "Largest body, inflated; default: limits.body_size.",
            ),
            key(
                "sample_limit",
                "number",
                Example("10000"),
                "Most samples; default: limits.samples_per_target.",
            ),
            key(
                "label_limit",
                "number",
                Example("32"),
                "Most labels of one series; default: limits.labels. What is over it is left out \
                 and counted.",
            ),
            key(
                "label_name_length_limit",
                "number",
                Example("128"),
                "Longest metric or label name in bytes; default: limits.name_length.",
            ),
            key(
                "label_value_length_limit",
                "number",
                Example("1024"),
                "Longest label value in bytes; default: limits.value_length.",
            ),
            key(
                "target_limit",
                "number",
                Default("10000"),
                "Most targets of the job after relabelling; with more, none is scraped.",
            ),
            key(
                "on_parse_error",
                "keep-good, fail",
                Default(r#""keep-good""#),
                "What a bad line does: keep-good keeps the rest, fail drops the scrape.",
            ),
        ],
    ),
    section(
        "scrape_configs.static_configs",
        "[[scrape_configs.static_configs]]",
        "Targets with the same labels.",
        &[
            key(
                "targets",
                "list of host:port",
                Required(r#"["app1.internal:8080", "app2.internal:8080"]"#),
                "Where they are.",
            ),
            key(
                "labels",
                "table of texts",
                Example(r#"{ env = "production" }"#),
                "Labels of their series.",
            ),
            key(
                "host",
                "text",
                Example(r#""app1""#),
                "The machine they run on, if not told by the address.",
            ),
            key(
                "role",
                "text",
                Example(r#""app""#),
                "What they are for: app, database, cache, queue.",
            ),
        ],
    ),
    section(
        "scrape_configs.basic_auth",
        "[scrape_configs.basic_auth]",
        "User name and password of the job's targets.",
        &[
            key("username", "text", Required(r#""loadline""#), "User."),
            key(
                "password_file",
                "path",
                Example(r#""app-password""#),
                "File with the password, read at every scrape.",
            ),
            key(
                "password",
                "text, secret",
                Instead(r#""${APP_PASSWORD}""#),
                "Password.",
            ),
        ],
    ),
    section(
        "scrape_configs.http_headers.*",
        "[scrape_configs.http_headers.X-Scope-OrgID]",
        "Further headers of the job's requests, by name; each value is sent on its own.",
        &[
            key(
                "values",
                "list of texts",
                Example(r#"["team-a"]"#),
                "Plain values.",
            ),
            key(
                "files",
                "list of paths",
                Example(r#"["header-token"]"#),
                "Files with a value each, read at every request.",
            ),
            key(
                "secrets",
                "list of texts, secret",
                Instead(r#"["${HEADER_TOKEN}"]"#),
                "Values that must not be seen.",
            ),
        ],
    ),
    section(
        "scrape_configs.tls_config",
        "[scrape_configs.tls_config]",
        "Certificates of the job's requests; files are read again when they change.",
        TLS,
    ),
    section(
        "scrape_configs.file_sd_configs",
        "[[scrape_configs.file_sd_configs]]",
        "Targets from files: a list of { targets, labels }, as JSON or YAML.",
        &[
            key(
                "files",
                "list of paths",
                Required(r#"["targets/*.json", "targets/*.yml"]"#),
                "Files; * and ? are wildcards. A broken file keeps its last targets.",
            ),
            key(
                "refresh_interval",
                "duration",
                Default(r#""5s""#),
                "How often they are looked at; a file is read when it changed.",
            ),
        ],
    ),
    section(
        "scrape_configs.dns_sd_configs",
        "[[scrape_configs.dns_sd_configs]]",
        "Targets from DNS.",
        &[
            key(
                "names",
                "list of texts",
                Required(r#"["_metrics._tcp.app.internal"]"#),
                "Names to look up.",
            ),
            key(
                "type",
                "SRV, A, AAAA",
                Default(r#""SRV""#),
                "Kind of record.",
            ),
            key(
                "port",
                "number",
                Example("9100"),
                "Port of the targets; needed for A and AAAA.",
            ),
            key(
                "refresh_interval",
                "duration",
                Default(r#""30s""#),
                "How often they are looked up.",
            ),
        ],
    ),
    section(
        "scrape_configs.relabel_configs",
        "[[scrape_configs.relabel_configs]]",
        "Rules over a target's labels before it is scraped, in order.",
        RELABEL,
    ),
    section(
        "scrape_configs.metric_relabel_configs",
        "[[scrape_configs.metric_relabel_configs]]",
        "Rules over the labels of scraped series, in order. A rule that changes __name__ has \
         every line of the body read.",
        RELABEL,
    ),
    section(
        "scrape_configs.http_sd_configs",
        "[[scrape_configs.http_sd_configs]]",
        "Targets from an HTTP endpoint that answers with a JSON list of { targets, labels }.",
        &[
            key(
                "url",
                "URL, secret",
                Required(r#""https://inventory.internal/targets""#),
                "Address. When it does not answer well, the last targets stay.",
            ),
            key(
                "refresh_interval",
                "duration",
                Default(r#""1m""#),
                "How often it is asked.",
            ),
            key(
                "proxy_url",
                "URL, secret",
                Example(r#""http://proxy.internal:3128""#),
                "Proxy.",
            ),
            key(
                "no_proxy",
                "text",
                Example(r#""localhost,.internal""#),
                "Hosts, domains and networks that are asked without the proxy.",
            ),
            key(
                "proxy_from_environment",
                "true, false",
                Default("false"),
                "True: the environment's proxies; not beside proxy_url.",
            ),
            key(
                "follow_redirects",
                "true, false, any",
                Default("true"),
                "As for targets.",
            ),
            key(
                "allow_link_local",
                "true, false",
                Default("false"),
                "As for targets.",
            ),
        ],
    ),
    section(
        "scrape_configs.http_sd_configs.basic_auth",
        "[scrape_configs.http_sd_configs.basic_auth]",
        "User name and password of the endpoint.",
        &[
            key("username", "text", Required(r#""loadline""#), "User."),
            key(
                "password_file",
                "path",
                Example(r#""app-password""#),
                "File with the password, read at every scrape.",
            ),
            key(
                "password",
                "text, secret",
                Instead(r#""${APP_PASSWORD}""#),
                "Password.",
            ),
        ],
    ),
    section(
        "scrape_configs.http_sd_configs.http_headers.*",
        "[scrape_configs.http_sd_configs.http_headers.X-Scope-OrgID]",
        "Further headers of the endpoint's requests, by name; each value is sent on its own.",
        &[
            key(
                "values",
                "list of texts",
                Example(r#"["team-a"]"#),
                "Plain values.",
            ),
            key(
                "files",
                "list of paths",
                Example(r#"["header-token"]"#),
                "Files with a value each, read at every request.",
            ),
            key(
                "secrets",
                "list of texts, secret",
                Instead(r#"["${HEADER_TOKEN}"]"#),
                "Values that must not be seen.",
            ),
        ],
    ),
    section(
        "scrape_configs.http_sd_configs.tls_config",
        "[scrape_configs.http_sd_configs.tls_config]",
        "Certificates of the endpoint's requests; files are read again when they change.",
        TLS,
    ),
    Section {
        path: "scrape_configs.http_sd_configs.authorization",
        list: false,
        header: "[scrape_configs.http_sd_configs.authorization]",
        doc: "A token or other credentials of the endpoint; not beside basic_auth.",
        before: &[
            "[[scrape_configs.http_sd_configs]]",
            r#"url = "https://inventory.internal/other""#,
        ],
        keys: &[
            key(
                "type",
                "text",
                Default(r#""Bearer""#),
                "Scheme of the header.",
            ),
            key(
                "credentials_file",
                "path",
                Example(r#""app-token""#),
                "File with the credentials, read at every scrape.",
            ),
            key(
                "credentials",
                "text, secret",
                Instead(r#""${APP_TOKEN}""#),
                "Credentials.",
            ),
        ],
    },
    Section {
        path: "scrape_configs.authorization",
        list: false,
        header: "[scrape_configs.authorization]",
        doc: "A token or other credentials of the job's targets; not beside basic_auth.",
        before: &["[[scrape_configs]]", r#"job_name = "app-with-token""#],
        keys: &[
            key(
                "type",
                "text",
                Default(r#""Bearer""#),
                "Scheme of the header.",
            ),
            key(
                "credentials_file",
                "path",
                Example(r#""app-token""#),
                "File with the credentials, read at every scrape.",
            ),
            key(
                "credentials",
                "text, secret",
                Instead(r#""${APP_TOKEN}""#),
                "Credentials.",
            ),
        ],
    },
    section(
        "route",
        "[route]",
        "Who is told what.",
        &[
            key(
                "receiver",
                "text",
                Required(r#""team""#),
                "Name of a receiver.",
            ),
            key(
                "group_by",
                "list of texts",
                Default(r#"["system", "sign"]"#),
                "Labels that make one message.",
            ),
            key(
                "group_wait",
                "duration",
                Default(r#""30s""#),
                "How long the first message of a group waits for more; level now never waits.",
            ),
            key(
                "group_interval",
                "duration",
                Default(r#""5m""#),
                "Least time between messages of one group.",
            ),
            key(
                "repeat_interval",
                "duration",
                Default(r#""1d""#),
                "When an unchanged group is sent again; at least group_interval.",
            ),
        ],
    ),
    section(
        "receivers",
        "[[receivers]]",
        "A name and where its messages go, in Alertmanager's words; one table each.",
        &[
            key("name", "text", Required(r#""team""#), "Unique name."),
            key(
                "fallback",
                "text",
                Example(r#""team""#),
                "Name of the receiver that is told when this one fails or messages to it are given up.",
            ),
        ],
    ),
    section(
        "receivers.webhook_configs",
        "[[receivers.webhook_configs]]",
        "JSON over HTTP: Alertmanager's body with one loadline object.",
        &[
            key(
                "url_file",
                "path",
                Example(r#""webhook-url""#),
                "File with the address, read at every sending.",
            ),
            key(
                "url",
                "URL, secret",
                Instead(r#""https://hooks.example/loadline""#),
                "Address; as a whole a secret.",
            ),
            key(
                "send_resolved",
                "true, false",
                Default("true"),
                "False: resolved messages are not sent.",
            ),
        ],
    ),
    section(
        "receivers.slack_configs",
        "[[receivers.slack_configs]]",
        "Slack incoming webhooks.",
        &[
            key(
                "api_url_file",
                "path",
                Example(r#""slack-url""#),
                "File with the address, read at every sending.",
            ),
            key(
                "api_url",
                "URL, secret",
                Instead(r#""${SLACK_URL}""#),
                "Incoming webhook; its path is the token.",
            ),
            key(
                "send_resolved",
                "true, false",
                Default("true"),
                "False: resolved messages are not sent.",
            ),
        ],
    ),
    section(
        "receivers.desktop_configs",
        "[[receivers.desktop_configs]]",
        "Desktop notifications of this user's session.",
        &[key(
            "send_resolved",
            "true, false",
            Default("true"),
            "False: resolved messages are not sent.",
        )],
    ),
    section(
        "receivers.log_configs",
        "[[receivers.log_configs]]",
        "Lines in the daemon's log.",
        &[key(
            "send_resolved",
            "true, false",
            Default("true"),
            "False: resolved messages are not written.",
        )],
    ),
    section(
        "heartbeat",
        "[heartbeat]",
        "Who raises the alarm when loadline falls silent (a dead man's switch).",
        &[
            key(
                "url_file",
                "path",
                Example(r#""heartbeat-url""#),
                "File with the address; it is asked (POST, empty body) after a complete cycle that is on disk.",
            ),
            key(
                "url",
                "URL, secret",
                Instead(r#""https://hc.example/ping/id""#),
                "Address; as a whole a secret.",
            ),
            key(
                "interval",
                "duration",
                Default(r#""1m""#),
                "Time between two.",
            ),
        ],
    ),
];

/// Keys of a relabelling rule.
const RELABEL: &[Key] = &[
    key(
        "source_labels",
        "list of texts",
        Example(r#"["__address__"]"#),
        "Labels whose values are joined.",
    ),
    key(
        "separator",
        "text",
        Default(r#"";""#),
        "What stands between them.",
    ),
    key(
        "regex",
        "regular expression",
        Default(r#""(.*)""#),
        "Matched against the whole of the joined values (labelmap, labeldrop, labelkeep: of each \
         label's name).",
    ),
    key(
        "modulus",
        "number",
        Default("0"),
        "Number of shards, for hashmod.",
    ),
    key(
        "target_label",
        "text",
        Example(r#""shard""#),
        "Label that is set or compared.",
    ),
    key(
        "replacement",
        "text",
        Default(r#""$1""#),
        "Its value; $1, ${1} and ${name} stand for groups of regex.",
    ),
    key(
        "action",
        "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, \
         lowercase, uppercase",
        Default(r#""replace""#),
        "What happens, with Prometheus's meaning.",
    ),
];

/// Keys of `tls_config`.
const TLS: &[Key] = &[
    key(
        "ca_file",
        "path",
        Example(r#""ca.pem""#),
        "File with the certificates that are trusted instead of the system's.",
    ),
    key(
        "ca",
        "text",
        Instead(r#""-----BEGIN CERTIFICATE----- …""#),
        "These, as PEM.",
    ),
    key(
        "cert_file",
        "path",
        Example(r#""client.pem""#),
        "File with our own certificate.",
    ),
    key(
        "cert",
        "text",
        Instead(r#""-----BEGIN CERTIFICATE----- …""#),
        "It, as PEM.",
    ),
    key(
        "key_file",
        "path",
        Example(r#""client.key""#),
        "File with its private key.",
    ),
    key(
        "key",
        "text, secret",
        Instead(r#""${KEY_PEM}""#),
        "It, as PEM.",
    ),
    key(
        "server_name",
        "text",
        Instead(r#""app.internal""#),
        "The name in the server's certificate, if it is not the address; not through a proxy.",
    ),
    key(
        "insecure_skip_verify",
        "true, false",
        Default("false"),
        "True: any certificate is accepted, an attacker's too.",
    ),
    key(
        "min_version",
        "TLS12, TLS13",
        Example(r#""TLS13""#),
        "Oldest version of TLS; default: TLS12.",
    ),
    key(
        "max_version",
        "TLS12, TLS13",
        Example(r#""TLS13""#),
        "Newest version of TLS; default: TLS13.",
    ),
];

/// The rules that hold for every key.
const NOTES: &[&str] = &[
    "Durations are whole numbers with units, as in Prometheus: 15s, 1h30m, 500ms.",
    "Sizes are in bytes or with KiB, MiB, GiB (KB, MB and GB are the same powers of two).",
    "Relative paths start at this file's folder. A *_file with a bare name is first looked up in \
     $CREDENTIALS_DIRECTORY (systemd's LoadCredential); it must not be readable by everyone.",
    "${NAME} in a text becomes that environment variable; names are A-Z, 0-9 and _, and an unset \
     one is an error.",
    "An unknown key is an error. `loadline check config FILE` names every problem with its line.",
];

/// The text of `config.example.toml`: every key, commented out.
pub fn example() -> String {
    let mut out = String::from(
        "# loadline's configuration: every key with its default or an example.\n\
         # Nothing has to be set: take the # off the lines you want to change.\n#\n",
    );
    for note in NOTES {
        comment(&mut out, note);
    }
    for section in SECTIONS {
        out.push('\n');
        comment(&mut out, section.doc);
        for line in section.before {
            line_out(&mut out, "#", line);
        }
        // An empty table changes nothing, so its header can stand; a key then never lands in the
        // table above.
        let required = |k: &Key| matches!(k.value, Required(_));
        let stands =
            !section.list && !section.path.contains('.') && !section.keys.iter().any(required);
        line_out(&mut out, if stands { "" } else { "#" }, section.header);
        for key in section.keys {
            let name = key.name;
            comment(&mut out, key.doc);
            match key.value {
                Default(v) | Example(v) | Required(v) => {
                    line_out(&mut out, "#", &format!("{name} = {v}"));
                }
                Instead(v) => line_out(&mut out, "# or: ", &format!("{name} = {v}")),
                Lines(lines) => lines.iter().for_each(|l| line_out(&mut out, "#", l)),
            }
        }
    }
    out
}

/// The text of `docs/configuration.md`.
pub fn page() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Written from `src/config/reference.rs`; a test keeps it so.\n\n\
         loadline runs without a config file. With one, it is read from `--config`, else \
         `$LOADLINE_CONFIG`, else `$XDG_CONFIG_HOME/loadline/config.toml` (`~/.config`), else \
         `/etc/loadline/config.toml`. The file is TOML; `loadline config init` writes one with \
         every key.\n\n",
    );
    for note in NOTES {
        let _ = writeln!(out, "- {}", escape(note));
    }
    for section in SECTIONS {
        let header = section.header.replace("host-cpu-sustained", "ID");
        let _ = write!(
            out,
            "\n## `{header}`\n\n{}\n\n| key | type | default | meaning |\n|---|---|---|---|\n",
            escape(section.doc)
        );
        for key in section.keys {
            let name = if key.name == "*" { "ID" } else { key.name };
            let default = match key.value {
                Default(v) => format!("`{v}`"),
                Required(_) => "required".to_owned(),
                Instead(_) | Example(_) | Lines(_) => String::new(),
            };
            let shown = match key.value {
                Example(v) | Required(v) | Instead(v) => format!(" E.g. `{v}`."),
                Lines(lines) => format!(" E.g. `{}`.", lines.join("`, `")),
                Default(_) => String::new(),
            };
            let _ = writeln!(
                out,
                "| `{name}` | {} | {default} | {}{shown} |",
                key.kind,
                escape(key.doc)
            );
        }
    }
    out
}

/// The section that a key path belongs to, its indices left out; `None` for a key.
pub(super) fn section_of(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|s| match s.path.strip_suffix('*') {
        Some(prefix) => path
            .strip_prefix(prefix)
            .is_some_and(|name| !name.is_empty() && !name.contains('.')),
        None => s.path == path,
    })
}

fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.len() + word.len() > 78 {
            line_out(out, "", &line);
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    line_out(out, "", &line);
}

fn line_out(out: &mut String, prefix: &str, line: &str) {
    out.push_str(prefix);
    out.push_str(line);
    out.push('\n');
}

/// Keeps Markdown from reading `*`, `_`, `|` and `$` as its own.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '_' | '|' | '<' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests;
