//! One question: its text for each server, what it costs in rights, how rows become samples.
//!
//! What must stay true: a question's samples are complete or absent. The texts name the samples
//! themselves: a number's column is called like its metric, a text's column like its label, and
//! `hidden` counts what the role may not see of a row.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _, TypeInfo as _};

use super::sessions;
use super::setting_values;
use super::version::{ServerVersion, variant};
use crate::model::Labels;
use crate::model::labels::NAME;

/// Tells rows that the role may not see.
const HIDDEN: &str = "hidden";

/// One question, one answer, one signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    /// The word for it in `loadline_pg_signal_state`.
    pub(crate) signal: &'static str,
    /// What a person calls it.
    pub(crate) title: &'static str,
    /// Where it is asked.
    pub(crate) scope: Scope,
    /// How long an answer stands.
    pub(crate) pace: Pace,
    /// Without these the answer would be short without saying so.
    pub(crate) needs: Rights,
    /// The statement that shows what `hidden` counts; `ROLE` stands for the role, `SCHEMAS` for
    /// the schemas that hold it.
    pub(crate) opens: &'static str,
    /// A metric with the number of rows, which is 0 where there are none.
    pub(crate) counted: Option<&'static str>,
    /// How rows become samples.
    pub(crate) reader: Reader,
    /// Texts, oldest first, each with the first major that understands it.
    pub(crate) variants: &'static [(i64, &'static str)],
}

/// Where a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Once; the answer holds for all databases.
    Server,
    /// In every database.
    Database,
}

/// How long an answer stands. The first pass asks all; a restart of the server asks again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pace {
    /// Asked on every pass.
    Pass,
    /// A minute.
    Minute,
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
    /// Six hours.
    SixHours,
}

impl Pace {
    /// The time between two askings; none means every pass.
    pub(crate) fn every(self) -> Duration {
        Duration::from_secs(match self {
            Pace::Pass => 0,
            Pace::Minute => 60,
            Pace::FiveMinutes => 300,
            Pace::Hour => 3600,
            Pace::SixHours => 6 * 3600,
        })
    }
}

/// A role that a complete answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Anybody who may connect.
    Connect,
    /// `pg_read_all_stats`, which is in `pg_monitor`.
    AllStats,
    /// `pg_read_all_settings`, which is in `pg_monitor`.
    AllSettings,
    /// `pg_monitor` itself.
    Monitor,
}

/// How rows become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As the columns say.
    Columns,
    /// Sessions, with the smallest groups folded.
    Sessions,
    /// Settings in base units.
    Settings,
}

impl Question {
    /// Asked of the server as a whole by anybody, on every pass, unless told otherwise.
    pub(crate) const fn new(
        signal: &'static str,
        title: &'static str,
        variants: &'static [(i64, &'static str)],
    ) -> Self {
        Self {
            signal,
            title,
            scope: Scope::Server,
            pace: Pace::Pass,
            needs: Rights::Connect,
            opens: "",
            counted: None,
            reader: Reader::Columns,
            variants,
        }
    }

    pub(crate) const fn every(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    pub(crate) const fn in_each_database(self) -> Self {
        Self {
            scope: Scope::Database,
            ..self
        }
    }

    pub(crate) const fn needs(self, needs: Rights) -> Self {
        Self { needs, ..self }
    }

    pub(crate) const fn opened_by(self, opens: &'static str) -> Self {
        Self { opens, ..self }
    }

    pub(crate) const fn counted(self, metric: &'static str) -> Self {
        Self {
            counted: Some(metric),
            ..self
        }
    }

    pub(crate) const fn read_by(self, reader: Reader) -> Self {
        Self { reader, ..self }
    }

    /// The statement for this server; `None` when it is too old for the question.
    pub(crate) fn sql(&self, version: ServerVersion) -> Option<&'static str> {
        variant(self.variants, version)
    }

    /// The metrics it may bring, on any server; when nobody reads one of them it is not asked.
    pub(crate) fn names(&self) -> BTreeSet<&'static str> {
        let mut names: BTreeSet<&'static str> = self
            .variants
            .iter()
            .flat_map(|(_, sql)| self.names_in(sql))
            .collect();
        names.extend(self.counted);
        names
    }

    /// The metrics that a server of this version has.
    pub(crate) fn names_on(&self, version: ServerVersion) -> BTreeSet<&'static str> {
        let sql = self.sql(version);
        let mut names: BTreeSet<&'static str> =
            sql.into_iter().flat_map(|sql| self.names_in(sql)).collect();
        if sql.is_some() {
            names.extend(self.counted);
        }
        names
    }

    fn names_in(&self, sql: &'static str) -> Vec<&'static str> {
        match self.reader {
            Reader::Columns => metrics_in(sql).collect(),
            Reader::Sessions => sessions::NAMES.to_vec(),
            Reader::Settings => setting_values::names().collect(),
        }
    }

    /// Samples from rows, of those metrics that `wanted` asks for; `database` is empty for the
    /// server as a whole.
    pub(crate) fn read(
        &self,
        rows: &[PgRow],
        database: &str,
        base: &Labels,
        wanted: &BTreeSet<&'static str>,
    ) -> Result<Answer, sqlx::Error> {
        let mut out = Points::new(base, wanted);
        match self.reader {
            Reader::Columns => {
                let mut hidden = 0;
                for row in rows {
                    hidden += read_columns(row, &mut out)?;
                }
                out.hidden = hidden;
            }
            Reader::Sessions => sessions::read(rows, &mut out)?,
            Reader::Settings => setting_values::read(rows, &mut out)?,
        }
        if let Some(metric) = self.counted {
            out.push(metric, &[("datname", database)], Some(rows.len() as f64));
        }
        Ok(Answer {
            points: out.points,
            hidden: out.hidden,
            hidden_in: out.hidden_in,
        })
    }
}

/// Metric names that a text gives to its columns.
pub(crate) fn metrics_in(sql: &'static str) -> impl Iterator<Item = &'static str> {
    sql.lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .flat_map(|line| line.split(" AS ").skip(1))
        .map(|rest| {
            let end = rest
                .find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_')
                .unwrap_or(rest.len());
            &rest[..end]
        })
        .filter(|name| name.starts_with("pg_") || name.starts_with("loadline_"))
}

fn read_columns(row: &PgRow, out: &mut Points<'_>) -> Result<i64, sqlx::Error> {
    let mut labels: Vec<(&str, String)> = Vec::new();
    let mut values: Vec<(&str, f64)> = Vec::new();
    let mut hidden = 0;
    for column in row.columns() {
        let (name, i) = (column.name(), column.ordinal());
        let value = match column.type_info().name() {
            "TEXT" | "VARCHAR" | "NAME" | "\"CHAR\"" => {
                let text: Option<String> = row.try_get(i)?;
                labels.push((name, text.unwrap_or_default()));
                None
            }
            "BOOL" => row.try_get::<Option<bool>, _>(i)?.map(f64::from),
            "INT4" => row.try_get::<Option<i32>, _>(i)?.map(f64::from),
            "INT8" => row.try_get::<Option<i64>, _>(i)?.map(|v| v as f64),
            _ => row.try_get::<Option<f64>, _>(i)?,
        };
        if name == HIDDEN {
            hidden += value.unwrap_or(0.0) as i64;
        } else if let Some(value) = value {
            values.push((name, value));
        }
    }
    if hidden > 0
        && let Some((_, schema)) = labels.iter().find(|(name, _)| *name == "schemaname")
    {
        out.hidden_in.insert(schema.clone());
    }
    let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (*n, v.as_str())).collect();
    for (name, value) in values {
        out.push(name, &labels, Some(value));
    }
    Ok(hidden)
}

/// Samples of one question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) points: Vec<(Labels, f64)>,
    /// What the role could not see.
    pub(crate) hidden: i64,
    /// Schemas that hold it.
    pub(crate) hidden_in: BTreeSet<String>,
}

/// Collects samples that share the target's labels.
pub(crate) struct Points<'a> {
    base: &'a Labels,
    wanted: &'a BTreeSet<&'static str>,
    pub(crate) points: Vec<(Labels, f64)>,
    pub(crate) hidden: i64,
    hidden_in: BTreeSet<String>,
}

impl<'a> Points<'a> {
    pub(crate) fn new(base: &'a Labels, wanted: &'a BTreeSet<&'static str>) -> Self {
        Self {
            base,
            wanted,
            points: Vec::new(),
            hidden: 0,
            hidden_in: BTreeSet::new(),
        }
    }

    /// Adds a sample; without a value there is none.
    pub(crate) fn push(&mut self, name: &str, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value.filter(|_| self.wanted.contains(name)) else {
            return;
        };
        let mut b = self.base.to_builder();
        b.set(NAME, name);
        for (label, text) in labels {
            b.set(label, text);
        }
        self.points.push((b.build(), value));
    }
}

/// A text column, empty when NULL.
pub(crate) fn text(row: &PgRow, column: &str) -> Result<String, sqlx::Error> {
    Ok(row
        .try_get::<Option<String>, _>(column)?
        .unwrap_or_default())
}

/// An `int8` column.
pub(crate) fn int(row: &PgRow, column: &str) -> Result<Option<i64>, sqlx::Error> {
    row.try_get(column)
}

/// A `float8` column.
pub(crate) fn float(row: &PgRow, column: &str) -> Result<Option<f64>, sqlx::Error> {
    row.try_get(column)
}

/// A `bool` column.
pub(crate) fn truth(row: &PgRow, column: &str) -> Result<Option<bool>, sqlx::Error> {
    row.try_get(column)
}
