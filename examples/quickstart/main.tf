# Change events of a MariaDB database as JSON, by the current Debezium.

resource "runnel_kafka_cluster" "shop" {
  name                  = "quickstart"
  bootstrap_servers     = var.bootstrap_servers
  encryption_in_transit = { type = "PLAINTEXT" }
  client_authentication = { type = "NONE" }
}

# As Debezium publishes it: a tar.gz with one folder.
resource "runnel_plugin" "debezium_mariadb" {
  name        = "debezium-connector-mariadb"
  description = "Debezium connector for MariaDB 3.5.0"
  source      = var.plugin_source
}

resource "runnel_worker_configuration" "json" {
  name        = "json"
  description = "Keys and values as plain JSON, without the schema in every record"

  properties = {
    "key.converter"                  = "org.apache.kafka.connect.json.JsonConverter"
    "key.converter.schemas.enable"   = "false"
    "value.converter"                = "org.apache.kafka.connect.json.JsonConverter"
    "value.converter.schemas.enable" = "false"
  }
}

module "inventory" {
  source = "../modules/cdc-mysql"

  name                 = "inventory"
  description          = "Change events of the inventory"
  flavor               = "mariadb"
  kafka_cluster        = runnel_kafka_cluster.shop
  plugin_ref           = runnel_plugin.debezium_mariadb.ref
  worker_configuration = runnel_worker_configuration.json.ref

  database = {
    hostname  = var.database_hostname
    port      = var.database_port
    user      = var.database_user
    server_id = 184054
  }
  database_password = var.database_password

  topic_prefix = "inventory"
  databases    = ["inventory"]
}
