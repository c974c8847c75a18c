//! What a person should know about an exposition: every bad line, what promtool would say of its
//! metrics, what makes trouble later, and what a common parser would lose of it.
//!
//! What must stay true: nothing here is on the scrape path; each finding names its line or its
//! metric; the findings on metrics are promtool's, in its words and order.

use std::collections::{BTreeMap, BTreeSet};

use super::names::is_reserved;
use super::text::{self, BadLine, Bounds, Format, Meta};
use crate::config::Limits;
use crate::model::Labels;
use crate::model::labels::NAME;

mod lint;
mod second;

pub use second::Misreading;

/// Most findings of one kind that are listed; all are counted.
pub const MOST_LISTED: usize = 20;

/// Something on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnLine {
    /// Counted from 1.
    pub line: usize,
    /// What it is, in a few words.
    pub what: String,
}

/// What was found in one body.
#[derive(Debug, Default)]
pub struct Survey {
    /// Lines with a sample.
    pub samples: usize,
    /// Different series.
    pub series: usize,
    /// Bad lines by reason: how many, and the first ones.
    pub bad: BTreeMap<&'static str, (usize, Vec<OnLine>)>,
    /// Findings on metrics in promtool's words: metric and text, sorted.
    pub lints: BTreeSet<(String, String)>,
    /// What loadline adds, by a word for it: how many, and the first ones.
    pub ours: BTreeMap<&'static str, (usize, Vec<OnLine>)>,
    /// Valid lines that the crate prometheus-parse loses or garbles: how many, and the first ones.
    pub misread: BTreeMap<Misreading, (usize, Vec<OnLine>)>,
}

/// A metric as its lines tell of it.
#[derive(Debug, Default)]
struct Family {
    kind: Option<String>,
    help: Option<String>,
    /// Names of labels on its samples.
    labels: BTreeSet<String>,
    has_samples: bool,
    /// Another metric's line came after its last one.
    left: bool,
}

impl Survey {
    /// True when a line is bad: Prometheus would refuse the whole.
    pub fn refused(&self) -> bool {
        !self.bad.is_empty()
    }

    /// True when there is something to mend.
    pub fn has_findings(&self) -> bool {
        !self.lints.is_empty() || !self.ours.is_empty()
    }
}

/// The format of a body that came without a content type: OpenMetrics when it ends in `# EOF`.
pub fn guess(body: &[u8]) -> Format {
    let lines = body.rsplit(|b| *b == b'\n');
    match lines.into_iter().find(|l| !l.is_empty()) {
        Some(b"# EOF") => Format::OpenMetrics,
        Some(_) | None => Format::Text,
    }
}

/// Looks at every line of a body.
pub fn survey(body: &[u8], format: Format) -> Survey {
    let limits = Limits::default();
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut look = Look {
        format,
        bounds: Bounds {
            labels: limits.labels,
            name: size(limits.name_length.0),
            value: size(limits.value_length.0),
        },
        survey: Survey::default(),
        families: BTreeMap::new(),
        series: BTreeSet::new(),
        current: String::new(),
        eof: false,
    };
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    for (i, line) in body.split(|b| *b == b'\n').enumerate() {
        if let Err(bad) = look.line(i + 1, line) {
            let what = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
            note(
                look.survey.bad.entry(bad.reason()).or_default(),
                i + 1,
                what,
            );
        }
    }
    if format == Format::OpenMetrics && !look.eof {
        let place = look.survey.bad.entry("no_eof").or_default();
        note(place, 0, "the body does not end in # EOF".to_owned());
    }
    look.finish()
}

struct Look {
    format: Format,
    bounds: Bounds,
    survey: Survey,
    families: BTreeMap<String, Family>,
    series: BTreeSet<Labels>,
    current: String,
    eof: bool,
}

impl Look {
    fn line(&mut self, number: usize, line: &[u8]) -> Result<(), BadLine> {
        if line.len() > text::MAX_LINE {
            return Err(BadLine::LineLength);
        }
        if self.eof {
            return Err(BadLine::Misplaced);
        }
        let content = match self.format {
            Format::Text => text::trim_start(line),
            Format::OpenMetrics => line,
        };
        match (content.first(), self.format) {
            (None, Format::Text) => Ok(()),
            (None, Format::OpenMetrics) => Err(BadLine::Misplaced),
            (Some(b'#'), _) => {
                self.eof = text::metadata(content, self.format)? == Meta::Eof;
                self.metadata(number, content);
                Ok(())
            }
            (Some(_), _) => self.sample(number, content),
        }
    }

    fn metadata(&mut self, number: usize, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let mut words = line[1..].trim_start().splitn(3, [' ', '\t']);
        let (keyword, name) = (words.next(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default();
        let name = name.trim_matches('"').to_owned();
        if !matches!(keyword, Some("TYPE" | "HELP")) {
            return;
        }
        let family = self.families.entry(name.clone()).or_default();
        let place = match keyword {
            Some("TYPE") => &mut family.kind,
            _ => &mut family.help,
        };
        let again = place.replace(rest.to_owned()).is_some();
        let late = family.has_samples;
        if again {
            self.ours("second_metadata", number, &name);
        } else if late && keyword == Some("TYPE") {
            self.ours("type_after_samples", number, &name);
        }
        self.enter(number, &name);
    }

    fn sample(&mut self, number: usize, line: &[u8]) -> Result<(), BadLine> {
        let name_len = text::bare_name_len(line);
        let len = text::series_len(line, name_len, self.format)?;
        let raw = text::series(&line[..len], self.format, &self.bounds)?;
        let (value, millis) = text::tail(&line[len..], self.format)?;
        self.survey.samples += 1;
        let mut labels = Labels::from_pairs([(NAME, raw.name.as_ref())]).to_builder();
        for (name, value) in &raw.labels {
            labels.set(name, value);
        }
        let labels = labels.build();
        let family = self.family_of(&raw.name);
        if is_reserved(&raw.name) {
            self.ours("reserved_name", number, &raw.name);
        }
        if millis.is_some() {
            self.ours("own_timestamp", number, &raw.name);
        }
        if !self.series.insert(labels.clone()) {
            self.ours("duplicate_series", number, &labels.to_string());
        }
        self.enter(number, &family);
        let entry = self.families.entry(family).or_default();
        entry.has_samples = true;
        entry
            .labels
            .extend(raw.labels.iter().map(|(n, _)| n.to_string()));
        if let Ok(line) = std::str::from_utf8(line)
            && let Some(misreading) = second::misreads(line, &labels, value, millis)
        {
            let place = self.survey.misread.entry(misreading).or_default();
            note(place, number, line.chars().take(100).collect());
        }
        Ok(())
    }

    /// The metric that a sample belongs to: `x` for `x_bucket` where `x` is a histogram.
    fn family_of(&self, sample: &str) -> String {
        let kind = |name: &str| self.families.get(name).and_then(|f| f.kind.as_deref());
        let openmetrics = self.format == Format::OpenMetrics;
        let suffixes: [(&str, &[&str]); 6] = [
            ("_bucket", &["histogram", "gaugehistogram"]),
            ("_sum", &["histogram", "summary"]),
            ("_count", &["histogram", "summary"]),
            ("_total", &["counter"]),
            ("_created", &["counter", "histogram", "summary"]),
            ("_info", &["info"]),
        ];
        for (suffix, kinds) in suffixes {
            let only_openmetrics = !matches!(suffix, "_bucket" | "_sum" | "_count");
            if let Some(stem) = sample.strip_suffix(suffix)
                && kind(stem).is_some_and(|k| kinds.contains(&k))
                && (openmetrics || !only_openmetrics)
            {
                return stem.to_owned();
            }
        }
        sample.to_owned()
    }

    /// Notes that a line of a metric came; lines of one metric belong together.
    fn enter(&mut self, number: usize, name: &str) {
        if self.current == name {
            return;
        }
        if let Some(last) = self.families.get_mut(&self.current) {
            last.left = true;
        }
        let back = self
            .families
            .get(name)
            .is_some_and(|f| f.left && f.has_samples);
        name.clone_into(&mut self.current);
        if back {
            self.ours("not_together", number, name);
        }
    }

    fn ours(&mut self, what: &'static str, number: usize, detail: &str) {
        let place = self.survey.ours.entry(what).or_default();
        note(place, number, detail.chars().take(100).collect());
    }

    fn finish(mut self) -> Survey {
        self.survey.series = self.series.len();
        for (name, family) in &self.families {
            if family.has_samples || self.format == Format::Text {
                lint::lint(name, family, self.format, &mut self.survey.lints);
            }
        }
        let mut open: BTreeSet<Labels> = BTreeSet::new();
        let mut closed: BTreeSet<Labels> = BTreeSet::new();
        for series in &self.series {
            let stem = series.name().strip_suffix("_bucket");
            let kind = stem.and_then(|s| self.families.get(s)?.kind.as_deref());
            if kind != Some("histogram") {
                continue;
            }
            let of = series.without(&["le"]);
            match series.get("le").parse() {
                Ok(f64::INFINITY) => closed.insert(of),
                _ => open.insert(of),
            };
        }
        for series in open.difference(&closed) {
            let place = self.survey.ours.entry("histogram_without_inf").or_default();
            note(place, 0, series.to_string());
        }
        self.survey
    }
}

fn note(place: &mut (usize, Vec<OnLine>), line: usize, what: String) {
    place.0 += 1;
    if place.1.len() < MOST_LISTED {
        place.1.push(OnLine { line, what });
    }
}

#[cfg(test)]
mod tests;
