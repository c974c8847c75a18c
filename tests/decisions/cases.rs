//! Decision cases: a state of a system, and what must be advised for it.
//!
//! A case is one line of `tests/decisions/*.toml`; `README.md` beside them says what its keys mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use loadline::advice::given::decide_given;
use loadline::advice::next::{Hurt, Next};
use loadline::advice::{Outcome, Playbook};
use loadline::model::Timestamp;

/// Steps whose place is told by the quiet of their signs or by the headroom that is left; `rest`
/// does not speak of them.
const TOLD_BY_SIGNS: [&str; 9] = [
    "add-indexes",
    "cache-invalidation-policy",
    "cache-stampede-protection",
    "database-backups",
    "fix-n-plus-one",
    "optimize-assets",
    "query-optimization",
    "vertical-scale-app-server",
    "vertical-scale-database",
];

/// When all cases take place.
const NOW: Timestamp = Timestamp::from_secs(1_793_000_000);

/// One file of cases.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cases {
    /// What must be answered.
    pub(crate) case: Vec<Case>,
    /// What ought to be answered and is not yet, each with its reason.
    pub(crate) open: Vec<Case>,
}

/// A state and what is wanted of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Case {
    pub(crate) row: String,
    pub(crate) name: String,
    pub(crate) why: String,
    level: Option<String>,
    with: String,
    rung: Option<String>,
    users: Option<f64>,
    have: String,
    lack: String,
    hidden: String,
    unsaid: String,
    rest: Option<String>,
    facts: BTreeMap<String, toml::Value>,
    limit: Option<String>,
    days: Option<f64>,
    lead: Option<String>,
    rung_is: Option<String>,
    step: String,
    #[serde(rename = "for")]
    wanted: Option<String>,
    again: bool,
    unless: Option<bool>,
    confirm: Option<String>,
    dissent: Option<String>,
    no_dissent: Option<String>,
    not: String,
    dont: Option<String>,
    first: String,
    then: Option<String>,
    second: Option<String>,
    text: Option<String>,
    order: Option<String>,
}

/// Where the cases lie.
fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decisions")
}

/// All cases of all files, with the name of their file.
pub(crate) fn all() -> Vec<(String, Cases)> {
    read_all(&dir())
        .into_iter()
        .map(|(name, text)| match toml::from_str(&text) {
            Ok(cases) => (name, cases),
            Err(e) => panic!("{name}: {e}"),
        })
        .collect()
}

/// The shipped playbook as `(name, text)`.
pub(crate) fn shipped() -> Vec<(String, String)> {
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/playbook"))
}

/// The playbook of these files, or what is wrong with them.
pub(crate) fn playbook(files: &[(String, String)]) -> Result<Playbook, String> {
    Playbook::load(files, &|_| Ok(())).map_err(|e| e.to_string())
}

fn read_all(dir: &Path) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = std::fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.unwrap_or_else(|e| panic!("{}: {e}", dir.display())))
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "toml"))
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path())
                .unwrap_or_else(|e| panic!("{}: {e}", entry.path().display()));
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect();
    out.sort();
    out
}

impl Case {
    /// Asks the library as `loadline next --state` does; what differs from the wanted answer.
    pub(crate) fn differs(&self, book: &Playbook) -> Option<String> {
        let state = self.state(book).to_string();
        let advised = match decide_given(book, &self.name, &state, NOW) {
            Ok(advised) => advised,
            Err(e) => return Some(format!("  the state is refused: {e}")),
        };
        let next = Next::of(book, &advised);
        let wrong = self.compare(&next);
        (!wrong.is_empty()).then(|| {
            let trace: Vec<String> = next
                .answer
                .trace
                .iter()
                .map(|c| format!("    {} {}: {} ({})", c.row, c.step, word(c.outcome), c.why))
                .collect();
            format!(
                "  {}\n  state {state}\n{}",
                wrong.join("\n  "),
                trace.join("\n")
            )
        })
    }

    fn state(&self, book: &Playbook) -> Value {
        let mut lead = json!({
            "id": self.row, "level": self.level.as_deref().unwrap_or("act"),
        });
        if let Some(limit) = &self.limit {
            lead["labels"] = json!({ "limit": limit });
        }
        let mut signs = vec![lead];
        for extra in self.with.split_whitespace() {
            let (id, level) = extra.split_once(':').unwrap_or((extra, "plan"));
            signs.push(json!({"id": id, "level": level}));
        }
        let mut inventory = BTreeMap::new();
        let listed = [
            (&self.have, "present"),
            (&self.lack, "absent"),
            (&self.hidden, "not-observed"),
            (&self.unsaid, "unknown"),
        ];
        if let Some(rest) = &self.rest {
            for step in book.steps().map(|s| s.id.get_ref().as_str()) {
                if !TOLD_BY_SIGNS.contains(&step) {
                    inventory.insert(step, rest.as_str());
                }
            }
        }
        for (steps, state) in listed {
            for step in steps.split_whitespace() {
                inventory.insert(step, state);
            }
        }
        let mut state = json!({
            "system": "shop",
            "at": "2026-11-01T00:00:00Z",
            "signs": signs,
            "facts": self.facts,
            "inventory": inventory,
        });
        if let Some(rung) = &self.rung {
            state["rung"] = json!(rung);
        }
        if let Some(users) = self.users {
            state["users"] = json!(users);
        }
        if let Some(limit) = &self.limit {
            let days = self.days.unwrap_or(40.0);
            state["runways"] = json!([
                {"limit": limit, "p10": days / 2.0, "p50": days, "p90": days * 2.0}
            ]);
        }
        state
    }

    fn compare(&self, next: &Next) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut same = |what: &str, wanted: &str, got: &str| {
            if wanted != got {
                wrong.push(format!("{what}: wanted {wanted}, got {got}"));
            }
        };
        let a = &next.answer;
        if let Some(order) = &self.order {
            let own = a.trace.iter().filter(|c| c.row == self.row);
            let met: Vec<&str> = own.map(|c| c.step.as_str()).collect();
            same("order", order, &met.join(" "));
            return wrong;
        }
        let led = next.bottlenecks.first().map_or("none", |b| b.sign.as_str());
        same("bottleneck", self.lead.as_deref().unwrap_or(&self.row), led);
        same("step", &self.step, a.step.as_deref().unwrap_or("none"));
        let way = a.on_the_way_to.as_ref().map_or("-", |s| s.step.as_str());
        same("on the way to", self.wanted.as_deref().unwrap_or("-"), way);
        same("again", &self.again.to_string(), &a.again.to_string());
        if let Some(unless) = self.unless {
            same(
                "unless in place",
                &unless.to_string(),
                &a.unless_in_place.to_string(),
            );
        }
        if let Some(rung) = &self.rung_is {
            same("rung", rung, next.rung.as_deref().unwrap_or("-"));
        }
        if let Some(confirm) = &self.confirm {
            let asked = a.fact_to_confirm.as_ref().map_or("-", |f| f.id.as_str());
            same("fact to confirm", confirm, asked);
        }
        if let Some(then) = &self.then {
            same(
                "then",
                then,
                a.then.as_ref().map_or("-", |s| s.step.as_str()),
            );
        }
        if let Some(second) = &self.second {
            let got = next.bottlenecks.get(1).map_or("-".to_owned(), short);
            same("second bottleneck", second, &got);
        }
        if !self.first.is_empty() {
            let got: Vec<&str> = a.prerequisites.iter().map(|p| p.step.as_str()).collect();
            same("prerequisites", &self.first, &got.join(" "));
        }
        let ids: Vec<&str> = a.dissent.iter().map(|d| d.id.as_str()).collect();
        if let Some(id) = self.dissent.as_deref().filter(|id| !ids.contains(id)) {
            wrong.push(format!("dissent: wanted {id}, got {ids:?}"));
        }
        if let Some(id) = self.no_dissent.as_deref().filter(|id| ids.contains(id)) {
            wrong.push(format!("dissent: {id} is not wanted"));
        }
        for part in self.not.split_whitespace() {
            let (step, outcome) = part.split_once(':').unwrap_or((part, "-"));
            let got = a
                .not
                .iter()
                .find(|n| n.step == step)
                .map_or("not listed", |n| word(n.outcome));
            if outcome != got {
                wrong.push(format!("not {step}: wanted {outcome}, got {got}"));
            }
        }
        if let Some(dont) = self.dont.as_deref() {
            let whys = a.not.iter().map(|n| &n.why);
            if !a.donts.iter().chain(whys).any(|t| t.contains(dont)) {
                wrong.push(format!("don't: wanted {dont:?}, got {:?}", a.donts));
            }
        }
        if let Some(text) = self.text.as_deref() {
            let whole = serde_json::to_string(a).unwrap_or_default();
            if !whole.contains(text) {
                wrong.push(format!("text: {text:?} is nowhere in the answer"));
            }
        }
        wrong
    }
}

/// Signs that have at least `least` cases are left out; the others with their count.
pub(crate) fn rows_below(book: &Playbook, cases: &[(String, Cases)], least: usize) -> Vec<String> {
    let rows: BTreeSet<&str> = book.rows().map(|r| r.sign.get_ref().as_str()).collect();
    let count = |row: &str| {
        let of = |c: &Cases| {
            c.case
                .iter()
                .chain(&c.open)
                .filter(|c| c.row == row)
                .count()
        };
        cases.iter().map(|(_, c)| of(c)).sum::<usize>()
    };
    rows.into_iter()
        .filter(|row| count(row) < least)
        .map(|row| format!("{row} ({})", count(row)))
        .collect()
}

fn short(hurt: &Hurt) -> String {
    format!(
        "{} {}",
        hurt.sign,
        hurt.answer.step.as_deref().unwrap_or("none")
    )
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Wins => "wins",
        Outcome::Later => "later",
        Outcome::InPlace => "in-place",
        Outcome::Unknown => "unknown",
        Outcome::DoesNotApply => "does-not-apply",
        Outcome::ConditionUnknown => "condition-unknown",
        Outcome::DoneLately => "done-lately",
        Outcome::Forbidden => "forbidden",
        Outcome::TooEarly => "too-early",
        Outcome::Followed => "followed",
    }
}
