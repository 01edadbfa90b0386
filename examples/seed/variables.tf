variable "runnel_endpoint" {
  description = "Address of the daemon, such as http://127.0.0.1:8083."
  type        = string
  default     = null
}

variable "runnel_token_file" {
  description = "File that holds the daemon's token."
  type        = string
  default     = null
}

variable "bootstrap_servers" {
  description = "The Kafka cluster, as host:port,host:port."
  type        = string
  default     = "127.0.0.1:9094"
}

variable "kafka_ca_file" {
  description = "Certificate of the authority that signed the brokers', in PEM."
  type        = string
}

variable "kafka_admin_username" {
  description = "User that may write users and ACLs on the cluster."
  type        = string
  default     = "admin"
}

variable "kafka_admin_password" {
  description = "Its password. Ephemeral: Terraform keeps it nowhere."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "plugin_source" {
  description = "Path of the connector archive."
  type        = string
  default     = "debezium-connector-mysql-1.6.1.zip"
}

variable "database_hostname" {
  description = "Host of the MySQL or MariaDB server."
  type        = string
  default     = "127.0.0.1"
}

variable "database_port" {
  description = "Port of the MySQL or MariaDB server."
  type        = number
  default     = 3306
}

variable "database_user" {
  description = "Database user with SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE and REPLICATION CLIENT."
  type        = string
  default     = "my-database-user"
}

variable "database_password" {
  description = "Password of the database user. Ephemeral: Terraform keeps it nowhere."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "database_include_list" {
  description = "Databases to capture, separated by commas."
  type        = string
  default     = "ecommerce"
}
