//! Data source `runnel_connector`: what changes by itself.

mod convert;
mod schema;

use crate::daemon_client::Connectors;
use crate::lifecycle::{Cx, known_name};
use crate::report;
use crate::session::Session;
use tfplugin::schema::Schema;
use tfplugin::{DataSource, Diagnostic, Failure, Object, async_trait};

/// How many decisions of scaling are read.
const DECISIONS: usize = 20;

/// The data source.
#[derive(Debug)]
pub struct ConnectorData;

#[async_trait]
impl DataSource<Session> for ConnectorData {
    fn type_name(&self) -> &'static str {
        "runnel_connector"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    async fn read(&self, cx: &mut Cx, config: &Object) -> Result<Object, Failure> {
        let (session, name) = (cx.client()?, known_name(config)?);
        let found = session.daemon.get::<Connectors>(&name).await;
        let found = found.map_err(|error| report::call(&error, config))?;
        let Some(connector) = found else {
            let detail = "There is none of that name. If it is declared in this configuration, refer to it by \
                          `runnel_connector.….name`, so that it is read after it was made.";
            return Err(Diagnostic::error(format!("No connector {name}"), detail)
                .at("name")
                .into());
        };
        let decisions = session.daemon.decisions(&name, DECISIONS).await;
        let decisions = decisions.map_err(|error| report::call(&error, config))?;
        Ok(convert::object(&connector, &decisions))
    }
}
