//! Label sets.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The label that holds a metric's name.
pub const NAME: &str = "__name__";

/// An immutable label set, sorted by name, without empty values; cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The label set without labels.
    pub fn empty() -> Self {
        Labels(Arc::from([]))
    }

    /// From pairs in any order; an empty value means the label is absent, the last value of a
    /// repeated name wins.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut b = LabelsBuilder::default();
        for (n, v) in pairs {
            b.set(n.as_ref(), v.as_ref());
        }
        b.build()
    }

    /// From shared pairs that are sorted by name already, without empty values.
    pub(crate) fn from_sorted(pairs: impl Iterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let labels = Labels(pairs.collect());
        debug_assert!(labels.0.is_sorted_by(|a, b| a.0 < b.0));
        labels
    }

    /// The value of `name`, empty when absent.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .binary_search_by(|(n, _)| n.as_ref().cmp(name))
            .map_or("", |i| self.0[i].1.as_ref())
    }

    /// True when `name` is there.
    pub fn has(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// The metric name, empty when absent.
    pub fn name(&self) -> &str {
        self.get(NAME)
    }

    /// Pairs in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }

    /// Pairs in order of name, to be kept elsewhere without copying the text.
    pub fn shared(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.0
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for the set without labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A builder that starts from these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder(self.0.to_vec())
    }

    /// These labels with `name` set (or removed by an empty value).
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let mut b = self.to_builder();
        b.set(name, value);
        b.build()
    }

    /// These labels without `names`.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Labels {
        Labels(
            self.0
                .iter()
                .filter(|(n, _)| !names.contains(&n.as_ref()))
                .cloned()
                .collect(),
        )
    }

    /// Only `names` of these labels.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Labels {
        Labels(
            self.0
                .iter()
                .filter(|(n, _)| names.contains(&n.as_ref()))
                .cloned()
                .collect(),
        )
    }

    /// A constant, platform-independent 64-bit hash (FNV-1a over names and values).
    pub fn fingerprint(&self) -> u64 {
        let mut h: u64 = 0xcbf2_9ce4_8422_2325;
        for (n, v) in self.iter() {
            for part in [n, v] {
                for b in part.bytes().chain([0xff]) {
                    h = (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        h
    }
}

/// PromQL's way to write a series: `name{a="b"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut rest = self.iter().filter(|(n, _)| *n != NAME).peekable();
        if rest.peek().is_none() {
            return if self.name().is_empty() {
                f.write_str("{}")
            } else {
                Ok(())
            };
        }
        f.write_str("{")?;
        for (i, (n, v)) in rest.enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{n}={v:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.len()))?;
        for (n, v) in self.iter() {
            map.serialize_entry(n, v)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, String>::deserialize(d)?;
        Ok(Labels::from_pairs(map))
    }
}

/// Collects labels and sorts them once.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder(Vec<(Arc<str>, Arc<str>)>);

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.set_shared(Arc::from(name), Arc::from(value))
    }

    /// Sets a label from shared strings; an empty value removes it.
    pub fn set_shared(&mut self, name: Arc<str>, value: Arc<str>) -> &mut Self {
        self.0.retain(|(n, _)| *n != name);
        if !value.is_empty() {
            self.0.push((name, value));
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.0.retain(|(n, _)| n.as_ref() != name);
        self
    }

    /// The value set so far, empty when absent.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n.as_ref() == name)
            .map_or("", |(_, v)| v.as_ref())
    }

    /// The pairs set so far, in no order.
    pub fn pairs(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.0.clone()
    }

    /// Keeps labels whose names satisfy `keep`.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// The finished set.
    pub fn build(mut self) -> Labels {
        self.0.sort();
        Labels(Arc::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_an_absent_label_and_order_does_not_matter() {
        let a = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]);
        let b = Labels::from_pairs([("a", "1"), ("b", "2")]);
        assert_eq!(a, b);
        assert_eq!(a.fingerprint(), b.fingerprint());
        assert_eq!(a.get("c"), "");
        assert_eq!(a.with(NAME, "m").to_string(), r#"m{a="1", b="2"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    #[test]
    fn the_fingerprint_tells_names_from_values() {
        let a = Labels::from_pairs([("ab", "c")]);
        let b = Labels::from_pairs([("a", "bc")]);
        assert_ne!(a.fingerprint(), b.fingerprint());
    }
}
