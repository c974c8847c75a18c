use super::*;

fn with_everything(text: &str) -> Result<Expr, ParseError> {
    parse_with(text, ParseOptions::all())
}

/// Parses `text`, prints the tree and checks that the print reads back as the same tree.
fn check(text: &str, want: &str) {
    let tree = with_everything(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let printed = tree.to_string();
    assert_eq!(printed, want, "{text}");
    let again = with_everything(&printed).unwrap_or_else(|e| panic!("{printed}: {e}"));
    assert_eq!(again.to_string(), printed);
}

/// Position and a part of the message.
fn check_error(text: &str, want: &str) {
    let error = parse(text).expect_err(text).to_string();
    assert!(error.contains(want), "{text}: {error}");
}

#[test]
fn trees_print_as_text_that_reads_back() {
    for (text, want) in [
        ("1", "1"),
        ("5m", "300"),
        ("0x1F + 1_000", "31 + 1000"),
        ("- -1^2", "--1 ^ 2"),
        (
            "-10^3 * - SUM(a) BY (job) ^ -1",
            "-10 ^ 3 * -sum by (job) (a) ^ -1",
        ),
        ("a + b * c", "a + b * c"),
        ("(a + b) * c", "(a + b) * c"),
        ("a % 2 ^ (3 ^ 2)", "a % 2 ^ (3 ^ 2)"),
        ("a>1 AND b or c UNLESS d", "a > 1 and b or c unless d"),
        (
            "a / on(x, \"y.z\") group_left(w) b",
            "a / on (x, \"y.z\") group_left (w) b",
        ),
        ("a == bool ignoring() b", "a == bool b"),
        ("a and on() b", "a and on () b"),
        ("sum(a) without (x)", "sum without (x) (a)"),
        ("topk by () (3, a)", "topk by () (3, a)"),
        ("count_values(\"v\", a)", "count_values(\"v\", a)"),
        ("{__name__=\"a.b\", c!~'d'}", "{__name__=\"a.b\", c!~\"d\"}"),
        (
            "{\"a.b\", \"c d\"=`e\\f`}",
            "{__name__=\"a.b\", \"c d\"=\"e\\\\f\"}",
        ),
        ("sum", "{__name__=\"sum\"}"),
        ("a</5m", "a </ 300"),
        ("a >/ b + c", "a >/ b + c"),
        (
            "a + on (x) fill(-1) b",
            "a + on (x) fill_left (-1) fill_right (-1) b",
        ),
        (
            "a == bool fill_right(NaN) b",
            "a == bool fill_right (NaN) b",
        ),
        (
            "fill + fill_left",
            "{__name__=\"fill\"} + {__name__=\"fill_left\"}",
        ),
        ("rate(a[5m] anchored)", "rate(a[5m] anchored)"),
        ("a smoothed offset 5m @ 3", "a smoothed @ 3.000 offset 5m"),
        ("info(a)", "info(a, {__name__=\"target_info\"})"),
        ("info(a, {b=~\".*\"})", "info(a, {b=~\".*\"})"),
        (
            "sum{a=\"b\",} offset 5m",
            "{__name__=\"sum\", a=\"b\"} offset 5m",
        ),
        ("a:b:c", "a:b:c"),
        ("a[5m] @ 100 offset -1m", "a[5m] @ 100.000 offset -1m"),
        ("a offset 1h @ start()", "a @ start() offset 1h"),
        ("a[300]", "a[300]"),
        ("a @ -5.5", "a @ -5.500"),
        ("rate(a[5m])[1h:]", "rate(a[5m])[1h:]"),
        (
            "(a + b)[30:10] offset 3 @ end()",
            "(a + b)[30:10] @ end() offset 3",
        ),
        ("a[2m*(10+5)]", "a[2m * (10 + 5)]"),
        ("a[min_of(step()+1,1h)]", "a[min_of(step() + 1, 1h)]"),
        ("a offset (100 + 2) + 1", "a offset (100 + 2) + 1"),
        ("a offset -2 ^ 2", "a offset -2 ^ 2"),
        ("time() # a comment\n + 1", "time() + 1"),
        ("label_join(a, \"b\", \",\")", "label_join(a, \"b\", \",\")"),
    ] {
        check(text, want);
    }
}

#[test]
fn precedence_is_in_the_tree() {
    let top = |text: &str| match with_everything(text).unwrap().kind {
        ExprKind::Binary(b) => b.op,
        other => panic!("{other:?}"),
    };
    assert_eq!(top("a offset 100 + 2"), BinaryOp::Add);
    assert_eq!(top("a offset -2 ^ 2"), BinaryOp::Pow);
    assert_eq!(top("a or b and c"), BinaryOp::Or);
    assert_eq!(top("a atan2 b + c"), BinaryOp::Add);
    assert!(matches!(
        with_everything("-a ^ 2").unwrap().kind,
        ExprKind::Unary { .. }
    ));
}

#[test]
fn errors_name_the_place() {
    for (text, want) in [
        ("", "1:1: parse error: no expression found in input"),
        ("a +", "1:4: parse error: unexpected end of input"),
        ("a\n  + * b", "2:5: parse error: unexpected \"*\""),
        (
            "a{b=\"c\"",
            "1:8: parse error: unexpected end of input in label matching",
        ),
        (
            "a{b=~\"(\"}",
            "1:6: parse error: invalid regular expression",
        ),
        (
            "{}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        ("{a=~\".*\"}", "at least one non-empty matcher"),
        ("a{__name__=\"b\"}", "metric name must not be set twice"),
        ("{\"a\", \"b\"}", "metric name must not be set twice"),
        (
            "{a=\"1\" or b=\"2\"}",
            "unexpected identifier \"or\" in label matching",
        ),
        (
            "foo(a)",
            "1:1: parse error: unknown function with name \"foo\"",
        ),
        (
            "rate(a)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        (
            "rate(a[5m], 1)",
            "expected 1 argument(s) in call to \"rate\", got 2",
        ),
        (
            "round()",
            "expected at least 1 argument(s) in call to \"round\", got 0",
        ),
        (
            "sum(a, b)",
            "wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        (
            "a[5m] offset",
            "unexpected end of input in duration expression",
        ),
        (
            "a offset 5m offset 5m",
            "offset may not be set multiple times",
        ),
        ("(a) offset 5m", "offset modifier must be preceded by"),
        (
            "(a)[5m]",
            "1:4: parse error: ranges only allowed for vector selectors",
        ),
        (
            "a offset 5m [5m]",
            "no offset modifiers allowed before range",
        ),
        ("a[0s]", "1:2: parse error: duration must be greater than 0"),
        ("a[1h/0]", "1:5: parse error: division by zero"),
        ("a offset 1e999", "duration out of range"),
        ("a @ 1e999", "1:5: parse error: timestamp out of bounds"),
        ("a[5m1h]", "bad number or duration syntax: \"5m1h\""),
        ("1foo", "1:1: parse error: bad number or duration syntax"),
        ("\"abc", "unterminated quoted string"),
        ("\"\\xff\"", "is not valid UTF-8"),
        (
            "1 and 2",
            "set operator \"and\" not allowed in binary scalar expression",
        ),
        (
            "1 == 1",
            "comparisons between scalars must use BOOL modifier",
        ),
        (
            "a + bool b",
            "1:5: parse error: bool modifier can only be used on comparison operators",
        ),
        (
            "a and on(x) group_left(y) b",
            "no grouping allowed for \"and\" operation",
        ),
        (
            "a + on(x) group_left(x) b",
            "must not occur in ON and GROUP clause at once",
        ),
        (
            "a[5m] + 1",
            "binary expression must contain only scalar and instant vector types",
        ),
        (
            "-\"a\"",
            "unary expression only allowed on expressions of type scalar or instant vector",
        ),
        (
            "limitk(1, a)",
            "1:1: parse error: aggregation \"limitk\" is not enabled",
        ),
        (
            "mad_over_time(a[5m])",
            "function \"mad_over_time\" is not enabled",
        ),
        (
            "info(a)",
            "1:1: parse error: function \"info\" is not enabled",
        ),
        (
            "1 + start_timestamp(a)",
            "1:5: parse error: function \"start_timestamp\" is not supported yet",
        ),
        (
            "a + fill(0) b",
            "1:5: parse error: fill modifiers are not enabled",
        ),
        (
            "rate(a[5m] anchored)",
            "1:12: parse error: modifier \"anchored\" is not enabled",
        ),
        (
            "a smoothed",
            "1:3: parse error: modifier \"smoothed\" is not enabled",
        ),
        (
            "1 </ 2",
            "1:1: parse error: operator \"</\" trims histograms",
        ),
        ("a $ b", "1:3: parse error: unexpected character: '$'"),
        ("a b", "1:3: parse error: unexpected identifier \"b\""),
        (
            "1[5m:]",
            "subquery is only allowed on instant vector, got scalar instead",
        ),
    ] {
        check_error(text, want);
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let limits = ["nested deeper than the limit of 100", "limit of 250 levels"];
    for text in [
        "(".repeat(10_000),
        "-".repeat(10_000) + "a",
        "a + ".repeat(10_000) + "a",
        "a ^ ".repeat(10_000) + "a",
        "abs(".repeat(10_000),
        "sum(".repeat(10_000),
        format!("a[{}", "(".repeat(10_000)),
        format!("a[1{}]", " + 1".repeat(10_000)),
        format!("a offset {}1", "-".repeat(10_000)),
        format!("a{}", "[5m:]".repeat(10_000)),
    ] {
        let error = with_everything(&text).unwrap_err().to_string();
        assert!(
            limits.iter().any(|l| error.contains(l)),
            "{}: {error}",
            &text[..20]
        );
    }
    check(
        &("(".repeat(90) + "a" + &")".repeat(90)),
        &("(".repeat(90) + "a" + &")".repeat(90)),
    );
    assert!(parse(&" ".repeat(MAX_LENGTH + 1)).is_err());
}

#[test]
fn modifiers_that_make_no_sense_are_refused_though_switched_on() {
    for (text, want) in [
        ("a and fill(0) b", "not allowed for set operators"),
        ("a + fill(0) 1", "only allowed between instant vectors"),
        ("a + fill(0) fill_left(1) b", "given twice"),
        ("a + fill(b) c", "expected a number"),
        ("sum(a) smoothed", "must be preceded by a selector"),
        ("a[5m:] anchored", "must be preceded by a selector"),
        ("a[5m] anchored smoothed", "cannot be used together"),
        ("info(a, b)", "expected label selectors in braces"),
        ("info()", "unexpected \")\""),
    ] {
        let error = with_everything(text).expect_err(text).to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
}

/// Every bound is met at once, with an error that says where.
#[test]
fn numbers_and_patterns_beyond_all_bounds_are_refused_with_their_place() {
    let many = format!("a{{b=~\"{}\"}}", "(x|y)*".repeat(20_000));
    for (text, want) in [
        ("a offset 1e999", "1:10: parse error: duration out of range"),
        ("a offset -1e999", "1:"),
        ("a[1e999]", "1:3: parse error: duration out of range"),
        ("a[5m:1e999]", "1:6: parse error: duration out of range"),
        ("a @ 1e999", "1:5: parse error: timestamp out of bounds"),
        ("a @ NaN", "1:5: parse error: timestamp out of bounds"),
        (
            "a[99999999999999999999y]",
            "1:3: parse error: bad number or duration",
        ),
        ("a[2e6y]", "1:3: parse error:"),
        (
            "1 + a{b=~\"((x{1000}){1000}){1000}\"}",
            "1:10: parse error:",
        ),
        (many.as_str(), "1:6: parse error:"),
    ] {
        let error = with_everything(text)
            .expect_err(&text[..20.min(text.len())])
            .to_string();
        assert!(
            error.starts_with(want),
            "{}: {}",
            &text[..20.min(text.len())],
            &error[..200.min(error.len())]
        );
    }
}
