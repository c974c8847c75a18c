//! One capacity signal's past: hours for five weeks, days for thirteen months.
//!
//! An hour counts with one sample. A day counts with six valid hours, a first day that began
//! somewhere in the middle with eighteen. What does not count is missing, never zero. Only complete
//! hours and days are shown.

use std::collections::VecDeque;

use crate::model::Timestamp;

/// Hours that are kept: 35 days.
pub const HOURS: i64 = 35 * 24;
/// Days that are kept: thirteen months.
pub const DAYS: i64 = 400;

const HOUR_MS: i64 = 3_600_000;
const HOURS_A_DAY: i64 = 24;
/// Valid hours that make a day.
const DAY_NEEDS: u8 = 6;
/// Valid hours that make a day of which only a part was watched.
const PART_NEEDS: u8 = 18;

/// One hour, numbered from the epoch (UTC).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hour {
    /// Hours since the epoch.
    pub number: i64,
    /// Mean of its samples.
    pub mean: f32,
    /// Highest sample.
    pub highest: f32,
    /// Last sample.
    pub last: f32,
    /// How many samples.
    pub count: u16,
}

/// One day, numbered from the epoch (UTC).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Day {
    /// Days since the epoch.
    pub number: i64,
    /// Highest of its hours: the busy hour of a gauge, the most of a level.
    pub peak: f32,
    /// Mean of its hours.
    pub mean: f32,
    /// Lowest of its hours.
    pub lowest: f32,
    /// Valid hours.
    pub hours: u8,
}

/// Which value of an hour stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HourValue {
    /// Its mean, for what goes up and down.
    Mean,
    /// Its last sample, for what fills up.
    Last,
}

impl HourValue {
    fn of(self, hour: &Hour) -> f32 {
        match self {
            Self::Mean => hour.mean,
            Self::Last => hour.last,
        }
    }
}

/// What a new sample completed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Completed {
    /// The hour before it.
    pub hour: Option<Hour>,
    /// The day before it.
    pub day: Option<Day>,
}

/// The reduced past of one signal.
#[derive(Debug, Clone)]
pub struct Reduced {
    value: HourValue,
    hours: VecDeque<Hour>,
    days: VecDeque<Day>,
    open: Option<Open>,
}

/// The hour that is not over.
#[derive(Debug, Clone, Copy)]
struct Open {
    number: i64,
    sum: f64,
    highest: f64,
    last: f64,
    count: u16,
}

impl Reduced {
    /// A signal without a past.
    pub fn new(value: HourValue) -> Self {
        Self {
            value,
            hours: VecDeque::new(),
            days: VecDeque::new(),
            open: None,
        }
    }

    /// Takes an hour that was kept; a later one of the same number wins.
    pub fn restore_hour(&mut self, hour: Hour) {
        self.put_hour(hour);
    }

    /// Takes a day that was kept.
    pub fn restore_day(&mut self, day: Day) {
        self.put_day(day);
    }

    /// Takes a sample. One that is not finite, or older than the hour that is open, is not taken.
    pub fn observe(&mut self, t: Timestamp, v: f64) -> Completed {
        if !v.is_finite() {
            return Completed::default();
        }
        let number = t.millis().div_euclid(HOUR_MS);
        let completed = match &mut self.open {
            Some(open) if number < open.number => return Completed::default(),
            Some(open) if number == open.number => {
                open.sum += v;
                open.highest = open.highest.max(v);
                open.last = v;
                open.count = open.count.saturating_add(1);
                return Completed::default();
            }
            Some(_) | None => self.close(t),
        };
        let known = self.hours.back().filter(|h| h.number == number);
        // After a restart within an hour the rest of it joins what was kept.
        self.open = Some(known.map_or(
            Open {
                number,
                sum: v,
                highest: v,
                last: v,
                count: 1,
            },
            |h| Open {
                number,
                sum: f64::from(h.mean) * f64::from(h.count) + v,
                highest: f64::from(h.highest).max(v),
                last: v,
                count: h.count.saturating_add(1),
            },
        ));
        completed
    }

    /// Closes the hour that is open, and the day of the last hour, when they are over at `now`.
    pub fn close(&mut self, now: Timestamp) -> Completed {
        let number = now.millis().div_euclid(HOUR_MS);
        let mut completed = Completed::default();
        if let Some(open) = self.open.filter(|o| o.number < number) {
            self.open = None;
            let hour = open.hour();
            self.put_hour(hour);
            completed.hour = Some(hour);
        }
        let today = number.div_euclid(HOURS_A_DAY);
        let last = self.hours.back().map(|h| h.number.div_euclid(HOURS_A_DAY));
        let reduced = self.days.back().map_or(i64::MIN, |d| d.number);
        if let Some(last) = last.filter(|d| *d < today && *d > reduced) {
            completed.day = self.reduce_day(last);
        }
        if let Some(day) = completed.day {
            self.put_day(day);
        }
        completed
    }

    /// The hour that is open as it stands, to be kept when the program stops.
    pub fn unfinished(&self) -> Option<Hour> {
        self.open.map(|o| o.hour())
    }

    /// Takes hours of the past, e.g. from another server, and gives the days they make.
    ///
    /// Hours and days that are there already stay; those older than what is kept are dropped.
    pub fn fill_in(&mut self, hours: &[Hour]) -> (Vec<Hour>, Vec<Day>) {
        let newest = self
            .newest()
            .max(hours.iter().map(|h| h.number).max().unwrap_or(i64::MIN));
        let mut by_day: std::collections::BTreeMap<i64, Vec<Hour>> =
            std::collections::BTreeMap::new();
        for hour in hours {
            by_day
                .entry(hour.number.div_euclid(HOURS_A_DAY))
                .or_default()
                .push(*hour);
        }
        let mut days = Vec::new();
        let today = newest.div_euclid(HOURS_A_DAY);
        for (number, hours) in &by_day {
            let whole = *number != today
                && self
                    .days
                    .binary_search_by_key(number, |d| d.number)
                    .is_err();
            let day = if whole {
                day_of(*number, hours, self.value, false)
            } else {
                None
            };
            if let Some(day) = day.filter(|d| d.number > today - DAYS) {
                days.push(day);
            }
        }
        let taken: Vec<Hour> = hours
            .iter()
            .filter(|h| h.number > newest - HOURS)
            .filter(|h| {
                self.hours
                    .binary_search_by_key(&h.number, |k| k.number)
                    .is_err()
            })
            .copied()
            .collect();
        taken.iter().for_each(|h| self.put_hour(*h));
        days.iter().for_each(|d| self.put_day(*d));
        (taken, days)
    }

    /// One value an hour up to the last complete one before `now`, NaN where it is missing.
    pub fn hourly(&self, now: Timestamp) -> Vec<f64> {
        let end = now.millis().div_euclid(HOUR_MS);
        line(
            self.hours.iter().map(|h| (h.number, self.value.of(h))),
            end,
            HOURS,
        )
    }

    /// One value a day up to the last complete one before `now`, NaN where it is missing.
    pub fn daily(&self, now: Timestamp) -> Vec<f64> {
        let end = now.millis().div_euclid(HOUR_MS * HOURS_A_DAY);
        line(self.days.iter().map(|d| (d.number, d.peak)), end, DAYS)
    }

    fn newest(&self) -> i64 {
        let closed = self.hours.back().map_or(i64::MIN, |h| h.number);
        self.open.map_or(closed, |o| o.number.max(closed))
    }

    fn reduce_day(&self, number: i64) -> Option<Day> {
        let from = self
            .hours
            .partition_point(|h| h.number < number * HOURS_A_DAY);
        let hours: Vec<Hour> = self
            .hours
            .iter()
            .skip(from)
            .take_while(|h| h.number < (number + 1) * HOURS_A_DAY)
            .copied()
            .collect();
        let first = self.days.is_empty() && from == 0;
        day_of(number, &hours, self.value, first)
    }

    fn put_hour(&mut self, hour: Hour) {
        match self.hours.binary_search_by_key(&hour.number, |h| h.number) {
            Ok(at) => self.hours[at] = hour,
            Err(at) => self.hours.insert(at, hour),
        }
        let newest = self.hours.back().map_or(0, |h| h.number);
        while self
            .hours
            .front()
            .is_some_and(|h| h.number <= newest - HOURS)
        {
            self.hours.pop_front();
        }
    }

    fn put_day(&mut self, day: Day) {
        match self.days.binary_search_by_key(&day.number, |d| d.number) {
            Ok(at) => self.days[at] = day,
            Err(at) => self.days.insert(at, day),
        }
        let newest = self.days.back().map_or(0, |d| d.number);
        while self.days.front().is_some_and(|d| d.number <= newest - DAYS) {
            self.days.pop_front();
        }
    }
}

impl Open {
    fn hour(&self) -> Hour {
        Hour {
            number: self.number,
            mean: (self.sum / f64::from(self.count.max(1))) as f32,
            highest: self.highest as f32,
            last: self.last as f32,
            count: self.count,
        }
    }
}

fn day_of(number: i64, hours: &[Hour], value: HourValue, partly: bool) -> Option<Day> {
    let valid = u8::try_from(hours.len()).unwrap_or(u8::MAX);
    if valid < if partly { PART_NEEDS } else { DAY_NEEDS } {
        return None;
    }
    let values = || hours.iter().map(|h| value.of(h));
    Some(Day {
        number,
        peak: values().fold(f32::MIN, f32::max),
        mean: values().sum::<f32>() / f32::from(valid),
        lowest: values().fold(f32::MAX, f32::min),
        hours: valid,
    })
}

/// Numbered values as a line without gaps that ends before `end`, at most `most` long.
fn line(values: impl Iterator<Item = (i64, f32)>, end: i64, most: i64) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::new();
    let mut next = None;
    for (number, value) in values.filter(|(n, _)| *n < end && *n >= end - most) {
        let missing = next.map_or(0, |next: i64| number - next);
        out.extend((0..missing).map(|_| f64::NAN));
        out.push(f64::from(value));
        next = Some(number + 1);
    }
    let missing = next.map_or(0, |next| end - next);
    out.extend((0..missing).map(|_| f64::NAN));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: f64) -> Timestamp {
        Timestamp((hours * HOUR_MS as f64) as i64)
    }

    /// A signal that saw `value(hour)` twice an hour for so many hours, and what was completed.
    fn fed(
        kind: HourValue,
        hours: std::ops::Range<i64>,
        value: impl Fn(i64) -> f64,
    ) -> (Reduced, Vec<Completed>) {
        let mut reduced = Reduced::new(kind);
        let mut completed = Vec::new();
        for h in hours {
            for part in [0.25, 0.75] {
                let done = reduced.observe(at(h as f64 + part), value(h) + part);
                if done != Completed::default() {
                    completed.push(done);
                }
            }
        }
        (reduced, completed)
    }

    #[test]
    fn hours_and_days_are_reduced_by_kind() {
        let (mean, _) = fed(HourValue::Mean, 0..49, |h| h as f64);
        assert_eq!(mean.hourly(at(3.0)), [0.5, 1.5, 2.5]);
        assert_eq!(mean.daily(at(48.5)), [23.5, 47.5]);
        let (last, _) = fed(HourValue::Last, 0..49, |h| h as f64);
        assert_eq!(last.hourly(at(3.0)), [0.75, 1.75, 2.75]);
        assert_eq!(last.daily(at(48.5)), [23.75, 47.75]);
    }

    #[test]
    fn only_what_is_complete_is_shown() {
        let (reduced, completed) = fed(HourValue::Mean, 0..30, |h| h as f64);
        assert_eq!(reduced.hourly(at(29.9)).len(), 29);
        assert_eq!(reduced.daily(at(29.9)).len(), 1);
        assert_eq!(completed.len(), 29);
        let days: Vec<Day> = completed.iter().filter_map(|c| c.day).collect();
        assert_eq!(days.len(), 1);
        assert_eq!(
            (days[0].hours, days[0].peak, days[0].lowest),
            (24, 23.5, 0.5)
        );
    }

    #[test]
    fn a_day_needs_six_hours_and_a_first_part_of_one_eighteen() {
        let (first, _) = fed(HourValue::Mean, 8..49, |h| h as f64);
        assert_eq!(
            first.daily(at(72.0)).len(),
            2,
            "sixteen hours make no first day"
        );
        let (first, _) = fed(HourValue::Mean, 5..49, |h| h as f64);
        assert_eq!(first.daily(at(48.0)).len(), 2, "nineteen do");
        let (mut reduced, _) = fed(HourValue::Mean, 0..24, |h| h as f64);
        for h in 30..35 {
            reduced.observe(at(h as f64), 1.0);
        }
        reduced.observe(at(48.0), 1.0);
        let days = reduced.daily(at(48.0));
        assert!(days.len() == 2 && days[1].is_nan(), "five hours: {days:?}");

        // A day whose last hours nobody saw is over all the same.
        let (mut reduced, _) = fed(HourValue::Mean, 0..10, |h| h as f64);
        reduced.observe(at(24.5), 1.0);
        assert!(
            reduced.daily(at(25.0)).is_empty(),
            "a first day needs eighteen"
        );
        let (mut reduced, _) = fed(HourValue::Mean, 0..40, |h| h as f64);
        assert_eq!(reduced.close(at(41.0)).day, None);
        assert_eq!(
            reduced.close(at(48.1)).day.map(|d| (d.number, d.hours)),
            Some((1, 16))
        );
        assert_eq!(reduced.close(at(48.2)), Completed::default());
    }

    #[test]
    fn gaps_stay_gaps_and_clocks_that_go_back_change_nothing() {
        let (mut reduced, _) = fed(HourValue::Mean, 0..3, |h| h as f64);
        reduced.observe(at(6.5), 9.0);
        reduced.observe(at(2.0), 500.0);
        reduced.observe(at(6.6), f64::NAN);
        reduced.observe(at(6.7), f64::INFINITY);
        let hours = reduced.hourly(at(8.0));
        assert_eq!(hours.len(), 8);
        assert_eq!(hours[..3], [0.5, 1.5, 2.5]);
        assert!(hours[3..6].iter().all(|v| v.is_nan()));
        // The seventh hour is over, but nothing has closed it yet.
        assert!(hours[6].is_nan());
        assert_eq!(reduced.close(at(8.0)).hour.unwrap().mean, 9.0);
        assert_eq!(reduced.hourly(at(8.0))[6], 9.0);
        assert!(reduced.hourly(at(8.0))[7].is_nan());
    }

    #[test]
    fn it_keeps_so_much_and_no_more() {
        let (reduced, _) = fed(HourValue::Last, 0..24 * 420, |h| h as f64);
        assert_eq!(reduced.hours.len() as i64, HOURS);
        assert_eq!(reduced.days.len() as i64, DAYS);
        let end = at((24 * 420) as f64);
        assert_eq!(reduced.hourly(end).len() as i64, HOURS);
        assert_eq!(reduced.daily(end).len() as i64, DAYS);
    }

    #[test]
    fn a_restart_in_the_middle_of_an_hour_goes_on_with_it() {
        let mut before = Reduced::new(HourValue::Mean);
        before.observe(at(10.1), 2.0);
        before.observe(at(10.2), 4.0);
        let kept = before.unfinished().unwrap();
        let mut after = Reduced::new(HourValue::Mean);
        after.restore_hour(kept);
        after.observe(at(10.8), 9.0);
        let hour = after.observe(at(11.0), 1.0).hour.unwrap();
        assert_eq!((hour.mean, hour.count, hour.highest), (5.0, 3, 9.0));
    }

    #[test]
    fn the_past_is_filled_in_and_what_is_known_stays() {
        let (mut reduced, _) = fed(HourValue::Mean, 240..245, |_| 7.0);
        let past: Vec<Hour> = (0..243)
            .map(|number| Hour {
                number,
                mean: 1.0,
                highest: 2.0,
                last: 1.5,
                count: 1,
            })
            .collect();
        let (hours, days) = reduced.fill_in(&past);
        assert_eq!((hours.len(), days.len()), (240, 10));
        let hourly = reduced.hourly(at(244.0));
        assert_eq!(hourly.len(), 244);
        assert_eq!(hourly[239..], [1.0, 7.5, 7.5, 7.5, 7.5]);
        assert_eq!(reduced.daily(at(244.0)), [1.0; 10]);
        assert_eq!(reduced.fill_in(&past), (vec![], vec![]), "once is enough");
    }
}
