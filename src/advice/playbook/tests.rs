//! Loading: what is refused, with its place, and how files build on each other.

use super::*;

/// A small playbook; each test breaks one thing of it.
const BOOK: &str = r#"[[source]]
tag = "B"
title = "Book"
sections = { one = "chapter 1" }
[[rung]]
id = "L0"
title = "start"
[[sign]]
id = "hot"
title = "It is hot"
group = "rest"
tier = "host"
needs = "temperature"
cite = ["[B]one"]
[[row]]
sign = "hot"
candidate = [{ step = "fan", guard = "fact(noise-allowed)" }]
[[fact]]
id = "noise-allowed"
kind = "bool"
question = "May it be loud?"
[[step]]
id = "fan"
title = "Add a fan"
question = "Is there a fan?"
rungs = { earliest = "L0", usual = "L0", latest = "L0" }
lead_time = "1d"
what = "Blow."
because = "air cools"
effect = "Cooler [B]one."
detect = { kind = "auto", present = "fans > 0" }
cite = ["[B]one"]
[[step]]
id = "window"
title = "Open a window"
question = "Is a window open?"
rungs = { earliest = "L0", usual = "L0", latest = "L0" }
lead_time = "1d"
what = "Open."
because = "air moves"
detect = { kind = "declared" }
cite = ["[B]one"]
[[order]]
id = "O-1"
kind = "requires"
first = "window"
then = "fan"
"#;

fn load(files: &[&str]) -> Result<Playbook, Problems> {
    let files: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(i, text)| (format!("{}.toml", i + 1), (*text).to_owned()))
        .collect();
    Playbook::load(&files, &|expr| {
        if expr.contains('!') {
            Err("1:1: no such sign".to_owned())
        } else {
            Ok(())
        }
    })
}

#[test]
fn loads_and_orders_by_requirement() {
    let book = load(&[BOOK]).unwrap();
    let steps: Vec<_> = book.steps().map(|s| s.id.get_ref().as_str()).collect();
    assert_eq!(steps, ["window", "fan"]);
    assert_eq!(book.queries(), ["fans > 0", "temperature"]);
    assert_eq!(book.citation_text("[B]one"), "Book, chapter 1");
    assert_eq!(
        book.cited("Cooler [B]one [B]one, [see] [B]."),
        "Cooler (Book, chapter 1; Book, chapter 1), [see] [B]."
    );
}

#[test]
fn refuses_what_is_wrong_with_its_place() {
    for (from, to, want) in [
        (
            "title = \"It is hot\"",
            "titel = \"It is hot\"",
            "1.toml:10:1: unknown field `titel`",
        ),
        (
            "group = \"rest\"",
            "group = \"sun\"",
            "1.toml:11:9: unknown variant `sun`",
        ),
        (
            "sign = \"hot\"",
            "sign = \"hto\"",
            "1.toml:16:8: row \"hto\": unknown sign \"hto\"; did you mean \"hot\"?",
        ),
        (
            "step = \"fan\"",
            "step = \"van\"",
            "1.toml:17:23: row \"hot\": unknown step \"van\"; did you mean \"fan\"?",
        ),
        (
            "fact(noise-allowed)",
            "fact(noise)",
            "1.toml:17:38: row \"hot\": unknown fact \"noise\" in a guard",
        ),
        (
            "fact(noise-allowed)",
            "maybe",
            "1.toml:17:38: unknown word \"maybe\" in a guard; accepted: fires(SIGN)",
        ),
        (
            "earliest = \"L0\"",
            "earliest = \"L9\"",
            "1.toml:26:22: step \"fan\": unknown rung \"L9\"",
        ),
        (
            "cite = [\"[B]one\"]",
            "cite = [\"[B]two\"]",
            "1.toml:14:9: sign \"hot\": unknown citation \"[B]two\"",
        ),
        (
            "Cooler [B]one",
            "Cooler [C]one",
            "1.toml:23:6: step \"fan\": unknown citation \"[C]one\"",
        ),
        (
            "fans > 0",
            "fans ! 0",
            "1.toml:31:37: step \"fan\": bad PromQL: 1:1: no such sign",
        ),
        (
            "id = \"window\"",
            "id = \"fan\"",
            "1.toml:34:6: step \"fan\": stands twice in this file",
        ),
        ("kind = \"bool\"", "kind = bool", "1.toml:20:8"),
    ] {
        assert!(BOOK.contains(from), "{from}");
        let got = load(&[&BOOK.replacen(from, to, 1)])
            .unwrap_err()
            .to_string();
        assert!(got.contains(want), "{to}: {got}");
    }
}

#[test]
fn refuses_cycles() {
    let cycle =
        "[[order]]\nid = \"O-2\"\nkind = \"requires\"\nfirst = \"fan\"\nthen = \"window\"\n";
    let got = load(&[BOOK, cycle]).unwrap_err().to_string();
    assert!(got.contains("2.toml:2:6: order \"O-2\""), "{got}");
    assert!(got.contains("closes a cycle"), "{got}");
    let circle = "[[row]]\nsign = \"hot\"\ncandidate = [{ row = \"hot\" }]\n";
    let got = load(&[BOOK, circle]).unwrap_err().to_string();
    assert!(got.contains("2.toml:2:8: row \"hot\""), "{got}");
}

#[test]
fn a_later_file_replaces_whole_rows_and_adds_others() {
    let mine = "[[fact]]\nid = \"noise-allowed\"\nkind = \"bool\"\nquestion = \"Loud?\"\ndefault = true\n\
                [[fact]]\nid = \"mine\"\nkind = \"number\"\nquestion = \"How many?\"\n";
    let book = load(&[BOOK, mine]).unwrap();
    assert_eq!(book.fact("noise-allowed").unwrap().question, "Loud?");
    assert!(book.fact("mine").is_some());
}

#[test]
fn the_files_of_the_pack_load_and_their_rows_follow_the_preferences() {
    let files = crate::advice::tests::shipped();
    let book = Playbook::load(&files, &|_| Ok(())).unwrap_or_else(|e| panic!("{e}"));
    // The order of a row is the order that holds while no guarded preference says otherwise.
    for row in book.rows.values() {
        let ids: Vec<_> = row
            .candidate
            .iter()
            .filter_map(|c| c.step.as_ref().map(|s| s.get_ref().as_str()))
            .collect();
        for o in book.orders().filter(|o| o.guard.is_none()) {
            let first = ids.iter().position(|id| id == o.first.get_ref());
            let then = ids.iter().rposition(|id| id == o.then.get_ref());
            if let (Some(first), Some(then)) = (first, then) {
                assert!(first < then, "{} in {}", o.id.get_ref(), row.sign.get_ref());
            }
        }
    }
    // A selector without a metric name would make the store read every line of every target.
    for q in book.queries() {
        assert!(!q.contains("__name__"), "{q}");
    }
}
