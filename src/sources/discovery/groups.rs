//! Prometheus's list of target groups, as JSON or YAML.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::MOST_TARGETS;
use crate::sources::scrape::Place;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Reads `[{"targets": ["host:port"], "labels": {"name": "value"}}]`.
pub(super) fn json(text: &str) -> Result<Vec<Place>, String> {
    let groups: Vec<Group> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    places(groups)
}

/// The same as YAML.
pub(super) fn yaml(text: &str) -> Result<Vec<Place>, String> {
    // An empty file is an empty list there.
    let groups: Option<Vec<Group>> = serde_saphyr::from_str(text).map_err(|e| {
        let words = e.to_string();
        words.lines().next().unwrap_or_default().to_owned()
    })?;
    places(groups.unwrap_or_default())
}

fn places(groups: Vec<Group>) -> Result<Vec<Place>, String> {
    let mut out = Vec::new();
    for group in groups {
        let labels = group.labels.unwrap_or_default();
        if labels.contains_key("") {
            return Err("a label without a name".to_owned());
        }
        if out.len() + group.targets.len() > MOST_TARGETS {
            return Err(format!("more than {MOST_TARGETS} targets"));
        }
        out.extend(group.targets.into_iter().map(|address| Place {
            address,
            labels: labels.clone(),
        }));
    }
    Ok(out)
}

/// Adds a label to all of them.
pub(super) fn label(places: &mut [Place], name: &str, value: &str) {
    for place in places {
        place.labels.insert(name.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_strictly() {
        let want = [("a:1", "x"), ("b:2", "x")];
        for (text, read) in [
            (
                r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "x"}}]"#,
                json as fn(&str) -> _,
            ),
            ("- targets: [a:1, 'b:2']\n  labels:\n    env: x\n", yaml),
            (
                "- targets:\n  - 'a:1'\n  labels: {env: x}\n- targets: ['b:2']\n  labels: {env: x}\n",
                yaml,
            ),
        ] {
            let got: Result<Vec<Place>, String> = read(text);
            let got = got.unwrap();
            let got: Vec<_> = got
                .iter()
                .map(|p| (p.address.as_str(), p.labels["env"].as_str()))
                .collect();
            assert_eq!(got, want, "{text}");
        }
        for (text, read) in [
            ("[]", json as fn(&str) -> _),
            ("", yaml),
            ("[]", yaml),
            (r#"[{"targets": []}]"#, json),
            (r#"[{"targets": [], "labels": null}]"#, json),
        ] {
            let got: Result<Vec<Place>, String> = read(text);
            assert_eq!(got.unwrap(), [], "{text}");
        }
        for (text, read) in [
            ("", json as fn(&str) -> _),
            ("{}", json),
            ("[null]", json),
            (r#"[{"targets": ["a:1"]},]"#, json),
            (r#"[{"targets": ["a:1"], "label": {}}]"#, json),
            (r#"[{"targets": "a:1"}]"#, json),
            (r#"[{"targets": ["a:1"], "labels": {"n": 1}}]"#, json),
            (r#"[{"targets": ["a:1"], "labels": {"": "x"}}]"#, json),
            ("targets: [a:1]", yaml),
            ("- targets: [a:1\n", yaml),
            ("- host: a\n", yaml),
        ] {
            let got: Result<Vec<Place>, String> = read(text);
            assert!(got.is_err(), "{text}");
        }
    }
}
