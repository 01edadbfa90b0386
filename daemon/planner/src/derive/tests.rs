//! Every rule of a derivation, on the seed's connector and on changes of it.

use super::*;
use proptest::prelude::*;
use runnel_api::Arn;
use runnel_api::capacity::Capacity;
use runnel_api::kafka_cluster::EncryptionInTransit;
use runnel_api::plugin::{ClassKind, PluginClass, RuntimeFit};

pub(super) const MYSQL: &str = "io.debezium.connector.mysql.MySqlConnector";
pub(super) const POSTGRES: &str = "io.debezium.connector.postgresql.PostgresConnector";
const POLL: &str = "org.apache.kafka.clients.consumer.KafkaConsumer.poll(long)";

/// An owned input to change.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: Name,
    pub(super) spec: ConnectorSpec,
    pub(super) secret_keys: BTreeSet<String>,
    pub(super) cluster: KafkaClusterSpec,
    pub(super) plugins: Vec<(ContentRef, PluginStatus)>,
    pub(super) worker_configuration: Option<WorkerConfigurationSpec>,
    pub(super) role_problems: Vec<Problem>,
    pub(super) runtimes: Vec<RuntimeInfo>,
    pub(super) current: Option<(ConnectorSpec, String)>,
}

impl Case {
    pub(super) fn derive(&self) -> Derivation {
        derive(&DeriveInput {
            user: "runnel-test",
            name: &self.name,
            spec: &self.spec,
            secret_keys: &self.secret_keys,
            kafka_cluster: &self.cluster,
            plugins: &self.plugins,
            worker_configuration: self.worker_configuration.as_ref(),
            role_problems: &self.role_problems,
            runtimes: &self.runtimes,
            current: self.current.as_ref().map(|(spec, version)| Current {
                spec,
                kafkaconnect_version: version,
            }),
        })
    }

    /// The one problem.
    pub(super) fn problem(&self) -> Problem {
        let mut problems = self.derive().problems;
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems.remove(0)
    }

    pub(super) fn ok(&self) -> (Derived, Derivation) {
        let derivation = self.derive();
        assert_eq!(derivation.problems, []);
        (derivation.derived.clone().unwrap(), derivation)
    }

    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        self.spec.config.insert(key.into(), value.into());
        self
    }

    pub(super) fn without(mut self, key: &str) -> Self {
        self.spec.config.remove(key);
        self
    }

    /// The same connector as it is now, running on a runtime.
    pub(super) fn existing(mut self, runtime: &str) -> Self {
        self.current = Some((self.spec.clone(), runtime.into()));
        self
    }

    /// Another class of another release in the plugin, on both runtimes.
    pub(super) fn plugin(mut self, class: &str, version: &str) -> Self {
        self.plugins = vec![plugin(class, version, &[])];
        self.with("connector.class", class)
    }
}

pub(super) fn plugin(
    class: &str,
    version: &str,
    missing_on_4: &[&str],
) -> (ContentRef, PluginStatus) {
    let fit = |runtime: &str, missing: &[&str]| RuntimeFit {
        runtime: runtime.into(),
        missing: missing.iter().map(|m| (*m).into()).collect(),
    };
    let entry = |class: &str, kind| PluginClass {
        class: class.into(),
        kind,
        version: version.into(),
        exactly_once: None,
    };
    let converter = "io.debezium.converters.ByteArrayConverter";
    let status = PluginStatus {
        size: 1,
        classes: vec![
            entry(class, ClassKind::Source),
            entry(converter, ClassKind::Converter),
        ],
        runtimes: vec![fit("3.9", &[]), fit("4.3", missing_on_4)],
    };
    let reference = format!("debezium@sha256:{}", "ab".repeat(32));
    (ContentRef::try_from(reference).unwrap(), status)
}

fn runtime(name: &str) -> RuntimeInfo {
    RuntimeInfo {
        name: name.into(),
        kafka_version: format!("{name}.2"),
    }
}

pub(super) fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect()
}

/// The eight lines for `AWS_MSK_IAM` of the walk-through.
fn eight_lines() -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for client in ["producer", "consumer"] {
        for (key, value) in [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "AWS_MSK_IAM"),
            (
                "sasl.jaas.config",
                "software.amazon.msk.auth.iam.IAMLoginModule required;",
            ),
            (
                "sasl.client.callback.handler.class",
                "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
            ),
        ] {
            lines.insert(format!("database.history.{client}.{key}"), value.into());
        }
    }
    lines
}

/// The seed's connector without its eight lines: Debezium 1.6.1, which misses a method on 4.3.
pub(super) fn seed() -> Case {
    let role = "arn:aws:iam::000000000000:role/ecommerce";
    Case {
        name: Name::parse("ecommerce-orders").unwrap(),
        spec: ConnectorSpec {
            description: String::new(),
            kafka_cluster: Name::parse("shop").unwrap(),
            plugins: Vec::new(),
            worker_configuration: None,
            service_execution_role_arn: Arn::parse(role).unwrap(),
            kafkaconnect_version: None,
            config: config(&[
                ("connector.class", MYSQL),
                ("tasks.max", "1"),
                ("database.hostname", "127.0.0.1"),
                ("database.port", "3306"),
                ("database.user", "my-database-user"),
                ("database.server.id", "123456"),
                ("database.server.name", "ecommerce-server"),
                ("database.include.list", "ecommerce"),
                ("database.history.kafka.topic", "dbhistory.ecommerce"),
                ("include.schema.changes", "true"),
            ]),
            capacity: Capacity::Provisioned {
                mcu_count: 1,
                worker_count: 1,
            },
            log_delivery: None,
            delivery: runnel_api::connector::Delivery::default(),
            desired_state: runnel_api::connector::DesiredState::Running,
            on_destroy: runnel_api::connector::OnDestroy::default(),
            accept_position_loss: false,
            allow_plaintext_secrets: false,
            config_wo_version: None,
        },
        secret_keys: BTreeSet::from(["database.password".to_owned()]),
        cluster: KafkaClusterSpec {
            bootstrap_servers: "127.0.0.1:9092".into(),
            encryption_in_transit: EncryptionInTransit::Plaintext,
            client_authentication: ClientAuthentication::None,
            admin: None,
        },
        plugins: vec![plugin(MYSQL, "1.6.1.Final", &[POLL])],
        worker_configuration: None,
        role_problems: Vec::new(),
        runtimes: vec![runtime("3.9"), runtime("4.3")],
        current: None,
    }
}

pub(super) fn postgres() -> Case {
    let mut case = seed().plugin(POSTGRES, "3.5.0.Final");
    case.spec.config = config(&[("connector.class", POSTGRES), ("topic.prefix", "shop")]);
    case
}

#[test]
fn the_seed_derives_on_the_runtime_that_fits_with_one_remark_on_its_eight_lines() {
    let mut case = seed().with("database.history.kafka.bootstrap.servers", "127.0.0.1:9092");
    case.spec.config.extend(eight_lines());
    let (derived, derivation) = case.ok();
    assert_eq!(derived.kafkaconnect_version, "3.9");
    assert_eq!(derived.principal, "User:ANONYMOUS");
    assert_eq!(
        (derived.kafka_acls.len(), derived.enforcement),
        (0, Enforcement::None)
    );
    let messages: Vec<_> = derivation
        .warnings
        .iter()
        .map(|w| w.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "the role is stored and checked but not enforced: the cluster has no admin credentials",
            "8 lines for AWS_MSK_IAM are replaced: the Kafka cluster shop has no such login",
        ]
    );
    let detail = derivation.warnings[1].detail.as_deref().unwrap();
    for key in eight_lines().keys() {
        assert!(detail.contains(key), "{detail}");
    }
    let mut expected = seed().spec.config;
    expected.extend(config(&[
        ("name", "ecommerce-orders"),
        ("database.history.kafka.bootstrap.servers", "127.0.0.1:9092"),
        ("database.history.producer.security.protocol", "PLAINTEXT"),
        ("database.history.consumer.security.protocol", "PLAINTEXT"),
        ("database.password", "${secret:database.password}"),
    ]));
    assert_eq!(derivation.worker_config, expected);
    expected.insert("database.password".into(), "***".into());
    assert_eq!(derived.effective_config, expected);
}

#[test]
fn the_eight_lines_change_nothing_that_a_worker_gets() {
    let mut with = seed();
    with.spec.config.extend(eight_lines());
    assert_eq!(with.derive().worker_config, seed().derive().worker_config);
    assert_eq!(seed().derive().warnings.len(), 1);
}

#[test]
fn a_cluster_with_msk_iam_keeps_the_eight_lines_without_a_remark() {
    let mut case = seed();
    case.cluster.client_authentication = ClientAuthentication::AwsMskIam;
    case.cluster.encryption_in_transit = EncryptionInTransit::Tls {
        ca_certificate: None,
    };
    case.spec.config.extend(eight_lines());
    let (derived, derivation) = case.ok();
    for (key, value) in eight_lines() {
        assert_eq!(derivation.worker_config.get(&key), Some(&value));
    }
    assert_eq!(derivation.warnings.len(), 1);
    assert_eq!(
        derived.principal,
        "User:arn:aws:iam::000000000000:role/ecommerce"
    );
}

#[test]
fn servers_and_security_of_the_history_belong_to_the_cluster() {
    const SERVERS: &str = "database.history.kafka.bootstrap.servers";
    for accepted in ["", " 127.0.0.1:9092 ", "127.0.0.1:9092,"] {
        seed().with(SERVERS, accepted).ok();
    }
    let refused = |key: &str, value: &str| {
        let problem = seed().with(key, value).problem();
        assert_eq!(problem.field, Some(format!("config[{key:?}]")), "{value}");
        assert_eq!(problem.code, ErrorCode::InvalidArgument);
    };
    refused(SERVERS, "other:9092");
    refused("database.history.producer.bootstrap.servers", "other:9092");
    refused("database.history.producer.security.protocol", "SSL");
    refused("database.history.consumer.ssl.truststore.location", "/x");
    refused("database.history.consumer.sasl.mechanism", "PLAIN");
    refused("schema.history.internal.consumer.sasl.mechanism", "PLAIN");
    let mut secret = seed();
    secret
        .secret_keys
        .insert("database.history.producer.sasl.jaas.config".into());
    let field = "config_wo[\"database.history.producer.sasl.jaas.config\"]";
    assert_eq!(secret.problem().field.as_deref(), Some(field));
    // Anything else of these clients is the user's.
    let (_, free) = seed().with("database.history.producer.linger.ms", "5").ok();
    assert_eq!(
        free.worker_config["database.history.producer.linger.ms"],
        "5"
    );
}

#[test]
fn the_history_has_the_words_of_the_release() {
    const OLD: &str = "database.history.kafka.bootstrap.servers";
    const NEW: &str = "schema.history.internal.kafka.bootstrap.servers";
    let written = |class: &str, version: &str| {
        let config = seed().plugin(class, version).ok().1.worker_config;
        (config.contains_key(OLD), config.contains_key(NEW))
    };
    assert_eq!(written(MYSQL, "1.9.7.Final"), (true, false));
    assert_eq!(written(MYSQL, "2.0.0.Final"), (false, true));
    assert_eq!(written(MYSQL, "undefined"), (true, false));
    let maria = "io.debezium.connector.mariadb.MariaDbConnector";
    assert_eq!(written(maria, "3.5.0.Final"), (false, true));
    assert_eq!(
        written("io.debezium.connector.sqlserver.SqlServerConnector", "10.1"),
        (false, true)
    );
    assert_eq!(written(POSTGRES, "3.5.0.Final"), (false, false));
    let renamed = seed()
        .plugin(maria, "undefined")
        .without("database.server.name");
    let config = renamed.with("topic.prefix", "x").ok().1.worker_config;
    assert!(config.contains_key(NEW));
}

#[test]
fn a_history_outside_kafka_is_left_alone() {
    let file = "io.debezium.storage.file.history.FileSchemaHistory";
    let case = seed()
        .plugin(MYSQL, "3.5.0.Final")
        .with("schema.history.internal", file);
    let (_, derivation) = case.ok();
    assert!(
        !derivation
            .worker_config
            .keys()
            .any(|key| key.ends_with("bootstrap.servers"))
    );
    let kafka = "io.debezium.storage.kafka.history.KafkaSchemaHistory";
    let case = seed()
        .plugin(MYSQL, "3.5.0.Final")
        .with("schema.history.internal", kafka);
    assert!(
        case.ok()
            .1
            .worker_config
            .keys()
            .any(|key| key.ends_with("bootstrap.servers"))
    );
}

#[test]
fn a_ca_certificate_reaches_the_history_clients() {
    let mut case = seed();
    let pem = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----";
    case.cluster.encryption_in_transit = EncryptionInTransit::Tls {
        ca_certificate: Some(pem.into()),
    };
    let config = case.ok().1.worker_config;
    for client in ["producer", "consumer"] {
        let get = |key: &str| config[&format!("database.history.{client}.{key}")].as_str();
        assert_eq!(get("security.protocol"), "SSL");
        assert_eq!(get("ssl.truststore.type"), "PEM");
        assert_eq!(get("ssl.truststore.certificates"), pem);
    }
}

#[test]
fn the_class_must_be_in_a_plugin_or_in_kafka() {
    let case = |class: &str| seed().with("connector.class", class);
    let problem = case("io.debezium.connector.mysql.MySQLConector").problem();
    assert_eq!(
        problem.field.as_deref(),
        Some("config[\"connector.class\"]")
    );
    assert_eq!(problem.hint.unwrap(), format!("did you mean {MYSQL:?}?"));
    let moved = case("com.example.MySqlConnector").problem();
    assert_eq!(moved.hint.unwrap(), format!("did you mean {MYSQL:?}?"));
    let converter = case("io.debezium.converters.ByteArrayConverter").problem();
    assert!(converter.detail.unwrap().contains(MYSQL));
    assert!(
        seed()
            .without("connector.class")
            .problem()
            .message
            .contains("missing")
    );
    let misnamed = seed()
        .without("connector.class")
        .with("connector_class", MYSQL)
        .problem();
    assert!(misnamed.hint.unwrap().contains("connector_class"));
    for alias in [
        "MySqlConnector",
        "MySql",
        " io.debezium.connector.mysql.MySqlConnector ",
    ] {
        let (derived, _) = case(alias).ok();
        // Found under its alias, it is known for what it is: it has a schema history.
        let key = "database.history.kafka.bootstrap.servers";
        assert!(derived.effective_config.contains_key(key), "{alias}");
        assert_eq!(derived.effective_config["connector.class"], alias);
    }
}

#[test]
fn connectors_of_kafka_itself_need_no_plugin() {
    let mut case = seed();
    case.plugins.clear();
    case.secret_keys.clear();
    let class = "org.apache.kafka.connect.file.FileStreamSinkConnector";
    case.spec.config = config(&[("connector.class", class), ("topics", "a"), ("file", "/x")]);
    let (derived, derivation) = case.ok();
    assert_eq!(derived.kafkaconnect_version, "4.3");
    assert_eq!(derivation.worker_config.len(), 4);
    case.clone().with("connector.class", "FileStreamSink").ok();
}

#[test]
fn a_class_in_two_releases_has_no_meaning() {
    let mut case = seed();
    case.plugins.push(plugin(MYSQL, "3.5.0.Final", &[]));
    assert!(case.problem().detail.unwrap().contains("3.5.0.Final"));
}

#[test]
fn the_runtime_is_the_one_asked_for_if_it_fits() {
    let asked = |version: &str| {
        let mut case = seed();
        case.spec.kafkaconnect_version = Some(version.into());
        case
    };
    assert_eq!(asked("3.9").ok().0.kafkaconnect_version, "3.9");
    let problem = asked("4.3").problem();
    assert_eq!(problem.code, ErrorCode::IncompatibleRuntime);
    assert_eq!(problem.field.as_deref(), Some("kafkaconnect_version"));
    assert!(problem.detail.unwrap().contains(POLL));
    assert_eq!(
        problem.hint.unwrap(),
        "runtimes that fit all plugins are 3.9"
    );
    let unknown = asked("4.4").problem();
    assert_eq!(unknown.code, ErrorCode::InvalidArgument);
    assert!(unknown.detail.unwrap().contains("3.9, 4.3"));
    let mut none = seed();
    none.runtimes.clear();
    assert!(none.problem().hint.unwrap().contains("runnel runtime add"));
    let mut misfit = seed();
    misfit.runtimes.remove(0);
    let problem = misfit.problem();
    assert_eq!(problem.code, ErrorCode::IncompatibleRuntime);
    assert_eq!(problem.field.as_deref(), Some("plugins"));
    let mut unchecked = seed();
    unchecked.runtimes = vec![runtime("5.0")];
    assert!(
        unchecked
            .problem()
            .detail
            .unwrap()
            .contains("never checked")
    );
}

#[test]
fn the_runtime_stays_until_it_no_longer_fits() {
    assert_eq!(postgres().ok().0.kafkaconnect_version, "4.3");
    assert_eq!(
        postgres().existing("3.9").ok().0.kafkaconnect_version,
        "3.9"
    );
    let gone = postgres().existing("3.8");
    let (derived, derivation) = gone.ok();
    assert_eq!(derived.kafkaconnect_version, "4.3");
    let moves = "the connector moves from runtime 3.8 to 4.3";
    assert!(derivation.warnings.iter().any(|w| w.message == moves));
    assert_eq!(seed().existing("4.3").ok().0.kafkaconnect_version, "3.9");
}

#[test]
fn secrets_belong_into_config_wo() {
    let mut case = seed().with("database.password", "x");
    case.secret_keys.clear();
    let problem = case.problem();
    assert_eq!(problem.code, ErrorCode::PlaintextSecret);
    assert_eq!(
        problem.field.as_deref(),
        Some("config[\"database.password\"]")
    );
    assert!(
        problem.hint.as_deref().unwrap().contains("config_wo"),
        "{problem:?}"
    );
    let empty = case.clone().with("database.password", "");
    empty.ok();
    case.spec.allow_plaintext_secrets = true;
    assert_eq!(case.ok().1.worker_config["database.password"], "x");
    let both = seed().with("database.password", "x");
    let fields: Vec<_> = both
        .derive()
        .problems
        .into_iter()
        .filter_map(|p| p.field)
        .collect();
    assert_eq!(fields[0], "config_wo[\"database.password\"]");
    let typed = postgres().with("database.sslpassword", "x");
    assert_eq!(typed.problem().code, ErrorCode::PlaintextSecret);
}

#[test]
fn no_problem_or_remark_repeats_a_secret_that_stands_in_config() {
    let case = seed()
        .with("connection.password", "hunter2")
        .with("x.url", "http://me:hunter2@host/")
        .with("sasl.jaas.config", "X required password=\"hunter2\";");
    let derivation = case.derive();
    // Two secrets in the clear, and a login module that is not allowed.
    assert_eq!(derivation.problems.len(), 3);
    assert_eq!(derivation.warnings.len(), 2);
    assert!(!format!("{derivation:?}").contains("hunter2"));
}

#[test]
fn references_go_to_our_own_secrets_alone() {
    let case = |value: &str| seed().with("database.query", value);
    let problem = case("a${env:HOME}").problem();
    assert!(problem.message.contains("\"env\""), "{problem}");
    assert_eq!(problem.field.as_deref(), Some("config[\"database.query\"]"));
    assert!(
        case("${file:/etc/passwd:root}")
            .problem()
            .message
            .contains("\"file\"")
    );
    assert!(
        case("${secret:other}")
            .problem()
            .hint
            .unwrap()
            .contains("config_wo")
    );
    case("x?p=${secret:database.password}").ok();
    case("${topic}-${timestamp}").ok();
    seed()
        .with("other.password", "${secret:database.password}")
        .ok();
}

#[test]
fn keys_of_config_wo_are_secrets_and_nothing_else() {
    let case = |key: &str| {
        let mut case = seed();
        case.secret_keys = BTreeSet::from([key.to_owned()]);
        case.without(key)
    };
    for key in ["tasks.max", "database.server.name", "a}b", "${x"] {
        let problem = case(key).problem();
        assert_eq!(problem.field, Some(format!("config_wo[{key:?}]")));
    }
    assert!(
        case("name")
            .problem()
            .message
            .contains("name does not belong")
    );
    assert!(
        seed()
            .with("name", "x")
            .problem()
            .hint
            .unwrap()
            .contains("`name`")
    );
    assert!(
        seed()
            .with(" a", "x")
            .problem()
            .message
            .contains("no configuration key")
    );
    assert!(
        seed()
            .with("", "x")
            .problem()
            .message
            .contains("no configuration key")
    );
}

#[test]
fn tasks_max_is_a_positive_integer() {
    for bad in ["0", "-1", "x", "", "1.5", "99999999999"] {
        let problem = seed().with("tasks.max", bad).problem();
        assert_eq!(
            problem.field.as_deref(),
            Some("config[\"tasks.max\"]"),
            "{bad}"
        );
    }
    let (_, derivation) = seed().with("tasks.max", "2").ok();
    assert!(derivation.warnings[0].message.contains("runs one task"));
    let sql_server = "io.debezium.connector.sqlserver.SqlServerConnector";
    let (_, derivation) = seed()
        .plugin(sql_server, "3.5.0")
        .with("tasks.max", "2")
        .ok();
    assert_eq!(derivation.warnings.len(), 1);
}

#[test]
fn a_change_that_loses_the_position_must_be_accepted() {
    let lost = |case: Case, key: &str| {
        let problem = case.problem();
        assert_eq!(problem.code, ErrorCode::PositionLost);
        assert_eq!(problem.field, Some(format!("config[{key:?}]")));
        let mut accepted = case;
        accepted.spec.accept_position_loss = true;
        let (_, derivation) = accepted.ok();
        assert!(
            derivation
                .warnings
                .iter()
                .any(|w| w.message.contains("loses the"))
        );
    };
    let server = "database.server.name";
    lost(seed().existing("3.9").with(server, "other"), server);
    lost(seed().existing("3.9").without(server), server);
    lost(
        postgres().existing("4.3").with("topic.prefix", "other"),
        "topic.prefix",
    );
    lost(
        postgres().existing("4.3").with("slot.name", "other"),
        "slot.name",
    );
    postgres()
        .existing("4.3")
        .with("slot.name", "debezium")
        .ok();
    // The key's new name with the old value is the same place.
    let renamed = seed().existing("3.9").without(server);
    renamed.with("topic.prefix", "ecommerce-server").ok();
    // Elsewhere the key holds no position.
    let jdbc = seed().plugin("com.example.JdbcSourceConnector", "1");
    jdbc.with("topic.prefix", "a")
        .existing("4.3")
        .with("topic.prefix", "b")
        .ok();
}

#[test]
fn what_replaces_a_connector_is_not_changed_in_place() {
    let mut cluster = seed().existing("3.9");
    cluster.spec.kafka_cluster = Name::parse("other").unwrap();
    assert_eq!(cluster.problem().field.as_deref(), Some("kafka_cluster"));
    let class = seed()
        .existing("3.9")
        .with("connector.class", "FileStreamSource");
    assert_eq!(
        class.problem().field.as_deref(),
        Some("config[\"connector.class\"]")
    );
    let alias = seed().existing("3.9").with("connector.class", "MySql");
    alias.ok();
    let back = seed().with("connector.class", "MySql").existing("3.9");
    back.with("connector.class", MYSQL).ok();
}

fn scram() -> ClientAuthentication {
    ClientAuthentication::ScramSha512 {
        username: None,
        password_wo_version: None,
    }
}

#[test]
fn on_an_enforced_cluster_the_connector_is_a_user_of_its_own_and_its_history_logs_in_as_it() {
    let mut case = seed();
    case.spec.config.extend(eight_lines());
    case.cluster.encryption_in_transit = EncryptionInTransit::Tls {
        ca_certificate: Some("-----BEGIN CERTIFICATE-----".into()),
    };
    case.cluster.client_authentication = scram();
    case.cluster.admin = Some(runnel_api::kafka_cluster::Admin {
        username: "admin".into(),
        password_wo_version: None,
    });
    let (derived, derivation) = case.ok();
    assert_eq!(derived.principal, "User:runnel-test");
    assert_eq!(derived.enforcement, Enforcement::Acl);
    let of = |key: &str| derivation.worker_config.get(key).map(String::as_str);
    for client in ["producer", "consumer"] {
        let key = |setting: &str| format!("database.history.{client}.{setting}");
        assert_eq!(of(&key("security.protocol")), Some("SASL_SSL"));
        assert_eq!(of(&key("sasl.mechanism")), Some("SCRAM-SHA-512"));
        assert_eq!(of(&key("sasl.jaas.config")), None);
        assert_eq!(of(&key("ssl.truststore.type")), Some("PEM"));
    }
    assert_eq!(derivation.warnings.len(), 1, "{:?}", derivation.warnings);
}

#[test]
fn problems_of_role_cluster_and_worker_configuration_are_passed_on() {
    let mut case = seed();
    case.role_problems = vec![Problem::new(ErrorCode::RoleNotTrusted, "no").field("x")];
    assert_eq!(case.problem().code, ErrorCode::RoleNotTrusted);
    let mut case = seed();
    case.cluster.client_authentication = scram();
    assert_eq!(case.problem().field.as_deref(), Some("kafka_cluster"));
    let mut case = seed();
    case.worker_configuration = Some(WorkerConfigurationSpec {
        description: String::new(),
        properties: BTreeMap::new(),
    });
    assert_eq!(
        case.problem().field.as_deref(),
        Some("worker_configuration")
    );
}

fn any_config() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop_oneof![
        any::<String>(),
        prop::sample::select(seed().spec.config.into_keys().collect::<Vec<_>>()),
        prop::sample::select(eight_lines().into_keys().collect::<Vec<_>>()),
        "(schema.history.internal|database.history)[.](kafka|producer|consumer)[.][a-z.]{0,12}",
    ];
    let value = prop_oneof![
        any::<String>(),
        "[$]?[{]?[a-z]{0,6}:?[a-z.]{0,9}[}]?",
        Just(MYSQL.into())
    ];
    prop::collection::btree_map(key, value, 0..8)
}

proptest! {
    #[test]
    fn the_same_input_gives_the_same_answer_and_none_makes_it_panic(
        changes in any_config(),
        old in any_config(),
        secret_keys in prop::collection::btree_set(any::<String>(), 0..4),
        version in any::<String>(),
        keep in any::<bool>(),
        accept in any::<bool>(),
        counts in any::<(u32, u32, u32)>(),
    ) {
        let mut case = seed();
        if keep {
            case = case.existing(&version);
            if let Some((current, _)) = &mut case.current {
                current.config.extend(old);
            }
        } else {
            case.plugins = vec![plugin(MYSQL, &version, &[])];
        }
        case.spec.config.extend(changes);
        case.spec.accept_position_loss = accept;
        case.spec.allow_plaintext_secrets = accept;
        case.spec.capacity =
            Capacity::Provisioned { mcu_count: counts.0, worker_count: counts.1 };
        case.secret_keys.extend(secret_keys);
        let derivation = case.derive();
        prop_assert_eq!(&derivation, &case.derive());
        prop_assert_eq!(derivation.derived.is_some(), derivation.problems.is_empty());
        for problem in &derivation.problems {
            prop_assert!(problem.field.is_some(), "{problem:?}");
        }
        let _ = super::capacity::summary(&case.spec.capacity, accept);
    }

    #[test]
    fn what_config_wo_holds_shows_as_stars_and_as_a_placeholder(
        keys in prop::collection::btree_set("[a-z]{1,8}[.]password", 1..5),
    ) {
        let mut case = seed();
        case.secret_keys.clone_from(&keys);
        let (derived, derivation) = case.ok();
        for key in keys {
            prop_assert_eq!(&derived.effective_config[&key], "***");
            prop_assert_eq!(&derivation.worker_config[&key], &placeholder(&key));
        }
    }
}
