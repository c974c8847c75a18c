//! Makes paths absolute, looks whether the files are there, and fits default timeouts to
//! intervals.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::http::{HeaderValues, TlsConfig};
use super::places::join;
use super::{Authorization, BasicAuth, Config, Lookup, Places, env, glob};
use crate::model::Problem;

/// Resolves relative paths against `folder`.
pub(super) fn resolve(
    config: &mut Config,
    places: &Places,
    folder: &Path,
    lookup: Lookup<'_>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    fit_timeouts(config, places);
    if let Some(dir) = &mut config.state.dir {
        *dir = folder.join(&*dir);
    }
    let mut files = Files {
        places,
        folder,
        credentials: env::credentials_dir(lookup),
        problems,
        warnings,
    };
    files.patterns("rules.rule_files", &mut config.rules.rule_files);
    files.patterns("advice.playbook_files", &mut config.advice.playbook_files);
    for (i, postgres) in config.postgres.iter_mut().enumerate() {
        files.secret(
            &format!("postgres[{i}].password_file"),
            &mut postgres.password_file,
        );
    }
    for (i, scrape) in config.scrape_configs.iter_mut().enumerate() {
        let path = format!("scrape_configs[{i}]");
        let c = scrape;
        files.client(
            &path,
            &mut c.basic_auth,
            &mut c.authorization,
            &mut c.http_headers,
            &mut c.tls_config,
        );
        if c.proxy_from_environment {
            c.environment = env::proxies(lookup);
        }
        for (k, sd) in c.file_sd_configs.iter_mut().enumerate() {
            files.absolute(&format!("{path}.file_sd_configs[{k}].files"), &mut sd.files);
        }
        for (k, sd) in c.http_sd_configs.iter_mut().enumerate() {
            files.client(
                &format!("{path}.http_sd_configs[{k}]"),
                &mut sd.basic_auth,
                &mut sd.authorization,
                &mut sd.http_headers,
                &mut sd.tls_config,
            );
            if sd.proxy_from_environment {
                sd.environment = env::proxies(lookup);
            }
        }
    }
    for (i, receiver) in config.receivers.iter_mut().enumerate() {
        for (k, webhook) in receiver.webhook_configs.iter_mut().enumerate() {
            let here = format!("receivers[{i}].webhook_configs[{k}].url_file");
            files.secret(&here, &mut webhook.url_file);
        }
        for (k, slack) in receiver.slack_configs.iter_mut().enumerate() {
            let here = format!("receivers[{i}].slack_configs[{k}].api_url_file");
            files.secret(&here, &mut slack.api_url_file);
        }
    }
}

/// As in Prometheus: a timeout that nobody wrote is never longer than its interval.
fn fit_timeouts(config: &mut Config, places: &Places) {
    let global = &mut config.global;
    if !places.has("global.scrape_timeout") {
        global.scrape_timeout = global.scrape_timeout.min(global.scrape_interval);
    }
    for scrape in &mut config.scrape_configs {
        let interval = scrape.scrape_interval.unwrap_or(global.scrape_interval);
        if scrape.scrape_timeout.is_none() && global.scrape_timeout > interval {
            scrape.scrape_timeout = Some(interval);
        }
    }
}

struct Files<'a> {
    places: &'a Places,
    folder: &'a Path,
    credentials: Option<PathBuf>,
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<Problem>,
}

impl Files<'_> {
    /// Files of one HTTP client.
    fn client(
        &mut self,
        path: &str,
        basic: &mut Option<BasicAuth>,
        header: &mut Option<Authorization>,
        headers: &mut BTreeMap<String, HeaderValues>,
        tls: &mut TlsConfig,
    ) {
        if let Some(basic) = basic {
            let here = format!("{path}.basic_auth.password_file");
            self.secret(&here, &mut basic.password_file);
        }
        if let Some(header) = header {
            let here = format!("{path}.authorization.credentials_file");
            self.secret(&here, &mut header.credentials_file);
        }
        for (name, values) in headers {
            let here = join(&format!("{path}.http_headers"), name);
            for (i, file) in values.files.iter_mut().enumerate() {
                let mut found = Some(std::mem::take(file));
                self.secret(&format!("{here}.files[{i}]"), &mut found);
                *file = found.unwrap_or_default();
            }
        }
        self.secret(&format!("{path}.tls_config.key_file"), &mut tls.key_file);
        for (key, file) in [
            ("ca_file", &mut tls.ca_file),
            ("cert_file", &mut tls.cert_file),
        ] {
            if let Some(path_of) = file {
                *path_of = self.folder.join(&*path_of);
                let here = format!("{path}.tls_config.{key}");
                let shown = self.shown(&here, path_of);
                if let Err(e) = mode(path_of) {
                    self.at(&here, format!("cannot read {shown}: {e}"));
                }
            }
        }
    }

    /// Patterns of files that may come and go.
    fn absolute(&mut self, key: &str, patterns: &mut [String]) {
        for (i, pattern) in patterns.iter_mut().enumerate() {
            match self.folder.join(&*pattern).to_str() {
                Some(full) => *pattern = full.to_owned(),
                None => self.at(
                    &format!("{key}[{i}]"),
                    "the config's folder has a name that is not UTF-8",
                ),
            }
        }
    }

    /// A secret's file: it must be there, and not readable by everyone.
    fn secret(&mut self, key: &str, file: &mut Option<PathBuf>) {
        let Some(path) = file else { return };
        let mut parts = path.components();
        let bare = matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        );
        let found = match &self.credentials {
            Some(dir) if bare && dir.join(&*path).exists() => dir.join(&*path),
            _ => self.folder.join(&*path),
        };
        let shown = self.shown(key, &found);
        match mode(&found) {
            Ok(mode) if mode & 0o004 == 0 => {}
            Ok(_) => {
                let shown = found.display();
                self.at(
                    key,
                    format!("{shown} is readable by everyone; run: chmod o-r {shown}"),
                );
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let also = match (&self.credentials, bare) {
                    (Some(dir), true) => format!(" and none in {}", dir.display()),
                    (None, true) => " (a bare name may also be a systemd credential, but \
                                     $CREDENTIALS_DIRECTORY is not set here)"
                        .to_owned(),
                    (_, false) => String::new(),
                };
                self.at(key, format!("no such file: {shown}{also}"));
            }
            Err(e) => self.at(key, format!("cannot read {shown}: {e}")),
        }
        *path = found;
    }

    /// Patterns of rule files: one without wildcards must exist.
    fn patterns(&mut self, key: &str, patterns: &mut [String]) {
        for (i, pattern) in patterns.iter_mut().enumerate() {
            let here = format!("{key}[{i}]");
            let path = self.folder.join(&*pattern);
            let Some(full) = path.to_str() else {
                self.at(&here, "the config's folder has a name that is not UTF-8");
                continue;
            };
            let shown = self.shown(&here, &path);
            if !glob::is_pattern(pattern) {
                match std::fs::File::open(&path).and_then(|f| f.metadata()) {
                    Ok(m) if m.is_file() => {}
                    Ok(_) => self.at(
                        &here,
                        format!(
                            "{shown} is not a file; for all files in a folder write {shown}/*.yml"
                        ),
                    ),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        self.at(&here, format!("no such file: {shown}"));
                    }
                    Err(e) => self.at(&here, format!("cannot read {shown}: {e}")),
                }
            } else {
                match glob::expand(&path) {
                    Ok(files) if files.is_empty() => {
                        let message = format!("no file matches {shown}");
                        self.warnings.push(self.places.problem(&here, message));
                    }
                    Ok(_) => {}
                    Err(e) => self.at(&here, format!("cannot look for {shown}: {e}")),
                }
            }
            *pattern = full.to_owned();
        }
    }

    /// The path, or what the file says where it came from the environment.
    fn shown(&self, key: &str, path: &Path) -> String {
        self.places
            .written(key)
            .map_or_else(|| path.display().to_string(), str::to_owned)
    }

    fn at(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(self.places.problem(path, message));
    }
}

/// The file's permissions, when this process can read it.
fn mode(path: &Path) -> io::Result<u32> {
    let metadata = std::fs::File::open(path)?.metadata()?;
    if metadata.is_file() {
        Ok(metadata.permissions().mode())
    } else {
        Err(io::Error::other("not a file"))
    }
}
