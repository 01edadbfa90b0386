//! Plugin contents behind the API's seam: bytes in the plugin folder, findings in the store.

use crate::http::seams::{ByteStream, PluginContents};
use crate::plugin::{Fit, Inspection, PluginFiles, ReceiveError, RuntimeIndex, receive};
use crate::runtime::{Runtime, RuntimeRegistry};
use crate::store::Store;
use futures_util::future::BoxFuture;
use runnel_api::plugin::{PluginStatus, RuntimeFit, Sha256Hex, StagedContent};
use runnel_api::{ErrorCode, Problem};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The plugin folder with what is known of each content.
pub(super) struct Contents {
    files: PluginFiles,
    store: Store,
    offers: Offers,
}

/// What the registered runtimes offer to plugins, read when a plugin is looked at: an index takes
/// megabytes of memory and, from its file, a hundredth of a second.
#[derive(Clone)]
struct Offers {
    runtimes: Arc<Vec<Runtime>>,
    cache: PathBuf,
}

impl Offers {
    /// Blocks on disk; the first time for each runtime also for reading its jars.
    fn read(&self) -> Vec<RuntimeIndex> {
        let mut indexes = Vec::new();
        for runtime in self.runtimes.iter() {
            let java = u16::try_from(runtime.java.major).unwrap_or(u16::MAX);
            match RuntimeIndex::open(&runtime.name, &runtime.home, &self.cache) {
                Ok(index) => indexes.push(index.with_java(java)),
                Err(error) => {
                    tracing::error!(runtime = runtime.name, %error, "the runtime's jars cannot be read; no plugin fits it");
                }
            }
        }
        indexes
    }
}

impl Contents {
    /// Looks again at contents that were found with other runtimes.
    pub(super) async fn open(
        files: PluginFiles,
        store: Store,
        registry: &RuntimeRegistry,
        data_dir: &Path,
    ) -> Self {
        let offers = Offers {
            runtimes: Arc::new(registry.runtimes.clone()),
            cache: data_dir.join("runtime-index"),
        };
        let contents = Self {
            files,
            store,
            offers,
        };
        contents.look_again().await;
        contents
    }

    /// Contents that were inspected before a runtime came or went are inspected anew.
    async fn look_again(&self) {
        let names: Vec<String> = self
            .offers
            .runtimes
            .iter()
            .map(|runtime| runtime.name.clone())
            .collect();
        let all = match self.store.run(super::super::store::Store::contents).await {
            Ok(all) => all,
            Err(error) => {
                tracing::error!(%error, "cannot list plugin contents");
                return;
            }
        };
        for (sha256, found) in all {
            let known: Vec<String> = found
                .runtimes
                .iter()
                .map(|fit| fit.runtime.clone())
                .collect();
            if known == names {
                continue;
            }
            match self.inspect(&sha256, found.size).await {
                Ok(content) => {
                    if let Err(error) = self
                        .store
                        .run(move |store| store.stage_content(&content, 0))
                        .await
                    {
                        tracing::error!(%error, "cannot record what a plugin fits");
                    }
                }
                Err(problem) => {
                    tracing::error!(%sha256, %problem, "a plugin cannot be inspected again");
                }
            }
        }
    }

    async fn inspect(&self, sha256: &Sha256Hex, size: u64) -> Result<StagedContent, Problem> {
        let (files, offers) = (self.files.clone(), self.offers.clone());
        let digest = sha256.clone();
        let inspected = tokio::task::spawn_blocking(move || {
            files.inspect(&digest, size, &offers.read().iter().collect::<Vec<_>>())
        });
        inspected
            .await
            .map_err(|error| lost(&error))?
            .map_err(|error| error.to_problem())
            .map(content)
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
                    other => Problem::new(ErrorCode::InvalidArgument, other.to_string())
                        .hint("Send it again"),
                })?;
            let (files, offers) = (self.files.clone(), self.offers.clone());
            let registered = tokio::task::spawn_blocking(move || {
                files.register(&received, &offers.read().iter().collect::<Vec<_>>())
            });
            let content = registered
                .await
                .map_err(|error| lost(&error))?
                .map(content)
                .map_err(|error| error.to_problem())?;
            Ok(content)
        })
    }

    fn found(&self, sha256: Sha256Hex) -> BoxFuture<'_, Option<PluginStatus>> {
        Box::pin(async move {
            let digest = sha256.clone();
            let found = self
                .store
                .run(move |store| store.content(&sha256))
                .await
                .ok()??;
            self.files.contains(&digest).then_some(found)
        })
    }

    fn remove(&self, sha256: Sha256Hex) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move {
            let digest = sha256.clone();
            let files = self.files.clone();
            let removed = tokio::task::spawn_blocking(move || files.remove(&digest));
            removed
                .await
                .map_err(|error| lost(&error))?
                .map_err(|error| error.to_problem())
        })
    }
}

fn lost(error: &tokio::task::JoinError) -> Problem {
    Problem::new(ErrorCode::Internal, "the archive could not be worked on")
        .detail(error.to_string())
}

/// What a runtime lacks; empty means that the plugin fits.
fn missing(fit: Fit) -> Vec<String> {
    match fit {
        Fit::Compatible => Vec::new(),
        Fit::Incompatible { missing } => missing,
        Fit::JavaTooOld { needs, has } => {
            vec![format!("Java {needs} (its workers have Java {has})")]
        }
        Fit::Unknown { reason } => vec![format!("an answer: {reason}")],
    }
}

fn content(inspection: Inspection) -> StagedContent {
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
            classes: inspection.classes,
            runtimes,
        },
    }
}
