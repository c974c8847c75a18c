//! `loadline doctor`

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::json;

use super::args::{DEFAULT_URL, DoctorArgs, Output};
use super::client::{self, Asked};
use super::{Exit, complain, print};
use crate::api::ServerView;
use crate::daemon::{self, Examined};

/// One thing that is not as it should be.
struct Finding {
    server: String,
    signal: String,
    database: String,
    verdict: String,
    why: String,
    fix: Option<String>,
}

/// Says per server and signal what can be read, and what would open the rest. Changes nothing.
pub(crate) fn doctor(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let Some(examined) = examine(args)? else {
        return Ok(Exit::BadConfig);
    };
    let findings = findings(&examined);
    if args.sql {
        print(&script(&findings));
    } else {
        match args.look.output {
            Output::Human => print(&words(&examined.servers, &findings)),
            Output::Json => print(&format!("{:#}\n", document(&examined.servers, &findings))),
        }
    }
    Ok(if findings.is_empty() {
        Exit::Ok
    } else {
        Exit::Failure
    })
}

/// The running daemon's view, else an own look; `None` when the configuration is bad (said).
fn examine(args: &DoctorArgs) -> anyhow::Result<Option<Examined>> {
    let look = &args.look;
    if look.config.is_none() && !look.no_daemon {
        let url = look.url.as_deref().unwrap_or(DEFAULT_URL);
        match client::snapshot(url) {
            Ok(Asked::Answer(snapshot)) => {
                let postgres = |b: &crate::api::Blind| b.what.starts_with("postgres at ");
                return Ok(Some(Examined {
                    servers: snapshot.servers,
                    blind: snapshot.blind.into_iter().filter(postgres).collect(),
                }));
            }
            Ok(Asked::Nobody) if look.url.is_none() => {}
            Ok(Asked::Nobody) => anyhow::bail!("no daemon answers at {url}"),
            // Something else may listen on the port: look for ourselves.
            Err(_) if look.url.is_none() => {}
            Err(e) => return Err(e),
        }
    }
    match daemon::Plan::load(look.config.as_deref()) {
        Ok(plan) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .context("cannot start the async runtime")?;
            let examined = runtime.block_on(daemon::examine(plan));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            Ok(Some(examined?))
        }
        Err(problems) => {
            complain(&format!("{problems}\n"));
            Ok(None)
        }
    }
}

fn findings(examined: &Examined) -> Vec<Finding> {
    let mut findings = Vec::new();
    for blind in &examined.blind {
        findings.push(Finding {
            server: blind.what.clone(),
            signal: "connection".to_owned(),
            database: String::new(),
            verdict: "missing".to_owned(),
            why: blind.why.clone(),
            fix: Some(blind.fix.clone()).filter(|f| !f.is_empty()),
        });
    }
    for server in &examined.servers {
        if server.state != "up" {
            findings.push(Finding {
                server: server.instance.clone(),
                signal: "connection".to_owned(),
                database: String::new(),
                verdict: "missing".to_owned(),
                why: server.sentence.clone(),
                fix: server.fix.clone(),
            });
            continue;
        }
        for s in server.signals.iter().filter(|s| s.verdict != "readable") {
            findings.push(Finding {
                server: server.instance.clone(),
                signal: s.signal.clone(),
                database: s.database.clone(),
                verdict: s.verdict.clone(),
                why: s.sentence.clone(),
                fix: s.fix.clone(),
            });
        }
    }
    findings
}

fn document(servers: &[ServerView], findings: &[Finding]) -> serde_json::Value {
    let findings: Vec<_> = findings
        .iter()
        .map(|f| {
            json!({
                "server": f.server,
                "signal": f.signal,
                "database": f.database,
                "verdict": f.verdict,
                "why": f.why,
                "fix": f.fix,
            })
        })
        .collect();
    json!({ "servers": servers, "findings": findings })
}

fn words(servers: &[ServerView], findings: &[Finding]) -> String {
    let mut out = String::new();
    if servers.is_empty() && findings.is_empty() {
        return "No Postgres server is configured or found.\n".to_owned();
    }
    for server in servers {
        let version = server.version.as_deref().unwrap_or("of unknown version");
        let role = server.role.as_deref().unwrap_or("server");
        let readable = server.signals.iter().filter(|s| s.verdict == "readable");
        let _ = writeln!(
            out,
            "Postgres {} ({version}, {role}): {}, {} of {} signals readable",
            server.instance,
            server.state,
            readable.count(),
            server.signals.len()
        );
    }
    for f in findings {
        let _ = writeln!(out, "\n{} {}: {}", f.verdict, f.server, f.why);
        if let Some(fix) = &f.fix {
            let _ = writeln!(out, "  {fix}");
        }
    }
    if findings.is_empty() {
        out.push_str("Nothing is hidden.\n");
    }
    out
}

/// The statements that open what is closed, each once, by server and database; what is no
/// statement stands as a comment.
fn script(findings: &[Finding]) -> String {
    let mut out = String::new();
    let mut place = (String::new(), String::new());
    let mut said: Vec<String> = Vec::new();
    for f in findings {
        let Some(fix) = &f.fix else { continue };
        if said.contains(fix) && f.server == place.0 {
            continue;
        }
        if f.server != place.0 {
            let _ = writeln!(out, "-- {}", f.server);
            place = (f.server.clone(), String::new());
            said.clear();
        }
        let own = f.database.is_empty() || f.database == place.1;
        if !own && f.signal != "connection" {
            let _ = writeln!(out, "\\connect \"{}\"", f.database.replace('"', "\"\""));
            place.1.clone_from(&f.database);
        }
        let is_sql = ["GRANT ", "ALTER ", "CREATE "]
            .iter()
            .any(|start| fix.starts_with(start))
            && !fix.contains("...");
        let _ = writeln!(out, "-- {}", f.why);
        let _ = writeln!(out, "{}{fix}", if is_sql { "" } else { "-- " });
        said.push(fix.clone());
    }
    out
}
