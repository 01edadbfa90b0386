//! Objects, operations and what else the store keeps, as its callers see it.

use super::testing::*;
use super::*;
use runnel_api::connector::ConnectorSpec;
use runnel_api::kafka_cluster::KafkaClusterSpec;
use runnel_api::object::Generation;
use runnel_api::plugin::{PluginSpec, Sha256Hex};
use runnel_api::{Arn, Kind, OperationKind, Outcome, RestartScope};
#[test]
fn the_same_put_twice_is_one_operation() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    let first = put_connector(&store, &spec, Some(secrets(PASSWORD)));
    let PutOutcome::Changed {
        object, operation, ..
    } = first
    else {
        panic!("{first:?}")
    };
    assert_eq!(operation.kind, OperationKind::Create);
    assert_eq!(operation.outcome, Outcome::Pending);
    assert_eq!(
        object.secret_keys.iter().next().unwrap(),
        "database.password"
    );
    for given in [Some(secrets(PASSWORD)), None] {
        let again = put_connector(&store, &spec, given);
        let PutOutcome::Same {
            object,
            operation: same,
        } = again
        else {
            panic!("{again:?}")
        };
        assert_eq!(same, operation);
        assert_eq!(object.object.generation, Generation(1));
    }
    let other = put_connector(&store, &spec, Some(secrets("another")));
    assert!(matches!(other, PutOutcome::Changed { .. }), "{other:?}");
}

#[test]
fn a_failed_or_rolled_back_operation_is_tried_again_by_the_same_put() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    for outcome in [Outcome::Failed, Outcome::RolledBack] {
        let operation = operation_of(put_connector(&store, &spec, None));
        let problem = Problem::new(ErrorCode::ConnectorFailed, "no");
        store
            .update_operation(operation.id, Advance::ended(outcome, problem))
            .unwrap();
        let again = put_connector(&store, &spec, None);
        assert!(matches!(again, PutOutcome::Changed { .. }), "{again:?}");
        let id = operation_of(again).id;
        store.update_operation(id, Advance::succeeded()).unwrap();
        assert!(matches!(
            put_connector(&store, &spec, None),
            PutOutcome::Same { .. }
        ));
        put_connector(&store, &spec, Some(secrets("x")));
        put_connector(&store, &spec, Some(secrets("y")));
    }
}

#[test]
fn a_newer_put_supersedes_the_one_under_way() {
    let (_folder, store) = open();
    let mut spec = with_neighbours(&store);
    let first = operation_of(put_connector(&store, &spec, None));
    store
        .update_operation(first.id, Advance::waiting("the worker"))
        .unwrap();
    spec.description = "two".to_owned();
    let second = put_connector(&store, &spec, None);
    let PutOutcome::Changed {
        superseded,
        operation,
        ..
    } = second
    else {
        panic!("{second:?}")
    };
    assert_eq!(superseded, Some(first.id));
    // Nothing of it ever settled, so it is still a create.
    assert_eq!(operation.kind, OperationKind::Create);
    let first = store.operation(first.id).unwrap().unwrap();
    assert_eq!(first.outcome, Outcome::Superseded);
    assert!(first.ended_ms.is_some() && first.waiting_on.is_none());
    // What is final stays as it is.
    let late = store
        .update_operation(first.id, Advance::succeeded())
        .unwrap();
    assert_eq!(late.outcome, Outcome::Superseded);
    assert!(
        !store
            .undo_create(
                &name("orders"),
                first.id,
                Problem::new(ErrorCode::ConnectorFailed, "late"),
                Vec::new()
            )
            .unwrap()
    );
    assert_eq!(store.unfinished_operations().unwrap().len(), 1);
    store
        .update_operation(operation.id, Advance::succeeded())
        .unwrap();
    spec.description = "three".to_owned();
    let third = operation_of(put_connector(&store, &spec, None));
    assert_eq!(third.kind, OperationKind::Update);
    let all = store
        .operations_of(Kind::Connector, &name("orders"), 10)
        .unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].id, third.id);
}

#[test]
fn preconditions_hold_except_against_a_repetition() {
    let (_folder, store) = open();
    let put = |servers: &str, precondition| put_cluster(&store, "shop", servers, precondition);
    let at = |number| Precondition::Generation(Generation(number));
    let refused = put("a:1", at(1)).unwrap_err();
    assert_eq!(code(&refused), ErrorCode::NotFound);
    put("a:1", Precondition::Absent).unwrap();
    assert!(matches!(
        put("a:1", Precondition::Absent),
        Ok(PutOutcome::Same { .. })
    ));
    let refused = put("b:1", Precondition::Absent).unwrap_err();
    assert_eq!(code(&refused), ErrorCode::AlreadyExists);
    assert!(refused.problem().hint.unwrap().contains("import"));
    put("b:1", at(1)).unwrap();
    assert!(matches!(put("b:1", at(1)), Ok(PutOutcome::Same { .. })));
    let refused = put("c:1", at(1)).unwrap_err();
    assert_eq!(code(&refused), ErrorCode::GenerationConflict);
    let refused = put("b:1", Precondition::Absent).unwrap_err();
    assert_eq!(code(&refused), ErrorCode::AlreadyExists);
    assert_eq!(
        store
            .get::<KafkaClusterSpec>(&name("shop"))
            .unwrap()
            .unwrap()
            .object
            .generation,
        Generation(2)
    );
}

#[test]
fn references_must_lead_somewhere_and_what_is_used_stays() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    let refuse = |spec: ConnectorSpec, field: &str| {
        let request = PutRequest {
            name: name("orders"),
            spec,
            secrets: None,
            precondition: Precondition::None,
        };
        let refused = store.put(&request, |_| derived()).unwrap_err().problem();
        assert_eq!(refused.code, ErrorCode::MissingReference);
        assert_eq!(refused.field.as_deref(), Some(field));
    };
    let mut bad = spec.clone();
    bad.kafka_cluster = name("nowhere");
    refuse(bad, "kafka_cluster");
    let mut bad = spec.clone();
    bad.plugins[0].sha256 = Sha256Hex::of_bytes(b"other");
    refuse(bad, "plugins[0]");
    let mut bad = spec.clone();
    bad.service_execution_role_arn = Arn::parse("arn:aws:iam::1:role/x").unwrap();
    refuse(bad, "service_execution_role_arn");
    let mut bad = spec.clone();
    bad.worker_configuration = Some(spec.plugins[0].clone());
    refuse(bad, "worker_configuration");
    assert!(
        store
            .get::<ConnectorSpec>(&name("orders"))
            .unwrap()
            .is_none()
    );

    let operation = operation_of(put_connector(&store, &spec, None));
    store
        .update_operation(operation.id, Advance::succeeded())
        .unwrap();
    for (kind, used) in [
        (Kind::KafkaCluster, "shop"),
        (Kind::Plugin, "mysql"),
        (Kind::Role, "reader"),
    ] {
        let refused = store
            .begin_delete(kind, &name(used), None)
            .unwrap_err()
            .problem();
        assert_eq!(refused.code, ErrorCode::InUse);
        assert!(refused.detail.unwrap().contains("orders"));
    }
}

#[test]
fn a_delete_is_marked_then_finished_and_the_name_gets_a_new_life() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    let orders = name("orders");
    let create = operation_of(put_connector(&store, &spec, Some(secrets(PASSWORD))));
    store
        .set_progress(&orders, &serde_json::json!({"phase": 1}))
        .unwrap();
    let before = store.identity(Kind::Connector, &orders).unwrap();
    assert_eq!(before.current.as_ref().unwrap().number, 1);
    assert_eq!(before.next.number, 2);
    let delete = store
        .begin_delete(Kind::Connector, &orders, None)
        .unwrap()
        .into_operation();
    assert_eq!(
        store.operation(create.id).unwrap().unwrap().outcome,
        Outcome::Superseded
    );
    assert_eq!(
        store.begin_delete(Kind::Connector, &orders, None).unwrap(),
        DeleteOutcome::Same(delete.clone())
    );
    let request = PutRequest {
        name: orders.clone(),
        spec: spec.clone(),
        secrets: None,
        precondition: Precondition::None,
    };
    let refused = store.put(&request, |_| derived()).unwrap_err();
    assert_eq!(code(&refused), ErrorCode::OperationInProgress);
    assert!(
        store
            .get::<ConnectorSpec>(&orders)
            .unwrap()
            .unwrap()
            .object
            .deleting
    );
    store.finish_delete(&orders, delete.id, Vec::new()).unwrap();
    assert!(store.get::<ConnectorSpec>(&orders).unwrap().is_none());
    assert_eq!(
        store.get_progress::<serde_json::Value>(&orders).unwrap(),
        None
    );
    assert_eq!(
        store.operation(delete.id).unwrap().unwrap().outcome,
        Outcome::Succeeded
    );
    let after = store.identity(Kind::Connector, &orders).unwrap();
    assert_eq!((after.current, after.next.clone()), (None, before.next));
    let again = put_connector(&store, &spec, None).into_parts().0;
    assert_eq!(again.object.id, after.next.id);
    assert!(again.secret_keys.is_empty());
}

#[test]
fn a_failed_create_leaves_its_operation_and_nothing_else() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    let operation = operation_of(put_connector(&store, &spec, Some(secrets(PASSWORD))));
    let problem = Problem::new(ErrorCode::SourceUnreachable, "access denied");
    assert!(
        store
            .undo_create(&name("orders"), operation.id, problem, Vec::new())
            .unwrap()
    );
    assert!(
        store
            .get::<ConnectorSpec>(&name("orders"))
            .unwrap()
            .is_none()
    );
    let operation = store.operation(operation.id).unwrap().unwrap();
    assert_eq!(operation.outcome, Outcome::Failed);
    assert_eq!(operation.problem.unwrap().message, "access denied");
    assert_eq!(
        store
            .identity(Kind::Connector, &name("orders"))
            .unwrap()
            .next
            .number,
        2
    );
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    let (_folder, store) = open();
    let mut spec = with_neighbours(&store);
    spec.kafka_cluster = name("nowhere");
    let request = PutRequest {
        name: name("orders"),
        spec,
        secrets: Some(secrets(PASSWORD)),
        precondition: Precondition::None,
    };
    assert!(store.put(&request, |_| derived()).is_err());
    assert_eq!(
        store
            .identity(Kind::Connector, &name("orders"))
            .unwrap()
            .next
            .number,
        1
    );
    assert!(
        store
            .operations_of(Kind::Connector, &name("orders"), 10)
            .unwrap()
            .is_empty()
    );
    assert!(!store.is_closed());
}

#[test]
fn a_restart_is_one_operation_and_waits_for_changes() {
    let (_folder, store) = open();
    let orders = name("orders");
    assert_eq!(
        code(
            &store
                .begin_restart(&orders, &RestartScope::All)
                .unwrap_err()
        ),
        ErrorCode::NotFound
    );
    let spec = with_neighbours(&store);
    let create = operation_of(put_connector(&store, &spec, None));
    let refused = store
        .begin_restart(&orders, &RestartScope::All)
        .unwrap_err();
    assert_eq!(code(&refused), ErrorCode::OperationInProgress);
    store
        .update_operation(create.id, Advance::succeeded())
        .unwrap();
    let restart = store.begin_restart(&orders, &RestartScope::All).unwrap();
    assert_eq!(restart.kind, OperationKind::Restart);
    assert_eq!(
        store.begin_restart(&orders, &RestartScope::All).unwrap().id,
        restart.id
    );
    let other = store.begin_restart(&orders, &RestartScope::Task(0));
    assert_eq!(code(&other.unwrap_err()), ErrorCode::OperationInProgress);
    // The put of the same specification is still the create, not the restart.
    let PutOutcome::Same { operation, .. } = put_connector(&store, &spec, None) else {
        panic!("a repetition is the same operation")
    };
    assert_eq!(operation.id, create.id);
}

#[test]
fn contents_go_when_nothing_refers_to_them_for_an_hour() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    let create = operation_of(put_connector(&store, &spec, None));
    store
        .update_operation(create.id, Advance::succeeded())
        .unwrap();
    store.stage_content(&content("stray"), 500).unwrap();
    assert!(store.unneeded_contents(500).unwrap().is_empty());
    let second = put_plugin(&store, "two");
    let stray = content("stray").sha256;
    // The connector still refers to the plugin's first content.
    assert_eq!(store.unneeded_contents(501).unwrap(), vec![stray.clone()]);
    assert!(
        store
            .content_of::<PluginSpec>(&spec.plugins[0])
            .unwrap()
            .is_some()
    );
    store.forget_content(&stray).unwrap();
    assert!(store.content(&stray).unwrap().is_none());
    let mut moved = spec.clone();
    moved.plugins = vec![second];
    let update = operation_of(put_connector(&store, &moved, None));
    assert!(store.unneeded_contents(501).unwrap().is_empty());
    store
        .update_operation(update.id, Advance::succeeded())
        .unwrap();
    store
        .prune_secrets(&name("orders"), &[Generation(2)])
        .unwrap();
    assert_eq!(
        store.unneeded_contents(501).unwrap(),
        vec![spec.plugins[0].sha256.clone()]
    );
}

#[test]
fn lists_come_in_pages_by_name() {
    let (_folder, store) = open();
    for number in 0..5 {
        put_cluster(&store, &format!("c{number}"), "a:1", Precondition::None).unwrap();
    }
    let page = store
        .list::<KafkaClusterSpec>(Some(&name("c1")), 2)
        .unwrap();
    let names: Vec<_> = page
        .iter()
        .map(|stored| stored.object.name.as_str())
        .collect();
    assert_eq!(names, ["c2", "c3"]);
    assert_eq!(store.list::<KafkaClusterSpec>(None, 9).unwrap().len(), 5);
}

#[test]
fn transitions_and_operations_are_bounded() {
    let (_folder, store) = open();
    for number in 0..205 {
        store
            .add_transition(&name("orders"), &number.to_string())
            .unwrap();
    }
    let transitions = store.transitions(&name("orders")).unwrap();
    assert_eq!(
        (transitions.len(), transitions[0].text.as_str()),
        (200, "5")
    );
    for number in 0..105 {
        put_cluster(
            &store,
            "shop",
            &format!("a:{}", number + 1),
            Precondition::None,
        )
        .unwrap();
    }
    let operations = store
        .operations_of(Kind::KafkaCluster, &name("shop"), 1000)
        .unwrap();
    assert_eq!(operations.len(), 100);
    store.add_leftover(&"topic x").unwrap();
    let leftovers = store.leftovers::<String>().unwrap();
    store.remove_leftover(leftovers[0].number).unwrap();
    assert!(store.leftovers::<String>().unwrap().is_empty());
}

#[tokio::test]
async fn who_waits_for_an_operation_hears_of_its_end() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    let operation = operation_of(put_connector(&store, &spec, None));
    let patience = std::time::Duration::from_mins(1);
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.await_operation(operation.id, patience).await }
    });
    store
        .update_operation(operation.id, Advance::waiting("x"))
        .unwrap();
    store
        .update_operation(operation.id, Advance::succeeded())
        .unwrap();
    let ended = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(ended.outcome, Outcome::Succeeded);
    let none = store
        .await_operation(runnel_api::OperationId(Uuid::nil()), patience)
        .await;
    assert_eq!(none.unwrap(), None);
}
