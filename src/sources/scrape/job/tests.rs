use super::*;

fn job(text: &str) -> Job {
    let config: ScrapeConfig = toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    Job::new(&config, &Global::default(), &Limits::default())
}

fn found(address: &str, labels: &[(&str, &str)]) -> Place {
    Place {
        address: address.to_owned(),
        labels: labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
    }
}

/// URL, labels, host and role of each target.
fn shown(targets: &Targets) -> Vec<String> {
    let one = |t: &Target| {
        let meta = t.meta();
        let role = meta.role.as_deref().unwrap_or("-");
        format!("{} {} {} {role}", t.status().url, meta.labels, meta.host)
    };
    targets.targets.iter().map(one).collect()
}

#[test]
fn rules_shape_a_target() {
    let job = job(r#"
job_name = "probe"
metrics_path = "/probe"
params = { module = ["http_2xx"], extra = ["a", "b"] }
relabel_configs = [
    { source_labels = ["__address__"], target_label = "__param_target" },
    { source_labels = ["__param_target"], target_label = "instance" },
    { target_label = "__address__", replacement = "127.0.0.1:9115" },
    { source_labels = ["__meta_zone"], target_label = "zone" },
    { source_labels = ["__meta_role"], target_label = "__role__" },
    { source_labels = ["__meta_zone"], regex = "far", action = "drop" },
    { source_labels = ["__meta_https"], regex = "yes", target_label = "__scheme__", replacement = "https" },
    { target_label = "__tmp_x", replacement = "kept nowhere" },
]
"#);
    let made = job.targets([
        found("a.example:80", &[("__meta_zone", "near"), ("team", "t")]),
        found("b.example:80", &[("__meta_zone", "far")]),
        found(
            "c.example:80",
            &[("__meta_https", "yes"), ("__meta_role", "app")],
        ),
        found("a.example:80", &[("__meta_zone", "near"), ("team", "t")]),
    ]);
    assert_eq!(
        shown(&made),
        [
            "http://127.0.0.1:9115/probe?extra=a&extra=b&module=http_2xx&target=a.example%3A80 \
             {instance=\"a.example:80\", job=\"probe\", team=\"t\", zone=\"near\"} 127.0.0.1 -",
            "https://127.0.0.1:9115/probe?extra=a&extra=b&module=http_2xx&target=c.example%3A80 \
             {instance=\"c.example:80\", job=\"probe\"} 127.0.0.1 app",
        ]
    );
    assert_eq!((made.dropped_count, made.problems.len()), (1, 0));
    let dropped = &made.dropped[0];
    for (name, value) in [
        ("__address__", "b.example:80"),
        ("__meta_zone", "far"),
        ("__metrics_path__", "/probe"),
        ("__scheme__", "http"),
        ("__scrape_interval__", "15s"),
        ("__scrape_timeout__", "10s"),
        ("__param_module", "http_2xx"),
        ("job", "probe"),
    ] {
        assert_eq!(dropped.get(name), value, "{name}");
    }
    assert_eq!(
        made.targets[0].discovered().get("__address__"),
        "a.example:80"
    );
}

#[test]
fn found_labels_may_set_times_and_the_job() {
    let job = job("job_name = 'j'");
    let made = job.targets([
        found(
            "a:1",
            &[
                ("__scrape_interval__", "1m"),
                ("__scrape_timeout__", "7s"),
                ("__metrics_path__", "m"),
                ("job", "other"),
            ],
        ),
        found("b:1", &[("__scrape_timeout__", "16s")]),
        found("c:1", &[("__scrape_interval__", "often")]),
        found("d:1", &[("__name__", "up")]),
        found("", &[]),
        found("user@host:1", &[]),
    ]);
    assert_eq!(
        shown(&made),
        ["http://a:1/m {instance=\"a:1\", job=\"other\"} a -"]
    );
    assert_eq!(
        made.targets[0].schedule(1).interval(),
        Duration::from_secs(60)
    );
    let problems: Vec<String> = made.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 5, "{problems:?}");
    for (problem, want) in problems.iter().zip([
        "__scrape_timeout__",
        "often",
        "__name__",
        "host:port",
        "host:port",
    ]) {
        assert!(problem.contains(want), "{problem}");
    }
}

#[test]
fn equal_settings_are_equal_and_others_are_not() {
    let settings = |text: &str| -> u64 {
        let job = job(text);
        job.targets([found("a:1", &[])]).targets[0].settings()
    };
    let same = settings("job_name = 'j'");
    // Where it was found changes nothing about how it is scraped.
    for text in [
        "job_name = 'j'\nstatic_configs = [{ targets = ['a:1', 'b:1'] }]",
        "job_name = 'j'\nfile_sd_configs = [{ files = ['x.json'] }]",
        "job_name = 'j'\nrelabel_configs = [{ target_label = '__tmp', replacement = 'x' }]",
    ] {
        assert_eq!(settings(text), same, "{text}");
    }
    for text in [
        "job_name = 'j'\nscrape_timeout = '9s'",
        "job_name = 'j'\nhonor_labels = true",
        "job_name = 'j'\nlabel_limit = 3",
        "job_name = 'j'\ntls_config = { insecure_skip_verify = true }",
        "job_name = 'j'\nmetric_relabel_configs = [{ regex = 'a', action = 'labeldrop' }]",
        "job_name = 'j'\nbasic_auth = { username = 'u', password = 'one' }",
        "job_name = 'j'\nrelabel_configs = [{ target_label = '__role__', replacement = 'x' }]",
    ] {
        assert_ne!(settings(text), same, "{text}");
    }
    assert_ne!(
        settings("job_name = 'j'\nbasic_auth = { username = 'u', password = 'one' }"),
        settings("job_name = 'j'\nbasic_auth = { username = 'u', password = 'two' }"),
    );
}

#[tokio::test]
async fn too_many_targets_are_none() {
    let job = job("job_name = 'j'\ntarget_limit = 2");
    let three = ["a:1", "b:1", "c:1"].map(|a| found(a, &[]));
    let clock = crate::clock::Clock::system();
    let client = super::super::Client::new(0).unwrap();
    let mut made = job.targets(three.clone());
    assert_eq!(made.targets.len(), 3);
    for target in &mut made.targets {
        let selection = crate::model::Selection::all(1);
        let batch = target
            .scrape(&client, &selection, crate::model::Timestamp(1), &clock)
            .await;
        assert!(!batch.ok);
        let status = target.status();
        assert_eq!(status.error_reason, Some("target_limit"));
        assert!(status.error.unwrap().contains("3 targets"));
    }
    let two = job.targets(three[..2].to_vec());
    assert_ne!(two.targets[0].settings(), made.targets[0].settings());
}
