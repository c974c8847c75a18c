//! The rows of the playbook's files.
//!
//! Ids and queries keep their place in the file (`Spanned`), so that a wrong one can be shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use super::guard::Guard;
use super::texts::{Example, Item, Principle, Sequence, Technology};
use crate::advice::limits::Limit;

/// An id, a citation or a query with its place.
pub type Text = Spanned<String>;

/// One playbook file; any table may stand in any file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) rung: Vec<Rung>,
    pub(crate) line: Vec<Line>,
    pub(crate) sign: Vec<Sign>,
    pub(crate) row: Vec<Row>,
    pub(crate) step: Vec<Step>,
    pub(crate) order: Vec<Order>,
    pub(crate) implies: Vec<Implies>,
    pub(crate) fact: Vec<Fact>,
    pub(crate) conflict: Vec<Conflict>,
    pub(crate) dont: Vec<Dont>,
    pub(crate) locate: Vec<Locate>,
    pub(crate) source: Vec<Source>,
    pub(crate) limit: Vec<Limit>,
    pub(crate) principle: Vec<Principle>,
    pub(crate) sequence: Vec<Sequence>,
    pub(crate) example: Vec<Example>,
    pub(crate) technology: Vec<Technology>,
    pub(crate) item: Vec<Item>,
    pub(crate) dwell: Option<Dwell>,
    pub(crate) horizon: Option<Horizon>,
}

/// A scale stage; bounds are those at which it ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// `L0` and so on; rungs stand in the file in ascending order.
    pub id: Text,
    /// In plain words.
    pub title: String,
    /// Most users, inclusive; absent for the open top.
    pub users: Option<f64>,
    /// Bytes of all databases, exclusive.
    pub database_bytes: Option<f64>,
    /// Requests per second, exclusive: the reading that climbs early.
    pub rps_early: Option<f64>,
    /// Requests per second, exclusive: the reading that climbs late.
    pub rps_late: Option<f64>,
    /// Users at the same time, inclusive; shown only.
    pub concurrent_users: Option<f64>,
    /// Users a day, exclusive; shown only.
    pub daily_users: Option<f64>,
    /// Bytes stored in all, exclusive; shown only.
    pub storage_bytes: Option<f64>,
    /// Developers, inclusive; shown only.
    pub developers: Option<f64>,
    /// Upper figure of the monthly cost in dollars.
    pub monthly_cost: Option<f64>,
    /// What the rung is about.
    #[serde(default)]
    pub focus: String,
    /// What the documents add here.
    #[serde(default)]
    pub adds: String,
    /// What breaks next.
    #[serde(default)]
    pub breaks: String,
    /// The documents' figures.
    #[serde(default)]
    pub figures: Vec<Figure>,
}

/// What the documents say of one dimension of a rung.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The dimension.
    pub what: String,
    /// The figures with their citations.
    pub text: String,
}

/// How long a rung must be told before it counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dwell {
    /// To a higher rung.
    pub up: String,
    /// To a lower one.
    pub down: String,
}

/// How near a forecast limit opens a level.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Horizon {
    /// Level plan.
    pub plan: String,
    /// Level act.
    pub act: String,
    /// Level now.
    pub now: String,
    /// Who says so.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// An escalation line: what hurts next when everything for a sign is in place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Line id.
    pub id: Text,
    /// Sign ids in order.
    pub signs: Vec<Text>,
}

/// Which part of a system a sign is about; decides the order among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The database.
    Database,
    /// Hosts and application servers.
    Application,
    /// Queues and jobs.
    Queue,
    /// Caches and CDN.
    Cache,
    /// Everything else.
    Rest,
}

/// Where something is measured; a diagnosis may be in place for one and missing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The database.
    Database,
    /// The application.
    Application,
    /// A machine.
    Host,
}

/// Where a sign comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignKind {
    /// Metrics or SQL.
    #[default]
    Measured,
    /// Metrics where there are any, else people.
    MeasuredOrDeclared,
    /// People.
    Declared,
    /// The advisor itself.
    Derived,
}

/// A sign that something hurts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// Sign id, as in the label `sign` of rules.
    pub id: Text,
    /// Its number.
    #[serde(default)]
    pub no: String,
    /// Where it comes from.
    #[serde(default)]
    pub kind: SignKind,
    /// What is observed.
    #[serde(default)]
    pub sees: String,
    /// What the documents say of thresholds, with citations.
    #[serde(default)]
    pub bounds: String,
    /// In plain words.
    pub title: String,
    /// Part of the system.
    pub group: Group,
    /// Whose measuring it needs.
    pub tier: Tier,
    /// What its value is, e.g. `connections in use`; empty for signs without rules yet.
    #[serde(default)]
    pub what: String,
    /// PromQL: returns something when the sign is measured, so that silence means false.
    pub needs: Option<Text>,
    /// The question to people where it is not measured.
    pub question: Option<String>,
    /// While it fires nothing else is answered: its row goes before all others.
    #[serde(default)]
    pub gate: bool,
    /// What relieves it now.
    #[serde(default)]
    pub first_aid: Vec<FirstAid>,
    /// Known causes, first match first: then the first aid leads and no step is named.
    #[serde(default)]
    pub cause: Vec<Cause>,
    /// Who says so.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// Something that relieves a sign now.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstAid {
    /// What to do.
    pub text: String,
    /// PromQL: said only when this returns something.
    pub when: Option<Text>,
}

/// A cause that leaves nothing to scale.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// PromQL: holds when the element of the sign's instance is not 0; where there is none, when
    /// one on the sign's host is not.
    pub query: Text,
    /// Further condition.
    pub guard: Option<Spanned<Guard>>,
    /// Why no step is named, a sentence.
    pub why: String,
    /// What to do instead.
    #[serde(default)]
    pub first_aid: Vec<String>,
    /// The fact that would change the answer.
    pub confirm: Option<Text>,
}

/// A sign's candidate steps, in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its number.
    #[serde(default)]
    pub id: String,
    /// Sign id.
    pub sign: Text,
    /// In order.
    pub candidate: Vec<Candidate>,
}

/// Steps that depend on the state rather than on the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Each {
    /// The usual steps of the next rung, in canonical order.
    UsualOfNextRung,
    /// Steps known to be absent that a step in place requires, in canonical order.
    MissingPrerequisite,
}

/// A candidate: a step, several steps, or the row of another sign to go on with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Step id.
    pub step: Option<Text>,
    /// Sign whose row is followed from here, without return.
    pub row: Option<Text>,
    /// Label of the leading sign that names the sign whose row is followed from here.
    pub row_of: Option<String>,
    /// Steps that the state gives.
    pub each: Option<Each>,
    /// Condition; none always holds.
    pub guard: Option<Spanned<Guard>>,
    /// May be named although in place.
    #[serde(default)]
    pub again: bool,
    /// How to do it for this sign.
    pub how: Option<String>,
}

/// A scaling step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Step id.
    pub id: Text,
    /// Its number.
    #[serde(default)]
    pub no: String,
    /// Where each document puts it.
    #[serde(default)]
    pub placed: String,
    /// In plain words, as an order.
    pub title: String,
    /// The question whether it is in place.
    pub question: String,
    /// Where it belongs.
    pub rungs: Rungs,
    /// Finds out rather than changes: tried when a guard is not known.
    #[serde(default)]
    pub diagnosis: bool,
    /// How to take it again when it is in place already; none when it cannot.
    pub repeat: Option<String>,
    /// It is repeated only while this holds.
    pub repeat_if: Option<Spanned<Guard>>,
    /// It is not named unless this holds.
    pub only_if: Option<Spanned<Guard>>,
    /// It is not named while this holds.
    pub never_if: Option<Spanned<Guard>>,
    /// Signs for which `never_if` does not count.
    #[serde(default)]
    pub never_except: Vec<Text>,
    /// What it requires must be seen or declared: not knowing is not enough.
    #[serde(default)]
    pub strict: bool,
    /// Default time it takes, e.g. `3d`.
    pub lead_time: String,
    /// What is done, a sentence.
    pub what: String,
    /// What it relieves, a clause that follows "because".
    pub because: String,
    /// What it brings, with figures.
    #[serde(default)]
    pub effect: String,
    /// What it costs.
    #[serde(default)]
    pub cost: String,
    /// What to watch for.
    #[serde(default)]
    pub risks: Vec<String>,
    /// When it is too early.
    #[serde(default)]
    pub not_yet: String,
    /// PromQL that returns something once it has worked.
    pub verify: Option<Text>,
    /// How to see that it is in place.
    pub detect: Detect,
    /// Who says so.
    pub cite: Vec<Text>,
}

/// Earliest, usual and latest rung of a step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rungs {
    /// No document places it lower.
    pub earliest: Text,
    /// Where it belongs by the resolution of the documents.
    pub usual: Text,
    /// No document places it higher.
    pub latest: Text,
}

/// How much detection can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectKind {
    /// Seen in metrics wherever it is; unseen means not observed.
    Auto,
    /// Seen in some installations only; unseen means unknown.
    Partial,
    /// Never seen; people say so.
    Declared,
    /// In place while its signs are quiet.
    Symptom,
}

/// How to see that a step is in place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// How much it can tell.
    pub kind: DetectKind,
    /// PromQL: returns something when the step is in place.
    pub present: Option<Text>,
    /// PromQL: returns something when it is known not to be.
    pub absent: Option<Text>,
    /// In place where it holds; where it does not, it says nothing.
    pub guard: Option<Spanned<Guard>>,
    /// Signs of a symptom step.
    #[serde(default)]
    pub signs: Vec<Text>,
    /// Per tier, for steps that are in place for one tier and not for another.
    #[serde(default)]
    pub tier: Vec<TierDetect>,
}

/// How to see that a step is in place for one tier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierDetect {
    /// The tier.
    pub tier: Tier,
    /// PromQL: returns something when it is in place.
    pub present: Option<Text>,
    /// PromQL: returns something when it is known not to be.
    pub absent: Option<Text>,
    /// True means in place, false means absent; asked when the queries return nothing.
    pub guard: Option<Spanned<Guard>>,
    /// What is missing and what adds it.
    pub how: String,
    /// The fact that settles it, where one does.
    pub confirm: Option<Text>,
}

/// Whether an order rule blocks or only sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderKind {
    /// `then` is not named while `first` is known to be absent.
    Requires,
    /// `first` comes before `then` in one row.
    Prefer,
}

/// Which of two steps comes first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Rule id.
    pub id: Text,
    /// Blocks or sorts.
    pub kind: OrderKind,
    /// Comes first.
    pub first: Text,
    /// Comes after it.
    pub then: Text,
    /// The rule counts only where this holds.
    pub guard: Option<Spanned<Guard>>,
    /// Signs for which it does not count.
    #[serde(default)]
    pub except: Vec<Text>,
    /// False when `then` can well exist without `first`, so that it is no hint of it.
    #[serde(default = "yes")]
    pub presume: bool,
    /// Who says so; empty means default.
    #[serde(default)]
    pub cite: Vec<Text>,
}

fn yes() -> bool {
    true
}

/// A step that cannot be without another.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Implies {
    /// Row id.
    pub id: Text,
    /// When this is in place ...
    pub step: Text,
    /// ... this is too.
    pub implies: Text,
}

/// What kind of answer a fact has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactKind {
    /// Yes or no.
    Bool,
    /// A figure.
    Number,
}

/// Something that guards ask and people or metrics answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Fact id, the key in `[facts]`.
    pub id: Text,
    /// Yes or no, or a figure.
    pub kind: FactKind,
    /// The question to people.
    pub question: String,
    /// PromQL: returns something when the answer is yes; for a figure: its largest value.
    pub query: Option<Text>,
    /// PromQL: returns something when the answer is no.
    pub unless: Option<Text>,
    /// True when the answer is about one host: only elements on the sign's host count.
    #[serde(default)]
    pub here: bool,
    /// Taken when nobody says.
    pub default: Option<bool>,
}

/// Where documents disagree, and how it is resolved.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// Row id.
    pub id: Text,
    /// About what.
    pub topic: String,
    /// Steps whose advice names the dissent.
    #[serde(default)]
    pub steps: Vec<Text>,
    /// Signs whose advice it does not concern.
    #[serde(default)]
    pub except: Vec<Text>,
    /// The dissent, a sentence.
    pub dissent: String,
    /// What is done here.
    pub resolution: String,
    /// Who says what.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// Something not to do on some rungs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dont {
    /// Row id.
    pub id: Text,
    /// Rungs on which it holds; empty means all.
    #[serde(default)]
    pub rungs: Vec<Text>,
    /// Steps it warns of.
    #[serde(default)]
    pub steps: Vec<Text>,
    /// What not to do, a clause.
    pub text: String,
    /// What to do instead.
    pub instead: String,
    /// Who says so; empty means default.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// When the tier about to be scaled is not the limit: signs that give way to others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locate {
    /// The sign that says so.
    pub sign: Text,
    /// Signs that give way, ...
    pub replaces: Vec<Text>,
    /// ... to the first of these that fires.
    pub by: Vec<Text>,
}

/// A document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Tag, one letter, e.g. `B` for `[B]1K-10K`.
    pub tag: Text,
    /// Its title.
    pub title: String,
    /// Section names by locator.
    pub sections: BTreeMap<String, String>,
}
