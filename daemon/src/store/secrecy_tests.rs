//! Who gets at the files and at what is sealed in them.

use super::testing::*;
use super::*;
use runnel_api::connector::ConnectorSpec;
use runnel_api::object::Generation;
use runnel_api::{Kind, Outcome};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

fn whose(store: &Store, token: &str) -> Option<String> {
    match store.authenticate(token, now_ms()) {
        Login::Known(holder) => Some(holder.name().to_string()),
        Login::Expired(_) | Login::Unknown => None,
    }
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
    assert_eq!(whose(&store, token).as_deref(), Some("root"));
    assert_eq!(whose(&store, "rnl_wrong"), None);
    assert_eq!(whose(&store, ""), None);
    let daemon = store.daemon();
    drop(store);
    let again = Store::open(&data).unwrap();
    assert_eq!(again.daemon(), daemon);
    assert_eq!(whose(&again, token).as_deref(), Some("root"));
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
    assert_eq!(whose(&store, old.trim()), None);
    assert!(whose(&store, new.trim()).is_some());
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
    let first = operation_of(put_connector(&store, &spec, Some(secrets(PASSWORD))));
    store
        .update_operation(first.id, Advance::succeeded())
        .unwrap();
    spec.description = "two".to_owned();
    let second = operation_of(put_connector(&store, &spec, Some(secrets("wrong"))));
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
    let ending = Advance::ended(Outcome::RolledBack, problem);
    let done = store.roll_back::<ConnectorSpec>(&orders, second.id, Generation(1), &ending);
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
        secrets: Some(secrets(PASSWORD)),
        precondition: Precondition::None,
    };
    assert!(matches!(
        store.put(&restored, |_| derived()),
        Ok(PutOutcome::Same { .. })
    ));
    let retried = put_connector(&store, &spec, Some(secrets("wrong")));
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
    put_connector(&store, &spec, Some(secrets(PASSWORD)));
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
    put_connector(&store, &spec, Some(secrets(PASSWORD)));
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
    let operation = operation_of(put_connector(&store, &spec, Some(secrets(PASSWORD))));
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
