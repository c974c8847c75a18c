use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simple_dns::rdata::{A, AAAA, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

use super::*;

/// What the server does with a question for a name.
#[derive(Clone)]
enum Says {
    Records(Vec<RData<'static>>),
    /// Only over TCP; UDP says it was cut.
    Long(Vec<RData<'static>>),
    Fails,
    Silent,
}

/// A name server on loopback; names it does not know do not exist.
struct Server {
    zone: Arc<Mutex<BTreeMap<String, Says>>>,
    dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        // Both kinds of socket on one port: taken by TCP first, which is rarer.
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (tcp, udp);
            }
        };
        let zone = Arc::new(Mutex::new(BTreeMap::new()));
        let dir = tempfile::tempdir().unwrap();
        let conf = format!(
            "search s.example\nnameserver {}\n",
            udp.local_addr().unwrap()
        );
        std::fs::write(dir.path().join("resolv.conf"), conf).unwrap();
        let known = Arc::clone(&zone);
        // The threads end with the test's process.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((n, from)) = udp.recv_from(&mut buffer) {
                if let Some(reply) = reply(&known, &buffer[..n], false) {
                    let _ = udp.send_to(&reply, from);
                }
            }
        });
        let known = Arc::clone(&zone);
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let mut len = [0; 2];
                stream.read_exact(&mut len).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(len))];
                stream.read_exact(&mut query).unwrap();
                if let Some(reply) = reply(&known, &query, true) {
                    let len = u16::try_from(reply.len()).unwrap().to_be_bytes();
                    let _ = stream.write_all(&[&len[..], &reply].concat());
                }
            }
        });
        Self { zone, dir }
    }

    fn says(&self, name: &str, says: Says) {
        self.zone.lock().unwrap().insert(name.to_owned(), says);
    }

    fn lookup(&self, config: &str) -> Lookup {
        let mut lookup = Lookup::new(&toml::from_str(config).unwrap());
        lookup.resolv_conf = self.dir.path().join("resolv.conf");
        lookup
    }
}

fn reply(zone: &Mutex<BTreeMap<String, Says>>, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let query = Packet::parse(query).unwrap();
    let name = query.questions[0].qname.to_string();
    let mut out = Packet::new_reply(query.id());
    out.questions.push(query.questions[0].clone());
    let mut add = |records: Vec<RData<'static>>| {
        for record in records {
            let owner = Name::new_unchecked(&name).into_owned();
            out.answers
                .push(ResourceRecord::new(owner, CLASS::IN, 1, record));
        }
    };
    match zone.lock().unwrap().get(&name).cloned() {
        Some(Says::Records(records)) => add(records),
        Some(Says::Long(records)) if tcp => add(records),
        Some(Says::Long(_)) => out.set_flags(PacketFlag::TRUNCATION),
        Some(Says::Fails) => *out.rcode_mut() = RCODE::ServerFailure,
        Some(Says::Silent) => return None,
        None => *out.rcode_mut() = RCODE::NameError,
    }
    Some(out.build_bytes_vec().unwrap())
}

fn srv(host: &'static str, port: u16) -> RData<'static> {
    RData::SRV(SRV {
        priority: 0,
        weight: 0,
        port,
        target: Name::new_unchecked(host),
    })
}

async fn look(lookup: &mut Lookup) -> (Option<Vec<String>>, String) {
    let refresh = lookup.refresh().await;
    let places = refresh.changed.map(|places| {
        let one = |p: Place| {
            let target = p.labels.get("__meta_dns_srv_record_target");
            assert_eq!(
                target.is_some(),
                p.labels.contains_key("__meta_dns_srv_record_port")
            );
            format!("{} {}", p.address, p.labels["__meta_dns_name"])
        };
        places.into_iter().map(one).collect()
    });
    (places, refresh.problems.join("\n"))
}

fn list(places: &[&str]) -> Option<Vec<String>> {
    Some(places.iter().map(|p| (*p).to_owned()).collect())
}

#[tokio::test]
async fn records_become_targets() {
    let server = Server::start();
    server.says(
        "_m._tcp.app.example",
        Says::Records(vec![
            srv("b.example", 2),
            srv("a.example", 1),
            srv("a.example", 1),
        ]),
    );
    server.says(
        "many.s.example",
        Says::Long(vec![RData::A(A {
            address: 0x7f00_0001,
        })]),
    );
    server.says(
        "six.example",
        Says::Records(vec![RData::AAAA(AAAA { address: 1 })]),
    );
    for (config, want) in [
        (
            "names = ['_m._tcp.app.example']",
            list(&[
                "a.example:1 _m._tcp.app.example",
                "b.example:2 _m._tcp.app.example",
            ]),
        ),
        // By the search domain, and over TCP.
        (
            "names = ['many']\ntype = 'A'\nport = 9100",
            list(&["127.0.0.1:9100 many"]),
        ),
        (
            "names = ['six.example']\ntype = 'AAAA'\nport = 9100",
            list(&["[::1]:9100 six.example"]),
        ),
        (
            "names = ['none.example']\ntype = 'A'\nport = 9100",
            list(&[]),
        ),
    ] {
        let mut lookup = server.lookup(config);
        assert_eq!(look(&mut lookup).await, (want, String::new()), "{config}");
        assert_eq!(look(&mut lookup).await, (None, String::new()), "{config}");
    }
}

#[tokio::test]
async fn a_server_that_fails_keeps_the_last_targets() {
    let server = Server::start();
    server.says("x.example", Says::Records(vec![srv("a.example", 1)]));
    server.says("y.example", Says::Records(vec![srv("b.example", 1)]));
    let mut lookup = server.lookup("names = ['x.example', 'y.example']");
    assert_eq!(look(&mut lookup).await.0.map(|p| p.len()), Some(2));
    server.says("x.example", Says::Fails);
    server.says("y.example", Says::Records(vec![]));
    let (places, problems) = look(&mut lookup).await;
    assert_eq!(places, list(&["a.example:1 x.example"]));
    assert!(
        problems.contains("x.example") && problems.contains("stay"),
        "{problems}"
    );
    server.zone.lock().unwrap().remove("x.example");
    assert_eq!(look(&mut lookup).await, (list(&[]), String::new()));
    server.says("x.example", Says::Silent);
    let started = crate::clock::Clock::system().stopwatch();
    let (places, problems) = look(&mut lookup).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(places, None);
    assert!(problems.contains("no answer"), "{problems}");
}
