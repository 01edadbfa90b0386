//! Rotation of the sealing key, ended early after each of its steps.

use super::keys::{NEXT_KEY_FILE, Standing};
use super::rotation::Step;
use super::testing::*;
use super::*;
use runnel_api::connector::ConnectorSpec;
use runnel_api::object::Generation;
use runnel_api::{Kind, Secret};
use std::os::unix::fs::PermissionsExt as _;

const USERS: &str = "password-of-the-user-on-the-broker";

/// A store with a secret in each place that has one; the connector's specification is that of its
/// second generation.
fn furnished() -> (tempfile::TempDir, Store, ConnectorSpec) {
    let (folder, store) = open();
    let mut spec = with_neighbours(&store);
    put_connector(&store, &spec, Some(secrets("first")));
    spec.description = "two".to_owned();
    put_connector(&store, &spec, Some(secrets(PASSWORD)));
    store
        .ensure_principal(&name("orders"), "runnel-orders", &Secret::new(USERS))
        .unwrap();
    let cluster = PutRequest {
        name: name("secured"),
        spec: cluster("b:1"),
        secrets: Some(secrets("of-the-admin")),
        precondition: Precondition::None,
    };
    store.put(&cluster, cluster_status).unwrap();
    (folder, store, spec)
}

fn check_all(store: &Store, spec: &ConnectorSpec, when: &str) {
    let unsealed = |kind, named: &str, generation| {
        let secrets = store.unseal(kind, &name(named), Generation(generation));
        secrets.unwrap_or_else(|error| panic!("{when}: {error}"))["database.password"]
            .expose()
            .to_owned()
    };
    assert_eq!(unsealed(Kind::Connector, "orders", 1), "first", "{when}");
    assert_eq!(unsealed(Kind::Connector, "orders", 2), PASSWORD, "{when}");
    assert_eq!(
        unsealed(Kind::KafkaCluster, "secured", 1),
        "of-the-admin",
        "{when}"
    );
    let user = store.principal(&name("orders")).unwrap().unwrap();
    assert_eq!(user.password.expose(), USERS, "{when}");
    // The same again is the same, with the secrets given or kept.
    for given in [Some(secrets(PASSWORD)), None] {
        let again = put_connector(store, spec, given);
        assert!(matches!(again, PutOutcome::Same { .. }), "{when}");
    }
}

/// The files as a killed process leaves them: a write-ahead log without a checkpoint.
fn as_killed(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn a_rotation_that_ends_after_any_step_loses_no_secret() {
    for step in [Step::Write, Step::Commit, Step::Overwrite, Step::Replace] {
        let (folder, store, spec) = furnished();
        let data = folder.path().join("data");
        let old = std::fs::read(data.join(SEALING_KEY_FILE)).unwrap();
        store.rotate_up_to(step).unwrap();
        let when = format!("after {step:?}");
        let aside = data.join(NEXT_KEY_FILE);
        assert_eq!(aside.exists(), step < Step::Replace, "{when}");
        if aside.exists() {
            let mode = std::fs::metadata(&aside).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{when}");
        }
        assert_eq!(holds(&data, &old), step < Step::Overwrite, "{when}");
        check_all(&store, &spec, &format!("still running {when}"));

        let copy = folder.path().join("copy");
        as_killed(&data, &copy);
        let after = Store::open(&copy).unwrap();
        assert!(!copy.join(NEXT_KEY_FILE).exists(), "{when}");
        let key = std::fs::read(copy.join(SEALING_KEY_FILE)).unwrap();
        let mode = std::fs::metadata(copy.join(SEALING_KEY_FILE)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{when}");
        assert_eq!(key == old, step == Step::Write, "{when}");
        assert_eq!(holds(&copy, &old), step == Step::Write, "{when}");
        check_all(&after, &spec, &when);
        // And whoever goes on from here can.
        assert_eq!(after.rotate_sealing_key().unwrap().secrets, 3, "{when}");
        check_all(&after, &spec, &format!("rotated again {when}"));
        drop(after);
        check_all(&Store::open(&copy).unwrap(), &spec, &when);
        // The same without a restart in between.
        assert!(store.rotate_sealing_key().unwrap().old_key_removed);
        check_all(&store, &spec, &when);
    }
}

#[test]
fn a_rotation_seals_everything_with_another_key_and_says_how_much() {
    let (folder, store, mut spec) = furnished();
    let data = folder.path().join("data");
    let file = rusqlite::Connection::open(data.join(DATABASE_FILE)).unwrap();
    let sealed = || -> Vec<Vec<u8>> {
        let sql = "SELECT ciphertext FROM sealed UNION ALL SELECT ciphertext FROM principals
                   UNION ALL SELECT fingerprint FROM generations";
        let mut statement = file.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let before = sealed();
    let done = store.rotate_sealing_key().unwrap();
    assert_eq!((done.secrets, done.passwords), (3, 1));
    assert_eq!(before.len() as u64, done.generations + 4);
    let after = sealed();
    assert_eq!(after.len(), before.len());
    assert!(before.iter().all(|row| !after.contains(row)));
    // What the old key sealed is in no file any more; 29 bytes of ciphertext do not come by chance.
    for row in before.iter().filter(|row| row.len() > 16) {
        assert!(!holds(&data, row));
    }
    check_all(&store, &spec, "rotated");
    // Other secrets are another generation still.
    let other = put_connector(&store, &spec, Some(secrets("other")));
    assert!(matches!(other, PutOutcome::Changed { .. }));
    spec.description = "three".to_owned();
    put_connector(&store, &spec, None);
    let kept = store.unseal(Kind::Connector, &name("orders"), Generation(4));
    assert_eq!(kept.unwrap()["database.password"].expose(), "other");
}

#[test]
fn with_a_row_that_does_not_open_nothing_is_rotated() {
    let (folder, store, _) = furnished();
    let data = folder.path().join("data");
    let key = std::fs::read(data.join(SEALING_KEY_FILE)).unwrap();
    let file = rusqlite::Connection::open(data.join(DATABASE_FILE)).unwrap();
    let alter = "UPDATE principals SET ciphertext = zeroblob(40)";
    file.execute(alter, []).unwrap();
    let refused = store.rotate_sealing_key();
    assert!(matches!(refused, Err(StoreError::Secret(_))), "{refused:?}");
    assert!(!data.join(NEXT_KEY_FILE).exists());
    assert_eq!(std::fs::read(data.join(SEALING_KEY_FILE)).unwrap(), key);
    let opened = |store: &Store| {
        let secrets = store.unseal(Kind::Connector, &name("orders"), Generation(2));
        secrets.unwrap()["database.password"].expose().to_owned()
    };
    assert_eq!(opened(&store), PASSWORD);
    drop(store);
    assert_eq!(opened(&Store::open(&data).unwrap()), PASSWORD);
}

#[test]
fn who_reads_and_writes_during_a_rotation_never_meets_the_wrong_key() {
    let (_folder, store, spec) = furnished();
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            for _ in 0..10 {
                store.rotate_sealing_key().unwrap();
            }
        });
        while !rotating.is_finished() {
            check_all(&store, &spec, "meanwhile");
        }
    });
    check_all(&store, &spec, "afterwards");
}

#[test]
fn two_files_that_are_both_not_the_key_are_left_alone() {
    let (folder, store, _) = furnished();
    drop(store);
    let data = folder.path().join("data");
    for file in [SEALING_KEY_FILE, NEXT_KEY_FILE] {
        std::fs::write(data.join(file), [3; 32]).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(data.join(file), private).unwrap();
    }
    assert!(matches!(Store::open(&data), Err(StoreError::WrongKey(_))));
    for file in [SEALING_KEY_FILE, NEXT_KEY_FILE] {
        assert_eq!(std::fs::read(data.join(file)).unwrap(), [3; 32]);
    }
}

#[test]
fn the_check_value_says_which_of_two_files_is_the_key() {
    let (a, b, none) = (Some("a"), Some("b"), Some(""));
    for (known, current, next, expected) in [
        (None, None, None, Standing::Fresh),
        (None, a, None, Standing::Unmarked),
        (None, none, None, Standing::Foreign),
        (None, a, b, Standing::Foreign),
        (None, None, a, Standing::Foreign),
        (a, a, None, Standing::Settled),
        (a, a, b, Standing::Prepared),
        (a, a, none, Standing::Prepared),
        (a, b, a, Standing::Committed),
        (a, none, a, Standing::Committed),
        (a, None, a, Standing::Committed),
        (a, b, None, Standing::Foreign),
        (a, None, None, Standing::Foreign),
        (a, b, b, Standing::Foreign),
        (a, none, none, Standing::Foreign),
    ] {
        let found = Standing::of(known, current, next);
        assert_eq!(found, expected, "{known:?} {current:?} {next:?}");
    }
}
