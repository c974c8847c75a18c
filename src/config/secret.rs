//! Values that must not be seen.
//!
//! What must stay true: no secret prints, serializes or reaches an error; a test walks them.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// A secret text that prints as stars.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(SecretString::from(value.into()))
    }

    /// The secret itself: use at the last moment, never in a message.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// A secret written in the config or kept in a file.
#[derive(Debug, Clone, Copy)]
pub struct SecretSource<'a> {
    /// Written in the config.
    pub inline: Option<&'a Secret>,
    /// In a file, read at every use so that rotation works.
    pub file: Option<&'a Path>,
}

impl SecretSource<'_> {
    /// The secret now; `None` when neither is set.
    pub fn read(&self) -> Result<Option<Secret>, SecretError> {
        match (self.inline, self.file) {
            (Some(secret), _) => Ok(Some(secret.clone())),
            (None, Some(path)) => read_file(path).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// A secret's file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret file {}: {source}", path.display())]
pub struct SecretError {
    path: PathBuf,
    source: std::io::Error,
}

/// Reads a secret from a file, without the newline at its end.
pub fn read_file(path: &Path) -> Result<Secret, SecretError> {
    std::fs::read_to_string(path)
        .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
        .map_err(|source| SecretError {
            path: path.to_owned(),
            source,
        })
}
