//! A source and a sink at the same time, on the newer runtime.

use anyhow::{Result, ensure};
use e2e::hcl;
use e2e::process::wait_for;
use e2e::terraform::Terraform;
use e2e::world::World;
use std::time::Duration;

/// Debezium MariaDB 3.5 into Kafka, Debezium JDBC from Kafka into PostgreSQL.
pub fn source_and_sink(world: &mut World) -> Result<()> {
    world.rig.mariadb("CREATE DATABASE store_; CREATE TABLE store_.items (id INT PRIMARY KEY, label VARCHAR(40)); INSERT INTO store_.items VALUES (1, 'one')")?;
    let main = configuration(world)?;
    let terraform = world.terraform("side", &main)?;
    terraform.apply()?.expect(0)?;
    terraform.plan()?.expect(0)?;
    for connector in ["side-source", "side-sink"] {
        let object = world
            .daemon
            .get(&format!("/api/v1/connectors/{connector}"))?;
        ensure!(
            object["status"]["derived"]["kafkaconnect_version"] == "4.3",
            "{object}"
        );
    }
    world
        .rig
        .mariadb("INSERT INTO store_.items VALUES (2, 'two')")?;
    let database = world.rig.fact("RIG_POSTGRES_DATABASE")?;
    wait_for("both rows in PostgreSQL", Duration::from_mins(1), || {
        let query = "SELECT string_agg(label, ',' ORDER BY id) FROM side_items";
        let text = world.rig.psql_in(database, query).unwrap_or_default();
        Ok(text.trim() == "one,two")
    })?;
    ensure!(
        world.daemon.worker_pids("side-sink")?.len() == 2,
        "the sink does not have its two workers"
    );
    let outputs = terraform.run(&["output"])?.expect(0)?;
    outputs.says("health = \"RUNNING\"")?;
    outputs.says("decoded = \"d\"")?;
    imported(&terraform)?;
    let status = world.daemon.runnel(&["status"])?;
    ensure!(
        status.contains("side-source") && status.contains("side-sink"),
        "{status}"
    );
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE store_")?;
    Ok(())
}

/// Forgets everything and imports it by name: the plan is empty again.
fn imported(terraform: &Terraform) -> Result<()> {
    for (address, name) in [
        ("runnel_kafka_cluster.this", "side"),
        ("runnel_plugin.mariadb", "side-mariadb"),
        ("runnel_plugin.jdbc", "side-jdbc"),
        ("runnel_role.this", "side"),
        ("runnel_worker_configuration.json", "side-json"),
        ("runnel_connector.source", "side-source"),
        ("runnel_connector.sink", "side-sink"),
    ] {
        terraform.run(&["state", "rm", address])?.expect(0)?;
        terraform.run(&["import", address, name])?.expect(0)?;
    }
    terraform.plan()?.expect(0).map(drop)
}

fn configuration(world: &World) -> Result<String> {
    let rig = &world.rig;
    let url = format!(
        "jdbc:postgresql://{}:{}/{}",
        rig.fact("RIG_POSTGRES_HOST")?,
        rig.fact("RIG_POSTGRES_PORT")?,
        rig.fact("RIG_POSTGRES_DATABASE")?
    );
    let source = hcl::map(
        "config",
        &[
            (
                "connector.class",
                "io.debezium.connector.mariadb.MariaDbConnector",
            ),
            ("tasks.max", "1"),
            ("database.hostname", rig.fact("RIG_MARIADB_HOST")?),
            ("database.port", rig.fact("RIG_MARIADB_PORT")?),
            ("database.user", rig.fact("RIG_MARIADB_USER")?),
            ("database.server.id", "777001"),
            ("topic.prefix", "side"),
            ("database.include.list", "store_"),
            ("schema.history.internal.kafka.topic", "history.side"),
        ],
    );
    let sink = hcl::map(
        "config",
        &[
            (
                "connector.class",
                "io.debezium.connector.jdbc.JdbcSinkConnector",
            ),
            ("tasks.max", "1"),
            ("topics", "side.store_.items"),
            ("connection.url", &url),
            ("connection.username", rig.fact("RIG_POSTGRES_USER")?),
            ("insert.mode", "upsert"),
            ("primary.key.mode", "record_key"),
            ("primary.key.fields", "id"),
            ("schema.evolution", "basic"),
            ("collection.name.format", "side_items"),
        ],
    );
    Ok(format!(
        r#"{cluster}
resource "runnel_plugin" "mariadb" {{
  name   = "side-mariadb"
  source = "{mariadb}"
}}

resource "runnel_plugin" "jdbc" {{
  name   = "side-jdbc"
  source = "{jdbc}"
}}

resource "runnel_role" "this" {{
  name = "side"
}}

resource "runnel_worker_configuration" "json" {{
  name = "side-json"
  properties = {{
    "key.converter"   = "org.apache.kafka.connect.json.JsonConverter"
    "value.converter" = "org.apache.kafka.connect.json.JsonConverter"
  }}
}}

resource "runnel_connector" "source" {{
  name                       = "side-source"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.mariadb.ref]
  worker_configuration       = runnel_worker_configuration.json.ref
  service_execution_role_arn = runnel_role.this.arn
  capacity                   = {{ provisioned = {{ mcu_count = 1, worker_count = 1 }} }}
  config_wo                  = {{ "database.password" = "{mariadb_password}" }}
  config_wo_version          = 1
{source}}}

data "runnel_connector" "source" {{
  name = runnel_connector.source.name
}}

output "health" {{
  value = data.runnel_connector.source.health
}}

output "decoded" {{
  value = provider::runnel::properties_decode("a=b\nc : d")["c"]
}}

resource "runnel_connector" "sink" {{
  name                       = "side-sink"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.jdbc.ref]
  worker_configuration       = runnel_worker_configuration.json.ref
  service_execution_role_arn = runnel_role.this.arn
  capacity                   = {{ provisioned = {{ mcu_count = 1, worker_count = 2 }} }}
  config_wo                  = {{ "connection.password" = "{postgres_password}" }}
  config_wo_version          = 1
{sink}}}
"#,
        cluster = hcl::cluster("side", rig.bootstrap()?),
        mariadb = world.place("RIG_PLUGIN_MARIADB")?,
        jdbc = world.place("RIG_PLUGIN_JDBC")?,
        mariadb_password = rig.fact("RIG_MARIADB_PASSWORD")?,
        postgres_password = rig.fact("RIG_POSTGRES_PASSWORD")?,
    ))
}
