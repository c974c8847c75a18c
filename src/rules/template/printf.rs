//! Go's fmt verbs for the types that templates have.

use super::time;
use super::value::Value;

/// Longest text that one call may make, and widest field.
const MAX_LEN: usize = super::MAX_OUTPUT;

/// `%v`.
pub(super) fn display(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => float(*f, 'g', None),
        Value::Str(s) => s.to_string(),
        Value::Labels(m) => {
            let pairs: Vec<String> = m.iter().map(|(k, v)| format!("{k}:{v}")).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Args(m) => {
            let pairs: Vec<String> = m
                .iter()
                .map(|(k, v)| format!("{k}:{}", display(v)))
                .collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::List(l) => {
            let items: Vec<String> = l
                .iter()
                .map(|e| display(&Value::Element(std::sync::Arc::clone(e))))
                .collect();
            format!("[{}]", items.join(" "))
        }
        Value::Element(e) => format!(
            "{{{} {}}}",
            display(&Value::Labels(std::sync::Arc::clone(&e.labels))),
            float(e.value, 'g', None)
        ),
        Value::Histogram(h) => h.to_string(),
        Value::Time(ms) => time::time(*ms),
        Value::Duration(ns) => time::duration(*ns),
        Value::Root(r) => format!(
            "{{{} {} {} {}}}",
            display(&Value::Labels(std::sync::Arc::clone(&r.labels))),
            display(&Value::Labels(std::sync::Arc::clone(&r.external_labels))),
            r.external_url,
            display(&r.value)
        ),
    }
}

/// Go's Sprint: a blank between two operands when neither is a string.
pub(super) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        if i > 0 && !matches!(value, Value::Str(_)) && !matches!(values[i - 1], Value::Str(_)) {
            out.push(' ');
        }
        out.push_str(&display(value));
    }
    out
}

/// Go's Sprintln.
pub(super) fn sprintln(values: &[Value]) -> String {
    let mut out = values.iter().map(display).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}

#[derive(Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Go's Sprintf; the error names the bound on its length.
pub(super) fn sprintf(format: &str, args: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut next = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > MAX_LEN {
            return Err(format!("printf makes more than {MAX_LEN} bytes"));
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "+-# 0".contains(*c)) {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        if chars.next_if_eq(&'*').is_some() {
            match star(args, &mut next) {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
        } else {
            spec.width = digits(&mut chars).unwrap_or(0);
        }
        if chars.next_if_eq(&'.').is_some() {
            if chars.next_if_eq(&'*').is_some() {
                match star(args, &mut next).and_then(|p| usize::try_from(p).ok()) {
                    Some(p) => spec.precision = Some(p),
                    None => out.push_str("%!(BADPREC)"),
                }
            } else {
                spec.precision = Some(digits(&mut chars).unwrap_or(0));
            }
        }
        if spec.width > MAX_LEN || spec.precision.is_some_and(|p| p > MAX_LEN) {
            return Err(format!("printf width or precision over {MAX_LEN}"));
        }
        // Zeros go before a number, never after it.
        spec.zero &= !spec.minus;
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(arg) = args.get(next) else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        next += 1;
        out.push_str(&one(verb, &spec, arg));
    }
    if next < args.len() {
        let extra: Vec<String> = args[next..]
            .iter()
            .map(|a| format!("{}={}", a.type_name(), display(a)))
            .collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    if out.len() > MAX_LEN {
        return Err(format!("printf makes more than {MAX_LEN} bytes"));
    }
    Ok(out)
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut n: Option<usize> = None;
    while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        n = Some(n.unwrap_or(0).saturating_mul(10).saturating_add(d as usize));
    }
    n
}

fn star(args: &[Value], next: &mut usize) -> Option<i64> {
    let arg = args.get(*next)?;
    *next += 1;
    if let Value::Int(i) = arg {
        Some(*i)
    } else {
        None
    }
}

fn one(verb: char, spec: &Spec, arg: &Value) -> String {
    let known = match (verb, arg) {
        ('T', _) => Some(pad(arg.type_name().to_owned(), spec)),
        ('v', Value::Float(f)) => Some(pad_float(*f, 'g', spec)),
        ('v', Value::Int(i)) => Some(integer(*i, 'd', spec)),
        ('v', Value::Str(s)) if spec.sharp => Some(pad(quote(s), spec)),
        ('v', Value::Str(s)) => Some(pad(cut(s, spec), spec)),
        ('v', other) => Some(pad(display(other), spec)),
        ('t', Value::Bool(b)) => Some(pad(b.to_string(), spec)),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(f)) => Some(pad_float(*f, verb, spec)),
        ('d' | 'b' | 'o' | 'O' | 'x' | 'X' | 'c' | 'q' | 'U', Value::Int(i)) => {
            Some(integer(*i, verb, spec))
        }
        ('s', Value::Str(s)) => Some(pad(cut(s, spec), spec)),
        ('q', Value::Str(s)) => Some(pad(quote(&cut(s, spec)), spec)),
        ('x', Value::Str(s)) => Some(pad(hex(s, false), spec)),
        ('X', Value::Str(s)) => Some(pad(hex(s, true), spec)),
        (
            's',
            Value::Labels(_)
            | Value::Args(_)
            | Value::Histogram(_)
            | Value::Time(_)
            | Value::Duration(_),
        ) => Some(pad(display(arg), spec)),
        ('d', Value::Duration(ns)) => Some(integer(*ns, 'd', spec)),
        _ => None,
    };
    known.unwrap_or_else(|| {
        if *arg == Value::Nil {
            return format!("%!{verb}(<nil>)");
        }
        format!("%!{verb}({}={})", arg.type_name(), display(arg))
    })
}

fn cut(s: &str, spec: &Spec) -> String {
    match spec.precision {
        Some(p) => s.chars().take(p).collect(),
        None => s.to_owned(),
    }
}

fn hex(s: &str, upper: bool) -> String {
    s.bytes()
        .map(|b| {
            if upper {
                format!("{b:02X}")
            } else {
                format!("{b:02x}")
            }
        })
        .collect()
}

fn pad(text: String, spec: &Spec) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if spec.minus {
        return text + &" ".repeat(missing);
    }
    let filler = if spec.zero { "0" } else { " " };
    filler.repeat(missing) + &text
}

/// Pads a number: zeros go between sign and digits.
fn pad_number(sign: &str, digits: &str, spec: &Spec) -> String {
    if spec.zero {
        let missing = spec.width.saturating_sub(sign.len() + digits.len());
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    pad(format!("{sign}{digits}"), spec)
}

fn integer(i: i64, verb: char, spec: &Spec) -> String {
    let n = i.unsigned_abs();
    let mut digits = match verb {
        'b' => format!("{n:b}"),
        'o' => format!("{n:o}"),
        'O' => format!("0o{n:o}"),
        'x' => format!("{n:x}"),
        'X' => format!("{n:X}"),
        'c' => return pad(character(i).to_string(), spec),
        'q' => return pad(format!("'{}'", character(i)), spec),
        'U' => return pad(format!("U+{n:04X}"), spec),
        _ => n.to_string(),
    };
    if let Some(p) = spec.precision {
        digits = format!("{}{digits}", "0".repeat(p.saturating_sub(digits.len())));
    }
    if spec.sharp {
        let prefix = match verb {
            'x' => "0x",
            'X' => "0X",
            'b' => "0b",
            'o' => "0",
            _ => "",
        };
        digits.insert_str(0, prefix);
    }
    let sign = sign(i < 0, spec);
    let spec = Spec {
        zero: spec.zero && spec.precision.is_none(),
        width: spec.width,
        minus: spec.minus,
        ..Spec::default()
    };
    pad_number(sign, &digits, &spec)
}

fn sign(negative: bool, spec: &Spec) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn character(i: i64) -> char {
    u32::try_from(i)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or('\u{fffd}')
}

fn pad_float(f: f64, verb: char, spec: &Spec) -> String {
    if f.is_nan() || f.is_infinite() {
        let spec = Spec {
            zero: false,
            minus: spec.minus,
            width: spec.width,
            plus: spec.plus,
            space: spec.space,
            ..Spec::default()
        };
        let text = match (f.is_nan(), spec.plus, spec.space) {
            (true, true, _) => "+NaN".to_owned(),
            (true, false, true) => " NaN".to_owned(),
            _ => float(f, 'g', None),
        };
        return pad(text, &spec);
    }
    let precision = match (verb, spec.precision) {
        (_, Some(p)) => Some(p),
        ('g' | 'G', None) => None,
        _ => Some(6),
    };
    let text = float(f.abs(), verb, precision);
    pad_number(sign(f.is_sign_negative(), spec), &text, spec)
}

/// A float with one of the verbs e E f F g G; without precision, as few digits as tell it apart.
pub(super) fn float(f: f64, verb: char, precision: Option<usize>) -> String {
    if f.is_nan() {
        return "NaN".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = match (verb, precision) {
        ('f' | 'F', Some(p)) => format!("{f:.p$}"),
        ('f' | 'F', None) => format!("{f}"),
        ('e' | 'E', Some(p)) => exponent(&format!("{f:.p$e}")),
        ('e' | 'E', None) => exponent(&format!("{f:e}")),
        (_, precision) => general(f, precision),
    };
    if verb.is_ascii_uppercase() {
        text.to_uppercase()
    } else {
        text
    }
}

/// `%g`: an exponent when it is under -4 or not under the precision (6 for shortest).
fn general(f: f64, precision: Option<usize>) -> String {
    let scientific = match precision {
        None => format!("{f:e}"),
        Some(p) => format!("{f:.*e}", p.max(1) - 1),
    };
    let Some((mantissa, exp)) = scientific.split_once('e') else {
        return scientific;
    };
    let exp: i32 = exp.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let most = precision.map_or(6, |p| i32::try_from(p.max(1)).unwrap_or(i32::MAX));
    if exp < -4 || exp >= most {
        return exponent(&format!("{mantissa}e{exp}"));
    }
    let decimals = i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exp;
    let decimals = usize::try_from(decimals).unwrap_or(0);
    // Rounded to the digits it has: parsing them back and printing them is exact.
    let rounded: f64 = scientific.parse().unwrap_or(f);
    format!("{rounded:.decimals$}")
}

/// Rust's `1e5` as Go's `1e+05`.
fn exponent(text: &str) -> String {
    let Some((mantissa, exp)) = text.split_once('e') else {
        return text.to_owned();
    };
    let exp: i32 = exp.parse().unwrap_or(0);
    let sign = if exp < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exp.unsigned_abs())
}

/// Go's strconv.Quote.
pub(super) fn quote(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
