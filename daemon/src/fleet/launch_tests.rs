//! Tests of [`super`], beside it because the file is long enough.

use super::*;
use proptest::prelude::*;

fn launch() -> WorkerLaunch {
    WorkerLaunch {
        connector_id: Uuid::nil(),
        connector: "orders".into(),
        worker: WorkerId::parse("w-1").unwrap(),
        digest: "d".into(),
        bootstrap_servers: "127.0.0.1:9092".into(),
        group_id: "__runnel_orders".into(),
        topics: InternalTopics {
            offsets: "o".into(),
            configs: "c".into(),
            status: "s".into(),
        },
        worker_properties: BTreeMap::new(),
        client_security: BTreeMap::new(),
        runtime: LaunchRuntime {
            name: "4.3".into(),
            libs: "/rt/libs".into(),
            kafka_version: "4.3.1".into(),
            archive: None,
        },
        java: "/usr/bin/java".into(),
        plugin_dirs: vec!["/plugins/a".into(), "/plugins/b".into()],
        mcu_count: 1,
        mcu_memory_mib: 4096,
        jvm: Jvm::Small,
        stop_deadline_ms: 20_000,
        exactly_once: false,
        login_version: 0,
        extra_jars: Vec::new(),
    }
}

fn paths() -> LaunchPaths {
    LaunchPaths {
        run: "/fleet/c/workers/w-1".into(),
        secrets: "/fleet/c/secrets".into(),
        jaas: "/fleet/c/jaas.conf".into(),
    }
}

fn rendered(launch: &WorkerLaunch) -> Rendered {
    let jars = ["/rt/libs/b.jar", "/rt/libs/a.jar"].map(PathBuf::from);
    render(launch, &paths(), &jars, None).unwrap()
}

fn properties(launch: &WorkerLaunch) -> BTreeMap<String, String> {
    let rendered = rendered(launch);
    let (name, text) = &rendered.files[0];
    assert_eq!(*name, "worker.properties");
    runnel_api::properties::parse(text).unwrap()
}

#[test]
fn the_class_path_is_explicit_and_sorted() {
    let argv = rendered(&launch()).argv;
    let at = argv.iter().position(|word| word == "-cp").unwrap();
    assert_eq!(argv[at + 1], "/rt/libs/a.jar:/rt/libs/b.jar");
    assert_eq!(argv[0], "/usr/bin/java");
    assert_eq!(
        argv.last().unwrap(),
        "/fleet/c/workers/w-1/worker.properties"
    );
    assert_eq!(
        render(&launch(), &paths(), &[], None),
        Err(LaunchError::NoJars("/rt/libs".into()))
    );
}

#[test]
fn a_library_for_the_login_is_the_last_on_the_class_path() {
    let launch = WorkerLaunch {
        extra_jars: vec!["/a/iam.jar".into()],
        ..launch()
    };
    let argv = rendered(&launch).argv;
    let at = argv.iter().position(|word| word == "-cp").unwrap();
    assert_eq!(argv[at + 1], "/rt/libs/a.jar:/rt/libs/b.jar:/a/iam.jar");
}

#[test]
fn the_archive_is_named_only_when_it_was_found_sound() {
    let jars = [PathBuf::from("/rt/libs/a.jar")];
    let with = render(&launch(), &paths(), &jars, Some(Path::new("/rt/x.jsa"))).unwrap();
    assert!(
        with.argv
            .contains(&"-XX:SharedArchiveFile=/rt/x.jsa".to_owned())
    );
    assert!(with.argv.contains(&"-Xshare:auto".to_owned()));
    let without = render(&launch(), &paths(), &jars, None).unwrap();
    assert!(!without.argv.iter().any(|word| word.contains("Share")));
}

#[test]
fn the_heap_leaves_room_for_the_rest_of_the_jvm() {
    let table = [
        // MCUs, MiB each, heap
        (1, 4096, 2048),
        (2, 4096, 4096),
        (8, 4096, 16384),
        (1, 1024, 614),
        (1, 512, 307),
        (1, 384, 224),
        (1, 256, 96),
        (1, 16384, 2048),
    ];
    for (count, memory, heap) in table {
        assert_eq!(heap_mib(count, memory), heap, "{count} × {memory}");
    }
    let small = WorkerLaunch {
        mcu_memory_mib: 255,
        ..launch()
    };
    let jars = [PathBuf::from("/rt/libs/a.jar")];
    assert_eq!(
        render(&small, &paths(), &jars, None),
        Err(LaunchError::TooSmall(255))
    );
}

#[test]
fn collector_and_compiler_follow_the_size() {
    for (mcus, jvm) in [(1, Jvm::Small), (2, Jvm::Throughput), (8, Jvm::Throughput)] {
        assert_eq!(Jvm::for_size(mcus), jvm);
    }
    let small = rendered(&launch()).argv;
    assert!(small.contains(&"-XX:TieredStopAtLevel=1".to_owned()));
    assert!(small.contains(&"-XX:+UseSerialGC".to_owned()));
    let large = rendered(&WorkerLaunch {
        mcu_count: 2,
        jvm: Jvm::Throughput,
        ..launch()
    })
    .argv;
    assert!(!large.iter().any(|word| word.contains("TieredStop")));
    assert!(large.contains(&"-XX:+UseG1GC".to_owned()));
    assert!(large.contains(&"-XX:ActiveProcessorCount=2".to_owned()));
}

#[test]
fn managed_properties_win_and_the_user_s_others_stay() {
    let mut launch = launch();
    for (key, value) in [
        ("listeners", "http://0.0.0.0:8083"),
        ("admin.listeners", "http://0.0.0.0:1"),
        ("config.providers", "env"),
        ("config.providers.env.class", "x.Env"),
        ("rest.extension.classes", "x.Open"),
        ("client.id", "mine"),
        ("producer.sasl.jaas.config", "x"),
        ("producer.linger.ms", "5"),
        ("consumer.bootstrap.servers", "elsewhere:1"),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("offset.flush.interval.ms", "10000"),
        ("session.timeout.ms", "60000"),
    ] {
        launch.worker_properties.insert(key.into(), value.into());
    }
    let set = properties(&launch);
    let get = |key: &str| set.get(key).map(String::as_str);
    assert_eq!(get("listeners"), Some("http://127.0.0.1:0"));
    assert_eq!(get("admin.listeners"), Some(""));
    assert_eq!(get("config.providers"), Some("file"));
    assert_eq!(
        get("config.providers.file.param.allowed.paths"),
        Some("/fleet/c/secrets")
    );
    assert_eq!(get("session.timeout.ms"), Some("6000"));
    assert_eq!(get("plugin.path"), Some("/plugins/a,/plugins/b"));
    assert_eq!(get("producer.linger.ms"), Some("5"));
    assert_eq!(get("offset.flush.interval.ms"), Some("10000"));
    assert_eq!(
        get("value.converter"),
        Some("org.apache.kafka.connect.json.JsonConverter")
    );
    assert_eq!(
        get("key.converter"),
        Some("org.apache.kafka.connect.storage.StringConverter")
    );
    for gone in [
        "config.providers.env.class",
        "client.id",
        "producer.sasl.jaas.config",
        "consumer.bootstrap.servers",
    ] {
        assert_eq!(get(gone), None, "{gone}");
    }
    assert!(
        get("rest.extension.classes")
            .unwrap()
            .contains("basic.auth")
    );
}

#[test]
fn client_security_reaches_the_worker_and_each_client() {
    let mut launch = launch();
    launch
        .client_security
        .insert("security.protocol".into(), "SASL_SSL".into());
    let set = properties(&launch);
    for prefix in ["", "producer.", "consumer.", "admin."] {
        assert_eq!(
            set.get(&format!("{prefix}security.protocol")).unwrap(),
            "SASL_SSL"
        );
    }
}

#[test]
fn no_override_policy_lets_a_connector_take_another_login() {
    let mut launch = launch();
    let set = properties(&launch);
    assert_eq!(set["connector.client.config.override.policy"], "Allowlist");
    let allowed = &set["connector.client.config.override.allowlist"];
    assert!(allowed.split(',').any(|key| key == "linger.ms"));
    for word in [
        "sasl",
        "ssl",
        "security",
        "bootstrap",
        "class",
        "interceptor",
        "reporter",
    ] {
        assert!(!allowed.contains(word), "{word}");
    }
    for old in ["3.9.2", "4.1.2"] {
        launch.runtime.kafka_version = old.into();
        let set = properties(&launch);
        assert_eq!(set["connector.client.config.override.policy"], "None");
        assert!(!set.contains_key("connector.client.config.override.allowlist"));
    }
    assert!(overridable("four").is_err());
}

#[test]
fn the_log_configuration_fits_the_release() {
    let new = rendered(&launch());
    assert_eq!(new.files[1].0, "log4j2.yaml");
    assert!(
        new.argv
            .iter()
            .any(|word| word.starts_with("-Dlog4j2.configurationFile="))
    );
    let old = rendered(&WorkerLaunch {
        runtime: LaunchRuntime {
            kafka_version: "3.9.2".into(),
            ..launch().runtime
        },
        ..launch()
    });
    assert_eq!(old.files[1].0, "log4j.properties");
    assert!(
        old.argv.contains(
            &"-Dlog4j.configuration=file:/fleet/c/workers/w-1/log4j.properties".to_owned()
        )
    );
}

#[test]
fn exactly_once_is_on_only_when_asked_for() {
    assert!(!properties(&launch()).contains_key("exactly.once.source.support"));
    let set = properties(&WorkerLaunch {
        exactly_once: true,
        ..launch()
    });
    assert_eq!(set["exactly.once.source.support"], "enabled");
}

#[test]
fn a_path_that_a_list_would_split_is_refused() {
    for bad in ["/a,b", "/a:b", "/a}b", "/a$b", "/a\"b", "/a\nb"] {
        let launch = WorkerLaunch {
            plugin_dirs: vec![bad.into()],
            ..launch()
        };
        let jars = [PathBuf::from("/rt/libs/a.jar")];
        assert_eq!(
            render(&launch, &paths(), &jars, None),
            Err(LaunchError::Path(bad.into())),
        );
    }
}

#[test]
fn a_worker_id_is_a_safe_file_name() {
    assert!(WorkerId::parse(WorkerId::fresh().as_str()).is_ok());
    assert_ne!(WorkerId::fresh(), WorkerId::fresh());
    for bad in ["", ".", "..", "a/b", "A", "-a", "a b", &"x".repeat(65)] {
        assert_eq!(WorkerId::parse(bad), Err(LaunchError::WorkerId), "{bad}");
    }
    assert!(serde_json::from_str::<WorkerId>("\"../x\"").is_err());
}

#[test]
fn a_launch_survives_its_file() {
    let text = serde_json::to_string(&launch()).unwrap();
    assert_eq!(
        serde_json::from_str::<WorkerLaunch>(&text).unwrap(),
        launch()
    );
}

proptest! {
    #[test]
    fn no_user_property_can_change_what_is_managed(key in "[a-z.]{1,30}", value in any::<String>()) {
        let plain = properties(&launch());
        let mut launch = launch();
        launch.worker_properties.insert(key.clone(), value);
        let mut with = properties(&launch);
        let mut expected = plain;
        if is_managed(&key) {
            prop_assert_eq!(with.get(&key), expected.get(&key));
        }
        with.remove(&key);
        expected.remove(&key);
        prop_assert_eq!(with, expected);
    }
}
