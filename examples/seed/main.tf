# The walk-through of AWS's announcement of MSK Connect, with Runnel in MSK Connect's place: change events of an
# `orders` table flow into Kafka by Debezium for MySQL 1.6.1. The connector's settings are those of the article,
# line for line; what differs is how the cluster asks who is there: by SCRAM over TLS in IAM's place. The admin makes a
# user for the connector, and the brokers refuse that user whatever the role below does not allow.

resource "runnel_kafka_cluster" "shop" {
  name                  = "shop"
  bootstrap_servers     = var.bootstrap_servers
  encryption_in_transit = { type = "TLS", ca_certificate = file(var.kafka_ca_file) }
  client_authentication = { type = "SCRAM_SHA_512" }

  admin = {
    username            = var.kafka_admin_username
    password_wo         = var.kafka_admin_password
    password_wo_version = 1
  }
}

# The archive that Debezium publishes, repacked as a flat ZIP: tests/rig/fetch does it as the article does.
resource "runnel_plugin" "debezium_mysql" {
  name        = "debezium-connector-mysql"
  description = "Debezium connector for MySQL 1.6.1"
  source      = var.plugin_source
}

# Terraform puts off reading a data source that names a resource with planned changes, even where every value is known.
# By way of locals the policy is read at plan, and the first plan shows it.
locals {
  cluster_arn = runnel_kafka_cluster.shop.arn
  topic_arn   = runnel_kafka_cluster.shop.topic_arn
  group_arn   = runnel_kafka_cluster.shop.group_arn
}

# What the connector may do on the cluster: the brokers enforce it. The plan shows the ACLs that it comes to
# (`kafka_acls`), and names what the connector needs and the policy lacks.
data "runnel_policy_document" "ecommerce" {
  statement {
    sid = "Cluster"
    actions = [
      "kafka-cluster:Connect",
      "kafka-cluster:DescribeCluster",
      # Debezium reads the broker's default replication factor to create its history topic.
      "kafka-cluster:DescribeClusterDynamicConfiguration",
    ]
    resources = [local.cluster_arn]
  }

  statement {
    sid = "ChangeEventsAndHistory"
    actions = [
      "kafka-cluster:CreateTopic",
      "kafka-cluster:DescribeTopic",
      "kafka-cluster:DescribeTopicDynamicConfiguration",
      "kafka-cluster:ReadData",
      "kafka-cluster:WriteData",
    ]
    resources = [
      "${local.topic_arn}ecommerce-server",
      "${local.topic_arn}ecommerce-server.*",
      "${local.topic_arn}dbhistory.ecommerce",
    ]
  }

  # Without it the first start works and a restart fails: recovering the history joins this group.
  statement {
    sid       = "HistoryRecovery"
    actions   = ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"]
    resources = ["${local.group_arn}ecommerce-server-dbhistory"]
  }
}

resource "runnel_role" "ecommerce" {
  name     = "ecommerce-connector"
  policies = { kafka = data.runnel_policy_document.ecommerce.json }
}

resource "runnel_connector" "orders" {
  name                       = "ecommerce-orders"
  description                = "Change events of the shop's orders"
  kafka_cluster              = runnel_kafka_cluster.shop.name
  plugins                    = [runnel_plugin.debezium_mysql.ref]
  service_execution_role_arn = runnel_role.ecommerce.arn

  capacity = {
    autoscaling = { mcu_count = 1, min_worker_count = 1, max_worker_count = 2 }
  }

  config = {
    "connector.class"                          = "io.debezium.connector.mysql.MySqlConnector"
    "tasks.max"                                = "1"
    "database.hostname"                        = var.database_hostname
    "database.port"                            = tostring(var.database_port)
    "database.user"                            = var.database_user
    "database.server.id"                       = "123456"
    "database.server.name"                     = "ecommerce-server"
    "database.include.list"                    = var.database_include_list
    "database.history.kafka.topic"             = "dbhistory.ecommerce"
    "database.history.kafka.bootstrap.servers" = var.bootstrap_servers

    # The article's cluster asks for IAM credentials, and its connector brings them in these eight lines. They are
    # accepted here as they stand; on a cluster that is not MSK the daemon puts the cluster's own settings in their
    # place, and the plan notes it.
    "database.history.consumer.security.protocol"                  = "SASL_SSL"
    "database.history.consumer.sasl.mechanism"                     = "AWS_MSK_IAM"
    "database.history.consumer.sasl.jaas.config"                   = "software.amazon.msk.auth.iam.IAMLoginModule required;"
    "database.history.consumer.sasl.client.callback.handler.class" = "software.amazon.msk.auth.iam.IAMClientCallbackHandler"
    "database.history.producer.security.protocol"                  = "SASL_SSL"
    "database.history.producer.sasl.mechanism"                     = "AWS_MSK_IAM"
    "database.history.producer.sasl.jaas.config"                   = "software.amazon.msk.auth.iam.IAMLoginModule required;"
    "database.history.producer.sasl.client.callback.handler.class" = "software.amazon.msk.auth.iam.IAMClientCallbackHandler"

    "include.schema.changes" = "true"
  }

  # Write-only: neither in the state nor in a saved plan. Raise the version when the password changes.
  config_wo         = { "database.password" = var.database_password }
  config_wo_version = 1
}
