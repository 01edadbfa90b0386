//! Bounds of the listener, with real sockets.

use super::Limits;
use super::testing::Rig;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n";

async fn connect(rig: &Rig) -> TcpStream {
    TcpStream::connect(rig.address).await.unwrap()
}

/// Everything that comes until the other side closes.
async fn told(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer of a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"ok\n") {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let limits = Limits {
        head_max: 8 << 10,
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    let mut stream = connect(&rig).await;
    let long = format!("{HEALTH}x: {}\r\n\r\n", "a".repeat(9 << 10));
    stream.write_all(long.as_bytes()).await.unwrap();
    let refused = told(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");

    let mut stream = connect(&rig).await;
    let many = format!("{HEALTH}{}\r\n", "x: y\r\n".repeat(limits.headers_max));
    stream.write_all(many.as_bytes()).await.unwrap();
    let refused = told(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");

    let mut stream = connect(&rig).await;
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9 << 10));
    stream.write_all(long.as_bytes()).await.unwrap();
    let refused = told(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
    rig.end().await;
}

#[tokio::test]
async fn a_head_that_comes_a_byte_at_a_time_has_one_time_for_all_of_it() {
    let limits = Limits {
        header_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    let (mut read, mut write) = connect(&rig).await.into_split();
    // Never silent, and never done.
    let slow = tokio::spawn(async move {
        write.write_all(HEALTH.as_bytes()).await.unwrap();
        while write.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = read.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("200"));
    slow.await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn a_connection_is_closed_after_its_last_request() {
    let limits = Limits {
        requests_max: 2,
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    let mut stream = connect(&rig).await;
    let request = format!("{HEALTH}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let first = answer(&mut stream).await;
    assert!(first.starts_with("HTTP/1.1 200") && !first.contains("connection: close"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let last = told(&mut stream).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"));
    rig.end().await;
}

#[tokio::test]
async fn a_connection_too_many_waits_for_a_place() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    let request = format!("{HEALTH}\r\n");
    let mut first = connect(&rig).await;
    first.write_all(request.as_bytes()).await.unwrap();
    answer(&mut first).await;
    let mut second = connect(&rig).await;
    second.write_all(request.as_bytes()).await.unwrap();
    let waiting = tokio::spawn(async move { answer(&mut second).await });
    first.write_all(request.as_bytes()).await.unwrap();
    answer(&mut first).await;
    assert!(!waiting.is_finished());
    drop(first);
    assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200"));
    rig.end().await;
}
