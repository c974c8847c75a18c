//! Keeps the samples file: reads it at the start, and adds what is new while the daemon runs.
//!
//! Nothing depends on the file. Whatever goes wrong with it is said once and counted, and the
//! daemon goes on as without it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::warming::{self, Kept, Warming};

use crate::clock::Clock;
use crate::config::StateDir;
use crate::history::{Loader, Pass, SeriesTail, Writer};
use crate::model::{Selection, Timestamp};
use crate::rules::Reach;
use crate::state::{SamplesFile, SamplesRow, SamplesWrite, StateError};
use crate::store::Store;
use crate::telemetry::Metrics;

/// A gap up to this long does not part what was kept before from what is kept now: an instant
/// selector looks back as far.
const BRIDGED: Duration = Duration::from_secs(300);

/// The file and what is known of it.
pub(crate) struct Keeper {
    file: SamplesFile,
    writer: Writer,
    store: Arc<Store>,
    clock: Clock,
    metrics: Arc<Metrics>,
    most_bytes: u64,
    every: Duration,
    since: Timestamp,
    selection: watch::Receiver<Arc<Selection>>,
    failing: bool,
    forgetting: bool,
}

impl Keeper {
    /// Opens the file in `dir` and gives its samples to the store, which must know the selection.
    /// Returns how far back the data goes then; without a keeper when the file may have
    /// no bytes or there can be no file.
    pub(crate) async fn open(
        dir: &Path,
        store: &Arc<Store>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
        config: &StateDir,
        selection: watch::Receiver<Arc<Selection>>,
    ) -> (Option<Keeper>, Warming) {
        let now = clock.now();
        let selected = Arc::clone(&selection.borrow());
        let none = Warming::start(&selected, Reach::since(now), &[]);
        let most_bytes = config.samples_max.0;
        if most_bytes == 0 {
            return (None, none);
        }
        let opened = async {
            let (file, aside) = SamplesFile::open(dir).await?;
            if let Some(aside) = aside {
                warn_aside(&aside, "it is damaged, or of another version");
            }
            Self::load(file, store, clock).await
        };
        match opened.await {
            Ok((file, writer, reach, before)) => {
                let since = reach.before.map_or(reach.since, |(first, last)| {
                    if reach.since.since(last) <= BRIDGED {
                        first
                    } else {
                        reach.since
                    }
                });
                let keeper = Keeper {
                    file,
                    writer,
                    store: Arc::clone(store),
                    clock: clock.clone(),
                    metrics: Arc::clone(metrics),
                    most_bytes,
                    every: config.samples_interval.0,
                    since,
                    selection,
                    failing: false,
                    forgetting: false,
                };
                (Some(keeper), Warming::start(&selected, reach, &before))
            }
            Err(error) => {
                tracing::warn!(%error, "there is no samples file; after a restart windows fill anew");
                (None, none)
            }
        }
    }

    /// Reads the file into the store; one with a block that cannot be read is set aside, and what
    /// was read before stays.
    async fn load(
        mut file: SamplesFile,
        store: &Arc<Store>,
        clock: &Clock,
    ) -> Result<(SamplesFile, Writer, Reach, Vec<Kept>), StateError> {
        let (stopwatch, now) = (clock.stopwatch(), clock.now());
        let mut loader = Loader::default();
        let mut damage = None;
        let mut take = |row: SamplesRow| {
            let read = match row.class {
                None => loader.names(&row.body, &mut |labels| store.take_back(labels)),
                Some(_) => loader.block(&row.body, &mut |read| {
                    // A clock that was set back: what is ahead of it would keep all that comes out.
                    let floats = &read.floats[..read.floats.partition_point(|s| s.t <= now)];
                    let histograms = read.histograms;
                    let histograms = &histograms[..histograms.partition_point(|h| h.0 <= now)];
                    store.give_back(read.place, floats, histograms);
                }),
            };
            if let Err(e) = read {
                damage.get_or_insert(e.to_string());
            }
        };
        let since = match file.since().await {
            Ok(since) => {
                if let Err(e) = file.read(&mut take).await {
                    damage.get_or_insert(e.to_string());
                }
                since
            }
            Err(e) => {
                damage.get_or_insert(e.to_string());
                None
            }
        };
        store.prune(now);
        let range = loader.range();
        tracing::info!(
            samples = loader.samples(),
            series = store.series(),
            from = %range.map_or(now, |r| r.0),
            until = %range.map_or(now, |r| r.1),
            seconds = stopwatch.elapsed().as_secs_f64(),
            "read the samples of before"
        );
        let reach = Reach {
            since: now,
            // A file that broke says nothing of what it should have held.
            before: match (&damage, &since, range) {
                (None, Some((since, _)), Some((_, last))) => Some((*since, last.min(now))),
                _ => None,
            },
        };
        // What cannot be read was not kept.
        let before = since.and_then(|(_, selected)| serde_json::from_str(&selected).ok());
        let before: Vec<Kept> = before.unwrap_or_default();
        match damage {
            None => Ok((file, loader.into_writer(), reach, before)),
            Some(why) => {
                let (file, aside) = file.begin_anew().await?;
                warn_aside(&aside, &why);
                Ok((file, Writer::default(), reach, before))
            }
        }
    }

    /// Adds what is new at every interval, and once more when told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let stopping = tokio::select! {
                () = tokio::time::sleep(self.every) => false,
                () = stop.cancelled() => true,
            };
            // Not inside the select: a write must not be dropped half way.
            self = match self.pass().await {
                Some(keeper) => keeper,
                None => return,
            };
            if stopping {
                break;
            }
        }
        if let Err(error) = self.file.close().await {
            tracing::warn!(%error, "the samples file was not closed well");
        }
    }

    /// Adds what is new; nothing is left of the keeper when there can be no file any more.
    async fn pass(mut self) -> Option<Keeper> {
        let stopwatch = self.clock.stopwatch();
        let (now, store) = (self.clock.now(), Arc::clone(&self.store));
        let mut writer = std::mem::take(&mut self.writer);
        let packed = tokio::task::spawn_blocking(move || {
            store.visit(&mut |kept| {
                writer.take(&SeriesTail {
                    place: kept.place,
                    born: kept.born,
                    window: kept.window,
                    labels: kept.labels,
                    floats: kept.floats,
                    histograms: kept.histograms,
                });
            });
            let pass = writer.finish(now);
            (writer, pass)
        });
        let written = match packed.await {
            Ok((writer, pass)) => {
                self.writer = writer;
                self.write(pass).await
            }
            Err(panic) => {
                // What the file has is not known any more: a new one gets everything.
                tracing::error!(%panic, "packing samples broke");
                self.metrics.samples_file_failures_total.inc();
                return self.begin_anew("packing samples broke").await;
            }
        };
        self.metrics
            .samples_file_last_write_seconds
            .set(stopwatch.elapsed().as_secs_f64());
        match written {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("samples are written again");
                }
                Some(self)
            }
            Err(error) => {
                self.metrics.samples_file_failures_total.inc();
                if error.is_damage() {
                    return self.begin_anew(&error.to_string()).await;
                }
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "samples are not written; after a restart windows fill anew");
                }
                Some(self)
            }
        }
    }

    async fn write(&mut self, pass: Pass) -> Result<(), StateError> {
        let bytes = pass.bytes() as u64;
        let selected = serde_json::to_string(&warming::kept(&self.selection.borrow()));
        let selected = selected.unwrap_or_default();
        let names = pass.names.map(|body| SamplesRow {
            class: None,
            newest: Timestamp(0),
            body,
        });
        let class = |class: usize| i64::try_from(class).unwrap_or(i64::MAX);
        let blocks = pass.blocks.into_iter().map(|b| SamplesRow {
            class: Some(class(b.class)),
            newest: b.newest,
            body: b.body,
        });
        let write = SamplesWrite {
            rows: names.into_iter().chain(blocks).collect(),
            names_anew: pass.names_anew,
            forget: pass
                .forget
                .into_iter()
                .map(|(c, before)| (class(c), before))
                .collect(),
            since: self.since,
            selected,
        };
        self.file.write(&write).await?;
        self.writer.committed();
        let metrics = &self.metrics;
        metrics.samples_file_written_bytes_total.add(bytes);
        let forgotten = self.file.keep_under(self.most_bytes).await?;
        metrics.samples_file_forgotten_total.add(forgotten);
        if forgotten > 0 && !std::mem::replace(&mut self.forgetting, true) {
            tracing::warn!(
                most_bytes = self.most_bytes,
                "the samples file is full and forgets its oldest blocks; raise [state] samples_max \
                 or use shorter windows"
            );
        }
        metrics
            .samples_file_bytes
            .set(self.file.bytes().await? as f64);
        Ok(())
    }

    /// Goes on with an empty file, which gets everything.
    async fn begin_anew(mut self, why: &str) -> Option<Keeper> {
        self.writer = Writer::default();
        match self.file.begin_anew().await {
            Ok((file, aside)) => {
                warn_aside(&aside, why);
                Some(Keeper { file, ..self })
            }
            Err(error) => {
                tracing::error!(%error, why, "there is no samples file any more");
                None
            }
        }
    }
}

fn warn_aside(aside: &Path, why: &str) {
    tracing::warn!(
        aside = %aside.display(),
        why,
        "the samples file was set aside; windows fill anew"
    );
}
