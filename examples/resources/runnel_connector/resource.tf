resource "runnel_connector" "orders" {
  name                       = "orders"
  kafka_cluster              = runnel_kafka_cluster.shop.name
  plugins                    = [runnel_plugin.debezium_mariadb.ref]
  worker_configuration       = runnel_worker_configuration.json.ref
  service_execution_role_arn = runnel_role.orders.arn

  # One worker of 1 to 4 MCUs, as its load needs it: this class runs one task.
  capacity = {
    autoscaling = { min_worker_count = 1, max_worker_count = 4 }
  }

  # Each change is once in Kafka for who reads committed records only.
  delivery = "EXACTLY_ONCE"

  config = {
    "connector.class"                     = "io.debezium.connector.mariadb.MariaDbConnector"
    "tasks.max"                           = "1"
    "database.hostname"                   = "127.0.0.1"
    "database.port"                       = "3306"
    "database.user"                       = "debezium"
    "database.server.id"                  = "5400"
    "topic.prefix"                        = "shop"
    "database.include.list"               = "ecommerce"
    "schema.history.internal.kafka.topic" = "shop.schema-history"
  }

  # Neither in the state nor in a saved plan. Raise the version when the password changes.
  config_wo         = { "database.password" = var.database_password }
  config_wo_version = 1

  # Besides `runnel logs`: a topic of the same Kafka cluster.
  log_delivery = {
    worker_log_delivery = {
      kafka = { enabled = true, topic = "worker-logs" }
    }
  }
}
