resource "runnel_plugin" "debezium_mariadb" {
  name        = "debezium-connector-mariadb"
  description = "Debezium connector for MariaDB 3.5"
  source      = "debezium-connector-mariadb-3.5.0.Final-plugin.tar.gz"
}
