//! Expositions over HTTP: one GET per target and pass, read as a stream.
//!
//! What must stay true: no line is lost without being counted by reason; a body is never held
//! whole; a name that nobody selects costs a look at the name and a search for the newline;
//! labels are split once per series; a target can neither speak for another one nor for us; no
//! credential reaches another host, a message or a log.
//!
//! [`text`] is the grammar of a line, `lines` cuts the stream into lines, `pass` gives them
//! meaning, [`http`] and `dialer` fetch, [`target`] joins these for one target, `job` makes targets of what is
//! configured and found, `relabel` applies rules to labels.

mod dialer;
mod failure;
#[cfg(test)]
pub(crate) mod fake;
pub mod http;
mod job;
mod lines;
mod names;
mod number;
mod pass;
mod proto;
mod reader;
pub(crate) mod relabel;
pub mod survey;
pub mod target;
pub mod text;

pub(crate) use dialer::Dialer;
pub use failure::Failure;
pub use http::Client;
pub use job::{Job, Place, Targets};
pub use pass::ExporterIdentity;
pub use reader::{ReadBody, Reader};
pub use target::{Health, Losses, Target, TargetError, TargetMeta, TargetStatus};
pub use text::{BadLine, Format};
