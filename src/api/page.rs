//! The page for people: what is watched, what hurts, the next step.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};

use super::Snapshot;
use super::router::Shared;
use super::snapshot::SourceHealth;
use crate::advice::{Bottleneck, Verdict};
use crate::model::duration;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--dim:#777}
@media (prefers-color-scheme:dark){:root{--dim:#aaa}}
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.25rem}h2{font-size:1rem;margin:2rem 0 .5rem;color:var(--dim)}
article{border:1px solid var(--line);border-left:4px solid #d97706;border-radius:6px;padding:.75rem 1rem;margin:.75rem 0}
article.now{border-left-color:#dc2626}article.calm{border-left-color:#16a34a}
article h3{margin:.1rem 0 .4rem;font-size:1.15rem}
p{margin:.3rem 0}small,.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .5rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
code{font-family:ui-monospace,monospace;font-size:.9em;overflow-wrap:anywhere}
";

/// `/`
pub(super) async fn index(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    Html(render(&snapshot)).into_response()
}

/// The whole page; every text from outside is escaped.
fn render(s: &Snapshot) -> String {
    let mut out = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content='width=device-width,initial-scale=1'>\
         <meta http-equiv=refresh content=15>\
         <title>loadline</title><style>{STYLE}</style></head><body><h1>loadline</h1>"
    );
    out.push_str("<h2>Next step</h2>");
    let mut any = false;
    for decision in &s.decisions {
        for b in &decision.bottlenecks {
            any = true;
            bottleneck(&mut out, &decision.system, b, s);
        }
    }
    if !any {
        let text = if s.ready {
            "No sign fires. Nothing to do."
        } else {
            "Starting: the first cycle is not over."
        };
        out.push_str(&format!("<article class=calm><p>{text}</p></article>"));
    }
    out.push_str("<h2>Watching</h2><table>");
    for source in &s.sources {
        let health = match source.health {
            SourceHealth::Unknown => "not asked yet",
            SourceHealth::Up => "up",
            SourceHealth::Partial => "partly read",
            SourceHealth::Down => "down",
        };
        out.push_str(&format!(
            "<tr><td>{}<td>{}<td>{health}<td class=dim>{}",
            escape(&source.kind),
            escape(&source.name),
            escape(&source.detail)
        ));
    }
    out.push_str("</table>");
    if !s.blind.is_empty() {
        out.push_str("<h2>Blind</h2><table>");
        for b in &s.blind {
            out.push_str(&format!(
                "<tr><td>{}<td class=dim>{}<td><code>{}</code>",
                escape(&b.what),
                escape(&b.why),
                escape(&b.fix)
            ));
        }
        out.push_str("</table>");
    }
    out.push_str(&format!(
        "<p><small>loadline {} at {} (UTC) · {} series, {} samples in memory · messages: {} \
         delivered, {} waiting</small></p></body></html>",
        escape(&s.version),
        s.at,
        s.series,
        s.samples,
        s.messages.delivered,
        s.messages.pending
    ));
    out
}

fn bottleneck(out: &mut String, system: &str, b: &Bottleneck, s: &Snapshot) {
    let since = s
        .signs
        .iter()
        .find(|i| i.key == b.sign)
        .map(|i| format!(", for {}", duration::words(s.at.since(i.since))))
        .unwrap_or_default();
    out.push_str(&format!("<article class={}><p class=dim>", b.level));
    if !system.is_empty() {
        out.push_str(&format!("{} · ", escape(system)));
    }
    out.push_str(&format!("{} ({}{since})</p>", escape(&b.title), b.level));
    match &b.verdict {
        Verdict::Step(r) => {
            let unless = if r.unless_in_place {
                " <small>(unless already in place)</small>"
            } else {
                ""
            };
            out.push_str(&format!(
                "<h3>{}{unless}</h3><p>{}</p>",
                escape(&r.step.title),
                escape(&r.why)
            ));
            if let Some(target) = &r.on_the_way_to {
                out.push_str(&format!("<p>On the way to: {}</p>", escape(&target.title)));
            }
            for p in &r.prerequisites {
                out.push_str(&format!("<p>First: {}</p>", escape(&p.title)));
            }
            for (name, text) in [("Effect", &r.effect), ("Cost", &r.cost)] {
                if !text.is_empty() {
                    out.push_str(&format!("<p>{name}: {}</p>", escape(text)));
                }
            }
        }
        Verdict::NoStep {
            why,
            first_aid,
            confirm,
            ..
        } => {
            out.push_str(&format!(
                "<h3>No scaling step yet</h3><p>{}</p>",
                escape(why)
            ));
            for aid in first_aid {
                out.push_str(&format!("<p>First aid: {}</p>", escape(aid)));
            }
            if let Some(q) = confirm {
                out.push_str(&format!(
                    "<p>Confirm: {} <code>{}</code></p>",
                    escape(&q.question),
                    escape(&q.config)
                ));
            }
        }
    }
    for e in &b.evidence {
        out.push_str(&format!("<p class=dim>{}</p>", escape(&e.text)));
    }
    let citations = match &b.verdict {
        Verdict::Step(r) => &r.citations,
        Verdict::NoStep { citations, .. } => citations,
    };
    let cited: Vec<String> = citations.iter().map(|c| escape(&c.text)).collect();
    out.push_str(&format!(
        "<p><small>{}</small></p></article>",
        cited.join(" · ")
    ));
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Blind, MessageBooks, SourceView};
    use crate::model::{Labels, Timestamp};

    fn snapshot() -> Snapshot {
        Snapshot {
            at: Timestamp::from_secs(1_800_000_000),
            version: "1".to_owned(),
            started: Timestamp::from_secs(1_800_000_000),
            ready: true,
            brief: false,
            sources: Vec::new(),
            dropped: Vec::new(),
            blind: Vec::new(),
            servers: Vec::new(),
            groups: Vec::new(),
            alerts: Vec::new(),
            signs: Vec::new(),
            decisions: Vec::new(),
            steps: Vec::new(),
            runways: Vec::new(),
            messages: MessageBooks::default(),
            series: 0,
            samples: 0,
        }
    }

    #[test]
    fn a_calm_system_says_so_and_a_starting_one_does_not() {
        assert!(render(&snapshot()).contains("Nothing to do"));
        let starting = Snapshot {
            ready: false,
            ..snapshot()
        };
        let page = render(&starting);
        assert!(page.contains("Starting") && !page.contains("Nothing to do"));
    }

    #[test]
    fn what_targets_and_servers_say_cannot_become_markup() {
        let bad = "<script>alert(1)</script>'\"&\u{1b}[31m";
        let page = render(&Snapshot {
            sources: vec![SourceView {
                kind: bad.to_owned(),
                name: bad.to_owned(),
                labels: Labels::empty(),
                discovered: Labels::empty(),
                health: SourceHealth::Down,
                detail: bad.to_owned(),
                fix: None,
                last: None,
                seconds: 0.0,
                samples: 0,
                missed: 0,
                interval_seconds: 1.0,
            }],
            blind: vec![Blind {
                what: bad.to_owned(),
                why: bad.to_owned(),
                fix: bad.to_owned(),
            }],
            ..snapshot()
        });
        assert!(
            !page.contains("<script") && !page.contains('\u{1b}'),
            "{page}"
        );
        assert_eq!(page.matches("&lt;script&gt;").count(), 6);
    }
}
