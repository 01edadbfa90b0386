use super::*;
use crate::responder::Responder;
use std::net::TcpListener;
use tfplugin::{CancellationToken, Diagnostic};

async fn configured(endpoint: &str) -> Result<Option<Session>, Diagnostic> {
    let mut setup = Setup {
        diagnostics: Diagnostics::new(),
        cancel: CancellationToken::new(),
        terraform_version: "1.11.4".to_owned(),
    };
    let config = Object::new().with("endpoint", endpoint).with("token", "t");
    let result = Runnel.configure(&mut setup, &config).await;
    result.map_err(|failure| {
        let all: Vec<_> = failure.diagnostics.iter().cloned().collect();
        assert_eq!(all.len(), 1, "one error, not several: {all:?}");
        all[0].clone()
    })
}

async fn answered(status: u16, body: &str) -> Result<Option<Session>, Diagnostic> {
    let responder = Responder::start(vec![("GET /api/v1/info", status, body.to_owned())]);
    configured(&responder.endpoint).await
}

#[test]
fn every_schema_is_one_that_terraform_accepts_and_describes_all_it_has() {
    let provider = Runnel;
    let mut schemas = vec![("provider", provider.schema())];
    schemas.extend(
        provider
            .resources()
            .iter()
            .map(|each| (each.type_name(), each.schema())),
    );
    schemas.extend(
        provider
            .data_sources()
            .iter()
            .map(|each| (each.type_name(), each.schema())),
    );
    for (name, schema) in schemas {
        assert_eq!(schema.check(), [], "{name}");
        undescribed(name, schema.fields());
    }
}

fn undescribed(name: &str, fields: tfplugin::schema::Fields<'_>) {
    for field in fields.iter() {
        let text = match field {
            tfplugin::schema::Field::Attribute(attribute) => &attribute.description,
            tfplugin::schema::Field::Block(block) => &block.block.description,
        };
        let place = format!("{name}.{}", field.name());
        assert!(!text.is_empty(), "{place} has no description");
        if let Some((_, inside)) = field.nested() {
            undescribed(&place, inside);
        }
    }
}

#[tokio::test]
async fn a_daemon_of_this_version_makes_a_session() {
    let info = serde_json::json!({
        "version": "0.1.0", "api_version": 1, "daemon": "00000000-0000-0000-0000-000000000001", "abilities": [],
        "runtimes": [], "isolation": "NONE",
    });
    assert!(answered(200, &info.to_string()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_daemon_that_is_not_running_is_one_error_with_the_command_to_start_it() {
    // Bound and closed again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = configured(&format!("http://127.0.0.1:{port}"))
        .await
        .unwrap_err();
    assert!(refused.summary.contains("not running"), "{refused}");
    assert!(refused.detail.contains("runnel daemon"));
}

#[tokio::test]
async fn each_wrong_answer_is_one_error_that_says_what_to_do() {
    let unknown = r#"{"code":"UNKNOWN_ENDPOINT","message":"no such path"}"#;
    let token = r#"{"code":"UNAUTHENTICATED","message":"no","hint":"the root token is in /data/root.token"}"#;
    for (status, body, words) in [
        (401, token, "/data/root.token"),
        (404, unknown, "RUNNEL_ENDPOINT"),
        (404, "<html>not found</html>", "RUNNEL_ENDPOINT"),
        (200, "<html>hello</html>", "RUNNEL_ENDPOINT"),
        (200, "{}", "RUNNEL_ENDPOINT"),
        (301, "", "RUNNEL_ENDPOINT"),
        (
            200,
            r#"{"version":"9.0.0","api_version":9}"#,
            "Install the provider",
        ),
        (
            200,
            r#"{"version":"0.0.1","api_version":0}"#,
            "Install the daemon",
        ),
        (0, "", "no answer"),
    ] {
        let refused = answered(status, body).await.unwrap_err();
        assert!(refused.detail.contains(words), "{status} {body}: {refused}");
    }
}

#[tokio::test]
async fn what_speaks_no_http_is_no_daemon() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
        }
    });
    let refused = configured(&endpoint).await.unwrap_err();
    assert!(refused.summary.contains("not a Runnel daemon"), "{refused}");
}
