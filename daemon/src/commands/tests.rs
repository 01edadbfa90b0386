//! Commands against a real API on loopback.

use super::*;
use crate::http::testing::Rig;
use crate::store::Advance;
use runnel_api::token::TokenRole;
use runnel_api::{Operation, Outcome, RestartScope, Secret};
use serde_json::json;

fn common() -> Common {
    Common::default()
}

/// The environment of somebody who names endpoint and token.
fn remote(rig: &Rig) -> Environment {
    Environment {
        endpoint: Some(format!("http://{}", rig.address)),
        token: Some(Secret::new(rig.token.clone())),
        config_home: Some(rig.folder.path().to_owned()),
        ..Environment::default()
    }
}

/// The environment of somebody on the daemon's machine, who names nothing but a configuration.
fn on_the_machine(rig: &Rig) -> (Common, Environment) {
    let file = rig.folder.path().join("runnel.toml");
    std::fs::write(&file, "data_dir = \"data\"\nlisten = \"127.0.0.1:0\"").unwrap();
    let common = Common {
        config: Some(file),
        ..Common::default()
    };
    (common, Environment::default())
}

async fn ran(
    command: ClientCommand,
    common: &Common,
    environment: &Environment,
) -> Result<String, Problem> {
    let mut out = Vec::new();
    match execute(command, common, environment, &mut out).await {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(CommandError::Problem(problem)) => Err(*problem),
        Err(CommandError::Output(error)) => panic!("{error}"),
    }
}

fn orders() -> Name {
    Name::parse("orders").unwrap()
}

#[tokio::test]
async fn status_shows_all_one_and_why_one_is_gone() {
    let rig = Rig::start().await;
    let (common, environment) = on_the_machine(&rig);
    let all = ClientCommand::Status {
        name: None,
        decisions: false,
    };
    let one = ClientCommand::Status {
        name: Some(orders()),
        decisions: false,
    };
    let shown = ran(all.clone(), &common, &environment).await.unwrap();
    assert_eq!(shown, "no connectors\n");
    let missing = ran(one.clone(), &common, &environment).await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);

    let spec = rig.put_neighbours().await;
    let body = json!({"spec": spec});
    let (_, put) = rig.put("/api/v1/connectors/orders", &body).await;
    let shown = ran(all, &common, &environment).await.unwrap();
    assert!(shown.contains("orders  CREATING  UNKNOWN"), "{shown}");
    let shown = ran(one.clone(), &common, &environment).await.unwrap();
    assert!(shown.contains("operation  CREATE PENDING"), "{shown}");
    let decisions = ClientCommand::Status {
        name: Some(orders()),
        decisions: true,
    };
    let shown = ran(decisions, &common, &environment).await.unwrap();
    assert_eq!(shown, "no decisions yet\n");

    let operation: Operation = serde_json::from_value(put["operation"].clone()).unwrap();
    let problem = Problem::new(ErrorCode::SourceUnreachable, "access denied");
    let undone = rig
        .store
        .undo_create(&orders(), operation.id, problem, Vec::new());
    assert!(undone.unwrap());
    let gone = ran(one, &common, &environment).await.unwrap_err();
    assert!(gone.detail.unwrap().contains("access denied"));
    rig.end().await;
}

#[tokio::test]
async fn a_restart_waits_for_its_outcome() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    let (_, put) = rig
        .put("/api/v1/connectors/orders", &json!({"spec": spec}))
        .await;
    let create: Operation = serde_json::from_value(put["operation"].clone()).unwrap();
    rig.store
        .update_operation(create.id, Advance::succeeded())
        .unwrap();
    let failure = Problem::new(ErrorCode::WorkerFailed, "the worker died");
    for (advance, succeeds) in [
        (Advance::succeeded(), true),
        (Advance::ended(Outcome::Failed, failure), false),
    ] {
        let mut changes = rig.store.changes();
        let environment = remote(&rig);
        let restart = tokio::spawn(async move {
            let command = ClientCommand::Restart {
                name: orders(),
                task: succeeds.then_some(0),
                worker: None,
            };
            ran(command, &common(), &environment).await
        });
        let operation = loop {
            changes.changed().await.unwrap();
            if let Some(operation) = rig.store.unfinished_operations().unwrap().pop() {
                break operation;
            }
        };
        let scope = succeeds.then_some(RestartScope::Task(0));
        assert_eq!(operation.restart, scope);
        rig.store.update_operation(operation.id, advance).unwrap();
        let told = restart.await.unwrap();
        assert_eq!(told.is_ok(), succeeds, "{told:?}");
        if let Err(problem) = told {
            assert_eq!(problem.message, "the worker died");
        }
    }
    rig.end().await;
}

#[tokio::test]
async fn logs_come_through() {
    let rig = Rig::start().await;
    let folder = rig.folder.path().to_owned();
    std::fs::write(folder.join("orders.log"), "one\ntwo\n").unwrap();
    *rig.rooms.log_folder.lock().unwrap() = Some(folder);
    let logs = |which: Which| ClientCommand::Logs {
        name: orders(),
        which,
    };
    let last = Which {
        tail: Some(1),
        ..Which::default()
    };
    let told = ran(logs(last), &common(), &remote(&rig)).await;
    assert_eq!(told.unwrap(), "two\n");
    let odd = Which {
        grep: Some("(".to_owned()),
        ..Which::default()
    };
    let told = ran(logs(odd), &common(), &remote(&rig)).await.unwrap_err();
    assert_eq!(told.field.as_deref(), Some("grep"));
    rig.end().await;
}

#[tokio::test]
async fn a_token_is_printed_once_listed_without_its_text_and_revoked() {
    let rig = Rig::start().await;
    let environment = remote(&rig);
    let run = |command: TokenCommand| {
        let environment = environment.clone();
        async move { ran(ClientCommand::Token(command), &common(), &environment).await }
    };
    let name = Name::parse("ci").unwrap();
    let create = TokenCommand::Create {
        name: name.clone(),
        role: TokenRole::Planner,
        expires: Some(60),
        pass_role: Vec::new(),
    };
    let printed = run(create).await.unwrap();
    let text = printed.trim_end();
    assert!(text.starts_with("rnl_") && !text.contains('\n'));
    let planner = Environment {
        token: Some(Secret::new(text)),
        ..remote(&rig)
    };
    let list = || ClientCommand::Token(TokenCommand::List);
    let told = ran(list(), &common(), &planner).await.unwrap_err();
    assert_eq!(told.code, ErrorCode::Forbidden);
    assert!(told.message.contains("needs the role admin"), "{told:?}");
    let listed = run(TokenCommand::List).await.unwrap();
    assert!(listed.contains("ci    planner") && !listed.contains(text));
    let revoked = run(TokenCommand::Revoke { name }).await.unwrap();
    assert!(revoked.starts_with("revoked ci (rnl_"), "{revoked}");
    let told = ran(list(), &common(), &planner).await.unwrap_err();
    assert_eq!(told.code, ErrorCode::Unauthenticated);
    rig.end().await;
}

#[tokio::test]
async fn the_audit_log_is_printed_and_checked() {
    let rig = Rig::start().await;
    let verify = AuditArgs {
        verify: true,
        ..AuditArgs::default()
    };
    let run = |args: AuditArgs| {
        let environment = remote(&rig);
        async move {
            ran(ClientCommand::Audit(args), &common(), &environment)
                .await
                .unwrap()
        }
    };
    assert!(run(verify.clone()).await.contains("no records yet"));
    rig.put_neighbours().await;
    let told = run(AuditArgs::default()).await;
    assert!(told.contains("root (admin)  127.0.0.1  PUT /api/v1/plugins/mysql  201"));
    let of_an_hour = AuditArgs {
        since: Some("1h".to_owned()),
        json: true,
        ..AuditArgs::default()
    };
    assert_eq!(run(of_an_hour).await.lines().count(), 4);
    assert!(run(verify).await.contains("whole: records 1 to 4"));
    rig.end().await;
}

#[tokio::test]
async fn stop_waits_until_the_daemon_is_gone() {
    let rig = Rig::start().await;
    let environment = remote(&rig);
    let rooms = rig.rooms.clone();
    let stopping = tokio::spawn(async move {
        ran(ClientCommand::Stop { all: true }, &common(), &environment).await
    });
    while rooms.stops.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.end().await;
    let told = stopping.await.unwrap().unwrap();
    assert!(told.contains("all workers"), "{told}");
    assert_eq!(*rooms.stops.lock().unwrap(), [true]);
}

#[tokio::test]
async fn each_way_of_not_being_answered_has_one_clear_error() {
    let rig = Rig::start().await;
    let all = || ClientCommand::Status {
        name: None,
        decisions: false,
    };

    let mut wrong_token = remote(&rig);
    wrong_token.token = Some(Secret::new("rnl_wrong"));
    let told = ran(all(), &common(), &wrong_token).await.unwrap_err();
    assert_eq!(told.code, ErrorCode::Unauthenticated);
    assert!(told.detail.unwrap().contains("RUNNEL_TOKEN"));
    assert!(told.hint.unwrap().contains("root.token"));

    let mut wrong_path = remote(&rig);
    wrong_path.endpoint = Some(format!("http://{}/other", rig.address));
    let told = ran(all(), &common(), &wrong_path).await.unwrap_err();
    assert_eq!(told.code, ErrorCode::UnknownEndpoint);

    for (endpoint, part) in [
        ("ftp://127.0.0.1:1", "no address"),
        ("127.0.0.1", "no address"),
    ] {
        let mut odd = remote(&rig);
        odd.endpoint = Some(endpoint.to_owned());
        let told = ran(all(), &common(), &odd).await.unwrap_err();
        assert!(told.message.contains(part), "{told:?}");
    }

    let environment = remote(&rig);
    rig.end().await;
    let told = ran(all(), &common(), &environment).await.unwrap_err();
    assert_eq!(told.code, ErrorCode::Unavailable);
    assert!(told.hint.as_ref().unwrap().contains("runnel daemon"));
    assert!(super::told(&told).starts_with("error: no daemon answers at http://127.0.0.1:"));

    let empty = tempfile::tempdir().unwrap();
    let nowhere = Environment {
        state_home: Some(empty.path().to_owned()),
        config_home: Some(empty.path().to_owned()),
        ..Environment::default()
    };
    let told = ran(all(), &common(), &nowhere).await.unwrap_err();
    assert_eq!(told.message, "no daemon is running here");
}
