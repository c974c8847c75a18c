//! The HTTP page and API.
