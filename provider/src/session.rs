//! What the provider knows for the length of one run: the daemon, and what was planned so far.

use crate::daemon_client::DaemonClient;
use runnel_api::capacity::Capacity;
use runnel_api::connector::Assumed;
use runnel_api::kafka_cluster::KafkaClusterSpec;
use runnel_api::plugin::{ContentRef, PluginSpec, Sha256Hex};
use runnel_api::role::RoleSpec;
use runnel_api::worker_configuration::WorkerConfigurationSpec;
use runnel_api::{Kind, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The configured provider. Calls of several resources run at once; each lock is held for a look
/// or a note, never across a wait.
#[derive(Debug)]
pub struct Session {
    /// The daemon.
    pub daemon: DaemonClient,
    planned: Mutex<Planned>,
    seen: Mutex<BTreeSet<(Kind, Name)>>,
    remarks: Mutex<BTreeSet<String>>,
    digests: Mutex<BTreeMap<FileStamp, Sha256Hex>>,
}

#[derive(Debug, Default)]
struct Planned {
    assumed: Assumed,
    /// Those that this run changes.
    changed: BTreeSet<(Kind, Name)>,
    /// Those that will be different, in a way that is known only after apply.
    open: BTreeSet<(Kind, Name)>,
}

/// What is known of the objects that a connector refers to.
#[derive(Debug)]
pub struct Outlook {
    /// Their specifications, as far as they were planned in this run.
    pub assumed: Assumed,
    /// Whether this run changes any of them.
    pub changed: bool,
    /// Whether one of them, other than the role, is known only after apply.
    pub open: bool,
    /// Whether the role's policies are known only after apply.
    pub role_open: bool,
}

/// A specification that a connector may refer to.
#[derive(Clone, Debug)]
pub enum Referable {
    /// A Kafka cluster.
    KafkaCluster(KafkaClusterSpec),
    /// A plugin.
    Plugin(PluginSpec),
    /// A worker configuration.
    WorkerConfiguration(WorkerConfigurationSpec),
    /// A role.
    Role(RoleSpec),
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileStamp {
    /// The path as opened.
    pub path: PathBuf,
    /// Last modification.
    pub modified: SystemTime,
    /// Length in bytes.
    pub length: u64,
}

impl Session {
    /// A run with this daemon.
    pub fn new(daemon: DaemonClient) -> Self {
        Self {
            daemon,
            planned: Mutex::default(),
            seen: Mutex::default(),
            remarks: Mutex::default(),
            digests: Mutex::default(),
        }
    }

    /// Notes what an object will be after this run, for connectors that are planned after it.
    pub fn plan(&self, name: &Name, spec: Referable, changed: bool) {
        let mut planned = hold(&self.planned);
        let assumed = &mut planned.assumed;
        let kind = match spec {
            Referable::KafkaCluster(spec) => {
                assumed.kafka_clusters.insert(name.clone(), spec);
                Kind::KafkaCluster
            }
            Referable::Plugin(spec) => {
                assumed.plugins.insert(name.clone(), spec);
                Kind::Plugin
            }
            Referable::WorkerConfiguration(spec) => {
                assumed.worker_configurations.insert(name.clone(), spec);
                Kind::WorkerConfiguration
            }
            Referable::Role(spec) => {
                assumed.roles.insert(name.clone(), spec);
                Kind::Role
            }
        };
        planned.open.remove(&(kind, name.clone()));
        if changed {
            planned.changed.insert((kind, name.clone()));
        }
    }

    /// Notes that what an object will be is known only after apply.
    pub fn plan_open(&self, kind: Kind, name: &Name) {
        let mut planned = hold(&self.planned);
        planned.open.insert((kind, name.clone()));
        planned.changed.insert((kind, name.clone()));
    }

    /// Notes the capacity that a connector will have: the host must have room for all of them.
    pub fn size(&self, connector: &Name, capacity: Capacity) {
        let assumed = &mut hold(&self.planned).assumed;
        assumed.destroyed.remove(connector);
        assumed.capacities.insert(connector.clone(), capacity);
    }

    /// Notes that a connector will be gone, and with it what it holds of the host.
    pub fn destroy(&self, connector: &Name) {
        let assumed = &mut hold(&self.planned).assumed;
        assumed.capacities.remove(connector);
        assumed.destroyed.insert(connector.clone());
    }

    /// What was planned of the objects that a connector refers to, and of the host's room.
    pub fn outlook(&self, references: &References<'_>) -> Outlook {
        let planned = hold(&self.planned);
        let plugins = references
            .plugins
            .iter()
            .map(|content| (Kind::Plugin, content.name.clone()));
        let configuration = references.worker_configuration.iter();
        let configuration =
            configuration.map(|content| (Kind::WorkerConfiguration, content.name.clone()));
        let others: BTreeSet<(Kind, Name)> =
            std::iter::once((Kind::KafkaCluster, references.kafka_cluster.clone()))
                .chain(plugins)
                .chain(configuration)
                .collect();
        let role: BTreeSet<(Kind, Name)> = references
            .role
            .iter()
            .map(|name| (Kind::Role, name.clone()))
            .collect();
        let known = &planned.assumed;
        Outlook {
            assumed: Assumed {
                kafka_clusters: only(&known.kafka_clusters, [references.kafka_cluster]),
                plugins: only(
                    &known.plugins,
                    references.plugins.iter().map(|plugin| &plugin.name),
                ),
                worker_configurations: only(
                    &known.worker_configurations,
                    references
                        .worker_configuration
                        .iter()
                        .map(|content| &content.name),
                ),
                roles: only(&known.roles, references.role.iter()),
                capacities: known.capacities.clone(),
                destroyed: known.destroyed.clone(),
            },
            changed: !others.is_disjoint(&planned.changed) || !role.is_disjoint(&planned.changed),
            open: !others.is_disjoint(&planned.open),
            role_open: !role.is_disjoint(&planned.open),
        }
    }

    /// True the first time that this is asked of a text: a plan and the apply after it come to the
    /// same remarks, and saying them once is enough.
    pub fn is_new_remark(&self, remark: &str) -> bool {
        hold(&self.remarks).insert(remark.to_owned())
    }

    /// Notes that the state has this object. A plan without a prior state for it then means a
    /// tainted one, which Terraform plans as if it were new.
    pub fn see(&self, kind: Kind, name: &Name) {
        hold(&self.seen).insert((kind, name.clone()));
    }

    /// Whether the state has this object.
    pub fn has_seen(&self, kind: Kind, name: &Name) -> bool {
        hold(&self.seen).contains(&(kind, name.clone()))
    }

    /// The digest of a file in a state that was read before.
    pub fn digest(&self, stamp: &FileStamp) -> Option<Sha256Hex> {
        hold(&self.digests).get(stamp).cloned()
    }

    /// Keeps a digest for the rest of the run.
    pub fn keep_digest(&self, stamp: FileStamp, digest: Sha256Hex) {
        hold(&self.digests).insert(stamp, digest);
    }
}

/// What a connector refers to.
#[derive(Clone, Debug)]
pub struct References<'a> {
    /// The cluster.
    pub kafka_cluster: &'a Name,
    /// The plugins.
    pub plugins: &'a [ContentRef],
    /// The worker configuration.
    pub worker_configuration: Option<&'a ContentRef>,
    /// The role, if its ARN is one of this daemon's.
    pub role: Option<Name>,
}

fn only<'a, T: Clone>(
    all: &BTreeMap<Name, T>,
    names: impl IntoIterator<Item = &'a Name>,
) -> BTreeMap<Name, T> {
    names
        .into_iter()
        .filter_map(|name| Some((name.clone(), all.get(name)?.clone())))
        .collect()
}

/// What is behind these locks is whole after every statement, so a panic elsewhere spoils nothing.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_of_a_run_are_those_planned_last() {
        let daemon = DaemonClient::new("http://127.0.0.1:1".into(), None).unwrap();
        let session = Session::new(daemon);
        let name = |text: &str| Name::parse(text).unwrap();
        let fixed = |worker_count| Capacity::Provisioned {
            mcu_count: 1,
            worker_count,
        };
        session.size(&name("stays"), fixed(1));
        session.size(&name("stays"), fixed(2));
        session.size(&name("goes"), fixed(1));
        session.destroy(&name("goes"));
        session.destroy(&name("replaced"));
        session.size(&name("replaced"), fixed(3));
        let cluster = name("shop");
        let assumed = session
            .outlook(&References {
                kafka_cluster: &cluster,
                plugins: &[],
                worker_configuration: None,
                role: None,
            })
            .assumed;
        let sizes = [(name("replaced"), fixed(3)), (name("stays"), fixed(2))];
        assert_eq!(assumed.capacities, BTreeMap::from(sizes));
        assert_eq!(assumed.destroyed, BTreeSet::from([name("goes")]));
    }

    #[test]
    fn a_connector_gets_what_was_planned_of_what_it_refers_to_and_nothing_else() {
        let daemon = DaemonClient::new("http://127.0.0.1:1".into(), None).unwrap();
        let session = Session::new(daemon);
        let name = |text: &str| Name::parse(text).unwrap();
        let role = RoleSpec {
            assume_role_policy: None,
            policies: BTreeMap::new(),
        };
        session.plan(&name("mine"), Referable::Role(role.clone()), false);
        session.plan(&name("other"), Referable::Role(role), true);
        let cluster = name("shop");
        let references = |role: &str| References {
            kafka_cluster: &cluster,
            plugins: &[],
            worker_configuration: None,
            role: Some(name(role)),
        };
        let outlook = session.outlook(&references("mine"));
        assert_eq!(
            outlook.assumed.roles.keys().collect::<Vec<_>>(),
            [&name("mine")]
        );
        assert!(outlook.assumed.kafka_clusters.is_empty() && !outlook.changed);
        assert!(session.outlook(&references("other")).changed);
        session.plan_open(Kind::Role, &name("mine"));
        let outlook = session.outlook(&references("mine"));
        assert!(outlook.role_open && outlook.changed && !outlook.open);
        session.plan_open(Kind::KafkaCluster, &cluster);
        assert!(session.outlook(&references("mine")).open);
    }
}
