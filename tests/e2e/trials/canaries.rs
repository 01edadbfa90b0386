//! Every kind of secret through everything that can be done with a connector, and then looked for everywhere.

use super::secrets::unzip;
use anyhow::{Context as _, Result, ensure};
use e2e::canary::{self, Canary};
use e2e::hcl::{ADMIN_PASSWORD, Seed, Statement};
use e2e::process::wait_for;
use e2e::secured::Secured;
use e2e::terraform::Terraform;
use e2e::wire::Wire;
use e2e::world::World;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const NAME: &str = "caged";
const LIMIT: Duration = Duration::from_mins(1);

/// What a connector in the seed's manner needs.
const POLICY: &[Statement<'static>] = &[
    Statement {
        effect: "Allow",
        actions: &[
            "Connect",
            "DescribeCluster",
            "DescribeClusterDynamicConfiguration",
        ],
        resources: &["cluster"],
    },
    Statement {
        effect: "Allow",
        actions: &[
            "CreateTopic",
            "DescribeTopic",
            "DescribeTopicDynamicConfiguration",
            "ReadData",
            "WriteData",
        ],
        resources: &["topic/caged", "topic/caged.*", "topic/dbhistory.caged"],
    },
    Statement {
        effect: "Allow",
        actions: &["DescribeGroup", "AlterGroup"],
        resources: &["group/caged-dbhistory"],
    },
];

/// A second cluster, which is let in by a client certificate.
fn by_certificate(secured: &Secured) -> String {
    format!(
        r#"
variable "password" {{
  type      = string
  sensitive = true
  ephemeral = true
}}

variable "client_key" {{
  type      = string
  sensitive = true
  ephemeral = true
}}

resource "runnel_kafka_cluster" "certified" {{
  name                  = "caged-certified"
  bootstrap_servers     = "{bootstrap}"
  encryption_in_transit = {{ type = "TLS", ca_certificate = file("{ca}") }}

  client_authentication = {{
    type                   = "MTLS"
    certificate            = file("{certificate}")
    private_key_wo         = var.client_key
    private_key_wo_version = 1
  }}
}}
"#,
        bootstrap = secured.mtls_bootstrap,
        ca = secured.ca.display(),
        certificate = secured.client_certificate.display(),
    )
}

/// All secrets so far, and where answers are written that nobody else keeps.
struct Cage {
    canaries: Vec<Canary>,
    answers: PathBuf,
    secured: Secured,
}

impl Cage {
    fn add(&mut self, what: &'static str, home: Option<&'static str>, value: &str) -> Result<()> {
        self.canaries.push(Canary::new(what, home, value)?);
        Ok(())
    }

    /// Keeps what was printed for the search.
    fn heard(&self, from: &str, text: &str) -> Result<()> {
        let name = from.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let number = fs::read_dir(&self.answers)?.count();
        Ok(fs::write(
            self.answers.join(format!("{number}-{name}")),
            text,
        )?)
    }

    /// The passwords in a fleet's login file of this moment.
    fn add_logins(&mut self, world: &World, kafka: &'static str) -> Result<()> {
        let fleets = world.daemon.data().join("fleets");
        let connector = world.daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
        let home = fleets.join(connector["id"].as_str().context("an id")?);
        let jaas = fs::read_to_string(home.join("jaas.conf"))?;
        let password = jaas
            .lines()
            .find_map(|line| line.trim().strip_prefix("password=\""))
            .and_then(|rest| rest.split('"').next());
        self.add(kafka, Some("jaas.conf"), password.context("no password")?)?;
        let rest = fs::read_to_string(home.join("rest.properties"))?;
        let password = rest.lines().find_map(|line| line.split_once('='));
        let (_, password) = password.context("no password of the workers' REST")?;
        self.add(
            "password of the workers' REST",
            Some("rest.properties"),
            password.trim(),
        )
    }

    /// Nothing may be found outside its home; gives how much was looked at.
    fn search(&self, world: &World, terraform: &Terraform) -> Result<Vec<String>> {
        let daemon = world.daemon.data();
        let broker = world.rig.folder().join("secured");
        let places = [
            daemon.parent().context("the daemon's folder")?,
            terraform.folder(),
            &broker.join("data"),
            &broker.join("log"),
            &self.answers,
        ];
        let (hits, looked) = canary::search(&self.canaries, &places)?;
        println!(
            "{} secrets looked for in {} files and process files, {} bytes: {} hits",
            self.canaries.len(),
            looked.files,
            looked.bytes,
            hits.len()
        );
        Ok(hits)
    }
}

/// Passwords of cluster, database and broker, a client's key and tokens go through plan, create, change, a failed change,
/// rotation, restart, status, logs and audit, and stand nowhere but in their own files.
pub fn everywhere(world: &mut World) -> Result<()> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    let unique = std::process::id();
    let right = format!("Cg-{unique}-right-q7Zk4vX9");
    let wrong = format!("Cg-{unique}-wrong-m2Wd8sT5");
    let wrong_admin = format!("Cg-{unique}-admin-b6Yf3hL1");
    let key = fs::read_to_string(&secured.client_key)?;
    let mut cage = Cage {
        canaries: Vec::new(),
        answers: world.scratch("caged-answers"),
        secured,
    };
    fs::create_dir_all(&cage.answers)?;
    cage.add("database password", Some("secrets"), &right)?;
    cage.add("wrong database password", Some("secrets"), &wrong)?;
    cage.add("wrong admin password", None, &wrong_admin)?;
    cage.add("admin password", None, &cage.secured.admin_password.clone())?;
    let line = key.lines().nth(1).context("a key of several lines")?;
    cage.add("client key", None, line)?;
    let root = fs::read_to_string(world.daemon.token_file())?;
    cage.add("root token", Some("root.token"), root.trim())?;
    let token = world
        .daemon
        .runnel(&["token", "create", "caged", "--role", "admin"])?;
    cage.add("token", None, token.trim())?;
    world.rig.mariadb(&format!(
        "CREATE DATABASE caged; CREATE TABLE caged.t (id INT PRIMARY KEY); \
         CREATE USER 'caged'@'%' IDENTIFIED BY '{right}'; \
         GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO 'caged'@'%'"
    ))?;

    let secured = cage.secured.clone();
    let hcl = |version: u32, more: &[(&str, &str)]| -> Result<String> {
        let config = [&[("database.user", "caged")], more].concat();
        let seed = Seed {
            config: &config,
            password_version: version,
            secured: Some((&secured, POLICY)),
            ..Seed::new(NAME, NAME, "${var.password}")
        };
        Ok(format!("{}{}", by_certificate(&secured), seed.hcl(world)?))
    };
    let mut terraform = world.terraform(NAME, &hcl(1, &[])?)?;
    let trace = terraform.folder().join("trace.log");
    terraform.set("TF_LOG", "trace");
    terraform.set("TF_LOG_PATH", &trace.to_string_lossy());
    terraform.set("RUNNEL_TOKEN", token.trim());
    terraform.set("TF_VAR_client_key", &key);
    terraform.set("TF_VAR_password", &right);
    let admin = format!("TF_VAR_{ADMIN_PASSWORD}");
    terraform.set(&admin, &wrong_admin);
    cage.heard("refused plan", &terraform.plan()?.expect(1)?.text)?;
    terraform.set(&admin, &secured.admin_password);
    let saved = ["plan", "-out=saved.tfplan"];
    cage.heard("plan", &terraform.run(&saved)?.expect(0)?.text)?;
    for show in [
        &["show", "-json", "saved.tfplan"][..],
        &["show", "saved.tfplan"],
    ] {
        cage.heard("saved plan", &terraform.run(show)?.expect(0)?.text)?;
    }
    unzip(
        &terraform.folder().join("saved.tfplan"),
        &terraform.folder().join("plan"),
    )?;
    cage.heard(
        "apply",
        &terraform.run(&["apply", "saved.tfplan"])?.expect(0)?.text,
    )?;
    world.rig.mariadb("INSERT INTO caged.t VALUES (1)")?;
    cage.add_logins(world, "password on the broker")?;

    terraform.write(&hcl(1, &[("max.batch.size", "1024")])?)?;
    cage.heard("change", &terraform.apply()?.expect(0)?.text)?;
    terraform.set("TF_VAR_password", &wrong);
    terraform.write(&hcl(2, &[("max.batch.size", "1024")])?)?;
    let failed = terraform.apply()?.expect(1)?;
    failed.says("ccess denied")?;
    cage.heard("failed change", &failed.text)?;
    terraform.set("TF_VAR_password", &right);
    terraform.write(&hcl(3, &[("max.batch.size", "1024")])?)?;
    cage.heard("corrected", &terraform.apply()?.expect(0)?.text)?;
    commands(world, &mut cage)?;
    for words in [&["state", "pull"][..], &["show", "-json"], &["show"]] {
        cage.heard("state", &terraform.run(words)?.expect(0)?.text)?;
    }
    answers(world, &cage)?;
    let hits = cage.search(world, &terraform)?;
    ensure!(hits.is_empty(), "{}", hits.join("\n"));
    sees(world, &cage, &terraform)?;

    terraform.destroy()?.expect(0)?;
    world.daemon.runnel(&["token", "revoke", "caged"])?;
    for canary in &mut cage.canaries {
        // The fleet's files are gone with it.
        canary.home = canary.home.filter(|home| *home == "root.token");
    }
    let hits = cage.search(world, &terraform)?;
    ensure!(hits.is_empty(), "after destroy: {}", hits.join("\n"));
    world
        .rig
        .mariadb("DROP USER 'caged'@'%'; DROP DATABASE caged")?;
    Ok(())
}

/// Rotation, a restart of the daemon, and all that tells something.
fn commands(world: &mut World, cage: &mut Cage) -> Result<()> {
    let restarted = world.daemon.runnel(&["restart", NAME])?;
    cage.heard("restart", &restarted)?;
    let rotated = world.daemon.runnel(&["rotate", NAME])?;
    cage.heard("rotate", &rotated)?;
    cage.add_logins(world, "rotated password on the broker")?;
    world.daemon.end()?;
    world.daemon.spawn()?;
    wait_for("the connector to be seen again", LIMIT, || {
        let object = world.daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
        Ok(object["status"]["health"] == "RUNNING")
    })?;
    for words in [
        &["status"][..],
        &["status", NAME],
        &["logs", NAME],
        &["audit"],
        &["token", "list"],
        &["doctor"],
    ] {
        cage.heard(&words.join(" "), &world.daemon.runnel(words)?)?;
    }
    Ok(())
}

/// Everything that the API tells.
fn answers(world: &World, cage: &Cage) -> Result<()> {
    for path in [
        "/metrics",
        "/api/v1/info",
        "/api/v1/capacity",
        "/api/v1/tokens",
        "/api/v1/audit",
        "/api/v1/operations?kind=connector&name=caged",
        "/api/v1/connectors",
        "/api/v1/connectors/caged",
        "/api/v1/kafka-clusters",
        "/api/v1/kafka-clusters/caged",
        "/api/v1/kafka-clusters/caged-certified",
        "/api/v1/plugins",
        "/api/v1/roles",
        "/api/v1/worker-configurations",
    ] {
        cage.heard(path, &world.daemon.get_text(path)?)?;
    }
    Ok(())
}

/// The search finds what is there: a secret beside its home, one in an environment, and what the broker keeps.
fn sees(world: &World, cage: &Cage, terraform: &Terraform) -> Result<()> {
    let broker = world.rig.folder().join("secured/data");
    ensure!(
        canary::sees(&broker, "dbhistory.caged")?,
        "the topics' data cannot be read"
    );
    ensure!(
        canary::sees(
            &terraform.folder().join("trace.log"),
            "runnel_kafka_cluster"
        )?,
        "the trace tells nothing"
    );
    let secrets = homes(&world.daemon.data(), "secrets");
    let file = secrets.first().context("no file of secrets")?;
    let planted = [
        world.daemon.data().join("planted"),
        terraform.folder().join("planted"),
        broker.join("planted"),
    ];
    for place in &planted {
        fs::copy(file, place)?;
    }
    let mut child = Command::new("sleep")
        .arg("60")
        .env("PLANTED", &cage.secured.admin_password)
        .spawn()?;
    let hits = cage.search(world, terraform);
    child.kill()?;
    child.wait()?;
    for place in &planted {
        fs::remove_file(place)?;
    }
    let hits = hits?;
    let environment = Path::new("/proc")
        .join(child.id().to_string())
        .join("environ");
    for place in planted.iter().chain([&environment]) {
        let place = place.display().to_string();
        ensure!(
            hits.iter().any(|hit| hit.ends_with(&place)),
            "the search does not see what was put into {place}: {hits:?}"
        );
    }
    ensure!(hits.len() == planted.len() + 1, "{hits:?}");
    // The password on the broker is the real one, so that it was the right thing to look for.
    let connector = world.daemon.get(&format!("/api/v1/connectors/{NAME}"))?;
    let principal = connector["status"]["derived"]["principal"].as_str();
    let user = principal.and_then(|it| it.strip_prefix("User:"));
    let last = cage
        .canaries
        .iter()
        .rfind(|it| it.home == Some("jaas.conf"));
    let password = last.context("no password")?.value();
    Wire::open(&cage.secured.login(user.context("no principal")?, password)).map(drop)
}

/// Files in folders of this name.
fn homes(data: &Path, folder: &str) -> Vec<PathBuf> {
    let fleets = fs::read_dir(data.join("fleets"))
        .into_iter()
        .flatten()
        .flatten();
    fleets
        .flat_map(|fleet| {
            fs::read_dir(fleet.path().join(folder))
                .into_iter()
                .flatten()
        })
        .flatten()
        .map(|entry| entry.path())
        .collect()
}
