//! Records into and out of a real secured broker, over librdkafka.

use super::produce::{ProduceError, Producer};
use super::secured_tests::{TIMEOUT, admin_access, login, secured, with_certificate};
use super::tail::{TailArgs, TailEnd, tail};
use super::*;
use clap::Parser;
use runnel_iam::{Acl, Operation, Pattern, Permission, ResourceType};
use std::time::Duration;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: TailArgs,
}

async fn read(topic: &str, access: &Access) -> String {
    let line = ["tail", topic, "--count", "1"];
    let args = Line::try_parse_from(line).unwrap().args;
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = file.reopen().unwrap();
    assert_eq!(tail(&args, access, out).await.unwrap(), TailEnd::Count);
    std::fs::read_to_string(file.path()).unwrap()
}

async fn make(admin: &mut KafkaAdmin, name: &str) {
    let topic = TopicWanted {
        name: name.into(),
        partitions: 1,
        configs: std::collections::BTreeMap::new(),
    };
    admin.create_topics(&[topic]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_in_by_password_and_come_out_by_password_and_by_certificate() {
    let secured = secured().await;
    let access = admin_access(&secured);
    let mut admin = KafkaAdmin::connect(&access, TIMEOUT).await.unwrap();
    make(&mut admin, "secured-records").await;
    let producer = Producer::new(&access, TIMEOUT).unwrap();
    let records = [("key".to_owned(), b"value".to_vec())];
    producer.send("secured-records", &records).await.unwrap();
    assert_eq!(read("secured-records", &access).await, "value\n");

    let principal = "User:certificate-client";
    let acl = Acl {
        resource: ResourceType::Topic,
        pattern: Pattern::Literal,
        name: "secured-records".into(),
        operation: Operation::Read,
        permission: Permission::Allow,
    };
    admin.create_acls(principal, &[acl].into()).await.unwrap();
    let by_certificate = with_certificate(&secured, "client.pem", "client.key");
    assert_eq!(read("secured-records", &by_certificate).await, "value\n");
    assert_eq!(admin.delete_all_acls_of(principal).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_not_let_in_says_so_before_its_time_is_up() {
    let access = admin_access(&secured().await);
    let records = [("key".to_owned(), b"value".to_vec())];
    let wrong = access.with_login(login("admin", "canary-password"));
    let producer = Producer::new(&wrong, Duration::from_hours(1)).unwrap();
    let error = producer.send("any", &records).await.unwrap_err();
    assert!(matches!(error, ProduceError::LockedOut(_)), "{error:?}");
    assert!(error.is_refusal());
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let iam = access.with_login(Login::AwsMskIam);
    let error = Producer::new(&iam, TIMEOUT).unwrap_err();
    assert!(matches!(error, ProduceError::Login(_)), "{error:?}");
}
