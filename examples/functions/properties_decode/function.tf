locals {
  # A file that was written for Kafka Connect, or exported from it.
  config = provider::runnel::properties_decode(file("${path.module}/connector.properties"))
}
