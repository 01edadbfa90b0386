resource "runnel_role" "orders" {
  name     = "orders"
  policies = { kafka = data.runnel_policy_document.orders.json }
}

data "runnel_policy_document" "orders" {
  statement {
    actions   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"]
    resources = [runnel_kafka_cluster.shop.arn]
  }

  statement {
    actions = [
      "kafka-cluster:CreateTopic",
      "kafka-cluster:DescribeTopic",
      "kafka-cluster:ReadData",
      "kafka-cluster:WriteData",
    ]
    resources = ["${runnel_kafka_cluster.shop.topic_arn}shop.*"]
  }
}
