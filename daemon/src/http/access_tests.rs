//! Every route with every kind of token, and the table of them in the documentation.

use super::access::Needs;
use super::testing::{Rig, read};
use super::{Limits, Route, routes};
use crate::store::now_ms;
use http::Method;
use runnel_api::Name;
use runnel_api::token::{CreateToken, TokenRole};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

/// What stands for the parameters of a path.
fn filled(path: &str) -> String {
    path.replace("{kind}", "connector")
        .replace("{name}", "orders")
        .replace("{sha256}", &"0".repeat(64))
        .replace("{id}", "00000000-0000-0000-0000-000000000000")
}

fn unthrottled() -> Limits {
    Limits {
        failures_max: u32::MAX,
        ..Limits::default()
    }
}

/// What a request may bring with it, and the role that it has by that.
fn bearers(rig: &Rig) -> Vec<(&'static str, Option<String>, Option<TokenRole>)> {
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let expired = CreateToken {
        name: Name::parse("expired").unwrap(),
        role: TokenRole::Admin,
        expires_seconds: Some(1),
        pass_roles: Vec::new(),
    };
    let expired = rig.store.create_token(&expired, 0).unwrap();
    let revoked = rig.token("revoked", TokenRole::Admin, &[]);
    let name = Name::parse("revoked").unwrap();
    rig.store.revoke_token(&name).unwrap();
    let mut cut = rig.token.clone();
    cut.pop();
    let mut bearers = vec![
        ("no token", None, None),
        ("wrong", bearer("rnl_wrong"), None),
        ("cut", bearer(&cut), None),
        ("longer", bearer(&format!("{}x", rig.token)), None),
        ("empty", bearer(""), None),
        ("no scheme", Some(rig.token.clone()), None),
        ("Basic", Some("Basic cm9vdDo=".to_owned()), None),
        ("expired", bearer(expired.token.expose()), None),
        ("revoked", bearer(&revoked), None),
        ("root", bearer(&rig.token), Some(TokenRole::Admin)),
    ];
    for role in TokenRole::ALL {
        let token = rig.token(role.as_str(), role, &[]);
        bearers.push((role.as_str(), bearer(&token), Some(role)));
    }
    bearers
}

#[tokio::test]
async fn each_route_answers_each_kind_of_token_as_the_table_says() {
    let rig = Rig::with_limits(unthrottled()).await;
    let bearers = bearers(&rig);
    let table = routes();
    assert!(table.len() > 30);
    let mut refusals = std::collections::BTreeSet::new();
    for route in &table {
        let path = filled(route.path);
        for (what, authorization, role) in &bearers {
            let mut request = rig.bare(route.method.clone(), &path);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let (status, body) = read(request).await;
            let place = format!("{} {path} with {what}: {status} {body}", route.method);
            match (route.rule.needs.role(), role) {
                (None, _) => assert_eq!(status, 200, "{place}"),
                (Some(_), None) => {
                    assert_eq!(status, 401, "{place}");
                    refusals.insert(body.to_string());
                }
                (Some(needed), Some(role)) if *role < needed => {
                    assert_eq!(
                        (status, &body["code"]),
                        (403, &json!("FORBIDDEN")),
                        "{place}"
                    );
                    let message = body["message"].as_str().unwrap();
                    assert!(message.contains(&format!("the role {needed}")), "{place}");
                }
                // What it answers is its own; it was reached.
                (Some(_), Some(_)) => {
                    assert!(![401, 403, 405, 429].contains(&status), "{place}");
                    assert_ne!(body["code"], "UNKNOWN_ENDPOINT", "{place}");
                }
            }
        }
    }
    // Nobody learns from the answer what was wrong with a token.
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(refusals.iter().all(|text| text.contains("root.token")));
    for (what, authorization, role) in &bearers {
        for path in ["/", "/api/v2/x", "/v1/connectors"] {
            let mut request = rig.bare(Method::GET, path);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let expected = if role.is_some() { 404 } else { 401 };
            assert_eq!(read(request).await.0, expected, "{path} with {what}");
        }
    }
    rig.end().await;
}

/// The table again, by hand: what a role may do that the one below it may not.
#[test]
fn each_role_may_do_what_people_expect_of_its_name() {
    let least = |needs: Needs| -> Vec<String> {
        let of_role = |route: &Route| route.rule.needs == needs;
        let routes = routes().into_iter().filter(of_role);
        let mut paths: Vec<String> = routes
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        paths.sort();
        paths
    };
    assert_eq!(least(Needs::Nothing), ["GET /healthz"]);
    assert_eq!(
        least(Needs::Planner),
        [
            "GET /api/v1/plugins/{name}/content/{sha256}",
            "POST /api/v1/connectors/{name}/preview",
            "POST /api/v1/kafka-clusters/{name}/preview",
            "POST /api/v1/plugins/{name}/content",
        ]
    );
    assert_eq!(
        least(Needs::Operator),
        [
            "DELETE /api/v1/connectors/{name}",
            "DELETE /api/v1/kafka-clusters/{name}",
            "DELETE /api/v1/plugins/{name}",
            "DELETE /api/v1/roles/{name}",
            "DELETE /api/v1/worker-configurations/{name}",
            "POST /api/v1/connectors/{name}/restart",
            "POST /api/v1/connectors/{name}/rotate",
            "PUT /api/v1/connectors/{name}",
            "PUT /api/v1/kafka-clusters/{name}",
            "PUT /api/v1/plugins/{name}",
            "PUT /api/v1/roles/{name}",
            "PUT /api/v1/worker-configurations/{name}",
        ]
    );
    assert_eq!(
        least(Needs::Admin),
        [
            "DELETE /api/v1/tokens/{name}",
            "GET /api/v1/audit",
            "GET /api/v1/audit/verification",
            "GET /api/v1/tokens",
            "POST /api/v1/sealing-key/rotate",
            "POST /api/v1/shutdown",
            "POST /api/v1/tokens",
        ]
    );
    for route in routes() {
        let is_get = route.method == Method::GET;
        assert!(is_get || route.rule.needs > Needs::Viewer, "{}", route.path);
        assert!(!(is_get && route.rule.changes), "{}", route.path);
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_said_with_those_it_takes() {
    let rig = Rig::start().await;
    let path = "/api/v1/roles/a";
    let answer = rig.request(Method::PATCH, path).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()["allow"], "DELETE, GET, PUT");
    let head = rig.request(Method::HEAD, "/api/v1/roles").send().await;
    assert_eq!(head.unwrap().status(), 200);
    rig.end().await;
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let rig = Rig::start().await;
    let path = "/api/v1/tokens";
    let asked = json!({"name": "ci", "role": "planner", "expires_seconds": 60});
    let (status, made) = read(rig.request(Method::POST, path).json(&asked)).await;
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap().to_owned();
    let info = || rig.bare(Method::GET, "/api/v1/info").bearer_auth(&token);
    assert_eq!(read(info()).await.0, 200);
    let (_, listed) = rig.get(path).await;
    assert_eq!(listed["items"][0]["name"], "ci");
    assert_eq!(listed["items"][0]["prefix"], made["prefix"]);
    assert!(listed["items"][0]["last_used_ms"].as_u64().unwrap() <= now_ms());
    assert_eq!(listed["items"][1]["name"], "root");
    assert!(!listed.to_string().contains(&token));
    let (status, again) = read(rig.request(Method::POST, path).json(&asked)).await;
    assert_eq!((status, &again["field"]), (409, &json!("name")));
    let odd = json!({"name": "x", "role": "king"});
    let (status, odd) = read(rig.request(Method::POST, path).json(&odd)).await;
    assert_eq!((status, &odd["field"]), (400, &json!("role")));
    let revoke = |name: &str| read(rig.request(Method::DELETE, &format!("{path}/{name}")));
    assert_eq!(revoke("ci").await.0, 200);
    assert_eq!(read(info()).await.0, 401);
    assert_eq!(revoke("ci").await.0, 404);
    assert_eq!(revoke("root").await.0, 400);
    rig.end().await;
}

#[tokio::test]
async fn a_token_gives_connectors_no_role_but_those_it_may_pass() {
    let rig = Rig::start().await;
    let spec = rig.put_neighbours().await;
    let mine = "arn:aws:iam::*:role/read?r";
    let fits = rig.token("fits", TokenRole::Operator, &["arn:aws:iam::1:*", mine]);
    let other = ["arn:aws:iam::*:role/orders-*"];
    let limited = rig.token("limited", TokenRole::Operator, &other);
    let path = "/api/v1/connectors/orders";
    let put = |token: &str| {
        let request = rig.bare(Method::PUT, path).bearer_auth(token);
        read(request.json(&json!({"spec": spec})))
    };
    let (status, body) = put(&limited).await;
    assert_eq!((status, &body["code"]), (403, &json!("FORBIDDEN")));
    assert_eq!(body["field"], "service_execution_role_arn");
    assert!(body["detail"].as_str().unwrap().contains(other[0]));
    assert_eq!(rig.get(path).await.0, 404);

    let preview = format!("{path}/preview");
    let preview = rig.bare(Method::POST, &preview).bearer_auth(&limited);
    let (status, body) = read(preview.json(&json!({"spec": spec}))).await;
    assert_eq!(
        (status, &body["problems"][0]["code"]),
        (200, &json!("FORBIDDEN"))
    );
    assert_eq!(body["problems"][0]["field"], "service_execution_role_arn");
    assert_eq!(put(&fits).await.0, 201);

    // A role that may be passed must not be widened by who passes it.
    for method in [Method::PUT, Method::DELETE] {
        let request = rig.bare(method, "/api/v1/roles/reader").bearer_auth(&fits);
        let (status, body) = read(request.json(&json!({"spec": {}}))).await;
        assert_eq!((status, &body["code"]), (403, &json!("FORBIDDEN")));
    }
    rig.end().await;
}

#[tokio::test]
async fn a_planner_stages_plugins_but_not_without_end() {
    let rig = Rig::start().await;
    let token = rig.token("ci", TokenRole::Planner, &[]);
    let stage = |token: &str, content: String| {
        let path = "/api/v1/plugins/mysql/content";
        let request = rig.bare(Method::POST, path).bearer_auth(token);
        let request = request.header("content-type", "application/zip");
        read(request.body(content))
    };
    for number in 0..super::plugins::PLANNED_CONTENTS_MAX {
        let (status, body) = stage(&token, format!("PK {number}")).await;
        assert_eq!(status, 200, "{body}");
    }
    let (status, body) = stage(&token, "PK more".to_owned()).await;
    assert_eq!((status, &body["code"]), (422, &json!("CAPACITY_EXCEEDED")));
    assert_eq!(stage(&rig.token, "PK more".to_owned()).await.0, 200);
    rig.end().await;
}

#[tokio::test]
async fn too_many_wrong_tokens_are_told_to_wait_and_right_ones_are_not() {
    let limits = Limits {
        failures_max: 2,
        failure_period: Duration::from_hours(1),
        ..Limits::default()
    };
    let rig = Rig::with_limits(limits).await;
    let wrong = || rig.bare(Method::GET, "/api/v1/info").bearer_auth("x");
    for _ in 0..2 {
        assert_eq!(read(wrong()).await.0, 401);
    }
    for _ in 0..2 {
        let answer = wrong().send().await.unwrap();
        assert_eq!(answer.status(), 429);
        let wait = answer.headers()["retry-after"].to_str().unwrap().to_owned();
        assert!(
            (3500..=3601).contains(&wait.parse::<u64>().unwrap()),
            "{wait}"
        );
        assert_eq!(rig.get("/api/v1/info").await.0, 200);
        assert_eq!(read(rig.bare(Method::GET, "/healthz")).await.0, 200);
    }
    rig.end().await;
}

#[tokio::test]
async fn a_request_for_another_host_is_none_of_ours() {
    let rig = Rig::start().await;
    let ask = |host: &str| {
        let request = rig.request(Method::GET, "/api/v1/info");
        read(request.header("host", host))
    };
    for host in [
        "127.0.0.1",
        "127.8.8.8:1",
        "LOCALHOST:8083",
        "[::1]:8083",
        "Runnel.example.org:443",
    ] {
        assert_eq!(ask(host).await.0, 200, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "@",
        "",
    ] {
        let (status, body) = ask(host).await;
        assert_eq!(
            (status, &body["code"]),
            (421, &json!("INVALID_ARGUMENT")),
            "{host}"
        );
    }
    rig.end().await;
}

const BEGIN: &str = "<!-- permissions: begin -->";
const END: &str = "<!-- permissions: end -->";

/// One line for each route; the roles from the least.
fn permissions() -> String {
    let mut text = "\n| request | no token |".to_owned();
    for role in TokenRole::ALL {
        let _ = write!(text, " {role} |");
    }
    let _ = writeln!(text, "\n|---|{}", ":-:|".repeat(1 + TokenRole::ALL.len()));
    for route in routes() {
        let needed = route.rule.needs.role();
        let _ = write!(text, "| `{} {}` |", route.method, route.path);
        let mark = |may: bool| if may { " yes |" } else { " – |" };
        text.push_str(mark(needed.is_none()));
        for role in TokenRole::ALL {
            text.push_str(mark(needed.is_none_or(|needed| role >= needed)));
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// `UPDATE_TRANSCRIPTS=1` writes it.
#[test]
fn the_documentation_shows_who_may_call_what() {
    let page = format!("{}/../docs/security.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let wanted = permissions();
    if found != wanted && std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&page, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        found, wanted,
        "UPDATE_TRANSCRIPTS=1 writes docs/security.md"
    );
}
