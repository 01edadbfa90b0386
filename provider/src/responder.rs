//! A listener for tests that answers requests from a script, for what a real daemon cannot be
//! brought to do on demand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is answered to a request whose line starts so, such as `GET /api/v1/info`.
pub type Script = Vec<(&'static str, u16, String)>;

/// A running responder; the thread ends with the process.
#[derive(Debug)]
pub struct Responder {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Responder {
    /// Answers by the script: of several entries that fit, the first is used up, the last stays.
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, seen) = (Arc::new(Mutex::new(script)), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (script.clone(), seen.clone());
                std::thread::spawn(move || while answer(&stream, &script, &seen).is_some() {});
            }
        });
        Self { endpoint, requests }
    }

    /// What was asked so far: request line, interesting headers and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: &TcpStream, script: &Mutex<Script>, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut request = line.trim().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader
            .read_line(&mut header)
            .ok()
            .filter(|read| *read > 0)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        } else if header.starts_with("if-") {
            request = format!("{request} [{header}]");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.lock()
        .unwrap()
        .push(format!("{request} {}", String::from_utf8_lossy(&body)));
    let (status, text) = {
        let mut script = script.lock().unwrap();
        let fitting: Vec<usize> = (0..script.len())
            .filter(|at| request.starts_with(script[*at].0))
            .collect();
        match fitting.as_slice() {
            [] => (
                404,
                r#"{"code":"NOT_FOUND","message":"not in the script"}"#.to_owned(),
            ),
            [only] => (script[*only].1, script[*only].2.clone()),
            [first, ..] => {
                let (_, status, text) = script.remove(*first);
                (status, text)
            }
        }
    };
    // Status 0 stands for a connection that breaks off.
    if status == 0 {
        stream.shutdown(std::net::Shutdown::Both).ok()?;
        return None;
    }
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(format!("{head}{text}").as_bytes()).ok()
}
