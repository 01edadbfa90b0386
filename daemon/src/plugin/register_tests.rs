//! What becomes of good archives: layout, classes, manifest jar, fit.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::classfile::{ABSTRACT, INTERFACE, PUBLIC};
use super::testing::{ClassMaker, TestStore, connector_jar, tar_gz_of, zip_of};
use super::{Fit, Inspection, Limits, PluginError, PluginFiles, RuntimeIndex};
use runnel_api::plugin::{ClassKind as Kind, Sha256Hex as Digest};

const SOURCE: &str = "org/apache/kafka/connect/source/SourceConnector";

fn store() -> TestStore {
    TestStore::new(Limits::default())
}

fn classes(inspection: &Inspection) -> Vec<(&str, Kind)> {
    inspection
        .classes
        .iter()
        .map(|c| (c.class.as_str(), c.kind))
        .collect()
}

fn jar_of(classes: Vec<ClassMaker>, more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut files: Vec<(String, Vec<u8>)> = more
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect();
    for class in classes {
        let bytes = class.bytes();
        let name = super::classfile::parse(&bytes).unwrap().name.into_owned();
        files.push((format!("{name}.class"), bytes));
    }
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    zip_of(&files)
}

/// A runtime of these classes, which go before its own of the same name.
fn runtime(name: &str, classes: Vec<ClassMaker>) -> RuntimeIndex {
    let home = tempfile::tempdir().unwrap();
    let libs = home.path().join("libs");
    fs::create_dir(&libs).unwrap();
    let own = vec![
        ClassMaker::new("org/apache/kafka/connect/runtime/Worker"),
        ClassMaker::new(SOURCE),
    ];
    fs::write(libs.join("a-given.jar"), jar_of(classes, &[])).unwrap();
    fs::write(libs.join("kafka.jar"), jar_of(own, &[])).unwrap();
    RuntimeIndex::build(name, home.path()).unwrap()
}

fn services_in(jar: &Path) -> BTreeMap<String, String> {
    let mut archive = zip::ZipArchive::new(fs::File::open(jar).unwrap()).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).unwrap();
            assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
            let name = entry.name().unwrap().into_owned();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            (name, text)
        })
        .filter(|(name, _)| name.starts_with("META-INF/services/"))
        .collect()
}

#[test]
fn flat_foldered_tarred_and_single_jars_all_become_one_folder_of_jars() {
    let jar = connector_jar("org/acme/AcmeSource");
    let lib = zip_of(&[("x.txt", b"x")]);
    let cases: [(Vec<u8>, &[&str]); 6] = [
        (
            zip_of(&[("a.jar", &jar), ("README", b"x")]),
            &["a.jar", "runnel-manifest.jar"],
        ),
        (
            zip_of(&[("p/a.jar", &jar), ("p/b.JAR", &lib), ("LICENSE", b"x")]),
            &["a.jar", "b.JAR", "runnel-manifest.jar"],
        ),
        (
            zip_of(&[("p/a.jar", &jar), ("p/lib/b.jar", &lib)]),
            &["a.jar", "lib/b.jar", "runnel-manifest.jar"],
        ),
        (
            tar_gz_of(&[("p/lib/a.jar", &jar), ("p/doc/x", b"x")]),
            &["a.jar", "runnel-manifest.jar"],
        ),
        (jar.clone(), &["plugin.jar", "runnel-manifest.jar"]),
        (
            zip_of(&[
                ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\n"),
                ("a.jar", &jar),
            ]),
            &["a.jar", "runnel-manifest.jar"],
        ),
    ];
    for (bytes, jars) in cases {
        let store = store();
        let inspection = store.register(&bytes, &[]).unwrap();
        assert_eq!(store.jars(&inspection), jars);
        assert_eq!(inspection.size_bytes, bytes.len() as u64);
        assert_eq!(
            classes(&inspection),
            [("org.acme.AcmeSource", Kind::Source)]
        );
        assert_eq!(
            store
                .files
                .inspect(&inspection.sha256, inspection.size_bytes, &[])
                .unwrap(),
            inspection
        );
    }
}

#[test]
fn the_folder_is_read_only_and_holds_the_jars_as_they_were() {
    let (store, jar) = (store(), connector_jar("org/acme/AcmeSource"));
    let inspection = store.register(&zip_of(&[("a.jar", &jar)]), &[]).unwrap();
    let folder = store.files.jars_folder(&inspection.sha256);
    assert_eq!(fs::read(folder.join("a.jar")).unwrap(), jar);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (
            mode(&folder.join("a.jar")),
            mode(&folder),
            mode(&store.files.plugin_path(&inspection.sha256))
        ),
        (0o444, 0o555, 0o555)
    );
    store.files.remove(&inspection.sha256).unwrap();
    store.files.remove(&inspection.sha256).unwrap();
    assert!(store.contents().is_empty());
    let gone = store.files.inspect(&inspection.sha256, 0, &[]).unwrap_err();
    assert!(matches!(gone, PluginError::NotStored(_)));
}

#[test]
fn the_same_bytes_registered_twice_at_the_same_time_are_one_plugin() {
    let (store, bytes) = (
        store(),
        zip_of(&[("a.jar", &connector_jar("org/acme/AcmeSource"))]),
    );
    let inspections: Vec<Inspection> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| store.register(&bytes, &[]).unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(inspections.windows(2).all(|pair| pair[0] == pair[1]));
    let sha256 = inspections[0].sha256.as_str();
    assert!(
        store.contents().iter().all(|path| path.contains(sha256)),
        "{:?}",
        store.contents()
    );
}

#[test]
fn what_a_killed_daemon_left_unfinished_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join(".aside-x/plugin")).unwrap();
    fs::write(folder.path().join(".upload-y"), b"half").unwrap();
    fs::create_dir(folder.path().join(Digest::of_digest(&[1; 32]).as_str())).unwrap();
    PluginFiles::open(folder.path(), Limits::default()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn classes_are_found_through_the_plugins_own_and_kafkas_base_classes() {
    let jar = jar_of(
        vec![
            ClassMaker::concrete("org/acme/Source").extends("org/acme/Base"),
            ClassMaker::new("org/acme/Base")
                .access(PUBLIC | ABSTRACT)
                .extends(SOURCE),
            ClassMaker::concrete("org/acme/Hidden")
                .access(0)
                .extends(SOURCE),
            ClassMaker::new("org/acme/NoConstructor").extends(SOURCE),
            ClassMaker::concrete("org/acme/Json")
                .extends("org/apache/kafka/connect/json/JsonConverter"),
            ClassMaker::new("org/acme/Mask")
                .access(PUBLIC | INTERFACE | ABSTRACT)
                .implements("org/apache/kafka/connect/transforms/Transformation"),
            ClassMaker::concrete("org/acme/Drop").implements("org/acme/Mask"),
            ClassMaker::concrete("org/acme/Vault")
                .implements("org/apache/kafka/common/config/provider/ConfigProvider"),
            ClassMaker::concrete("org/acme/Unlisted")
                .implements("org/apache/kafka/common/config/provider/ConfigProvider"),
            ClassMaker::concrete("org/acme/Loop").extends("org/acme/Loop"),
        ],
        &[(
            "META-INF/services/org.apache.kafka.common.config.provider.ConfigProvider",
            b"org.acme.Vault\n",
        )],
    );
    let store = store();
    let inspection = store.register(&jar, &[]).unwrap();
    assert_eq!(
        classes(&inspection),
        [
            ("org.acme.Drop", Kind::Transformation),
            ("org.acme.Json", Kind::Converter),
            ("org.acme.Json", Kind::HeaderConverter),
            ("org.acme.Source", Kind::Source),
            ("org.acme.Vault", Kind::ConfigProvider),
        ]
    );
    let services = services_in(
        &store
            .files
            .jars_folder(&inspection.sha256)
            .join("runnel-manifest.jar"),
    );
    assert_eq!(services.len(), 4);
    assert_eq!(
        services["META-INF/services/org.apache.kafka.connect.source.SourceConnector"],
        "org.acme.Source\n"
    );
    assert!(
        !services.contains_key(
            "META-INF/services/org.apache.kafka.common.config.provider.ConfigProvider"
        )
    );
}

#[test]
fn no_manifest_jar_is_added_where_the_service_files_are_complete() {
    let class = || ClassMaker::concrete("org/acme/Source").extends(SOURCE);
    let service: (&str, &[u8]) = (
        "META-INF/services/org.apache.kafka.connect.source.SourceConnector",
        b"org.acme.Source",
    );
    let store = store();
    let inspection = store
        .register(&jar_of(vec![class()], &[service]), &[])
        .unwrap();
    assert_eq!(store.jars(&inspection), ["plugin.jar"]);
    // A file of our jar's name in the upload stays what it was.
    let archive = zip_of(&[
        ("a.jar", &jar_of(vec![class()], &[])),
        ("runnel-manifest.jar", &zip_of(&[("x", b"y")])),
    ]);
    let inspection = store.register(&archive, &[]).unwrap();
    assert_eq!(
        store.jars(&inspection),
        ["a.jar", "runnel-manifest-2.jar", "runnel-manifest.jar"]
    );
}

#[test]
fn a_version_is_told_only_of_classes_that_have_one() {
    let jar = jar_of(
        vec![
            ClassMaker::concrete("org/acme/Source").extends("org/acme/Base"),
            ClassMaker::new("org/acme/Base")
                .access(PUBLIC | ABSTRACT)
                .extends(SOURCE)
                .method(PUBLIC, "version", "()Ljava/lang/String;"),
            ClassMaker::concrete("org/acme/Drop")
                .implements("org/apache/kafka/connect/transforms/Transformation"),
        ],
        &[(
            "META-INF/MANIFEST.MF",
            b"Manifest-Version: 1.0\r\nImplementation-Version: 1.2.3\r\n",
        )],
    );
    let inspection = store().register(&jar, &[]).unwrap();
    let versions: Vec<_> = inspection
        .classes
        .iter()
        .map(|c| (c.class.as_str(), c.version.as_str()))
        .collect();
    assert_eq!(
        versions,
        [("org.acme.Drop", "undefined"), ("org.acme.Source", "1.2.3")]
    );
}

#[test]
fn a_multi_release_jar_is_read_as_java_17_would_and_does_not_raise_the_java_it_needs() {
    let old = ClassMaker::concrete("org/acme/Source")
        .extends(SOURCE)
        .major(52);
    let newer = ClassMaker::concrete("org/acme/Source")
        .extends(SOURCE)
        .major(61)
        .bytes();
    let newest = ClassMaker::concrete("org/acme/Other")
        .extends(SOURCE)
        .major(65)
        .bytes();
    let jar = jar_of(
        vec![old],
        &[
            ("META-INF/MANIFEST.MF", b"Multi-Release: true\n"),
            ("META-INF/versions/17/org/acme/Source.class", &newer),
            ("META-INF/versions/21/org/acme/Other.class", &newest),
        ],
    );
    let inspection = store().register(&jar, &[]).unwrap();
    assert_eq!(
        (classes(&inspection), inspection.java_major),
        (vec![("org.acme.Source", Kind::Source)], 52)
    );
}

#[test]
fn the_link_check_names_what_a_runtime_does_not_have_and_only_that() {
    let consumer = |poll: &str| {
        ClassMaker::new("org/apache/kafka/clients/Consumer")
            .implements("java/io/Closeable")
            .implements("org/apache/kafka/clients/Wakes")
            .method(PUBLIC, "poll", poll)
    };
    let wakes =
        || ClassMaker::new("org/apache/kafka/clients/Wakes").method(PUBLIC, "wakeup", "()V");
    let old = runtime(
        "old",
        vec![
            consumer("(J)V"),
            wakes(),
            ClassMaker::new("org/apache/kafka/clients/Gone"),
        ],
    );
    let new = runtime("new", vec![consumer("(Ljava/time/Duration;)V"), wakes()]);
    let user = ClassMaker::concrete("org/acme/Source")
        .extends(SOURCE)
        .refers_to("org/apache/kafka/clients/Consumer", "poll", "(J)V")
        .refers_to("org/apache/kafka/clients/Consumer", "wakeup", "()V")
        .refers_to("org/apache/kafka/clients/Consumer", "close", "()V")
        .refers_to("org/apache/kafka/clients/Consumer", "hashCode", "()I")
        .refers_to("org/acme/Source", "context", "()V")
        .refers_to("org/acme/elsewhere/Lib", "call", "()V")
        .refers_to_class("[Lorg/apache/kafka/clients/Gone;")
        .refers_to("org/apache/kafka/streams/KafkaStreams", "metrics", "()V");
    // A copy of Kafka within the plugin is not checked, though it could not be linked.
    let copy = ClassMaker::new("org/apache/kafka/copied/X").refers_to(
        "org/apache/kafka/clients/Consumer",
        "none",
        "()V",
    );
    let inspection = store()
        .register(&jar_of(vec![user, copy], &[]), &[&old, &new])
        .unwrap();
    let missing = |names: &[&str]| Fit::Incompatible {
        missing: names.iter().map(|n| (*n).to_owned()).collect(),
    };
    assert_eq!(
        inspection.runtimes[0].fit,
        missing(&["org.acme.Source.context()"])
    );
    assert_eq!(
        inspection.runtimes[1].fit,
        missing(&[
            "org.acme.Source.context()",
            "org.apache.kafka.clients.Consumer.poll(long)",
            "org.apache.kafka.clients.Gone"
        ])
    );
}

#[test]
fn a_plugin_for_a_newer_java_does_not_fit_and_says_which_it_needs() {
    let jar = jar_of(
        vec![
            ClassMaker::concrete("org/acme/Source")
                .extends(SOURCE)
                .major(65),
        ],
        &[],
    );
    let runtime = runtime("4.3", vec![]);
    let store = store();
    let fit = |runtime: &RuntimeIndex| store.register(&jar, &[runtime]).unwrap().runtimes.remove(0);
    assert_eq!(fit(&runtime).fit, Fit::Compatible);
    let runtime = runtime.with_java(17);
    assert_eq!(fit(&runtime).fit, Fit::JavaTooOld { needs: 21, has: 17 });
    assert_eq!(
        serde_json::to_string(&fit(&runtime)).unwrap(),
        r#"{"runtime":"4.3","fit":"JAVA_TOO_OLD","needs":21,"has":17}"#
    );
}

#[test]
fn kafkas_own_connectors_count_only_when_the_archive_is_nothing_else() {
    let file = || {
        ClassMaker::concrete("org/apache/kafka/connect/file/FileStreamSourceConnector")
            .extends(SOURCE)
    };
    let string = || {
        ClassMaker::concrete("org/apache/kafka/connect/storage/StringConverter")
            .implements("org/apache/kafka/connect/storage/Converter")
    };
    let own = || ClassMaker::concrete("org/acme/Source").extends(SOURCE);
    let runtime = runtime("4.3", vec![file(), string()]);
    let store = store();
    let alone = store
        .register(&jar_of(vec![file(), string()], &[]), &[&runtime])
        .unwrap();
    assert_eq!(
        classes(&alone),
        [(
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            Kind::Source
        )]
    );
    let bundled = store
        .register(&jar_of(vec![own(), file(), string()], &[]), &[&runtime])
        .unwrap();
    assert_eq!(classes(&bundled), [("org.acme.Source", Kind::Source)]);
}

#[test]
fn a_source_answers_for_exactly_once_delivery_by_itself_or_by_a_base_that_is_known() {
    let support = "(Ljava/util/Map;)Lorg/apache/kafka/connect/source/ExactlyOnceSupport;";
    let answers = |class: ClassMaker| class.method(PUBLIC, "exactlyOnceSupport", support);
    let concrete = ClassMaker::concrete;
    let jar = jar_of(
        vec![
            answers(concrete("org/acme/Own").extends(SOURCE)),
            answers(ClassMaker::new("org/acme/Base").access(PUBLIC | ABSTRACT)).extends(SOURCE),
            concrete("org/acme/Heir").extends("org/acme/Base"),
            concrete("org/acme/Silent").extends(SOURCE),
            concrete("org/acme/Other")
                .extends(SOURCE)
                .method(PUBLIC, "exactlyOnceSupport", "()V"),
            concrete("org/acme/Strange")
                .extends(SOURCE)
                .implements("org/elsewhere/Mixin"),
            answers(
                concrete("org/acme/Sink").extends("org/apache/kafka/connect/sink/SinkConnector"),
            ),
        ],
        &[],
    );
    // What Kafka's own class answers is "unknown", and no answer of the connector's.
    let own = answers(ClassMaker::new(SOURCE));
    let kafka = runtime("9", vec![own]);
    let inspection = store().register(&jar, &[&kafka]).unwrap();
    let found: Vec<_> = inspection
        .classes
        .iter()
        .map(|class| (class.class.as_str(), class.exactly_once))
        .collect();
    assert_eq!(
        found,
        [
            ("org.acme.Heir", Some(true)),
            ("org.acme.Other", Some(false)),
            ("org.acme.Own", Some(true)),
            ("org.acme.Silent", Some(false)),
            ("org.acme.Sink", None),
            ("org.acme.Strange", None),
        ]
    );
}
