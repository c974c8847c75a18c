//! The part of a rule that only alerts have, with loadline's own labels and annotations.

use std::collections::BTreeMap;

use super::alert::Timing;
use super::file::{Reader, Texts};
use super::spec::{AlertSpec, ExprInfo, Figure, NoData};
use super::yaml::Node;
use crate::model::Level;

/// Accepted values of `loadline_unit`.
pub const UNITS: [&str; 5] = ["ratio", "bytes", "seconds", "per_second", "count"];

const EXTRAS: [&str; 7] = [
    "loadline_value",
    "loadline_limit",
    "loadline_unit",
    "loadline_clear",
    "loadline_needs",
    "loadline_no_data",
    "loadline_threshold_from",
];

impl Reader<'_> {
    pub(super) fn alert(
        &mut self,
        keys: &BTreeMap<&str, (&Node, &Node)>,
        labels: &Texts,
        info: Option<&ExprInfo>,
    ) -> AlertSpec {
        let mut span = |key: &str| {
            keys.get(key)
                .and_then(|(_, v)| self.duration(v, key))
                .unwrap_or_default()
        };
        let timing = Timing {
            hold: span("for"),
            keep: span("keep_firing_for"),
        };
        let mut texts = match keys.get("annotations") {
            Some((_, v)) => self.texts(v, "annotations"),
            None => Texts::new(),
        };
        let extras: Texts = {
            let own: Vec<String> = texts
                .keys()
                .filter(|n| n.starts_with("loadline_"))
                .cloned()
                .collect();
            own.into_iter()
                .filter_map(|n| texts.remove_entry(&n))
                .collect()
        };
        for (name, node) in &extras {
            if !EXTRAS.contains(&name.as_str()) {
                let accepted = EXTRAS.join(", ");
                self.wrong(
                    node,
                    format!("unknown annotation {name:?}; accepted: {accepted}"),
                );
            }
        }
        self.level(labels, keys, info);
        let threshold = info.and_then(|i| i.threshold.as_ref()).map(|t| t.value);
        let mut from = extras
            .get("loadline_threshold_from")
            .and_then(Node::as_str)
            .unwrap_or_default()
            .to_owned();
        if from.is_empty() && threshold.is_some() {
            from = if labels.contains_key("sign") {
                "default"
            } else {
                "rule"
            }
            .to_owned();
        }
        AlertSpec {
            timing,
            annotations: self.templates(&texts, true),
            written: self.templates(&extras, true),
            value: self.figure(&extras, "loadline_value"),
            limit: self.figure(&extras, "loadline_limit"),
            unit: self.unit(&extras),
            clear: self.extra_promql(&extras, "loadline_clear"),
            needs: self.extra_promql(&extras, "loadline_needs"),
            no_data: self.no_data(&extras),
            threshold,
            threshold_from: from,
        }
    }

    /// The labels `sign` and `level`, which make a rule one of loadline's.
    fn level(
        &mut self,
        labels: &Texts,
        keys: &BTreeMap<&str, (&Node, &Node)>,
        info: Option<&ExprInfo>,
    ) {
        let sign = labels.get("sign");
        if let Some(node) = sign {
            let id = node.as_str().unwrap_or_default();
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if id.is_empty() || !id.chars().all(good) {
                self.wrong(
                    node,
                    format!("sign: {id:?} is not an id; accepted: a-z, 0-9 and -"),
                );
            }
        }
        let Some(node) = labels.get("level") else {
            if let Some(sign) = sign {
                self.wrong(
                    sign,
                    "a rule with a sign needs the label level; accepted: note, plan, act, now",
                );
            }
            return;
        };
        match node.as_str().unwrap_or_default().parse::<Level>() {
            Ok(level) => {
                if let (Some(info), Some((_, expr))) = (info, keys.get("expr"))
                    && info.threshold.is_none()
                {
                    self.wrong(
                        expr,
                        format!(
                            "a rule of level {level} must end in exactly one comparison with a \
                             number, so that the config can replace it"
                        ),
                    );
                }
                if self.file.shipped
                    && let Some(severity) = labels.get("severity")
                    && severity.as_str() != Some(level.severity())
                {
                    let want = level.severity();
                    self.wrong(severity, format!("severity of level {level} is {want}"));
                }
            }
            Err(e) if sign.is_some() => self.wrong(node, format!("level: {e}")),
            // Somebody else's label of that name.
            Err(e) => self.warn(node, format!("level: {e}; taken as a plain label")),
        }
    }

    fn figure(&mut self, extras: &Texts, name: &str) -> Option<Figure> {
        let node = extras.get(name)?;
        let text = node.as_str().unwrap_or_default();
        if let Ok(number) = text.trim().parse() {
            return Some(Figure::Number(number));
        }
        self.promql(node, name, text)?;
        Some(Figure::Expr(text.to_owned()))
    }

    fn extra_promql(&mut self, extras: &Texts, name: &str) -> Option<String> {
        let node = extras.get(name)?;
        let text = node.as_str().unwrap_or_default();
        self.promql(node, name, text)?;
        Some(text.to_owned())
    }

    fn unit(&mut self, extras: &Texts) -> String {
        let Some(node) = extras.get("loadline_unit") else {
            return String::new();
        };
        let unit = node.as_str().unwrap_or_default();
        if !UNITS.contains(&unit) {
            let accepted = UNITS.join(", ");
            self.wrong(
                node,
                format!("loadline_unit: unknown unit {unit:?}; accepted: {accepted}"),
            );
        }
        unit.to_owned()
    }

    fn no_data(&mut self, extras: &Texts) -> NoData {
        let Some(node) = extras.get("loadline_no_data") else {
            return NoData::Blind;
        };
        match node.as_str().unwrap_or_default() {
            "blind" => NoData::Blind,
            "ok" => NoData::Ok,
            "fire" => NoData::Fire,
            other => {
                let message =
                    format!("loadline_no_data: unknown value {other:?}; accepted: blind, ok, fire");
                self.wrong(node, message);
                NoData::Blind
            }
        }
    }
}
