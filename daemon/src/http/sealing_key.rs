//! `POST /api/v1/sealing-key/rotate`.

use super::access::Needs;
use super::audit::{self, Act};
use super::error::ApiError;
use super::{Route, Shared, route};
use crate::store::Store;
use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json};
use http::Method;
use runnel_api::server::SealingKeyRotation;

pub(super) fn routes() -> Vec<Route> {
    let path = "/api/v1/sealing-key/rotate";
    vec![route(Method::POST, Needs::Admin, path, post(rotate))]
}

/// Answers when all is sealed with another key. Nothing is started anew for it.
async fn rotate(
    State(api): Shared,
) -> Result<(Extension<Act>, Json<SealingKeyRotation>), ApiError> {
    let rotated = api.store.run(Store::rotate_sealing_key).await?;
    let SealingKeyRotation {
        secrets, passwords, ..
    } = rotated;
    tracing::info!(secrets, passwords, "the sealing key was rotated");
    let act = Act {
        after: Some((None, audit::shown(&rotated))),
        ..Act::default()
    };
    Ok((Extension(act), Json(rotated)))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Rig, read};
    use http::Method;
    use serde_json::json;

    #[tokio::test]
    async fn a_rotation_is_recorded_and_the_same_put_is_still_the_same() {
        let rig = Rig::start().await;
        let spec = rig.put_neighbours().await;
        let path = "/api/v1/connectors/orders";
        let body = json!({"spec": spec, "secrets": {"database.password": "hunter2"}});
        let (_, first) = rig.put(path, &body).await;
        let rotate = rig.request(Method::POST, "/api/v1/sealing-key/rotate");
        let (status, rotated) = read(rotate).await;
        assert_eq!((status, &rotated["secrets"]), (200, &json!(1)), "{rotated}");
        assert_eq!(rotated["old_key_removed"], true);
        let (status, again) = rig.put(path, &body).await;
        assert_eq!(status, 200, "{again}");
        assert_eq!(again["operation"]["id"], first["operation"]["id"]);

        let (_, log) = rig.get("/api/v1/audit").await;
        let mut items = log["items"].as_array().unwrap().iter();
        let record = items
            .find(|record| record.to_string().contains("sealing-key"))
            .unwrap();
        assert_eq!(record["name"], json!(null), "{record}");
        let text = record.to_string();
        assert!(text.contains("secrets") && text.contains("root"), "{text}");
        rig.end().await;
    }
}
