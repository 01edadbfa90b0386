//! The way into a real secured broker, and what goes wrong on it.

use super::*;
use crate::rig::{self, Secured};
use runnel_api::Secret;
use runnel_api::kafka_cluster::Authorizer;
use runnel_iam::{Acl, Operation, Pattern, Permission, ResourceType};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
const HOST: &str = "127.0.0.1";

pub(super) async fn secured() -> Secured {
    tokio::task::spawn_blocking(rig::secured).await.unwrap()
}

pub(super) fn login(username: &str, password: &str) -> Login {
    Login::ScramSha512 {
        username: username.into(),
        password: Secret::new(password),
    }
}

fn tls(ca: String) -> Encryption {
    Encryption::Tls {
        ca: Some(ca),
        client: None,
    }
}

fn at(port: u16, encryption: Encryption, login: Login) -> Access {
    Access {
        servers: vec![(HOST.into(), port)],
        encryption,
        login,
    }
}

pub(super) fn admin_access(secured: &Secured) -> Access {
    let login = login("admin", &secured.admin_password);
    at(secured.port, tls(secured.pem("ca.pem")), login)
}

async fn admin() -> KafkaAdmin {
    let access = admin_access(&secured().await);
    KafkaAdmin::connect(&access, TIMEOUT).await.unwrap()
}

/// Why opening failed at the only server.
async fn failure_of(access: &Access) -> Failure {
    match KafkaAdmin::connect(access, TIMEOUT).await {
        Ok(mut admin) => match admin.describe_cluster().await {
            Err(KafkaError::Call { failure, .. }) => failure,
            other => panic!("{other:?}"),
        },
        Err(KafkaError::NoneAnswered(mut failures)) => failures.remove(0).1,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_right_password_over_tls_gets_in() {
    let cluster = admin().await.describe_cluster().await.unwrap();
    assert_eq!(cluster.brokers.len(), 1);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused_without_telling_the_password() {
    let secured = secured().await;
    let right = admin_access(&secured);
    for login in [
        login("admin", "canary-password"),
        login("nobody,=", "canary-password"),
    ] {
        let error = KafkaAdmin::connect(&right.with_login(login), TIMEOUT)
            .await
            .unwrap_err();
        assert!(error.is_login_refused(), "{error:?}");
        assert_eq!(error.blame(), Some(Blame::Password));
        let told = format!("{error:?} {:?}", error.to_problem());
        assert!(!told.contains("canary"), "{told}");
    }
}

#[tokio::test]
async fn an_authority_that_did_not_sign_and_one_that_is_none_are_told_apart() {
    let secured = secured().await;
    let mut access = admin_access(&secured);
    access.encryption = tls(secured.pem("other-ca.pem"));
    let failure = failure_of(&access).await;
    assert!(matches!(failure, Failure::UnknownAuthority), "{failure:?}");
    for text in [
        "",
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        access.encryption = tls(text.into());
        let failure = failure_of(&access).await;
        assert!(matches!(failure, Failure::Authorities(_)), "{failure:?}");
    }
    // The machine's own authorities have not signed it either.
    access.encryption = Encryption::Tls {
        ca: None,
        client: None,
    };
    let failure = failure_of(&access).await;
    assert_eq!(failure.blame(), Blame::Authorities, "{failure:?}");
}

/// A TLS server with one of the rig's certificates, which ends the connection after the handshake.
async fn listener_with(secured: &Secured, certificate: &str) -> (u16, tokio::task::JoinHandle<()>) {
    let chain =
        CertificateDer::pem_slice_iter(secured.pem(&format!("{certificate}.pem")).as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
    let key = PrivateKeyDer::from_pem_slice(secured.pem(&format!("{certificate}.key")).as_bytes());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.unwrap())
        .unwrap();
    let listener = TcpListener::bind((HOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    (port, serving)
}

#[tokio::test]
async fn a_certificate_out_of_date_and_one_for_another_host_are_told_apart() {
    let secured = secured().await;
    let (port, serving) = listener_with(&secured, "expired").await;
    let access = at(port, tls(secured.pem("ca.pem")), Login::None);
    let failure = failure_of(&access).await;
    serving.await.unwrap();
    assert!(matches!(failure, Failure::Expired), "{failure:?}");
    assert_eq!(failure.blame(), Blame::Authorities);

    let (port, serving) = listener_with(&secured, "elsewhere").await;
    let access = at(port, tls(secured.pem("ca.pem")), Login::None);
    let failure = failure_of(&access).await;
    serving.await.unwrap();
    assert_eq!(
        failure.to_string(),
        "the broker's certificate is not for 127.0.0.1, but for broker.elsewhere.example"
    );
    assert_eq!(failure.blame(), Blame::Servers);
}

#[tokio::test]
async fn plain_and_tls_listeners_are_not_mixed_up() {
    let secured = secured().await;
    let plain = tokio::task::spawn_blocking(rig::broker).await.unwrap();
    let access = at(plain.1, tls(secured.pem("ca.pem")), Login::None);
    let failure = failure_of(&access).await;
    assert!(matches!(failure, Failure::NoTls), "{failure:?}");

    let access = at(secured.port, Encryption::Plaintext, Login::None);
    let failure = failure_of(&access).await;
    assert!(
        matches!(failure, Failure::SpeaksTls | Failure::ClosedAtOnce),
        "{failure:?}"
    );
    assert_eq!(failure.blame(), Blame::Encryption);
}

#[tokio::test]
async fn a_listener_that_is_silent_in_tls_costs_the_budget_and_no_more() {
    let secured = secured().await;
    let silent = TcpListener::bind((HOST, 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let access = at(port, tls(secured.pem("ca.pem")), Login::None);
    let error = KafkaAdmin::connect(&access, Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(error.blame(), Some(Blame::Servers));
    let detail = error.to_problem().detail.unwrap();
    assert!(detail.contains("no answer within"), "{detail}");
}

#[tokio::test]
async fn a_listener_with_sasl_lets_nobody_in_without_a_login() {
    let mut access = admin_access(&secured().await);
    access.login = Login::None;
    let failure = failure_of(&access).await;
    assert!(matches!(failure, Failure::LoginWanted), "{failure:?}");
    assert_eq!(failure.blame(), Blame::Mechanism);
}

#[tokio::test]
async fn a_mechanism_that_the_broker_does_not_know_is_told_with_those_it_knows() {
    let access = admin_access(&secured().await).with_login(Login::AwsMskIam);
    let failure = failure_of(&access).await;
    assert_eq!(
        failure.to_string(),
        "the broker does not accept the SASL mechanism AWS_MSK_IAM; it accepts SCRAM-SHA-512"
    );
    assert_eq!(failure.blame(), Blame::Mechanism);
}

pub(super) fn with_certificate(secured: &Secured, chain: &str, key: &str) -> Access {
    let client = ClientCertificate {
        chain: secured.pem(chain),
        key: Secret::new(secured.pem(key)),
    };
    let encryption = Encryption::Tls {
        ca: Some(secured.pem("ca.pem")),
        client: Some(client),
    };
    at(secured.mtls_port, encryption, Login::None)
}

#[tokio::test]
async fn a_client_certificate_gets_in_and_a_missing_strange_or_broken_one_is_told() {
    let secured = secured().await;
    let access = with_certificate(&secured, "client.pem", "client.key");
    let mut admin = KafkaAdmin::connect(&access, TIMEOUT).await.unwrap();
    assert_eq!(admin.describe_cluster().await.unwrap().brokers.len(), 1);

    let none = at(secured.mtls_port, tls(secured.pem("ca.pem")), Login::None);
    let failure = failure_of(&none).await;
    assert!(
        matches!(failure, Failure::ClientCertificateWanted(_)),
        "{failure:?}"
    );
    let failure = failure_of(&with_certificate(&secured, "stranger.pem", "stranger.key")).await;
    assert!(
        matches!(failure, Failure::ClientCertificateRefused(_)),
        "{failure:?}"
    );
    for (chain, key) in [
        ("client.pem", "stranger.key"),
        ("client.pem", "client.pem"),
        ("client.key", "client.key"),
    ] {
        let failure = failure_of(&with_certificate(&secured, chain, key)).await;
        assert!(
            matches!(failure, Failure::ClientCertificate(_)),
            "{failure:?}"
        );
        assert_eq!(failure.blame(), Blame::ClientCertificate);
    }
    let scram = access.with_login(login("admin", &secured.admin_password));
    let failure = failure_of(&scram).await;
    assert!(matches!(failure, Failure::NoLogin), "{failure:?}");
}

#[tokio::test]
async fn a_user_is_made_logs_in_gets_another_password_and_goes() {
    let secured = secured().await;
    let mut admin = admin().await;
    let access = |password: &str| admin_access(&secured).with_login(login("user,=1", password));
    assert!(!admin.scram_user_exists("user,=1").await.unwrap());
    for password in ["first", "second, with = and ü"] {
        let secret = Secret::new(password);
        admin.upsert_scram_user("user,=1", &secret).await.unwrap();
        try_login(&access(password), TIMEOUT).await.unwrap();
    }
    assert!(admin.scram_user_exists("user,=1").await.unwrap());
    assert!(admin.scram_users().await.unwrap().contains("user,=1"));
    let error = try_login(&access("first"), Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(error.is_login_refused(), "{error:?}");

    let gone = admin.delete_scram_user("user,=1").await.unwrap();
    assert_eq!(gone, UserDeletion::Deleted);
    let gone = admin.delete_scram_user("user,=1").await.unwrap();
    assert_eq!(gone, UserDeletion::Missing);
    assert!(!admin.scram_user_exists("user,=1").await.unwrap());
}

fn topic_acls(names: impl IntoIterator<Item = String>) -> BTreeSet<Acl> {
    let acl = |name| Acl {
        resource: ResourceType::Topic,
        pattern: Pattern::Prefixed,
        name,
        operation: Operation::Write,
        permission: Permission::Allow,
    };
    names.into_iter().map(acl).collect()
}

#[tokio::test]
async fn acls_are_made_read_and_deleted_and_those_of_others_stay() {
    let mut admin = admin().await;
    let mine = topic_acls(["orders".to_owned(), "events".to_owned()]);
    let theirs = topic_acls(["orders".to_owned()]);
    for _ in 0..2 {
        admin.create_acls("User:acl-me", &mine).await.unwrap();
    }
    admin.create_acls("User:acl-me-too", &theirs).await.unwrap();
    assert_eq!(admin.acls_of("User:acl-me").await.unwrap().known, mine);

    let one = Acls::from(theirs.clone());
    let deleted = admin.delete_acls("User:acl-me", &one).await.unwrap();
    assert_eq!(deleted, 1);
    assert_eq!(admin.delete_acls("User:acl-me", &one).await.unwrap(), 0);
    let left = admin.acls_of("User:acl-me").await.unwrap();
    assert_eq!(left.known, topic_acls(["events".to_owned()]));
    assert_eq!(admin.delete_all_acls_of("User:acl-me").await.unwrap(), 1);
    assert!(admin.acls_of("User:acl-me").await.unwrap().is_empty());
    assert_eq!(
        admin.acls_of("User:acl-me-too").await.unwrap().known,
        theirs
    );
    assert_eq!(
        admin.delete_all_acls_of("User:acl-me-too").await.unwrap(),
        1
    );
    let refused = admin.delete_all_acls_of("User:*").await.unwrap_err();
    assert!(matches!(refused, KafkaError::NoPrincipal(_)), "{refused:?}");
}

#[tokio::test]
async fn entries_that_no_policy_can_mean_are_reported_and_can_be_deleted() {
    let secured = secured().await;
    let add = [
        "acls",
        "--add",
        "--allow-principal",
        "User:acl-odd",
        "--allow-host",
        "10.0.0.1",
        "--operation",
        "ALL",
        "--topic",
        "odd",
    ];
    tokio::task::spawn_blocking(move || secured.tool(&add))
        .await
        .unwrap();
    let mut admin = admin().await;
    let mine = topic_acls(["even".to_owned()]);
    admin.create_acls("User:acl-odd", &mine).await.unwrap();
    let acls = admin.acls_of("User:acl-odd").await.unwrap();
    assert_eq!(acls.known, mine);
    let odd: Vec<String> = acls
        .foreign_shapes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(odd, ["ALLOW ALL topic odd from 10.0.0.1"]);
    let odd = Acls {
        known: BTreeSet::new(),
        foreign_shapes: acls.foreign_shapes,
    };
    assert_eq!(admin.delete_acls("User:acl-odd", &odd).await.unwrap(), 1);
    assert_eq!(admin.acls_of("User:acl-odd").await.unwrap().known, mine);
    assert_eq!(admin.delete_all_acls_of("User:acl-odd").await.unwrap(), 1);
}

#[tokio::test]
async fn more_acls_than_fit_into_one_request_are_made_and_deleted_in_one_go() {
    let mut admin = admin().await;
    let many = topic_acls((0..1_500).map(|number| format!("many-{number}")));
    admin.create_acls("User:acl-many", &many).await.unwrap();
    assert_eq!(admin.acls_of("User:acl-many").await.unwrap().known, many);
    let deleted = admin.delete_all_acls_of("User:acl-many").await.unwrap();
    assert_eq!(deleted, 1_500);
    assert!(admin.acls_of("User:acl-many").await.unwrap().is_empty());
}

#[tokio::test]
async fn who_may_not_ask_for_acls_gets_an_error_and_no_empty_list() {
    let secured = secured().await;
    let mut admin = admin().await;
    assert_eq!(admin.authorizer().await.unwrap(), Authorizer::On);
    let password = Secret::new("curious");
    admin.upsert_scram_user("curious", &password).await.unwrap();
    let access = admin_access(&secured).with_login(login("curious", "curious"));
    try_login(&access, TIMEOUT).await.unwrap();
    let mut curious = KafkaAdmin::connect(&access, TIMEOUT).await.unwrap();
    let error = curious.acls_of("User:curious").await.unwrap_err();
    assert!(error.code().unwrap().is_denied(), "{error:?}");
    assert_eq!(curious.authorizer().await.unwrap(), Authorizer::Unknown);
    let error = curious.scram_user_exists("curious").await.unwrap_err();
    assert!(error.code().unwrap().is_denied(), "{error:?}");
    admin.delete_scram_user("curious").await.unwrap();
}

#[tokio::test]
async fn a_broker_without_authorizer_says_so() {
    let plain = tokio::task::spawn_blocking(rig::broker).await.unwrap();
    let access = Access::plaintext(vec![plain]);
    let mut admin = KafkaAdmin::connect(&access, TIMEOUT).await.unwrap();
    assert_eq!(admin.authorizer().await.unwrap(), Authorizer::Off);
    let error = admin.acls_of("User:a").await.unwrap_err();
    assert!(error.is_security_disabled(), "{error:?}");
    let acls = topic_acls(["a".to_owned()]);
    let error = admin.create_acls("User:a", &acls).await.unwrap_err();
    assert!(error.is_security_disabled(), "{error:?}");
    // Nobody can log in there, so it stays unknown, and the user is gone all the same.
    let everyone = lets_everyone_in(&access, TIMEOUT).await;
    assert!(matches!(everyone, Everyone::Unknown(_)), "{everyone:?}");
    assert!(admin.scram_users().await.unwrap().is_empty());
}

/// Tests that look at all users of probes take turns: the broker is one.
static PROBE_USERS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn users_of_probes_cut_short_are_swept_and_nobody_else() {
    let _turn = PROBE_USERS.lock().await;
    let access = admin_access(&secured().await);
    let mut admin = admin().await;
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    let named = |middle: &str| format!("{PROBE_PREFIX}{middle}");
    let old = named("1700000000-AbC_-1");
    let fresh = named(&format!("{now}-AbC"));
    let others = [fresh, named("orders"), "runnel-1700000000-a".to_owned()];
    let password = Secret::new("of-a-probe");
    for username in others.iter().chain([&old]) {
        admin.upsert_scram_user(username, &password).await.unwrap();
    }
    let swept = sweep_probe_users(&access, TIMEOUT).await.unwrap();
    let left = admin.scram_users().await.unwrap();
    let again = sweep_probe_users(&access, TIMEOUT).await.unwrap();
    for username in &others {
        admin.delete_scram_user(username).await.unwrap();
    }
    assert_eq!(swept, std::slice::from_ref(&old));
    assert!(again.is_empty(), "{again:?}");
    assert!(!left.contains(&old), "{left:?}");
    assert!(others.iter().all(|other| left.contains(other)), "{left:?}");
}

#[tokio::test]
async fn a_stranger_is_refused_until_everybody_is_let_in() {
    let _turn = PROBE_USERS.lock().await;
    let secured = secured().await;
    let access = admin_access(&secured);
    let everyone = lets_everyone_in(&access, TIMEOUT).await;
    assert!(matches!(everyone, Everyone::Refused), "{everyone:?}");

    let tool = |verb: &'static str| {
        let secured = secured.clone();
        let arguments = [
            "acls",
            verb,
            "--allow-principal",
            "User:*",
            "--operation",
            "DESCRIBE",
            "--topic",
            PROBE_PREFIX,
            "--resource-pattern-type",
            "prefixed",
        ];
        let mut arguments = arguments.to_vec();
        if verb == "--remove" {
            arguments.push("--force");
        }
        tokio::task::spawn_blocking(move || secured.tool(&arguments))
    };
    tool("--add").await.unwrap();
    let everyone = lets_everyone_in(&access, TIMEOUT).await;
    tool("--remove").await.unwrap();
    assert!(matches!(everyone, Everyone::LetIn), "{everyone:?}");
    let users = admin().await.scram_users().await.unwrap();
    let left: Vec<&String> = users
        .iter()
        .filter(|user| user.starts_with(PROBE_PREFIX))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
