use super::*;

fn parse(text: &str) -> Result<Config, String> {
    let environment = Environment {
        home: Some("/home/me".into()),
        ..Environment::default()
    };
    let path = Path::new("/etc/x/runnel.toml");
    Config::parse(text, path, &environment, &Overrides::default())
        .map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_gives_a_working_daemon() {
    let config = parse("").unwrap();
    assert_eq!(config.listen, LISTEN_DEFAULT);
    assert_eq!(config.data_dir, Path::new("/home/me/.local/state/runnel"));
    assert_eq!(config.java, Path::new("java"));
    assert_eq!(config.timing.settle, SETTLE_DEFAULT);
    assert_eq!(config.capacity.mcu_memory_mib, MCU_MEMORY_MIB_DEFAULT);
    assert_eq!(config.capacity.mcus, None);
    assert!(config.metrics.authenticated);
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
        listen = "[::1]:0"
        data_dir = "state"
        java = "/opt/jdk/bin/java"
        [runtimes."3.9"]
        home = "/opt/kafka-3.9.2"
        [timing]
        settle_ms = 1
        operation_timeout_ms = 2
        reconcile_ms = 3
        stop_deadline_ms = 4
        kafka_timeout_ms = 5
        probe_ms = 6
        silent_worker_ms = 7
        progress_ms = 8
        [capacity]
        mcu_memory_mib = 512
        mcus = 6
        jvm = "small"
        [metrics]
        authenticated = false
        [tls]
        certificate = "tls/server.pem"
        private_key = "/etc/x/server.key"
        client_ca = "tls/clients.pem"
        [http]
        hosts = ["Runnel.Example.org"]
        [audit]
        records = 5
        "#,
    )
    .unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:0");
    assert_eq!(config.data_dir, Path::new("/etc/x/state"));
    assert_eq!(config.java, Path::new("/opt/jdk/bin/java"));
    assert_eq!(config.runtimes["3.9"], Path::new("/opt/kafka-3.9.2"));
    assert_eq!(config.timing.kafka_timeout, Duration::from_millis(5));
    assert_eq!(config.timing.probe, Duration::from_millis(6));
    assert_eq!(config.timing.silent_worker, Duration::from_millis(7));
    assert_eq!(config.timing.progress, Duration::from_millis(8));
    assert_eq!(config.capacity.mcu_memory_mib, 512);
    assert_eq!(config.capacity.mcus, Some(6));
    assert_eq!(config.capacity.jvm, Some(Jvm::Small));
    assert!(!config.metrics.authenticated);
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, Path::new("/etc/x/tls/server.pem"));
    assert_eq!(tls.private_key, Path::new("/etc/x/server.key"));
    assert_eq!(tls.client_ca.unwrap(), Path::new("/etc/x/tls/clients.pem"));
    assert_eq!(config.http.hosts, ["runnel.example.org"]);
    assert_eq!(config.audit_records, 5);
}

#[test]
fn errors_name_file_and_key_and_say_what_to_do() {
    for (text, parts) in [
        ("listne = 1", vec!["runnel.toml", "listne", "listen"]),
        (
            "listen = \"x\"",
            vec!["runnel.toml", "listen", "127.0.0.1:8083"],
        ),
        ("listen = 7", vec!["runnel.toml", "listen", "string"]),
        (
            "timing.settle_ms = 0",
            vec!["timing.settle_ms", "milliseconds"],
        ),
        ("timing.settle_ms = 180000", vec!["operation_timeout_ms"]),
        ("capacity.mcu_memory_mib = 1", vec!["mcu_memory_mib", "256"]),
        ("capacity.mcus = 0", vec!["capacity.mcus", "no limit"]),
        ("[runtimes.\"3.9\"]", vec!["home"]),
        ("[tls]\ncertificate = \"a\"", vec!["private_key"]),
        ("http.hosts = [\"a:1\"]", vec!["http.hosts", "without port"]),
        ("audit.records = 0", vec!["audit.records", "10000000"]),
    ] {
        let error = parse(text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn an_address_others_can_reach_must_be_wanted() {
    let error = parse("listen = \"0.0.0.0:8083\"").unwrap_err();
    assert!(error.contains("allow_insecure_remote = true"), "{error}");
    assert!(error.contains("[tls]"), "{error}");
    for wanted in [
        "allow_insecure_remote = true",
        "tls = { certificate = \"a\", private_key = \"b\" }",
    ] {
        let config = parse(&format!("listen = \"0.0.0.0:8083\"\n{wanted}")).unwrap();
        assert_eq!(config.listen.port(), 8083);
    }
}

#[test]
fn root_and_users_have_different_folders() {
    let mut environment = Environment {
        home: Some("/root".into()),
        is_root: true,
        ..Environment::default()
    };
    assert_eq!(environment.data_dir(), Path::new("/var/lib/runnel"));
    environment.state_home = Some("/s".into());
    assert_eq!(environment.data_dir(), Path::new("/s/runnel"));
    environment.java_home = Some("/j".into());
    assert_eq!(environment.java(), Path::new("/j/bin/java"));
}

#[test]
fn a_named_file_must_be_there_the_default_one_need_not() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment {
        config_home: Some(folder.path().into()),
        ..Environment::default()
    };
    assert!(Config::load(&environment, &Overrides::default()).is_ok());
    let overrides = Overrides {
        config: Some(folder.path().join("missing.toml")),
        ..Overrides::default()
    };
    let refused = Config::load(&environment, &overrides);
    assert!(matches!(refused, Err(ConfigError::Unreadable { .. })));
}
