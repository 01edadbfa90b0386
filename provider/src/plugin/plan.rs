//! What a plan knows of a plugin: everything, once the bytes are with the daemon.

use super::archive::{self, ArchiveError};
use super::convert;
use crate::attributes::known;
use crate::lifecycle::{Cx, Planned, name_of};
use crate::session::{Referable, Session};
use runnel_api::plugin::{PluginSpec, Sha256Hex};
use runnel_api::{Kind, Name};
use tfplugin::{Action, Change, Diagnostic, Failure, Object, Tri};

/// Computed attributes that follow from the bytes.
const FROM_BYTES: [&str; 5] = ["sha256", "ref", "size", "classes", "runtimes"];

pub(super) async fn plan(
    cx: &mut Cx,
    change: &mut Change,
    identity: Planned,
) -> Result<(), Failure> {
    if let Planned::New { next, .. } = &identity {
        change.planned.set("arn", next.arn.as_str());
    }
    let source: Tri<String> = change.planned.get("source")?;
    let pin: Tri<String> = change.config.get("sha256")?;
    let (Some(name), Tri::Known(source), false, Some(session)) = (
        name_of(&change.planned)?,
        source,
        pin.is_unknown(),
        cx.client_if_known(),
    ) else {
        leave_open(change);
        if let (Some(name), Some(session)) = (name_of(&change.planned)?, cx.client_if_known()) {
            session.plan_open(Kind::Plugin, &name);
        }
        return Ok(());
    };
    let pin = pin.known();
    let digest = match archive::digest(&session, &source).await {
        Ok(digest) => digest,
        Err(error) => {
            match registered(change, &source, pin.as_deref(), &error) {
                Some(digest) => {
                    cx.diagnostics.warning_at(
                    "source",
                    format!("The plugin's archive: {error}"),
                    format!("{source:?} is not needed now: its content is registered already and stays."),
                );
                    digest
                }
                None => return Err(error.at_source(&source).into()),
            }
        }
    };
    if let Some(pin) = pin.filter(|pin| *pin != digest.as_str()) {
        return Err(mismatch(&source, &pin, &digest).into());
    }
    let prior = change
        .prior
        .as_ref()
        .and_then(|prior| prior.value("sha256").as_str());
    if prior == Some(digest.as_str()) {
        keep(change);
    } else {
        let staged = archive::stage(&session, &name, &source, &digest, &change.config).await?;
        convert::set_found(&mut change.planned, &name, &digest, &staged.found);
    }
    remember(&session, change, &name, &source, digest);
    Ok(())
}

/// The digest that the daemon has under this name, if the missing file would bring nothing new.
fn registered(
    change: &Change,
    source: &str,
    pin: Option<&str>,
    error: &ArchiveError,
) -> Option<Sha256Hex> {
    let prior = change.prior.as_ref()?;
    let digest = prior.value("sha256").as_str()?;
    let same =
        prior.value("source").as_str() == Some(source) && pin.is_none_or(|pin| pin == digest);
    let missing = matches!(error, ArchiveError::Missing);
    (same && missing).then(|| Sha256Hex::parse(digest))?
}

/// The bytes stay, and so does what follows from them.
fn keep(change: &mut Change) {
    let Some(prior) = &change.prior else { return };
    for name in FROM_BYTES {
        change.planned.set(name, prior.value(name).clone());
    }
}

fn leave_open(change: &mut Change) {
    for name in FROM_BYTES {
        if change.config.value(name).is_null() {
            change.planned.set_unknown(name);
        }
    }
}

fn mismatch(source: &str, pin: &str, digest: &Sha256Hex) -> Diagnostic {
    Diagnostic::error(
        "The archive is not the one that is pinned",
        format!(
            "{source} has the SHA-256\n  {digest}\nbut sha256 says\n  {pin}\n\nEither the file is another one than was \
             meant, or the pin is out of date."
        ),
    )
    .at("sha256")
}

fn remember(session: &Session, change: &Change, name: &Name, source: &str, sha256: Sha256Hex) {
    if !known(&change.planned, &["description"]) {
        return;
    }
    let spec = PluginSpec {
        description: description(&change.planned),
        sha256,
        source: Some(source.to_owned()),
    };
    session.plan(name, Referable::Plugin(spec), change.action != Action::NoOp);
}

fn description(values: &Object) -> String {
    values
        .value("description")
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon_client::DaemonClient;
    use std::sync::Arc;
    use tfplugin::value::Value;
    use tfplugin::{CancellationToken, Private};

    fn cx() -> Cx {
        // Nothing listens there: these plans must not need the daemon.
        let daemon = DaemonClient::new("http://127.0.0.1:1".into(), None).unwrap();
        Cx::new(
            Some(Arc::new(Session::new(daemon))),
            Private::default(),
            CancellationToken::new(),
        )
    }

    fn change(source: &str, pin: Value, prior: Option<Object>) -> Change {
        let config = Object::new()
            .with("name", "p")
            .with("source", source)
            .with("sha256", pin);
        let planned = config.clone().with("description", "");
        Change::new(Action::NoOp, config, prior, planned)
    }

    fn registered_as(source: &str, digest: &Sha256Hex) -> Object {
        Object::new()
            .with("name", "p")
            .with("source", source)
            .with("sha256", digest.as_str())
            .with("size", 3)
    }

    #[tokio::test]
    async fn unchanged_bytes_need_neither_daemon_nor_upload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        std::fs::write(&path, b"abc").unwrap();
        let source = path.to_str().unwrap();
        let prior = registered_as(source, &Sha256Hex::of_bytes(b"abc"));
        let mut change = change(source, Value::Null, Some(prior.clone()));
        plan(&mut cx(), &mut change, Planned::Stays).await.unwrap();
        assert_eq!(change.planned.value("size"), prior.value("size"));
        assert_eq!(change.planned.value("sha256"), prior.value("sha256"));
    }

    #[tokio::test]
    async fn a_file_that_went_missing_stops_a_plan_only_if_it_is_needed() {
        let digest = Sha256Hex::of_bytes(b"abc");
        let prior = registered_as("gone.zip", &digest);
        let mut kept = change("gone.zip", Value::Null, Some(prior.clone()));
        let mut cx = cx();
        plan(&mut cx, &mut kept, Planned::Stays).await.unwrap();
        assert_eq!(kept.planned.value("sha256"), prior.value("sha256"));
        assert_eq!(cx.diagnostics.iter().count(), 1, "a warning");
        for mut needed in [
            change("gone.zip", Value::Null, None),
            change("other.zip", Value::Null, Some(prior.clone())),
            change("gone.zip", Value::from("ab".repeat(32)), Some(prior)),
        ] {
            let failure = plan(&mut cx, &mut needed, Planned::Stays)
                .await
                .unwrap_err();
            assert_eq!(
                failure.diagnostics.iter().next().unwrap().path.to_string(),
                "source"
            );
        }
    }

    #[tokio::test]
    async fn another_digest_than_the_pinned_one_is_an_error_at_the_pin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        std::fs::write(&path, b"abc").unwrap();
        let mut change = change(path.to_str().unwrap(), Value::from("ab".repeat(32)), None);
        let failure = plan(&mut cx(), &mut change, Planned::Open)
            .await
            .unwrap_err();
        assert_eq!(
            failure.diagnostics.iter().next().unwrap().path.to_string(),
            "sha256"
        );
    }

    #[tokio::test]
    async fn an_unknown_source_leaves_everything_open_but_the_pin() {
        let pin = "ab".repeat(32);
        let mut change = change("x", Value::from(pin.as_str()), None);
        change.planned.set_unknown("source");
        plan(&mut cx(), &mut change, Planned::Open).await.unwrap();
        assert_eq!(change.planned.value("sha256").as_str(), Some(pin.as_str()));
        assert!(change.planned.value("classes").is_unknown());
    }
}
