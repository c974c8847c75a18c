//! What the environment says; the only place that reads it.
//!
//! What must stay true: [`process`] is the one call that reads; all else asks a [`Lookup`], so
//! that a test can bring its own environment. `NOTIFY_SOCKET` is sd-notify's, `TZ` is jiff's.

use std::path::{Path, PathBuf};

use super::http::EnvironmentProxies;
use super::{Lookup, Secret};

/// Where a service's config stands.
pub const SYSTEM_CONFIG: &str = "/etc/loadline/config.toml";

/// An environment variable of this process; `None` when unset or not UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The config file to read: the flag, else `$LOADLINE_CONFIG`, else the user's own
/// (`$XDG_CONFIG_HOME/loadline/config.toml`), else [`SYSTEM_CONFIG`]; the last two only when they
/// are there. `None`: run without one.
pub fn config_file(flag: Option<&Path>, env: Lookup<'_>) -> Option<PathBuf> {
    config_file_or(flag, env, Path::new(SYSTEM_CONFIG))
}

fn config_file_or(flag: Option<&Path>, env: Lookup<'_>, system: &Path) -> Option<PathBuf> {
    if let Some(path) = flag {
        return Some(path.to_owned());
    }
    if let Some(path) = set("LOADLINE_CONFIG", env) {
        return Some(PathBuf::from(path));
    }
    let own = xdg("XDG_CONFIG_HOME", ".config", env).map(|d| d.join("loadline/config.toml"));
    own.into_iter()
        .chain([system.to_owned()])
        .find(|p| p.exists())
}

/// The folder of the state database: the config's, else `$STATE_DIRECTORY` (systemd), else
/// `$XDG_STATE_HOME/loadline`, else `~/.local/state/loadline`. `None`: no home either.
pub fn state_dir(configured: Option<&Path>, env: Lookup<'_>) -> Option<PathBuf> {
    if let Some(dir) = configured {
        return Some(dir.to_owned());
    }
    // systemd joins several folders with colons; ours has one.
    if let Some(dirs) = set("STATE_DIRECTORY", env) {
        return dirs.split(':').next().map(PathBuf::from);
    }
    xdg("XDG_STATE_HOME", ".local/state", env).map(|d| d.join("loadline"))
}

/// systemd's folder of credentials.
pub fn credentials_dir(env: Lookup<'_>) -> Option<PathBuf> {
    set("CREDENTIALS_DIRECTORY", env).map(PathBuf::from)
}

/// The proxies that the usual variables name, in capitals or not.
pub fn proxies(env: Lookup<'_>) -> EnvironmentProxies {
    let of = |name: &str| set(name, env).or_else(|| set(&name.to_ascii_lowercase(), env));
    EnvironmentProxies {
        // A CGI request could set HTTP_PROXY, so it does not count there.
        http: of("HTTP_PROXY")
            .filter(|_| set("REQUEST_METHOD", env).is_none())
            .map(Secret::new),
        https: of("HTTPS_PROXY").map(Secret::new),
        none: of("NO_PROXY"),
    }
}

/// The log filter: the flag, else `$LOADLINE_LOG`.
pub fn log_filter(flag: Option<&str>, env: Lookup<'_>) -> Option<String> {
    flag.map(str::to_owned).or_else(|| set("LOADLINE_LOG", env))
}

/// True when the error output goes to the journal, by `$JOURNAL_STREAM`.
pub fn stderr_is_journal(env: Lookup<'_>) -> bool {
    let Some(stream) = set("JOURNAL_STREAM", env) else {
        return false;
    };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else {
        return false;
    };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// True when output may be coloured: a terminal, no `$NO_COLOR`, not a dumb one.
pub fn colour(is_terminal: bool, env: Lookup<'_>) -> bool {
    is_terminal && set("NO_COLOR", env).is_none() && env("TERM").as_deref() != Some("dumb")
}

/// Width of the output by `$COLUMNS`, from 40 to 500; 80 when not told.
pub fn columns(env: Lookup<'_>) -> usize {
    set("COLUMNS", env)
        .and_then(|c| c.parse().ok())
        .map_or(80, |c: usize| c.clamp(40, 500))
}

/// Home of the user.
pub fn home(env: Lookup<'_>) -> Option<PathBuf> {
    set("HOME", env).map(PathBuf::from)
}

/// Name of the user: `$USER`, else what /etc/passwd says of the process's user id.
pub fn user(env: Lookup<'_>) -> Option<String> {
    set("USER", env).or_else(|| {
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        user_of(rustix::process::geteuid().as_raw(), &passwd)
    })
}

fn user_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The variable, when it is set and not empty.
fn set(name: &str, env: Lookup<'_>) -> Option<String> {
    env(name).filter(|v| !v.is_empty())
}

/// A base folder of the XDG specification, which ignores relative ones.
fn xdg(name: &str, below_home: &str, env: Lookup<'_>) -> Option<PathBuf> {
    set(name, env)
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| home(env).map(|h| h.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        }
    }

    #[test]
    fn the_state_folder_has_an_order() {
        let check = |configured: Option<&str>, pairs, want: Option<&str>| {
            let got = state_dir(configured.map(Path::new), &env(pairs));
            assert_eq!(got.as_deref(), want.map(Path::new));
        };
        check(Some("/c"), &[("STATE_DIRECTORY", "/s")], Some("/c"));
        check(
            None,
            &[("STATE_DIRECTORY", "/s:/t"), ("HOME", "/h")],
            Some("/s"),
        );
        check(
            None,
            &[("XDG_STATE_HOME", "/x"), ("HOME", "/h")],
            Some("/x/loadline"),
        );
        let below_home = Some("/h/.local/state/loadline");
        check(
            None,
            &[("XDG_STATE_HOME", "relative"), ("HOME", "/h")],
            below_home,
        );
        check(None, &[("STATE_DIRECTORY", ""), ("HOME", "/h")], below_home);
        check(None, &[], None);
    }

    #[test]
    fn the_config_file_has_an_order() {
        let dir = tempfile::tempdir().unwrap();
        let system = dir.path().join("system.toml");
        let flag = Path::new("/flag.toml");
        let named = env(&[("LOADLINE_CONFIG", "/named.toml")]);
        let nothing = env(&[]);
        assert_eq!(config_file_or(Some(flag), &named, &system).unwrap(), flag);
        let got = config_file_or(None, &named, &system).unwrap();
        assert_eq!(got, Path::new("/named.toml"));
        assert_eq!(config_file_or(None, &nothing, &system), None);
        std::fs::write(&system, "").unwrap();
        assert_eq!(config_file_or(None, &nothing, &system).unwrap(), system);
        let own = dir.path().join("loadline/config.toml");
        std::fs::create_dir(own.parent().unwrap()).unwrap();
        std::fs::write(&own, "").unwrap();
        let base = dir.path().display().to_string();
        let xdg = |name: &str| (name == "XDG_CONFIG_HOME").then(|| base.clone());
        assert_eq!(config_file_or(None, &xdg, &system).unwrap(), own);
    }

    #[test]
    fn words_of_the_terminal() {
        assert!(colour(true, &env(&[("NO_COLOR", "")])));
        assert!(!colour(true, &env(&[("NO_COLOR", "1")])));
        assert!(!colour(true, &env(&[("TERM", "dumb")])));
        assert!(!colour(false, &env(&[])));
        assert_eq!(columns(&env(&[])), 80);
        assert_eq!(columns(&env(&[("COLUMNS", "120")])), 120);
        assert_eq!(columns(&env(&[("COLUMNS", "0")])), 40);
        assert_eq!(columns(&env(&[("COLUMNS", "wide")])), 80);
    }

    #[test]
    fn the_user_of_an_id() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_of(1000, passwd).as_deref(), Some("ann"));
        assert_eq!(user_of(7, passwd), None);
        assert_eq!(user(&env(&[("USER", "bob")])).as_deref(), Some("bob"));
    }

    #[test]
    fn another_stream_is_not_the_journal() {
        assert!(!stderr_is_journal(&env(&[])));
        assert!(!stderr_is_journal(&env(&[("JOURNAL_STREAM", "1:1")])));
        let stat = rustix::fs::fstat(std::io::stderr()).unwrap();
        let own = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(stderr_is_journal(&|_| Some(own.clone())));
    }
}
