//! `promql-parser`, another parser of the language, reads what the tests hold as ours does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use loadline::promql::{ParseOptions, parse_with};
use loadline::rules::{RuleFile, UnknownKeys, check_promql, read_alone};
use regex::Regex;

/// What the two parsers say of one expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opinion {
    /// Both refuse it, or both read the same.
    Same,
    /// Only ours takes it.
    Ours,
    /// Only the other takes it.
    Theirs,
    /// Both take it, and read something else.
    Other,
}

impl Opinion {
    fn of(text: &str) -> Self {
        let ours = parse_with(text, ParseOptions::all());
        let theirs = promql_parser::parser::parse(text);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                let again = parse_with(&theirs.to_string(), ParseOptions::all());
                if again.is_ok_and(|again| sorted(&again.to_string()) == sorted(&ours.to_string()))
                {
                    Opinion::Same
                } else {
                    Opinion::Other
                }
            }
            (Ok(_), Err(_)) => Opinion::Ours,
            (Err(_), Ok(_)) => Opinion::Theirs,
            (Err(_), Err(_)) => Opinion::Same,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Opinion::Same => "same",
            Opinion::Ours => "ours",
            Opinion::Theirs => "theirs",
            Opinion::Other => "other",
        }
    }
}

/// A printed query whose matchers are in one order; theirs are in any.
fn sorted(printed: &str) -> String {
    let sort = |found: &regex::Captures<'_>| {
        let mut matchers: Vec<&str> = MATCHER.find_iter(&found[0]).map(|m| m.as_str()).collect();
        matchers.sort_unstable();
        format!("{{{}}}", matchers.join(", "))
    };
    MATCHERS.replace_all(printed, sort).into_owned()
}

static MATCHER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"[^\s"=!~,{}]+(?:=~|!~|!=|=)"(?:[^"\\]|\\.)*""#).expect("a pattern of our own")
});

static MATCHERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(r"\{{(?:{}(?:, )?)+\}}", MATCHER.as_str())).expect("a pattern of our own")
});

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder below the root with this extension: path from the root, and text.
fn texts(folder: &str, extensions: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|e| e.to_str());
        if extension.is_some_and(|e| extensions.contains(&e)) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            found.insert(format!("{folder}/{name}"), text);
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// Every expression that the official query tests evaluate.
fn of_scripts() -> BTreeSet<String> {
    let head = r"^eval\S*\s+(?:instant\s+at\s+\S+|range\s+from\s+\S+\s+to\s+\S+\s+step\s+\S+)\s+";
    let head = Regex::new(head).unwrap();
    let scripts = texts("tests/promql", &["test"]);
    let lines = scripts.values().flat_map(|text| text.lines());
    let expressions = lines.filter_map(|line| {
        let line = line.trim();
        Some(line[head.find(line)?.end()..].trim().to_owned())
    });
    expressions.collect()
}

/// Every expression of the rule files, queries in templates included.
fn of_rules() -> BTreeSet<String> {
    let found = RefCell::new(BTreeSet::new());
    let check = |text: &str| {
        found.borrow_mut().insert(text.to_owned());
        check_promql(text, ParseOptions::all())
    };
    let tests = ["corpus", "rulefmt", "promtool", "state", "cases"];
    let mut folders: Vec<String> = tests.map(|f| format!("tests/rules/{f}")).into();
    folders.push("rules".to_owned());
    for folder in folders {
        for (name, text) in texts(&folder, &["yml", "yaml"]) {
            let shipped = false;
            let file = RuleFile {
                name,
                text,
                shipped,
            };
            // Whether the file is good is for other tests.
            let _ = read_alone(&file, UnknownKeys::Ignore, &check);
        }
    }
    found.into_inner()
}

/// The known differences: opinion and expression, a JSON string, under the reason.
fn listed() -> BTreeMap<String, String> {
    let path = root().join("tests/promql/second_opinion.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut listed = BTreeMap::new();
    let mut reason = "";
    for line in text.lines().filter(|l| !l.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            reason = comment;
            continue;
        }
        assert!(!reason.is_empty(), "no reason above: {line}");
        let (opinion, expression) = line.split_once(' ').expect("OPINION EXPRESSION");
        let expression = serde_json::from_str(expression).expect("the expression is a JSON string");
        let old = listed.insert(expression, opinion.to_owned());
        assert!(old.is_none(), "twice: {line}");
    }
    listed
}

#[test]
fn another_parser_reads_the_same() {
    let (scripts, rules) = (of_scripts(), of_rules());
    assert!(scripts.len() > 800, "{} expressions", scripts.len());
    assert!(rules.len() > 300, "{} expressions", rules.len());
    let mut listed = listed();
    let mut wrong = Vec::new();
    for text in scripts.union(&rules) {
        let opinion = Opinion::of(text);
        let known = listed.remove(text);
        if opinion == Opinion::Same && known.is_none() || known.as_deref() == Some(opinion.word()) {
            continue;
        }
        let json = serde_json::to_string(text).unwrap();
        let listed = known
            .map(|k| format!(" (listed as {k})"))
            .unwrap_or_default();
        let theirs = promql_parser::parser::parse(text);
        let theirs = theirs.map_or_else(|e| e, |tree| tree.to_string());
        wrong.push(format!("{} {json}{listed}\n  {theirs}", opinion.word()));
    }
    assert!(wrong.is_empty(), "unlisted:\n{}", wrong.join("\n"));
    assert!(listed.is_empty(), "no longer in the tests: {listed:?}");
}
