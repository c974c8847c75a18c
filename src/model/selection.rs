//! Which series are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::labels::NAME;
use super::{Labels, MatchOp, Matcher};

/// One selector that somebody reads, with how far back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// All of them must hold.
    pub matchers: Vec<Matcher>,
    /// Samples older than this are never read.
    pub window: Duration,
}

/// Everything that rules, recording rules, playbook queries, limits, facts and pins select.
///
/// `generation` rises with every rebuild, so that sources and store know that their caches of
/// wanted names are old.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Rises with every rebuild.
    pub generation: u64,
    keep_all: bool,
    needs: Vec<Need>,
    names: BTreeSet<String>,
    any_name: bool,
    /// Needs by one label and value that they ask for; what most tells them apart goes first.
    keyed: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    /// Needs that ask for no label by value.
    unkeyed: Vec<usize>,
}

impl Selection {
    /// Keeps what `needs` select.
    pub fn new(generation: u64, needs: Vec<Need>) -> Self {
        let mut names = BTreeSet::new();
        let mut any_name = false;
        let mut keyed: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        let mut unkeyed = Vec::new();
        for (i, need) in needs.iter().enumerate() {
            let exact = need
                .matchers
                .iter()
                .filter(|m| m.op == MatchOp::Equal && !m.value.is_empty());
            match exact.max_by_key(|m| m.name != NAME) {
                Some(m) => {
                    let values = keyed.entry(m.name.clone()).or_default();
                    values.entry(m.value.clone()).or_default().push(i);
                }
                None => unkeyed.push(i),
            }
            match need
                .matchers
                .iter()
                .find(|m| m.name == NAME && m.op == MatchOp::Equal)
            {
                Some(m) => {
                    names.insert(m.value.clone());
                }
                None => any_name = true,
            }
        }
        Self {
            generation,
            keep_all: false,
            needs,
            names,
            any_name,
            keyed,
            unkeyed,
        }
    }

    /// Keeps everything for a moment.
    pub fn all(generation: u64) -> Self {
        Self::new(generation, Vec::new()).keeping_all()
    }

    /// Keeps everything else too, for a moment (`store.keep = "all"`).
    #[must_use]
    pub fn keeping_all(self) -> Self {
        Self {
            keep_all: true,
            ..self
        }
    }

    /// What it keeps on purpose.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// False when no series of this metric name can be wanted: the line may be skipped unread.
    pub fn wants_name(&self, name: &str) -> bool {
        self.keep_all || self.any_name || self.names.contains(name)
    }

    /// True when somebody reads this series.
    pub fn wants(&self, labels: &Labels) -> bool {
        self.keep_all || self.of(labels).next().is_some()
    }

    /// The longest window over which somebody reads this series; `None` when nobody does.
    pub fn window(&self, labels: &Labels) -> Option<Duration> {
        self.of(labels)
            .map(|n| n.window)
            .max()
            .or(self.keep_all.then_some(Duration::ZERO))
    }

    /// Needs that this series satisfies.
    fn of<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = &'a Need> + 'a {
        self.keyed
            .iter()
            .filter_map(|(name, values)| values.get(labels.get(name)))
            .flatten()
            .chain(&self.unkeyed)
            .map(|i| &self.needs[*i])
            .filter(|n| n.matchers.iter().all(|m| m.matches_labels(labels)))
    }

    /// The longest window of all.
    pub fn longest_window(&self) -> Duration {
        self.needs
            .iter()
            .map(|n| n.window)
            .max()
            .unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_selected_and_nothing_else() {
        let need = |name: &str, label: (&str, &str), secs| Need {
            matchers: vec![Matcher::equal(NAME, name), Matcher::equal(label.0, label.1)],
            window: Duration::from_secs(secs),
        };
        let s = Selection::new(
            1,
            vec![need("up", ("job", "a"), 60), need("up", ("job", "a"), 300)],
        );
        let series = |job: &str| Labels::from_pairs([(NAME, "up"), ("job", job)]);
        assert!(s.wants_name("up") && !s.wants_name("down"));
        assert!(s.wants(&series("a")) && !s.wants(&series("b")));
        assert_eq!(s.window(&series("a")), Some(Duration::from_secs(300)));
        assert_eq!(s.window(&series("b")), None);
        assert!(Selection::all(2).wants(&series("b")));
        // What is read over a window is kept over it, whatever else is kept.
        let all = s.keeping_all();
        assert_eq!(all.window(&series("a")), Some(Duration::from_secs(300)));
        assert_eq!(all.window(&series("b")), Some(Duration::ZERO));
    }
}
