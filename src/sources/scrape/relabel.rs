//! Relabelling, with Prometheus's meaning of each action.
//!
//! What must stay true: rules apply in order; an empty value is an absent label; a target label
//! that is not a name leaves everything as it was.

use md5::{Digest, Md5};
use regex::Captures;

use crate::config::{Action, RelabelConfig};
use crate::model::LabelsBuilder;

/// Applies `rules` to `labels`; false when a rule dropped them.
pub(crate) fn relabel(rules: &[RelabelConfig], labels: &mut LabelsBuilder) -> bool {
    rules.iter().all(|rule| apply(rule, labels))
}

fn apply(rule: &RelabelConfig, labels: &mut LabelsBuilder) -> bool {
    let joined = || joined(rule, labels);
    let regex = &rule.regex.regex;
    match rule.action {
        Action::Keep => return regex.is_match(&joined()),
        Action::Drop => return !regex.is_match(&joined()),
        Action::KeepEqual => return labels.get(&rule.target_label) == joined(),
        Action::DropEqual => return labels.get(&rule.target_label) != joined(),
        Action::Replace => {
            let text = joined();
            if let Some(groups) = regex.captures(&text) {
                let target = expand(&rule.target_label, &groups);
                if !target.is_empty() {
                    labels.set(&target, &expand(&rule.replacement, &groups));
                }
            }
        }
        Action::Lowercase => {
            let text = joined().to_lowercase();
            labels.set(&rule.target_label, &text);
        }
        Action::Uppercase => {
            let text = joined().to_uppercase();
            labels.set(&rule.target_label, &text);
        }
        Action::HashMod => {
            let digest = Md5::digest(joined().as_bytes());
            // The last eight bytes, as everybody's shards depend on it.
            let tail = digest[8..].iter();
            let hash = tail.fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
            // A modulus of 0 is refused with the config.
            let shard = hash.checked_rem(rule.modulus).unwrap_or_default();
            labels.set(&rule.target_label, &shard.to_string());
        }
        Action::LabelMap => {
            for (name, value) in labels.pairs() {
                if let Some(groups) = regex.captures(&name) {
                    labels.set_shared(expand(&rule.replacement, &groups).into(), value);
                }
            }
        }
        Action::LabelDrop => labels.retain(|name| !regex.is_match(name)),
        Action::LabelKeep => labels.retain(|name| regex.is_match(name)),
    }
    true
}

fn joined(rule: &RelabelConfig, labels: &LabelsBuilder) -> String {
    let mut out = String::new();
    for (i, name) in rule.source_labels.iter().enumerate() {
        if i > 0 {
            out.push_str(&rule.separator);
        }
        out.push_str(labels.get(name));
    }
    out
}

/// Puts groups where `$1`, `${1}` and `${name}` stand, as Go's `Regexp.Expand`: a group that does
/// not exist is empty, `$$` is a dollar sign, and a `$` before anything else stays.
fn expand(template: &str, groups: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (braced, body) = match rest.strip_prefix('{') {
            Some(body) => (true, body),
            None => (false, rest),
        };
        let len = body
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(body.len());
        let (name, after) = body.split_at(len);
        let after = if braced {
            after.strip_prefix('}')
        } else {
            Some(after)
        };
        match after {
            Some(after) if !name.is_empty() => {
                out.push_str(group(name, groups));
                rest = after;
            }
            Some(_) | None => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}

fn group<'t>(name: &str, groups: &Captures<'t>) -> &'t str {
    let digits = name.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = name.len() > 1 && name.starts_with('0');
    let found = if digits && !leading_zero {
        name.parse().ok().and_then(|n: usize| groups.get(n))
    } else {
        groups.name(name)
    };
    found.map_or("", |m| m.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    /// Applies rules written in TOML to labels written as `a=1 b=2`; the labels left, in order.
    fn check(labels: &str, rules: &str, want: Option<&str>) {
        #[derive(serde::Deserialize)]
        struct Rules {
            r: Vec<RelabelConfig>,
        }
        let rules: Rules = toml::from_str(rules).unwrap_or_else(|e| panic!("{e}\n{rules}"));
        let pairs = labels
            .split_whitespace()
            .map(|p| p.split_once('=').unwrap());
        let mut builder = Labels::from_pairs(pairs).to_builder();
        let kept = relabel(&rules.r, &mut builder);
        let left: Vec<String> = builder
            .build()
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(
            kept.then(|| left.join(" ")).as_deref(),
            want,
            "{labels}: {rules:?}",
            rules = rules.r
        );
    }

    #[test]
    fn replace_sets_and_removes() {
        let abc = "a=foo b=bar c=baz";
        for (labels, rule, want) in [
            (
                "a=foo b=bar c=baz",
                "source_labels=['a'], regex='f(.*)', target_label='d', separator=';', replacement='ch${1}-ch${1}'",
                "a=foo b=bar c=baz d=choo-choo",
            ),
            (
                "a=foo b=bar c=baz",
                "source_labels=['a','b'], regex='f(.*);(.*)r', target_label='a', replacement='b${1}${2}m'",
                "a=boobam b=bar c=baz",
            ),
            (
                "a=boo",
                "source_labels=['a'], regex='f', target_label='b', replacement='bar'",
                "a=boo",
            ),
            (
                "a=boo",
                "source_labels=['a'], regex='b', target_label='b', replacement='bar'",
                "a=boo",
            ),
            (
                "a=boo",
                "source_labels=['a'], regex='.*', target_label='b', replacement='bar'",
                "a=boo b=bar",
            ),
            (
                "a=some-name-value",
                "source_labels=['a'], regex='some-([^-]+)-([^,]+)', replacement='${2}', target_label='${1}'",
                "a=some-name-value name=value",
            ),
            (
                "a=some-name-value",
                "source_labels=['a'], regex='some-([^-]+)-([^,]+)', replacement='${3}', target_label='${1}'",
                "a=some-name-value",
            ),
            (
                "a=some-name-0",
                "source_labels=['a'], regex='some-([^-]+)-([^,]+)', replacement='${1}', target_label='${3}'",
                "a=some-name-0",
            ),
            (
                "a=x",
                "target_label='b', replacement='static'",
                "a=x b=static",
            ),
            ("a=x b=y", "source_labels=['gone'], target_label='b'", "a=x"),
            ("a=x b=y", "target_label='b', replacement=''", "a=x"),
            (
                "a=x1",
                "source_labels=['a'], regex='(?P<l>.)(.)', target_label='b', replacement='$l-$2-${l}-$2x-$$-$-${'",
                "a=x1 b=x-1-x--$-$-${",
            ),
            (
                "__address__=h:1",
                "source_labels=['__address__','gone'], separator='|', target_label='j', regex='(.*)'",
                "__address__=h:1 j=h:1|",
            ),
        ] {
            check(labels, &format!("r = [{{ {rule} }}]"), Some(want));
        }
        // The first rule's outcome is the second's input.
        check(
            abc,
            "r = [{ source_labels=['a'], regex='f(.*)', target_label='d', replacement='ch${1}' }, \
             { source_labels=['d'], regex='cho(.)', target_label='e' }]",
            Some("a=foo b=bar c=baz d=choo e=o"),
        );
    }

    #[test]
    fn dropped_and_kept() {
        for (rule, kept) in [
            ("source_labels=['a'], regex='.*o.*', action='drop'", false),
            ("source_labels=['a'], regex='o', action='drop'", true),
            (
                "source_labels=['a'], regex='no-match', action='keep'",
                false,
            ),
            ("source_labels=['a'], regex='f|o', action='keep'", false),
            ("source_labels=['a'], regex='f.*', action='keep'", true),
            ("source_labels=['gone'], regex='', action='keep'", true),
            (
                "source_labels=['a'], target_label='twin', action='keepequal'",
                true,
            ),
            (
                "source_labels=['a'], target_label='b', action='keepequal'",
                false,
            ),
            (
                "source_labels=['a'], target_label='twin', action='dropequal'",
                false,
            ),
            (
                "source_labels=['a'], target_label='b', action='dropequal'",
                true,
            ),
            (
                "source_labels=['gone'], target_label='gone2', action='dropequal'",
                false,
            ),
        ] {
            let labels = "a=foo b=bar twin=foo";
            check(
                labels,
                &format!("r = [{{ {rule} }}]"),
                kept.then_some(labels),
            );
        }
    }

    #[test]
    fn names_cases_and_shards() {
        for (labels, rule, want) in [
            (
                "a=foo b=bar c=baz",
                "source_labels=['c'], target_label='d', action='hashmod', modulus=1000",
                "a=foo b=bar c=baz d=976",
            ),
            (
                "a=foo b1=bar b2=baz",
                "regex='(b.*)', replacement='bar_${1}', action='labelmap'",
                "a=foo b1=bar b2=baz bar_b1=bar bar_b2=baz",
            ),
            (
                "__meta_my_bar=aaa __meta_my_baz=bbb __meta_other=ccc a=foo",
                "regex='__meta_(my.*)', action='labelmap'",
                "__meta_my_bar=aaa __meta_my_baz=bbb __meta_other=ccc a=foo my_bar=aaa my_baz=bbb",
            ),
            (
                "a=foo b1=bar b2=baz",
                "regex='(b.*)', action='labeldrop'",
                "a=foo",
            ),
            (
                "a=foo b1=bar b2=baz",
                "regex='(b.*)', action='labelkeep'",
                "b1=bar b2=baz",
            ),
            (
                "foo=bAr123Foo",
                "source_labels=['foo'], action='uppercase', target_label='u'",
                "foo=bAr123Foo u=BAR123FOO",
            ),
            (
                "foo=bAr123Foo",
                "source_labels=['foo'], action='lowercase', target_label='foo'",
                "foo=bar123foo",
            ),
        ] {
            check(labels, &format!("r = [{{ {rule} }}]"), Some(want));
        }
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused() {
        for (rule, key) in [
            ("action='hashmod', target_label='a'", "modulus"),
            ("source_labels=['a']", "target_label"),
            (
                "action='lowercase', source_labels=['a'], target_label='b', replacement='x'",
                "replacement",
            ),
            (
                "action='keepequal', source_labels=['a'], target_label='b', regex='x'",
                "action",
            ),
            (
                "action='labeldrop', source_labels=['a'], regex='x'",
                "action",
            ),
            ("action='labelmap', replacement=''", "replacement"),
        ] {
            let rule: RelabelConfig = toml::from_str(&rule.replace(", ", "\n")).unwrap();
            assert_eq!(rule.problem().map(|(k, _)| k), Some(key), "{rule:?}");
        }
        let bad = toml::from_str::<RelabelConfig>("action='drop'\nregex='('").unwrap_err();
        assert!(bad.to_string().contains("regular expression"), "{bad}");
        assert!(toml::from_str::<RelabelConfig>("action='delete'").is_err());
    }

    #[test]
    fn rules_that_change_the_name_are_known() {
        for (rule, want) in [
            ("target_label='__name__'", true),
            ("target_label='${1}'", true),
            ("target_label='job'", false),
            (
                "source_labels=['__name__']\nregex='go_.*'\naction='drop'",
                false,
            ),
            ("regex='pod_.*'\naction='labeldrop'", false),
            ("regex='__.*'\naction='labeldrop'", true),
            ("regex='pod'\naction='labelkeep'", true),
            ("regex='pod|__name__'\naction='labelkeep'", false),
            ("regex='__meta_(.+)'\naction='labelmap'", true),
            ("regex='x'\nreplacement='y'\naction='labelmap'", false),
        ] {
            let parsed: RelabelConfig = toml::from_str(rule).unwrap();
            assert_eq!(parsed.changes("__name__"), want, "{rule}");
        }
    }
}
