//! A fake receiver: an HTTP server on loopback that keeps what it gets and answers as told.
//!
//! Threads and blocking sockets only, so that it can hang, cut and reset as real servers do.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How the sink answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A status code with an empty body.
    Status(u16),
    /// A status code with one more header and a body.
    Full(u16, (&'static str, String), String),
    /// No answer until the sink is dropped.
    Hang,
    /// Reads the request, then closes without a word.
    Cut,
    /// Status 200 and a promised body that never comes.
    CutAfterStatus,
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// A header, empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The fake receiver.
pub(crate) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

struct State {
    received: Vec<Received>,
    next: VecDeque<Answer>,
    usual: Answer,
    decide: Option<Decide>,
}

/// Chooses an answer; requests are then not kept.
type Decide = Box<dyn FnMut(&Received) -> Answer + Send>;

impl Sink {
    /// Listens on a port of the system's choice and answers 200.
    pub(crate) fn start() -> Self {
        Self::listen(None)
    }

    /// Answers every request as `decide` says and keeps none.
    pub(crate) fn deciding(decide: impl FnMut(&Received) -> Answer + Send + 'static) -> Self {
        Self::listen(Some(Box::new(decide)))
    }

    fn listen(decide: Option<Decide>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                received: Vec::new(),
                next: VecDeque::new(),
                usual: Answer::Status(200),
                decide,
            }),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self {
            address,
            shared,
            accepting: Some(accepting),
        }
    }

    /// An address of the sink, e.g. `url("/services/T000/B000/XXXX")`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers from now on like this.
    pub(crate) fn answer(&self, usual: Answer) {
        let mut state = self.shared.lock();
        state.usual = usual;
        state.next.clear();
    }

    /// Answers the next requests like this, then as usual.
    pub(crate) fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.lock().next.extend(answers);
    }

    /// Everything received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// Waits until `n` requests have come and returns them all; panics after `patience`.
    pub(crate) fn wait_for(&self, n: usize, patience: Duration) -> Vec<Received> {
        self.wait_until(patience, |received| received.len() >= n)
    }

    /// Waits until what has come satisfies `is_enough` and returns it all; panics after
    /// `patience`.
    pub(crate) fn wait_until(
        &self,
        patience: Duration,
        is_enough: impl Fn(&[Received]) -> bool,
    ) -> Vec<Received> {
        let (state, timeout) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), patience, |s| !is_enough(&s.received))
            .expect("no test thread panicked while holding the sink");
        assert!(
            !timeout.timed_out(),
            "waited {patience:?} in vain; received: {:#?}",
            state.received
        );
        state.received.clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test thread panicked while holding the sink")
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // Ends with its connection, or within a moment of the sink's end.
        std::thread::spawn(move || {
            let _ = serve(stream, &shared);
        });
    }
}

/// Serves one connection until it closes or an answer breaks it.
fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read_request(&mut reader)? {
        let answer = {
            let mut state = shared.lock();
            if let Some(decide) = &mut state.decide {
                decide(&request)
            } else {
                state.received.push(request);
                shared.changed.notify_all();
                let usual = state.usual.clone();
                state.next.pop_front().unwrap_or(usual)
            }
        };
        match answer {
            Answer::Status(status) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(head.as_bytes())?;
            }
            Answer::Full(status, (name, value), body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\n{name}: {value}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(head.as_bytes())?;
            }
            Answer::Hang => {
                while !shared.is_stopped() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                return Ok(());
            }
            Answer::Cut => return Ok(()),
            Answer::CutAfterStatus => {
                return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf");
            }
        }
    }
    Ok(())
}

/// `None` when the peer closed before a request began.
fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None => break,
        }
    }
    let length = headers
        .get("content-length")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Received {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }))
}
