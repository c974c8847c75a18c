//! The page that says what carries each item of the documents.

use std::fmt::Write as _;

use super::playbook::Playbook;

/// How the page is written anew.
pub const COMMAND: &str = "loadline check playbook --coverage > docs/coverage.md";

/// The page in Markdown, from the data alone.
pub fn page(book: &Playbook) -> String {
    let mut out = format!(
        "# What carries each item of the documents\n\n\
         Written from `rules/playbook/*.toml` by `{COMMAND}`; a test keeps it so.\n\n\
         {} signs, {} rows of candidates, {} steps, {} order rules, {} disagreements, {} warnings, \
         {} principles, {} facts, {} items.\n",
        book.signs().count(),
        book.rows().count(),
        book.steps().count(),
        book.orders().count(),
        book.conflicts().count(),
        book.donts().count(),
        book.principles().count(),
        book.facts().count(),
        book.items().count(),
    );
    let mut heading = String::new();
    for item in book.items() {
        let id = item.id.get_ref();
        let letter = id.split('-').next().unwrap_or_default();
        if heading != letter {
            heading = letter.to_owned();
            let title = book.source_title(letter).unwrap_or(letter);
            let _ = write!(
                out,
                "\n## {title}\n\n| item | says | where | carried by |\n|---|---|---|---|\n"
            );
        }
        let by: Vec<String> = item.by.iter().map(|b| carrier(book, b.get_ref())).collect();
        let cite: Vec<String> = item
            .cite
            .iter()
            .map(|c| book.citation_text(c.get_ref()))
            .collect();
        let _ = writeln!(
            out,
            "| {id} | {} | {} | {} |",
            cell(&item.text),
            cell(&cite.join("; ")),
            by.join(", ")
        );
    }
    out.push_str("\n## Principles\n\n");
    for p in book.principles() {
        let _ = writeln!(out, "- {}: {}", p.id.get_ref(), book.cited(&p.text));
    }
    out.push_str("\n## Orders of the documents\n\n");
    for s in book.sequences() {
        let _ = writeln!(out, "- {}: {}", s.id.get_ref(), book.cited(&s.text));
    }
    out.push_str("\n## Systems that the documents tell of\n\n");
    for x in book.examples() {
        let _ = writeln!(out, "- {}: {}", x.name, book.cited(&x.text));
    }
    out.push_str("\n## Products that the documents name\n\n");
    for t in book.technologies() {
        let _ = writeln!(out, "- {}: {}", t.id.get_ref(), t.names.join(", "));
    }
    out.push_str("\n## Facts\n\n| fact | question |\n|---|---|\n");
    for f in book.facts() {
        let _ = writeln!(out, "| `{}` | {} |", f.id.get_ref(), cell(&f.question));
    }
    out.push_str("\n## Candidates\n\n| row | sign | candidates in order |\n|---|---|---|\n");
    let mut rows: Vec<_> = book.rows().collect();
    rows.sort_by(|a, b| (&a.id, a.sign.get_ref()).cmp(&(&b.id, b.sign.get_ref())));
    for row in rows {
        let candidates: Vec<String> = row.candidate.iter().map(candidate).collect();
        let sign = row.sign.get_ref();
        let _ = writeln!(out, "| {} | `{sign}` | {} |", row.id, candidates.join("; "));
    }
    out
}

fn candidate(c: &super::playbook::rows::Candidate) -> String {
    use super::playbook::rows::Each;
    let mut out = match (&c.step, &c.row, &c.row_of, c.each) {
        (Some(step), ..) => format!("`{}`", step.get_ref()),
        (None, Some(row), ..) => format!("the row of `{}`", row.get_ref()),
        (None, None, Some(label), _) => format!("the row of the sign in label `{label}`"),
        (None, None, None, Some(Each::UsualOfNextRung)) => {
            "usual steps of the next rung".to_owned()
        }
        (None, None, None, Some(Each::MissingPrerequisite)) => "missing prerequisites".to_owned(),
        (None, None, None, None) => String::new(),
    };
    if let Some(guard) = &c.guard {
        let _ = write!(out, " if {}", guard.get_ref());
    }
    if c.again {
        out.push_str(" (again)");
    }
    out
}

/// A carrier with its kind.
fn carrier(book: &Playbook, id: &str) -> String {
    let kind = match () {
        () if book.step(id).is_some() => "step",
        () if book.sign(id).is_some() => "sign",
        () if book.rung_index(id).is_some() => "rung",
        () if book.fact(id).is_some() => "fact",
        () => return id.to_owned(),
    };
    format!("{kind} `{id}`")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::tests::playbook;

    #[test]
    fn every_item_of_the_documents_is_carried() {
        let book = playbook();
        let of = |letter: &str| {
            let own = |i: &&super::super::playbook::texts::Item| i.id.get_ref().starts_with(letter);
            book.items().filter(own).count()
        };
        assert_eq!(
            ["A", "B", "C", "D", "E"].map(of),
            [87, 68, 63, 49, 66],
            "items per document"
        );
        assert!(book.items().all(|i| !i.by.is_empty() && !i.cite.is_empty()));
    }

    #[test]
    fn every_sign_and_step_carries_something_or_is_needed() {
        let book = playbook();
        assert_eq!(
            (
                book.signs().count(),
                book.rows().count(),
                book.steps().count(),
                book.conflicts().count(),
                book.donts().count(),
                book.principles().count(),
                book.examples().count(),
            ),
            (94, 94, 102, 45, 43, 28, 9)
        );
        let orders = book.orders().filter(|o| o.id.get_ref().len() == 5).count();
        assert_eq!(orders, 164);
    }

    #[test]
    fn the_page_is_what_the_data_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coverage.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == page(&playbook()), "stale; run: {COMMAND}");
    }
}
