//! What a template can call: Go's builtins and Prometheus's functions.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::escape::{escape_html, escape_js, escape_query};
use super::humanize::{humanize, humanize_duration, humanize1024, short};
use super::printf;
use super::value::{Element, Value};
use crate::model::{Querier, Timestamp, duration, matcher};

/// Queries that one expansion may ask.
const MAX_QUERIES: usize = 100;

macro_rules! functions {
    ($($variant:ident $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function {
            $($variant,)*
        }

        impl Function {
            pub(super) fn by_name(name: &str) -> Option<Function> {
                match name {
                    $($name => Some(Function::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

functions! {
    And "and",
    Or "or",
    Not "not",
    Eq "eq",
    Ne "ne",
    Lt "lt",
    Le "le",
    Gt "gt",
    Ge "ge",
    Len "len",
    Index "index",
    Slice "slice",
    Print "print",
    Printf "printf",
    Println "println",
    Html "html",
    Js "js",
    Urlquery "urlquery",
    Query "query",
    First "first",
    Label "label",
    ValueOf "value",
    Strvalue "strvalue",
    Args "args",
    ReReplaceAll "reReplaceAll",
    SafeHtml "safeHtml",
    Match "match",
    Title "title",
    ToUpper "toUpper",
    ToLower "toLower",
    GraphLink "graphLink",
    TableLink "tableLink",
    SortByLabel "sortByLabel",
    StripPort "stripPort",
    StripDomain "stripDomain",
    Humanize "humanize",
    Humanize1024 "humanize1024",
    HumanizeDuration "humanizeDuration",
    HumanizePercentage "humanizePercentage",
    HumanizeTimestamp "humanizeTimestamp",
    ToTime "toTime",
    ToDuration "toDuration",
    Now "now",
    PathPrefix "pathPrefix",
    ExternalUrl "externalURL",
    ParseDuration "parseDuration",
    UrlQueryEscape "urlQueryEscape",
}

/// What functions may ask.
pub(super) struct World<'a> {
    querier: &'a dyn Querier,
    at: Timestamp,
    external_url: &'a str,
    queries: usize,
}

impl<'a> World<'a> {
    pub(super) fn new(querier: &'a dyn Querier, at: Timestamp, external_url: &'a str) -> Self {
        Self {
            querier,
            at,
            external_url,
            queries: 0,
        }
    }

    fn query(&mut self, expr: &str) -> Result<Value, String> {
        self.queries += 1;
        if self.queries > MAX_QUERIES {
            return Err(format!("template asks more than {MAX_QUERIES} queries"));
        }
        let answer = self
            .querier
            .instant(expr, self.at)
            .map_err(|e| format!("query {expr:?}: {e}"))?;
        let vector = answer
            .into_elements()
            .ok_or_else(|| format!("query {expr:?}: result is not a vector or scalar"))?;
        let elements = vector
            .into_iter()
            .map(|s| {
                Arc::new(Element {
                    labels: Arc::new(
                        s.labels
                            .iter()
                            .map(|(n, v)| (n.to_owned(), v.to_owned()))
                            .collect(),
                    ),
                    value: s.value,
                })
            })
            .collect();
        Ok(Value::List(Arc::new(elements)))
    }
}

/// Calls a function.
pub(super) fn call(f: Function, args: &[Value], world: &mut World<'_>) -> Result<Value, String> {
    match f {
        // The caller, which need not evaluate all arguments, has answered these two.
        Function::And | Function::Or => Err("and, or: evaluated by the caller".to_owned()),
        Function::Not => one(args).map(|v| Value::Bool(!v.is_true())),
        Function::Eq => equal(args).map(Value::Bool),
        Function::Ne => {
            let [a, b] = two(args)?;
            Ok(Value::Bool(!equal(&[a.clone(), b.clone()])?))
        }
        Function::Lt => compare(args).map(|o| Value::Bool(o == Some(Ordering::Less))),
        Function::Le => {
            compare(args).map(|o| Value::Bool(matches!(o, Some(Ordering::Less | Ordering::Equal))))
        }
        // As in Go: gt is not le, and ge is not lt, also for NaN.
        Function::Gt => {
            compare(args).map(|o| Value::Bool(!matches!(o, Some(Ordering::Less | Ordering::Equal))))
        }
        Function::Ge => compare(args).map(|o| Value::Bool(o != Some(Ordering::Less))),
        Function::Len => len(one(args)?),
        Function::Index => index(args),
        Function::Slice => slice(args),
        Function::Print => Ok(Value::text(printf::sprint(args))),
        Function::Println => Ok(Value::text(printf::sprintln(args))),
        Function::Printf => {
            let (format, rest) = args.split_first().ok_or("printf needs a format")?;
            printf::sprintf(string(format)?, rest).map(Value::text)
        }
        Function::Html => Ok(Value::text(escape_html(&printf::sprint(args)))),
        Function::Js => Ok(Value::text(escape_js(&printf::sprint(args)))),
        Function::Urlquery => Ok(Value::text(escape_query(&printf::sprint(args)))),
        Function::Query => world.query(string(one(args)?)?),
        Function::First => match list(one(args)?)?.first() {
            Some(e) => Ok(Value::Element(Arc::clone(e))),
            None => Err("first() called on vector with no elements".to_owned()),
        },
        Function::Label => {
            let [name, e] = two(args)?;
            let e = element(e)?;
            Ok(Value::text(e.labels.get(string(name)?).map_or("", |v| v)))
        }
        Function::ValueOf => element(one(args)?).map(|e| Value::Float(e.value)),
        Function::Strvalue => {
            element(one(args)?).map(|e| Value::text(e.labels.get("__value__").map_or("", |v| v)))
        }
        Function::Args => Ok(Value::Args(Arc::new(
            args.iter()
                .enumerate()
                .map(|(i, v)| (format!("arg{i}"), v.clone()))
                .collect::<BTreeMap<_, _>>(),
        ))),
        Function::ReReplaceAll => {
            let [pattern, replacement, text] = three(args)?;
            let re = matcher::compile_unanchored(string(pattern)?)?;
            Ok(Value::text(
                re.replace_all(string(text)?, string(replacement)?),
            ))
        }
        Function::Match => {
            let [pattern, text] = two(args)?;
            let re = matcher::compile_unanchored(string(pattern)?)?;
            Ok(Value::Bool(re.is_match(string(text)?)))
        }
        Function::SafeHtml => string(one(args)?).map(Value::text),
        Function::Title => string(one(args)?).map(|s| Value::text(title(s))),
        Function::ToUpper => string(one(args)?).map(|s| Value::text(s.to_uppercase())),
        Function::ToLower => string(one(args)?).map(|s| Value::text(s.to_lowercase())),
        Function::GraphLink => string(one(args)?).map(|s| link(s, 0)),
        Function::TableLink => string(one(args)?).map(|s| link(s, 1)),
        Function::SortByLabel => {
            let [name, l] = two(args)?;
            let name = string(name)?;
            let mut elements = list(l)?.as_ref().clone();
            elements.sort_by(|a, b| a.labels.get(name).cmp(&b.labels.get(name)));
            Ok(Value::List(Arc::new(elements)))
        }
        Function::StripPort => {
            let s = string(one(args)?)?;
            Ok(Value::text(split_host_port(s).map_or(s, |(host, _)| host)))
        }
        Function::StripDomain => string(one(args)?).map(|s| Value::text(strip_domain(s))),
        Function::Humanize => number(one(args)?).map(|v| Value::text(humanize(v))),
        Function::Humanize1024 => number(one(args)?).map(|v| Value::text(humanize1024(v))),
        Function::HumanizeDuration => number(one(args)?).map(|v| Value::text(humanize_duration(v))),
        Function::HumanizePercentage => {
            number(one(args)?).map(|v| Value::text(format!("{}%", short(v * 100.0))))
        }
        Function::HumanizeTimestamp => {
            let v = number(one(args)?)?;
            if v.is_nan() || v.is_infinite() {
                return Ok(Value::text(short(v)));
            }
            to_millis(v).map(|ms| Value::text(super::time::time(ms)))
        }
        Function::ToTime => to_millis(number(one(args)?)?).map(Value::Time),
        Function::ToDuration => nanoseconds(number(one(args)?)?).map(Value::Duration),
        Function::Now => {
            none(args)?;
            Ok(Value::Float(world.at.as_secs_f64()))
        }
        Function::PathPrefix => {
            none(args)?;
            let path = world
                .external_url
                .split_once("://")
                .map_or("", |(_, rest)| rest.find('/').map_or("", |i| &rest[i..]));
            Ok(Value::text(path.split(['?', '#']).next().unwrap_or("")))
        }
        Function::ExternalUrl => {
            none(args)?;
            Ok(Value::text(world.external_url))
        }
        Function::ParseDuration => {
            let d = duration::parse(string(one(args)?)?)?;
            Ok(Value::Float(d.as_secs_f64()))
        }
        Function::UrlQueryEscape => string(one(args)?).map(|s| Value::text(escape_query(s))),
    }
}

fn wrong_count(want: usize, got: usize) -> String {
    format!("wrong number of args: want {want}, got {got}")
}

fn none(args: &[Value]) -> Result<(), String> {
    if args.is_empty() {
        Ok(())
    } else {
        Err(wrong_count(0, args.len()))
    }
}

fn one(args: &[Value]) -> Result<&Value, String> {
    match args {
        [a] => Ok(a),
        _ => Err(wrong_count(1, args.len())),
    }
}

fn two(args: &[Value]) -> Result<[&Value; 2], String> {
    match args {
        [a, b] => Ok([a, b]),
        _ => Err(wrong_count(2, args.len())),
    }
}

fn three(args: &[Value]) -> Result<[&Value; 3], String> {
    match args {
        [a, b, c] => Ok([a, b, c]),
        _ => Err(wrong_count(3, args.len())),
    }
}

fn wrong_type(want: &str, got: &Value) -> String {
    format!(
        "wrong type for value; expected {want}; got {}",
        got.type_name()
    )
}

fn string(v: &Value) -> Result<&str, String> {
    if let Value::Str(s) = v {
        Ok(s)
    } else {
        Err(wrong_type("string", v))
    }
}

fn list(v: &Value) -> Result<&Arc<Vec<Arc<Element>>>, String> {
    if let Value::List(l) = v {
        Ok(l)
    } else {
        Err(wrong_type("template.queryResult", v))
    }
}

fn element(v: &Value) -> Result<&Arc<Element>, String> {
    if let Value::Element(e) = v {
        Ok(e)
    } else {
        Err(wrong_type("*template.sample", v))
    }
}

fn number(v: &Value) -> Result<f64, String> {
    match v {
        Value::Float(f) => Ok(*f),
        Value::Int(i) => Ok(*i as f64),
        Value::Duration(ns) => Ok(*ns as f64 / 1e9),
        Value::Str(s) => s
            .parse()
            .map_err(|_| format!("can't convert {s:?} to float")),
        Value::Nil
        | Value::Bool(_)
        | Value::Labels(_)
        | Value::Args(_)
        | Value::List(_)
        | Value::Element(_)
        | Value::Histogram(_)
        | Value::Time(_)
        | Value::Root(_) => Err(format!("can't convert {} to float", v.type_name())),
    }
}

fn equal(args: &[Value]) -> Result<bool, String> {
    let (first, rest) = args
        .split_first()
        .filter(|(_, rest)| !rest.is_empty())
        .ok_or("missing argument for comparison")?;
    for other in rest {
        let same = match (first, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Nil, Value::Nil) => true,
            (Value::Nil, _) | (_, Value::Nil) => false,
            _ => return Err("incompatible types for comparison".to_owned()),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare(args: &[Value]) -> Result<Option<Ordering>, String> {
    let [a, b] = two(args)?;
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn len(v: &Value) -> Result<Value, String> {
    let n = match v {
        Value::Str(s) => s.len(),
        Value::Labels(m) => m.len(),
        Value::Args(m) => m.len(),
        Value::List(l) => l.len(),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Element(_)
        | Value::Histogram(_)
        | Value::Time(_)
        | Value::Duration(_)
        | Value::Root(_) => return Err(format!("len of type {}", v.type_name())),
    };
    Ok(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)))
}

fn index(args: &[Value]) -> Result<Value, String> {
    let (first, keys) = args.split_first().ok_or_else(|| wrong_count(1, 0))?;
    let mut value = first.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Labels(_) | Value::Args(_), Value::Str(key)) => value.field(key)?,
            (Value::List(l), Value::Int(i)) => {
                let e = usize::try_from(*i).ok().and_then(|i| l.get(i));
                Value::Element(Arc::clone(
                    e.ok_or_else(|| format!("index out of range: {i}"))?,
                ))
            }
            (Value::Str(s), Value::Int(i)) => {
                let b = usize::try_from(*i).ok().and_then(|i| s.as_bytes().get(i));
                Value::Int(i64::from(
                    *b.ok_or_else(|| format!("index out of range: {i}"))?,
                ))
            }
            (of, by) => {
                return Err(format!(
                    "can't index item of type {} with {}",
                    of.type_name(),
                    by.type_name()
                ));
            }
        };
    }
    Ok(value)
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let (of, bounds) = args.split_first().ok_or_else(|| wrong_count(1, 0))?;
    let bound = |i: usize, default: usize, max: usize| match bounds.get(i) {
        None => Ok(default),
        Some(Value::Int(n)) => usize::try_from(*n)
            .ok()
            .filter(|n| *n <= max)
            .ok_or_else(|| format!("index out of range: {n}")),
        Some(other) => Err(format!(
            "cannot index slice with type {}",
            other.type_name()
        )),
    };
    if bounds.len() > 2 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let max = if let Value::List(l) = of {
        l.len()
    } else {
        let not_sliced = |_| format!("can't slice item of type {}", of.type_name());
        string(of).map_err(not_sliced)?.len()
    };
    let (from, to) = (bound(0, 0, max)?, bound(1, max, max)?);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if let Value::List(l) = of {
        return Ok(Value::List(Arc::new(l[from..to].to_vec())));
    }
    let bytes = &string(of)?.as_bytes()[from..to];
    Ok(Value::text(String::from_utf8_lossy(bytes)))
}

fn nanoseconds(seconds: f64) -> Result<i64, String> {
    let ns = seconds * 1e9;
    if ns.is_nan() || ns.abs() >= 9_223_372_036_854_775_808.0 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            printf::float(seconds, 'g', None)
        ));
    }
    Ok(ns as i64)
}

fn to_millis(seconds: f64) -> Result<i64, String> {
    nanoseconds(seconds).map(|ns| ns / 1_000_000)
}

fn title(s: &str) -> String {
    let mut inside = false;
    s.chars()
        .map(|c| {
            let letter = c.is_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace());
            let starts = letter && !inside;
            inside = letter;
            if starts {
                c.to_uppercase().next().unwrap_or(c)
            } else {
                c
            }
        })
        .collect()
}

fn link(expr: &str, tab: u8) -> Value {
    Value::text(format!(
        "/graph?g0.expr={}&g0.tab={tab}",
        escape_query(expr)
    ))
}

/// Go's net.SplitHostPort; `None` where that fails.
fn split_host_port(s: &str) -> Option<(&str, &str)> {
    if let Some(rest) = s.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = rest.strip_prefix(':')?;
        return (!port.contains([':', '[', ']']) && !host.contains('[')).then_some((host, port));
    }
    let (host, port) = s.rsplit_once(':')?;
    (!host.contains([':', '[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

fn strip_domain(s: &str) -> String {
    let (host, port) = split_host_port(s).unwrap_or((s, ""));
    if host.parse::<IpAddr>().is_ok() {
        return s.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    match (port.is_empty(), host.contains(':')) {
        (true, _) => host.to_owned(),
        (false, false) => format!("{host}:{port}"),
        (false, true) => format!("[{host}]:{port}"),
    }
}
