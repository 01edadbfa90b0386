//! A host that has only so much to give.

use anyhow::{Context as _, Result, ensure};
use e2e::hcl;
use e2e::process::wait_for;
use e2e::world::World;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Connectors that are wanted at once: many more than the host has CPUs.
const MANY: usize = 50;
/// Connectors that really start unless `E2E_STARTED` says another number: fifty JVMs take minutes on two cores.
const STARTED: usize = 8;
/// What the API may take to answer while workers start.
const ANSWER: Duration = Duration::from_secs(1);

/// Fifty connectors on a host for two are a plan error that says who holds what; with the limit raised they start a few
/// at a time, and the API answers meanwhile.
pub fn full(world: &mut World) -> Result<()> {
    let small = "[capacity]\nmcus = 2\nmcu_memory_mib = 512\n[timing]\nsettle_ms = 1000\n";
    let mut daemon = world.other_daemon("full", small)?;
    let terraform = world.terraform_on(&daemon, "full", &connectors(world, MANY)?)?;
    let refused = terraform.plan()?.expect(1)?;
    refused.says("capacity")?;
    refused.says("2 MCU")?;
    ensure!(
        daemon.get("/api/v1/connectors")?["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );

    daemon.write_config("[capacity]\nmcus = 64\nmcu_memory_mib = 512\nstarts_at_once = 2\n[timing]\nsettle_ms = 1000\noperation_timeout_ms = 600000\n")?;
    daemon.stop_all()?;
    daemon.spawn()?;
    let wanted = std::env::var("E2E_STARTED").ok();
    let started = wanted.map_or(Ok(STARTED), |text| text.parse())?;
    terraform.write(&connectors(world, started)?)?;
    let mut apply =
        terraform.spawn(&["apply", "-auto-approve", "-input=false", "-parallelism=50"])?;
    let begun = Instant::now();
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    let status = loop {
        if let Some(status) = apply.try_wait()? {
            break status;
        }
        ensure!(
            begun.elapsed() < Duration::from_mins(15),
            "the apply takes too long"
        );
        let asked = Instant::now();
        let listed = daemon.get("/api/v1/connectors")?;
        slowest = slowest.max(asked.elapsed());
        let workers = listed["items"].as_array().into_iter().flatten();
        let starting = workers
            .flat_map(|item| {
                item["status"]["workers"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            })
            .filter(|worker| worker["state"] == "STARTING")
            .count();
        most = most.max(starting);
        std::thread::sleep(Duration::from_millis(100));
    };
    println!(
        "{started} connectors in {:.1} s; at most {most} workers starting at once; slowest answer {} ms",
        begun.elapsed().as_secs_f64(),
        slowest.as_millis()
    );
    ensure!(
        status.success(),
        "the apply failed: {}",
        terraform.apply()?.text
    );
    ensure!(most <= 2, "{most} workers were starting at once");
    ensure!(slowest < ANSWER, "an answer took {slowest:?}");
    wait_for("all to run", Duration::from_secs(30), || {
        let listed = daemon.get("/api/v1/connectors")?;
        let items = listed["items"].as_array().context("items")?;
        Ok(items
            .iter()
            .all(|item| item["status"]["health"] == "RUNNING"))
    })?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    daemon.stop_all()
}

/// Heartbeats of a mirror: the smallest connector that there is.
fn connectors(world: &World, count: usize) -> Result<String> {
    let bootstrap = world.rig.bootstrap()?;
    let bytes = "org.apache.kafka.connect.converters.ByteArrayConverter";
    let mut hcl =
        hcl::cluster("full", bootstrap) + &hcl::plugin("full", world.place("RIG_PLUGIN_JDBC")?);
    hcl.push_str("\nresource \"runnel_role\" \"this\" {\n  name = \"full\"\n}\n");
    let config = hcl::map(
        "config",
        &[
            (
                "connector.class",
                "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector",
            ),
            ("source.cluster.alias", "here"),
            ("target.cluster.alias", "there"),
            ("source.cluster.bootstrap.servers", bootstrap),
            ("target.cluster.bootstrap.servers", bootstrap),
            ("heartbeats.topic.replication.factor", "1"),
            ("key.converter", bytes),
            ("value.converter", bytes),
        ],
    );
    let _ = write!(
        hcl,
        r#"
resource "runnel_connector" "this" {{
  count                      = {count}
  name                       = "full-${{count.index}}"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.this.ref]
  service_execution_role_arn = runnel_role.this.arn
  capacity                   = {{ provisioned = {{ mcu_count = 1, worker_count = 1 }} }}
{config}}}
"#
    );
    Ok(hcl)
}
