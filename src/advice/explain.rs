//! What the playbook says of one sign or step.

use serde::Serialize;

use super::playbook::Playbook;
use super::playbook::rows::{Candidate, DetectKind, Each, OrderKind, Sign, SignKind, Step, Text};
use super::words;

/// A sign or step in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Its id.
    pub id: String,
    /// `sign` or `step`.
    pub kind: &'static str,
    /// Its title.
    pub title: String,
    /// Label and text, in reading order.
    pub lines: Vec<(&'static str, String)>,
}

/// Explains a sign or step by id; `None` when there is neither.
pub fn explain(book: &Playbook, id: &str) -> Option<Explained> {
    if let Some(sign) = book.sign(id) {
        return Some(of_sign(book, sign));
    }
    book.step(id).map(|step| of_step(book, step))
}

fn of_sign(book: &Playbook, sign: &Sign) -> Explained {
    let id = sign.id.get_ref();
    let mut lines = vec![
        ("sees", book.cited(&sign.sees)),
        ("documents", book.cited(&sign.bounds)),
    ];
    lines.push((
        "told by",
        match sign.kind {
            SignKind::Measured => "metrics".to_owned(),
            SignKind::MeasuredOrDeclared => format!(
                "metrics; where there are none: {}",
                words::fact_line(id, "true").replace('\n', " ")
            ),
            SignKind::Declared => words::fact_line(id, "true").replace('\n', " "),
            SignKind::Derived => "the advisor".to_owned(),
        },
    ));
    lines.extend(sign.first_aid.iter().map(|a| ("first aid", a.text.clone())));
    let candidates = book.row(id).map(|r| r.candidate.as_slice());
    for (i, c) in candidates.unwrap_or_default().iter().enumerate() {
        let text = format!("{}. {}", i + 1, candidate(book, c));
        lines.push(if i == 0 { ("steps", text) } else { ("", text) });
    }
    for line in book.lines_of(id) {
        let ids: Vec<&str> = line.signs.iter().map(|s| s.get_ref().as_str()).collect();
        lines.push((
            "line",
            format!("{}: {}", line.id.get_ref(), ids.join(" -> ")),
        ));
    }
    lines.push(("source", sources(book, &sign.cite)));
    Explained {
        id: id.clone(),
        kind: "sign",
        title: sign.title.clone(),
        lines: said(lines),
    }
}

fn of_step(book: &Playbook, step: &Step) -> Explained {
    let id = step.id.get_ref();
    let ordered = |kind, before: bool| -> String {
        let of = book.orders().filter(|o| o.kind == kind).filter_map(|o| {
            let (first, then) = (o.first.get_ref(), o.then.get_ref());
            match before {
                true if then == id => Some(first.as_str()),
                false if first == id => Some(then.as_str()),
                true | false => None,
            }
        });
        of.collect::<Vec<_>>().join(", ")
    };
    let called_by: Vec<&str> = book
        .rows()
        .filter(|r| {
            r.candidate
                .iter()
                .any(|c| c.step.as_ref() == Some(&step.id))
        })
        .map(|r| r.sign.get_ref().as_str())
        .collect();
    let rungs = &step.rungs;
    let detect = match step.detect.kind {
        DetectKind::Auto => "seen in metrics; unseen means not observed",
        DetectKind::Partial => "seen in some installations only; unseen means unknown",
        DetectKind::Declared => "people say so",
        DetectKind::Symptom => "in place while its signs are quiet",
    };
    let mut lines = vec![
        ("what", book.cited(&step.what)),
        ("because", step.because.clone()),
        ("effect", book.cited(&step.effect)),
        ("cost", book.cited(&step.cost)),
        ("takes", words::lead_time(&step.lead_time)),
    ];
    lines.extend(step.risks.iter().map(|r| ("watch", book.cited(r))));
    lines.push(("not yet", book.cited(&step.not_yet)));
    lines.extend(
        book.donts()
            .filter(|d| d.steps.contains(&step.id))
            .map(|d| {
                let on: Vec<&str> = d.rungs.iter().map(|r| r.get_ref().as_str()).collect();
                ("not", format!("{} ({})", words::dont(d), on.join(", ")))
            }),
    );
    let only = step
        .only_if
        .as_ref()
        .map(|g| words::only_while(g.get_ref()));
    let never = step
        .never_if
        .as_ref()
        .map(|g| words::never_while(g.get_ref()));
    lines.extend([
        ("named", only.unwrap_or_default()),
        ("named", never.unwrap_or_default()),
        ("requires", ordered(OrderKind::Requires, true)),
        ("after", ordered(OrderKind::Prefer, true)),
        ("before", ordered(OrderKind::Prefer, false)),
        (
            "stage",
            format!(
                "earliest {}, usual {}, latest {}",
                rungs.earliest.get_ref(),
                rungs.usual.get_ref(),
                rungs.latest.get_ref()
            ),
        ),
        ("placed", book.cited(&step.placed)),
        ("detect", detect.to_owned()),
        (
            "verify",
            step.verify
                .as_ref()
                .map(|q| q.get_ref().clone())
                .unwrap_or_default(),
        ),
        ("confirm", words::fact_line(id, "true").replace('\n', " ")),
        ("signs", called_by.join(", ")),
        ("source", sources(book, &step.cite)),
    ]);
    lines.extend(book.conflicts_of(id).map(|c| {
        (
            "dissent",
            format!("{}: {}", c.id.get_ref(), book.cited(&words::dissent(c))),
        )
    }));
    Explained {
        id: id.clone(),
        kind: "step",
        title: step.title.clone(),
        lines: said(lines),
    }
}

fn candidate(book: &Playbook, c: &Candidate) -> String {
    let mut text = match (&c.step, &c.row, &c.row_of, c.each) {
        (Some(step), ..) => format!(
            "{} ({})",
            book.step_ref(step.get_ref()).title,
            step.get_ref()
        ),
        (None, Some(row), ..) => format!("go on with the steps of {}", row.get_ref()),
        (None, None, Some(_), _) => {
            "go on with the steps of the sign that owns the limit".to_owned()
        }
        (None, None, None, Some(Each::UsualOfNextRung)) => {
            "the usual steps of the next stage".to_owned()
        }
        (None, None, None, Some(Each::MissingPrerequisite)) => {
            "the missing prerequisite".to_owned()
        }
        (None, None, None, None) => String::new(),
    };
    if let Some(guard) = &c.guard {
        text.push_str(&format!(", if {}", guard.get_ref()));
    }
    if c.again {
        text.push_str(", also once more");
    }
    text
}

fn sources(book: &Playbook, cite: &[Text]) -> String {
    let texts: Vec<String> = cite
        .iter()
        .map(|c| book.citation_text(c.get_ref()))
        .collect();
    texts.join("; ")
}

fn said(lines: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    lines
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::tests::playbook;

    #[test]
    fn every_sign_and_step_is_explained_with_its_source() {
        let book = playbook();
        let ids: Vec<String> = book
            .signs()
            .map(|s| s.id.get_ref().clone())
            .chain(book.steps().map(|s| s.id.get_ref().clone()))
            .collect();
        for id in ids {
            let e = explain(&book, &id).unwrap();
            let has = |label| e.lines.iter().any(|(l, t)| *l == label && !t.is_empty());
            assert!(has("source"), "{id}");
            assert!(has(if e.kind == "sign" { "steps" } else { "what" }), "{id}");
        }
        assert_eq!(explain(&book, "nothing"), None);
    }

    #[test]
    fn a_sign_and_a_step_in_words() {
        let book = playbook();
        let text = |id: &str| -> String {
            let e = explain(&book, id).unwrap();
            let lines: Vec<String> = e.lines.iter().map(|(l, t)| format!("{l}: {t}")).collect();
            format!("{}\n{}", e.title, lines.join("\n"))
        };
        let sign = text("connection-per-request");
        assert!(
            sign.contains(
                "steps: 1. Put a connection pooler in front of Postgres (connection-pooling)"
            ),
            "{sign}"
        );
        let step = text("horizontal-sharding");
        for want in [
            "requires: query-optimization, connection-pooling, application-cache, read-replica, vertical-scale-database",
            "named: only while (fires(db-write-ceiling) or fires(db-size-near-limit))",
            "stage: earliest L3, usual L4, latest L4",
            "dissent: K-11: ",
        ] {
            assert!(step.contains(want), "{want} is not in\n{step}");
        }
    }
}
