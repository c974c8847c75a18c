//! Decisions as a page to read in twenty seconds, in Markdown or HTML.
//!
//! What must stay true: both forms come from the same blocks, so they say the same.

use super::decision::{Bottleneck, Decision, Recommendation, Verdict};
use super::words;

/// A piece of the page.
enum Block {
    Title(String),
    Heading(String),
    Text(String),
    /// Label and texts; one text stands beside its label.
    List(&'static str, Vec<String>),
    Code(String),
}

/// The page in Markdown.
pub fn markdown(decisions: &[Decision]) -> String {
    let mut out = String::new();
    for block in blocks(decisions) {
        match block {
            Block::Title(t) => out.push_str(&format!("# {t}\n\n")),
            Block::Heading(t) => out.push_str(&format!("## {t}\n\n")),
            Block::Text(t) => out.push_str(&format!("{t}\n\n")),
            Block::List(label, texts) => match texts.as_slice() {
                [] => {}
                [one] => out.push_str(&format!("**{label}:** {one}\n\n")),
                several => {
                    out.push_str(&format!("**{label}:**\n\n"));
                    for t in several {
                        out.push_str(&format!("- {t}\n"));
                    }
                    out.push('\n');
                }
            },
            Block::Code(t) => out.push_str(&format!("```\n{t}\n```\n\n")),
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The page as one HTML document without scripts or outside references.
pub fn html(decisions: &[Decision]) -> String {
    let mut body = String::new();
    for block in blocks(decisions) {
        match block {
            Block::Title(t) => body.push_str(&format!("<h1>{}</h1>\n", escaped(&t))),
            Block::Heading(t) => body.push_str(&format!("<h2>{}</h2>\n", escaped(&t))),
            Block::Text(t) => body.push_str(&format!("<p>{}</p>\n", escaped(&t))),
            Block::List(label, texts) => match texts.as_slice() {
                [] => {}
                [one] => body.push_str(&format!("<p><b>{label}:</b> {}</p>\n", escaped(one))),
                several => {
                    body.push_str(&format!("<p><b>{label}:</b></p>\n<ul>\n"));
                    for t in several {
                        body.push_str(&format!("<li>{}</li>\n", escaped(t)));
                    }
                    body.push_str("</ul>\n");
                }
            },
            Block::Code(t) => body.push_str(&format!("<pre>{}</pre>\n", escaped(&t))),
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>loadline</title>\n\
         <style>body{{max-width:44em;margin:2em auto;font-family:sans-serif;line-height:1.4}}</style>\n\
         {body}</html>\n"
    )
}

fn blocks(decisions: &[Decision]) -> Vec<Block> {
    let mut out = vec![Block::Title(
        "What holds the system back, and what comes next".to_owned(),
    )];
    for d in decisions {
        let name = if d.system.is_empty() {
            "The system"
        } else {
            &d.system
        };
        let stage = match (&d.rung, &d.rung_from) {
            (Some(rung), Some(from)) => format!(" is at stage {rung} ({from})."),
            (Some(rung), None) => format!(" is at stage {rung}."),
            (None, _) => ": its stage is not known; [facts] users = N tells it.".to_owned(),
        };
        out.push(Block::Text(format!(
            "{name}{stage} As of {}.",
            d.at.to_rfc3339()
        )));
        if d.bottlenecks.is_empty() {
            out.push(Block::Text("No sign fires, so no step is due.".to_owned()));
        }
        for b in &d.bottlenecks {
            bottleneck(b, &mut out);
        }
    }
    out
}

fn bottleneck(b: &Bottleneck, out: &mut Vec<Block>) {
    out.push(Block::Heading(format!("{} ({})", b.title, b.level)));
    let evidence = b.evidence.iter().map(|e| e.text.clone()).collect();
    out.push(Block::List("Seen", evidence));
    match &b.verdict {
        Verdict::Step(r) => step(r, out),
        Verdict::NoStep {
            why,
            first_aid,
            confirm,
            citations,
        } => {
            out.push(Block::List(
                "Next step",
                vec![words::NO_STEP_YET.to_owned()],
            ));
            out.push(Block::List("Why", vec![why.clone()]));
            out.push(Block::List("Do first", first_aid.clone()));
            if let Some(q) = confirm {
                out.push(Block::List("Confirm", vec![q.question.clone()]));
                out.push(Block::Code(q.config.clone()));
            }
            let texts = citations.iter().map(|c| c.text.clone()).collect::<Vec<_>>();
            out.push(Block::List("Source", vec![texts.join("; ")]));
        }
    }
}

fn step(r: &Recommendation, out: &mut Vec<Block>) {
    let title = if r.unless_in_place {
        words::unless_in_place(&r.step)
    } else {
        r.step.title.clone()
    };
    let one = |text: &str| -> Vec<String> {
        if text.is_empty() {
            Vec::new()
        } else {
            vec![text.to_owned()]
        }
    };
    out.push(Block::List("Next step", vec![title]));
    out.push(Block::List(
        "On the way to",
        r.on_the_way_to.iter().map(|s| s.title.clone()).collect(),
    ));
    out.push(Block::List("Why now", one(&r.why)));
    let first = r.first_aid.iter().cloned();
    let before = r
        .prerequisites
        .iter()
        .map(|p| format!("Make sure of: {}", p.title));
    out.push(Block::List("Do first", first.chain(before).collect()));
    out.push(Block::List("Effect", one(&r.effect)));
    out.push(Block::List("Cost", one(&r.cost)));
    out.push(Block::List("Takes", one(&r.lead_time)));
    out.push(Block::List("New risks", r.risks.clone()));
    out.push(Block::List("Not", r.donts.clone()));
    if let Some(q) = &r.verify {
        out.push(Block::List(
            "It has worked when this returns something",
            vec![format!("`{q}`")],
        ));
    }
    out.push(Block::List(
        "After that",
        r.then.iter().map(|s| s.title.clone()).collect(),
    ));
    for q in r.confirm.iter().take(1) {
        out.push(Block::List("Confirm", vec![q.question.clone()]));
        out.push(Block::Code(q.config.clone()));
    }
    let texts: Vec<_> = r.citations.iter().map(|c| c.text.clone()).collect();
    out.push(Block::List("Source", one(&texts.join("; "))));
    out.push(Block::List("Dissent", r.dissent.clone()));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::given::decide_given;
    use crate::advice::tests::playbook;
    use crate::model::Timestamp;

    const STATE: &str = r#"{"users": 8000, "signs": [
        {"id": "db-connections-near-limit", "level": "now", "value": 19, "limit": 20, "threshold": 0.9, "threshold_from": "default"},
        {"id": "db-vertical-headroom", "level": "plan", "labels": {"instance": "a<b"}}],
        "inventory": {"connection-pooling": "absent"}}"#;

    fn decision() -> Decision {
        let now = Timestamp::from_secs(1_800_000_000);
        decide_given(&playbook(), "s", STATE, now).unwrap().decision
    }

    #[test]
    fn a_report_in_words() {
        let text = markdown(&[decision()]);
        let first = text.split("## ").nth(1).unwrap();
        for want in [
            "Postgres is running out of connections (now)",
            "**Seen:** connections in use: 19 of 20 (95 %), over 90 % (default)",
            "**Next step:** Put a connection pooler in front of Postgres\n",
            "**Why now:** The limit is being hit.",
            "**Effect:** From at most 100 concurrent requests",
            "**Not:** Do not raise max_connections",
            "**Dissent:** Some documents pool at",
        ] {
            assert!(first.contains(want), "{want} is not in\n{first}");
        }
        // Twenty seconds at 250 words a minute, sources and dissent apart.
        let body = first.split("**Source:**").next().unwrap();
        assert!(body.split_whitespace().count() < 220, "{body}");
    }

    #[test]
    fn html_says_the_same_and_escapes() {
        let page = html(&[decision()]);
        assert!(page.contains("<b>Next step:</b> Put a connection pooler"));
        assert!(!page.contains("a<b"), "{page}");
    }

    #[test]
    fn a_quiet_system_needs_one_sentence() {
        let now = Timestamp::from_secs(1_800_000_000);
        let quiet = decide_given(&playbook(), "s", "{}", now).unwrap().decision;
        let text = markdown(&[quiet]);
        assert!(
            text.ends_with("No sign fires, so no step is due.\n"),
            "{text}"
        );
    }
}
