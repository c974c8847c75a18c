//! The daemon's log: always there, never fails.

use super::Outgoing;
use super::retry::Outcome;
use crate::notify::message::Frame;
use crate::telemetry::MOST_VALUE_BYTES;

/// One event per line of the message, so that a person can read it in the journal; lines longer
/// than a value of the log may be go on in further events.
pub(super) fn send(out: &Outgoing, frame: &Frame) -> Outcome {
    let note = out.delivery.note(&out.id, frame);
    for line in out.body.lines().chain(note.as_deref()).flat_map(pieces) {
        match out.urgency {
            3.. => tracing::error!(target: "loadline::message", "{line}"),
            2 => tracing::warn!(target: "loadline::message", "{line}"),
            _ => tracing::info!(target: "loadline::message", "{line}"),
        }
    }
    Outcome::Done
}

/// Pieces that fit into a value of the log, cut between words where there is a space.
fn pieces(line: &str) -> Vec<&str> {
    let mut rest = line;
    let mut pieces = Vec::new();
    while rest.len() > MOST_VALUE_BYTES {
        let most = rest.floor_char_boundary(MOST_VALUE_BYTES);
        let end = rest[..most].rfind(' ').filter(|at| *at > 0).unwrap_or(most);
        pieces.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(' ');
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_and_lose_no_word() {
        let long = "word ".repeat(200);
        let got = pieces(long.trim_end());
        assert!(got.len() > 3 && got.iter().all(|p| p.len() <= MOST_VALUE_BYTES));
        assert_eq!(got.join(" "), long.trim_end());
        let solid = "é".repeat(300);
        assert_eq!(pieces(&solid).concat(), solid);
        assert_eq!(pieces("short"), ["short"]);
    }
}
