//! `/api/v1/roles`.

use super::error::ApiError;
use super::objects::{self, Checked, Noun};
use super::{Api, Route};
use crate::store::{PutRequest, Stored};
use runnel_api::Object;
use runnel_api::role::{RoleSpec, RoleStatus};

pub(super) fn routes() -> Vec<Route> {
    objects::routes::<RoleSpec>("/api/v1/roles", "/api/v1/roles/{name}")
}

impl Noun for RoleSpec {
    type Status = RoleStatus;

    async fn check(api: &Api, request: &PutRequest<Self>) -> Result<Checked<Self>, ApiError> {
        objects::check_no_secrets(request.secrets.as_ref(), "role")?;
        api.role_check.check(&request.spec)?;
        Ok(Checked {
            compute: Box::new(|_| RoleStatus {}),
            warnings: Vec::new(),
        })
    }

    async fn show(_api: &Api, stored: Stored<Self>) -> Object<Self, Self::Status> {
        stored.object
    }
}
