//! The black-box suite: one binary, one sentence per module.
