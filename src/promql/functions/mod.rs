//! The functions by name, with what they take and return.
//!
//! What must stay true: a name in this table can be evaluated; anything else is refused when the
//! query is parsed.

use super::ast::ValueType;

pub(crate) mod aggregate_over_time;
pub(crate) mod buckets;
pub(crate) mod dates;
pub(crate) mod extended;
pub(crate) mod histogram_rate;
pub(crate) mod labels;
pub(crate) mod rate;
pub(crate) mod regression;
pub(crate) mod sample;

/// The metric whose labels `info` adds unless told otherwise.
pub(crate) const TARGET_INFO: &str = "target_info";

use ValueType::{Matrix, Scalar, String as Text, Vector};

/// A function of the language.
#[derive(Debug)]
pub struct Function {
    /// As written; names are case-sensitive.
    pub name: &'static str,
    /// Types of the arguments; the last one repeats.
    pub args: &'static [ValueType],
    /// Least number of arguments.
    pub min_args: usize,
    /// Greatest number of arguments, if bounded.
    pub max_args: Option<usize>,
    /// Type of the result.
    pub returns: ValueType,
    /// Refused unless switched on.
    pub experimental: bool,
    pub(crate) id: Func,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What a function does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Func {
    Absent,
    AbsentOverTime,
    Clamp,
    ClampMax,
    ClampMin,
    Date(dates::Part),
    End,
    HistogramFraction,
    HistogramPart(Part),
    HistogramQuantile,
    HistogramQuantiles,
    Info,
    LabelJoin,
    LabelReplace,
    Map(fn(f64) -> f64),
    MaxOf,
    MinOf,
    OverTime(Over),
    Pi,
    Range,
    Round,
    Scalar,
    Sort { descending: bool },
    SortByLabel { descending: bool },
    Start,
    Step,
    Time,
    Timestamp,
    Vector,
}

/// What is taken out of a native histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Avg,
    Count,
    Stddev,
    Stdvar,
    Sum,
}

/// Functions that reduce the samples of a range to one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Avg,
    Changes,
    Count,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    First,
    Idelta,
    Increase,
    Irate,
    Last,
    Mad,
    Max,
    Min,
    PredictLinear,
    Present,
    Quantile,
    Rate,
    Resets,
    Stddev,
    Stdvar,
    Sum,
    TsOfFirst,
    TsOfLast,
    TsOfMax,
    TsOfMin,
}

impl Over {
    /// True when the result keeps the metric name.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Over::First | Over::Last)
    }

    /// True when histograms are computed with; others leave them out.
    pub(crate) fn takes_histograms(self) -> bool {
        matches!(
            self,
            Over::Avg
                | Over::Sum
                | Over::Changes
                | Over::Resets
                | Over::Delta
                | Over::Rate
                | Over::Increase
                | Over::Idelta
                | Over::Irate
        )
    }
}

/// The function of this name.
pub(crate) fn named(name: &str) -> Option<&'static Function> {
    TABLE
        .binary_search_by(|f| f.name.cmp(name))
        .ok()
        .map(|i| &TABLE[i])
}

const fn exact(
    name: &'static str,
    args: &'static [ValueType],
    returns: ValueType,
    id: Func,
) -> Function {
    Function {
        name,
        args,
        min_args: args.len(),
        max_args: Some(args.len()),
        returns,
        experimental: false,
        id,
    }
}

const fn map(name: &'static str, f: fn(f64) -> f64) -> Function {
    exact(name, &[Vector], Vector, Func::Map(f))
}

const fn over(name: &'static str, id: Over) -> Function {
    exact(name, &[Matrix], Vector, Func::OverTime(id))
}

const fn part(name: &'static str, part: Part) -> Function {
    exact(name, &[Vector], Vector, Func::HistogramPart(part))
}

/// The argument may be left out.
const fn date(name: &'static str, id: Func) -> Function {
    args(exact(name, &[Vector], Vector, id), 0, Some(1))
}

const fn args(f: Function, min_args: usize, max_args: Option<usize>) -> Function {
    Function {
        min_args,
        max_args,
        ..f
    }
}

const fn experimental(f: Function) -> Function {
    Function {
        experimental: true,
        ..f
    }
}

/// Sorted by name.
static TABLE: &[Function] = &[
    map("abs", f64::abs),
    exact("absent", &[Vector], Vector, Func::Absent),
    exact("absent_over_time", &[Matrix], Vector, Func::AbsentOverTime),
    map("acos", f64::acos),
    map("acosh", f64::acosh),
    map("asin", f64::asin),
    map("asinh", f64::asinh),
    map("atan", f64::atan),
    map("atanh", f64::atanh),
    over("avg_over_time", Over::Avg),
    map("ceil", f64::ceil),
    over("changes", Over::Changes),
    exact("clamp", &[Vector, Scalar, Scalar], Vector, Func::Clamp),
    exact("clamp_max", &[Vector, Scalar], Vector, Func::ClampMax),
    exact("clamp_min", &[Vector, Scalar], Vector, Func::ClampMin),
    map("cos", f64::cos),
    map("cosh", f64::cosh),
    over("count_over_time", Over::Count),
    date("day_of_month", Func::Date(dates::Part::DayOfMonth)),
    date("day_of_week", Func::Date(dates::Part::DayOfWeek)),
    date("day_of_year", Func::Date(dates::Part::DayOfYear)),
    date("days_in_month", Func::Date(dates::Part::DaysInMonth)),
    map("deg", f64::to_degrees),
    over("delta", Over::Delta),
    over("deriv", Over::Deriv),
    experimental(exact(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Vector,
        Func::OverTime(Over::DoubleExponentialSmoothing),
    )),
    experimental(exact("end", &[], Scalar, Func::End)),
    map("exp", f64::exp),
    over("first_over_time", Over::First),
    map("floor", f64::floor),
    part("histogram_avg", Part::Avg),
    part("histogram_count", Part::Count),
    exact(
        "histogram_fraction",
        &[Scalar, Scalar, Vector],
        Vector,
        Func::HistogramFraction,
    ),
    exact(
        "histogram_quantile",
        &[Scalar, Vector],
        Vector,
        Func::HistogramQuantile,
    ),
    experimental(args(
        exact(
            "histogram_quantiles",
            &[Vector, Text, Scalar],
            Vector,
            Func::HistogramQuantiles,
        ),
        3,
        Some(12),
    )),
    part("histogram_stddev", Part::Stddev),
    part("histogram_stdvar", Part::Stdvar),
    part("histogram_sum", Part::Sum),
    date("hour", Func::Date(dates::Part::Hour)),
    over("idelta", Over::Idelta),
    over("increase", Over::Increase),
    experimental(exact("info", &[Vector, Vector], Vector, Func::Info)),
    over("irate", Over::Irate),
    args(
        exact(
            "label_join",
            &[Vector, Text, Text, Text],
            Vector,
            Func::LabelJoin,
        ),
        3,
        None,
    ),
    exact(
        "label_replace",
        &[Vector, Text, Text, Text, Text],
        Vector,
        Func::LabelReplace,
    ),
    over("last_over_time", Over::Last),
    map("ln", f64::ln),
    map("log10", f64::log10),
    map("log2", f64::log2),
    experimental(over("mad_over_time", Over::Mad)),
    experimental(exact("max_of", &[Scalar, Scalar], Scalar, Func::MaxOf)),
    over("max_over_time", Over::Max),
    experimental(exact("min_of", &[Scalar, Scalar], Scalar, Func::MinOf)),
    over("min_over_time", Over::Min),
    date("minute", Func::Date(dates::Part::Minute)),
    date("month", Func::Date(dates::Part::Month)),
    exact("pi", &[], Scalar, Func::Pi),
    exact(
        "predict_linear",
        &[Matrix, Scalar],
        Vector,
        Func::OverTime(Over::PredictLinear),
    ),
    over("present_over_time", Over::Present),
    exact(
        "quantile_over_time",
        &[Scalar, Matrix],
        Vector,
        Func::OverTime(Over::Quantile),
    ),
    map("rad", f64::to_radians),
    experimental(exact("range", &[], Scalar, Func::Range)),
    over("rate", Over::Rate),
    over("resets", Over::Resets),
    args(
        exact("round", &[Vector, Scalar], Vector, Func::Round),
        1,
        Some(2),
    ),
    exact("scalar", &[Vector], Scalar, Func::Scalar),
    map("sgn", sgn),
    map("sin", f64::sin),
    map("sinh", f64::sinh),
    exact("sort", &[Vector], Vector, Func::Sort { descending: false }),
    experimental(args(
        exact(
            "sort_by_label",
            &[Vector, Text],
            Vector,
            Func::SortByLabel { descending: false },
        ),
        1,
        None,
    )),
    experimental(args(
        exact(
            "sort_by_label_desc",
            &[Vector, Text],
            Vector,
            Func::SortByLabel { descending: true },
        ),
        1,
        None,
    )),
    exact(
        "sort_desc",
        &[Vector],
        Vector,
        Func::Sort { descending: true },
    ),
    map("sqrt", f64::sqrt),
    experimental(exact("start", &[], Scalar, Func::Start)),
    over("stddev_over_time", Over::Stddev),
    over("stdvar_over_time", Over::Stdvar),
    experimental(exact("step", &[], Scalar, Func::Step)),
    over("sum_over_time", Over::Sum),
    map("tan", f64::tan),
    map("tanh", f64::tanh),
    exact("time", &[], Scalar, Func::Time),
    exact("timestamp", &[Vector], Vector, Func::Timestamp),
    experimental(over("ts_of_first_over_time", Over::TsOfFirst)),
    experimental(over("ts_of_last_over_time", Over::TsOfLast)),
    experimental(over("ts_of_max_over_time", Over::TsOfMax)),
    experimental(over("ts_of_min_over_time", Over::TsOfMin)),
    exact("vector", &[Scalar], Vector, Func::Vector),
    date("year", Func::Date(dates::Part::Year)),
];

fn sgn(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_name_is_found() {
        for f in TABLE {
            assert!(named(f.name).is_some_and(|g| g == f), "{}", f.name);
        }
        assert!(named("holt_winters").is_none());
    }
}
