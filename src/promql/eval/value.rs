//! Values between the nodes of a tree.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::labels::NAME;
use crate::model::{Histogram, Labels, Sample};

/// A float or a native histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Point {
    /// An ordinary sample.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Labels; see `drop_name`.
    pub labels: Labels,
    /// Value.
    pub point: Point,
    /// True when the metric name is to be removed at the end of the query (delayed removal).
    pub(crate) drop_name: bool,
}

/// One series of a range result, by time in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoints {
    /// Labels.
    pub labels: Labels,
    /// Points, oldest first.
    pub points: Vec<(i64, Point)>,
}

/// An instant vector.
pub(crate) type Vector = Vec<Element>;

/// A histogram at a time in milliseconds.
pub(crate) type HistogramAt = (i64, Arc<Histogram>);

/// The samples of one series in a range, without stale markers.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    pub(crate) floats: Cow<'a, [Sample]>,
    pub(crate) histograms: Cow<'a, [HistogramAt]>,
}

impl Window<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }
}

/// A range vector: samples at `from < t <= to`, in milliseconds.
#[derive(Debug)]
pub(crate) struct Windows<'a> {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) series: Vec<Window<'a>>,
}

/// Labels that describe the metric and go when its values change meaning.
pub(crate) const METADATA: [&str; 3] = [NAME, "__type__", "__unit__"];

/// `labels` without metric name, type and unit.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.without(&METADATA)
}

impl Element {
    /// An element whose labels are final.
    pub fn new(labels: Labels, point: Point) -> Self {
        Element {
            labels,
            point,
            drop_name: false,
        }
    }

    pub(crate) fn float(labels: Labels, v: f64) -> Self {
        Element::new(labels, Point::Float(v))
    }
}
