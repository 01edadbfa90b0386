//! The service as Terraform calls it, without a socket: what the real binary does not exercise.

use std::time::SystemTime;

use async_trait::async_trait;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::Request;

use super::*;
use crate::access::Object;
use crate::context::Failure;
use crate::plan::Change;
use crate::provider::{DataSource, Ephemeral, Opened, Resource};
use crate::schema::{Attribute, Block, NestedBlock};
use crate::value::Type;
use tfplugin_proto::tfplugin6 as wire;

struct Toy;

fn size() -> Attribute {
    let inner = Attribute::single("inner", [Attribute::string("depth").optional()]);
    Attribute::single("size", [Attribute::string("name").optional(), inner])
}

fn schema() -> Schema {
    let rule = Block::new("A rule.").attribute(size());
    Schema::new("A toy.")
        .attribute(Attribute::string("name").required().requires_replace())
        .attribute(Attribute::string("id").computed())
        .attribute(Attribute::string("secret_wo").write_only())
        .attribute(size())
        .block(NestedBlock::list("rule", rule))
}

#[async_trait]
impl Provider for Toy {
    type Client = ();

    fn schema(&self) -> Schema {
        Schema::new("Toys.").attribute(Attribute::string("token").optional())
    }

    async fn configure(&self, setup: &mut Setup, config: &Object) -> Result<Option<()>, Failure> {
        if config.get::<Option<String>>("token")?.as_deref() == Some("wrong") {
            return Err(Diagnostic::error("Wrong token", "Nobody knows it.")
                .at("token")
                .into());
        }
        setup
            .diagnostics
            .warning("Hello", setup.terraform_version.clone());
        Ok(Some(()))
    }

    fn resources(&self) -> Vec<Box<dyn Resource<()>>> {
        vec![Box::new(ToyResource)]
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<()>>> {
        vec![]
    }

    fn ephemerals(&self) -> Vec<Box<dyn Ephemeral<()>>> {
        vec![Box::new(ToyKey)]
    }
}

struct ToyResource;

#[async_trait]
impl Resource<()> for ToyResource {
    fn type_name(&self) -> &'static str {
        "toy"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    fn validate(&self, _config: &Object, diagnostics: &mut Diagnostics) {
        let deep = crate::Path::attr("size")
            .attribute("inner")
            .attribute("depth");
        let in_block = crate::Path::attr("rule")
            .index(1)
            .attribute("size")
            .attribute("name");
        diagnostics.error_at(deep, "Deep", "Too deep.");
        diagnostics.error_at(in_block, "Named", "Wrong name.");
    }

    async fn plan(&self, _cx: &mut Context<()>, change: &mut Change) -> Result<(), Failure> {
        if change.config.get::<String>("name")? == "liar" {
            change.planned.set("name", "another");
        }
        Ok(())
    }

    async fn create(
        &self,
        cx: &mut Context<()>,
        plan: &Object,
        config: &Object,
    ) -> Result<Object, Failure> {
        cx.client()?;
        match plan.get::<String>("name")?.as_str() {
            "wait" => {
                cx.cancel.cancelled().await;
                let failure: Failure = Diagnostic::error("Stopped", "As you wished.").into();
                Err(failure.with_state(plan.clone()))
            }
            "unfit" => Ok(plan.clone().with("colour", "red")),
            _ => Ok(config.clone().with("id", "1")),
        }
    }

    async fn read(&self, _cx: &mut Context<()>, state: &Object) -> Result<Option<Object>, Failure> {
        Ok(Some(state.clone()))
    }

    async fn update(
        &self,
        _: &mut Context<()>,
        _: &Object,
        _: &Object,
        _: &Object,
    ) -> Result<Object, Failure> {
        Err(Failure::default())
    }

    async fn delete(&self, _: &mut Context<()>, _: &Object) -> Result<(), Failure> {
        panic!("no way");
    }
}

struct ToyKey;

#[async_trait]
impl Ephemeral<()> for ToyKey {
    fn type_name(&self) -> &'static str {
        "toy_key"
    }

    fn schema(&self) -> Schema {
        Schema::new("A key.").attribute(Attribute::string("value").computed())
    }

    async fn open(&self, cx: &mut Context<()>, config: &Object) -> Result<Opened, Failure> {
        cx.private.set("turns", 1);
        let renew_at = Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5));
        Ok(Opened {
            result: config.clone().with("value", "k"),
            renew_at,
        })
    }

    async fn renew(&self, cx: &mut Context<()>) -> Result<Option<SystemTime>, Failure> {
        let turns: u32 = cx.private.get("turns").unwrap_or_default();
        cx.private.set("turns", turns + 1);
        Ok(None)
    }
}

fn service() -> Service<Toy> {
    Service::new(Toy)
}

async fn configured() -> Service<Toy> {
    let service = service();
    let config = Value::object([("token", Value::Null)]);
    service
        .configure("1.11.4".to_owned(), &config)
        .await
        .expect("a configuration");
    service
}

fn toy(name: &str) -> Value {
    let value = Value::object([("name", Value::from(name)), ("rule", Value::List(vec![]))]);
    value.conform(&schema().ty()).expect("fits")
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the messages' fields")]
fn sent(value: &Value) -> Option<wire::DynamicValue> {
    Some(catalog::encode(value, &schema().ty()).expect("fits"))
}

fn got(value: Option<wire::DynamicValue>) -> Value {
    catalog::decode(value, &schema().ty()).expect("fits")
}

fn summaries(diagnostics: &[wire::Diagnostic]) -> Vec<&str> {
    diagnostics
        .iter()
        .map(|each| each.summary.as_str())
        .collect()
}

async fn planned(service: &Service<Toy>, name: &str) -> wire::plan_resource_change::Response {
    let request = wire::plan_resource_change::Request {
        type_name: "toy".to_owned(),
        prior_state: sent(&Value::Null),
        proposed_new_state: sent(&toy(name)),
        config: sent(&toy(name)),
        ..Default::default()
    };
    service
        .plan_resource_change(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner()
}

async fn applied(
    service: &Service<Toy>,
    prior: &Value,
    planned: &Value,
) -> wire::apply_resource_change::Response {
    let request = wire::apply_resource_change::Request {
        type_name: "toy".to_owned(),
        prior_state: sent(prior),
        planned_state: sent(planned),
        config: sent(planned),
        ..Default::default()
    };
    service
        .apply_resource_change(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner()
}

fn toy_with_unknown_id(name: &str) -> Value {
    let mut planned = toy(name);
    *planned.at_mut(&crate::Path::attr("id")).expect("is there") = Value::unknown();
    planned
}

#[tokio::test]
async fn a_path_into_an_attribute_ends_where_terraform_can_follow() {
    let request = wire::validate_resource_config::Request {
        type_name: "toy".to_owned(),
        config: sent(&toy("x")),
        client_capabilities: None,
    };
    let answer = service()
        .validate_resource_config(Request::new(request))
        .await
        .expect("no gRPC error");
    let found: Vec<(String, String)> = answer
        .into_inner()
        .diagnostics
        .iter()
        .map(|each| {
            let path = each
                .attribute
                .as_ref()
                .map(crate::Path::from_wire)
                .unwrap_or_default();
            (path.to_string(), each.detail.clone())
        })
        .collect();
    let expected = [
        (r#"size["inner"]"#, "At size.inner.depth: Too deep."),
        (r#"rule[1].size["name"]"#, "Wrong name."),
    ];
    let expected: Vec<_> = expected
        .map(|(path, detail)| (path.to_owned(), detail.to_owned()))
        .to_vec();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn write_only_arguments_need_a_terraform_that_knows_them() {
    let mut config = toy("x");
    *config
        .at_mut(&crate::Path::attr("secret_wo"))
        .expect("is there") = Value::from("s");
    for (allowed, expected) in [(false, 3), (true, 2)] {
        let request = wire::validate_resource_config::Request {
            type_name: "toy".to_owned(),
            config: sent(&config),
            client_capabilities: Some(wire::ClientCapabilities {
                write_only_attributes_allowed: allowed,
                deferral_allowed: false,
            }),
        };
        let answer = service()
            .validate_resource_config(Request::new(request))
            .await
            .expect("no gRPC error");
        assert_eq!(answer.into_inner().diagnostics.len(), expected);
    }
}

#[tokio::test]
async fn a_dishonest_plan_is_named_in_a_debug_build() {
    let answer = planned(&configured().await, "liar").await;
    assert_eq!(
        summaries(&answer.diagnostics),
        ["Provider breaks the rule PlannedIsConfigured"]
    );
    let honest = planned(&configured().await, "honest").await;
    assert_eq!(honest.diagnostics, []);
    assert_eq!(got(honest.planned_state), toy_with_unknown_id("honest"));
}

#[tokio::test]
async fn stop_cancels_what_runs_and_nothing_that_comes_later() {
    let service = configured().await;
    let plan = toy_with_unknown_id("wait");
    let running = tokio::spawn({
        let (service, plan) = (service.clone(), plan.clone());
        async move { applied(&service, &Value::Null, &plan).await }
    });
    tokio::task::yield_now().await;
    service
        .stop_provider(Request::new(wire::stop_provider::Request {}))
        .await
        .expect("no gRPC error");
    let stopped = running.await.expect("no panic");
    assert_eq!(summaries(&stopped.diagnostics), ["Stopped"]);
    assert_eq!(
        got(stopped.new_state),
        toy("wait"),
        "what exists is kept, unknowns become null"
    );
    assert!(!service.cancel_token().is_cancelled());
}

#[tokio::test]
async fn every_failure_is_a_diagnostic() {
    let service = configured().await;
    let state = toy("x");
    let unfit = applied(&service, &Value::Null, &toy_with_unknown_id("unfit")).await;
    assert_eq!(
        summaries(&unfit.diagnostics),
        ["Provider returned a value that does not fit its schema"]
    );
    let silent = applied(&service, &state, &toy("y")).await;
    assert_eq!(summaries(&silent.diagnostics), ["The provider failed"]);
    assert_eq!(
        got(silent.new_state),
        state,
        "a failed update without a state keeps the old one"
    );
    let crashed = applied(&service, &state, &Value::Null).await;
    assert_eq!(
        summaries(&crashed.diagnostics),
        ["The provider has crashed"]
    );
    assert!(crashed.diagnostics[0].detail.contains("no way"));

    let garbage = wire::DynamicValue {
        msgpack: vec![0xc1].into(),
        ..Default::default()
    };
    let request = wire::read_resource::Request {
        type_name: "toy".to_owned(),
        current_state: Some(garbage),
        ..Default::default()
    };
    let answer = service
        .read_resource(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner();
    assert_eq!(summaries(&answer.diagnostics), ["Unreadable value"]);
    let request = wire::read_resource::Request {
        type_name: "ball".to_owned(),
        ..Default::default()
    };
    let answer = service
        .read_resource(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner();
    assert_eq!(summaries(&answer.diagnostics), ["Unknown resource type"]);
    let request = wire::move_resource_state::Request::default();
    let answer = service
        .move_resource_state(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner();
    assert_eq!(summaries(&answer.diagnostics), ["Not supported"]);
}

#[tokio::test]
async fn a_provider_that_is_not_configured_says_so() {
    let answer = applied(&service(), &Value::Null, &toy_with_unknown_id("x")).await;
    assert_eq!(summaries(&answer.diagnostics), ["Provider not configured"]);
    let ty = Type::object([("token", Type::String)]);
    let config = Value::object([("token", "wrong")]);
    let config = Some(catalog::encode(&config, &ty).expect("fits"));
    let request = wire::configure_provider::Request {
        config,
        ..Default::default()
    };
    let answer = service()
        .configure_provider(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner();
    assert_eq!(summaries(&answer.diagnostics), ["Wrong token"]);
}

#[tokio::test]
async fn a_state_of_the_same_version_is_handed_back_or_completed() {
    let whole = br#"{"id":"1","name":"x","rule":[],"secret_wo":null,"size":null}"#;
    let lacking = br#"{"id":"1","name":"x","rule":[],"gone":true}"#;
    for (stored, as_it_is) in [(&whole[..], true), (&lacking[..], false)] {
        let raw = wire::RawState {
            json: stored.to_vec(),
            ..Default::default()
        };
        let request = wire::upgrade_resource_state::Request {
            type_name: "toy".to_owned(),
            version: 0,
            raw_state: Some(raw),
        };
        let answer = service()
            .upgrade_resource_state(Request::new(request))
            .await
            .expect("no gRPC error");
        let state = answer.into_inner().upgraded_state.expect("a state");
        assert_eq!(state.json == stored, as_it_is);
        assert_eq!(
            got(Some(state)).at(&crate::Path::attr("id")),
            Some(&Value::from("1"))
        );
    }
}

#[tokio::test]
async fn an_ephemeral_resource_carries_its_private_state() {
    let service = configured().await;
    let ty = Type::object([("value", Type::String)]);
    let config =
        Some(catalog::encode(&Value::object([("value", Value::Null)]), &ty).expect("fits"));
    let request = wire::open_ephemeral_resource::Request {
        type_name: "toy_key".to_owned(),
        config,
        client_capabilities: None,
    };
    let opened = service
        .open_ephemeral_resource(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner();
    assert_eq!(opened.diagnostics, []);
    assert_eq!(opened.renew_at.map(|at| at.seconds), Some(5));
    let request = wire::renew_ephemeral_resource::Request {
        type_name: "toy_key".to_owned(),
        private: opened.private,
    };
    let renewed = service
        .renew_ephemeral_resource(Request::new(request))
        .await
        .expect("no gRPC error")
        .into_inner();
    assert_eq!(renewed.private.as_deref(), Some(&br#"{"turns":2}"#[..]));
    assert_eq!(renewed.renew_at, None);
}
