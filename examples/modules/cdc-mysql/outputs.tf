output "connector_name" {
  description = "Name of the connector, for `runnel status`, `runnel logs` and the data source."
  value       = runnel_connector.this.name
}

output "connector_arn" {
  description = "ARN of the connector."
  value       = runnel_connector.this.arn
}

output "role_arn" {
  description = "ARN of the role the connector runs under."
  value       = runnel_role.this.arn
}

output "schema_change_topic" {
  description = "Topic of schema changes."
  value       = var.topic_prefix
}

output "table_topics" {
  description = "Topic of each table that is named in `tables`."
  value       = { for table in var.tables : table => "${var.topic_prefix}.${table}" }
}
