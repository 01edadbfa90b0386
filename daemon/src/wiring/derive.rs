//! The planner's derivation behind the API's seam.

use crate::http::seams::{DeriveRequest, Deriver};
use runnel_api::connector::Previewed;
use runnel_api::server::RuntimeInfo;
use runnel_planner::derive::{Current, DeriveInput, derive};

/// Derives with the runtimes of this daemon.
pub(super) struct Derive {
    /// Registered runtimes, oldest first.
    pub runtimes: Vec<RuntimeInfo>,
}

impl Deriver for Derive {
    fn derive(&self, request: DeriveRequest) -> Previewed {
        let plugins: Vec<_> = request
            .plugins
            .into_iter()
            .map(|plugin| (plugin.reference, plugin.found))
            .collect();
        let role_problems =
            runnel_iam::check_for_connector(&request.role.spec, &request.identity.arn);
        let current = request.current.as_ref().map(|current| Current {
            spec: &current.spec,
            kafkaconnect_version: &current.derived.kafkaconnect_version,
        });
        let derivation = derive(&DeriveInput {
            name: &request.name,
            spec: &request.spec,
            secret_keys: &request.secret_keys,
            kafka_cluster: &request.kafka_cluster.spec,
            plugins: &plugins,
            worker_configuration: request.worker_configuration.as_ref(),
            role_problems: &role_problems,
            runtimes: &self.runtimes,
            current,
        });
        Previewed {
            derived: derivation.derived,
            problems: derivation.problems,
            warnings: derivation.warnings,
        }
    }
}
