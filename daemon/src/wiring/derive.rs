//! The planner's derivation behind the API's seam.

use crate::grants::{self, GrantInput};
use crate::http::seams::{DeriveRequest, Deriver};
use crate::reconcile::login_library;
use runnel_api::connector::{Previewed, user_of};
use runnel_api::kafka_cluster::Enforcement;
use runnel_api::server::RuntimeInfo;
use runnel_planner::derive::{Current, DeriveInput, derive};
use std::path::PathBuf;

/// Derives with the runtimes of this daemon.
pub(super) struct Derive {
    /// Registered runtimes, oldest first.
    pub runtimes: Vec<RuntimeInfo>,
    /// The library by which workers log in by `AWS_MSK_IAM`.
    pub aws_msk_iam_auth: Option<PathBuf>,
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
        let user = user_of(&request.name, request.identity.id);
        let derivation = derive(&DeriveInput {
            user: &user,
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
        let mut previewed = Previewed {
            derived: derivation.derived,
            problems: derivation.problems,
            warnings: derivation.warnings,
        };
        let library = self.aws_msk_iam_auth.as_deref();
        if let Err(problem) = login_library(&request.kafka_cluster.spec, library) {
            previewed.problems.push(*problem);
            previewed.derived = None;
            return previewed;
        }
        let enforced = request.kafka_cluster.spec.enforcement() == Enforcement::Acl;
        let (Some(derived), Some(class), true) =
            (previewed.derived.as_mut(), &derivation.class, enforced)
        else {
            return previewed;
        };
        let granted = grants::of(&GrantInput {
            name: &request.name,
            id: request.identity.id,
            spec: &request.spec,
            config: &derivation.worker_config,
            class,
            cluster: &request.kafka_cluster.spec,
            cluster_arn: &request.kafka_cluster.identity.arn,
            role: Some(&request.role.spec),
        });
        derived.kafka_acls = granted.acls.iter().map(ToString::to_string).collect();
        previewed.warnings.extend(granted.warnings);
        if !granted.problems.is_empty() {
            previewed.derived = None;
            previewed.problems = granted.problems;
        }
        previewed
    }
}
