use super::*;

/// Runs the official scripts; every case must pass but those listed in `gaps.txt`, and none that
/// passes may be listed there.
#[test]
fn official_scripts_pass_but_for_the_listed_gaps() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql");
    let gaps = std::fs::read_to_string(folder.join("gaps.txt")).unwrap();
    let listed: Vec<&str> = gaps
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(|l| l.split(' ').next().unwrap())
        .collect();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".test"))
        .collect();
    names.sort();
    let (mut found, mut report, mut total) = (Vec::new(), String::new(), 0);
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let result = run(&name, &text);
        let failed = result.failed.iter().filter(|f| f.is_case).count();
        total += result.passed + failed;
        println!("{name}: {} of {}", result.passed, result.passed + failed);
        for f in result.failed {
            let key = format!("{name}:{}", f.line);
            if !listed.contains(&key.as_str()) {
                report += &format!("{key} {}\n", f.message.replace('\n', " "));
            }
            found.push(key);
        }
    }
    println!("{total} cases");
    for key in listed {
        if !found.iter().any(|f| f == key) {
            report += &format!("{key} passes: take it off the list of gaps\n");
        }
    }
    assert!(report.is_empty(), "\n{report}");
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
fn clear_forgets_and_what_cannot_be_read_is_named_by_line() {
    let text = format!("{DATA}clear\n\neval instant at 1m m\n");
    assert_eq!(failing(&text), [] as [usize; 0]);
    let text = "load 1m\n  m{ 1\n\nnonsense\n\neval instant at 0 m\n# a comment\n  m 1\n";
    assert_eq!(failing(text), [1, 4, 8]);
    assert_eq!(run("here", text).passed, 1);
    assert_eq!(failing("load 1m\n  m@st 0\n  m 1\n"), [1]);
}
