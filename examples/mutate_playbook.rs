//! Tells which changes of the shipped playbook the decision cases notice.
//!
//! `cargo run --example mutate_playbook` changes one thing at a time, in memory: it swaps two
//! neighbours of a row, drops a candidate's condition, drops a `requires`. A change is caught when
//! a case of `tests/decisions` no longer gets its answer, or when the playbook is refused. Survivors
//! are printed; `docs/decisions-mutants.md` says why each is the same playbook.
//! `--cases` prints the cases that differ with nothing changed.

#![expect(clippy::print_stdout, reason = "an example prints its answer")]

#[path = "../tests/decisions/cases.rs"]
mod cases;

use std::collections::BTreeMap;

use cases::Case;
use toml::{Table, Value};

/// A changed playbook.
struct Mutant {
    kind: &'static str,
    what: String,
    /// The sign whose cases are asked first.
    row: String,
    files: Vec<(String, String)>,
}

fn main() -> Result<(), String> {
    let files = cases::shipped();
    let all: Vec<Case> = cases::all().into_iter().flat_map(|(_, c)| c.case).collect();
    let book = cases::playbook(&files)?;
    let differ: Vec<&Case> = all.iter().filter(|c| c.differs(&book).is_some()).collect();
    if std::env::args().any(|a| a == "--cases") || !differ.is_empty() {
        for case in &differ {
            let how = case.differs(&book).unwrap_or_default();
            println!("{}: {}\n{how}\n", case.row, case.name);
        }
        println!("{} of {} cases differ", differ.len(), all.len());
        println!(
            "rows with few: {:?}",
            cases::rows_below(&book, &cases::all(), 3)
        );
        return Ok(());
    }
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for mutant in mutants(&files)? {
        let count = counts.entry(mutant.kind).or_default();
        count.1 += 1;
        if caught(&mutant, &all) {
            count.0 += 1;
        } else {
            println!("survives: {}: {}", mutant.kind, mutant.what);
        }
    }
    let (caught, total) = counts
        .values()
        .fold((0, 0), |(c, t), (caught, total)| (c + caught, t + total));
    for (kind, (caught, total)) in &counts {
        println!("{kind}: {caught} of {total}");
    }
    println!("{caught} of {total} caught by {} cases", all.len());
    Ok(())
}

fn caught(mutant: &Mutant, all: &[Case]) -> bool {
    let Ok(book) = cases::playbook(&mutant.files) else {
        return true;
    };
    let (own, others): (Vec<&Case>, Vec<&Case>) = all.iter().partition(|c| c.row == mutant.row);
    own.into_iter()
        .chain(others)
        .any(|case| case.differs(&book).is_some())
}

/// Pairs that an unconditional preference puts in order, however the row has them.
fn preferred(files: &[(String, String)]) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    for (name, text) in files {
        let table: Table = toml::from_str(text).map_err(|e| format!("{name}: {e}"))?;
        for order in list(&table, "order") {
            if text_of(order, "kind") == "prefer" && order.get("guard").is_none() {
                let pair = (text_of(order, "first"), text_of(order, "then"));
                out.push((pair.0.to_owned(), pair.1.to_owned()));
            }
        }
    }
    Ok(out)
}

fn mutants(files: &[(String, String)]) -> Result<Vec<Mutant>, String> {
    let preferred = preferred(files)?;
    let mut out = Vec::new();
    for (at, (name, text)) in files.iter().enumerate() {
        let table: Table = toml::from_str(text).map_err(|e| format!("{name}: {e}"))?;
        let mut add = |kind, what: String, row: &str, changed: &Table| {
            let mut files = files.to_vec();
            files[at].1 = toml::to_string(changed).map_err(|e| e.to_string())?;
            out.push(Mutant {
                kind,
                what,
                row: row.to_owned(),
                files,
            });
            Ok::<(), String>(())
        };
        for (r, row) in list(&table, "row").iter().enumerate() {
            let sign = text_of(row, "sign");
            let candidates = row
                .as_table()
                .map(|t| list(t, "candidate"))
                .unwrap_or_default();
            for (c, candidate) in candidates.iter().enumerate() {
                let named = name_of(candidate);
                if let Some(next) = candidates.get(c + 1) {
                    let mut changed = table.clone();
                    if let Some(list) = candidates_of(&mut changed, r) {
                        list.swap(c, c + 1);
                    }
                    let what = format!("{sign}: {} {named} and {} {}", c + 1, c + 2, name_of(next));
                    let pair = (named.to_owned(), name_of(next).to_owned());
                    let kind = if preferred.contains(&pair) {
                        "swap that a preference undoes"
                    } else {
                        "swap"
                    };
                    add(kind, what, sign, &changed)?;
                }
                if let Some(guard) = candidate.get("guard") {
                    let mut changed = table.clone();
                    let of = candidates_of(&mut changed, r).and_then(|list| list.get_mut(c));
                    if let Some(t) = of.and_then(Value::as_table_mut) {
                        t.remove("guard");
                    }
                    let what = format!("{sign}: {} {named} {{{guard}}}", c + 1);
                    add("guard", what, sign, &changed)?;
                }
            }
        }
        for (o, order) in list(&table, "order").iter().enumerate() {
            if text_of(order, "kind") != "requires" {
                continue;
            }
            let mut changed = table.clone();
            if let Some(orders) = changed.get_mut("order").and_then(Value::as_array_mut) {
                orders.remove(o);
            }
            let (first, then) = (text_of(order, "first"), text_of(order, "then"));
            let what = format!("{} {then} needs {first}", text_of(order, "id"));
            add("requires", what, "", &changed)?;
        }
    }
    Ok(out)
}

fn list<'a>(table: &'a Table, key: &str) -> &'a [Value] {
    table
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn candidates_of(table: &mut Table, row: usize) -> Option<&mut Vec<Value>> {
    table
        .get_mut("row")?
        .get_mut(row)?
        .get_mut("candidate")?
        .as_array_mut()
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn name_of(candidate: &Value) -> &str {
    ["step", "row", "row_of", "each"]
        .iter()
        .map(|key| text_of(candidate, key))
        .find(|text| !text.is_empty())
        .unwrap_or("?")
}
