//! Reads what an expression selects, before anything is computed.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{MatchOp, Matcher, SeriesSource, Timestamp, duration, is_stale_nan};

use super::super::ast::{Edges, Expr, ExprKind, Selector};
use super::super::functions::Func;
use super::super::share::Read;
use super::{Eval, Evaluation, Loaded, budget, hints, info, smoothed};

impl Evaluation<'_> {
    /// Reads the selectors under `expr`, which is evaluated at times `start..=end`.
    ///
    /// `resets` says that of native histograms only count and sum are asked for: upstream then
    /// tells from each histogram and the one before whether there was a reset.
    pub(super) fn load(
        &mut self,
        source: &dyn SeriesSource,
        expr: &Expr,
        start: i64,
        end: i64,
        resets: bool,
    ) -> Eval<()> {
        let number = self.shared.and_then(|s| s.part_number(expr));
        let before = self.cost();
        if let (Some(number), Some(shared)) = (number, self.shared)
            && let Some(part) = shared.part(number)
        {
            self.pay(part.cost)?;
            self.parts.borrow_mut().insert(number, part);
            return Ok(());
        }
        self.load_own(source, expr, start, end, resets)?;
        if let Some(number) = number {
            let cost = self.cost().less(before);
            self.loading.entry(number).or_insert(cost);
        }
        Ok(())
    }

    fn load_own(
        &mut self,
        source: &dyn SeriesSource,
        expr: &Expr,
        start: i64,
        end: i64,
        resets: bool,
    ) -> Eval<()> {
        if let ExprKind::Aggregate(a) = &expr.kind
            && start == end
            && self.load_grouped(source, a, start)?
        {
            return Ok(());
        }
        let (mut start, mut end) = (start, end);
        let shift = if let ExprKind::Subquery(s) = &expr.kind {
            Some(&s.shift)
        } else {
            expr.selector().map(|s| &s.shift)
        };
        if let Some(shift) = shift {
            (start, end) = (self.shifted(shift, start)?, self.shifted(shift, end)?);
        }
        match &expr.kind {
            ExprKind::Selector(s) => {
                // A smoothed selector reads at `end`, and beyond.
                let (from, end) = match self.reach(s.edges, start, end) {
                    reached if s.edges == Edges::Smoothed => reached,
                    _ => (start.saturating_sub(self.options.lookback_millis()), end),
                };
                let range = s.edges == Edges::Smoothed;
                self.read(source, (s, &s.matchers), (from, end), (range, resets))?;
            }
            ExprKind::Range { selector, range } => {
                let from = start.saturating_sub(self.positive(range)?);
                let window = self.reach(selector.edges, from, end);
                let selector = (selector, &selector.matchers[..]);
                self.read(source, selector, window, (true, resets))?;
            }
            ExprKind::Subquery(s) => {
                start = start.saturating_sub(self.positive(&s.range)?);
                while self.results.len() <= s.id {
                    self.results.push(RefCell::default());
                }
            }
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Paren(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Call(_) => {}
        }
        smoothed::check(expr)?;
        if let ExprKind::Call(c) = &expr.kind
            && matches!(c.function.id, Func::Info)
            && let [base, info] = &c.args[..]
            && let Some(selector) = info.selector()
        {
            self.load(source, base, start, end, resets)?;
            let from = self.reference(base, start)?.unwrap_or(start);
            let to = self.reference(base, end)?.unwrap_or(end);
            let from = from.saturating_sub(self.options.lookback_millis());
            let matchers = info::matchers(&selector.matchers)?;
            return self.read(source, (selector, &matchers), (from, to), (false, false));
        }
        let resets = hints::told(expr).unwrap_or(resets);
        for child in expr.children() {
            self.load(source, child, start, end, resets)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        source: &dyn SeriesSource,
        (selector, matchers): (&Selector, &[Matcher]),
        (from, to): (i64, i64),
        (range, resets): (bool, bool),
    ) -> Eval<()> {
        self.at.set(selector.span);
        self.note_read(source, matchers, from);
        while self.loaded.len() <= selector.id {
            self.loaded.push(Arc::default());
        }
        // Of `info`, the matchers that are read are not those that are written.
        let written = std::ptr::eq(matchers, &*selector.matchers);
        let number = self.shared.filter(|_| written);
        let number = number.and_then(|s| Some((s, s.read_number(selector)?)));
        let known = number.and_then(|(shared, number)| shared.read(number));
        if let Some(read) = known
            && read.from <= from
            && to <= read.to
            // What the first histogram says depends on where the window begins.
            && (!resets || read.from == from)
        {
            self.pay(read.cost)?;
            self.loaded[selector.id] = read.loaded;
            return Ok(());
        }
        let before = self.cost();
        let loaded = self.select(source, matchers, (from, to), (range, resets))?;
        self.series_read += loaded.len();
        let loaded = Arc::new(loaded);
        if let Some((shared, number)) = number {
            let read = Read {
                from,
                to,
                loaded: Arc::clone(&loaded),
                cost: self.cost().less(before),
            };
            shared.keep_read(number, read);
        }
        self.loaded[selector.id] = loaded;
        Ok(())
    }

    fn select(
        &self,
        source: &dyn SeriesSource,
        matchers: &[Matcher],
        (from, to): (i64, i64),
        (range, resets): (bool, bool),
    ) -> Eval<Vec<Loaded>> {
        let window = (Timestamp(from), Timestamp(to));
        let matching = cost(matchers);
        let mut failed = Ok(());
        let mut go_on = |samples: usize| {
            if failed.is_err() {
                return false;
            }
            // The 2 are for the labels.
            let kept = if samples > 0 { samples + 2 } else { 0 };
            failed = self.work(matching + samples).and_then(|()| self.hold(kept));
            failed.is_ok()
        };
        let selected = source.select_while(matchers, window.0, window.1, &mut go_on);
        failed?;
        let mut loaded: Vec<Loaded> = selected
            .into_iter()
            .map(|s| Loaded {
                labels: s.labels,
                floats: s.samples,
                histograms: Vec::new(),
            })
            .collect();
        for series in source.select_histograms(matchers, window.0, window.1) {
            let weights = series.samples.iter().map(|(_, h)| budget::weight(h));
            self.hold(weights.sum())?;
            let samples = series.samples.into_iter().map(|(t, h)| (t.millis(), h));
            match loaded.binary_search_by(|l| l.labels.cmp(&series.labels)) {
                Ok(i) => loaded[i].histograms = samples.collect(),
                Err(i) => loaded.insert(
                    i,
                    Loaded {
                        labels: series.labels,
                        floats: Vec::new(),
                        histograms: samples.collect(),
                    },
                ),
            }
        }
        if resets {
            loaded
                .iter_mut()
                .for_each(|l| hints::tell(&mut l.histograms));
        }
        if range {
            for series in &mut loaded {
                series.floats.retain(|s| !is_stale_nan(s.v));
            }
        }
        Ok(loaded)
    }

    /// Says when what is read from `from` on is not kept, or not as far back.
    pub(super) fn note_read(&self, source: &dyn SeriesSource, matchers: &[Matcher], from: i64) {
        if !self.options.warn_unkept {
            return;
        }
        if let Some(warning) = source.unkept(matchers) {
            self.notes.warn_plain(warning);
        }
        let back = Duration::from_millis(self.times.start.saturating_sub(from).unsigned_abs());
        if let Some(kept) = source.retention()
            && self.times.start > from
            && back > kept
        {
            self.notes.warn_plain(format!(
                "the query reads back {}, but samples are kept for {} only",
                duration::words(back),
                duration::words(kept)
            ));
        }
    }
}

/// What matching one series costs, in samples looked at.
pub(super) fn cost(matchers: &[Matcher]) -> usize {
    let of = |m: &Matcher| match m.op {
        MatchOp::Equal | MatchOp::NotEqual => 0,
        // Repetitions make long automata of short patterns.
        MatchOp::Regex | MatchOp::NotRegex if m.value.contains('{') => 100 * m.value.len(),
        MatchOp::Regex | MatchOp::NotRegex => m.value.len() / 8,
    };
    1 + matchers.iter().map(of).sum::<usize>()
}
