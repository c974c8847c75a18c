//! `[rules]`.

use serde::Deserialize;

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
