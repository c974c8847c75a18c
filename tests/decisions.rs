//! States of systems get the step that the documents name, as written down by hand.

#[path = "decisions/cases.rs"]
mod cases;

use cases::{all, playbook, rows_below, shipped};

#[test]
fn every_state_gets_the_step_that_is_written_for_it() {
    let book = playbook(&shipped()).unwrap();
    let mut failures = Vec::new();
    let (mut count, mut open) = (0, 0);
    for (file, cases) in all() {
        for case in &cases.case {
            count += 1;
            if let Some(differs) = case.differs(&book) {
                failures.push(format!("{file} {}: {}\n{differs}", case.row, case.name));
            }
        }
        for case in &cases.open {
            open += 1;
            assert!(
                !case.why.is_empty(),
                "{file} {}: say why it is open",
                case.name
            );
            if case.differs(&book).is_none() {
                failures.push(format!(
                    "{file} {}: {}\n  is answered now: move it from [[open]] to [[case]]",
                    case.row, case.name
                ));
            } else {
                eprintln!("open: {file} {}: {} ({})", case.row, case.name, case.why);
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count} cases ({open} open) differ:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn every_row_has_three_states_at_least() {
    let book = playbook(&shipped()).unwrap();
    let short = rows_below(&book, &all(), 3);
    assert!(short.is_empty(), "too few cases: {}", short.join(", "));
}
