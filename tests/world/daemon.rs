//! The real binary, with verbs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadline::clock::Clock;

use serde_json::Value;

/// Polls until `check` gives something; panics with `what` after `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Clock::system().stopwatch();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(
            start.elapsed() < limit,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A folder with a config, a copy of the shipped rules and a state folder.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Copies one shipped rule file with every duration divided by `factor`.
    pub(crate) fn shorten_rules(&self, subjects: &[&str], factor: u32) {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let to = self.path().join("rules");
        std::fs::create_dir_all(&to).unwrap();
        for subject in subjects {
            let text = std::fs::read_to_string(rules.join(format!("{subject}.yml"))).unwrap();
            std::fs::write(to.join(format!("{subject}.yml")), shorten(&text, factor)).unwrap();
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts the binary with `config` on a port that the system chooses.
    pub(crate) fn start(&self, config: &str) -> Daemon {
        self.write("config.toml", config);
        self.restart()
    }

    /// Starts the binary again on the same config and state.
    pub(crate) fn restart(&self) -> Daemon {
        self.launch(|command| command)
    }

    /// Starts the binary with a changed command.
    pub(crate) fn launch(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadline"));
        change(&mut command);
        self.spawn(command)
    }

    /// Starts the binary as an argument of another program that becomes it.
    pub(crate) fn launch_under(&self, program: &str, args: &[String]) -> Daemon {
        let mut command = Command::new(program);
        command.args(args).arg(env!("CARGO_BIN_EXE_loadline"));
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Daemon {
        let mut child = command
            .arg("run")
            .args(["--listen", "127.0.0.1:0", "--log", "info"])
            .arg("--config")
            .arg(self.path().join("config.toml"))
            .arg("--state-dir")
            .arg(self.path().join("state"))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let stderr = child.stderr.take().unwrap();
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        let mut daemon = Daemon {
            child,
            log,
            address: String::new(),
        };
        daemon.address = wait_for("the daemon's address", Duration::from_secs(20), || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", daemon.log());
            }
            let log = daemon.log.lock().unwrap();
            let line = log.iter().find(|l| l.contains("listening"))?;
            let at = line.find("http://")? + "http://".len();
            Some(
                line[at..]
                    .trim_end_matches(['"', '/'])
                    .split(['"', ' ', '/'])
                    .next()?
                    .to_owned(),
            )
        });
        daemon
    }
}

/// Divides each duration of a rule file: `for`, `keep_firing_for`, `interval` and range windows.
fn shorten(text: &str, factor: u32) -> String {
    let in_key =
        regex::Regex::new(r"((?:keep_firing_for|for|interval|query_offset):\s*)(\w+)").unwrap();
    let in_range = regex::Regex::new(r"(\[)(\d\w*)((?::\w*)?\])").unwrap();
    let divide = |d: &str| {
        let millis = loadline::model::duration::parse(d).unwrap().as_millis() as u64;
        let short = Duration::from_millis(millis / u64::from(factor));
        loadline::model::duration::format(short)
    };
    let text = in_key.replace_all(text, |c: &regex::Captures| {
        format!("{}{}", &c[1], divide(&c[2]))
    });
    in_range
        .replace_all(&text, |c: &regex::Captures| {
            format!("{}{}{}", &c[1], divide(&c[2]), &c[3])
        })
        .into_owned()
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl Daemon {
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Status and body of a GET.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(&self.address, &self.address, path)
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until the first cycle is over.
    pub(crate) fn ready(&self) -> &Self {
        wait_for("readiness", Duration::from_secs(30), || {
            (self.get("/-/ready").0 == 200).then_some(())
        });
        self
    }

    pub(crate) fn signal(&self, name: &str) {
        let ok = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(ok.unwrap().success());
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of a stopping daemon.
    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        wait_for("the daemon's end", limit, || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    #[expect(clippy::print_stderr, reason = "the log explains a failed test")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the daemon ---\n{}", self.log());
        }
    }
}

/// A GET with a Host of one's own.
pub(crate) fn get(address: &str, host: &str, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return (0, String::new());
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw);
    let text = String::from_utf8_lossy(&raw).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let body = if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        dechunk(body)
    } else {
        body.to_owned()
    };
    (status, body)
}

fn dechunk(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        out.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    out
}
