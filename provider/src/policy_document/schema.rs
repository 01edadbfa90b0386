//! Blocks as `aws_iam_policy_document` has them.

use tfplugin::schema::{Attribute, Block, NestedBlock, Schema, Validator};
use tfplugin::value::Type;

pub(super) fn schema() -> Schema {
    Schema::new(
        "Writes a policy as IAM JSON, for `policies` and `assume_role_policy` of `runnel_role`. The blocks are those of \
         `aws_iam_policy_document`; what a role would refuse is refused here.\n\nTerraform puts off reading a data source \
         that refers directly to a resource with changes. In the plan that makes a cluster, a policy is known if it refers \
         to the cluster through a local value, as in the example, or through a module's variable; otherwise it is known, \
         and checked against what connectors need, at apply.",
    )
    .attribute(Attribute::string("policy_id").describe("Id of the policy."))
    .attribute(Attribute::string("json").computed().describe("The policy as JSON."))
    .block(NestedBlock::list("statement", statement()).min_items(1))
}

fn statement() -> Block {
    let set = |name: &str, text: &str| Attribute::set(name, Type::String).describe(text);
    Block::new("A statement of the policy.")
        .attribute(Attribute::string("sid").describe("Name of the statement."))
        .attribute(
            Attribute::string("effect")
                .validate(Validator::one_of(["Allow", "Deny"]))
                .describe("`Allow`, the default, or `Deny`."),
        )
        .attribute(set(
            "actions",
            "Actions that it speaks about, such as `kafka-cluster:ReadData`.",
        ))
        .attribute(set("not_actions", "All actions but these."))
        .attribute(set(
            "resources",
            "ARNs that it speaks about, such as `${runnel_kafka_cluster.shop.topic_arn}orders.*`.",
        ))
        .attribute(set("not_resources", "All resources but these."))
        .block(NestedBlock::list(
            "principals",
            Block::new("Whom a trust policy trusts.")
                .attribute(
                    Attribute::string("type")
                        .required()
                        .describe("`Service`, or `*` for anyone."),
                )
                .attribute(
                    Attribute::set("identifiers", Type::String)
                        .required()
                        .describe("Such as `kafkaconnect.amazonaws.com`."),
                ),
        ))
        .block(NestedBlock::list(
            "condition",
            Block::new("A condition; all of them must hold.")
                .attribute(
                    Attribute::string("test")
                        .required()
                        .describe("Operator, such as `StringEquals`."),
                )
                .attribute(
                    Attribute::string("variable")
                        .required()
                        .describe("Key, such as `aws:SourceAccount`."),
                )
                .attribute(
                    Attribute::list("values", Type::String)
                        .required()
                        .describe("Values, of which one must fit."),
                ),
        ))
}
