//! Restarts, clocks that jump and panics, over the real state with a scripted clock.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::model::{Answer, Batch, Labels, QueryError, Ref, TargetKey};
use crate::notify::{Frame, Routing};
use crate::promql::{Engine, EngineOptions};
use crate::rules::{Reach, RuleStatus};
use crate::state::{Book, StateError};

const T0: Timestamp = Timestamp::from_secs(1_795_269_600);
/// `for` of the rules, in seconds.
const HOLDS: [u64; 6] = [0, 30, 120, 300, 600, 1800];

/// A pipeline with one target, and everything that a restart keeps.
struct Ship {
    dir: tempfile::TempDir,
    plan: Plan,
    clock: Clock,
    metrics: Arc<Metrics>,
    breaks: Arc<std::sync::atomic::AtomicBool>,
    pipeline: Option<Pipeline>,
    is_new: bool,
    load: f64,
}

/// The engine, or a panic.
struct Breakable {
    engine: Engine,
    breaks: Arc<std::sync::atomic::AtomicBool>,
}

impl Querier for Breakable {
    fn instant(&self, expr: &str, t: Timestamp) -> Result<Answer, QueryError> {
        assert!(
            !self.breaks.load(std::sync::atomic::Ordering::SeqCst),
            "planted"
        );
        self.engine.instant(expr, t)
    }
}

impl Ship {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules: String = HOLDS
            .iter()
            .map(|s| {
                format!(
                    "      - alert: For{s}\n        expr: load > 1\n        for: {s}s\n        labels: \
                     {{ severity: warning }}\n"
                )
            })
            .collect();
        let rules = format!("groups:\n  - name: mine\n    rules:\n{rules}");
        std::fs::write(dir.path().join("mine.yml"), rules).unwrap();
        let config = "[global]\nscrape_interval = \"15s\"\nevaluation_interval = \"15s\"\n[host]\n\
                      enabled = false\n[rules]\nshipped = false\nrule_files = [\"mine.yml\"]\n\
                      [[receivers]]\nname = \"a\"\n[[receivers.log_configs]]\n\
                      [route]\nreceiver = \"a\"\ngroup_wait = \"0s\"\ngroup_interval = \"1ms\"\n";
        let file = dir.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let mut ship = Self {
            plan: Plan::load(Some(&file)).unwrap_or_else(|e| panic!("{e}")),
            dir,
            clock: Clock::fixed(T0),
            metrics: Arc::new(Metrics::new("1")),
            breaks: Arc::default(),
            pipeline: None,
            is_new: true,
            load: 0.0,
        };
        ship.start().await;
        ship
    }

    async fn start(&mut self) {
        let dir = self.dir.path().join("state");
        let state = loop {
            match State::open(&dir).await {
                Err(StateError::Locked { .. }) => {
                    tokio::time::sleep(Duration::from_millis(1)).await
                }
                other => break other.unwrap(),
            }
        };
        let store = Arc::new(Store::new(1000));
        store.select_only(Arc::new(self.plan.selection(1)));
        let engine = Engine::new(Arc::clone(&store) as _, EngineOptions::default());
        let breaks = Arc::clone(&self.breaks);
        let rooms = Rooms {
            store,
            querier: Arc::new(Breakable { engine, breaks }),
            state,
            clock: self.clock.clone(),
            observed: Observed::default(),
            metrics: Arc::clone(&self.metrics),
            broken: Broken::new(self.clock.clone(), Arc::clone(&self.metrics)),
        };
        let config = &self.plan.config;
        let routing = Routing::new(config.route.as_ref(), &config.receivers, false).unwrap();
        let frame = Frame::default();
        let outbox = Outbox { routing, frame };
        self.pipeline = Some(
            Pipeline::restore(&self.plan, outbox, rooms, Warming::default())
                .await
                .unwrap(),
        );
        self.is_new = true;
    }

    fn pipeline(&mut self) -> &mut Pipeline {
        self.pipeline.as_mut().unwrap()
    }

    async fn restart(&mut self) {
        drop(self.pipeline.take());
        self.start().await;
    }

    /// The target is asked.
    fn scrape(&mut self) {
        let now = self.clock.now();
        let mut batch = Batch::new(TargetKey("load".into()), now);
        let labels =
            |name| Labels::from_pairs([("__name__", name), ("job", "a"), ("instance", "b")]);
        if self.is_new {
            batch.new = vec![(Ref(1), labels("up")), (Ref(2), labels("load"))];
            self.is_new = false;
        }
        batch.samples = vec![(Ref(1), now, 1.0), (Ref(2), now, self.load)];
        batch.ok = true;
        self.pipeline().rooms.store.append(&batch);
    }

    /// One turn of the daemon's loop; what follows a scrape knows it.
    async fn turn(&mut self, scraped: bool) {
        let pipeline = self.pipeline.as_mut().unwrap();
        let now = pipeline.mind_the_clock().await.unwrap();
        if scraped {
            pipeline.sources_seen(now);
        }
        pipeline.tick(now).await.unwrap();
    }

    /// So much time passes, with a scrape every interval and a turn every second.
    async fn live(&mut self, secs: u64) {
        for s in 0..secs {
            self.clock.advance(Duration::from_secs(1));
            if s % 15 == 0 {
                self.scrape();
            }
            if s % 5 == 0 {
                self.turn(true).await;
            }
        }
    }

    /// Notices of what fired and what ended so far.
    async fn told(&mut self) -> i64 {
        let books = self.pipeline().rooms.state.books().await.unwrap();
        assert!(books.iter().all(Book::balances), "{books:?}");
        books.iter().map(|b| b.enqueued).sum()
    }

    fn firing(&mut self) -> usize {
        self.pipeline().alerts().filter(|a| a.is_firing()).count()
    }
}

#[tokio::test]
async fn restarts_resolve_nothing_and_fire_nothing_twice() {
    let mut rng = StdRng::seed_from_u64(20_261_121);
    let mut ship = Ship::new().await;
    ship.live(30).await;
    for (load, want) in [(2.0, 6), (0.0, 12), (2.0, 18)] {
        ship.load = load;
        let began = ship.clock.now();
        let mut fired: BTreeMap<String, Duration> = BTreeMap::new();
        for _ in 0..67 {
            ship.live(rng.random_range(1..40)).await;
            ship.restart().await;
            // Turns before the first scrape judge nothing.
            let before = ship.firing();
            for _ in 0..rng.random_range(0..3) {
                ship.clock
                    .advance(Duration::from_secs(rng.random_range(1..10)));
                ship.turn(false).await;
            }
            assert_eq!(ship.firing(), before);
            ship.scrape();
            ship.turn(true).await;
            let now = ship.clock.now();
            for alert in ship.pipeline().alerts().filter(|a| a.is_firing()) {
                fired.entry(alert.rule.clone()).or_insert(now.since(began));
            }
        }
        ship.live(900).await;
        assert_eq!(ship.told().await, want, "with load {load}");
        if load > 1.0 {
            // Time that was waited for before a restart counts.
            let waited = fired["For600"].as_secs();
            assert!((600..=700).contains(&waited), "{fired:?}");
        }
    }
}

#[tokio::test]
async fn a_wall_clock_that_steps_causes_no_verdict() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut ship = Ship::new().await;
    ship.load = 2.0;
    let began = ship.clock.read().boot;
    let mut fired: BTreeMap<String, u64> = BTreeMap::new();
    for step in 0..50 {
        ship.live(rng.random_range(30..50)).await;
        let hour = if rng.random_bool(0.5) {
            3_600_000
        } else {
            -3_600_000
        };
        ship.clock.step(hour);
        ship.turn(true).await;
        let passed = (ship.clock.read().boot - began).as_secs();
        for alert in ship.pipeline().alerts().filter(|a| a.is_firing()) {
            fired.entry(alert.rule.clone()).or_insert(passed);
        }
        assert_eq!(ship.firing(), fired.len(), "nothing ends in step {step}");
    }
    ship.live(600).await;
    assert_eq!(ship.told().await, 6);
    for hold in [120, 300, 600] {
        let waited = fired[&format!("For{hold}")];
        assert!((hold..hold + 80).contains(&waited), "for {hold}: {fired:?}");
    }
    let steps = ship.metrics.clock_jumps_total.with(["step"]).get();
    assert_eq!(steps, 50);
    ship.load = 0.0;
    ship.live(60).await;
    assert_eq!(ship.told().await, 12);
}

#[tokio::test]
async fn after_sleep_nothing_is_judged_before_a_fresh_scrape() {
    let mut ship = Ship::new().await;
    ship.load = 2.0;
    ship.live(400).await;
    let before = ship.told().await;
    assert_eq!(before, 4);
    let evaluated = |ship: &Ship| {
        let key = ship.plan.rules.groups[0].key();
        ship.metrics.rule_group_iterations_total.with([&key]).get()
    };
    let counted = evaluated(&ship);
    ship.clock.advance(Duration::from_secs(8 * 3600));
    for _ in 0..20 {
        ship.clock.advance(Duration::from_secs(1));
        ship.turn(false).await;
    }
    assert_eq!(evaluated(&ship), counted, "no verdict without data");
    ship.scrape();
    ship.turn(true).await;
    assert!(
        evaluated(&ship) <= counted + 1,
        "missed slots are not made up for"
    );
    assert_eq!(ship.metrics.clock_jumps_total.with(["pause"]).get(), 1);
    ship.live(60).await;
    assert!(ship.firing() >= 4);
}

#[tokio::test]
async fn a_panic_in_a_rule_group_or_the_advisor_costs_one_evaluation() {
    let mut ship = Ship::new().await;
    ship.load = 2.0;
    ship.live(200).await;
    let firing = ship.firing();
    assert_eq!((firing, ship.told().await), (3, 3));
    ship.breaks.store(true, std::sync::atomic::Ordering::SeqCst);
    ship.live(60).await;
    assert_eq!(ship.firing(), firing, "as they were written last");
    // A rule that panics has failed; the advisor's panic is its task's.
    let key = ship.pipeline().groups()[0].spec().key();
    let failures = &ship.metrics.rule_evaluation_failures_total;
    assert!(failures.with([&key]).get() >= 3);
    assert!(ship.metrics.task_panics_total.with(["advice"]).get() >= 3);
    ship.breaks
        .store(false, std::sync::atomic::Ordering::SeqCst);
    ship.live(60).await;
    assert_eq!(
        ship.told().await,
        4,
        "the one that waited 5 min fires in time"
    );
    ship.load = 0.0;
    ship.live(60).await;
    assert_eq!(ship.told().await, 8);
}

#[tokio::test]
async fn a_group_that_broke_and_a_clock_that_jumps_keep_what_warms() {
    let mut ship = Ship::new().await;
    let selection = ship.plan.selection(1);
    let tell = |ship: &mut Ship, since: Timestamp| {
        let pipeline = ship.pipeline();
        pipeline.warming = Warming::start(&selection, Reach::since(since), &[]);
        pipeline.tell_reach();
    };
    let statuses = |ship: &mut Ship| -> Vec<RuleStatus> {
        let groups = ship.pipeline().groups.iter();
        groups
            .flat_map(|g| g.rules().iter().map(|r| r.log().status()))
            .collect()
    };
    ship.live(60).await;
    assert_eq!(statuses(&mut ship), [RuleStatus::Ok; 6]);
    let later = ship.clock.now() + Duration::from_secs(86_400);
    tell(&mut ship, later);
    ship.pipeline().renew(0).await.unwrap();
    ship.live(30).await;
    assert_eq!(statuses(&mut ship), [RuleStatus::Warming; 6], "begun anew");

    let now = ship.clock.now();
    tell(&mut ship, now);
    ship.live(30).await;
    assert_eq!(statuses(&mut ship), [RuleStatus::Ok; 6]);
    ship.clock.step(-3_600_000);
    ship.live(30).await;
    assert_eq!(statuses(&mut ship), [RuleStatus::Ok; 6], "set back");

    let before = ship.clock.now();
    ship.clock.advance(Duration::from_secs(121));
    ship.turn(true).await;
    let rule = ship.plan.rules.groups[0].rules[0].clone();
    let reach = ship
        .pipeline()
        .warming
        .of(&rule, crate::promql::ParseOptions::default());
    assert_eq!(reach.since, ship.clock.now(), "a hole in the windows");
    let (first, last) = reach.before.unwrap();
    assert_eq!(first, now.shifted(-3_600_000));
    assert!(before.since(last) < Duration::from_secs(6), "{last:?}");
}
