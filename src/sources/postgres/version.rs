//! Server versions: which variant of a question a server understands.

use std::fmt;

/// `server_version_num`, e.g. 150018 for 15.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ServerVersion(pub i64);

impl ServerVersion {
    /// The oldest major whose catalogs the questions fit.
    pub const OLDEST: i64 = 13;
    /// The newest major that the questions were run on.
    pub const NEWEST: i64 = 18;

    /// The major version, e.g. 15.
    pub fn major(self) -> i64 {
        self.0 / 10_000
    }

    /// A sentence for servers outside the known range.
    pub fn remark(self) -> Option<String> {
        if self.major() < Self::OLDEST {
            Some(format!(
                "Postgres {self} is older than {}, the oldest this collector knows",
                Self::OLDEST
            ))
        } else if self.major() > Self::NEWEST {
            Some(format!(
                "Postgres {self} is newer than {}, the newest this collector was tried on; it is \
                 asked like {}",
                Self::NEWEST,
                Self::NEWEST
            ))
        } else {
            None
        }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 10_000)
    }
}

/// The statement for a server from the variants of one question, oldest first, each with the
/// first major that understands it. `None` when the server is older than all of them.
pub(crate) fn variant(
    variants: &[(i64, &'static str)],
    version: ServerVersion,
) -> Option<&'static str> {
    variants
        .iter()
        .rev()
        .find(|(since, _)| version.major() >= *since)
        .map(|(_, sql)| *sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_the_newest_variant_that_fits() {
        let variants = [(14, "fourteen"), (17, "seventeen")];
        for (num, want) in [
            (130_023, None),
            (140_000, Some("fourteen")),
            (160_014, Some("fourteen")),
            (170_010, Some("seventeen")),
            (200_001, Some("seventeen")),
        ] {
            assert_eq!(variant(&variants, ServerVersion(num)), want, "{num}");
        }
    }

    #[test]
    fn says_when_a_server_is_outside_the_range() {
        assert_eq!(ServerVersion(150_018).to_string(), "15.18");
        assert_eq!(ServerVersion(150_018).remark(), None);
        assert!(ServerVersion(120_022).remark().unwrap().contains("older"));
        assert!(ServerVersion(190_000).remark().unwrap().contains("newer"));
    }
}
