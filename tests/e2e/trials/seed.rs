//! The seed's order of things: the connector first, its database later.

use anyhow::{Result, ensure};
use e2e::hcl::Seed;
use e2e::world::World;
use std::time::Duration;

/// The connector is there before the database `early` is, and captures it from its creation on.
pub fn before_its_database(world: &mut World) -> Result<()> {
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    let hcl = Seed::new("early-server", "early", &password).hcl(world)?;
    let terraform = world.terraform("early", &hcl)?;
    terraform
        .apply()?
        .expect(0)?
        .says("4 added, 0 changed, 0 destroyed")?;
    terraform.plan()?.expect(0)?;
    world.rig.mariadb("CREATE DATABASE early; CREATE TABLE early.orders (order_id VARCHAR(255), price DECIMAL(6,2))")?;
    let changes = world.record_with("early-server", "CREATE TABLE", Duration::from_secs(30))?;
    ensure!(
        changes.contains("ddl=CREATE DATABASE early"),
        "no CREATE DATABASE: {changes}"
    );
    world
        .rig
        .mariadb("INSERT INTO early.orders VALUES ('123456', 50.00)")?;
    let rows = world.records("early-server.early.orders", 1, Duration::from_secs(30))?;
    ensure!(
        rows[0].starts_with("Struct{after=Struct{order_id=123456,price=50.00}"),
        "{rows:?}"
    );
    ensure!(rows[0].contains("op=c"), "{rows:?}");
    terraform.destroy()?.expect(0)?;
    let topics = world.rig.topics()?;
    ensure!(
        !topics
            .iter()
            .any(|topic| topic.contains("__runnel_") && topic.contains("early-server")),
        "{topics:?}"
    );
    world.rig.mariadb("DROP DATABASE early")?;
    Ok(())
}
