//! Tests of [`super`] that need no worker; those with one are in `tests/fleet.rs`.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn fleet(root: &Path) -> Fleet {
    Fleet::with_isolation(
        root.join("fleet"),
        "/nonexistent/runnel".into(),
        Isolation::none(),
    )
    .unwrap()
}

#[test]
fn a_connector_s_folder_is_private_and_its_login_stays() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet(dir.path());
    let id = Uuid::from_u128(7);
    fleet.prepare(id).unwrap();
    let home = dir.path().join("fleet").join(id.to_string());
    let login = fs::read_to_string(home.join("rest.properties")).unwrap();
    fleet.prepare(id).unwrap();
    assert_eq!(
        fs::read_to_string(home.join("rest.properties")).unwrap(),
        login
    );
    for (path, mode) in [
        ("", 0o700),
        ("secrets", 0o700),
        ("rest.properties", 0o600),
        ("name.key", 0o600),
    ] {
        let metadata = fs::metadata(home.join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
    fleet.remove_connector(id, None).unwrap();
    assert!(!home.exists());
    fleet.remove_connector(id, None).unwrap();
}

#[test]
fn logs_can_outlive_their_connector() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet(dir.path());
    let id = Uuid::from_u128(7);
    fleet.prepare(id).unwrap();
    fs::write(fleet.home(id).join("logs/w-1.log"), "text").unwrap();
    fleet.remove_connector(id, Some("orders")).unwrap();
    let kept = dir.path().join(format!("logs/orders-{id}/w-1.log"));
    assert_eq!(fs::read_to_string(kept).unwrap(), "text");
}

#[test]
fn an_archive_of_another_size_or_sum_is_not_sound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("classes.jsa");
    fs::write(&path, "abc").unwrap();
    let sound = ClassDataArchive {
        path: path.clone(),
        size: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
    };
    assert!(is_sound(&sound).unwrap());
    let mut other = sound.clone();
    other.size = 4;
    assert!(!is_sound(&other).unwrap());
    fs::write(&path, "abd").unwrap();
    assert!(!is_sound(&sound).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(!is_sound(&sound).unwrap());
}

#[test]
fn a_damaged_run_dir_is_listed_as_unreadable_and_unfinished_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let id = Uuid::from_u128(7);
    {
        let fleet = fleet(dir.path());
        fleet.prepare(id).unwrap();
        let workers = fleet.home(id).join("workers");
        fs::create_dir(workers.join("w-1")).unwrap();
        fs::write(workers.join("w-1").join(LAUNCH), "{").unwrap();
        fs::create_dir(workers.join(".new-w-2")).unwrap();
        let listing = fleet.list().unwrap();
        assert!(listing.workers.is_empty());
        assert_eq!(listing.unreadable[0].worker, "w-1");
        assert!(matches!(
            fleet.remove_connector(id, None),
            Err(FleetError::HasWorkers(_))
        ));
    }
    let fleet = fleet(dir.path());
    assert!(!fleet.home(id).join("workers/.new-w-2").exists());
}
