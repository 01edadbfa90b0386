output "connector_arn" {
  description = "ARN of the connector."
  value       = module.inventory.connector_arn
}

output "schema_change_topic" {
  description = "Where changes of tables are told; changes of rows are in `inventory.inventory.<table>`."
  value       = module.inventory.schema_change_topic
}
