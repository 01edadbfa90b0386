variable "name" {
  description = "Name of the connector and of its role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.name))
    error_message = "A name has 1 to 128 letters, digits, dots, hyphens and underscores, and starts with no dot or hyphen."
  }
}

variable "description" {
  description = "What the connector is for."
  type        = string
  default     = ""
}

variable "kafka_cluster" {
  description = "The cluster to write to: pass the runnel_kafka_cluster resource."
  type = object({
    name      = string
    arn       = string
    topic_arn = string
    group_arn = string
  })
}

variable "plugin_ref" {
  description = "`ref` of a runnel_plugin that holds Debezium 2 or later for the flavor."
  type        = string

  validation {
    condition     = can(regex("^[^@]+@sha256:[0-9a-f]{64}$", var.plugin_ref))
    error_message = "Pass the `ref` of a runnel_plugin: name@sha256:…"
  }
}

variable "worker_configuration" {
  description = "`ref` of a runnel_worker_configuration; null is the default one (text, as MSK Connect's)."
  type        = string
  default     = null
}

variable "flavor" {
  description = "Which server it is: mysql or mariadb."
  type        = string
  default     = "mysql"

  validation {
    condition     = contains(["mysql", "mariadb"], var.flavor)
    error_message = "The flavor is \"mysql\" or \"mariadb\"."
  }
}

variable "database" {
  description = "The server and the user that reads its binlog. `server_id` must differ from that of every other replica."
  type = object({
    hostname  = string
    port      = optional(number, 3306)
    user      = string
    server_id = number
  })

  validation {
    condition     = var.database.port >= 1 && var.database.port <= 65535
    error_message = "A port is 1 to 65535."
  }
  validation {
    condition     = var.database.server_id >= 1 && var.database.server_id <= 4294967295
    error_message = "A server id is 1 to 4294967295."
  }
}

variable "database_password" {
  description = "Password of the database user; kept neither in the state nor in a plan."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "database_password_version" {
  description = "Raise it when the password changes."
  type        = number
  default     = 1
}

variable "topic_prefix" {
  description = "First part of every topic name. A change of it would start from the beginning."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,150}$", var.topic_prefix))
    error_message = "A topic prefix has 1 to 150 letters, digits, dots, hyphens and underscores."
  }
}

variable "databases" {
  description = "Databases to capture."
  type        = set(string)

  validation {
    condition     = length(var.databases) > 0
    error_message = "Name at least one database."
  }
}

variable "tables" {
  description = "Tables to capture, as database.table; empty is all tables of the databases."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for table in var.tables : can(regex("^[^.]+[.][^.]+$", table))])
    error_message = "A table is written as database.table."
  }
}

variable "mcu_count" {
  description = "Size of the worker in MCUs (1 vCPU and 4 GiB each): 1, 2, 4 or 8."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 4, 8], var.mcu_count)
    error_message = "A worker has 1, 2, 4 or 8 MCUs."
  }
}

variable "extra_config" {
  description = "Further settings of the connector; they win over the module's own."
  type        = map(string)
  default     = {}
}
