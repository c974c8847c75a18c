//! How urgent a sign is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Urgency of a firing sign, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Information; never sent.
    Note,
    /// The limit is within six months, or an early threshold is passed.
    Plan,
    /// The limit is within three months, or a document's threshold is passed.
    Act,
    /// The limit is being hit.
    Now,
}

impl Level {
    /// All levels, least urgent first.
    pub const ALL: [Level; 4] = [Level::Note, Level::Plan, Level::Act, Level::Now];

    /// The word used in rule labels and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Plan => "plan",
            Level::Act => "act",
            Level::Now => "now",
        }
    }

    /// The Prometheus `severity` that goes with the level.
    pub fn severity(self) -> &'static str {
        match self {
            Level::Note | Level::Plan => "info",
            Level::Act => "warning",
            Level::Now => "critical",
        }
    }

    /// Reads the `severity` label of a rule that has no `level`.
    pub fn from_severity(severity: &str) -> Level {
        match severity {
            "critical" | "page" => Level::Now,
            "info" | "none" => Level::Plan,
            _ => Level::Act,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Level::ALL
            .into_iter()
            .find(|l| l.as_str() == s)
            .ok_or_else(|| format!("unknown level {s:?}; accepted: note, plan, act, now"))
    }
}
