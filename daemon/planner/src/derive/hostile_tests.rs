//! A test for each rule, and for what must pass.

use super::super::placeholder;
use super::super::tests::{Case, MYSQL, POSTGRES, seed};
use super::*;

/// The problems of a configuration with one key more, as one text.
fn refused(key: &str, value: &str) -> Vec<String> {
    let mut case = seed().with(key, value);
    case.spec.allow_plaintext_secrets = true;
    texts(&case)
}

fn texts(case: &Case) -> Vec<String> {
    let text = |problem: Problem| {
        let field = problem.field.unwrap_or_default();
        let detail = problem.detail.unwrap_or_default();
        let hint = problem.hint.unwrap_or_default();
        format!("{field}|{}|{detail}|{hint}", problem.message)
    };
    case.derive().problems.into_iter().map(text).collect()
}

/// Key, value, and what the refusal must say.
const ATTACKS: &[(&str, &str, &str)] = &[
    ("config.providers", "env", "CVE-2024-31141"),
    (
        "producer.override.config.providers",
        "file",
        "config providers beyond files are refused",
    ),
    (
        "schema.history.internal.producer.config.providers.x.class",
        "a.B",
        "config providers beyond files",
    ),
    (
        "x",
        "${env:PATH}",
        "config providers beyond files are refused",
    ),
    ("x", "a ${file:/etc/passwd:root} b", "\"file\""),
    ("x", "${directory:/etc:passwd}", "\"directory\""),
    ("x", "${vault:a:b}", "\"vault\""),
    ("x", "${jndi:ldap://h/a}", "\"jndi\""),
    ("plugin.path", "/tmp", "runnel_plugin"),
    (
        "interceptor.classes",
        "evil.Interceptor",
        "with every record",
    ),
    (
        "producer.override.interceptor.classes",
        "org.apache.kafka.A,evil.B",
        "evil.B",
    ),
    ("metric.reporters", "evil.Reporter", "evil.Reporter"),
    (
        "admin.override.security.providers",
        "evil.Provider",
        "security classes",
    ),
    (
        "producer.override.ssl.engine.factory.class",
        "evil.Engine",
        "security classes",
    ),
    (
        "producer.override.sasl.login.class",
        "evil.Login",
        "part in a login",
    ),
    (
        "signal.consumer.sasl.client.callback.handler.class",
        "evil.Handler",
        "part in a login",
    ),
    (
        "sasl.login.callback.handler.class",
        "evil.Handler",
        "runnel_kafka_cluster",
    ),
    (
        "producer.override.sasl.oauthbearer.token.endpoint.url",
        "file:///etc/passwd",
        "CVE-2025-27817",
    ),
    (
        "signal.consumer.sasl.oauthbearer.jwks.endpoint.url",
        "http://169.254.1.1/",
        "CVE-2025-27817",
    ),
    (
        "consumer.override.sasl.oauthbearer.assertion.private.key.file",
        "/etc/shadow",
        "OAUTHBEARER",
    ),
    (
        "admin.override.sasl.oauthbearer.jwt.retriever.class",
        "evil.Retriever",
        "by its name",
    ),
    ("hibernate.jndi.url", "ldap://h", "JNDI"),
    ("hibernate.connection.datasource", "ldap://h/x", "JNDI"),
    (
        "hibernate.c3p0.userOverridesAsString",
        "HexAsciiSerializedMap[00]",
        "serialised",
    ),
    (
        "hibernate.connection.provider_class",
        "evil.Provider",
        "evil.Provider",
    ),
    ("connection.provider", "evil.Provider", "credentials"),
    (
        "database.jdbc.driver",
        "javax.naming.InitialContext",
        "no JDBC driver",
    ),
    ("hibernate.hbm2ddl.import_files", "/tmp/x.sql", "scripts"),
    (
        "connection.url",
        "jdbc:h2:mem:x;INIT=RUNSCRIPT FROM 'http://h/x.sql'",
        "CVE-2022-23221",
    ),
    ("x.url", " JDBC:HSQLDB:mem:x", "CVE-2022-41853"),
    ("connection.url", "jdbc:sqlite:/etc/x", "native code"),
    (
        "connection.url",
        "jdbc:postgresql://h/db?user=a&socketFactory=evil.F&socketFactoryArg=x",
        "CVE-2022-21724",
    ),
    (
        "connection.url",
        "jdbc:postgresql://h/db?logger%46ile=/tmp/x",
        "CVE-2022-26520",
    ),
    (
        "connection.url",
        "jdbc:mysql://h/db?autoDeserialize=true",
        "Java objects",
    ),
    (
        "connection.url",
        "jdbc:mysql://(host=h,port=1,ALLOWLOADLOCALINFILE=true)/db",
        "the worker's files",
    ),
    (
        "connection.url",
        "jdbc:mariadb://h/db?x=1&allowLocalInfile=1",
        "the worker's files",
    ),
    (
        "connection.url",
        "jdbc:sqlserver://h;socketFactoryClass=evil.F;",
        "mssql-jdbc",
    ),
    (
        "connection.url",
        "jdbc:db2://h/d:clientRerouteServerListJNDIName=ldap://h/x;",
        "CVE-2023-27867",
    ),
    (
        "connection.url",
        "jdbc:aws-wrapper:postgresql://h/db?sslpasswordcallback=evil.C",
        "pgjdbc",
    ),
    ("connection.url", "jdbc:oracle:thin:@ldap://h/x", "JNDI"),
    (
        "connection.url",
        "http://169.254.169.254/latest/",
        "metadata",
    ),
    ("database.hostname", "metadata.google.internal", "metadata"),
];

#[test]
fn every_attack_is_refused_at_its_key_with_what_it_is() {
    for (key, value, says) in ATTACKS {
        let problems = refused(key, value);
        let field = format!("config[{key:?}]|");
        assert!(
            problems
                .iter()
                .any(|text| text.starts_with(&field) && text.contains(says)),
            "{key} = {value}: {problems:#?}"
        );
        let hint = problems[0].rsplit('|').next().unwrap_or_default();
        assert!(!hint.is_empty(), "{key}: no hint");
    }
}

#[test]
fn every_property_of_a_driver_is_refused_behind_each_prefix_and_in_config_wo() {
    for name in driver::names() {
        for prefix in [
            "driver.",
            "database.",
            "hibernate.connection.",
            "connection.",
        ] {
            let key = format!("{prefix}{}", name.to_uppercase());
            assert_eq!(refused(&key, "true or evil.Class").len(), 1, "{key}");
            assert!(refused(&key, " false").is_empty(), "{key}");
            let mut case = seed();
            case.secret_keys.insert(key.clone());
            let problems = texts(&case);
            assert!(
                problems[0].starts_with(&format!("config_wo[{key:?}]|")),
                "{problems:?}"
            );
        }
        let url = format!("jdbc:postgresql://h/db?{name}=evil.Class");
        assert_eq!(refused("connection.url", &url).len(), 1, "{url}");
    }
}

#[test]
fn only_known_login_modules_pass() {
    let jaas = |text: &str| {
        let mut problems = refused("signal.consumer.sasl.jaas.config", text);
        problems.pop().unwrap_or_default()
    };
    for module in [
        "com.sun.security.auth.module.JndiLoginModule",
        "com.sun.security.auth.module.LdapLoginModule",
        "com.sun.security.auth.module.Krb5LoginModule",
        "com.sun.security.auth.module.KeyStoreLoginModule",
        "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule",
    ] {
        let alone = jaas(&format!(
            "{module} required user.provider.url=\"ldap://h\";"
        ));
        assert!(
            alone.contains(module) && alone.contains("CVE-2023-25194"),
            "{alone}"
        );
        let second = jaas(&format!(
            "org.apache.kafka.common.security.scram.ScramLoginModule required;{module} required;"
        ));
        assert!(second.contains(module), "{second}");
    }
    assert!(jaas("a.B required // \"\n; c.D required; // \"").contains("comment"));
    let near = jaas("org.apache.kafka.common.security.scram.ScramLoginModul required;");
    assert!(
        near.contains("did you mean org.apache.kafka.common.security.scram"),
        "{near}"
    );
    for good in [
        "",
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"a/b\" password=\"c;d\";",
        "org.apache.kafka.common.security.plain.PlainLoginModule required\n username='a' password='b' ;",
        "software.amazon.msk.auth.iam.IAMLoginModule required;",
    ] {
        assert_eq!(jaas(good), "", "{good}");
    }
}

#[test]
fn the_eight_lines_of_msk_and_ordinary_configurations_pass() {
    seed().ok();
    for (key, value) in [
        (
            "sasl.jaas.config",
            "software.amazon.msk.auth.iam.IAMLoginModule required;",
        ),
        ("producer.override.linger.ms", "5"),
        (
            "metric.reporters",
            "org.apache.kafka.common.metrics.JmxReporter",
        ),
        ("interceptor.classes", ""),
        (
            "sasl.client.callback.handler.class",
            "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
        ),
        ("database.sslmode", "verify-full"),
        (
            "database.sslfactory",
            "org.postgresql.ssl.NonValidatingFactory",
        ),
        ("database.ssl.truststore", "/certificates/trust.jks"),
        ("database.allowPublicKeyRetrieval", "true"),
        ("database.autoDeserialize", "FALSE"),
        ("database.jdbc.driver", "com.mysql.cj.jdbc.Driver"),
        ("driver.socketTimeout", "3000"),
        (
            "connection.provider",
            "org.hibernate.c3p0.internal.C3P0ConnectionProvider",
        ),
        (
            "hibernate.dialect",
            "org.hibernate.dialect.PostgreSQLDialect",
        ),
        (
            "connection.url",
            "jdbc:postgresql://h:5432/db?ssl=true&sslmode=require&currentSchema=a",
        ),
        (
            "connection.url",
            "jdbc:mysql://h/db?useSSL=true&autoDeserialize=false&logger=Slf4JLogger",
        ),
        (
            "connection.url",
            "jdbc:sqlserver://h:1433;databaseName=x;encrypt=true",
        ),
        ("transforms.route.replacement", "${topic}-$1"),
        ("note", "the class jdbc:x is no URL"),
        ("topic.prefix.file.url", "x"),
    ] {
        assert_eq!(refused(key, value), Vec::<String>::new(), "{key} = {value}");
    }
}

#[test]
fn a_secret_is_refused_by_its_key_or_when_it_arrives() {
    let with = |key: &str| {
        let mut case = seed();
        case.secret_keys.insert(key.to_owned());
        texts(&case)
    };
    let problems = with("producer.override.sasl.login.class");
    assert!(problems[0].contains("which is no secret"), "{problems:?}");
    for fine in ["connection.url", "signal.consumer.sasl.jaas.config", "x"] {
        assert!(with(fine).is_empty(), "{fine}");
    }
    for (key, value, says) in [
        (
            "connection.url",
            "jdbc:mysql://h/d?password=hunter2&autoDeserialize=yes",
            "autodeserialize",
        ),
        (
            "a.sasl.jaas.config",
            "evil.Module required password=\"hunter2\";",
            "evil.Module",
        ),
        ("x", "hunter2${env:HOME}", "\"env\""),
        ("x.url", "http://hunter2@169.254.169.254/", "metadata"),
    ] {
        let problem = check_secret_value(key, value).unwrap();
        assert_eq!(
            problem.field.as_deref(),
            Some(&*format!("config_wo[{key:?}]"))
        );
        assert!(problem.message.contains(says), "{problem:?}");
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
    for fine in [
        "pa${ss",
        "${topic}",
        "p${x:y}w",
        "a/b;c\"d",
        "jdbc:postgresql://h/d?password=%2F",
    ] {
        assert_eq!(
            check_secret_value("database.password", fine),
            None,
            "{fine}"
        );
    }
    let later = placeholder("j");
    let mut case = seed().with("signal.consumer.sasl.jaas.config", &later);
    case.secret_keys.insert("j".into());
    assert_eq!(texts(&case), Vec::<String>::new());
}

#[test]
fn a_file_connector_never_gets_the_daemons_or_the_kernels_files() {
    for class in [
        "FileStreamSource",
        "org.apache.kafka.connect.file.FileStreamSinkConnector",
    ] {
        let case = |file: &str| {
            seed()
                .with("connector.class", class)
                .with("topics", "t")
                .with("file", file)
        };
        for path in [
            "/proc/self/environ",
            "/var/lib/runnel/sealing.key",
            "/var/lib/runnel/fleets/x/secrets/secrets-0a.properties",
            "/srv/../etc/shadow",
            "../../runnel.db",
        ] {
            let problems = texts(&case(path));
            assert!(
                problems[0].starts_with("config[\"file\"]|"),
                "{path}: {problems:?}"
            );
        }
        let derivation = case("/srv/data/lines.txt").derive();
        assert_eq!(derivation.problems, []);
        let told = derivation.warnings.iter().any(|warning| {
            warning.field.as_deref() == Some("config[\"file\"]")
                && warning
                    .detail
                    .as_deref()
                    .unwrap_or_default()
                    .contains("readable_paths")
        });
        assert!(told);
    }
    // Another connector's key of that name is its own.
    seed().with("file", "/proc/self/environ").ok();
}

#[test]
fn an_unlisted_class_is_remarked_on_and_not_refused() {
    let remarks = |key: &str, value: &str| {
        let (_, derivation) = seed().with(key, value).ok();
        let field = format!("config[{key:?}]");
        let own = derivation
            .warnings
            .into_iter()
            .filter(|w| w.field.as_ref() == Some(&field));
        let own: Vec<_> = own
            .map(|w| format!("{}; {}", w.message, w.detail.unwrap_or_default()))
            .collect();
        own.concat()
    };
    assert!(
        remarks("transforms.a.type", "evil.Transform").contains("lists the class evil.Transform")
    );
    assert!(
        remarks(
            "value.converter",
            "io.debezium.converters.ByteArrayConvertor"
        )
        .contains("did you mean \"io.debezium.converters.ByteArrayConverter\"")
    );
    for (key, value) in [
        (
            "value.converter",
            "io.debezium.converters.ByteArrayConverter",
        ),
        ("value.converter", "ByteArrayConverter"),
        (
            "key.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("transforms.a.b.type", "x.Y"),
        ("transforms.type", "x.Y"),
    ] {
        assert_eq!(remarks(key, value), "", "{key} = {value}");
    }
}

#[test]
fn other_classes_are_under_the_same_rules() {
    for class in [MYSQL, POSTGRES] {
        let case = seed()
            .plugin(class, "3.5.0.Final")
            .with("driver.socketFactory", "evil.F");
        assert!(texts(&case)[0].contains("driver.socketFactory would make the driver"));
    }
}
