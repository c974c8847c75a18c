//! What sources bring reaches the store here, in the order in which it came.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::broken::Broken;
use super::collect::{Arrival, Views};
use super::pipeline;
use crate::store::Store;
use crate::telemetry::Metrics;

/// The only writer of the store.
pub(crate) async fn write(
    mut arrivals: mpsc::Receiver<Arrival>,
    store: Arc<Store>,
    views: Views,
    broken: Broken,
    metrics: Arc<Metrics>,
    wake: Arc<Notify>,
) {
    let mut warned = false;
    while let Some(arrival) = arrivals.recv().await {
        let batch = match arrival {
            Arrival::Batch(batch) => batch,
            Arrival::Gone(key, at) => {
                broken.guard("store", || store.forget(&key, at));
                continue;
            }
        };
        // What is left of a batch that broke the store is its samples before that.
        let Some(done) = broken.guard("store", || store.append(&batch)) else {
            continue;
        };
        views.stored(&batch.target, batch.at);
        pipeline::count(&metrics, done);
        // Counting those who wait takes a look at each.
        let refused = if done.capped > 0 || warned {
            store.refused()
        } else {
            0
        };
        if refused > 0 && !warned {
            tracing::warn!(
                target = %batch.target.0,
                series = store.series(),
                bytes = store.bytes(),
                "the store is full and new series are refused; raise limits.memory or select less"
            );
        }
        warned = refused > 0;
        metrics.store_series.set(store.series() as f64);
        metrics.store_series_refused.set(refused as f64);
        metrics.store_bytes.set(store.bytes() as f64);
        wake.notify_one();
    }
}
