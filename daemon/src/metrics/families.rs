//! Every metric by name: the one list from which the registry, the documentation's table and the
//! checks of dashboard and alerts are made.
//!
//! Names follow Prometheus' conventions: a prefix, base units, `_total` for counters. A connector is
//! told by its name; nothing is labelled by worker, task or operation, so that the number of series
//! grows with the connectors that there are and with nothing else.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It grows, and begins anew with the daemon unless its help says otherwise.
    Counter,
    /// It is as it is.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

impl Kind {
    /// As the exposition writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric with all its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says, one sentence.
    pub help: &'static str,
}

macro_rules! families {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Family = Family {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order of the documentation.
        pub const ALL: &[Family] = &[$($id),*];
    };
}

families! {
    BUILD_INFO = Gauge "runnel_build_info" ["version"]
        "The daemon's release; the value is always 1.";
    RUNTIMES = Gauge "runnel_runtimes" []
        "Registered Kafka Connect runtimes.";
    PLUGINS = Gauge "runnel_plugins" []
        "Declared plugins.";
    CONNECTORS = Gauge "runnel_connectors" ["state"]
        "Connectors in each state.";
    CONNECTORS_BY_HEALTH = Gauge "runnel_connectors_by_health" ["health"]
        "Connectors of each health.";
    CONNECTOR_STATE = Gauge "runnel_connector_state" ["connector", "state"]
        "1 for the state that the connector is in, 0 for the others.";
    CONNECTOR_HEALTH = Gauge "runnel_connector_health" ["connector", "health"]
        "1 for the health that the connector has, 0 for the others.";
    CONNECTOR_TASKS = Gauge "runnel_connector_tasks" ["connector", "state"]
        "Tasks of the connector in each state, as Connect tells them.";
    CONNECTOR_WORKERS = Gauge "runnel_connector_workers" ["connector"]
        "Living workers of the connector.";
    CONNECTOR_MCUS = Gauge "runnel_connector_mcus" ["connector"]
        "MCUs of the connector's living workers.";
    CONNECTOR_MCUS_LIMIT = Gauge "runnel_connector_mcus_limit" ["connector"]
        "The most MCUs that the connector's capacity allows.";
    CONNECTOR_MCU_SECONDS = Counter "runnel_connector_mcu_seconds_total" ["connector"]
        "MCUs times seconds that the connector's workers have lived since it was created, what a bill would count; kept across restarts of the daemon, up to 30 s behind.";
    CONNECTOR_CPU_SECONDS = Counter "runnel_connector_cpu_seconds_total" ["connector"]
        "CPU time of all workers of the connector.";
    CONNECTOR_MEMORY = Gauge "runnel_connector_resident_memory_bytes" ["connector"]
        "Resident memory of the connector's living workers; absent when it cannot be told of one of them.";
    CONNECTOR_LAG = Gauge "runnel_connector_consumer_lag_records" ["connector"]
        "Records that a sink has still to commit, over all its partitions; absent for sources and while it is not known.";
    WORKER_RESTARTS = Counter "runnel_worker_restarts_total" ["connector", "reason"]
        "Workers that ended while their connector was wanted: died by themselves, replaced by a change, scaled away, or asked for by a restart.";
    TASK_RESTARTS = Counter "runnel_task_restarts_total" ["connector"]
        "Tasks that were restarted in a living worker: failed ones, and others when asked.";
    SCALING_DECISIONS = Counter "runnel_scaling_decisions_total" ["connector", "direction"]
        "Decisions to give the connector's fleet another size: more or fewer workers (out, in), or larger or smaller ones (up, down).";
    OPERATIONS = Counter "runnel_operations_total" ["object", "kind", "outcome"]
        "Operations that have ended.";
    OPERATION_DURATION = Histogram "runnel_operation_duration_seconds" ["object", "kind"]
        "Time from accepting an operation to its end.";
    PASS_DURATION = Histogram "runnel_reconcile_pass_duration_seconds" []
        "Time of one pass over one connector: look, plan, act.";
    HTTP_REQUESTS = Counter "runnel_http_requests_total" ["method", "route", "status"]
        "Requests that the API has answered.";
    LOG_DELIVERED = Counter "runnel_log_records_delivered_total" ["connector", "place"]
        "Log records that a place has taken; a repetition counts again.";
    LOG_DROPPED = Counter "runnel_log_records_dropped_total" ["connector", "place"]
        "Log records that were not delivered: above the limit, or refused by the place.";
    LOG_ERRORS = Counter "runnel_log_delivery_errors_total" ["connector", "place"]
        "Attempts to deliver log records that failed.";
    LAST_SAMPLE = Gauge "runnel_last_sample_timestamp_seconds" []
        "When workers were last looked at for CPU time and memory, seconds since the Unix epoch.";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "When the daemon was started, seconds since the Unix epoch.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "CPU time of the daemon itself.";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" []
        "Resident memory of the daemon itself.";
}
