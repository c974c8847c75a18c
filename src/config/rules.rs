//! `[rules]`.

use std::time::Duration;

use serde::Deserialize;

use super::value::Span;

/// `[rules]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Which shipped rule files are used: `true`, `false`, or subjects such as
    /// `["host", "postgres"]`.
    pub shipped: Shipped,
    /// Own rule files in Prometheus's format; globs, relative to the config file.
    pub rule_files: Vec<String>,
    /// What a rule is whose input is missing: `blind` or `resolve` (Prometheus's behaviour).
    pub missing: Missing,
    /// Alerts that come and go.
    pub flapping: FlappingPolicy,
}

/// `[rules.flapping]`: an alert that comes back again and again is held firing, longer each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlappingPolicy {
    /// Times that an alert may come back before it is held.
    pub after: u32,
    /// How long it is held then; twice as long each time after. 0s: never, as in Prometheus.
    pub hold: Span,
    /// The longest it is held.
    pub most: Span,
    /// After how long a time is forgotten.
    pub forget: Span,
}

impl Default for FlappingPolicy {
    fn default() -> Self {
        Self {
            after: 3,
            hold: Span(Duration::from_secs(300)),
            most: Span(Duration::from_secs(4 * 3600)),
            forget: Span(Duration::from_secs(3600)),
        }
    }
}

impl FlappingPolicy {
    /// Prometheus's behaviour: nothing is held.
    pub const OFF: Self = Self {
        after: 1,
        hold: Span(Duration::ZERO),
        most: Span(Duration::ZERO),
        forget: Span(Duration::from_secs(3600)),
    };
}

/// Which shipped rule files are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shipped {
    /// All of them.
    #[default]
    All,
    /// None.
    None,
    /// The named subjects.
    Subjects(Vec<String>),
}

/// What a rule is whose input is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Blind: neither firing nor ok.
    #[default]
    Blind,
    /// Resolved, as in Prometheus.
    Resolve,
}

impl<'de> Deserialize<'de> for Shipped {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Shipped;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or a list of subjects such as [\"host\", \"postgres\"]")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Shipped, E> {
                Ok(if v { Shipped::All } else { Shipped::None })
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut s: A,
            ) -> Result<Shipped, A::Error> {
                let mut subjects = Vec::new();
                while let Some(subject) = s.next_element::<String>()? {
                    subjects.push(subject);
                }
                Ok(Shipped::Subjects(subjects))
            }
        }
        d.deserialize_any(Visitor)
    }
}
