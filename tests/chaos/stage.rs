//! Servers, a daemon and connectors that last for a whole run.

use anyhow::{Context as _, Result, bail, ensure};
use e2e::daemon::Manner;
use e2e::deeds::is_deed;
use e2e::hcl;
use e2e::process::{run, wait_for};
use e2e::secured::Secured;
use e2e::standing::Standing;
use e2e::terraform::Terraform;
use e2e::world::World;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a connector may take to run again after anything that was done to it.
pub const RECOVERY_LIMIT: Duration = Duration::from_secs(90);
/// How long an operation may take; the daemon's own bound is below it.
pub const OPERATION_LIMIT: Duration = Duration::from_secs(100);
/// One period of the reconciler in these runs.
const PERIOD: Duration = Duration::from_millis(500);
/// So long nothing may be done before it counts as rest: two periods and a little.
const REST: Duration = Duration::from_millis(1_300);

/// Small workers, and shorter waits than people want: 600 MiB hold a Debezium worker with its class
/// data, and a settle time of 1 s makes an operation short without changing its steps.
const SETTINGS: &str = "
[capacity]
mcu_memory_mib = 640

[timing]
settle_ms = 1000
reconcile_ms = 500
operation_timeout_ms = 90000
kafka_timeout_ms = 5000
probe_ms = 10000
silent_worker_ms = 10000
";

/// Everything that runs.
pub struct Stage {
    /// Servers and daemon.
    pub world: World,
    /// Cluster, plugin, role, worker configuration and the connectors made with them.
    pub terraform: Terraform,
    /// The broker, when it is the one with roles.
    pub secured: Option<Secured>,
    /// Who was on that broker before any connector.
    pub before: Standing,
    /// Names of the connectors that shall be there.
    pub connectors: Vec<String>,
    /// Their common beginning of a configuration.
    main: String,
}

/// Whether the broker lets everybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// It does, and knows no users.
    Plain,
    /// TLS, SCRAM and ACLs; connectors get what [`POLICY`] allows.
    Secured,
}

/// What a connector `step` needs that begins its topics with its name.
const POLICY: &[hcl::Statement<'static>] = &[
    hcl::Statement {
        effect: "Allow",
        actions: &["Connect", "DescribeCluster"],
        resources: &["cluster"],
    },
    hcl::Statement {
        effect: "Allow",
        actions: &[
            "CreateTopic",
            "DescribeTopic",
            "DescribeTopicDynamicConfiguration",
            "ReadData",
            "WriteData",
        ],
        resources: &["topic/step", "topic/step.*", "topic/history.step"],
    },
    hcl::Statement {
        effect: "Deny",
        actions: &["WriteData"],
        resources: &["topic/step.not-this"],
    },
    hcl::Statement {
        effect: "Allow",
        actions: &["DescribeGroup", "AlterGroup"],
        resources: &["group/step-schemahistory"],
    },
];

/// A connector of Debezium for MariaDB.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// Its name and its `topic.prefix`.
    pub name: &'a str,
    /// The tables that it reads, `database.table`, separated by commas.
    pub tables: &'a str,
    /// Further lines of the resource.
    pub lines: &'a str,
}

impl Stage {
    /// Starts broker, MariaDB and a daemon, and declares what connectors need.
    pub fn set_up(
        program: PathBuf,
        brokers: Brokers,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let manner = Manner {
            program,
            settings: SETTINGS.to_owned(),
        };
        let broker = match brokers {
            Brokers::Plain => "broker",
            Brokers::Secured => "secured",
        };
        let world = World::set_up_as(&[broker, "mariadb"], &manner, prepare)?;
        let secured = match brokers {
            Brokers::Plain => None,
            Brokers::Secured => Some(world.rig.secured()?),
        };
        let (cluster, role) = match &secured {
            None => (
                hcl::cluster("chaos", world.rig.bootstrap()?),
                hcl::role("chaos"),
            ),
            Some(secured) => (
                hcl::secured_cluster("chaos", secured, 1),
                hcl::policy_role("chaos", POLICY),
            ),
        };
        let main = format!(
            r#"{cluster}{plugin}{role}
resource "runnel_worker_configuration" "json" {{
  name = "chaos-json"
  properties = {{
    "key.converter"                  = "org.apache.kafka.connect.json.JsonConverter"
    "value.converter"                = "org.apache.kafka.connect.json.JsonConverter"
    "key.converter.schemas.enable"   = "false"
    "value.converter.schemas.enable" = "false"
  }}
}}
"#,
            plugin = hcl::plugin("chaos-mariadb", world.place("RIG_PLUGIN_MARIADB")?),
        );
        let mut terraform = world.terraform("chaos", &main)?;
        if let Some(secured) = &secured {
            let variable = format!("TF_VAR_{}", hcl::ADMIN_PASSWORD);
            terraform.set(&variable, &secured.admin_password);
        }
        terraform.apply()?.expect(0)?;
        Ok(Self {
            world,
            terraform,
            secured,
            before: Standing::default(),
            connectors: Vec::new(),
            main,
        })
    }

    /// Declares connectors in addition to what is there, and waits until they run.
    pub fn declare(&mut self, sources: &[Source<'_>]) -> Result<()> {
        for source in sources {
            let text = self.source(source)?;
            self.main.push_str(&text);
        }
        self.terraform.write(&self.main)?;
        self.terraform.apply()?.expect(0)?;
        self.connectors
            .extend(sources.iter().map(|source| source.name.to_owned()));
        Ok(())
    }

    fn source(&self, source: &Source<'_>) -> Result<String> {
        let mut config = hcl::mariadb(&self.world, source.name)?;
        config.push(("table.include.list", source.tables.to_owned()));
        // A lost connection to the binlog is noticed after one to two of these; Debezium's default is a minute.
        config.push(("connect.keep.alive.interval.ms", "5000".to_owned()));
        let config: Vec<(&str, &str)> = config.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let lines = format!(
            "  worker_configuration       = runnel_worker_configuration.json.ref\n{}",
            source.lines
        );
        let connector = hcl::Connector {
            label: source.name,
            secret: self.world.rig.fact("RIG_MARIADB_PASSWORD")?,
            lines: &lines,
            ..hcl::Connector::new(source.name, &config)
        };
        Ok(connector.hcl())
    }

    /// A connector as the API shows it.
    pub fn object(&self, connector: &str) -> Result<Value> {
        self.world
            .daemon
            .get(&format!("/api/v1/connectors/{connector}"))
    }

    /// Accepts a specification as a client does that lost the answer: again until there is one.
    /// Gives the operation's id.
    pub fn put(&mut self, connector: &str, body: &Value) -> Result<String> {
        let path = format!("/api/v1/connectors/{connector}");
        let (status, answer) = self.again(&reqwest::Method::PUT, &path, Some(body))?;
        ensure!(status < 300, "PUT {path}: {status}: {answer}");
        operation_id(&answer)
    }

    /// As [`Stage::put`]; none when the connector is gone.
    pub fn delete(&mut self, connector: &str) -> Result<Option<String>> {
        let path = format!("/api/v1/connectors/{connector}");
        let (status, answer) = self.again(&reqwest::Method::DELETE, &path, None)?;
        if status == 404 {
            return Ok(None);
        }
        ensure!(status < 300, "DELETE {path}: {status}: {answer}");
        operation_id(&answer).map(Some)
    }

    /// Sends a request until it is answered; a daemon that died is started again.
    pub fn again(
        &mut self,
        method: &reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let until = Instant::now() + RECOVERY_LIMIT;
        loop {
            let answer = self.world.daemon.send(method.clone(), path, body);
            match answer {
                Ok((503, _)) | Err(_) if Instant::now() < until => {
                    self.revive()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
                answer => return answer,
            }
        }
    }

    /// Starts the daemon again if it has died by itself; true if so.
    pub fn revive(&mut self) -> Result<bool> {
        if !self.world.daemon.has_ended()? {
            return Ok(false);
        }
        self.world.daemon.spawn()?;
        Ok(true)
    }

    /// Waits for an operation's end and gives it, whatever the outcome; a daemon that dies
    /// meanwhile is started again.
    pub fn await_operation(&mut self, id: &str) -> Result<Value> {
        let until = Instant::now() + OPERATION_LIMIT;
        loop {
            let path = format!("/api/v1/operations/{id}?wait=2");
            let (status, operation) = self.again(&reqwest::Method::GET, &path, None)?;
            ensure!(status == 200, "GET {path}: {status}: {operation}");
            let outcome = operation["outcome"].as_str().unwrap_or_default();
            if !["PENDING", "IN_PROGRESS"].contains(&outcome) {
                return Ok(operation);
            }
            if Instant::now() > until {
                bail!(
                    "waited {} s for the operation: {operation}",
                    OPERATION_LIMIT.as_secs()
                );
            }
        }
    }

    /// What a `PUT` of the connector as it is would send.
    pub fn spec(&self, connector: &str) -> Result<Value> {
        Ok(json!({ "spec": self.object(connector)?["spec"] }))
    }

    /// Waits until every connector runs, with all its tasks on live workers.
    pub fn await_running(&mut self) -> Result<()> {
        let until = Instant::now() + RECOVERY_LIMIT;
        for connector in self.connectors.clone() {
            loop {
                let object = self.object(&connector)?;
                let status = &object["status"];
                let workers = status["workers"].as_array().map_or(0, Vec::len);
                let alive = self.world.daemon.worker_pids(&connector)?;
                let runs = status["state"] == "RUNNING"
                    && status["health"] == "RUNNING"
                    && workers == 1
                    && alive.len() == 1
                    && Path::new(&format!("/proc/{}", alive[0])).exists();
                if runs {
                    break;
                }
                if Instant::now() > until {
                    bail!(
                        "waited {} s for {connector} to run: {status}",
                        RECOVERY_LIMIT.as_secs()
                    );
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// Waits until a connector's place in the log is kept in Kafka. Before that a killed Debezium
    /// knows nothing of its snapshot and takes another one, which holds the rows as they are then
    /// and not what was changed in between.
    pub fn await_position(&self, connector: &str) -> Result<()> {
        let begin = format!("__runnel_offsets_{connector}_");
        let topics = self.topics()?;
        let topic = topics.iter().find(|topic| topic.starts_with(&begin));
        let topic = topic.with_context(|| format!("no topic {begin}…"))?;
        // A place in the binlog has the server's id, that of a snapshot has not.
        self.world
            .record_with(topic, "server_id", RECOVERY_LIMIT)
            .map(drop)
    }

    /// Names of the topics on the broker.
    pub fn topics(&self) -> Result<Vec<String>> {
        match &self.secured {
            None => self.world.rig.topics(),
            Some(secured) => secured.topics(),
        }
    }

    /// Waits until two passes in a row have done nothing. What is done is in the daemon's log.
    pub fn await_rest(&self) -> Result<()> {
        let mut seen = self.deeds()?;
        let mut since = Instant::now();
        let begun = Instant::now();
        wait_for(
            "two passes that do nothing",
            Duration::from_secs(40),
            || {
                let now = self.deeds()?;
                if now != seen {
                    seen = now;
                    since = Instant::now();
                }
                Ok(since.elapsed() >= REST)
            },
        )
        .with_context(|| {
            format!(
                "the reconciler was still busy {} s later; its last deeds:\n{}",
                begun.elapsed().as_secs(),
                e2e::process::tail(&self.world.daemon.log_path(), 5)
            )
        })?;
        debug_assert!(REST > 2 * PERIOD);
        Ok(())
    }

    /// How many actions the daemon's log tells of.
    fn deeds(&self) -> Result<usize> {
        let log = std::fs::read_to_string(self.world.daemon.log_path())?;
        Ok(log.lines().filter(|line| is_deed(line)).count())
    }

    /// The only worker of a connector, and its shim.
    pub fn worker_and_shim(&self, connector: &str) -> Result<(u32, u32)> {
        let pids = self.world.daemon.worker_pids(connector)?;
        let [worker] = pids[..] else {
            bail!("{connector} has the workers {pids:?}, not one");
        };
        Ok((worker, parent_of(worker)?))
    }
}

impl Drop for Stage {
    /// The daemon ends before its disk goes, see [`crate::faults::mount`].
    fn drop(&mut self) {
        let has_ended = self.world.daemon.has_ended().unwrap_or(false);
        if !has_ended && let Err(error) = self.world.daemon.stop_all() {
            eprintln!("{error:#}");
        }
        crate::faults::unmount(&self.world.daemon.data());
    }
}

/// The parent of a process.
pub fn parent_of(pid: u32) -> Result<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(line.context("PPid")?.trim().parse()?)
}

fn operation_id(answer: &Value) -> Result<String> {
    let id = answer["operation"]["id"].as_str();
    Ok(id
        .with_context(|| format!("no operation in {answer}"))?
        .to_owned())
}

/// Builds a daemon with points to die at, beside the usual build, and gives its place.
pub fn build_with_failpoints() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = |features: &[&str]| {
        let mut command = Command::new(&cargo);
        command
            .current_dir(e2e::process::repository())
            .args(["build", "-q", "-p", "runnel"])
            .args(features);
        run(&mut command).map(drop)
    };
    build(&["--features", "runnel/failpoints"])?;
    let usual = e2e::process::binary("runnel");
    let special = usual.with_file_name("runnel-with-failpoints");
    std::fs::copy(&usual, &special)?;
    // The usual name is for the usual build.
    build(&[])?;
    Ok(special)
}
