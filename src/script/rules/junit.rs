//! Results in JUnit's XML, as continuous integration reads them.

use super::FileResult;
use crate::model::Timestamp;

/// The results of all files as one document; `at` is when they were run.
pub fn junit(results: &[(String, FileResult)], at: Timestamp) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (name, result) in results {
        let broken = usize::from(!result.problems.is_empty());
        out.push_str(&format!(
            "\t<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{broken}\" \
             skipped=\"0\" timestamp=\"{}\">\n",
            escaped(name),
            result.cases.len() + broken,
            result.failed() - broken,
            at.to_rfc3339().trim_end_matches('Z')
        ));
        if broken > 0 {
            let all: Vec<String> = result.problems.iter().map(|p| p.to_string()).collect();
            out.push_str(&format!(
                "\t\t<testcase name=\"the file can be run\">\n\t\t\t<error>{}</error>\n\
                 \t\t</testcase>\n",
                escaped(&all.join("\n"))
            ));
        }
        for case in &result.cases {
            out.push_str(&format!(
                "\t\t<testcase name=\"{}\">\n",
                escaped(&case.name)
            ));
            for failure in &case.failures {
                let text = escaped(&failure.to_string());
                out.push_str(&format!("\t\t\t<failure>{text}</failure>\n"));
            }
            out.push_str("\t\t</testcase>\n");
        }
        out.push_str("\t</testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// A text for an attribute or element; characters that XML forbids become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
