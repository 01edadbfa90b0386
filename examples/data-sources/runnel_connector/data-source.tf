data "runnel_connector" "orders" {
  name = runnel_connector.orders.name
}

output "health" {
  value = "${data.runnel_connector.orders.health}: ${coalesce(data.runnel_connector.orders.reason, "all is well")}"
}

# Its size just now and the last decision about it; `decisions` has the ones before.
output "scaling" {
  value = data.runnel_connector.orders.scaling
}
