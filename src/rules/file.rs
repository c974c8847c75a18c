//! Reads rule files in Prometheus's format and says everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::foreign;
use super::spec::{Checker, ExprInfo, GroupSpec, Inputs, Place, RuleKind, RuleSpec};
use super::template::Template;
use super::yaml::{self, Kind, Node};
use crate::model::{Position, Problem, Problems, duration};

const GROUP_KEYS: [&str; 6] = [
    "name",
    "interval",
    "query_offset",
    "limit",
    "labels",
    "rules",
];
const RULE_KEYS: [&str; 7] = [
    "record",
    "alert",
    "expr",
    "for",
    "keep_firing_for",
    "labels",
    "annotations",
];
/// A rule file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Name for messages and for the identity of its groups.
    pub name: String,
    /// YAML.
    pub text: String,
    /// True for the files that come with the program: own files override their rules.
    pub shipped: bool,
}

/// What is done with a rule that stands twice in a group (same kind, name and labels).
/// Prometheus takes it, and its linter warns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// A problem: two alerts of one identity would overwrite each other's state.
    Refuse,
    /// Nothing; [`duplicates`](super::duplicates) finds it.
    Allow,
}

/// What is done with a key that Prometheus does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// A problem.
    Refuse,
    /// Nothing.
    Ignore,
}

/// A file's groups with what was found.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) groups: Vec<GroupSpec>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Reads one file by itself, as Prometheus does: the groups, empty ones included, and warnings.
/// A rule may stand there twice.
pub fn read_alone(
    file: &RuleFile,
    unknown_keys: UnknownKeys,
    check: Checker<'_>,
) -> Result<(Vec<GroupSpec>, Vec<Problem>), Problems> {
    let read = read_with(file, check, Duplicates::Allow, unknown_keys);
    if read.problems.is_empty() {
        Ok((read.groups, read.warnings))
    } else {
        Err(Problems(read.problems))
    }
}

/// Reads one file; never stops at the first problem unless the text is not YAML.
pub(crate) fn read(file: &RuleFile, check: Checker<'_>, duplicates: Duplicates) -> Read {
    read_with(file, check, duplicates, UnknownKeys::Refuse)
}

fn read_with(
    file: &RuleFile,
    check: Checker<'_>,
    duplicates: Duplicates,
    unknown_keys: UnknownKeys,
) -> Read {
    let mut reader = Reader {
        file,
        check,
        duplicates,
        unknown_keys,
        context: String::new(),
        read: Read::default(),
    };
    match yaml::parse(&file.text) {
        Ok(root) => reader.root(&root),
        Err((message, position)) => reader.problem(position, message),
    }
    reader.read
}

/// The one place where an expression is checked.
pub(crate) fn check_expr(check: Checker<'_>, expr: &str) -> Result<ExprInfo, (String, usize)> {
    if expr.trim().is_empty() {
        return Err(("empty expression".to_owned(), 0));
    }
    check(expr)
}

/// Labels or annotations by name.
pub(super) type Texts = BTreeMap<String, Node>;

pub(super) struct Reader<'a> {
    pub(super) file: &'a RuleFile,
    check: Checker<'a>,
    duplicates: Duplicates,
    unknown_keys: UnknownKeys,
    context: String,
    read: Read,
}

impl Reader<'_> {
    fn make(&self, position: Option<Position>, message: String) -> Problem {
        Problem {
            file: self.file.name.clone(),
            position,
            context: self.context.clone(),
            message,
        }
    }

    fn problem(&mut self, position: Option<Position>, message: String) {
        let p = self.make(position, message);
        self.read.problems.push(p);
    }

    pub(super) fn wrong(&mut self, node: &Node, message: impl Into<String>) {
        self.problem(Some(node.at), message.into());
    }

    pub(super) fn warn(&mut self, node: &Node, message: String) {
        let p = self.make(Some(node.at), message);
        self.read.warnings.push(p);
    }

    /// The known keys of a mapping; others are problems.
    fn keys<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<BTreeMap<&'n str, (&'n Node, &'n Node)>> {
        let Kind::Map(pairs) = &node.kind else {
            self.wrong(
                node,
                format!("{what} must be a mapping, not {}", node.what()),
            );
            return None;
        };
        let mut found = BTreeMap::new();
        for (key, value) in pairs {
            match key.as_str() {
                Some(name) if known.contains(&name) => {
                    found.insert(name, (key, value));
                }
                _ if self.unknown_keys == UnknownKeys::Ignore => {}
                name => {
                    let name = name.unwrap_or("?");
                    let accepted = known.join(", ");
                    let message = foreign::advice(what, name).unwrap_or_else(|| {
                        format!("unknown key {name:?} in {what}; accepted: {accepted}")
                    });
                    self.wrong(key, message);
                }
            }
        }
        Some(found)
    }

    fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::Seq(items) => items,
            Kind::Null => &[],
            Kind::Scalar(_) | Kind::Map(_) => {
                self.wrong(node, format!("{what} must be a list, not {}", node.what()));
                &[]
            }
        }
    }

    fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar(s) => Some(s),
            Kind::Null => Some(""),
            Kind::Seq(_) | Kind::Map(_) => {
                self.wrong(node, format!("{what} must be a text, not {}", node.what()));
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, what)?;
        match duration::parse(text) {
            Ok(d) => Some(d),
            Err(e) => {
                self.wrong(node, format!("{what}: {e}"));
                None
            }
        }
    }

    fn root(&mut self, node: &Node) {
        if node.kind == Kind::Null {
            return;
        }
        let Some(keys) = self.keys(node, "a rule file", &["groups"]) else {
            return;
        };
        let Some((_, groups)) = keys.get("groups") else {
            return;
        };
        let mut names = BTreeSet::new();
        for node in self.items(groups, "groups") {
            let Some(group) = self.group(node) else {
                continue;
            };
            if !names.insert(group.name.clone()) {
                self.context = format!("group {:?}", group.name);
                self.wrong(
                    node,
                    "a group of this name is already in this file; rename one",
                );
            }
            self.context.clear();
            self.read.groups.push(group);
        }
    }

    fn group(&mut self, node: &Node) -> Option<GroupSpec> {
        self.context.clear();
        let name_node = match &node.kind {
            Kind::Map(pairs) => pairs
                .iter()
                .find(|(k, _)| k.as_str() == Some("name"))
                .map(|(_, v)| v),
            Kind::Null | Kind::Scalar(_) | Kind::Seq(_) => None,
        };
        let name = name_node.and_then(Node::as_str).unwrap_or_default();
        self.context = format!("group {name:?}");
        let keys = self.keys(node, "a group", &GROUP_KEYS)?;
        if name.is_empty() {
            self.wrong(name_node.unwrap_or(node), "a group needs a name");
        }
        let span = |r: &mut Self, key: &str| {
            keys.get(key)
                .and_then(|(_, v)| r.duration(v, key))
                .filter(|d| !d.is_zero())
        };
        let interval = span(self, "interval");
        let query_offset = span(self, "query_offset").unwrap_or_default();
        let mut limit = 0;
        if let Some((_, v)) = keys.get("limit")
            && let Some(text) = self.text(v, "limit")
        {
            match text.parse() {
                Ok(n) => limit = n,
                Err(_) => self.wrong(v, format!("limit must be a whole number, not {text:?}")),
            }
        }
        let mut labels = BTreeMap::new();
        if let Some((_, v)) = keys.get("labels") {
            labels = self.labels(v);
        }
        let mut rules: Vec<RuleSpec> = Vec::new();
        if let Some((_, v)) = keys.get("rules") {
            for node in self.items(v, "rules") {
                let group_context = self.context.clone();
                if let Some(rule) = self.rule(node, &labels) {
                    if self.duplicates == Duplicates::Refuse
                        && rules.iter().any(|r| r.same_identity(&rule))
                    {
                        self.wrong(
                            node,
                            "duplicate rule: this group already has one of this name with these \
                             labels; remove it, or tell the two apart by a label",
                        );
                    }
                    rules.push(rule);
                }
                self.context = group_context;
            }
        }
        Some(GroupSpec {
            file: self.file.name.clone(),
            name: name.to_owned(),
            interval,
            limit,
            query_offset,
            rules,
        })
    }

    fn rule(&mut self, node: &Node, group_labels: &Texts) -> Option<RuleSpec> {
        let group_context = self.context.clone();
        if let Kind::Map(pairs) = &node.kind
            && let Some(name) = pairs
                .iter()
                .find(|(k, _)| matches!(k.as_str(), Some("alert" | "record")))
                .and_then(|(_, v)| v.as_str())
        {
            self.context = format!("{group_context}, rule {name:?}");
        }
        let keys = self.keys(node, "a rule", &RULE_KEYS)?;
        let before = self.read.problems.len();
        let get = |key: &str| keys.get(key).map(|(_, v)| *v);
        let filled = |key: &str| get(key).filter(|n| n.as_str().is_some_and(|s| !s.is_empty()));
        let (name_node, is_alert) = match (filled("record"), filled("alert")) {
            (Some(_), Some(alert)) => {
                self.wrong(alert, "a rule is either record or alert, not both");
                (alert, true)
            }
            (Some(record), None) => (record, false),
            (None, Some(alert)) => (alert, true),
            (None, None) => {
                self.wrong(node, "a rule needs a name under either record or alert");
                return None;
            }
        };
        let name = name_node.as_str().unwrap_or_default().to_owned();
        if !is_alert && name.contains(['{', '}']) {
            self.wrong(
                name_node,
                format!("record must be a metric name without braces, not {name:?}; put labels under labels"),
            );
        }
        let info = match get("expr") {
            Some(n) => self.expr(n),
            None => {
                self.wrong(node, "a rule needs expr");
                None
            }
        };
        let expr = get("expr").and_then(Node::as_str).unwrap_or_default();
        let mut labels = group_labels.clone();
        if let Some(n) = get("labels") {
            labels.extend(self.labels(n));
        }
        let label_templates = self.templates(&labels, is_alert);
        let kind = if is_alert {
            let alert = self.alert(&keys, &labels, info.as_ref());
            RuleKind::Alert(Box::new(alert))
        } else {
            for key in ["for", "keep_firing_for", "annotations"] {
                if let Some((k, _)) = keys.get(key) {
                    self.wrong(k, format!("{key} belongs to alerts; a record has none"));
                }
            }
            RuleKind::Record
        };
        if self.read.problems.len() > before {
            return None;
        }
        Some(RuleSpec {
            name,
            expr: expr.to_owned(),
            window: info.as_ref().map_or(Duration::ZERO, |i| i.window),
            inputs: info.map_or_else(|| Inputs::All(Vec::new()), |i| i.inputs),
            labels: label_templates,
            kind,
            position: Place(node.at),
        })
    }

    fn expr(&mut self, node: &Node) -> Option<ExprInfo> {
        let text = self.text(node, "expr")?;
        self.promql(node, "expr", text)
    }

    pub(super) fn promql(&mut self, node: &Node, what: &str, expr: &str) -> Option<ExprInfo> {
        match check_expr(self.check, expr) {
            Ok(info) => Some(info),
            Err((message, offset)) => {
                let at = node.position_of(&self.file.text, offset);
                self.problem(Some(at), format!("{what}: {message}"));
                None
            }
        }
    }

    /// Labels or annotations as written.
    fn labels(&mut self, node: &Node) -> Texts {
        let texts = self.texts(node, "labels");
        for (name, value) in &texts {
            if name == "__name__" || name.is_empty() {
                self.wrong(value, format!("invalid label name {name:?}"));
            }
        }
        texts
    }

    pub(super) fn texts(&mut self, node: &Node, what: &str) -> Texts {
        let mut texts = Texts::new();
        match &node.kind {
            Kind::Null => {}
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    match key.as_str() {
                        Some(name) if self.text(value, name).is_some() => {
                            texts.insert(name.to_owned(), value.clone());
                        }
                        Some(_) => {}
                        None => self.wrong(key, format!("a name in {what} must be a text")),
                    }
                }
            }
            Kind::Scalar(_) | Kind::Seq(_) => {
                self.wrong(
                    node,
                    format!("{what} must be a mapping, not {}", node.what()),
                );
            }
        }
        texts
    }

    /// Parses templates; labels of records are taken literally.
    pub(super) fn templates(&mut self, texts: &Texts, parse: bool) -> BTreeMap<String, Template> {
        let mut found = BTreeMap::new();
        for (name, node) in texts {
            let text = node.as_str().unwrap_or_default();
            if !parse {
                found.insert(name.clone(), Template::literal(text));
                continue;
            }
            match Template::parse(text) {
                Ok(template) => {
                    for query in template.queries() {
                        if let Err((message, _)) = check_expr(self.check, &query) {
                            self.warn(node, format!("{name}: query {query:?}: {message}"));
                        }
                    }
                    found.insert(name.clone(), template);
                }
                Err((message, offset)) => {
                    let at = node.position_of(&self.file.text, offset);
                    self.problem(Some(at), format!("{name}: {message}"));
                }
            }
        }
        found
    }
}
