//! `runnel_plugin`.

mod archive;
mod convert;
mod plan;
mod schema;

use crate::attributes::not_yet;
use crate::daemon_client::Plugins;
use crate::lifecycle::{Cx, Planned, known_name};
use crate::resource::Declaration;
use runnel_api::plugin::Sha256Hex;
use tfplugin::schema::Schema;
use tfplugin::{Change, Diagnostic, Diagnostics, Failure, Object, Tri, async_trait};

/// The resource type.
#[derive(Debug)]
pub struct Plugin;

#[async_trait]
impl Declaration for Plugin {
    type Noun = Plugins;

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        let Ok(Tri::Known(source)) = config.get::<Tri<String>>("source") else {
            return;
        };
        for scheme in ["http://", "https://", "s3://"] {
            if source.starts_with(scheme) {
                let what = format!("A source that starts with {scheme}");
                let instead = "Download the archive and give the path of the file.";
                diagnostics.push(not_yet("source", &what, instead));
            }
        }
    }

    async fn plan(
        &self,
        cx: &mut Cx,
        change: &mut Change,
        identity: Planned,
    ) -> Result<(), Failure> {
        plan::plan(cx, change, identity).await
    }

    /// Makes sure that the daemon has the very bytes that were planned.
    async fn prepare(
        &self,
        cx: &mut Cx,
        state: Option<&Object>,
        plan: &Object,
    ) -> Result<(), Failure> {
        let planned = planned_digest(plan)?;
        if state.is_some_and(|state| state.value("sha256") == plan.value("sha256")) {
            return Ok(());
        }
        let (session, name) = (cx.client()?, known_name(plan)?);
        let source: String = plan.get("source")?;
        let file = archive::digest(&session, &source)
            .await
            .map_err(|error| error.at_source(&source))?;
        if file != planned {
            let detail = format!(
                "{source} had the SHA-256 {planned} when this was planned and has {file} now. Plan again."
            );
            return Err(
                Diagnostic::error("The file has changed since the plan", detail)
                    .at("source")
                    .into(),
            );
        }
        archive::stage(&session, &name, &source, &file, plan).await?;
        Ok(())
    }
}

fn planned_digest(plan: &Object) -> Result<Sha256Hex, Diagnostic> {
    let text: String = plan.get("sha256")?;
    Sha256Hex::parse(&text).ok_or_else(|| {
        Diagnostic::error("Invalid value", format!("{text:?} is no SHA-256.")).at("sha256")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_later_releases_are_refused_by_name() {
        for source in ["https://host/a.zip", "s3://bucket/a.zip"] {
            let mut diagnostics = Diagnostics::new();
            Plugin.validate(&Object::new().with("source", source), &mut diagnostics);
            let first = diagnostics.iter().next().unwrap();
            assert_eq!(first.path.to_string(), "source");
            assert!(first.summary.contains("not supported in this release yet"));
        }
        let mut diagnostics = Diagnostics::new();
        Plugin.validate(&Object::new().with("source", "a.zip"), &mut diagnostics);
        assert!(diagnostics.is_empty());
    }
}
