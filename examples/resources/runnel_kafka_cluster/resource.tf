resource "runnel_kafka_cluster" "shop" {
  name                  = "shop"
  bootstrap_servers     = "127.0.0.1:9092"
  encryption_in_transit = { type = "PLAINTEXT" }
  client_authentication = { type = "NONE" }
}
