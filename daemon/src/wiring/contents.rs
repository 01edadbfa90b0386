//! Plugin contents behind the API's seam: bytes in the plugin folder, findings in the store.

use crate::http::{ByteStream, PluginContents};
use crate::plugin::{
    Fit, Inspection, Kind, PluginFiles, ReceiveError, RuntimeIndex, receive,
};
use crate::runtime::RuntimeRegistry;
use crate::store::{Store, now_ms};
use futures_util::future::BoxFuture;
use runnel_api::plugin::{ClassKind, PluginClass, PluginStatus, RuntimeFit, Sha256Hex, StagedContent};
use runnel_api::{ErrorCode, Problem};
use std::path::Path;
use std::sync::Arc;

/// How long content may wait for the plugin that refers to it.
const STAGED_MS: u64 = 3_600_000;

/// The plugin folder with what is known of each content.
pub(super) struct Contents {
    files: PluginFiles,
    store: Store,
    runtimes: Arc<Vec<RuntimeIndex>>,
}

impl Contents {
    /// Reads what each runtime offers (kept in a file, so only the first start takes a second), and
    /// looks again at contents that were found with other runtimes.
    pub(super) async fn open(
        files: PluginFiles,
        store: Store,
        registry: &RuntimeRegistry,
        data_dir: &Path,
    ) -> Self {
        let runtimes = registry.runtimes.clone();
        let cache = data_dir.join("runtimes");
        let indexed = tokio::task::spawn_blocking(move || {
            let mut indexes = Vec::new();
            for runtime in &runtimes {
                match RuntimeIndex::open(&runtime.name, &runtime.home, &cache) {
                    Ok(index) => indexes.push(index.with_java(u16::try_from(runtime.java.major).unwrap_or(u16::MAX))),
                    Err(error) => tracing::error!(runtime = runtime.name, %error, "the runtime's jars cannot be read; no plugin fits it"),
                }
            }
            indexes
        });
        let contents = Self {
            files,
            store,
            runtimes: Arc::new(indexed.await.unwrap_or_default()),
        };
        contents.look_again().await;
        contents
    }

    /// Contents that were inspected before a runtime came or went are inspected anew.
    async fn look_again(&self) {
        let names: Vec<String> = self.runtimes.iter().map(|index| index.name().to_owned()).collect();
        let all = match self.store.run(|store| store.contents()).await {
            Ok(all) => all,
            Err(error) => {
                tracing::error!(%error, "cannot list plugin contents");
                return;
            }
        };
        for (sha256, found) in all {
            let known: Vec<String> = found.runtimes.iter().map(|fit| fit.runtime.clone()).collect();
            if known == names {
                continue;
            }
            match self.inspect(&sha256, found.size).await {
                Ok(content) => {
                    if let Err(error) = self.store.run(move |store| store.refresh_content(&content)).await {
                        tracing::error!(%error, "cannot record what a plugin fits");
                    }
                }
                Err(problem) => tracing::error!(%sha256, %problem, "a plugin cannot be inspected again"),
            }
        }
    }

    async fn inspect(&self, sha256: &Sha256Hex, size: u64) -> Result<StagedContent, Problem> {
        let (files, runtimes) = (self.files.clone(), self.runtimes.clone());
        let digest = sha256.clone();
        let inspected = tokio::task::spawn_blocking(move || {
            files.inspect(&digest, size, &runtimes.iter().collect::<Vec<_>>())
        });
        inspected.await.map_err(|error| lost(&error))?.map_err(|error| error.to_problem()).map(content)
    }

    /// Removes contents that nobody refers to and that waited long enough.
    pub(super) async fn sweep(&self, at_ms: u64) {
        let before_ms = at_ms.saturating_sub(STAGED_MS);
        let unneeded = self.store.run(move |store| store.unneeded_contents(before_ms)).await;
        for sha256 in unneeded.unwrap_or_default() {
            tracing::info!(%sha256, "removing plugin content that nobody refers to");
            if let Err(problem) = self.remove(sha256).await {
                tracing::error!(%problem, "plugin content stays");
            }
        }
    }
}

impl PluginContents for Contents {
    fn receive(
        &self,
        stream: ByteStream,
        promised: Option<Sha256Hex>,
    ) -> BoxFuture<'_, Result<StagedContent, Problem>> {
        Box::pin(async move {
            let limit = self.files.limits().compressed_bytes;
            let received = receive(stream, self.files.staging().to_owned(), limit, promised)
                .await
                .map_err(|error| match error {
                    ReceiveError::Plugin(error) => error.to_problem(),
                    other => Problem::new(ErrorCode::InvalidArgument, other.to_string()).hint("Send it again"),
                })?;
            let (files, runtimes) = (self.files.clone(), self.runtimes.clone());
            let registered = tokio::task::spawn_blocking(move || {
                files.register(&received, &runtimes.iter().collect::<Vec<_>>())
            });
            let content = registered
                .await
                .map_err(|error| lost(&error))?
                .map(content)
                .map_err(|error| error.to_problem())?;
            let staged = content.clone();
            self.store
                .run(move |store| store.stage_content(&staged, now_ms()))
                .await
                .map_err(|error| error.problem())?;
            Ok(content)
        })
    }

    fn found(&self, sha256: Sha256Hex) -> BoxFuture<'_, Option<PluginStatus>> {
        Box::pin(async move {
            let digest = sha256.clone();
            let found = self.store.run(move |store| store.content(&sha256)).await.ok()??;
            self.files.contains(&digest).then_some(found)
        })
    }

    fn remove(&self, sha256: Sha256Hex) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move {
            let digest = sha256.clone();
            self.store
                .run(move |store| store.forget_content(&sha256))
                .await
                .map_err(|error| error.problem())?;
            let files = self.files.clone();
            let removed = tokio::task::spawn_blocking(move || files.remove(&digest));
            removed.await.map_err(|error| lost(&error))?.map_err(|error| error.to_problem())
        })
    }
}

fn lost(error: &tokio::task::JoinError) -> Problem {
    Problem::new(ErrorCode::Internal, "the archive could not be worked on").detail(error.to_string())
}

fn kind(kind: Kind) -> ClassKind {
    match kind {
        Kind::Source => ClassKind::Source,
        Kind::Sink => ClassKind::Sink,
        Kind::Converter => ClassKind::Converter,
        Kind::HeaderConverter => ClassKind::HeaderConverter,
        Kind::Transformation => ClassKind::Transformation,
        Kind::Predicate => ClassKind::Predicate,
        Kind::ConfigProvider => ClassKind::ConfigProvider,
        Kind::RestExtension => ClassKind::RestExtension,
        Kind::OverridePolicy => ClassKind::OverridePolicy,
    }
}

/// What a runtime lacks; empty means that the plugin fits.
fn missing(fit: Fit) -> Vec<String> {
    match fit {
        Fit::Compatible => Vec::new(),
        Fit::Incompatible { missing } => missing,
        Fit::JavaTooOld { needs, has } => vec![format!("Java {needs} (its workers have Java {has})")],
        Fit::Unknown { reason } => vec![format!("an answer: {reason}")],
    }
}

fn content(inspection: Inspection) -> StagedContent {
    let classes = inspection
        .classes
        .into_iter()
        .map(|class| PluginClass {
            kind: kind(class.kind),
            class: class.class,
            version: class.version,
        })
        .collect();
    let runtimes = inspection
        .runtimes
        .into_iter()
        .map(|fit| RuntimeFit {
            runtime: fit.runtime,
            missing: missing(fit.fit),
        })
        .collect();
    StagedContent {
        sha256: inspection.sha256,
        found: PluginStatus {
            size: inspection.size_bytes,
            classes,
            runtimes,
        },
    }
}
