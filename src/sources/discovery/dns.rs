//! Targets from DNS: SRV, A and AAAA records, asked of the servers in `/etc/resolv.conf`.
//!
//! What must stay true: a name that does not exist is an empty list, one that cannot be asked for
//! keeps its last; an answer counts only with our question and number in it; every wait and every
//! answer has a bound.

mod query;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Refresh;
use crate::config::{DnsSd, RecordType};
use crate::sources::scrape::Place;
use query::{Answer, Resolver};

/// Names of one entry and what each said last.
#[derive(Debug)]
pub(super) struct Lookup {
    names: Vec<String>,
    kind: RecordType,
    port: u16,
    resolv_conf: PathBuf,
    known: BTreeMap<String, Vec<Place>>,
    looked: bool,
}

impl Lookup {
    pub(super) fn new(config: &DnsSd) -> Self {
        Self {
            names: config.names.clone(),
            kind: config.kind,
            port: config.port.unwrap_or_default(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            known: BTreeMap::new(),
            looked: false,
        }
    }

    /// Looks all names up once.
    pub(super) async fn refresh(&mut self) -> Refresh {
        let mut out = Refresh::default();
        // Read each time, since networks come and go.
        let resolver = match Resolver::of_file(&self.resolv_conf) {
            Ok(resolver) => resolver,
            Err(e) => {
                out.problems.push(format!("dns_sd_configs: {e}"));
                return out;
            }
        };
        let mut changed = !self.looked;
        for name in &self.names {
            match resolver.look_up(name, self.kind).await {
                Ok(answers) => {
                    self.looked = true;
                    let places = self.places(name, answers);
                    if self.known.get(name) != Some(&places) {
                        self.known.insert(name.clone(), places);
                        changed = true;
                    }
                }
                Err(e) => out
                    .problems
                    .push(format!("dns_sd_configs {name}: {e}; its last targets stay")),
            }
        }
        if changed && self.looked {
            out.changed = Some(self.known.values().flatten().cloned().collect());
        }
        out
    }

    fn places(&self, name: &str, mut answers: Vec<Answer>) -> Vec<Place> {
        // Servers turn the order of their answers round and round.
        answers.sort();
        answers.dedup();
        let one = |answer: Answer| {
            let mut labels = BTreeMap::from([("__meta_dns_name".to_owned(), name.to_owned())]);
            let address = match answer {
                Answer::Address(ip) => std::net::SocketAddr::new(ip, self.port).to_string(),
                Answer::Service(host, port) => {
                    labels.insert(
                        "__meta_dns_srv_record_target".to_owned(),
                        format!("{host}."),
                    );
                    labels.insert("__meta_dns_srv_record_port".to_owned(), port.to_string());
                    format!("{host}:{port}")
                }
            };
            Place { address, labels }
        };
        answers.into_iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests;
