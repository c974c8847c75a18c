use std::collections::BTreeMap;

use reqwest::Url;

use super::*;
use crate::config::{Global, Limits, ScrapeConfig};
use crate::model::Ref;
use crate::sources::scrape::Job;
use crate::sources::scrape::fake::Exporter;

fn config(text: &str) -> ScrapeConfig {
    toml::from_str(text).unwrap()
}

fn targets(text: &str) -> Result<Vec<Target>, TargetError> {
    let job = Job::new(&config(text), &Global::default(), &Limits::default());
    let made = job.targets(job.written());
    match made.problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(made.targets),
    }
}

/// Scrapes bodies one after the other and keeps track of what the store would know.
struct World {
    target: Target,
    client: Client,
    clock: Clock,
    selection: Selection,
    known: BTreeMap<Ref, Labels>,
    at: i64,
}

impl World {
    fn new(settings: &str) -> Self {
        let config = format!(
            "job_name = 'app'\n{settings}\n\
             [[static_configs]]\ntargets = ['127.0.0.1:1']\nlabels = {{ env = 'prod' }}\n"
        );
        Self {
            target: targets(&config).unwrap().remove(0),
            client: Client::new(256 << 20).unwrap(),
            clock: Clock::system(),
            selection: Selection::all(1),
            known: BTreeMap::new(),
            at: 1_800_000_000_000,
        }
    }

    /// Gone series, then `name value` of all samples.
    async fn scrape(&mut self, status: &str, body: &str) -> (Vec<String>, Vec<String>) {
        let exporter = Exporter::sends(status, "", body);
        self.target.request.url = Url::parse(&format!("http://{}/", exporter.address())).unwrap();
        self.at += 15_000;
        let batch = self
            .target
            .scrape(
                &self.client,
                &self.selection,
                Timestamp(self.at),
                &self.clock,
            )
            .await;
        assert_eq!(&batch.target, self.target.key());
        for (id, labels) in batch.new {
            assert_eq!(labels.get("job"), "app");
            assert_eq!(labels.get("instance"), "127.0.0.1:1");
            assert_eq!(labels.get("env"), "prod");
            assert!(self.known.insert(id, labels).is_none());
        }
        let samples = batch
            .samples
            .iter()
            .map(|(id, t, v)| {
                assert_eq!(t.millis(), self.at);
                format!("{} {v}", self.known[id].name())
            })
            .filter(|s| {
                ![
                    "scrape_duration_seconds",
                    "scrape_timeout",
                    "scrape_sample_limit",
                ]
                .iter()
                .any(|name| s.starts_with(name))
            })
            .collect();
        let gone = batch.gone.iter().map(|id| self.known.remove(id).unwrap());
        (gone.map(|l| l.name().to_owned()).collect(), samples)
    }
}

fn strings(text: &[&str]) -> Vec<String> {
    text.iter().map(|t| (*t).to_owned()).collect()
}

#[tokio::test]
async fn a_target_reports_on_itself_in_good_and_bad_days() {
    let mut w = World::new("");
    assert_eq!(w.target.status().health, Health::Unknown);
    let (gone, samples) = w.scrape("200 OK", "a 1\nb 2\nloadline_x 3\n").await;
    assert_eq!(gone, strings(&[]));
    assert_eq!(
        samples,
        strings(&[
            "a 1",
            "b 2",
            "up 1",
            "scrape_samples_scraped 3",
            "scrape_samples_post_metric_relabeling 2",
            "scrape_series_added 2",
            "loadline_scrape_partial 0",
            "scrape_body_size_bytes 21",
        ])
    );
    let (gone, samples) = w.scrape("503 Busy", "").await;
    assert_eq!(gone, strings(&["a", "b"]));
    assert_eq!(
        samples,
        strings(&[
            "up 0",
            "scrape_samples_scraped 0",
            "scrape_samples_post_metric_relabeling 0",
            "scrape_series_added 0",
            "loadline_scrape_partial 0",
            "scrape_body_size_bytes 0",
        ])
    );
    let status = w.target.status();
    assert_eq!(
        (status.health, status.error_reason),
        (Health::Down, Some("status"))
    );
    assert_eq!(status.next_due, Some(Timestamp(w.at + 15_000)));
    let (gone, samples) = w.scrape("200 OK", "a 4\n").await;
    assert_eq!((gone, samples[0].as_str()), (vec![], "a 4"));
    let status = w.target.status();
    assert_eq!((status.health, status.error), (Health::Up, None));
    assert_eq!(status.failures, BTreeMap::from([("status", 1)]));
    assert_eq!(status.dropped, BTreeMap::from([("reserved", 1)]));
    assert_eq!((status.samples, status.kept, status.scrapes), (1, 1, 3));

    let retired = w.target.retire(Timestamp(w.at));
    assert_eq!(retired.gone.len(), 10);
    let left: Vec<Ref> = w.known.into_keys().collect();
    assert_eq!(retired.gone, left);
}

#[tokio::test]
async fn a_partial_scrape_ends_no_series() {
    let padding: String = (0..20).map(|i| format!("p{{i=\"{i}\"}} 1\n")).collect();
    let mut w = World::new("");
    w.scrape("200 OK", &format!("{padding}a 1\nb 1\n")).await;
    let (gone, samples) = w.scrape("200 OK", &format!("{padding}a 1\nb !\n")).await;
    assert_eq!(gone, strings(&[]));
    assert!(samples.contains(&"loadline_scrape_partial 1".to_owned()));
    assert!(samples.contains(&"up 1".to_owned()));
    let status = w.target.status();
    assert!(status.partial);
    assert_eq!(status.bad_lines, BTreeMap::from([("value", 1)]));
    let (gone, _) = w.scrape("200 OK", &format!("{padding}a 1\n")).await;
    assert_eq!(gone, strings(&["b"]));

    let mut w = World::new("on_parse_error = 'fail'");
    w.scrape("200 OK", &format!("{padding}a 1\n")).await;
    let (gone, samples) = w.scrape("200 OK", &format!("{padding}a 1\nb !\n")).await;
    assert_eq!(gone.len(), 21);
    assert!(samples.contains(&"up 0".to_owned()));
}

#[tokio::test]
async fn only_what_is_selected_is_sent_on_and_every_twentieth_body_is_checked() {
    let mut w = World::new("");
    w.selection = Selection::new(
        1,
        vec![crate::model::selection::Need {
            matchers: vec![crate::model::Matcher::equal(NAME, "a")],
            window: Duration::ZERO,
        }],
    );
    let good = format!("{}a 1\n", "x 1\n".repeat(20));
    let (_, samples) = w.scrape("200 OK", &good).await;
    assert_eq!(samples, strings(&["a 1"]));
    let names: Vec<&str> = w.target.names().iter().map(|n| n.as_ref()).collect();
    assert_eq!(names, ["a", "x"]);
    let bad = format!("{good}x !\n");
    for scrape in 1..=20 {
        w.scrape("200 OK", &bad).await;
        let seen = w.target.status().bad_lines.get("value").copied();
        assert_eq!(seen, (scrape == 20).then_some(1), "scrape {scrape}");
    }
    // Having seen one, it looks again at once.
    w.scrape("200 OK", &bad).await;
    assert_eq!(w.target.status().bad_lines["value"], 2);
}

#[test]
fn a_scrape_may_move_between_threads() {
    fn is_send(_: &impl Send) {}
    let mut w = World::new("");
    let at = Timestamp(w.at);
    is_send(&w.target.scrape(&w.client, &w.selection, at, &w.clock));
}

#[test]
fn configs_become_targets() {
    let all = targets(
        "job_name = 'db'\nmetrics_path = 'probe'\n\
         params = { module = ['http 2xx'], auth_token = ['hidden'] }\n\
         [[static_configs]]\ntargets = ['a:9100', '[::1]:9100', 'a:9100']\n\
         host = 'machine'\nrole = 'database'\nlabels = { instance = 'named', empty = '' }\n\
         [[static_configs]]\ntargets = ['a:9100', 'bare']\n",
    )
    .unwrap();
    let shown: Vec<(String, String, String)> = all
        .iter()
        .map(|t| {
            (
                t.status().url,
                t.meta().host.clone(),
                t.meta().labels.to_string(),
            )
        })
        .collect();
    let row = |address: &str, host: &str, instance: &str| {
        (
            format!("http://{address}/probe?auth_token=***&module=http+2xx"),
            host.to_owned(),
            format!("{{instance=\"{instance}\", job=\"db\"}}"),
        )
    };
    assert_eq!(
        shown,
        [
            row("a:9100", "machine", "named"),
            row("[::1]:9100", "machine", "named"),
            row("a:9100", "a", "a:9100"),
            row("bare", "bare", "bare"),
        ]
    );
    assert_eq!(all[0].meta().role.as_deref(), Some("database"));
    assert!(all[0].request.url.as_str().contains("auth_token=hidden"));
    let keys: BTreeSet<_> = all.iter().map(|t| t.key().clone()).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|k| !k.0.contains("hidden")));
    for (config, want) in [
        ("scheme = 'ftp'", "accepted: http, https"),
        (
            "scrape_interval = '0'",
            "scrape_interval must be more than 0",
        ),
    ] {
        let e = targets(&format!(
            "job_name = 'j'\n{config}\nstatic_configs = [{{ targets = ['a:1'] }}]"
        ));
        assert!(e.unwrap_err().to_string().contains(want), "{config}");
    }
    for address in ["", "http://a:1", "user:pw@a:1", "a:1/x", "a:99999", "a b"] {
        let e = targets(&format!(
            "job_name = 'j'\nstatic_configs = [{{ targets = ['{address}'] }}]"
        ));
        let e = e.unwrap_err().to_string();
        assert!(e.contains("job \"j\"") && e.contains("host:port"), "{e}");
    }
}

#[test]
fn the_phase_follows_labels_and_address() {
    let config = "job_name = 'j'\nstatic_configs = [{ targets = ['a:1', 'b:1', 'c:1'] }]";
    let phases = |seed: u64| -> Vec<i64> {
        let start = Timestamp(1_800_000_000_000);
        targets(config)
            .unwrap()
            .iter()
            .map(|t| t.schedule(seed).next(start).at.millis() - start.millis())
            .collect()
    };
    assert_eq!(phases(1), phases(1));
    assert_ne!(phases(1), phases(2));
    let spread: BTreeSet<i64> = phases(1).into_iter().collect();
    assert_eq!(spread.len(), 3);
}
