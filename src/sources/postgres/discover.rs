//! Finds servers on this machine without being told.
//!
//! What must stay true: every place is tried briefly and at most twice; a server seen by two paths
//! is one server; a server that turns us away is named with the one line that would let us in.

use std::path::PathBuf;
use std::time::Duration;

use super::connect::Session;
use super::meta::ask_meta;
use super::settings::{DEADLINE, PostgresSettings};
use super::state::{Failure, ServerState, create_role};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// The role that the documentation tells people to create.
const OWN_ROLE: &str = "loadline";

/// Where to look.
#[derive(Debug, Clone)]
pub struct Places {
    /// Folders with sockets named `.s.PGSQL.PORT`.
    pub socket_dirs: Vec<PathBuf>,
    /// Host and port.
    pub tcp: Vec<(String, u16)>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            socket_dirs: vec![PathBuf::from("/run/postgresql"), PathBuf::from("/tmp")],
            tcp: vec![("127.0.0.1".to_owned(), 5432)],
        }
    }
}

/// A server that is there.
#[derive(Debug, Clone)]
pub enum Finding {
    /// It lets us in.
    Found {
        /// Ready for a collector.
        settings: Box<PostgresSettings>,
        /// Equal on all nodes of a cluster; `None` where the role may not ask for it.
        system_identifier: Option<String>,
        /// Where the server itself listens.
        port: u16,
        /// False when some signals will need more rights.
        has_pg_monitor: bool,
    },
    /// It is there and does not let us in.
    Blind {
        /// `HOST:PORT`.
        instance: String,
        /// Where it was tried, e.g. the socket's path.
        path: String,
        /// Why not.
        state: ServerState,
        /// The same for people.
        sentence: String,
        /// The one line that would fix it.
        fix: Option<String>,
    },
}

/// Tries each place as `os_user`, then as `loadline`. Places where nobody listens are left out.
pub async fn discover(os_user: &str, places: &Places) -> Vec<Finding> {
    let mut findings: Vec<(u16, Finding)> = Vec::new();
    for path in paths(places) {
        let Some(finding) = try_path(&path, os_user).await else {
            continue;
        };
        let known = findings
            .iter()
            .any(|(at, earlier)| match (earlier, &finding) {
                (
                    Finding::Found {
                        system_identifier: a,
                        port: p,
                        ..
                    },
                    Finding::Found {
                        system_identifier: b,
                        port: q,
                        ..
                    },
                ) => (a == b || a.is_none() || b.is_none()) && p == q,
                // A closed door of a server that another path opens, or closes as well.
                (_, Finding::Blind { .. }) => *at == path.port(),
                (Finding::Blind { .. }, Finding::Found { .. }) => false,
            });
        if known {
            continue;
        }
        if matches!(finding, Finding::Found { .. }) {
            findings.retain(|(at, f)| *at != path.port() || matches!(f, Finding::Found { .. }));
        }
        findings.push((path.port(), finding));
    }
    findings.into_iter().map(|(_, f)| f).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Path {
    Socket { dir: PathBuf, port: u16 },
    Tcp { host: String, port: u16 },
}

impl Path {
    fn port(&self) -> u16 {
        match self {
            Path::Socket { port, .. } | Path::Tcp { port, .. } => *port,
        }
    }

    fn settings(&self, user: &str) -> PostgresSettings {
        let mut settings = match self {
            Path::Socket { dir, port } => {
                PostgresSettings::local_socket(dir, *port, user, "postgres")
            }
            Path::Tcp { host, port } => PostgresSettings::tcp(host, *port, user, "postgres"),
        };
        settings.deadline = PATIENCE;
        settings
    }

    fn shown(&self) -> String {
        match self {
            Path::Socket { dir, port } => {
                format!("{}", dir.join(format!(".s.PGSQL.{port}")).display())
            }
            Path::Tcp { host, port } => format!("{host}:{port}"),
        }
    }
}

/// Sockets first, in order of folder and port.
fn paths(places: &Places) -> Vec<Path> {
    let mut paths = Vec::new();
    for dir in &places.socket_dirs {
        let mut ports: Vec<u16> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                name.to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok()
            })
            .collect();
        ports.sort_unstable();
        paths.extend(ports.into_iter().map(|port| Path::Socket {
            dir: dir.clone(),
            port,
        }));
    }
    paths.extend(places.tcp.iter().map(|(host, port)| Path::Tcp {
        host: host.clone(),
        port: *port,
    }));
    paths
}

/// `None` when nobody listens there.
async fn try_path(path: &Path, os_user: &str) -> Option<Finding> {
    let mut first_failure: Option<Failure> = None;
    let mut busy: Option<PostgresSettings> = None;
    let mut users = vec![os_user, OWN_ROLE];
    users.dedup();
    for user in users {
        let settings = path.settings(user);
        match try_login(&settings).await {
            Ok((system_identifier, port, has_pg_monitor)) => {
                let mut settings = settings;
                settings.deadline = DEADLINE;
                return Some(Finding::Found {
                    settings: Box::new(settings),
                    system_identifier,
                    port: port.unwrap_or_else(|| path.port()),
                    has_pg_monitor,
                });
            }
            Err(failure) if failure.state == ServerState::Refused => return None,
            Err(failure) => {
                // Another role changes nothing unless it was the role that was refused.
                let is_busy = is_busy(failure.state);
                let another_role_may_help = is_busy
                    || failure.state == ServerState::AuthFailed
                    || failure.state == ServerState::NeedsPrivilege;
                if is_busy {
                    busy = Some(settings);
                }
                first_failure.get_or_insert(failure);
                if !another_role_may_help {
                    break;
                }
            }
        }
    }
    if let Some(mut settings) = busy {
        settings.deadline = DEADLINE;
        return Some(Finding::Found {
            settings: Box::new(settings),
            system_identifier: None,
            port: path.port(),
            has_pg_monitor: true,
        });
    }
    let failure = first_failure?;
    let mut fix = failure.fix;
    if failure.state == ServerState::AuthFailed && matches!(path, Path::Tcp { .. }) {
        fix = Some(format!(
            "{} then a [[postgres]] entry with url and password_file",
            create_role(OWN_ROLE, true)
        ));
    }
    Some(Finding::Blind {
        instance: path.settings(os_user).instance(),
        path: path.shown(),
        state: failure.state,
        sentence: failure.sentence,
        fix,
    })
}

/// True when the server is there and would let somebody in at another time: it is watched, as a
/// server that is full is what people must hear of.
fn is_busy(state: ServerState) -> bool {
    [
        ServerState::SlotsExhausted,
        ServerState::ConnectionLimit,
        ServerState::StartingUp,
        ServerState::Timeout,
        ServerState::Lost,
    ]
    .contains(&state)
}

async fn try_login(
    settings: &PostgresSettings,
) -> Result<(Option<String>, Option<u16>, bool), Failure> {
    let mut session = Session::open(settings, settings.database()).await?;
    let meta = tokio::time::timeout(PATIENCE, ask_meta(&mut session, settings))
        .await
        .unwrap_or_else(|_| Err(Failure::new(settings, ServerState::Timeout, "")))?;
    session.close().await;
    Ok((
        meta.system_identifier,
        u16::try_from(meta.port).ok(),
        meta.has_pg_monitor,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_sockets_by_name_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            ".s.PGSQL.5433",
            ".s.PGSQL.5432",
            ".s.PGSQL.5432.lock",
            "other",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let places = Places {
            socket_dirs: vec![PathBuf::from("/nonexistent"), dir.path().to_owned()],
            tcp: vec![("127.0.0.1".to_owned(), 5432)],
        };
        let socket = |port| Path::Socket {
            dir: dir.path().to_owned(),
            port,
        };
        let tcp = Path::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 5432,
        };
        assert_eq!(paths(&places), [socket(5432), socket(5433), tcp]);
    }

    #[tokio::test]
    async fn a_socket_file_without_a_server_is_no_server() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".s.PGSQL.5432"), "").unwrap();
        let places = Places {
            socket_dirs: vec![dir.path().to_owned()],
            tcp: Vec::new(),
        };
        assert!(discover("nobody", &places).await.is_empty());
    }
}
