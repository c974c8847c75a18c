use super::*;

/// The official scripts with their texts, sorted by name.
fn official() -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".test"))
        .map(|n| {
            let text = std::fs::read_to_string(folder().join(&n)).unwrap();
            (n, text)
        })
        .collect();
    out.sort();
    out
}

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql")
}

/// Compares what fails with a list of `FILE:LINE REASON`; both must name the same cases.
fn compare_with_list(list: &str, results: &[(String, FileResult)]) {
    let text = std::fs::read_to_string(folder().join(list)).unwrap();
    let mut listed: Vec<&str> = Vec::new();
    for line in text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        let (key, reason) = line.split_once(' ').unwrap_or((line, ""));
        assert!(!reason.is_empty(), "{list}: {key} has no reason");
        listed.push(key);
    }
    let (mut found, mut report) = (Vec::new(), String::new());
    for (name, result) in results {
        for f in &result.failed {
            let key = format!("{name}:{}", f.line);
            if !listed.contains(&key.as_str()) {
                report += &format!("{key} {}\n", f.message.replace('\n', " "));
            }
            found.push(key);
        }
    }
    for key in listed {
        if !found.iter().any(|f| f == key) {
            report += &format!("{key} passes: take it off {list}\n");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

fn run_all(run: fn(&str, &str) -> FileResult) -> Vec<(String, FileResult)> {
    official()
        .into_iter()
        .map(|(name, text)| {
            let result = run(&name, &text);
            (name, result)
        })
        .collect()
}

/// Every case must pass but those listed in `gaps.txt`, and none that passes may be listed there.
#[test]
fn official_scripts_pass_but_for_the_listed_gaps() {
    compare_with_list("gaps.txt", &run_all(run));
}

/// Without feature flags, those cases fail that `flags.txt` lists, and no others.
#[test]
fn official_scripts_pass_as_released_but_for_the_listed_flags() {
    compare_with_list("flags.txt", &run_all(run_released));
}

/// `docs/promql-conformance.md` holds the table of what passes.
#[test]
fn the_conformance_page_says_what_passes() {
    let mut table = "| File | Cases | Pass | Pass without feature flags |\n\
                     |---|---|---|---|\n"
        .to_owned();
    let mut sums = [0; 3];
    for ((name, all), (_, released)) in run_all(run).into_iter().zip(run_all(run_released)) {
        let failed = all.failed.iter().filter(|f| f.is_case).count();
        let counts = [all.passed + failed, all.passed, released.passed];
        let [cases, passed, released] = counts;
        table += &format!("| `{name}` | {cases} | {passed} | {released} |\n");
        sums.iter_mut().zip(counts).for_each(|(s, n)| *s += n);
    }
    let [cases, passed, released] = sums;
    table += &format!("| **all** | **{cases}** | **{passed}** | **{released}** |\n");
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/promql-conformance.md");
    let text = std::fs::read_to_string(page).unwrap();
    assert!(
        text.contains(&table),
        "docs/promql-conformance.md must hold this table:\n{table}"
    );
}

/// Cases of our own, all of which pass.
#[test]
fn own_scripts_pass() {
    for (name, cases) in [("histograms.test", 9), ("semantics.test", 42)] {
        let text = std::fs::read_to_string(folder().join("own").join(name)).unwrap();
        let result = run(name, &text);
        assert_eq!(
            (result.passed, result.failed),
            (cases, Vec::new()),
            "{name}"
        );
    }
}

/// Runs a script; the lines that fail.
fn failing(text: &str) -> Vec<usize> {
    run("here", text)
        .failed
        .into_iter()
        .map(|f| f.line)
        .collect()
}

const DATA: &str = "load 1m\n  m{a=\"x\"} 0+1x10\n  m{a=\"y\"} 5\n\n";

/// Line 5 is the eval.
fn check(eval: &str, passes: bool) {
    let text = format!("{DATA}{eval}\n");
    let result = run("here", &text);
    let failed: Vec<usize> = result.failed.iter().map(|f| f.line).collect();
    let want: (usize, &[usize]) = if passes { (1, &[]) } else { (0, &[5]) };
    assert_eq!(
        (result.passed, &failed[..]),
        want,
        "{eval}: {:?}",
        result.failed
    );
}

#[test]
fn a_hint_counts_where_it_is_written() {
    let load = "load 1m\n  h {{count:1 counter_reset_hint:gauge}}x1\n\n";
    for (expected, failed) in [
        ("{{count:1}}", vec![]),
        ("{{count:1 counter_reset_hint:gauge}}", vec![]),
        ("{{count:1 counter_reset_hint:unknown}}", vec![4]),
    ] {
        let text = format!("{load}eval instant at 1m h\n  h {expected}\n");
        assert_eq!(failing(&text), failed, "{expected}");
    }
}

#[test]
fn a_number_ends_an_eval_and_the_next_may_follow_at_once() {
    let text = "eval instant at 0 1\n  1\neval instant at 0 2\n  3\nEVAL\n";
    let result = run("here", text);
    assert_eq!(result.passed, 1);
    let lines: Vec<usize> = result.failed.iter().map(|f| f.line).collect();
    assert_eq!(lines, [3, 5]);
}

#[test]
fn a_case_passes_only_with_the_expected_result() {
    for (eval, passes) in [
        ("eval instant at 1m m{a=\"x\"}\n  m{a=\"x\"} 1", true),
        ("eval instant at 1m m{a=\"x\"}\n  m{a=\"x\"} 1.1", false),
        ("eval instant at 1m m{a=\"x\"}\n  {a=\"x\"} 1", false),
        ("eval instant at 1m m{a=\"x\"}", false),
        ("eval instant at 1m m\n  m{a=\"x\"} 1", false),
        ("eval instant at 1m none", true),
        ("eval instant at 1m 1 + 1\n  2", true),
        ("eval instant at 1m 1 + 1\n  3", false),
        ("eval instant at 1m 1 + 1\n  {} 2", false),
        ("eval instant at 1m \"a\"\n  expect string `a`", true),
        ("eval instant at 1m \"a\"\n  expect string `b`", false),
        ("eval_fail instant at 1m m +", true),
        ("eval_fail instant at 1m m", false),
        (
            "eval instant at 1m rate(m)\n  expect fail regex: expected type range",
            true,
        ),
        (
            "eval instant at 1m rate(m)\n  expect fail msg: something else",
            false,
        ),
        ("eval instant at 1m m +", false),
        (
            "eval_ordered instant at 1m sort_desc(m)\n  m{a=\"y\"} 5\n  m{a=\"x\"} 1",
            true,
        ),
        (
            "eval_ordered instant at 1m sort(m)\n  m{a=\"y\"} 5\n  m{a=\"x\"} 1",
            false,
        ),
        (
            "eval range from 0 to 2m step 1m m{a=\"x\"}\n  m{a=\"x\"} 0 1 2",
            true,
        ),
        (
            "eval range from 0 to 2m step 1m m{a=\"x\"}\n  m{a=\"x\"} 0 1",
            false,
        ),
        (
            "eval range from 0 to 2m step 1m m{a=\"x\"}\n  m{a=\"x\"} 0 _ 2",
            false,
        ),
        ("eval range from 2m to 0 step 1m m", false),
        (
            "eval instant at 2m m{a=\"x\"}[1m]\n  expect range vector from 2m to 2m step 1m\n  m{a=\"x\"} 2",
            true,
        ),
        (
            "eval instant at 2m rate(m{a=\"x\"}[2m])\n  expect info\n  {a=\"x\"} 0.016666666",
            true,
        ),
        (
            "eval instant at 2m rate(m{a=\"x\"}[2m])\n  expect no_info\n  {a=\"x\"} 0.016666666",
            false,
        ),
        (
            "eval instant at 2m rate(m{a=\"x\"}[2m])\n  expect info msg: other\n  {a=\"x\"} 0.016666666",
            false,
        ),
        (
            "eval instant at 2m abs(m{a=\"x\"})\n  expect warn\n  {a=\"x\"} 2",
            false,
        ),
        ("eval instant at 1m m\n  expect nonsense", false),
        ("evaluate instant at 1m m", false),
    ] {
        check(eval, passes);
    }
}

#[test]
fn a_refusal_is_not_the_error_that_was_expected() {
    let text = format!("{DATA}eval_fail instant at 1m mad_over_time(m)\n");
    assert_eq!(run("here", &text).passed, 1);
    assert_eq!(run_released("here", &text).passed, 0);
    check("eval_fail instant at 1m start_timestamp(m)", false);
}

#[test]
fn clear_forgets_and_what_cannot_be_read_is_named_by_line() {
    let text = format!("{DATA}clear\n\neval instant at 1m m\n");
    assert_eq!(failing(&text), [] as [usize; 0]);
    let text = "load 1m\n  m{ 1\n\nnonsense\n\neval instant at 0 m\n# a comment\n  m 1\n";
    assert_eq!(failing(text), [1, 4, 8]);
    assert_eq!(run("here", text).passed, 1);
    assert_eq!(failing("load 1m\n  m@st 0\n  m 1\n"), [1]);
}
