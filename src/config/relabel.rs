//! `relabel_configs` and `metric_relabel_configs`: rules over labels.

use regex::Regex;
use serde::Deserialize;

use crate::model::matcher;

/// One rule; what it does to labels stands in `sources::scrape::relabel`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelabelConfig {
    /// Labels whose values are joined.
    #[serde(default)]
    pub source_labels: Vec<String>,
    /// What stands between them.
    #[serde(default = "separator")]
    pub separator: String,
    /// Matched against the joined values, or against label names.
    #[serde(default)]
    pub regex: Pattern,
    /// Number of shards.
    #[serde(default)]
    pub modulus: u64,
    /// Label that is set or compared.
    #[serde(default)]
    pub target_label: String,
    /// Its value; `$1`, `${1}` and `${name}` stand for groups of `regex`.
    #[serde(default = "replacement")]
    pub replacement: String,
    /// What happens.
    #[serde(default)]
    pub action: Action,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sets `target_label` to `replacement` where `regex` matches.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops what does not equal `target_label`.
    KeepEqual,
    /// Drops what equals `target_label`.
    DropEqual,
    /// Sets `target_label` to a hash of the joined values, modulo `modulus`.
    HashMod,
    /// Copies labels whose names match to the name in `replacement`.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes labels whose names do not match.
    LabelKeep,
    /// Sets `target_label` to the joined values in small letters.
    Lowercase,
    /// The same in capitals.
    Uppercase,
}

/// An anchored regular expression in RE2's dialect.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written.
    pub text: String,
    /// Compiled.
    pub regex: Regex,
}

/// What `regex` is when nobody wrote one.
const ANYTHING: &str = "(.*)";

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        Ok(Self {
            text: text.to_owned(),
            regex: matcher::compile(text)?,
        })
    }

    /// True for the default.
    pub fn is_default(&self) -> bool {
        self.text == ANYTHING
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new(ANYTHING).expect("the default pattern is valid")
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Pattern;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a regular expression in quotes")
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Pattern, E> {
                Pattern::new(v).map_err(E::custom)
            }
        }
        d.deserialize_str(Visitor)
    }
}

fn separator() -> String {
    ";".to_owned()
}

fn replacement() -> String {
    "$1".to_owned()
}

impl RelabelConfig {
    /// What is wrong with the keys together: the key and what is accepted.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        use Action as A;
        let action = self.action;
        let plain_keys = self.regex.is_default()
            && self.modulus == 0
            && self.separator == ";"
            && self.replacement == "$1";
        let wrong = |key, message: &str| Some((key, message.to_owned()));
        let sets = match action {
            A::Replace | A::HashMod | A::Lowercase | A::Uppercase | A::KeepEqual | A::DropEqual => {
                true
            }
            A::Keep | A::Drop | A::LabelMap | A::LabelDrop | A::LabelKeep => false,
        };
        if sets && self.target_label.is_empty() {
            return wrong(
                "target_label",
                "this action needs it: the label to set or compare",
            );
        }
        match action {
            A::HashMod if self.modulus == 0 => wrong(
                "modulus",
                "hashmod needs it: the number of shards, 1 or more",
            ),
            A::Lowercase | A::Uppercase if self.replacement != "$1" => {
                wrong("replacement", "lowercase and uppercase take none")
            }
            A::KeepEqual | A::DropEqual if !plain_keys => wrong(
                "action",
                "keepequal and dropequal take source_labels and target_label only",
            ),
            A::LabelDrop | A::LabelKeep
                if !self.source_labels.is_empty()
                    || !self.target_label.is_empty()
                    || self.modulus != 0
                    || self.separator != ";"
                    || self.replacement != "$1" =>
            {
                wrong("action", "labeldrop and labelkeep take regex only")
            }
            A::LabelMap if self.replacement.is_empty() => {
                wrong("replacement", "labelmap needs it: the name of the copy")
            }
            A::Replace
            | A::Keep
            | A::Drop
            | A::KeepEqual
            | A::DropEqual
            | A::HashMod
            | A::LabelMap
            | A::LabelDrop
            | A::LabelKeep
            | A::Lowercase
            | A::Uppercase => None,
        }
    }

    /// True when the rule may change what `label` holds.
    pub fn changes(&self, label: &str) -> bool {
        match self.action {
            Action::LabelDrop => self.regex.regex.is_match(label),
            Action::LabelKeep => !self.regex.regex.is_match(label),
            Action::LabelMap => self.replacement == label || self.replacement.contains('$'),
            Action::Replace | Action::HashMod | Action::Lowercase | Action::Uppercase => {
                self.target_label == label || self.target_label.contains('$')
            }
            Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual => false,
        }
    }
}
