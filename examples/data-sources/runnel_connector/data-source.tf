data "runnel_connector" "orders" {
  name = runnel_connector.orders.name
}

output "health" {
  value = "${data.runnel_connector.orders.health}: ${coalesce(data.runnel_connector.orders.reason, "all is well")}"
}
