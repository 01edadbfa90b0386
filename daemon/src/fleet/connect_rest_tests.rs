//! Tests of [`super`] against a socket that answers what a worker would; the real worker is in `tests/fleet.rs`.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers each connection with the next text, then closes it; gives back what was asked.
async fn server(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 64 << 10];
            let count = socket.read(&mut bytes).await.unwrap();
            asked.push(String::from_utf8_lossy(&bytes[..count]).into_owned());
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
        }
        asked
    });
    (port, handle)
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn client(port: u16) -> ConnectClient {
    ConnectClient::new(
        http_client().unwrap(),
        port,
        "runnel",
        Secret::new("rest-password"),
        Redactor::new(["database-secret"]),
    )
}

#[tokio::test]
async fn a_refused_connection_is_proof_that_nothing_was_sent() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    assert_eq!(client(port).stop("c").await, Err(RestError::NotSent));
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_is_unknown() {
    for broken in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
        let (port, server) = server(vec![broken.to_owned()]).await;
        assert!(matches!(
            client(port).delete("c").await,
            Err(RestError::Unknown(_))
        ));
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_500_about_a_configuration_passes_no_word_on() {
    let body = r#"{"error_code":500,"message":"Config {database.password=other-secret}"}"#;
    for _ in 0..3 {
        let answers = vec![answer("500 Internal Server Error", body); 3];
        let (port, server) = server(answers).await;
        let config = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let client = client(port);
        for error in [
            client.validate("X", &config).await.map(drop),
            client.put_config("c", &config).await,
            client.create_stopped("c", &config).await,
        ] {
            let error = error.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("other-secret"));
            assert!(error.to_string().contains("500"));
        }
        let asked = server.await.unwrap();
        assert!(asked[0].contains(r#""connector.class":"X""#));
    }
}

#[tokio::test]
async fn a_rebalance_is_waited_out_and_a_taken_name_is_not() {
    let busy = answer(
        "409 Conflict",
        r#"{"error_code":409,"message":"Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."}"#,
    );
    let (port, first) = server(vec![busy.clone(), busy, answer("204 No Content", "")]).await;
    client(port).stop("c").await.unwrap();
    assert_eq!(first.await.unwrap().len(), 3);

    let taken = r#"{"error_code":409,"message":"Connector c already exists: database-secret"}"#;
    let (port, second) = server(vec![answer("409 Conflict", taken)]).await;
    let result = client(port).create_stopped("c", &BTreeMap::new()).await;
    assert_eq!(
        result,
        Err(RestError::Status {
            code: 409,
            message: "Connector c already exists: ***".into()
        })
    );
    second.await.unwrap();
}

#[tokio::test]
async fn a_name_is_one_segment_of_the_path() {
    let (port, server) = server(vec![
        answer("404 Not Found", "<html>"),
        answer("202 Accepted", ""),
    ])
    .await;
    let client = client(port);
    assert_eq!(client.delete("a/../b c?x").await, Ok(()));
    client.restart("a", true, false).await.unwrap();
    let asked = server.await.unwrap();
    assert!(
        asked[0].starts_with("DELETE /connectors/a%2F..%2Fb%20c%3Fx HTTP/1.1"),
        "{}",
        asked[0]
    );
    assert!(asked[1].starts_with("POST /connectors/a/restart?includeTasks=true&onlyFailed=false "));
    assert!(!format!("{client:?}").contains("rest-password"));
}

#[tokio::test]
async fn a_status_is_sorted_and_its_traces_hold_no_secret() {
    let body = r#"{"name":"c","connector":{"state":"RUNNING","worker_id":"127.0.0.1:1","version":"4.3.1"},
        "tasks":[{"id":1,"state":"ODD","worker_id":"127.0.0.1:1"},
        {"id":0,"state":"FAILED","worker_id":"127.0.0.1:1","trace":"x: y\n\tat z\nCaused by: a: database-secret\n"}],"type":"source"}"#;
    let (port, server) = server(vec![answer("200 OK", body)]).await;
    let status = client(port).status("c").await.unwrap();
    assert_eq!(status.state, RunState::Running);
    assert_eq!(status.tasks[0].reason().unwrap(), "a: ***");
    assert_eq!(status.tasks[1].state, RunState::Other("ODD".into()));
    server.await.unwrap();
}
