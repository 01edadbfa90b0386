output "connector_arn" {
  description = "ARN of the connector, known before it exists."
  value       = runnel_connector.orders.arn
}

output "plugin_ref" {
  description = "The plugin by name and content."
  value       = runnel_plugin.debezium_mysql.ref
}

output "capacity" {
  description = "What the capacity comes to."
  value       = runnel_connector.orders.capacity_summary
}

output "kafka_acls" {
  description = "What the connector's user may do on the brokers."
  value       = runnel_connector.orders.kafka_acls
}
