//! Real Postgres clusters and poolers in temporary folders.
//!
//! What must stay true: a server listens on loopback and in its own folder only, runs as an
//! unprivileged user, and is gone, with its folder, when its value is dropped.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a panic is how a test fails"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// How a cluster is set up.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The major version; `None` for the system's own.
    pub(crate) major: Option<u32>,
    pub(crate) max_connections: u32,
    /// Further lines of postgresql.conf.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Lines of pg_hba.conf; the default trusts everybody.
    pub(crate) hba: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            major: None,
            max_connections: 40,
            settings: Vec::new(),
            hba: "local all all trust\nhost all all 127.0.0.1/32 trust\n\
                  local replication all trust\nhost replication all 127.0.0.1/32 trust\n",
        }
    }
}

/// A running Postgres server with its data.
pub(crate) struct Cluster {
    major: Option<u32>,
    port: u16,
    folder: TempDir,
    server: Option<Child>,
}

impl Cluster {
    /// A new, empty server with superuser `postgres`.
    pub(crate) fn start(options: &Options) -> Cluster {
        let folder = folder();
        let data = folder.path().join("data");
        run(program_of(options.major, "initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "--no-sync"])
            .args(["-E", "UTF8", "--locale", "C"]));
        let mut conf = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        conf.push_str(&format!(
            "listen_addresses = '127.0.0.1'\nmax_connections = {}\nfsync = off\n\
             full_page_writes = off\nshared_buffers = 16MB\nmax_wal_senders = 4\n\
             unix_socket_directories = '{}'\nlog_min_messages = fatal\n\
             wal_receiver_status_interval = 1s\nautovacuum = off\n",
            options.max_connections,
            folder.path().display()
        ));
        for (name, value) in &options.settings {
            conf.push_str(&format!("{name} = '{value}'\n"));
        }
        fs::write(data.join("postgresql.conf"), conf).unwrap();
        fs::write(data.join("pg_hba.conf"), options.hba).unwrap();
        Cluster::boot(options.major, folder)
    }

    /// A standby that streams from `primary` under the name `replica`.
    pub(crate) fn replica_of(primary: &Cluster) -> Cluster {
        let folder = folder();
        let data = folder.path().join("data");
        primary.copy_data_to(&data);
        let mut conf = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        conf.push_str(&format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=postgres application_name=replica'\n\
             unix_socket_directories = '{}'\nhot_standby = on\n",
            primary.port,
            folder.path().display()
        ));
        fs::write(data.join("postgresql.conf"), conf).unwrap();
        fs::write(data.join("standby.signal"), "").unwrap();
        let replica = Cluster::boot(primary.major, folder);
        eventually("the replica streams", || {
            primary.psql(
                "SELECT count(*) FROM pg_stat_replication
                 WHERE state = 'streaming' AND application_name = 'replica'",
            ) == "1"
        });
        replica
    }

    /// A base backup by SQL: programs of one major do not copy servers of all others.
    fn copy_data_to(&self, data: &Path) {
        let old = self.psql("SELECT current_setting('server_version_num')::int < 150000") == "t";
        let (start, stop) = if old {
            (
                "pg_start_backup('copy', true, false)",
                "pg_stop_backup(false, false)",
            )
        } else {
            ("pg_backup_start('copy', true)", "pg_backup_stop(false)")
        };
        let from = self.folder.path().join("data");
        let (from, to) = (from.display(), data.display());
        let output = program("psql")
            .arg("-h")
            .arg(self.folder.path())
            .args([
                "-p",
                &self.port.to_string(),
                "-U",
                "postgres",
                "-d",
                "postgres",
            ])
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1"])
            .args(["-c", &format!("SELECT FROM {start}")])
            .args(["-c", &format!("\\! cp -a {from} {to}")])
            .args(["-c", &format!("SELECT labelfile FROM {stop}")])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let label = String::from_utf8_lossy(&output.stdout)
            .trim_start()
            .to_owned();
        assert!(label.starts_with("START WAL"), "{label}");
        fs::write(data.join("backup_label"), label).unwrap();
        for file in ["postmaster.pid", "postmaster.opts"] {
            let _ = fs::remove_file(data.join(file));
        }
        // What was copied of pg_wal may be half written; streaming brings it again.
        for entry in fs::read_dir(data.join("pg_wal")).unwrap().flatten() {
            if entry.path().is_file() {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        if let Some((uid, gid)) = other_user() {
            chown(data.join("backup_label"), Some(uid), Some(gid)).unwrap();
        }
    }

    fn boot(major: Option<u32>, folder: TempDir) -> Cluster {
        let mut cluster = Cluster {
            major,
            port: free_port(),
            folder,
            server: None,
        };
        cluster.boot_again();
        cluster
    }

    /// Starts the stopped server on its old port; a port that was taken meanwhile is replaced.
    pub(crate) fn boot_again(&mut self) {
        for _ in 0..3 {
            let log = fs::File::create(self.folder.path().join("log")).unwrap();
            let mut server = program_of(self.major, "postgres")
                .arg("-D")
                .arg(self.folder.path().join("data"))
                .args(["-p", &self.port.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap();
            if self.answers(&mut server) {
                self.server = Some(server);
                return;
            }
            let _ = server.kill();
            let _ = server.wait();
            self.port = free_port();
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("Postgres does not start:\n{log}");
    }

    fn answers(&self, server: &mut Child) -> bool {
        let start = now();
        while start.elapsed() < PATIENCE {
            if server.try_wait().unwrap().is_some() {
                return false;
            }
            if self.try_psql("SELECT 1").is_ok() {
                return true;
            }
            sleep(Duration::from_millis(30));
        }
        false
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Folder of the Unix socket.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// `postgres://USER@127.0.0.1:PORT/DATABASE`
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL as the superuser and gives its bare output.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.try_psql(sql)
            .unwrap_or_else(|e| panic!("psql failed on {sql}: {e}"))
    }

    /// The same in another database.
    pub(crate) fn psql_in(&self, database: &str, sql: &str) -> String {
        self.try_psql_in(database, sql)
            .unwrap_or_else(|e| panic!("psql failed on {sql}: {e}"))
    }

    /// Runs a script for psql as the superuser.
    pub(crate) fn psql_script(&self, script: &str) {
        let file = self.folder.path().join("script.sql");
        fs::write(&file, script).unwrap();
        run(program("psql")
            .arg("-h")
            .arg(self.folder.path())
            .args([
                "-p",
                &self.port.to_string(),
                "-U",
                "postgres",
                "-d",
                "postgres",
            ])
            .args(["-Xq", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(&file));
    }

    fn try_psql(&self, sql: &str) -> Result<String, String> {
        self.try_psql_in("postgres", sql)
    }

    fn try_psql_in(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = program("psql")
            .arg("-h")
            .arg(self.folder.path())
            .args([
                "-p",
                &self.port.to_string(),
                "-U",
                "postgres",
                "-d",
                database,
            ])
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Opens `n` idle sessions as `user`, which live until the value is dropped.
    pub(crate) async fn open_connections(&self, n: usize, user: &str) -> Vec<sqlx::PgConnection> {
        use sqlx::Connection as _;
        let url = format!("{}?application_name=shop", self.url(user, "postgres"));
        let mut open = Vec::with_capacity(n);
        let start = now();
        while open.len() < n {
            match sqlx::PgConnection::connect(&url).await {
                Ok(connection) => open.push(connection),
                // A session that is just ending may still hold its slot.
                Err(_) if start.elapsed() < Duration::from_secs(5) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(e) => panic!("connection {} of {n}: {e}", open.len() + 1),
            }
        }
        open
    }

    /// Received changes are no longer applied.
    pub(crate) fn pause_replay(&self) {
        self.psql("SELECT pg_wal_replay_pause()");
        eventually("replay is paused", || {
            self.psql("SELECT pg_get_wal_replay_pause_state()") == "paused"
        });
    }

    pub(crate) fn resume_replay(&self) {
        self.psql("SELECT pg_wal_replay_resume()");
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Stops the server and throws all sessions out (SIGINT).
    pub(crate) fn stop(&mut self) {
        self.signal_and_wait(Signal::INT);
    }

    /// As in a crash (SIGQUIT), then starts again.
    pub(crate) fn restart_immediate(&mut self) {
        self.signal_and_wait(Signal::QUIT);
        self.boot_again();
    }

    /// Sends a signal to the server's main process.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            send(server, signal);
        }
    }

    fn signal_and_wait(&mut self, signal: Signal) {
        if let Some(mut server) = self.server.take() {
            send(&server, signal);
            wait_or_kill(&mut server);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.signal_and_wait(Signal::QUIT);
    }
}

/// A PgBouncer in transaction mode in front of a cluster.
pub(crate) struct PgBouncer {
    port: u16,
    _folder: TempDir,
    server: Child,
}

impl PgBouncer {
    /// Starts it with users `postgres` and `users`; `extra` are further lines of its settings.
    pub(crate) fn start(cluster: &Cluster, users: &[&str], extra: &str) -> PgBouncer {
        let folder = folder();
        let port = free_port();
        let names: String = users
            .iter()
            .chain(&["postgres"])
            .map(|u| format!("\"{u}\" \"\"\n"))
            .collect();
        let list = folder.path().join("users.txt");
        fs::write(&list, names).unwrap();
        let ini = folder.path().join("pgbouncer.ini");
        fs::write(
            &ini,
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
                 pool_mode = transaction\nadmin_users = postgres\n{extra}\n",
                cluster.port,
                list.display()
            ),
        )
        .unwrap();
        let server = unprivileged(Command::new(find("pgbouncer")))
            .arg("-q")
            .arg(&ini)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("PgBouncer listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        PgBouncer {
            port,
            _folder: folder,
            server,
        }
    }

    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        send(&self.server, Signal::TERM);
        wait_or_kill(&mut self.server);
    }
}

/// Waits until `true`; panics with `what` after 20 s.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = now();
    while start.elapsed() < PATIENCE {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(30));
    }
    panic!("waited {} s in vain: {what}", PATIENCE.as_secs());
}

fn send(process: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn wait_or_kill(process: &mut Child) {
    let start = now();
    while start.elapsed() < Duration::from_secs(10) {
        if process.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    let _ = process.wait();
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Majors that can be started here: the system's own as `None`, those that `.ci/servers` brought.
pub(crate) fn majors() -> Vec<Option<u32>> {
    let own = own_major();
    (13..=18)
        .filter_map(|major| {
            if major == own {
                Some(None)
            } else {
                brought(major).is_dir().then_some(Some(major))
            }
        })
        .collect()
}

/// The major version of the system's own Postgres.
pub(crate) fn own_major() -> u32 {
    let output = program("postgres").arg("--version").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().find_map(|w| {
        let digits: String = w.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    number.unwrap_or_else(|| panic!("no version in {text:?}"))
}

/// Where `.ci/servers` keeps the programs of a major.
fn brought(major: u32) -> PathBuf {
    let uid = geteuid().as_raw();
    PathBuf::from(format!("/var/tmp/loadline-test-servers-{uid}/{major}/bin"))
}

fn program_of(major: Option<u32>, name: &str) -> Command {
    match major {
        None => program(name),
        Some(major) => unprivileged(Command::new(brought(major).join(name))),
    }
}

/// A program of the newest Postgres that is installed.
fn program(name: &str) -> Command {
    unprivileged(Command::new(find(name)))
}

fn find(name: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    folders.reverse();
    folders.extend(search_path());
    folders.push(PathBuf::from("/usr/sbin"));
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("{name} is not installed; apt-get install postgresql pgbouncer brings it")
        })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests look for installed programs where a shell would"
)]
fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// Servers refuse to run as root.
fn unprivileged(mut command: Command) -> Command {
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}

/// User `postgres`, else `nobody`, when we are root.
fn other_user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((uid, gid))
    })
}

fn folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("loadline-test-")
        .tempdir()
        .unwrap();
    if let Some((uid, gid)) = other_user() {
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
    }
    folder
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|l| l.local_addr())
        .unwrap()
        .port()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests wait for real servers in real time"
)]
fn now() -> Instant {
    Instant::now()
}
