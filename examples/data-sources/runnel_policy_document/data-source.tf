locals {
  cluster = runnel_kafka_cluster.shop
}

data "runnel_policy_document" "orders" {
  statement {
    sid       = "Cluster"
    actions   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"]
    resources = [local.cluster.arn]
  }

  statement {
    sid       = "ChangeEvents"
    actions   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
    resources = ["${local.cluster.topic_arn}shop.*"]
  }
}
