//! The tables against the structs, and the files against the tables.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize as _;
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::*;
use crate::config::{Config, load};

fn nothing(_: &str) -> Option<String> {
    None
}

/// The example with its keys made real; `keep` chooses which.
fn real(keep: impl Fn(&Section, &Key) -> bool, instead: bool) -> String {
    let mut out = String::new();
    for section in SECTIONS {
        let keys: Vec<&Key> = section.keys.iter().filter(|k| keep(section, k)).collect();
        if keys.is_empty() {
            continue;
        }
        section
            .before
            .iter()
            .for_each(|l| line_out(&mut out, "", l));
        line_out(&mut out, "", section.header);
        for key in keys {
            match key.value {
                Default(v) | Example(v) | Required(v) => {
                    line_out(&mut out, "", &format!("{} = {v}", key.name));
                }
                Instead(v) if instead => line_out(&mut out, "", &format!("{} = {v}", key.name)),
                Instead(_) => {}
                Lines(lines) => lines.iter().for_each(|l| line_out(&mut out, "", l)),
            }
        }
    }
    out
}

#[test]
fn every_key_of_the_structs_is_in_the_tables() {
    let mut want = BTreeSet::new();
    for section in SECTIONS {
        // A section is a key of the one above it.
        let mut path = section.path;
        while let Some(at) = path.rfind('.') {
            path = &path[..at];
            want.insert(path.to_owned());
        }
        want.insert(section.path.to_owned());
        for key in section.keys {
            want.insert(format!("{}.{}", section.path, key.name));
        }
    }
    let got: BTreeSet<String> = fields()
        .into_iter()
        // What is in a free table is not a key of ours.
        .filter(|path| {
            !path.ends_with(".*")
                || path == "facts.*"
                || path == "signs.*"
                || path.ends_with("http_headers.*")
        })
        .collect();
    let missing: Vec<_> = got.difference(&want).collect();
    let extra: Vec<_> = want.difference(&got).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:?}, extra {extra:?}"
    );
}

#[test]
fn every_default_in_the_tables_is_the_structs_default() {
    // Without credentials the form is right all the same.
    let written = real(|_, k| matches!(k.value, Default(_) | Required(_)), false);
    let is_default = |line: &str| {
        let mut keys = SECTIONS.iter().flat_map(|s| s.keys);
        keys.any(|k| matches!(k.value, Default(v) if line == format!("{} = {v}", k.name)))
    };
    let bare: Vec<&str> = written.lines().filter(|l| !is_default(l)).collect();
    let of = |text: &str| {
        let (config, _) = load::parse("example", text, &nothing).unwrap_or_else(|e| panic!("{e}"));
        format!("{config:#?}")
    };
    assert!(bare.len() + 20 < written.lines().count());
    assert_eq!(of(&written), of(&bare.join("\n")));
}

#[test]
fn the_whole_example_is_accepted() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for key in SECTIONS.iter().flat_map(|s| s.keys) {
        if let (true, Example(v)) = (key.name.ends_with("_file"), &key.value) {
            files.push(v.trim_matches('"'));
        }
    }
    for file in files
        .iter()
        .chain(&["header-token", "rules/a.yml", "playbook/a.toml"])
    {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    // Only lines that begin with # and no space are keys.
    let text: String = example()
        .lines()
        .map(|l| match l.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c != ' ') => format!("{key}\n"),
            _ => format!("{l}\n"),
        })
        .collect();
    let loaded = load::load_str("example", &text, dir.path(), &nothing)
        .unwrap_or_else(|e| panic!("{e}\n{text}"));
    let unset: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        unset.len(),
        1,
        "only the job that shows a token has no targets: {unset:?}"
    );
    let commented = load::load_str("example", &example(), dir.path(), &nothing).unwrap();
    let default = format!("{:?}", Config::default());
    assert_eq!(format!("{:?}", commented.config), default);
}

#[test]
fn what_the_tables_call_secret_prints_as_stars() {
    let mut canaries = 0;
    for section in SECTIONS {
        for key in section.keys {
            let sounds_secret = [
                "password",
                "credentials",
                "api_url",
                "token",
                "secret",
                "secrets",
                "key",
                "proxy_url",
                "url",
            ]
            .contains(&key.name);
            assert_eq!(key.kind.ends_with("secret"), sounds_secret, "{}", key.name);
            if !sounds_secret {
                continue;
            }
            canaries += 1;
            let text = real(|_, k| !matches!(k.value, Default(_)), true);
            let text: String = text
                .lines()
                .map(|l| match l.split_once(" = ") {
                    Some((k, v)) if k == key.name && v.starts_with('[') => {
                        format!("{k} = [\"https://c4n4ry\"]\n")
                    }
                    Some((k, _)) if k == key.name => format!("{k} = \"https://c4n4ry\"\n"),
                    _ => format!("{l}\n"),
                })
                .collect();
            let env = |_: &str| Some("from-env".to_owned());
            let (config, _) = load::parse("example", &text, &env).unwrap_or_else(|e| panic!("{e}"));
            let shown = format!("{config:?} {config:#?}");
            assert!(text.contains("c4n4ry") && shown.contains("<redacted>"));
            assert!(
                !shown.contains("c4n4ry") && !shown.contains("from-env"),
                "{}",
                key.name
            );
        }
    }
    assert!(canaries >= 5);
}

#[test]
fn the_files_are_what_the_tables_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut old = Vec::new();
    for (file, want) in [
        ("config.example.toml", example()),
        ("docs/configuration.md", page()),
    ] {
        if std::fs::read_to_string(root.join(file)).is_ok_and(|got| got == want) {
            continue;
        }
        std::fs::write(root.join(file), want).unwrap();
        old.push(file);
    }
    assert!(
        old.is_empty(),
        "{old:?} were out of date and are written anew: commit them"
    );
}

/// All key paths of [`Config`], found by a deserializer that answers every question.
fn fields() -> BTreeSet<String> {
    let answers = RefCell::new(BTreeMap::new());
    for _ in 0..1000 {
        let recorder = Recorder {
            path: String::new(),
            seen: &RefCell::default(),
            answers: &answers,
            asked: &RefCell::default(),
        };
        match Config::deserialize(recorder.at("")) {
            Ok(_) => return recorder.seen.take(),
            // The last open question was answered with a kind that its type refuses.
            Err(_) => {
                let asked = recorder.asked.take();
                *answers.borrow_mut().entry(asked).or_insert(0) += 1;
            }
        }
    }
    panic!("a type accepts none of the kinds tried");
}

struct Recorder<'a> {
    path: String,
    seen: &'a RefCell<BTreeSet<String>>,
    answers: &'a RefCell<BTreeMap<String, usize>>,
    asked: &'a RefCell<String>,
}

impl<'a> Recorder<'a> {
    fn at(&self, key: &str) -> Recorder<'a> {
        let path = match (self.path.as_str(), key) {
            (parent, "") => parent.to_owned(),
            ("", key) => key.to_owned(),
            (parent, key) => format!("{parent}.{key}"),
        };
        if !path.is_empty() {
            self.seen.borrow_mut().insert(path.clone());
        }
        Recorder { path, ..*self }
    }
}

type Failure = de::value::Error;

/// One value for each key in turn.
struct Keys<'a>(Recorder<'a>, Vec<&'static str>, &'static str);

impl<'de> MapAccess<'de> for Keys<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let Some(key) = self.1.pop() else {
            return Ok(None);
        };
        self.2 = key;
        let key: StrDeserializer<'_, Failure> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        seed.deserialize(self.0.at(self.2))
    }
}

/// One element.
struct One<'a>(Option<Recorder<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        self.0.take().map(|r| seed.deserialize(r)).transpose()
    }
}

impl<'de> Deserializer<'de> for Recorder<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Failure> {
        *self.asked.borrow_mut() = self.path.clone();
        match self.answers.borrow().get(&self.path).copied().unwrap_or(0) {
            0 => v.visit_bool(true),
            1 => v.visit_i64(1),
            2 => v.visit_str("1s"),
            3 => v.visit_seq(SeqDeserializer::new(std::iter::empty::<bool>())),
            _ => v.visit_map(MapDeserializer::new(std::iter::empty::<(bool, bool)>())),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, Failure> {
        v.visit_map(Keys(self, fields.to_vec(), ""))
    }

    fn deserialize_map<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Failure> {
        v.visit_map(Keys(self, vec!["*"], ""))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Failure> {
        v.visit_seq(One(Some(self)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, v: V) -> Result<V::Value, Failure> {
        v.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        v: V,
    ) -> Result<V::Value, Failure> {
        v.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, Failure> {
        let first: StrDeserializer<'_, Failure> = variants[0].into_deserializer();
        v.visit_enum(first)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct identifier ignored_any
    }
}
