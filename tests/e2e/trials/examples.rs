//! Examples are documentation and test at once.

use anyhow::{Result, ensure};
use e2e::world::World;
use std::time::Duration;

/// The quickstart applies, captures as JSON, plans empty and goes.
pub fn quickstart(world: &mut World) -> Result<()> {
    world.rig.mariadb(
        "CREATE DATABASE inventory; CREATE TABLE inventory.items (id INT PRIMARY KEY, label VARCHAR(40)); \
         INSERT INTO inventory.items VALUES (1, 'first')",
    )?;
    let mut terraform = world.example("quickstart")?;
    let rig = &world.rig;
    for (variable, value) in [
        ("bootstrap_servers", rig.bootstrap()?),
        ("plugin_source", world.place("RIG_PLUGIN_MARIADB")?),
        ("database_hostname", rig.fact("RIG_MARIADB_HOST")?),
        ("database_port", rig.fact("RIG_MARIADB_PORT")?),
        ("database_user", rig.fact("RIG_MARIADB_USER")?),
        ("database_password", rig.fact("RIG_MARIADB_PASSWORD")?),
    ] {
        terraform.set(&format!("TF_VAR_{variable}"), value);
    }
    terraform.apply()?.expect(0)?;
    terraform.plan()?.expect(0)?;
    let records = world.records("inventory.inventory.items", 1, Duration::from_secs(30))?;
    let record: serde_json::Value = serde_json::from_str(&records[0])?;
    ensure!(record["after"]["label"] == "first", "{record}");
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE inventory")?;
    Ok(())
}
