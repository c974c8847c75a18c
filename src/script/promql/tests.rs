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
