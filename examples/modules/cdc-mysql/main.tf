# Change data capture from one MySQL or MariaDB server: a connector, and a role that allows what it needs and no more.

locals {
  connector_class = {
    mysql   = "io.debezium.connector.mysql.MySqlConnector"
    mariadb = "io.debezium.connector.mariadb.MariaDbConnector"
  }
  history_topic = "${var.topic_prefix}.schema-history"
}

data "runnel_policy_document" "this" {
  statement {
    sid = "Cluster"
    actions = [
      "kafka-cluster:Connect",
      "kafka-cluster:DescribeCluster",
      "kafka-cluster:DescribeClusterDynamicConfiguration",
    ]
    resources = [var.kafka_cluster.arn]
  }

  # The history topic begins with the prefix too.
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
      "${var.kafka_cluster.topic_arn}${var.topic_prefix}",
      "${var.kafka_cluster.topic_arn}${var.topic_prefix}.*",
    ]
  }

  statement {
    sid       = "HistoryRecovery"
    actions   = ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"]
    resources = ["${var.kafka_cluster.group_arn}${var.topic_prefix}-schemahistory"]
  }
}

resource "runnel_role" "this" {
  name     = var.name
  policies = { kafka = data.runnel_policy_document.this.json }
}

resource "runnel_connector" "this" {
  name                       = var.name
  description                = var.description
  kafka_cluster              = var.kafka_cluster.name
  plugins                    = [var.plugin_ref]
  worker_configuration       = var.worker_configuration
  service_execution_role_arn = runnel_role.this.arn

  # Debezium reads a binlog with one task, so more workers than one would idle.
  capacity = {
    provisioned = { mcu_count = var.mcu_count, worker_count = 1 }
  }

  config = merge(
    {
      "connector.class"                     = local.connector_class[var.flavor]
      "tasks.max"                           = "1"
      "database.hostname"                   = var.database.hostname
      "database.port"                       = tostring(var.database.port)
      "database.user"                       = var.database.user
      "database.server.id"                  = tostring(var.database.server_id)
      "topic.prefix"                        = var.topic_prefix
      "database.include.list"               = join(",", sort(var.databases))
      "schema.history.internal.kafka.topic" = local.history_topic
      "include.schema.changes"              = "true"
    },
    length(var.tables) == 0 ? {} : { "table.include.list" = join(",", sort(var.tables)) },
    var.extra_config,
  )

  config_wo         = { "database.password" = var.database_password }
  config_wo_version = var.database_password_version
}
