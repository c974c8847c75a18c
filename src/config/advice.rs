//! `[advice]`, `[facts]` and `[signs]`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[advice]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Advice {
    /// Target labels that separate systems, e.g. `["env"]`; advice is given once per system.
    pub system_labels: Vec<String>,
    /// Own playbook files (TOML) that add rows or override them by id; globs, relative to the
    /// config file.
    pub playbook_files: Vec<String>,
}

/// What the team declares about itself.
#[derive(Debug, Clone, PartialEq)]
pub enum FactValue {
    /// Yes or no.
    Bool(bool),
    /// A figure, e.g. `users = 12000`.
    Number(f64),
    /// A word.
    Text(String),
    /// A day, e.g. `2026-11-01`.
    Date(String),
    /// Named values, e.g. `[facts.done]`.
    Table(BTreeMap<String, FactValue>),
}

impl<'de> Deserialize<'de> for FactValue {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = FactValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false, a number, a text, a date or a table of these")
            }

            fn visit_bool<E>(self, v: bool) -> Result<FactValue, E> {
                Ok(FactValue::Bool(v))
            }

            fn visit_i64<E>(self, v: i64) -> Result<FactValue, E> {
                Ok(FactValue::Number(v as f64))
            }

            fn visit_u64<E>(self, v: u64) -> Result<FactValue, E> {
                Ok(FactValue::Number(v as f64))
            }

            fn visit_f64<E>(self, v: f64) -> Result<FactValue, E> {
                Ok(FactValue::Number(v))
            }

            fn visit_str<E>(self, v: &str) -> Result<FactValue, E> {
                Ok(FactValue::Text(v.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut m: A,
            ) -> Result<FactValue, A::Error> {
                let mut table = BTreeMap::new();
                while let Some(key) = m.next_key::<String>()? {
                    // toml hands a date over as a map with one reserved key.
                    if key.starts_with("$__toml") {
                        return Ok(FactValue::Date(m.next_value::<String>()?));
                    }
                    table.insert(key, m.next_value()?);
                }
                Ok(FactValue::Table(table))
            }
        }
        d.deserialize_any(Visitor)
    }
}

/// `[signs]`: own thresholds by sign, and a team's own alerts that stand for a sign.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    /// `[signs.ID]`
    pub by_id: BTreeMap<String, SignOverride>,
    /// `[[signs.alias]]`
    pub alias: Vec<SignAlias>,
}

impl<'de> Deserialize<'de> for Signs {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Signs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tables [signs.ID] and [[signs.alias]]")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut m: A) -> Result<Signs, A::Error> {
                let mut signs = Signs::default();
                while let Some(key) = m.next_key::<String>()? {
                    if key == "alias" {
                        signs.alias = m.next_value()?;
                    } else {
                        signs.by_id.insert(key, m.next_value()?);
                    }
                }
                Ok(signs)
            }
        }
        d.deserialize_struct("Signs", &["*", "alias"], Visitor)
    }
}

/// `[[signs.alias]]`: alerts of an own rule that stand for a sign.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignAlias {
    /// Name of the own alert.
    pub alertname: String,
    /// Id of the sign.
    pub sign: String,
    /// `note`, `plan`, `act` or `now`.
    pub level: String,
}

/// `[signs.ID]`: own thresholds for a sign's levels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignOverride {
    /// False silences the sign altogether.
    pub enabled: Option<bool>,
    /// Name of the alerts that the numbers are for; needed where the alerts of a level compare in
    /// different units.
    pub alertname: Option<String>,
    /// Replaces the number that the rule of this level compares with.
    pub note: Option<f64>,
    /// The same for level plan.
    pub plan: Option<f64>,
    /// The same for level act.
    pub act: Option<f64>,
    /// The same for level now.
    pub now: Option<f64>,
}
