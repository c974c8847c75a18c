//! What is needed to ask one server.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::config::{self, Secret};

/// Label `job` of all series of this collector.
pub const JOB: &str = "loadline-postgres";

/// The longest pass when nobody says otherwise.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Connection parameters accepted in the URL's query part.
const PARAMETERS: [&str; 15] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
];

/// Labels that our metrics carry themselves.
const OWN_LABELS: [&str; 42] = [
    "__name__",
    "application_name",
    "backend_type",
    "client_addr",
    "conname",
    "context",
    "covered_by",
    "database",
    "datid",
    "datname",
    "default_version",
    "extname",
    "extversion",
    "indexrelname",
    "job",
    "kind",
    "mode",
    "name",
    "object",
    "parent",
    "port",
    "query",
    "queryid",
    "relname",
    "rolname",
    "schemaname",
    "sequencename",
    "signal",
    "slot_name",
    "slot_type",
    "spcname",
    "state",
    "strategy",
    "subname",
    "system_identifier",
    "usename",
    "user",
    "value",
    "wait_event",
    "wait_event_type",
    "wal_status",
    "why",
];

/// One watched server: where it is, how to log in, what to call its series.
#[derive(Clone)]
pub struct PostgresSettings {
    options: PgConnectOptions,
    /// File with the password, read at every connect.
    pub password_file: Option<PathBuf>,
    /// Databases to look into; `*` for all.
    pub databases: Vec<String>,
    /// Databases to leave out.
    pub exclude: Vec<String>,
    /// What the server is for, in the team's words.
    pub purpose: Option<String>,
    /// Further labels of all series; `instance` replaces the usual one.
    pub labels: BTreeMap<String, String>,
    /// Longest pass, connecting included; after it the socket is dropped.
    pub deadline: Duration,
}

impl PostgresSettings {
    /// From `[[postgres]]`; `deadline` bounds a whole pass. The error says what to mend and never
    /// repeats the URL.
    pub fn from_config(entry: &config::Postgres, deadline: Duration) -> Result<Self, String> {
        let options = parse_url(&entry.url)?;
        if let Some(name) = entry
            .labels
            .keys()
            .find(|name| OWN_LABELS.contains(&name.as_str()))
        {
            return Err(format!(
                "label {name:?} belongs to the metrics themselves; choose another name"
            ));
        }
        Ok(Self {
            password_file: entry.password_file.clone(),
            databases: entry.databases.clone(),
            exclude: entry.exclude.clone(),
            purpose: entry.role.clone(),
            labels: entry.labels.clone(),
            deadline,
            ..Self::new(options)
        })
    }

    /// A server behind the socket in `dir`, without a password.
    pub fn local_socket(dir: &Path, port: u16, user: &str, database: &str) -> Self {
        Self::new(
            PgConnectOptions::new_without_pgpass()
                .socket(dir)
                .port(port)
                .username(user)
                .database(database),
        )
    }

    /// A server at `host`, with a password only where `.pgpass` or `PGPASSWORD` has one.
    pub fn tcp(host: &str, port: u16, user: &str, database: &str) -> Self {
        // The URL form applies .pgpass after host, port and user are known.
        let mut settings = Self::new(PgConnectOptions::new_without_pgpass());
        if let Ok(options) = PgConnectOptions::from_str(&format!("postgres://{host}:{port}/"))
            .map(|o| o.username(user).database(database))
        {
            settings.options = options;
        }
        settings
    }

    fn new(options: PgConnectOptions) -> Self {
        Self {
            options,
            password_file: None,
            databases: vec!["*".to_owned()],
            exclude: Vec::new(),
            purpose: None,
            labels: BTreeMap::new(),
            deadline: DEADLINE,
        }
    }

    /// `HOST:PORT`; a local socket is `localhost:PORT`.
    pub fn instance(&self) -> String {
        if let Some(own) = self.labels.get("instance") {
            return own.clone();
        }
        let host = if self.is_local_socket() {
            "localhost"
        } else {
            self.options.get_host()
        };
        format!("{host}:{}", self.options.get_port())
    }

    /// True when the server is asked over a Unix socket.
    pub fn is_local_socket(&self) -> bool {
        self.options.get_socket().is_some() || self.options.get_host().starts_with('/')
    }

    pub(crate) fn host(&self) -> &str {
        self.options.get_host()
    }

    pub(crate) fn socket_dir(&self) -> String {
        match self.options.get_socket() {
            Some(dir) => dir.display().to_string(),
            None => self.options.get_host().to_owned(),
        }
    }

    /// The role that logs in.
    pub fn user(&self) -> &str {
        self.options.get_username()
    }

    /// The database of the long-lived connection; Postgres defaults to the role's name.
    pub fn database(&self) -> &str {
        self.options
            .get_database()
            .unwrap_or_else(|| self.options.get_username())
    }

    /// The port we connect to.
    pub fn port(&self) -> u16 {
        self.options.get_port()
    }

    /// True when `[[postgres]].databases` and `exclude` let us look into `database`.
    pub fn may_look_into(&self, database: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|d| d == "*" || d == database);
        named(&self.databases) && !named(&self.exclude)
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("instance", &self.instance())
            .field("user", &self.user())
            .field("database", &self.database())
            .finish_non_exhaustive()
    }
}

fn parse_url(url: &Secret) -> Result<PgConnectOptions, String> {
    let bad = || {
        "url is not a Postgres URL; write postgres://USER@HOST:5432/DATABASE, or \
         postgres://USER@/DATABASE?host=/run/postgresql for a local socket; letters such as @ # / \
         in a password are written %40 %23 %2F"
            .to_owned()
    };
    let text = url.expose();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(bad());
    }
    if let Some((_, query)) = text.split_once('?') {
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let key = pair.split('=').next().unwrap_or_default();
            if !PARAMETERS.contains(&key) {
                return Err(format!(
                    "url has a parameter that is not known; accepted: {}",
                    PARAMETERS.join(", ")
                ));
            }
        }
    }
    // `user@/database?host=...` is good for libpq and no URL by the book.
    let text = match text.split_once("://") {
        Some((scheme, rest))
            if rest
                .split(['/', '?'])
                .next()
                .is_some_and(|a| a.ends_with('@')) =>
        {
            format!("{scheme}://{}", rest.replacen('@', "@localhost", 1))
        }
        _ => text.to_owned(),
    };
    PgConnectOptions::from_str(&text).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(url: &str) -> config::Postgres {
        config::Postgres {
            url: Secret::new(url),
            password_file: None,
            databases: vec!["*".to_owned()],
            exclude: vec!["secret_db".to_owned()],
            role: None,
            labels: BTreeMap::new(),
            scrape_interval: None,
        }
    }

    #[test]
    fn names_the_instance_by_where_it_listens() {
        for (url, instance, database) in [
            (
                "postgres://me@db.example:6543/shop",
                "db.example:6543",
                "shop",
            ),
            ("postgresql://me@10.0.0.1/", "10.0.0.1:5432", "me"),
            (
                "postgres://me@/postgres?host=/run/postgresql&port=5433",
                "localhost:5433",
                "postgres",
            ),
            ("postgres://me@%2Frun%2Fpg:5434/x", "localhost:5434", "x"),
        ] {
            let s = PostgresSettings::from_config(&entry(url), DEADLINE).unwrap();
            assert_eq!(s.instance(), instance, "{url}");
            assert_eq!(s.database(), database, "{url}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read_and_tells_no_secret() {
        for url in [
            "host=/run/postgresql password=hunter2",
            "postgres://u:hunter2@h:99999/d",
            "postgres://u:hunter2@h/d?passwort=hunter2",
            "http://u:hunter2@h/",
            "",
        ] {
            let e = PostgresSettings::from_config(&entry(url), DEADLINE).unwrap_err();
            assert!(e.contains("url") && !e.contains("hunter2"), "{e}");
        }
        let mut clash = entry("postgres://u:hunter2@h/d");
        clash.labels.insert("state".into(), "x".into());
        let e = PostgresSettings::from_config(&clash, DEADLINE).unwrap_err();
        assert!(e.contains("\"state\""), "{e}");
        let shown = format!(
            "{:?}",
            PostgresSettings::from_config(&entry("postgres://u:hunter2@h/d"), DEADLINE)
        );
        assert!(
            shown.contains("h:5432") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn looks_only_where_it_may() {
        let s = PostgresSettings::from_config(&entry("postgres://u@h/d"), DEADLINE).unwrap();
        assert!(s.may_look_into("shop") && !s.may_look_into("secret_db"));
    }
}
