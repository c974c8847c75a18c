//! Where a system stands on the ladder, for people.

use serde::Serialize;

use super::Advised;
use super::inventory::Detection;
use super::playbook::Playbook;

/// Share of a rung's usual steps that must be in place for the architecture to stand on it.
const SHARE: f64 = 0.7;

/// The rung with what is told of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageView {
    /// The system; may be empty.
    pub system: String,
    /// The rung advice goes by; null where nothing tells it.
    pub rung: Option<String>,
    /// The higher reading, where readings differ.
    pub up_to: Option<String>,
    /// The figure that decided.
    pub from: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// What it is about.
    pub focus: String,
    /// What the documents add here.
    pub adds: String,
    /// What breaks next.
    pub breaks: String,
    /// Dimension and figures of the documents.
    pub figures: Vec<(String, String)>,
    /// The highest rung of which most usual steps are in place.
    pub architecture: Option<String>,
    /// Usual steps of the rung that are not known to be in place: id and title.
    pub open: Vec<(String, String)>,
}

impl StageView {
    /// From a decision and what it was made from.
    pub fn of(book: &Playbook, advised: &Advised) -> Self {
        let present = |step: &str| advised.inventory.state(step) == Detection::Present;
        let stage = advised.stage.as_ref();
        let ends = stage.map(|s| (s.low, s.high));
        Self::told(
            book,
            &advised.decision.system,
            ends,
            stage.map(|s| s.from.clone()),
            &present,
        )
    }

    /// From the rungs told, lower and higher, and what is in place.
    pub fn told(
        book: &Playbook,
        system: &str,
        ends: Option<(usize, usize)>,
        from: Option<String>,
        present: &dyn Fn(&str) -> bool,
    ) -> Self {
        let rung = ends.and_then(|(low, _)| book.rungs().get(low));
        let high = ends.filter(|(low, high)| high > low);
        let high = high.and_then(|(_, high)| book.rungs().get(high));
        let usual = |id: &str| {
            let id = id.to_owned();
            book.steps().filter(move |s| *s.rungs.usual.get_ref() == id)
        };
        let stands = |id: &str| {
            let all = usual(id).count();
            let there = usual(id).filter(|s| present(s.id.get_ref())).count();
            all > 0 && there as f64 >= SHARE * all as f64
        };
        let id = |r: &super::playbook::rows::Rung| r.id.get_ref().clone();
        let architecture = book.rungs().iter().rev().find(|r| stands(r.id.get_ref()));
        StageView {
            system: system.to_owned(),
            rung: rung.map(id),
            up_to: high.map(id),
            from,
            title: rung.map(|r| r.title.clone()),
            focus: rung.map(|r| book.cited(&r.focus)).unwrap_or_default(),
            adds: rung.map(|r| book.cited(&r.adds)).unwrap_or_default(),
            breaks: rung.map(|r| book.cited(&r.breaks)).unwrap_or_default(),
            figures: rung
                .map(|r| {
                    let figures = r.figures.iter();
                    figures
                        .map(|f| (f.what.clone(), book.cited(&f.text)))
                        .collect()
                })
                .unwrap_or_default(),
            architecture: architecture.map(id),
            open: rung
                .map(|r| {
                    usual(r.id.get_ref())
                        .filter(|s| !present(s.id.get_ref()))
                        .map(|s| (s.id.get_ref().clone(), s.title.clone()))
                        .collect()
                })
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::given::decide_given;
    use crate::advice::tests::playbook;
    use crate::model::Timestamp;

    fn view(text: &str) -> StageView {
        let book = playbook();
        let now = Timestamp::from_secs(1_800_000_000);
        StageView::of(&book, &decide_given(&book, "s", text, now).unwrap())
    }

    #[test]
    fn readings_that_differ_are_an_interval() {
        let v = view(r#"{"facts": {"requests-per-second": 300}}"#);
        assert_eq!(
            (v.rung.as_deref(), v.up_to.as_deref()),
            (Some("L1"), Some("L2"))
        );
        assert_eq!(v.from.as_deref(), Some("300 requests per second"));
        assert!(v.figures.iter().any(|(what, _)| what == "team"), "{v:?}");
        assert_eq!(view("{}").rung, None);
    }

    #[test]
    fn an_expected_launch_counts_where_it_is_larger() {
        let v = view(r#"{"users": 100, "facts": {"expected-launch-users": 2000000}}"#);
        assert_eq!(v.rung.as_deref(), Some("L4"));
        let v = view(r#"{"users": 5000, "facts": {"expected-launch-users": 20}}"#);
        assert_eq!(v.rung.as_deref(), Some("L1"));
    }

    #[test]
    fn the_architecture_stands_where_most_usual_steps_are_in_place() {
        let book = playbook();
        let usual = |rung: &str| -> Vec<String> {
            let of = book.steps().filter(|s| s.rungs.usual.get_ref() == rung);
            of.map(|s| format!("\"{}\": \"present\"", s.id.get_ref()))
                .collect()
        };
        let state = |steps: &[String]| {
            format!("{{\"users\": 500, \"inventory\": {{{}}}}}", steps.join(","))
        };
        let all = usual("L5");
        assert_eq!(view(&state(&all)).architecture.as_deref(), Some("L5"));
        let few = &usual("L5")[..5];
        assert_ne!(view(&state(few)).architecture.as_deref(), Some("L5"));
    }
}
