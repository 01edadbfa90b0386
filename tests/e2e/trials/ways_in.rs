//! The ways into a cluster besides an admin's: a client certificate, a user of one's own, `AWS_MSK_IAM`; and new
//! passwords on the way.

use anyhow::{Result, ensure};
use e2e::hcl::{self, ADMIN_PASSWORD, Connector, Statement};
use e2e::process::wait_for;
use e2e::secured::Secured;
use e2e::terraform::Terraform;
use e2e::world::{World, grep};
use std::time::{Duration, Instant};

const RECORD_LIMIT: Duration = Duration::from_mins(1);
/// For a roll: a start takes up to 18 s, and the old worker goes after the new one is there.
const ROLL_LIMIT: Duration = Duration::from_mins(2);
/// An error about a cluster has to be there by then.
const ERROR_LIMIT: Duration = Duration::from_secs(10);
/// What the plan says where nobody makes ACLs.
const NOT_ENFORCED: &str = "role is stored and checked but not enforced";

/// Whether ACLs come or go.
#[derive(Clone, Copy)]
enum Acl {
    Add,
    Remove,
}

impl Acl {
    /// `what` is resources and operations in the words of Kafka's tool.
    fn of(self, secured: &Secured, user: &str, what: &[&str]) -> Result<()> {
        let verb: &[&str] = match self {
            Self::Add => &["acls", "--add"],
            Self::Remove => &["acls", "--remove", "--force"],
        };
        let principal = format!("User:{user}");
        secured
            .kafka(&[verb, &["--allow-principal", &principal], what].concat())
            .map(drop)
    }
}

/// What a user needs that all connectors share: everything.
const ALL: &[&str] = &[
    "--operation",
    "All",
    "--cluster",
    "--topic",
    "*",
    "--group",
    "*",
];

/// What docs/guides/kafka-clusters.md says that an admin must be allowed to do.
const DEPUTY: &[&[&str]] = &[
    &[
        "--operation",
        "Alter",
        "--operation",
        "Describe",
        "--operation",
        "Create",
        "--cluster",
    ],
    &[
        "--operation",
        "Delete",
        "--operation",
        "DescribeConfigs",
        "--topic",
        "__runnel_",
        "--resource-pattern-type",
        "prefixed",
    ],
    &["--operation", "Describe", "--topic", "*"],
    &[
        "--operation",
        "Describe",
        "--operation",
        "Read",
        "--operation",
        "Delete",
        "--group",
        "*",
    ],
];

/// A connector with a schema history on a cluster of its own, which the caller declares.
struct Shop<'a> {
    world: &'a World,
    secured: &'a Secured,
    name: &'a str,
}

impl Shop<'_> {
    /// A table of its own, and everything but the cluster and the role.
    fn open(&self) -> Result<String> {
        let name = self.name;
        self.world.rig.mariadb(&format!(
            "CREATE DATABASE {name}; CREATE TABLE {name}.orders (id INT PRIMARY KEY)"
        ))?;
        let mut config = hcl::mariadb(self.world, name)?;
        config.push(("database.include.list", name.to_owned()));
        let config: Vec<(&str, &str)> = config.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let connector = Connector {
            secret: self.world.rig.fact("RIG_MARIADB_PASSWORD")?,
            ..Connector::new(name, &config)
        };
        let archive = self.world.place("RIG_PLUGIN_MARIADB")?;
        Ok([hcl::plugin(name, archive), connector.hcl()].concat())
    }

    fn close(&self, terraform: &Terraform) -> Result<()> {
        terraform.destroy()?.expect(0)?;
        let name = self.name;
        self.world
            .rig
            .mariadb(&format!("DROP DATABASE {name}"))
            .map(drop)
    }

    /// A row that goes in comes out.
    fn sells(&self, order: u32) -> Result<()> {
        let (name, secured) = (self.name, self.secured);
        let sql = format!("INSERT INTO {name}.orders VALUES ({order})");
        self.world.rig.mariadb(&sql)?;
        let ca = secured.ca.to_string_lossy();
        let limit = format!("{}s", RECORD_LIMIT.as_secs());
        let part = format!("after=Struct{{id={order}}}");
        let text = self.world.daemon.runnel(&[
            "tail",
            &format!("{name}.{name}.orders"),
            "--bootstrap-servers",
            &secured.bootstrap,
            "--ca-certificate",
            &ca,
            "--username",
            &secured.admin_user,
            "--password-file",
            self.world.rig.fact("RIG_SECURED_ADMIN_PASSWORD_FILE")?,
            "--until",
            &part,
            "--timeout",
            &limit,
        ])?;
        ensure!(text.contains(&part), "{text}");
        Ok(())
    }

    /// Apply, events, an empty plan, a restart, events.
    fn works(&self, terraform: &Terraform) -> Result<()> {
        let planned = terraform.plan()?.expect(2)?;
        planned.says(NOT_ENFORCED)?;
        planned.says("+ enforcement = \"NONE\"")?;
        planned.says("(enforcement = NONE)")?;
        let began = Instant::now();
        terraform.apply()?.expect(0)?;
        println!(
            "{}: applied in {:.1} s",
            self.name,
            began.elapsed().as_secs_f64()
        );
        self.sells(1)?;
        terraform.plan()?.expect(0)?;
        self.world.daemon.runnel(&["restart", self.name])?;
        self.sells(2)?;
        terraform.plan()?.expect(0).map(drop)
    }

    fn pids(&self) -> Result<Vec<u32>> {
        self.world.daemon.worker_pids(self.name)
    }
}

/// A cluster with these lines about the way in.
fn cluster(name: &str, servers: &str, secured: &Secured, client_authentication: &str) -> String {
    format!(
        r#"
resource "runnel_kafka_cluster" "this" {{
  name                  = "{name}"
  bootstrap_servers     = "{servers}"
  encryption_in_transit = {{ type = "TLS", ca_certificate = file("{ca}") }}
  client_authentication = {client_authentication}
}}
"#,
        ca = secured.ca.display()
    )
}

/// By a client certificate: worker and schema history show it, and nobody sees its key.
pub fn certificate(world: &mut World) -> Result<()> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    let name = "certified";
    Acl::Add.of(&secured, &secured.client_name, ALL)?;
    let shop = Shop {
        world,
        secured: &secured,
        name,
    };
    let way = format!(
        "{{\n    type = \"MTLS\"\n    certificate = file(\"{}\")\n    private_key_wo = file(\"{}\")\n    \
         private_key_wo_version = 1\n  }}",
        secured.client_certificate.display(),
        secured.client_key.display()
    );
    let parts = [
        cluster(name, &secured.mtls_bootstrap, &secured, &way),
        hcl::role(name),
        shop.open()?,
    ];
    let terraform = world.terraform(name, &parts.concat())?;
    shop.works(&terraform)?;
    key_is_hidden(world, &secured, &terraform, name)?;
    shop.close(&terraform)?;
    Acl::Remove.of(&secured, &secured.client_name, ALL)
}

/// A line of the key stands in the fleet's secret files alone, and the history's key is shown as `***`.
fn key_is_hidden(
    world: &World,
    secured: &Secured,
    terraform: &Terraform,
    name: &str,
) -> Result<()> {
    let key = std::fs::read_to_string(&secured.client_key)?;
    let line = key.lines().nth(2).unwrap_or_default();
    ensure!(line.len() > 40, "no line of a key");
    let mut hits = grep(terraform.folder(), line)?;
    hits.extend(grep(&world.daemon.data(), line)?);
    hits.extend(grep(&world.daemon.log_path(), line)?);
    let secret_files = hits.len();
    hits.retain(|path| !path.to_string_lossy().contains("/secrets/"));
    ensure!(hits.is_empty(), "the key stands in {hits:?}");
    ensure!(secret_files > 0, "the key is nowhere");
    let connector = world.daemon.get(&format!("/api/v1/connectors/{name}"))?;
    ensure!(!connector.to_string().contains(line), "the API shows it");
    let effective = &connector["status"]["derived"]["effective_config"];
    for client in ["producer", "consumer"] {
        let key = format!("schema.history.internal.{client}.ssl.keystore.key");
        ensure!(effective[&key] == "***", "{key} is {}", effective[&key]);
    }
    Ok(())
}

/// By a user of one's own, without an admin; a new password rolls the workers.
pub fn own_user(world: &mut World) -> Result<()> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    let name = "ownuser";
    secured.upsert_user(name, "first-password")?;
    Acl::Add.of(&secured, name, ALL)?;
    let shop = Shop {
        world,
        secured: &secured,
        name,
    };
    let rest = [hcl::role(name), shop.open()?].concat();
    let whole = |password: &str, version: u32| {
        let way = format!(
            "{{\n    type = \"SCRAM_SHA_512\"\n    username = \"{name}\"\n    password_wo = \"{password}\"\n    \
             password_wo_version = {version}\n  }}"
        );
        cluster(name, &secured.bootstrap, &secured, &way) + &rest
    };
    let terraform = world.terraform(name, &whole("first-password", 1))?;
    shop.works(&terraform)?;
    let before = shop.pids()?;
    secured.upsert_user(name, "second-password")?;
    terraform.write(&whole("wrong-password", 2))?;
    terraform
        .plan()?
        .expect(1)?
        .says("the broker refused the login of ownuser")?;
    terraform.write(&whole("second-password", 2))?;
    terraform.apply()?.expect(0)?;
    let began = Instant::now();
    wait_for("workers with the new password", ROLL_LIMIT, || {
        let now = shop.pids()?;
        Ok(!now.is_empty() && now.iter().all(|pid| !before.contains(pid)))
    })?;
    println!("rolled in {:.1} s", began.elapsed().as_secs_f64());
    shop.sells(3)?;
    terraform.plan()?.expect(0)?;
    world.daemon.runnel(&["restart", name])?;
    shop.sells(4)?;
    shop.close(&terraform)?;
    Acl::Remove.of(&secured, name, ALL)
}

/// An admin that is no super user does; its new password restarts nobody.
pub fn admin_password(world: &mut World) -> Result<()> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    let name = "deputized";
    secured.upsert_user("deputy", "first-password")?;
    for acl in DEPUTY {
        Acl::Add.of(&secured, "deputy", acl)?;
    }
    let shop = Shop {
        world,
        secured: &secured,
        name,
    };
    let mut deputy = secured.clone();
    "deputy".clone_into(&mut deputy.admin_user);
    let everything = [Statement {
        effect: "Allow",
        actions: &["*"],
        resources: &["cluster", "topic/*", "group/*", "transactional_id/*"],
    }];
    let rest = [hcl::policy_role(name, &everything), shop.open()?].concat();
    let whole = |version| hcl::secured_cluster(name, &deputy, version) + &rest;
    let mut terraform = world.terraform(name, &whole(1))?;
    terraform.set(&format!("TF_VAR_{ADMIN_PASSWORD}"), "first-password");
    terraform.apply()?.expect(0)?;
    shop.sells(1)?;
    let before = shop.pids()?;
    secured.upsert_user("deputy", "second-password")?;
    terraform.set(&format!("TF_VAR_{ADMIN_PASSWORD}"), "second-password");
    terraform.write(&whole(2))?;
    terraform.apply()?.expect(0)?;
    shop.sells(2)?;
    terraform.plan()?.expect(0)?;
    ensure!(shop.pids()? == before, "a worker was replaced");
    world.daemon.runnel(&["restart", name])?;
    shop.sells(3)?;
    shop.close(&terraform)?;
    for acl in DEPUTY {
        Acl::Remove.of(&secured, "deputy", acl)?;
    }
    let left = secured.kafka(&["acls", "--list"])?;
    ensure!(!left.contains("deputized"), "{left}");
    Ok(())
}

/// A cluster whose listener does not know the mechanism is refused at plan with those that it knows.
pub fn msk_iam(world: &mut World) -> Result<()> {
    world.rig.add("secured")?;
    let secured = world.rig.secured()?;
    let way = "{ type = \"AWS_MSK_IAM\" }";
    let text = cluster("iam", &secured.bootstrap, &secured, way);
    let terraform = world.terraform("iam", &text)?;
    let began = Instant::now();
    let refused = terraform.plan()?.expect(1)?;
    let took = began.elapsed();
    println!("{:.1} s\n{}", took.as_secs_f64(), refused.text);
    ensure!(took < ERROR_LIMIT, "it took {took:?}");
    refused.says("does not accept the SASL mechanism AWS_MSK_IAM; it accepts SCRAM-SHA-512")?;
    refused.says(&format!("client_authentication = {way}"))?;
    ensure!(refused.text.matches("Error:").count() == 1);
    Ok(())
}
