//! The provider: its settings, and what it offers.

use crate::connector::Connector;
use crate::connector_data::ConnectorData;
use crate::daemon_client::DaemonClient;
use crate::kafka_cluster::KafkaCluster;
use crate::plugin::Plugin;
use crate::policy_document::PolicyDocument;
use crate::properties_decode::PropertiesDecode;
use crate::resource::Declared;
use crate::role::Role;
use crate::session::Session;
use crate::worker_configuration::WorkerConfiguration;
use crate::{report, settings};
use tfplugin::schema::Schema;
use tfplugin::{
    DataSource, Diagnostics, Failure, Function, Object, Provider, Resource, Setup, async_trait,
};

/// Provider `runnel`.
#[derive(Debug)]
pub struct Runnel;

#[async_trait]
impl Provider for Runnel {
    type Client = Session;

    fn schema(&self) -> Schema {
        settings::schema()
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        if let Err(diagnostic) = settings::validate(config) {
            diagnostics.push(diagnostic);
        }
    }

    /// Terraform configures a provider only for commands that plan or apply, so the one look at the
    /// daemon here costs the others nothing, and a daemon that is away is one error instead of one
    /// for each resource.
    async fn configure(
        &self,
        setup: &mut Setup,
        config: &Object,
    ) -> Result<Option<Session>, Failure> {
        let Some(settings) = settings::resolve(config, settings::Environment::read())? else {
            return Ok(None);
        };
        let (endpoint, token) = (settings.endpoint, settings.token.as_ref());
        let daemon = match &settings.trust {
            None => DaemonClient::new(endpoint, token),
            Some(trust) => DaemonClient::trusting(trust, endpoint, token),
        };
        let daemon = daemon.map_err(|error| report::call(&error, config))?;
        let asked = tokio::select! {
            () = setup.cancel.cancelled() => return Ok(None),
            asked = daemon.info() => asked,
        };
        asked.map_err(|error| report::call(&error, config))?;
        Ok(Some(Session::new(daemon)))
    }

    fn resources(&self) -> Vec<Box<dyn Resource<Session>>> {
        vec![
            Box::new(Declared(KafkaCluster)),
            Box::new(Declared(Plugin)),
            Box::new(Declared(WorkerConfiguration)),
            Box::new(Declared(Role)),
            Box::new(Declared(Connector)),
        ]
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<Session>>> {
        vec![Box::new(ConnectorData), Box::new(PolicyDocument)]
    }

    fn functions(&self) -> Vec<Box<dyn Function>> {
        vec![Box::new(PropertiesDecode)]
    }
}

#[cfg(test)]
mod tests;
