//! `loadline report`

use super::args::ReportArgs;
use super::{Exit, next, once, print};
use crate::advice::report;

/// Prints the next step as a page to read.
pub(crate) fn report(args: &ReportArgs) -> anyhow::Result<Exit> {
    let decisions = if args.next.state.is_some() {
        match next::of_state(&args.next)? {
            Some((_, advised)) => vec![advised.decision],
            None => return Ok(Exit::Failure),
        }
    } else {
        match once::look(&args.next.look)? {
            Some(snapshot) => snapshot.decisions,
            None => return Ok(Exit::BadConfig),
        }
    };
    print(&if args.html {
        report::html(&decisions)
    } else {
        report::markdown(&decisions)
    });
    Ok(Exit::Ok)
}
