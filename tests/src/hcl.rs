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
        let mut hcl = String::new();
        hcl.push_str(&match self.secured {
            None => cluster(self.name, world.rig.bootstrap()?) + &role(self.name, ""),
            Some((secured, statements)) => {
                secured_cluster(self.name, secured, 1) + &policy_role(self.name, statements)
            }
        });
        hcl.push_str(&plugin(self.name, world.place("RIG_PLUGIN_SEED_ZIP")?));
        let _ = write!(
            hcl,
            r#"
resource "runnel_connector" "this" {{
  name                       = "{name}"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.this.ref]
  service_execution_role_arn = runnel_role.this.arn
  capacity                   = {{ provisioned = {{ mcu_count = 1, worker_count = 1 }} }}
  config_wo                  = {{ "database.password" = "{password}" }}
  config_wo_version          = {version}
{lines}
{config}}}
"#,
            name = self.name,
            password = self.password,
            version = self.password_version,
            lines = self.lines,
            config = map("config", &config),
        );
        Ok(hcl)
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
            config: &[],
            capacity: "{ provisioned = { mcu_count = 1, worker_count = 1 } }",
            lines: "",
        }
    }

    /// The configuration.
    pub fn hcl(&self, world: &World) -> Result<String> {
        let server_id = 100_000 + self.name.bytes().map(u32::from).sum::<u32>();
        let history = format!("history.{}", self.name);
        let server_id = server_id.to_string();
        let mut config = vec![
            (
                "connector.class",
                "io.debezium.connector.mariadb.MariaDbConnector",
            ),
            ("tasks.max", "1"),
            ("database.hostname", world.rig.fact("RIG_MARIADB_HOST")?),
            ("database.port", world.rig.fact("RIG_MARIADB_PORT")?),
            ("database.user", world.rig.fact("RIG_MARIADB_USER")?),
            ("database.server.id", &server_id),
            ("topic.prefix", self.name),
            ("database.include.list", self.databases),
            ("schema.history.internal.kafka.topic", &history),
        ];
        config.retain(|(key, _)| !self.config.iter().any(|(other, _)| other == key));
        config.extend(self.config);
        Ok(format!(
            r#"{cluster}{plugin}
resource "runnel_role" "this" {{
  name = "{name}"
}}

resource "runnel_connector" "this" {{
  name                       = "{name}"
  kafka_cluster              = runnel_kafka_cluster.this.name
  plugins                    = [runnel_plugin.this.ref]
  service_execution_role_arn = runnel_role.this.arn
  capacity                   = {capacity}
  config_wo                  = {{ "database.password" = "{password}" }}
  config_wo_version          = 1
{lines}
{config}}}
"#,
            name = self.name,
            cluster = cluster(self.name, world.rig.bootstrap()?),
            plugin = plugin(self.name, self.archive),
            password = world.rig.fact("RIG_MARIADB_PASSWORD")?,
            capacity = self.capacity,
            lines = self.lines,
            config = map("config", &config),
        ))
    }
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
        role(name, policy)
    )
}

fn role(name: &str, lines: &str) -> String {
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
