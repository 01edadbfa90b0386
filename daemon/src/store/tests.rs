//! The store as its callers see it, on a real file each.

use super::*;
use runnel_api::arn::Incarnation;
use runnel_api::capacity::{Capacity, CapacitySummary};
use runnel_api::connector::{ConnectorSpec, Derived, DesiredState, OnDestroy};
use runnel_api::kafka_cluster::{
    ClientAuthentication, EncryptionInTransit, Enforcement, KafkaClusterSpec, KafkaClusterStatus,
};
use runnel_api::object::Generation;
use runnel_api::plugin::{ContentRef, PluginSpec, PluginStatus, Sha256Hex, StagedContent};
use runnel_api::role::{RoleSpec, RoleStatus};
use runnel_api::{Arn, Kind, Name, Operation, OperationKind, Outcome, Secret};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

const PASSWORD: &str = "correct-horse-battery-staple";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    (folder, store)
}

fn cluster(servers: &str) -> KafkaClusterSpec {
    KafkaClusterSpec {
        bootstrap_servers: servers.to_owned(),
        encryption_in_transit: EncryptionInTransit::default(),
        client_authentication: ClientAuthentication::default(),
    }
}

fn cluster_status(identity: &Incarnation) -> KafkaClusterStatus {
    KafkaClusterStatus {
        topic_arn: identity.arn.cluster_resources("topic"),
        group_arn: String::new(),
        transactional_id_arn: String::new(),
        enforcement: Enforcement::None,
    }
}

fn content(bytes: &str) -> StagedContent {
    StagedContent {
        sha256: Sha256Hex::of_bytes(bytes.as_bytes()),
        found: PluginStatus {
            size: 1,
            classes: Vec::new(),
            runtimes: Vec::new(),
        },
    }
}

fn put_plugin(store: &Store, bytes: &str) -> ContentRef {
    let staged = content(bytes);
    store.stage_content(&staged, 0).unwrap();
    let request = PutRequest {
        name: name("mysql"),
        spec: PluginSpec {
            description: String::new(),
            sha256: staged.sha256.clone(),
        },
        secrets: None,
        precondition: Precondition::None,
    };
    store.put(&request, |_| staged.found.clone()).unwrap();
    ContentRef {
        name: name("mysql"),
        sha256: staged.sha256,
    }
}

fn connector(plugin: &ContentRef) -> ConnectorSpec {
    ConnectorSpec {
        description: String::new(),
        kafka_cluster: name("shop"),
        plugins: vec![plugin.clone()],
        worker_configuration: None,
        service_execution_role_arn: Arn::parse("arn:aws:iam::000000000000:role/reader").unwrap(),
        kafkaconnect_version: None,
        config: BTreeMap::new(),
        capacity: Capacity::Provisioned {
            mcu_count: 1,
            worker_count: 1,
        },
        desired_state: DesiredState::Running,
        on_destroy: OnDestroy::DeleteInternalTopics,
        accept_position_loss: false,
        allow_plaintext_secrets: false,
    }
}

fn derived() -> Derived {
    Derived {
        kafkaconnect_version: "3.9".to_owned(),
        principal: "User:ANONYMOUS".to_owned(),
        effective_config: BTreeMap::new(),
        kafka_acls: Vec::new(),
        enforcement: Enforcement::None,
        capacity_summary: CapacitySummary {
            mcus: String::new(),
            memory: String::new(),
            network: String::new(),
            scaling: String::new(),
        },
    }
}

/// Cluster, role and plugin that the connector of these tests refers to.
fn with_neighbours(store: &Store) -> ConnectorSpec {
    put_cluster(store, "shop", "a:1", Precondition::None).unwrap();
    let role = PutRequest {
        name: name("reader"),
        spec: RoleSpec {
            assume_role_policy: None,
            policies: BTreeMap::new(),
        },
        secrets: None,
        precondition: Precondition::None,
    };
    store.put(&role, |_| RoleStatus {}).unwrap();
    connector(&put_plugin(store, "one"))
}

fn put_cluster(
    store: &Store,
    named: &str,
    servers: &str,
    precondition: Precondition,
) -> Result<PutOutcome<KafkaClusterSpec>, StoreError> {
    let request = PutRequest {
        name: name(named),
        spec: cluster(servers),
        secrets: None,
        precondition,
    };
    store.put(&request, cluster_status)
}

fn secrets(password: &str) -> Option<BTreeMap<String, Secret>> {
    let pair = ("database.password".to_owned(), Secret::new(password));
    Some(BTreeMap::from([pair]))
}

fn put_connector(
    store: &Store,
    spec: &ConnectorSpec,
    secrets: Option<BTreeMap<String, Secret>>,
) -> PutOutcome<ConnectorSpec> {
    let request = PutRequest {
        name: name("orders"),
        spec: spec.clone(),
        secrets,
        precondition: Precondition::None,
    };
    store.put(&request, |_| derived()).unwrap()
}

fn code(error: &StoreError) -> runnel_api::ErrorCode {
    error.problem().code
}

fn operation_of(outcome: PutOutcome<ConnectorSpec>) -> Operation {
    outcome.into_parts().1
}

#[test]
fn a_first_start_makes_private_files_and_a_second_finds_them() {
    let (folder, store) = open();
    let data = folder.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in [DATABASE_FILE, SEALING_KEY_FILE, ROOT_TOKEN_FILE] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    put_cluster(&store, "shop", "a:1", Precondition::None).unwrap();
    assert_eq!(mode(&data.join("runnel.db-wal")), 0o600);
    let token = std::fs::read_to_string(data.join(ROOT_TOKEN_FILE)).unwrap();
    let token = token.trim();
    assert!(token.starts_with("rnl_") && token.len() >= 4 + 43);
    assert_eq!(store.authenticate(token), Some("root".to_owned()));
    assert_eq!(store.authenticate("rnl_wrong"), None);
    assert_eq!(store.authenticate(""), None);
    let daemon = store.daemon();
    drop(store);
    let again = Store::open(&data).unwrap();
    assert_eq!(again.daemon(), daemon);
    assert_eq!(again.authenticate(token), Some("root".to_owned()));
    let bytes = std::fs::read(data.join(DATABASE_FILE)).unwrap();
    assert!(!bytes.windows(token.len()).any(|w| w == token.as_bytes()));
}

#[test]
fn a_removed_token_file_makes_a_new_token_and_voids_the_old() {
    let (folder, store) = open();
    let file = folder.path().join("data").join(ROOT_TOKEN_FILE);
    let old = std::fs::read_to_string(&file).unwrap();
    drop(store);
    std::fs::remove_file(&file).unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    let new = std::fs::read_to_string(&file).unwrap();
    assert_eq!(store.authenticate(old.trim()), None);
    assert!(store.authenticate(new.trim()).is_some());
}

#[test]
fn two_daemons_cannot_share_a_folder() {
    let (folder, store) = open();
    let second = Store::open(&folder.path().join("data"));
    assert!(matches!(second, Err(StoreError::Locked(_))));
    assert!(is_in_use(&folder.path().join("data")));
    drop(store);
    assert!(!is_in_use(&folder.path().join("data")));
    assert!(Store::open(&folder.path().join("data")).is_ok());
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter"), "dear").unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let refused = Store::open(folder.path());
    assert!(matches!(refused, Err(StoreError::ForeignFolder(_))));
    let mode = std::fs::metadata(folder.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn key_files_that_are_open_missing_or_foreign_are_refused() {
    let (folder, store) = open();
    drop(store);
    let data = folder.path().join("data");
    let key = data.join(SEALING_KEY_FILE);
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    assert!(matches!(
        Store::open(&data),
        Err(StoreError::Readable { .. })
    ));
    mode(0o600).unwrap();
    std::fs::write(&key, [1; 32]).unwrap();
    assert!(matches!(Store::open(&data), Err(StoreError::WrongKey(_))));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(Store::open(&data), Err(StoreError::WrongKey(_))));
}

#[test]
fn a_damaged_file_is_refused_at_start() {
    let (folder, store) = open();
    for number in 0..50 {
        put_cluster(&store, &format!("c{number}"), "a:1", Precondition::None).unwrap();
    }
    drop(store);
    let file = folder.path().join("data").join(DATABASE_FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    assert!(Store::open(&folder.path().join("data")).is_err());
}

#[test]
fn the_same_put_twice_is_one_operation() {
    let (_folder, store) = open();
    let spec = with_neighbours(&store);
    let first = put_connector(&store, &spec, secrets(PASSWORD));
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
    for given in [secrets(PASSWORD), None] {
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
    let other = put_connector(&store, &spec, secrets("another"));
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
        put_connector(&store, &spec, secrets("x"));
        put_connector(&store, &spec, secrets("y"));
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
    let create = operation_of(put_connector(&store, &spec, secrets(PASSWORD)));
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
    let operation = operation_of(put_connector(&store, &spec, secrets(PASSWORD)));
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
fn secrets_open_per_generation_until_pruned_and_come_back_at_a_roll_back() {
    let (_folder, store) = open();
    let mut spec = with_neighbours(&store);
    let orders = name("orders");
    let unsealed = |generation| {
        let secrets = store
            .unseal(Kind::Connector, &orders, Generation(generation))
            .unwrap();
        secrets
            .get("database.password")
            .map(|secret| secret.expose().to_owned())
    };
    let first = operation_of(put_connector(&store, &spec, secrets(PASSWORD)));
    store
        .update_operation(first.id, Advance::succeeded())
        .unwrap();
    spec.description = "two".to_owned();
    let second = operation_of(put_connector(&store, &spec, secrets("wrong")));
    assert_eq!(
        (unsealed(1).as_deref(), unsealed(2).as_deref()),
        (Some(PASSWORD), Some("wrong"))
    );
    let recalled = store
        .spec_of::<ConnectorSpec>(&orders, Generation(1))
        .unwrap()
        .unwrap();
    assert_eq!(recalled.spec.description, "");

    let problem = Problem::new(ErrorCode::ConnectorFailed, "access denied");
    let done =
        store.roll_back::<ConnectorSpec>(&orders, second.id, Generation(1), problem, Vec::new());
    assert!(done.unwrap());
    let now = store.get::<ConnectorSpec>(&orders).unwrap().unwrap();
    assert_eq!(now.object.generation, Generation(2));
    assert_eq!(now.object.spec.description, "");
    assert_eq!(unsealed(2).as_deref(), Some(PASSWORD));
    assert_eq!(
        store.operation(second.id).unwrap().unwrap().outcome,
        Outcome::RolledBack
    );
    // What runs again is what was asked first; the rejected specification is a new try.
    let restored = PutRequest {
        name: orders.clone(),
        spec: now.object.spec,
        secrets: secrets(PASSWORD),
        precondition: Precondition::None,
    };
    assert!(matches!(
        store.put(&restored, |_| derived()),
        Ok(PutOutcome::Same { .. })
    ));
    let retried = put_connector(&store, &spec, secrets("wrong"));
    assert!(matches!(retried, PutOutcome::Changed { .. }));

    store.prune_secrets(&orders, &[Generation(2)]).unwrap();
    assert_eq!(unsealed(1), None);
    assert!(
        store
            .spec_of::<ConnectorSpec>(&orders, Generation(1))
            .unwrap()
            .is_none()
    );
    assert_eq!(unsealed(2).as_deref(), Some(PASSWORD));
    assert_eq!(unsealed(3).as_deref(), Some("wrong"));
}

#[test]
fn kept_secrets_are_sealed_again_for_the_new_generation() {
    let (_folder, store) = open();
    let mut spec = with_neighbours(&store);
    put_connector(&store, &spec, secrets(PASSWORD));
    spec.description = "two".to_owned();
    put_connector(&store, &spec, None);
    let opened = store
        .unseal(Kind::Connector, &name("orders"), Generation(2))
        .unwrap();
    assert_eq!(opened["database.password"].expose(), PASSWORD);
    put_connector(&store, &spec, Some(BTreeMap::new()));
    let opened = store
        .unseal(Kind::Connector, &name("orders"), Generation(3))
        .unwrap();
    assert!(opened.is_empty());
}

#[test]
fn no_file_of_the_folder_ever_holds_a_secret() {
    let (folder, store) = open();
    let mut spec = with_neighbours(&store);
    put_connector(&store, &spec, secrets(PASSWORD));
    spec.description = "two".to_owned();
    put_connector(&store, &spec, None);
    let search = || {
        for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(PASSWORD.len())
                .any(|w| w == PASSWORD.as_bytes());
            assert!(!found, "{}", path.display());
        }
    };
    search();
    store.prune_secrets(&name("orders"), &[]).unwrap();
    drop(store);
    search();
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let (folder, store) = open();
    let spec = with_neighbours(&store);
    let operation = operation_of(put_connector(&store, &spec, secrets(PASSWORD)));
    // The files as a killed process leaves them: a WAL without a checkpoint.
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let after = Store::open(&copy).unwrap();
    assert_eq!(after.operation(operation.id).unwrap(), Some(operation));
    let opened = after
        .unseal(Kind::Connector, &name("orders"), Generation(1))
        .unwrap();
    assert_eq!(opened["database.password"].expose(), PASSWORD);
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    let (_folder, store) = open();
    let mut spec = with_neighbours(&store);
    spec.kafka_cluster = name("nowhere");
    let request = PutRequest {
        name: name("orders"),
        spec,
        secrets: secrets(PASSWORD),
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
        code(&store.begin_restart(&orders).unwrap_err()),
        ErrorCode::NotFound
    );
    let spec = with_neighbours(&store);
    let create = operation_of(put_connector(&store, &spec, None));
    let refused = store.begin_restart(&orders).unwrap_err();
    assert_eq!(code(&refused), ErrorCode::OperationInProgress);
    store
        .update_operation(create.id, Advance::succeeded())
        .unwrap();
    let restart = store.begin_restart(&orders).unwrap();
    assert_eq!(restart.kind, OperationKind::Restart);
    assert_eq!(store.begin_restart(&orders).unwrap().id, restart.id);
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
    let patience = std::time::Duration::from_secs(60);
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
