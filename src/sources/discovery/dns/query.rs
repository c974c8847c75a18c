//! One question to the system's name servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::super::MOST_TARGETS;
use crate::config::RecordType;

/// How long one server may take, and how often all are asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;

/// Most servers and search domains that are used.
const MOST: usize = 6;

/// What `/etc/resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Address(IpAddr),
    /// Host without the last point, and port.
    Service(String, u16),
}

impl Resolver {
    /// Reads a file like `/etc/resolv.conf`.
    pub(super) fn of_file(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let resolver = Self::of_text(&text);
        if resolver.servers.is_empty() {
            return Err(format!("{} names no nameserver", path.display()));
        }
        Ok(resolver)
    }

    fn of_text(text: &str) -> Self {
        let mut out = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let Some(word) = words.next() else { continue };
                    // With a port, as some stub resolvers are run; without, 53.
                    let server = word
                        .parse()
                        .or_else(|_| word.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
                    out.servers
                        .extend(server.ok().filter(|_| out.servers.len() < MOST));
                }
                Some("search" | "domain") => {
                    out.search = words.take(MOST).map(str::to_owned).collect();
                }
                Some("options") => {
                    for word in words {
                        if let Some(n) = word.strip_prefix("ndots:").and_then(|n| n.parse().ok()) {
                            out.ndots = n;
                        }
                    }
                }
                Some(_) | None => {}
            }
        }
        out
    }

    /// All records of a name; none when it does not exist.
    pub(super) async fn look_up(
        &self,
        name: &str,
        kind: RecordType,
    ) -> Result<Vec<Answer>, String> {
        let mut problem = None;
        for candidate in self.candidates(name) {
            match self.ask(&candidate, kind).await {
                Ok(Some(answers)) if !answers.is_empty() => return Ok(answers),
                Ok(_) => {}
                Err(e) => problem = Some(e),
            }
        }
        problem.map_or(Ok(Vec::new()), Err)
    }

    /// The name with and without search domains, in the order to be tried.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let mut out: Vec<String> = self
            .search
            .iter()
            .map(|domain| format!("{name}.{}", domain.trim_end_matches('.')))
            .collect();
        let dots = name.matches('.').count();
        out.insert(
            if dots >= self.ndots { 0 } else { out.len() },
            name.to_owned(),
        );
        out
    }

    /// The records of one full name; `None` when there is no such name.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Option<Vec<Answer>>, String> {
        let mut problem = "no answer".to_owned();
        for server in self
            .servers
            .iter()
            .cycle()
            .take(ROUNDS * self.servers.len())
        {
            let asked = tokio::time::timeout(PATIENCE, one(*server, name, kind)).await;
            match asked {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(e)) => problem = format!("{server}: {e}"),
                Err(_) => problem = format!("{server}: no answer within 2s"),
            }
        }
        Err(problem)
    }
}

/// Asks one server over UDP, and over TCP when the answer does not fit.
async fn one(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
) -> Result<Option<Vec<Answer>>, String> {
    let id = rand::random();
    let question = question(id, name, kind)?;
    let io = |e: io::Error| e.to_string();
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).await.map_err(io)?;
    socket.connect(server).await.map_err(io)?;
    socket.send(&question).await.map_err(io)?;
    let mut buffer = vec![0; 4096];
    let cut = loop {
        let n = socket.recv(&mut buffer).await.map_err(io)?;
        // What is not an answer to us is left unread; the deadline ends the wait.
        match read(&buffer[..n], id, name, kind) {
            Some(Ok(Reply::Cut)) => break true,
            Some(Ok(Reply::Whole(answers))) => return Ok(answers),
            Some(Err(e)) => return Err(e),
            None => {}
        }
    };
    debug_assert!(cut);
    let mut stream = TcpStream::connect(server).await.map_err(io)?;
    let len = u16::try_from(question.len()).map_err(|_| "the name is too long".to_owned())?;
    stream
        .write_all(&[&len.to_be_bytes()[..], &question].concat())
        .await
        .map_err(io)?;
    let len = stream.read_u16().await.map_err(io)?;
    let mut buffer = vec![0; usize::from(len)];
    stream.read_exact(&mut buffer).await.map_err(io)?;
    match read(&buffer, id, name, kind) {
        Some(Ok(Reply::Whole(answers))) => Ok(answers),
        Some(Err(e)) => Err(e),
        Some(Ok(Reply::Cut)) | None => Err("a broken answer".to_owned()),
    }
}

fn question(id: u16, name: &str, kind: RecordType) -> Result<Vec<u8>, String> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|_| "not a DNS name".to_owned())?;
    packet.questions.push(Question::new(
        name,
        qtype(kind),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec().map_err(|e| e.to_string())
}

fn qtype(kind: RecordType) -> QTYPE {
    QTYPE::TYPE(match kind {
        RecordType::Srv => TYPE::SRV,
        RecordType::A => TYPE::A,
        RecordType::Aaaa => TYPE::AAAA,
    })
}

enum Reply {
    /// `None`: there is no such name.
    Whole(Option<Vec<Answer>>),
    Cut,
}

/// `None` for what does not answer our question.
fn read(bytes: &[u8], id: u16, name: &str, kind: RecordType) -> Option<Result<Reply, String>> {
    let packet = Packet::parse(bytes).ok()?;
    let ours =
        |q: &Question<'_>| q.qname.to_string().eq_ignore_ascii_case(name) && q.qtype == qtype(kind);
    if packet.id() != id
        || !packet.has_flags(PacketFlag::RESPONSE)
        || !packet.questions.iter().all(ours)
    {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Ok(Reply::Cut));
    }
    let rcode = packet.rcode();
    if rcode == RCODE::NameError {
        return Some(Ok(Reply::Whole(None)));
    }
    if rcode != RCODE::NoError {
        return Some(Err(format!("the server says {rcode:?}")));
    }
    let answers = packet
        .answers
        .iter()
        .filter_map(|record| match (&record.rdata, kind) {
            (RData::A(a), RecordType::A) => Some(Answer::Address(Ipv4Addr::from(a.address).into())),
            (RData::AAAA(a), RecordType::Aaaa) => {
                Some(Answer::Address(Ipv6Addr::from(a.address).into()))
            }
            (RData::SRV(s), RecordType::Srv) => Some(Answer::Service(s.target.to_string(), s.port)),
            (_, _) => None,
        });
    Some(Ok(Reply::Whole(Some(answers.take(MOST_TARGETS).collect()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_system_reads_it() {
        let r = Resolver::of_text(
            "# generated\ndomain old.example\nnameserver 10.0.0.2 # first\nnameserver ::1\n\
             nameserver 127.0.0.1:5300\nnameserver junk\nsearch a.example b.example.\n\
             options edns0 ndots:2\n",
        );
        let servers: Vec<String> = r.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.2:53", "[::1]:53", "127.0.0.1:5300"]);
        for (name, want) in [
            ("x.", vec!["x"]),
            ("x", vec!["x.a.example", "x.b.example", "x"]),
            ("x.y.z", vec!["x.y.z", "x.y.z.a.example", "x.y.z.b.example"]),
        ] {
            assert_eq!(r.candidates(name), want);
        }
    }

    #[test]
    fn junk_is_no_answer() {
        let query = question(7, "a.example", RecordType::A).unwrap();
        let mut reply = query.clone();
        reply[2] |= 0x80;
        assert!(matches!(
            read(&reply, 7, "A.example", RecordType::A),
            Some(Ok(Reply::Whole(Some(a)))) if a.is_empty()
        ));
        assert!(read(&query, 7, "a.example", RecordType::A).is_none());
        assert!(read(&reply, 8, "a.example", RecordType::A).is_none());
        assert!(read(&reply, 7, "b.example", RecordType::A).is_none());
        assert!(read(&reply, 7, "a.example", RecordType::Aaaa).is_none());
        for cut in 0..reply.len() {
            assert!(read(&reply[..cut], 7, "a.example", RecordType::A).is_none());
        }
        assert!(question(1, &"x".repeat(64), RecordType::A).is_err());
    }
}
