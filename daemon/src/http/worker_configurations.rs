//! `/api/v1/worker-configurations`.

use super::error::ApiError;
use super::objects::{self, Checked, Noun};
use super::{Api, Route};
use crate::store::{PutRequest, Stored};
use runnel_api::worker_configuration::{WorkerConfigurationSpec, WorkerConfigurationStatus};
use runnel_api::{ErrorCode, Object, Problem};

pub(super) fn routes() -> Vec<Route> {
    objects::routes::<WorkerConfigurationSpec>(
        "/api/v1/worker-configurations",
        "/api/v1/worker-configurations/{name}",
    )
}

impl Noun for WorkerConfigurationSpec {
    type Status = WorkerConfigurationStatus;

    async fn check(_api: &Api, request: &PutRequest<Self>) -> Result<Checked<Self>, ApiError> {
        objects::check_no_secrets(request.secrets.as_ref(), "worker configuration")?;
        objects::check_description(&request.spec.description)?;
        if let Some((key, message)) = request.spec.refused() {
            let problem = Problem::new(ErrorCode::InvalidArgument, message);
            return Err(problem.field(format!("properties[{key:?}]")).into());
        }
        let sha256 = request.spec.sha256();
        Ok(Checked {
            compute: Box::new(move |_| WorkerConfigurationStatus { sha256 }),
            warnings: Vec::new(),
        })
    }

    async fn show(_api: &Api, stored: Stored<Self>) -> Object<Self, Self::Status> {
        stored.object
    }
}
