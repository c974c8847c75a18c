//! Text for a terminal of 80 columns.

use std::io::IsTerminal;

use crate::advice::explain::Explained;
use crate::advice::stage::StageView;
use crate::advice::{Bottleneck, Decision, Outcome, Recommendation, SignInstance, Verdict};
use crate::api::{Explanation, SelectorView, Snapshot, SourceHealth};
use crate::config::env;
use crate::model::{Level, duration};

const WIDTH: usize = 80;

/// Whether colours may be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(super) color: bool,
}

impl Style {
    /// Colours on a terminal, unless NO_COLOR is set.
    pub(crate) fn for_stdout() -> Self {
        Self {
            color: env::colour(std::io::stdout().is_terminal(), &env::process),
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        if self.color {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn level(self, level: Level) -> String {
        let word = level.as_str();
        let code = match level {
            Level::Now => "31",
            Level::Act => "33",
            Level::Plan | Level::Note => "36",
        };
        if self.color {
            format!("\x1b[{code}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }
}

/// Everything: what is watched, what is not seen, what hurts, what to do.
pub(crate) fn status(s: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    heading(&mut out, style, "Watching");
    for source in &s.sources {
        let health = match source.health {
            SourceHealth::Unknown => "not asked yet",
            SourceHealth::Up => "up",
            SourceHealth::Partial => "partly read",
            SourceHealth::Down => "down",
        };
        line(
            &mut out,
            2,
            13,
            &format!("{:<9}", source.kind),
            &format!("{}: {health}", source.name),
        );
        if !source.detail.is_empty() {
            line(&mut out, 13, 13, "", &source.detail);
        }
        if let Some(fix) = &source.fix {
            line(&mut out, 13, 18, "fix: ", fix);
        }
    }
    if s.sources.is_empty() {
        line(&mut out, 2, 2, "", "nothing");
    }
    if !s.blind.is_empty() {
        heading(&mut out, style, "Blind");
        for b in &s.blind {
            line(&mut out, 2, 4, "", &format!("{}: {}", b.what, b.why));
            if !b.fix.is_empty() {
                line(&mut out, 4, 9, "fix: ", &b.fix);
            }
        }
    }
    heading(&mut out, style, "Signs");
    for sign in &s.signs {
        let mut plain = String::new();
        let word = format!("{:<5}", sign.level.as_str());
        line(&mut plain, 2, 7, &word, &sign_text(sign, s));
        out.push_str(&plain.replacen(sign.level.as_str(), &style.level(sign.level), 1));
    }
    if s.signs.is_empty() {
        line(
            &mut out,
            2,
            2,
            "",
            if s.ready {
                "none fires"
            } else {
                "not known yet: starting"
            },
        );
    }
    heading(&mut out, style, "Next step");
    out.push_str(&next(s, style));
    out
}

/// The next step of each system.
pub(crate) fn next(s: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    for decision in &s.decisions {
        for b in &decision.bottlenecks {
            if !out.is_empty() {
                out.push('\n');
            }
            bottleneck(&mut out, &decision.system, b, style);
        }
    }
    if out.is_empty() {
        line(&mut out, 2, 2, "", "No sign fires, so no step is due.");
    }
    if s.brief {
        line(
            &mut out,
            2,
            2,
            "",
            "This is a snapshot of 2 s: no verdict on durations.",
        );
    }
    out
}

/// The next step of one system, with every candidate that was looked at.
pub(crate) fn decided(decision: &Decision, style: Style) -> String {
    let mut out = String::new();
    if let Some(rung) = &decision.rung {
        let from = decision.rung_from.as_deref().unwrap_or_default();
        line(&mut out, 2, 2, "", &format!("Stage {rung} ({from})."));
    }
    for b in &decision.bottlenecks {
        if !out.is_empty() {
            out.push('\n');
        }
        bottleneck(&mut out, &decision.system, b, style);
        if !b.considered.is_empty() {
            out.push_str("    Looked at:\n");
        }
        for c in &b.considered {
            let mark = if c.outcome == Outcome::Wins {
                "> "
            } else {
                "- "
            };
            line(&mut out, 6, 10, mark, &format!("{}: {}", c.step, c.why));
        }
    }
    if decision.bottlenecks.is_empty() {
        line(&mut out, 2, 2, "", "No sign fires, so no step is due.");
    }
    out
}

/// What the playbook says of a sign or step.
pub(crate) fn explained(e: &Explained, style: Style) -> String {
    let mut out = String::new();
    heading(
        &mut out,
        style,
        &format!("{} ({} {})", e.title, e.kind, e.id),
    );
    for (label, text) in &e.lines {
        line(&mut out, 2, 13, &format!("{label:<11}"), text);
    }
    out
}

/// Where a system stands.
pub(crate) fn stage(v: &StageView, style: Style) -> String {
    let mut out = String::new();
    let name = if v.system.is_empty() {
        "Stage"
    } else {
        &v.system
    };
    let Some(rung) = &v.rung else {
        heading(&mut out, style, &format!("{name}: not known"));
        let how = "Nothing tells the stage; [facts] users = N does.";
        line(&mut out, 2, 2, "", how);
        return out;
    };
    let interval = v
        .up_to
        .as_ref()
        .map(|to| format!(" to {to}"))
        .unwrap_or_default();
    let title = v.title.as_deref().unwrap_or_default();
    heading(
        &mut out,
        style,
        &format!("{name} {rung}{interval}: {title}"),
    );
    let from = v.from.as_deref().unwrap_or_default();
    line(&mut out, 2, 13, "told by    ", from);
    if let Some(architecture) = &v.architecture {
        let text = format!("{architecture}: most of its usual steps are in place");
        line(&mut out, 2, 13, "built as   ", &text);
    }
    for (label, text) in [
        ("focus      ", &v.focus),
        ("adds       ", &v.adds),
        ("breaks next", &v.breaks),
    ] {
        line(&mut out, 2, 14, &format!("{label} "), text);
    }
    for (what, text) in &v.figures {
        line(&mut out, 2, 4, &format!("{what}: "), text);
    }
    let open: Vec<&str> = v.open.iter().map(|(id, _)| id.as_str()).collect();
    if !open.is_empty() {
        line(&mut out, 2, 13, "usual here ", &open.join(", "));
    }
    out
}

/// What each selector of some rules finds.
pub(crate) fn explain(explained: &[Explanation], style: Style) -> String {
    let mut out = String::new();
    for e in explained {
        let level = e
            .rule
            .labels
            .get("level")
            .map(|l| format!(", level {l}"))
            .unwrap_or_default();
        heading(
            &mut out,
            style,
            &format!("{}{level}: {}", e.rule.name, e.rule.health),
        );
        line(&mut out, 2, 2, "", &format!("in {}", e.group));
        if let Some(error) = &e.rule.last_error {
            line(&mut out, 2, 2, "", error);
        }
        for s in &e.selectors {
            line(&mut out, 2, 4, "", &format!("{}: {}", s.selector, found(s)));
        }
        if let Some(run) = e.rule.runs.first() {
            let text = format!(
                "last run {}: {} series read, {} returned, {:.1} ms",
                run.at,
                run.series,
                run.samples,
                run.seconds * 1000.0
            );
            line(&mut out, 2, 4, "", &text);
            for warning in &run.warnings {
                line(&mut out, 4, 6, "", warning);
            }
        }
    }
    out
}

fn found(s: &SelectorView) -> String {
    match (s.series, s.of_that_name) {
        (0, 0) if s.nearest.is_empty() => "nothing; no source shows this metric".to_owned(),
        (0, 0) => format!("nothing; the nearest names are {}", s.nearest.join(", ")),
        (0, n) => format!("nothing, of {n} series of that name: look at the labels"),
        (n, all) if n == all => format!("{n} series"),
        (n, all) => format!("{n} of {all} series"),
    }
}

fn sign_text(sign: &SignInstance, s: &Snapshot) -> String {
    let mut text = if sign.summary.is_empty() {
        sign.key.sign.clone()
    } else {
        sign.summary.clone()
    };
    text.push_str(&format!(" ({}", sign.key.sign));
    if !s.brief {
        text.push_str(&format!(
            ", for {}",
            duration::words(s.at.since(sign.since))
        ));
    }
    if sign.blind {
        text.push_str(", input missing");
    }
    text.push(')');
    text
}

fn bottleneck(out: &mut String, system: &str, b: &Bottleneck, style: Style) {
    let system = if system.is_empty() {
        String::new()
    } else {
        format!("{system}: ")
    };
    match &b.verdict {
        Verdict::Step(r) => step(out, &system, b, r, style),
        Verdict::NoStep {
            why,
            first_aid,
            confirm,
            citations,
        } => {
            out.push_str(&format!(
                "  {}\n",
                style.bold(&format!("{system}No scaling step yet"))
            ));
            line(out, 4, 4, "", &format!("{} ({})", b.title, b.level));
            line(out, 4, 4, "", why);
            for aid in first_aid {
                line(out, 4, 15, "First aid: ", aid);
            }
            if let Some(q) = confirm {
                line(out, 4, 13, "Confirm: ", &q.question);
                for l in q.config.lines() {
                    out.push_str(&format!("             {l}\n"));
                }
            }
            evidence(out, b);
            cite(out, citations.iter().map(|c| c.text.as_str()));
        }
    }
}

fn step(out: &mut String, system: &str, b: &Bottleneck, r: &Recommendation, style: Style) {
    let mut title = format!("{system}{}", r.step.title);
    if r.unless_in_place {
        title.push_str(" (unless already in place)");
    }
    for (i, l) in textwrap::wrap(&title, WIDTH - 2).iter().enumerate() {
        out.push_str(&format!(
            "{}{}\n",
            if i == 0 { "  " } else { "    " },
            style.bold(l)
        ));
    }
    line(out, 4, 4, "", &format!("{} ({})", b.title, b.level));
    if let Some(target) = &r.on_the_way_to {
        line(out, 4, 4, "", &format!("On the way to: {}", target.title));
    }
    for p in &r.prerequisites {
        line(out, 4, 11, "First: ", &p.title);
    }
    line(out, 4, 13, "Why now: ", &r.why);
    for (name, text) in [
        ("Effect:  ", &r.effect),
        ("Cost:    ", &r.cost),
        ("Takes:   ", &r.lead_time),
    ] {
        if !text.is_empty() {
            line(out, 4, 13, name, text);
        }
    }
    for risk in &r.risks {
        line(out, 4, 13, "Watch:   ", risk);
    }
    for dont in &r.donts {
        line(out, 4, 13, "Not:     ", dont);
    }
    for aid in &r.first_aid {
        line(out, 4, 15, "First aid: ", aid);
    }
    for q in &r.confirm {
        line(out, 4, 13, "Confirm: ", &q.question);
        for l in q.config.lines() {
            out.push_str(&format!("             {l}\n"));
        }
    }
    if let Some(then) = &r.then {
        line(out, 4, 13, "Then:    ", &then.title);
    }
    evidence(out, b);
    cite(out, r.citations.iter().map(|c| c.text.as_str()));
    for d in &r.dissent {
        line(out, 4, 13, "Dissent: ", d);
    }
}

fn evidence(out: &mut String, b: &Bottleneck) {
    for e in &b.evidence {
        line(out, 4, 13, "Seen:    ", &e.text);
    }
}

fn cite<'a>(out: &mut String, texts: impl Iterator<Item = &'a str>) {
    let texts: Vec<&str> = texts.collect();
    if !texts.is_empty() {
        line(out, 4, 13, "Source:  ", &texts.join("; "));
    }
}

fn heading(out: &mut String, style: Style, title: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&style.bold(title));
    out.push('\n');
}

/// One wrapped paragraph: `first` spaces and the label in front, further lines at `rest`.
pub(super) fn line(out: &mut String, first: usize, rest: usize, label: &str, text: &str) {
    let initial = format!("{}{label}", " ".repeat(first));
    let subsequent = " ".repeat(rest);
    let options = textwrap::Options::new(WIDTH)
        // Ids and options keep their hyphens together.
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .initial_indent(&initial)
        .subsequent_indent(&subsequent);
    for l in textwrap::wrap(text, options) {
        out.push_str(l.trim_end());
        out.push('\n');
    }
}
