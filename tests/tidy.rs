//! The house rules that no compiler checks: who imports whom, who may spawn, read the
//! environment, read time, print and write SQL, and how long a file may be.
//!
//! Only what ships is held to them: items under `#[cfg(test)]`, and the files of modules declared
//! so, may import anything. Each rule is a function from a file to its violations, so that a planted
//! violation can show that the rule bites.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Room, and what it may import of ours; everyone may import telemetry and itself.
const IMPORTS: &[(&str, &[&str])] = &[
    ("clock", &["model"]),
    ("telemetry", &[]),
    ("model", &[]),
    ("config", &["model"]),
    ("state", &["model"]),
    ("store", &["model", "config"]),
    ("history", &["model", "config", "promql"]),
    ("script", &["model", "store", "promql", "rules"]),
    ("sources", &["model", "config", "clock"]),
    ("promql", &["model", "store"]),
    ("rules", &["model", "config", "promql"]),
    ("advice", &["model", "config", "promql", "rules"]),
    (
        "notify",
        &["model", "config", "clock", "rules", "advice", "state"],
    ),
    ("api", &BELOW_API),
    ("daemon", &BELOW_DAEMON),
    ("cli", &BELOW_CLI),
    ("main", &["cli"]),
];

const BELOW_API: [&str; 12] = [
    "clock", "model", "config", "state", "store", "history", "script", "sources", "promql",
    "rules", "advice", "notify",
];
const BELOW_DAEMON: [&str; 13] = with(BELOW_API, "api");
const BELOW_CLI: [&str; 14] = with(BELOW_DAEMON, "daemon");

/// Longest file without its tests, in lines.
const MOST_LINES: usize = 600;

/// Files that may be longer, each with the reason.
const LONGER: &[(&str, &str)] = &[(
    "src/config/reference.rs",
    "a table of all keys: one list is easier to read than two",
)];

const fn with<const N: usize, const M: usize>(
    names: [&'static str; N],
    one: &'static str,
) -> [&'static str; M] {
    let mut out = [one; M];
    let mut i = 0;
    while i < N {
        out[i] = names[i];
        i += 1;
    }
    out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `src`, as paths from the root, with their texts.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths.sort();
    let read = |p: PathBuf| {
        let name = p.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(p).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// The files that do not ship: `tests.rs`, and what a `#[cfg(test)] mod name;` declares.
fn test_files(all: &[(String, String)]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (path, text) in all {
        let folder = match path
            .strip_suffix("/mod.rs")
            .or(path.strip_suffix("/lib.rs"))
        {
            Some(folder) => folder.to_owned(),
            None => path.trim_end_matches(".rs").to_owned(),
        };
        for name in test_modules(text) {
            let below = format!("{folder}/{name}/");
            let file = format!("{folder}/{name}.rs");
            let found = all.iter().map(|(p, _)| p);
            out.extend(
                found
                    .filter(|p| **p == file || p.starts_with(&below))
                    .cloned(),
            );
        }
    }
    out
}

/// Names of the modules that `text` declares for tests only, in files of their own.
fn test_modules(text: &str) -> Vec<String> {
    let cfg = ["#", "[", "cfg", "(", "test", ")", "]"];
    let tokens = lex(text);
    let starts = tokens.windows(cfg.len()).enumerate();
    starts
        .filter(|(_, w)| *w == cfg)
        .filter_map(|(i, _)| {
            let rest = &tokens[i + cfg.len()..];
            let at = rest.iter().position(|t| t == "mod")?;
            // Only a visibility may stand between.
            let near = rest[..at]
                .iter()
                .all(|t| "pub(crate)(super)".contains(t.as_str()));
            (near && rest.get(at + 2)? == ";").then(|| rest[at + 1].clone())
        })
        .collect()
}

/// `src/rules/alert.rs` is in room `rules`.
fn room(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let end = inside.find(['/', '.']).unwrap_or(inside.len());
    &inside[..end]
}

/// Words and marks of a Rust text, without comments, texts and characters, and without items
/// under `#[cfg(test)]`.
fn tokens(text: &str) -> Vec<String> {
    without_tests(&lex(text))
}

fn lex(text: &str) -> Vec<String> {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut i) = (Vec::new(), 0);
    while i < c.len() {
        match c[i] {
            '/' if at(i + 1) == '/' => {
                while i < c.len() && c[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                while i < c.len() {
                    match (c[i], at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            'r' | 'b' | 'c' if raw_start(&c, i).is_some() => {
                let (hashes, start) = raw_start(&c, i).unwrap();
                i = start;
                while i < c.len() && !(c[i] == '"' && (1..=hashes).all(|k| at(i + k) == '#')) {
                    i += 1;
                }
                i += hashes + 1;
                out.push("\"\"".to_owned());
            }
            '"' => {
                i += 1;
                while i < c.len() && c[i] != '"' {
                    i += if c[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
                out.push("\"\"".to_owned());
            }
            // A character, not a lifetime: `'a'`, `'\n'`.
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < c.len() && c[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
            x if word(x) => {
                let start = i;
                while i < c.len() && word(c[i]) {
                    i += 1;
                }
                out.push(c[start..i].iter().collect());
            }
            ':' if at(i + 1) == ':' => {
                out.push("::".to_owned());
                i += 2;
            }
            x if x.is_whitespace() => i += 1,
            x => {
                out.push(x.to_string());
                i += 1;
            }
        }
    }
    out
}

/// Number of `#` and the first character after the opening quote of a raw text at `i`.
fn raw_start(c: &[char], i: usize) -> Option<(usize, usize)> {
    if i > 0 && (c[i - 1].is_alphanumeric() || c[i - 1] == '_') {
        return None;
    }
    let mut k = i;
    if matches!(c[k], 'b' | 'c') {
        k += 1;
    }
    if c.get(k) != Some(&'r') {
        return None;
    }
    k += 1;
    let hashes = c[k..].iter().take_while(|x| **x == '#').count();
    (c.get(k + hashes) == Some(&'"')).then_some((hashes, k + hashes + 1))
}

/// Drops each item that `#[cfg(test)]` stands before, up to its `;` or closing brace.
fn without_tests(all: &[String]) -> Vec<String> {
    let is = |at: usize, want: &[&str]| {
        want.iter()
            .enumerate()
            .all(|(k, w)| all.get(at + k).is_some_and(|t| t == w))
    };
    let (mut out, mut i) = (Vec::new(), 0);
    while i < all.len() {
        if is(i, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            let mut depth = 0;
            while i < all.len() {
                match all[i].as_str() {
                    "{" | "(" | "[" => depth += 1,
                    "}" | ")" | "]" => depth -= 1,
                    _ => {}
                }
                let ends = depth == 0 && matches!(all[i].as_str(), "}" | ";");
                i += 1;
                if ends {
                    break;
                }
            }
        } else {
            out.push(all[i].clone());
            i += 1;
        }
    }
    out
}

/// The rooms that the file names after `crate::` (in `main.rs`: `loadline::`), or reaches with
/// `super::` from the top of its room.
fn imports(path: &str, text: &str) -> BTreeSet<String> {
    let tokens = tokens(text);
    let crate_name = if room(path) == "main" {
        "loadline"
    } else {
        "crate"
    };
    // How many `super` lead from this file to the crate's root.
    let parts = path.strip_prefix("src/").unwrap_or(path).split('/').count();
    let folder_file = path.ends_with("/mod.rs");
    let depth = if folder_file { parts - 1 } else { parts };
    let mut out = BTreeSet::new();
    let mut i = 0;
    while i < tokens.len() {
        let mut next = None;
        if tokens[i] == crate_name && tokens.get(i + 1).is_some_and(|t| t == "::") {
            next = Some(i + 2);
        } else if tokens[i] == "super" {
            let mut supers = 1;
            let mut k = i + 1;
            while tokens.get(k).is_some_and(|t| t == "::")
                && tokens.get(k + 1).is_some_and(|t| t == "super")
            {
                supers += 1;
                k += 2;
            }
            if supers >= depth && tokens.get(k).is_some_and(|t| t == "::") {
                next = Some(k + 1);
            }
            i = k;
        }
        if let Some(at) = next {
            out.extend(first_names(&tokens[at..]));
        }
        i += 1;
    }
    out
}

/// `a::b` names `a`; `{a::b, c::{d}}` names `a` and `c`.
fn first_names(tokens: &[String]) -> Vec<String> {
    if tokens.first().is_none_or(|t| t != "{") {
        return tokens.first().cloned().into_iter().collect();
    }
    let (mut out, mut depth, mut fresh) = (Vec::new(), 0, true);
    for token in tokens {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => fresh = true,
            name if depth == 1 && fresh => {
                out.push(name.to_owned());
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    out
}

fn import_violations(path: &str, text: &str) -> Vec<String> {
    let own = room(path);
    if own == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = IMPORTS.iter().find(|(r, _)| *r == own) else {
        return vec![format!("{path}: room {own} has no row in the import table")];
    };
    imports(path, text)
        .into_iter()
        .filter(|to| to != own && (to != "telemetry" || own == "main"))
        .filter(|to| !allowed.contains(&to.as_str()))
        .map(|to| format!("{path}: {own} must not import {to}"))
        .collect()
}

/// What only some rooms may do.
struct Deed {
    what: &'static str,
    rooms: &'static [&'static str],
    /// The token sequences that give it away, words apart by spaces.
    signs: &'static [&'static str],
}

const DEEDS: &[Deed] = &[
    // `spawn_blocking(..).await` is not among them: its caller waits for it.
    Deed {
        what: "spawns",
        rooms: &["daemon"],
        signs: &[
            "tokio :: spawn",
            "task :: spawn",
            "thread :: spawn",
            "thread :: Builder",
            "spawn_local",
            "JoinSet",
            "TaskTracker",
        ],
    },
    Deed {
        what: "reads the environment",
        rooms: &["config"],
        signs: &[
            "env :: var",
            "env :: var_os",
            "env :: vars",
            "env :: vars_os",
            "env :: {",
            "home_dir",
        ],
    },
    Deed {
        what: "reads time",
        rooms: &["clock"],
        signs: &[
            "Instant :: now",
            "SystemTime :: now",
            "Timestamp :: now",
            "Zoned :: now",
            "UNIX_EPOCH . elapsed",
        ],
    },
    Deed {
        what: "prints",
        rooms: &["cli"],
        signs: &[
            "print !",
            "println !",
            "eprint !",
            "eprintln !",
            "dbg !",
            "io :: stdout",
        ],
    },
    Deed {
        what: "speaks SQL",
        rooms: &["state", "sources"],
        signs: &["sqlx"],
    },
    Deed {
        what: "includes code",
        rooms: &[],
        signs: &["include !"],
    },
    Deed {
        what: "allows a lint for ever: use #[expect(lint, reason = \"...\")]",
        rooms: &[],
        signs: &["[ allow ("],
    },
];

fn deed_violations(path: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut out = Vec::new();
    for deed in DEEDS.iter().filter(|d| !d.rooms.contains(&room(path))) {
        for sign in deed.signs {
            let words: Vec<&str> = sign.split(' ').collect();
            if tokens.windows(words.len()).any(|w| w == words) {
                out.push(format!("{path}: {} {} ({sign})", room(path), deed.what));
            }
        }
    }
    out
}

fn shape_violations(path: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let drawer = |part: &str| {
        let name = part.trim_end_matches(".rs");
        matches!(
            name,
            "util" | "utils" | "common" | "helper" | "helpers" | "misc"
        )
    };
    if path.split('/').any(drawer) {
        out.push(format!("{path}: a drawer; name the file for what it holds"));
    }
    let all: Vec<&str> = text.lines().collect();
    let tests_begin =
        |w: &[&str]| w[0] == "#[cfg(test)]" && w[1].starts_with("mod ") && w[1].ends_with('{');
    let lines = all.windows(2).position(tests_begin).unwrap_or(all.len());
    if lines > MOST_LINES && !LONGER.iter().any(|(p, _)| *p == path) {
        out.push(format!(
            "{path}: {lines} lines without tests; at most {MOST_LINES}"
        ));
    }
    out
}

#[test]
fn imports_point_one_way() {
    let all = sources();
    let tests = test_files(&all);
    let found: Vec<String> = all
        .iter()
        .filter(|(path, _)| !tests.contains(path))
        .flat_map(|(path, text)| import_violations(path, text))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_deed_has_its_room() {
    let all = sources();
    let tests = test_files(&all);
    let found: Vec<String> = all
        .iter()
        .filter(|(path, _)| !tests.contains(path))
        .flat_map(|(path, text)| deed_violations(path, text))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_are_short_and_named_for_what_they_hold() {
    let all = sources();
    assert!(all.len() > 20, "only {} files found", all.len());
    let tests = test_files(&all);
    let found: Vec<String> = all
        .iter()
        .filter(|(path, _)| !tests.contains(path))
        .flat_map(|(p, t)| shape_violations(p, t))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    for (path, _) in LONGER {
        let text = &all.iter().find(|(p, _)| p == path).unwrap().1;
        let lines = text.lines().count();
        assert!(
            lines > MOST_LINES,
            "{path} is short again: take it off the list"
        );
    }
}

#[test]
fn the_import_table_has_no_circle() {
    let mut done: BTreeSet<&str> = BTreeSet::from(["telemetry"]);
    let mut left: Vec<_> = IMPORTS.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|(room, of)| {
            let ready = of.iter().all(|r| done.contains(r));
            if ready {
                done.insert(room);
            }
            !ready
        });
        assert!(left.len() < before, "a circle among {left:?}");
    }
}

#[test]
fn every_room_of_the_crate_is_in_the_table() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let tokens = lex(&lib);
    let rooms: BTreeSet<&str> = tokens
        .windows(2)
        .filter(|w| w[0] == "mod")
        .map(|w| w[1].as_str())
        .collect();
    let table: BTreeSet<&str> = IMPORTS
        .iter()
        .map(|(r, _)| *r)
        .filter(|r| *r != "main")
        .collect();
    assert_eq!(rooms, table);
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let reasons = std::fs::read_to_string(root().join("docs/decisions/dependencies.md")).unwrap();
    let found = dependency_violations(&manifest, &reasons);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn dependency_violations(manifest: &str, reasons: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut names = BTreeSet::new();
    let targets = manifest.get("target").and_then(|t| t.as_table());
    let per_target = targets.into_iter().flat_map(toml::Table::values);
    for place in per_target
        .filter_map(toml::Value::as_table)
        .chain([&manifest])
    {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            if let Some(list) = place.get(table).and_then(|t| t.as_table()) {
                names.extend(list.keys().map(String::as_str));
            }
        }
    }
    // A line is: - `name`: why it and not its rivals.
    let reasons: BTreeSet<&str> = reasons
        .lines()
        .filter_map(|l| l.strip_prefix("- `")?.split_once("`: "))
        .filter(|(_, why)| why.len() > 20)
        .map(|(name, _)| name)
        .collect();
    let missing = names
        .difference(&reasons)
        .map(|n| format!("docs/decisions/dependencies.md: no line for {n}"));
    let stale = reasons
        .difference(&names)
        .map(|n| format!("docs/decisions/dependencies.md: {n} is no dependency"));
    missing.chain(stale).collect()
}

#[test]
fn planted_violations_are_caught() {
    let import = |path: &str, text: &str, want: &[&str]| {
        let got = import_violations(path, text);
        let want: Vec<String> = want
            .iter()
            .map(|to| format!(" must not import {to}"))
            .collect();
        assert_eq!(got.len(), want.len(), "{path} {text}: {got:?}");
        assert!(
            got.iter().zip(&want).all(|(g, w)| g.ends_with(w.as_str())),
            "{got:?}"
        );
    };
    import("src/store/mod.rs", "use crate::promql::Expr;", &["promql"]);
    import(
        "src/store/mod.rs",
        "use crate::{model::Labels, rules, config::{Span}};",
        &["rules"],
    );
    import(
        "src/store/index.rs",
        "fn f() { crate::notify::send() }",
        &["notify"],
    );
    import("src/store/index.rs", "use super::super::api;", &["api"]);
    import("src/store/index.rs", "use super::series::api;", &[]);
    import("src/store/mod.rs", "use super::{api, model};", &["api"]);
    import("src/model/mod.rs", "use crate::telemetry::Metrics;", &[]);
    import(
        "src/advice/steps.rs",
        "pub(crate) fn f() {} // crate::api\n/* crate::api */",
        &[],
    );
    import(
        "src/advice/steps.rs",
        r##"const A: &str = r#"crate::api "quoted""#;"##,
        &[],
    );
    import(
        "src/advice/steps.rs",
        "const A: &str = \"\\\"crate::api\"; const B: char = '\"'; use crate::api;",
        &["api"],
    );
    import(
        "src/advice/steps.rs",
        "fn f<'a>(x: &'a str) -> &'a str { crate::api::g(x) }",
        &["api"],
    );
    import(
        "src/store/mod.rs",
        "#[cfg(test)]\nmod tests { use crate::promql::parse; }\nuse crate::api;",
        &["api"],
    );
    import(
        "src/store/mod.rs",
        "#[cfg(test)] use crate::promql::parse; use crate::rules;",
        &["rules"],
    );
    import(
        "src/main.rs",
        "use loadline::daemon; fn main() { loadline::cli::main() }",
        &["daemon"],
    );
    assert_eq!(
        import_violations("src/misc.rs", "").len(),
        1,
        "an unknown room"
    );

    let deed = |path: &str, text: &str, want: usize| {
        let got = deed_violations(path, text);
        assert_eq!(got.len(), want, "{path} {text}: {got:?}");
    };
    deed("src/notify/worker.rs", "tokio::spawn(async {});", 1);
    deed("src/daemon.rs", "tokio::spawn(async {});", 0);
    deed("src/sources/host.rs", "let x = std::env::var(\"HOME\");", 1);
    deed("src/config/env.rs", "let x = std::env::var(\"HOME\");", 0);
    deed("src/rules/alert.rs", "let now = Instant::now();", 1);
    deed("src/advice/words.rs", "println!(\"x\");", 1);
    deed("src/cli/next.rs", "println!(\"x\");", 0);
    deed(
        "src/advice/words.rs",
        "// println!(\"x\")\nlet a = \"println!\";",
        0,
    );
    deed("src/rules/mod.rs", "sqlx::query(\"SELECT 1\");", 1);
    deed(
        "src/promql/parse.rs",
        "include!(\"x.rs\"); include_str!(\"y\");",
        1,
    );
    deed("src/promql/parse.rs", "#[allow(dead_code)] fn f() {}", 1);

    let long = "x\n".repeat(MOST_LINES + 1);
    assert_eq!(shape_violations("src/rules/file.rs", &long).len(), 1);
    let tests = format!("x\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(shape_violations("src/rules/file.rs", &tests).len(), 0);
    assert_eq!(shape_violations("src/rules/utils.rs", "").len(), 1);
    assert_eq!(shape_violations("src/common/mod.rs", "").len(), 1);

    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let all = [
        file(
            "src/a/mod.rs",
            "#[cfg(test)]\npub(crate) mod fake;\nmod b; mod real;",
        ),
        file("src/a/b.rs", "#[cfg(test)]\nmod tests;"),
        file("src/a/b/tests.rs", ""),
        file("src/a/fake.rs", ""),
        file("src/a/fake/world.rs", ""),
        file(
            "src/a/real.rs",
            "#[cfg(test)]\nmod tests { mod b; }\nmod fake;",
        ),
        file("src/a/real/fake.rs", ""),
    ];
    let got: Vec<String> = test_files(&all).into_iter().collect();
    assert_eq!(
        got,
        ["src/a/b/tests.rs", "src/a/fake.rs", "src/a/fake/world.rs"]
    );

    let manifest = "[dependencies]\na = \"1\"\nb = { version = \"1\" }\n";
    let reasons =
        "- `a`: because it is the one that does this.\n- `c`: because it was here once.\n";
    let got = dependency_violations(manifest, reasons).join("\n");
    assert!(
        got.contains("no line for b") && got.contains("c is no dependency"),
        "{got}"
    );
}
