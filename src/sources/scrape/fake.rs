//! A fake exporter on loopback, good or hostile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Listens until it is dropped; each connection is answered once, on its own thread.
pub(crate) struct Exporter {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Answers with a status line, headers and a body, then closes.
    pub(crate) fn sends(status: &str, headers: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Self::writes([head.into_bytes(), body].concat())
    }

    /// Answers with these bytes, then closes.
    pub(crate) fn writes(answer: Vec<u8>) -> Self {
        Self::does(move |stream, _| {
            let _ = stream.write_all(&answer);
        })
    }

    /// Does as told with each connection and the head of its request.
    pub(crate) fn does(answer: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Self {
        Self::serves(move |stream, requests| {
            let head = head(stream);
            requests.lock().unwrap().push(head.clone());
            answer(stream, &head);
        })
    }

    /// Does as told with each connection, unread; what comes back is kept as a request.
    pub(crate) fn raw(answer: impl Fn(&mut TcpStream) -> String + Send + Sync + 'static) -> Self {
        Self::serves(move |stream, requests| {
            let head = answer(stream);
            requests.lock().unwrap().push(head);
        })
    }

    fn serves(
        answer: impl Fn(&mut TcpStream, &Mutex<Vec<String>>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let thread = std::thread::spawn({
            let (requests, stopped) = (requests.clone(), stopped.clone());
            move || {
                for stream in listener.incoming() {
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    let (requests, answer) = (requests.clone(), answer.clone());
                    std::thread::spawn(move || {
                        let Ok(mut stream) = stream else { return };
                        answer(&mut stream, &requests);
                    });
                }
            }
        });
        Self {
            address,
            requests,
            stopped,
            thread: Some(thread),
        }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Heads of all requests so far, in small letters.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An address where nobody listens.
pub(crate) fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
        // A TLS client's greeting is answered as it is, with something else.
        if head[0] == 0x16 {
            let _ = stream.read(&mut [0; 1 << 14]);
            break;
        }
    }
    String::from_utf8_lossy(&head).to_lowercase()
}
