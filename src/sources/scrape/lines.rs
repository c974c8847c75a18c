//! Cuts a stream of chunks into lines.

use memchr::{memchr, memchr_iter};

use super::text::MAX_LINE;

/// A line without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// At most [`MAX_LINE`] bytes.
    Whole(&'a [u8]),
    /// The start of a longer line; its rest was skipped.
    TooLong(&'a [u8]),
}

/// Holds the unfinished line between two chunks: at most [`MAX_LINE`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    unfinished: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Calls `f` with each line that ends in `chunk`; stops at its first error.
    pub(crate) fn feed<E>(
        &mut self,
        chunk: &[u8],
        mut f: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        if !self.unfinished.is_empty() {
            let Some(end) = memchr(b'\n', rest) else {
                self.keep(rest);
                return Ok(());
            };
            self.keep(&rest[..end]);
            rest = &rest[end + 1..];
            self.give(&mut f)?;
        }
        let mut start = 0;
        for end in memchr_iter(b'\n', rest) {
            f(line(&rest[start..end]))?;
            start = end + 1;
        }
        self.keep(&rest[start..]);
        Ok(())
    }

    /// Calls `f` with the last line if it has no newline.
    pub(crate) fn finish<E>(
        &mut self,
        mut f: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.unfinished.is_empty() {
            Ok(())
        } else {
            self.give(&mut f)
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = MAX_LINE - self.unfinished.len();
        self.too_long |= part.len() > room;
        self.unfinished
            .extend_from_slice(&part[..part.len().min(room)]);
    }

    fn give<E>(&mut self, f: &mut impl FnMut(Line<'_>) -> Result<(), E>) -> Result<(), E> {
        let result = f(if std::mem::take(&mut self.too_long) {
            Line::TooLong(&self.unfinished)
        } else {
            Line::Whole(&self.unfinished)
        });
        self.unfinished.clear();
        result
    }
}

fn line(bytes: &[u8]) -> Line<'_> {
    if bytes.len() > MAX_LINE {
        Line::TooLong(&bytes[..MAX_LINE])
    } else {
        Line::Whole(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `body` when it arrives in chunks of `size`; `true` for those that are too long.
    fn cut(body: &[u8], size: usize) -> Vec<(usize, bool)> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut take = |l: Line<'_>| -> Result<(), ()> {
            out.push(match l {
                Line::Whole(b) => (b.len(), false),
                Line::TooLong(b) => (b.len(), true),
            });
            Ok(())
        };
        for chunk in body.chunks(size) {
            lines.feed(chunk, &mut take).unwrap();
            assert!(lines.unfinished.len() <= MAX_LINE);
        }
        lines.finish(&mut take).unwrap();
        out
    }

    #[test]
    fn chunks_do_not_matter() {
        let long = |n: usize| "x".repeat(n);
        for (body, want) in [
            (String::new(), vec![]),
            ("a".to_owned(), vec![(1, false)]),
            ("a\n".to_owned(), vec![(1, false)]),
            (
                "a\n\nbc\n".to_owned(),
                vec![(1, false), (0, false), (2, false)],
            ),
            (
                format!("a\n{}\nb", long(MAX_LINE)),
                vec![(1, false), (MAX_LINE, false), (1, false)],
            ),
            (
                format!("a\n{}\nb", long(MAX_LINE + 1)),
                vec![(1, false), (MAX_LINE, true), (1, false)],
            ),
            (long(3 * MAX_LINE), vec![(MAX_LINE, true)]),
        ] {
            for size in [1, 2, 7, MAX_LINE, 4 * MAX_LINE] {
                assert_eq!(cut(body.as_bytes(), size), want, "chunks of {size}");
            }
        }
    }
}
