//! Where a password is, and where it is not.

use anyhow::{Result, ensure};
use e2e::hcl::Seed;
use e2e::process::wait_for;
use e2e::world::{World, grep};
use std::path::Path;
use std::time::{Duration, Instant};

/// A unique password is in no state, plan, process, log, answer, topic or store.
pub fn no_trace(world: &mut World) -> Result<()> {
    let secret = format!("Pw-{}-{}", std::process::id(), "q7Zk4vX9");
    world.rig.mariadb(&format!(
        "CREATE DATABASE hidden; CREATE TABLE hidden.t (id INT PRIMARY KEY); \
         CREATE USER 'canary'@'%' IDENTIFIED BY '{secret}'; \
         GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO 'canary'@'%'"
    ))?;
    let config = [("database.user", "canary")];
    let hcl = Seed {
        config: &config,
        ..Seed::new("canary", "hidden", "${var.password}")
    }
    .hcl(world)?;
    let variable = "variable \"password\" {\n  type      = string\n  sensitive = true\n  ephemeral = true\n}\n";
    let mut terraform = world.terraform("canary", &format!("{variable}{hcl}"))?;
    terraform.set("TF_VAR_password", &secret);
    terraform.run(&["plan", "-out=saved.tfplan"])?.expect(0)?;
    terraform.run(&["apply", "saved.tfplan"])?.expect(0)?;
    world.rig.mariadb("INSERT INTO hidden.t VALUES (1)")?;
    world.record_with("canary.hidden.t", "id=1", Duration::from_secs(30))?;
    let plan_json = terraform.run(&["show", "-json", "saved.tfplan"])?;
    ensure!(
        !plan_json.text.contains(&secret),
        "the saved plan shows the password"
    );
    ensure!(
        !terraform.state().contains(&secret),
        "the state holds the password"
    );
    let unzipped = terraform.folder().join("plan");
    unzip(&terraform.folder().join("saved.tfplan"), &unzipped)?;
    let allowed = world.daemon.data().join("fleets");
    let mut hits = grep(terraform.folder(), &secret)?;
    hits.extend(grep(&world.daemon.data(), &secret)?);
    hits.extend(grep(&world.daemon.log_path(), &secret)?);
    hits.retain(|path| {
        !(path.starts_with(&allowed) && path.to_string_lossy().contains("/secrets/"))
    });
    ensure!(hits.is_empty(), "the password stands in {hits:?}");
    no_process_knows(&secret)?;
    for path in [
        "/api/v1/connectors/canary",
        "/api/v1/connectors",
        "/api/v1/operations?kind=connector&name=canary",
    ] {
        let answer = world.daemon.get(path)?.to_string();
        ensure!(!answer.contains(&secret), "GET {path} shows the password");
    }
    let topics = world.rig.topics()?;
    let broker = world.scratch("rig").join("broker");
    ensure!(
        topics.iter().any(|topic| topic.contains("configs")),
        "no config topic: {topics:?}"
    );
    let in_broker = grep(&broker, &secret)?;
    ensure!(in_broker.is_empty(), "the password stands in {in_broker:?}");
    terraform.destroy()?.expect(0)?;
    ensure!(
        grep(&world.daemon.data(), &secret)?.is_empty(),
        "the password outlives the connector"
    );
    world
        .rig
        .mariadb("DROP USER 'canary'@'%'; DROP DATABASE hidden")?;
    Ok(())
}

/// A saved plan is a ZIP; what is deflated in it would not be found by its bytes.
pub(super) fn unzip(archive: &Path, folder: &Path) -> Result<()> {
    zip::ZipArchive::new(std::fs::File::open(archive)?)?.extract(folder)?;
    Ok(())
}

/// Looks at every process but terraform's own and this one's children that were given the variable.
fn no_process_knows(secret: &str) -> Result<()> {
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(path.join(file)).unwrap_or_default();
            let known = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            ensure!(!known, "{} of {} holds the password", file, path.display());
        }
    }
    Ok(())
}

/// A wrong password fails the create quickly and by name; the corrected one is an add.
pub fn wrong_password(world: &mut World) -> Result<()> {
    world
        .rig
        .mariadb("CREATE DATABASE locked; CREATE TABLE locked.t (id INT PRIMARY KEY)")?;
    let hcl = Seed::new("locked", "locked", "not-the-password").hcl(world)?;
    let terraform = world.terraform("locked", &hcl)?;
    let begun = Instant::now();
    let failed = terraform.apply()?.expect(1)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("wrong password: apply failed after {seconds:.1} s");
    ensure!(seconds < 30.0, "the failing apply took {seconds:.1} s");
    failed.says("ccess denied")?;
    failed.says("config_wo")?;
    ensure!(
        !terraform
            .addresses()?
            .contains(&"runnel_connector.this".to_owned())
    );
    let found = world.daemon.get("/api/v1/connectors")?;
    ensure!(
        found["items"].as_array().is_some_and(Vec::is_empty),
        "left behind: {found}"
    );
    ensure!(
        !world
            .rig
            .topics()?
            .iter()
            .any(|topic| topic.contains("_locked_")),
        "topics left behind"
    );
    let fleets = world.daemon.data().join("fleets");
    let left = std::fs::read_dir(&fleets)
        .map(Iterator::count)
        .unwrap_or_default();
    ensure!(left == 0, "{left} fleets left in {}", fleets.display());
    // Why it failed can still be read.
    let logs = world.daemon.runnel(&["logs", "locked"])?;
    ensure!(
        !logs.trim().is_empty(),
        "the logs of the failed create are gone"
    );
    let password = world.rig.fact("RIG_MARIADB_PASSWORD")?.to_owned();
    terraform.write(&Seed::new("locked", "locked", &password).hcl(world)?)?;
    terraform
        .plan()?
        .expect(2)?
        .says("1 to add, 0 to change, 0 to destroy")?;
    terraform.apply()?.expect(0)?;
    terraform.plan()?.expect(0)?;
    terraform.destroy()?.expect(0)?;
    world.rig.mariadb("DROP DATABASE locked")?;
    Ok(())
}

/// Another sealing key changes nothing for who runs; another password in `config_wo` reaches the tasks, which go on where
/// they were, and the file with the old one goes.
pub fn rotated(world: &mut World) -> Result<()> {
    const FIRST: &str = "First-password-8Kd2";
    const SECOND: &str = "Second-password-5Wq9";
    const LIMIT: Duration = Duration::from_mins(1);
    world.rig.mariadb(&format!(
        "CREATE DATABASE turned; CREATE TABLE turned.t (id INT PRIMARY KEY); INSERT INTO turned.t VALUES (1); \
         CREATE USER 'turner'@'%' IDENTIFIED BY '{FIRST}'; \
         GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO 'turner'@'%'"
    ))?;
    let config = [("database.user", "turner")];
    let hcl = |world: &World, password: &str, version: u32| {
        Seed {
            config: &config,
            password_version: version,
            ..Seed::new("turned", "turned", password)
        }
        .hcl(world)
    };
    let terraform = world.terraform("turned", &hcl(world, FIRST, 1)?)?;
    terraform.apply()?.expect(0)?;
    world.record_with("turned.turned.t", "id=1", LIMIT)?;

    let fleets = world.daemon.data().join("fleets");
    let (pids, files) = (world.daemon.worker_pids("turned")?, grep(&fleets, FIRST)?);
    ensure!(files.len() == 1, "the password stands in {files:?}");
    let key = std::fs::read(world.daemon.data().join("sealing.key"))?;
    let told = world.daemon.runnel(&["rotate-key"])?;
    ensure!(told.contains("sealing.key is new"), "{told}");
    let new = std::fs::read(world.daemon.data().join("sealing.key"))?;
    ensure!(new != key, "the key is the old one");
    terraform.plan()?.expect(0)?;
    world.daemon.kill()?;
    world.daemon.spawn()?;
    terraform.plan()?.expect(0)?;
    world.rig.mariadb("INSERT INTO turned.t VALUES (2)")?;
    world.record_with("turned.turned.t", "id=2", LIMIT)?;
    let object = world.daemon.get("/api/v1/connectors/turned")?;
    ensure!(object["generation"] == 1, "{object}");
    wait_for("the workers to be taken over", LIMIT, || {
        Ok(world.daemon.worker_pids("turned")? == pids)
    })?;
    ensure!(
        grep(&fleets, FIRST)? == files,
        "the secret file is another one"
    );

    world
        .rig
        .mariadb(&format!("ALTER USER 'turner'@'%' IDENTIFIED BY '{SECOND}'"))?;
    terraform.write(&hcl(world, SECOND, 2)?)?;
    terraform.plan()?.expect(2)?.says("1 to change")?;
    terraform.apply()?.expect(0)?;
    terraform.plan()?.expect(0)?;
    let found = grep(&fleets, SECOND)?;
    ensure!(
        found.len() == 1 && found != files,
        "the new password stands in {found:?}"
    );
    let left = grep(&fleets, FIRST)?;
    ensure!(left.is_empty(), "the old password stands in {left:?}");
    // A task that logged in before would go on with the old password; from here on it cannot.
    world.daemon.runnel(&["restart", "turned"])?;
    world.rig.mariadb("INSERT INTO turned.t VALUES (3)")?;
    let all = world.record_with("turned.turned.t", "id=3", LIMIT)?;
    ensure!(
        all.lines().count() == 3,
        "rows were read again or lost: {all}"
    );
    terraform.destroy()?.expect(0)?;
    world
        .rig
        .mariadb("DROP USER 'turner'@'%'; DROP DATABASE turned")?;
    Ok(())
}
