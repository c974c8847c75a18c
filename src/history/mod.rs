//! The past: what must outlive a restart beside the state, and capacity signals, reduced.
//!
//! What must stay true: bounded bytes; gaps stay gaps; what cannot be read is left out, never
//! guessed. The room packs and reduces; it touches no file and asks no clock.
//!
//! The samples file holds what the store holds: every kept series over its window. It is written
//! by appending, pass by pass: each takes the samples that are new since the pass
//! before, packs them into one block per class of windows, and forgets the blocks of a class that
//! its windows no longer reach. Nothing is ever written twice but the names of series, and those
//! only when most of them are gone.

mod codec;
pub mod reduce;
mod samples;

pub use codec::Damage;
pub use samples::{Block, CLASSES, HistogramAt, Loader, Pass, Read, SeriesTail, Writer, class_of};
