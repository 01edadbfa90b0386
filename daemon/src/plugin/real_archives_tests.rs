//! The real Debezium archives on the real runtimes. `tests/rig/fetch` downloads them once into a
//! cache (`RUNNEL_CACHE`) and says where they are.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::inspect;
use super::testing::TestStore;
use super::{Fit, Inspection, Limits, Received, RuntimeIndex};
use runnel_api::plugin::ClassKind as Kind;
use runnel_planner::derive::BUILT_INS;

struct Parts {
    places: HashMap<String, PathBuf>,
    runtimes: [RuntimeIndex; 2],
}

fn parts() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/rig/fetch");
        let output = Command::new(&script)
            .args(["runtimes", "plugins"])
            .output()
            .expect("tests/rig/fetch runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let places: HashMap<String, PathBuf> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let runtime = |name: &str, key: &str| {
            RuntimeIndex::build(name, &places[key])
                .unwrap()
                .with_java(17)
        };
        let runtimes = [
            runtime("3.9", "RIG_RUNTIME_3_9"),
            runtime("4.3", "RIG_RUNTIME_4_3"),
        ];
        Parts { places, runtimes }
    })
}

fn register(key: &str) -> (TestStore, Inspection) {
    let (parts, store) = (parts(), TestStore::new(Limits::default()));
    let upload = Received::copy_of(
        &parts.places[key],
        store.files.staging(),
        store.files.limits().compressed_bytes,
    )
    .unwrap();
    let [old, new] = &parts.runtimes;
    let inspection = store.files.register(&upload, &[old, new]).unwrap();
    (store, inspection)
}

fn connectors(inspection: &Inspection) -> Vec<(&str, Kind, &str)> {
    let classes = inspection
        .classes
        .iter()
        .filter(|c| matches!(c.kind, Kind::Source | Kind::Sink));
    classes
        .map(|c| (c.class.as_str(), c.kind, c.version.as_str()))
        .collect()
}

#[test]
fn debezium_1_6_1_fits_runtime_3_9_and_lacks_two_methods_on_4_3() {
    for key in ["RIG_PLUGIN_SEED_ZIP", "RIG_PLUGIN_SEED_TAR_GZ"] {
        let (store, inspection) = register(key);
        assert_eq!(
            connectors(&inspection),
            [(
                "io.debezium.connector.mysql.MySqlConnector",
                Kind::Source,
                "1.6.1.Final"
            )]
        );
        assert_eq!((inspection.classes.len(), inspection.java_major), (9, 52));
        assert_eq!(inspection.runtimes[0].fit, Fit::Compatible);
        let missing = [
            "org.apache.kafka.clients.admin.DescribeTopicsResult.values()",
            "org.apache.kafka.clients.consumer.KafkaConsumer.poll(long)",
        ];
        assert_eq!(
            inspection.runtimes[1].fit,
            Fit::Incompatible {
                missing: missing.map(str::to_owned).to_vec()
            }
        );
        let jars = store.jars(&inspection);
        assert_eq!(
            (jars.len(), jars.last().map(String::as_str)),
            (10, Some("runnel-manifest.jar"))
        );
    }
}

#[test]
fn debezium_3_5_fits_both_runtimes_and_brings_its_own_service_files() {
    for (key, class, kind, classes) in [
        (
            "RIG_PLUGIN_MARIADB",
            "io.debezium.connector.mariadb.MariaDbConnector",
            Kind::Source,
            20,
        ),
        (
            "RIG_PLUGIN_MYSQL",
            "io.debezium.connector.mysql.MySqlConnector",
            Kind::Source,
            21,
        ),
        (
            "RIG_PLUGIN_POSTGRES",
            "io.debezium.connector.postgresql.PostgresConnector",
            Kind::Source,
            22,
        ),
        (
            "RIG_PLUGIN_JDBC",
            "io.debezium.connector.jdbc.JdbcSinkConnector",
            Kind::Sink,
            22,
        ),
    ] {
        let (store, inspection) = register(key);
        assert_eq!(connectors(&inspection), [(class, kind, "3.5.0.Final")]);
        assert_eq!(
            (inspection.classes.len(), inspection.java_major),
            (classes, 61),
            "{key}"
        );
        assert!(
            inspection
                .runtimes
                .iter()
                .all(|runtime| runtime.fit == Fit::Compatible),
            "{:?}",
            inspection.runtimes
        );
        assert!(
            !store
                .jars(&inspection)
                .iter()
                .any(|jar| jar.contains("manifest"))
        );
    }
}

/// Whether the one connector of an archive answers for exactly-once delivery.
fn exactly_once(key: &str) -> Option<bool> {
    let (_store, inspection) = register(key);
    let connector = inspection
        .classes
        .iter()
        .find(|class| matches!(class.kind, Kind::Source | Kind::Sink));
    connector.unwrap().exactly_once
}

#[test]
fn debezium_answers_for_exactly_once_delivery_in_3_5_and_not_in_1_6_1() {
    assert_eq!(exactly_once("RIG_PLUGIN_SEED_ZIP"), Some(false));
    for key in [
        "RIG_PLUGIN_MARIADB",
        "RIG_PLUGIN_MYSQL",
        "RIG_PLUGIN_POSTGRES",
    ] {
        assert_eq!(exactly_once(key), Some(true), "{key}");
    }
    assert_eq!(exactly_once("RIG_PLUGIN_JDBC"), None, "a sink");
}

/// The derivation's table says of Kafka's own connectors what the runtimes' jars do, as far as a
/// runtime has them.
#[test]
fn what_is_known_of_kafkas_own_connectors_is_what_their_classes_say() {
    let mut seen = BTreeSet::new();
    for runtime in &parts().runtimes {
        for built_in in BUILT_INS.iter().filter(|it| it.kind == Kind::Source) {
            let name = built_in.class.replace('.', "/");
            if let Some(found) = inspect::exactly_once_of_runtime(runtime, &name) {
                assert_eq!(
                    Some(found),
                    built_in.exactly_once,
                    "{name} in {}",
                    runtime.name()
                );
                seen.insert(name);
            }
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// Starts a JVM; it says what a worker with `plugin.discovery=service_load` finds.
#[test]
fn a_worker_finds_the_classes_that_we_found_with_the_versions_that_we_told() {
    let (store, inspection) = register("RIG_PLUGIN_SEED_ZIP");
    let libs = parts().places["RIG_RUNTIME_4_3"].join("libs/*");
    let plugin_path = store.files.plugin_path(&inspection.sha256);
    let output = Command::new("java")
        .arg("-cp")
        .arg(libs)
        .args([
            "org.apache.kafka.tools.ConnectPluginPath",
            "list",
            "--plugin-path",
        ])
        .arg(&plugin_path)
        .output()
        .expect("java runs");
    let text = String::from_utf8_lossy(&output.stdout);
    // Columns: name, two aliases, version, type, loadable, has a manifest, location.
    let rows = text
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|row| row.len() == 8 && row[7].starts_with(plugin_path.to_str().unwrap()));
    let mut theirs: Vec<(String, String, String)> = rows
        .inspect(|row| assert_eq!(row[6], "true", "{row:?}"))
        .map(|row| (row[0].into(), row[4].into(), row[3].into()))
        .collect();
    theirs.sort();
    let mut ours: Vec<(String, String, String)> = inspection
        .classes
        .iter()
        .map(|c| {
            (
                c.class.clone(),
                serde_json::to_value(c.kind)
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned(),
                c.version.clone(),
            )
        })
        .collect();
    ours.sort();
    assert_eq!(theirs, ours, "{}", String::from_utf8_lossy(&output.stderr));
}
