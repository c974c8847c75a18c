//! What promtool's linter finds in a rule file that is otherwise good.

use std::collections::BTreeMap;

use super::spec::GroupSpec;
use crate::model::Problem;

/// Rules that stand in a file more than once, whatever their group: same name and same labels, of
/// the group or their own. Each is told once, at its second place.
pub fn duplicates(groups: &[GroupSpec]) -> Vec<Problem> {
    let mut times: BTreeMap<Identity<'_>, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for group in groups {
        for rule in &group.rules {
            let labels = rule.labels.iter().map(|(k, v)| (k.as_str(), v.text()));
            let times = times
                .entry((rule.name.as_str(), labels.collect()))
                .or_default();
            *times += 1;
            if *times == 2 {
                found.push(Problem {
                    file: group.file.clone(),
                    position: Some(rule.position.0),
                    context: format!("group {:?}, rule {:?}", group.name, rule.name),
                    message: "duplicate rule: this file already has one of this name with these \
                              labels; remove it, or tell the two apart by a label"
                        .to_owned(),
                });
            }
        }
    }
    found
}

/// Name and labels of a rule.
type Identity<'a> = (&'a str, Vec<(&'a str, &'a str)>);
