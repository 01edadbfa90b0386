//! Data source `runnel_policy_document`: IAM JSON from blocks, without a daemon.

mod convert;
mod schema;

use crate::lifecycle::Cx;
use crate::report;
use crate::session::Session;
use tfplugin::schema::Schema;
use tfplugin::{DataSource, Failure, Object, async_trait};

/// The data source.
#[derive(Debug)]
pub struct PolicyDocument;

#[async_trait]
impl DataSource<Session> for PolicyDocument {
    fn type_name(&self) -> &'static str {
        "runnel_policy_document"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    async fn read(&self, _cx: &mut Cx, config: &Object) -> Result<Object, Failure> {
        let id: Option<String> = config.get("policy_id")?;
        let statements = convert::statements(config)?;
        let json = runnel_iam::render(id.as_deref(), &statements);
        let json = json.map_err(|problem| report::problem(&problem, config))?;
        Ok(config.clone().with("json", json))
    }
}
