//! Runtimes from real jars.

use super::*;
use crate::rig;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn request(name: &str, home: &Path, data_dir: &Path) -> AddRuntime {
    let java = JavaSearch {
        path: std::env::var_os("PATH"),
        ..JavaSearch::default()
    };
    AddRuntime {
        name: name.into(),
        home: home.into(),
        java,
        data_dir: data_dir.into(),
    }
}

/// A home of empty jars with the given names; `kafka-clients` gets its version file.
fn fake_home(jars: &[&str]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("libs")).unwrap();
    for jar in jars {
        let path = home.path().join(format!("libs/{jar}.jar"));
        let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        if let Some(version) = jar.strip_prefix("kafka-clients-") {
            let options = zip::write::SimpleFileOptions::default();
            archive
                .start_file("kafka/kafka-version.properties", options)
                .unwrap();
            writeln!(archive, "commitId=0\nversion={version}").unwrap();
        }
        archive.finish().unwrap();
    }
    home
}

/// Starts `ConnectStandalone` of a runtime against the stub and gives the time until REST was up and
/// what Java said about its archive.
fn start(runtime: &Runtime, stub: &StubBroker, archive: Option<&Path>) -> (Duration, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let home = home::inspect(&runtime.home, &runtime.name).unwrap();
    archive_job::tests_support::write(&home, stub, folder.path());
    let jars = class_path(&runtime.libs).unwrap();
    let begun = Instant::now();
    let mut command = Command::new(&runtime.java.path);
    // Other heap, collector and compiler than the archive was made with.
    command.args(["-Xmx512m", "-XX:+UseG1GC", "-Xlog:cds,cds+dynamic:stdout"]);
    command.args(archive.map(|path| format!("-XX:SharedArchiveFile={}", path.display())));
    let mut child =
        archive_job::tests_support::arguments(&mut command, &home, &jars, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    let mut lines = Vec::new();
    let mut up = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("REST resources initialized") {
            up = Some(begun.elapsed());
            child.kill().unwrap();
        }
        lines.push(line);
    }
    child.wait().unwrap();
    (up.unwrap_or_else(|| panic!("{lines:#?}")), lines)
}

fn archive_of(runtime: &Runtime) -> &Archive {
    match &runtime.archive {
        ArchiveState::Made(archive) => archive,
        ArchiveState::None { reason } => panic!("{reason}"),
    }
}

async fn added_and_started(name: &str, home: &Path) {
    let data_dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let runtime = add(&request(name, home, data_dir.path())).await.unwrap();
    println!(
        "{name}: added in {:?}, {} bytes",
        begun.elapsed(),
        archive_of(&runtime).size
    );
    assert_eq!(
        RuntimeRegistry::load(data_dir.path()).runtimes,
        std::slice::from_ref(&runtime)
    );
    let left: Vec<_> = std::fs::read_dir(data_dir.path().join("runtimes"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");

    let inode = |runtime: &Runtime| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(&archive_of(runtime).path).unwrap().ino()
    };
    let before = inode(&runtime);
    let again = add(&request(name, home, data_dir.path())).await.unwrap();
    assert_eq!(again, runtime);
    assert_eq!(inode(&again), before);

    let stub = StubBroker::start().await.unwrap();
    tokio::task::spawn_blocking(move || {
        let checks = ArchiveChecks::default();
        let archive = runtime.verified_archive(&checks).unwrap();
        assert!(archive.is_some());
        let (without, _) = start(&runtime, &stub, None);
        let (with, lines) = start(&runtime, &stub, archive);
        println!(
            "{}: REST up after {with:?} with the archive, {without:?} without",
            runtime.name
        );
        assert!(
            !lines.iter().any(|line| line.contains("[warning]")),
            "{lines:#?}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line.contains("Mapped dynamic region")),
            "{lines:#?}"
        );

        let file = std::fs::File::options()
            .write(true)
            .open(archive.unwrap())
            .unwrap();
        file.set_len(archive_of(&runtime).size / 2).unwrap();
        assert!(matches!(
            runtime.verified_archive(&checks),
            Err(ArchiveFault::Size { .. })
        ));
    })
    .await
    .unwrap();
    let mended = add(&request(name, home, data_dir.path())).await.unwrap();
    assert_ne!(inode(&mended), before);
    mended.verified_archive(&ArchiveChecks::default()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_3_9_gets_an_archive_that_its_workers_start_with() {
    let [home, _] = tokio::task::spawn_blocking(rig::runtimes).await.unwrap();
    added_and_started("3.9", &home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_4_3_gets_an_archive_that_its_workers_start_with() {
    let [_, home] = tokio::task::spawn_blocking(rig::runtimes).await.unwrap();
    added_and_started("4.3", &home).await;
}

#[tokio::test]
async fn a_folder_that_is_no_good_runtime_is_refused_with_the_reason() {
    let data_dir = tempfile::tempdir().unwrap();
    let told = async |name: &str, jars: &[&str]| {
        let home = fake_home(jars);
        add(&request(name, home.path(), data_dir.path()))
            .await
            .unwrap_err()
    };
    let absent = add(&request("4.3", Path::new("/nowhere"), data_dir.path()))
        .await
        .unwrap_err();
    assert_eq!(
        (absent.message.as_str(), absent.field.as_deref()),
        ("/nowhere cannot be read", Some("home"))
    );

    let empty = told("4.3", &[]).await;
    assert!(
        empty.message.ends_with("/libs has no connect-runtime jar"),
        "{empty:?}"
    );
    let old = told("3.9", &["connect-runtime-3.9.1", "kafka-clients-3.9.1"]).await;
    assert!(
        old.message.contains("CVE-2026-35554") && old.message.contains("3.9.2"),
        "{old:?}"
    );
    let open = told("4.3", &["connect-runtime-4.3.1", "kafka-clients-4.3.1"]).await;
    assert!(
        open.message
            .ends_with("has no connect-basic-auth-extension jar"),
        "{open:?}"
    );
    assert!(
        open.hint
            .unwrap()
            .contains("org.apache.kafka:connect-basic-auth-extension")
    );

    let whole = [
        "connect-runtime-4.3.1",
        "kafka-clients-4.3.1",
        "connect-basic-auth-extension-4.3.1",
        "reload4j-1.2.25",
        "slf4j-reload4j-1.7.36",
    ];
    let misnamed = told("4.2", &whole).await;
    assert_eq!(
        misnamed.message,
        "a runtime of Kafka 4.3.1 is named 4.3, not \"4.2\""
    );
    assert_eq!(misnamed.field.as_deref(), Some("name"));
    assert_eq!(RuntimeRegistry::load(data_dir.path()).runtimes, []);
}

#[tokio::test]
async fn a_runtime_whose_archive_cannot_be_made_is_registered_without_one() {
    let data_dir = tempfile::tempdir().unwrap();
    let jars = [
        "connect-runtime-4.3.1",
        "kafka-clients-4.3.1",
        "connect-basic-auth-extension-4.3.1",
        "reload4j-1.2.25",
        "slf4j-reload4j-1.7.36",
    ];
    let home = fake_home(&jars);
    let runtime = add(&request("4.3", home.path(), data_dir.path()))
        .await
        .unwrap();
    let ArchiveState::None { reason } = &runtime.archive else {
        panic!("{runtime:?}")
    };
    assert!(reason.contains("ConnectStandalone"), "{reason}");
    assert_eq!(RuntimeRegistry::load(data_dir.path()).runtimes, [runtime]);
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_does_not_hide_the_others() {
    let data_dir = tempfile::tempdir().unwrap();
    let folder = registry::create_folder(data_dir.path()).unwrap();
    let runtime = Runtime {
        name: "4.3".into(),
        home: "/k".into(),
        libs: "/k/libs".into(),
        kafka_version: "4.3.1".into(),
        logging: Logging::Log4j2,
        java: Java {
            path: "/j".into(),
            major: 17,
            build: "17.0.15".into(),
        },
        archive: ArchiveState::None {
            reason: "none".into(),
        },
        fingerprint: "f".into(),
    };
    registry::save(&folder, &runtime).unwrap();
    std::fs::write(folder.join("3.9.json"), "{").unwrap();
    std::fs::copy(folder.join("4.3.json"), folder.join("4.4.json")).unwrap();
    let registry = RuntimeRegistry::load(data_dir.path());
    assert_eq!(registry.runtimes, [runtime]);
    assert_eq!(registry.faults.len(), 2);
    assert!(
        RuntimeRegistry::load(Path::new("/nowhere"))
            .runtimes
            .is_empty()
    );
}
