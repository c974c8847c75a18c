//! Parts of a UTC date.

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Minute,
    Hour,
    DayOfWeek,
    DayOfMonth,
    DayOfYear,
    DaysInMonth,
    Month,
    Year,
}

impl Part {
    /// The part of the time `seconds` after the epoch; fractions are cut off.
    pub(crate) fn of(self, seconds: f64) -> f64 {
        let seconds = seconds as i64;
        let day = seconds.div_euclid(86_400);
        let second = seconds.rem_euclid(86_400);
        let date = Date::of_day(day);
        let part = match self {
            Part::Minute => second / 60 % 60,
            Part::Hour => second / 3600,
            // The epoch was a Thursday.
            Part::DayOfWeek => (day.rem_euclid(7) + 4) % 7,
            Part::DayOfMonth => date.day,
            Part::DayOfYear => day - first_day(date.year, 1) + 1,
            Part::DaysInMonth => {
                let (year, month) = if date.month == 12 {
                    (date.year + 1, 1)
                } else {
                    (date.year, date.month + 1)
                };
                first_day(year, month) - first_day(date.year, date.month)
            }
            Part::Month => date.month,
            Part::Year => date.year,
        };
        part as f64
    }
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

const DAYS_PER_ERA: i64 = 146_097;

impl Date {
    /// The Gregorian date `day` days after the epoch. Years are counted from March, so that the
    /// leap day comes last.
    fn of_day(day: i64) -> Date {
        let z = day + 719_468;
        let era = z.div_euclid(DAYS_PER_ERA);
        let of_era = z.rem_euclid(DAYS_PER_ERA);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        Date {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: of_year - (153 * shifted + 2) / 5 + 1,
        }
    }
}

/// Days from the epoch to the first day of a month.
fn first_day(year: i64, month: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5;
    let year_of_era = y.rem_euclid(400);
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    y.div_euclid(400) * DAYS_PER_ERA + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_known_days() {
        for (seconds, year, month, day, of_year, of_week, in_month) in [
            (0.0, 1970.0, 1.0, 1.0, 1.0, 4.0, 31.0),
            (1230767999.0, 2008.0, 12.0, 31.0, 366.0, 3.0, 31.0),
            (1456703999.0, 2016.0, 2.0, 28.0, 59.0, 0.0, 29.0),
            (1456790399.0, 2016.0, 2.0, 29.0, 60.0, 1.0, 29.0),
            (-1.0, 1969.0, 12.0, 31.0, 365.0, 3.0, 31.0),
        ] {
            assert_eq!(Part::Year.of(seconds), year, "{seconds}");
            assert_eq!(Part::Month.of(seconds), month, "{seconds}");
            assert_eq!(Part::DayOfMonth.of(seconds), day, "{seconds}");
            assert_eq!(Part::DayOfYear.of(seconds), of_year, "{seconds}");
            assert_eq!(Part::DayOfWeek.of(seconds), of_week, "{seconds}");
            assert_eq!(Part::DaysInMonth.of(seconds), in_month, "{seconds}");
        }
        assert_eq!(Part::Hour.of(3661.5), 1.0);
        assert_eq!(Part::Minute.of(3661.5), 1.0);
    }

    #[test]
    fn no_number_panics() {
        for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300] {
            for part in [
                Part::Year,
                Part::DaysInMonth,
                Part::DayOfYear,
                Part::DayOfWeek,
            ] {
                assert!(part.of(v).is_finite(), "{v}");
            }
        }
    }
}
