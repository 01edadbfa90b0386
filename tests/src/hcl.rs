//! HCL of the connectors that the trials use.

use crate::secured::Secured;
use crate::world::World;
use anyhow::Result;
use std::fmt::Write as _;

/// A Debezium MySQL 1.6.1 connector in the manner of the seed, on tables of its own.
pub struct Seed<'a> {
    /// Name of connector, cluster, plugin and role; also `database.server.name`.
    pub name: &'a str,
    /// Value of `database.include.list`.
    pub databases: &'a str,
    /// The password in `config_wo`.
    pub password: &'a str,
    /// `config_wo_version`.
    pub password_version: u32,
    /// Further lines of `config`, or other values for its keys.
    pub config: &'a [(&'a str, &'a str)],
    /// Further lines of the connector.
    pub lines: &'a str,
    /// The secured broker in place of the plaintext one, and what the role allows there; see [`secured_cluster`].
    pub secured: Option<(&'a Secured, &'a [Statement<'a>])>,
}

impl<'a> Seed<'a> {
    /// With the right password and nothing else.
    pub fn new(name: &'a str, databases: &'a str, password: &'a str) -> Self {
        Self {
            name,
            databases,
            password,
            password_version: 1,
            config: &[],
            lines: "",
            secured: None,
        }
    }

    /// The configuration.
    pub fn hcl(&self, world: &World) -> Result<String> {
        let server_id = 100_000 + self.name.bytes().map(u32::from).sum::<u32>();
        let history = format!("dbhistory.{}", self.name);
        let server_id = server_id.to_string();
        let mut config = vec![
            (
                "connector.class",
                "io.debezium.connector.mysql.MySqlConnector",
            ),
            ("tasks.max", "1"),
            ("database.hostname", world.rig.fact("RIG_MARIADB_HOST")?),
            ("database.port", world.rig.fact("RIG_MARIADB_PORT")?),
            ("database.user", world.rig.fact("RIG_MARIADB_USER")?),
            ("database.server.id", &server_id),
            ("database.server.name", self.name),
            ("database.include.list", self.databases),
            ("database.history.kafka.topic", &history),
            ("include.schema.changes", "true"),
        ];
        config.retain(|(key, _)| !self.config.iter().any(|(other, _)| other == key));
        config.extend(self.config);
        let connector = Connector {
            secret: self.password,
            secret_version: self.password_version,
            lines: self.lines,
            ..Connector::new(self.name, &config)
        };
        let archive = world.place("RIG_PLUGIN_SEED_ZIP")?;
        let Some((secured, statements)) = self.secured else {
            return Ok(connector.with_all(world.rig.bootstrap()?, archive));
        };
        Ok([
            secured_cluster(self.name, secured, 1),
            policy_role(self.name, statements),
            plugin(self.name, archive),
            connector.hcl(),
        ]
        .concat())
    }
}

/// A Debezium MariaDB 3.5 connector on tables of its own.
pub struct Debezium<'a> {
    /// Name of connector, cluster, plugin and role; also `topic.prefix`.
    pub name: &'a str,
    /// Value of `database.include.list`.
    pub databases: &'a str,
    /// The plugin's archive.
    pub archive: &'a str,
    /// The password in `config_wo`; none is that of the user whom the rig makes.
    pub password: Option<&'a str>,
    /// Further lines of `config`.
    pub config: &'a [(&'a str, &'a str)],
    /// The connector's capacity.
    pub capacity: &'a str,
    /// Further lines of the connector.
    pub lines: &'a str,
}

impl<'a> Debezium<'a> {
    /// One worker of one MCU.
    pub fn new(name: &'a str, databases: &'a str, archive: &'a str) -> Self {
        Self {
            name,
            databases,
            archive,
            password: None,
            config: &[],
            capacity: "{ provisioned = { mcu_count = 1, worker_count = 1 } }",
            lines: "",
        }
    }

    /// The configuration.
    pub fn hcl(&self, world: &World) -> Result<String> {
        let mut config = mariadb(world, self.name)?;
        config.push(("database.include.list", self.databases.to_owned()));
        config.retain(|(key, _)| !self.config.iter().any(|(other, _)| other == key));
        let mut config: Vec<(&str, &str)> = config.iter().map(|(k, v)| (*k, v.as_str())).collect();
        config.extend(self.config);
        let secret = match self.password {
            Some(password) => password,
            None => world.rig.fact("RIG_MARIADB_PASSWORD")?,
        };
        let connector = Connector {
            secret,
            capacity: self.capacity,
            lines: self.lines,
            ..Connector::new(self.name, &config)
        };
        Ok(connector.with_all(world.rig.bootstrap()?, self.archive))
    }
}

/// Configuration of a Debezium MariaDB 3.5 connector that says everything but what it reads; its
/// password is a secret. The server id follows from the name.
pub fn mariadb(world: &World, name: &str) -> Result<Vec<(&'static str, String)>> {
    let rig = &world.rig;
    let server_id = 100_000 + name.bytes().map(u32::from).sum::<u32>();
    let class = "io.debezium.connector.mariadb.MariaDbConnector";
    let history = format!("history.{name}");
    Ok(vec![
        ("connector.class", class.to_owned()),
        ("tasks.max", "1".to_owned()),
        (
            "database.hostname",
            rig.fact("RIG_MARIADB_HOST")?.to_owned(),
        ),
        ("database.port", rig.fact("RIG_MARIADB_PORT")?.to_owned()),
        ("database.user", rig.fact("RIG_MARIADB_USER")?.to_owned()),
        ("database.server.id", server_id.to_string()),
        ("topic.prefix", name.to_owned()),
        ("schema.history.internal.kafka.topic", history),
    ])
}

/// A `runnel_connector` on the cluster and with the role that are named `this`.
pub struct Connector<'a> {
    /// The resource's label.
    pub label: &'a str,
    /// The connector's name.
    pub name: &'a str,
    /// The plugin's label.
    pub plugin: &'a str,
    /// The connector's capacity.
    pub capacity: &'a str,
    /// The key of `config_wo`.
    pub secret_key: &'a str,
    /// Its value.
    pub secret: &'a str,
    /// `config_wo_version`.
    pub secret_version: u32,
    /// Further lines.
    pub lines: &'a str,
    /// `config`.
    pub config: &'a [(&'a str, &'a str)],
}

impl<'a> Connector<'a> {
    /// One worker of one MCU that logs in at a database.
    pub const fn new(name: &'a str, config: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            label: "this",
            name,
            plugin: "this",
            capacity: "{ provisioned = { mcu_count = 1, worker_count = 1 } }",
            secret_key: "database.password",
            secret: "",
            secret_version: 1,
            lines: "",
            config,
        }
    }

    /// The resource.
    pub fn hcl(&self) -> String {
        format!(
            r#"
resource "runnel_connector" "{label}" {{
  name                       = "{name}"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.{plugin}.ref]
  service_execution_role_arn = runnel_role.this.arn
  capacity                   = {capacity}
  config_wo                  = {{ "{key}" = "{secret}" }}
  config_wo_version          = {version}
{lines}
{config}}}
"#,
            label = self.label,
            name = self.name,
            plugin = self.plugin,
            capacity = self.capacity,
            key = self.secret_key,
            secret = self.secret,
            version = self.secret_version,
            lines = self.lines,
            config = map("config", self.config),
        )
    }

    /// The resource with cluster, plugin and role of its name.
    pub fn with_all(&self, bootstrap: &str, archive: &str) -> String {
        let name = self.name;
        [
            cluster(name, bootstrap),
            plugin(name, archive),
            role(name),
            self.hcl(),
        ]
        .concat()
    }
}

/// A `runnel_role` named `this`.
pub fn role(name: &str) -> String {
    role_with(name, "")
}

/// Keys and values as JSON without their schemas, which is what the checker reads.
pub const PLAIN_JSON: [(&str, &str); 4] = [
    ("key.converter", JSON_CONVERTER),
    ("key.converter.schemas.enable", "false"),
    ("value.converter", JSON_CONVERTER),
    ("value.converter.schemas.enable", "false"),
];

const JSON_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";

/// A `runnel_kafka_cluster` named `this`.
pub fn cluster(name: &str, bootstrap: &str) -> String {
    format!(
        "\nresource \"runnel_kafka_cluster\" \"this\" {{\n  name              = \"{name}\"\n  bootstrap_servers = \"{bootstrap}\"\n}}\n"
    )
}

/// Name of the variable with the secured broker's admin password; set `TF_VAR_` before it.
pub const ADMIN_PASSWORD: &str = "kafka_admin_password";

/// A `runnel_kafka_cluster` named `this` with TLS, SCRAM and an admin, on the secured broker. The admin's password comes
/// by the variable [`ADMIN_PASSWORD`], declared with it.
#[must_use]
pub fn secured_cluster(name: &str, secured: &Secured, password_version: u32) -> String {
    format!(
        r#"
variable "{ADMIN_PASSWORD}" {{
  type      = string
  sensitive = true
  ephemeral = true
}}

resource "runnel_kafka_cluster" "this" {{
  name                  = "{name}"
  bootstrap_servers     = "{bootstrap}"
  encryption_in_transit = {{ type = "TLS", ca_certificate = file("{ca}") }}
  client_authentication = {{ type = "SCRAM_SHA_512" }}

  admin = {{
    username            = "{admin}"
    password_wo         = var.{ADMIN_PASSWORD}
    password_wo_version = {password_version}
  }}
}}
"#,
        bootstrap = secured.bootstrap,
        ca = secured.ca.display(),
        admin = secured.admin_user,
    )
}

/// A statement of a policy on the cluster `this`.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// `Allow` or `Deny`.
    pub effect: &'a str,
    /// Without `kafka-cluster:`.
    pub actions: &'a [&'a str],
    /// `cluster`, or `topic`, `group` or `transactional_id` and a pattern after a `/`.
    pub resources: &'a [&'a str],
}

impl Statement<'_> {
    fn hcl(&self) -> String {
        let actions: Vec<String> = self
            .actions
            .iter()
            .map(|action| format!("\"kafka-cluster:{action}\""))
            .collect();
        let resources: Vec<String> = self
            .resources
            .iter()
            .map(|resource| match resource.split_once('/') {
                None => "local.cluster.arn".to_owned(),
                Some((kind, pattern)) => format!("\"${{local.cluster.{kind}_arn}}{pattern}\""),
            })
            .collect();
        format!(
            "  statement {{\n    effect    = \"{}\"\n    actions   = [{}]\n    resources = [{}]\n  }}\n",
            self.effect,
            actions.join(", "),
            resources.join(", ")
        )
    }
}

/// A `runnel_role` named `this` with one policy. It names the cluster by a local value, so that it is known at plan.
#[must_use]
pub fn policy_role(name: &str, statements: &[Statement<'_>]) -> String {
    let statements: String = statements.iter().map(Statement::hcl).collect();
    let policy = "  policies = { kafka = data.runnel_policy_document.this.json }\n";
    format!(
        "\nlocals {{\n  cluster = runnel_kafka_cluster.this\n}}\n\n\
         data \"runnel_policy_document\" \"this\" {{\n{statements}}}\n{}",
        role_with(name, policy)
    )
}

fn role_with(name: &str, lines: &str) -> String {
    format!("\nresource \"runnel_role\" \"this\" {{\n  name = \"{name}\"\n{lines}}}\n")
}

/// A `runnel_plugin` named `this`.
pub fn plugin(name: &str, source: &str) -> String {
    format!(
        "\nresource \"runnel_plugin\" \"this\" {{\n  name   = \"{name}\"\n  source = \"{source}\"\n}}\n"
    )
}

/// An HCL map attribute.
pub fn map(attribute: &str, pairs: &[(&str, &str)]) -> String {
    let mut text = format!("  {attribute} = {{\n");
    for (key, value) in pairs {
        let _ = writeln!(text, "    {key:?} = {value:?}");
    }
    text.push_str("  }\n");
    text
}
