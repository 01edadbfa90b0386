//! The figures of one moment, made into families.

use super::families::{self, Family};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use runnel_api::Name;
use runnel_api::connector::{ConnectorState, Health};

const STATES: [ConnectorState; 8] = [
    ConnectorState::Creating,
    ConnectorState::Running,
    ConnectorState::Updating,
    ConnectorState::Restarting,
    ConnectorState::Paused,
    ConnectorState::Stopped,
    ConnectorState::Failed,
    ConnectorState::Deleting,
];
const HEALTHS: [Health; 5] = [
    Health::Running,
    Health::Degraded,
    Health::Failed,
    Health::Unknown,
    Health::Idle,
];
/// States of a task that Connect knows (KIP-26, KIP-875 and `AbstractStatus.State`).
const TASK_STATES: [&str; 5] = ["RUNNING", "FAILED", "PAUSED", "UNASSIGNED", "RESTARTING"];

/// How everything stands at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The daemon.
    pub daemon: DaemonFigures,
    /// Every connector that there is.
    pub connectors: Vec<ConnectorFigures>,
}

/// The daemon's own figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DaemonFigures {
    /// Registered runtimes.
    pub runtimes: usize,
    /// Declared plugins.
    pub plugins: usize,
    /// When workers were last looked at, milliseconds since the Unix epoch; none before the first look.
    pub last_sample_ms: Option<u64>,
    /// When the daemon was started, milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// CPU time of the daemon in nanoseconds, and its resident memory in bytes.
    pub usage: Option<(u64, u64)>,
}

/// One connector's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorFigures {
    /// Its name.
    pub name: Name,
    /// Where it is in its life.
    pub state: ConnectorState,
    /// How it does.
    pub health: Health,
    /// The states of its tasks, as Connect writes them.
    pub tasks: Vec<String>,
    /// Living workers and their MCUs; none when they cannot all be told.
    pub size: Option<(usize, u32)>,
    /// The most MCUs that its capacity allows.
    pub mcus_limit: u32,
    /// MCUs times milliseconds so far; none before they were counted.
    pub mcu_ms: Option<u64>,
    /// CPU time of its workers in nanoseconds; none before they were looked at.
    pub cpu_ns: Option<u64>,
    /// Resident memory of its workers in bytes; none when one of them cannot be read.
    pub rss_bytes: Option<u64>,
    /// Records that a sink has still to commit.
    pub lag: Option<u64>,
    /// What became of its workers' log records, by place.
    pub logs: Vec<LogFigures>,
}

/// Log records of one connector and one place since the daemon was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFigures {
    /// The place.
    pub place: String,
    /// Records that it has taken.
    pub delivered: u64,
    /// Records that were not delivered.
    pub dropped: u64,
    /// Attempts that failed.
    pub errors: u64,
}

impl Snapshot {
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let mut all = self.daemon.families();
        all.push(count(&families::CONNECTORS, &STATES, |state| {
            self.connectors
                .iter()
                .filter(|it| it.state == *state)
                .count()
        }));
        all.push(count(&families::CONNECTORS_BY_HEALTH, &HEALTHS, |health| {
            self.connectors
                .iter()
                .filter(|it| it.health == *health)
                .count()
        }));
        all.push(self.one_of(&families::CONNECTOR_STATE, &STATES, |it| &it.state));
        all.push(self.one_of(&families::CONNECTOR_HEALTH, &HEALTHS, |it| &it.health));
        all.push(self.tasks());
        let figure = |family, of: fn(&ConnectorFigures) -> Option<f64>| self.figure(family, of);
        all.push(figure(&families::CONNECTOR_WORKERS, |it| {
            it.size.map(|(workers, _)| float(workers as u64))
        }));
        all.push(figure(&families::CONNECTOR_MCUS, |it| {
            it.size.map(|(_, mcus)| f64::from(mcus))
        }));
        all.push(figure(&families::CONNECTOR_MCUS_LIMIT, |it| {
            Some(f64::from(it.mcus_limit))
        }));
        all.push(figure(&families::CONNECTOR_MCU_SECONDS, |it| {
            it.mcu_ms.map(|ms| float(ms) / 1e3)
        }));
        all.push(figure(&families::CONNECTOR_CPU_SECONDS, |it| {
            it.cpu_ns.map(|ns| float(ns) / 1e9)
        }));
        all.push(figure(&families::CONNECTOR_MEMORY, |it| {
            it.rss_bytes.map(float)
        }));
        all.push(figure(&families::CONNECTOR_LAG, |it| it.lag.map(float)));
        all.push(self.logs(&families::LOG_DELIVERED, |logs| logs.delivered));
        all.push(self.logs(&families::LOG_DROPPED, |logs| logs.dropped));
        all.push(self.logs(&families::LOG_ERRORS, |logs| logs.errors));
        all
    }

    fn figure(&self, family: &Family, of: fn(&ConnectorFigures) -> Option<f64>) -> MetricFamily {
        let metrics = self.connectors.iter().filter_map(|connector| {
            Some(metric(family, &[connector.name.as_str()], of(connector)?))
        });
        built(family, metrics.collect())
    }

    /// 1 for the word that holds, 0 for the others.
    fn one_of<T: PartialEq + serde::Serialize>(
        &self,
        family: &Family,
        words: &[T],
        of: fn(&ConnectorFigures) -> &T,
    ) -> MetricFamily {
        let metrics = self.connectors.iter().flat_map(|connector| {
            words.iter().map(move |word| {
                let value = f64::from(u8::from(of(connector) == word));
                let labels = [connector.name.as_str(), &super::word(word)];
                metric(family, &labels, value)
            })
        });
        built(family, metrics.collect())
    }

    fn logs(&self, family: &Family, of: fn(&LogFigures) -> u64) -> MetricFamily {
        let metrics = self.connectors.iter().flat_map(|connector| {
            connector.logs.iter().map(move |logs| {
                let labels = [connector.name.as_str(), &logs.place];
                metric(family, &labels, float(of(logs)))
            })
        });
        built(family, metrics.collect())
    }

    fn tasks(&self) -> MetricFamily {
        let family = &families::CONNECTOR_TASKS;
        let metrics = self.connectors.iter().flat_map(|connector| {
            TASK_STATES.map(|state| {
                let tasks = connector.tasks.iter().filter(|task| *task == state).count();
                let labels = [connector.name.as_str(), &state.to_lowercase()];
                metric(family, &labels, float(tasks as u64))
            })
        });
        built(family, metrics.collect())
    }
}

impl DaemonFigures {
    fn families(&self) -> Vec<MetricFamily> {
        let single = |family: &Family, value: f64| built(family, vec![metric(family, &[], value)]);
        let version = metric(&families::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        let mut all = vec![
            built(&families::BUILD_INFO, vec![version]),
            single(&families::RUNTIMES, float(self.runtimes as u64)),
            single(&families::PLUGINS, float(self.plugins as u64)),
            single(&families::PROCESS_START, float(self.started_ms) / 1e3),
        ];
        if let Some(at_ms) = self.last_sample_ms {
            all.push(single(&families::LAST_SAMPLE, float(at_ms) / 1e3));
        }
        if let Some((cpu_ns, rss_bytes)) = self.usage {
            all.push(single(&families::PROCESS_CPU, float(cpu_ns) / 1e9));
            all.push(single(&families::PROCESS_MEMORY, float(rss_bytes)));
        }
        all
    }
}

/// How many there are of each word.
fn count<T: serde::Serialize>(
    family: &Family,
    words: &[T],
    of: impl Fn(&T) -> usize,
) -> MetricFamily {
    let metrics = words
        .iter()
        .map(|word| metric(family, &[&super::word(word)], float(of(word) as u64)));
    built(family, metrics.collect())
}

fn built(family: &Family, metrics: Vec<Metric>) -> MetricFamily {
    let mut built = MetricFamily::default();
    built.set_name(family.name.to_owned());
    built.set_help(family.help.to_owned());
    built.set_field_type(match family.kind {
        families::Kind::Counter => MetricType::COUNTER,
        families::Kind::Gauge => MetricType::GAUGE,
        families::Kind::Histogram => MetricType::HISTOGRAM,
    });
    built.set_metric(metrics);
    built
}

fn metric(family: &Family, values: &[&str], value: f64) -> Metric {
    let label = |(name, value): (&&str, &&str)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    };
    let labels = family.labels.iter().zip(values).map(label);
    let mut metric = Metric::from_label(labels.collect());
    if family.kind == families::Kind::Counter {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has floating point only; above 2^53 the last digits do not matter"
)]
fn float(value: u64) -> f64 {
    value as f64
}
