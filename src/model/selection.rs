//! Which series are kept.

use std::collections::BTreeSet;
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
}

impl Selection {
    /// Keeps what `needs` select.
    pub fn new(generation: u64, needs: Vec<Need>) -> Self {
        let mut names = BTreeSet::new();
        let mut any_name = false;
        for need in &needs {
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
        }
    }

    /// Keeps everything (`store.keep = "all"`).
    pub fn all(generation: u64) -> Self {
        Self {
            generation,
            keep_all: true,
            ..Self::default()
        }
    }

    /// False when no series of this metric name can be wanted: the line may be skipped unread.
    pub fn wants_name(&self, name: &str) -> bool {
        self.keep_all || self.any_name || self.names.contains(name)
    }

    /// True when somebody reads this series.
    pub fn wants(&self, labels: &Labels) -> bool {
        self.keep_all
            || (self.wants_name(labels.name())
                && self
                    .needs
                    .iter()
                    .any(|n| n.matchers.iter().all(|m| m.matches_labels(labels))))
    }

    /// The longest window over which somebody reads this series; `None` when nobody does.
    pub fn window(&self, labels: &Labels) -> Option<Duration> {
        self.needs
            .iter()
            .filter(|n| n.matchers.iter().all(|m| m.matches_labels(labels)))
            .map(|n| n.window)
            .max()
            .or(self.keep_all.then_some(Duration::ZERO))
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
    }
}
