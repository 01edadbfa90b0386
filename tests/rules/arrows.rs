//! Which crate may depend on which.

use crate::{none, root};
use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// Every arrow between our crates. Tests and build scripts may use the same and no more.
const ARROWS: &[(&str, &[&str])] = &[
    ("checker", &[]),
    ("e2e", &["checker", "runnel-api"]),
    ("runnel", &["runnel-api", "runnel-iam", "runnel-planner"]),
    ("runnel-api", &[]),
    ("runnel-iam", &["runnel-api"]),
    ("runnel-planner", &["runnel-api"]),
    (
        "terraform-provider-runnel",
        &["runnel-api", "runnel-iam", "tfplugin"],
    ),
    ("tfplugin", &["tfplugin-proto"]),
    ("tfplugin-proto", &[]),
];

/// Crates that only these of ours may use.
const WALLS: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["runnel"], "the store is the daemon's"),
    (
        "prost",
        &["tfplugin-proto"],
        "the wire schema is generated in one place",
    ),
    (
        "prost-types",
        &["tfplugin", "tfplugin-proto"],
        "the provider knows no protobuf",
    ),
    (
        "tonic",
        &["tfplugin", "tfplugin-proto"],
        "the provider knows no gRPC",
    ),
    (
        "kafka-protocol",
        &["e2e", "runnel"],
        "only the daemon speaks to Kafka, and who checks it from outside",
    ),
    (
        "rdkafka",
        &["checker", "e2e", "runnel"],
        "only the daemon speaks to Kafka, and who checks it from outside",
    ),
    (
        "mysql_async",
        &["checker"],
        "only the checker's writers speak to databases",
    ),
    (
        "tokio-postgres",
        &["checker"],
        "only the checker's writers speak to databases",
    ),
    ("axum", &["runnel"], "only the daemon serves HTTP"),
];

fn metadata() -> Result<Metadata> {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("read cargo metadata")
}

/// What each crate of the workspace uses of the workspace, for one kind of dependency.
fn arrows(metadata: &Metadata, kind: DependencyKind) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<String> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let mut arrows = BTreeMap::new();
    for package in &metadata.packages {
        let uses = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == kind && members.contains(&dependency.name))
            .map(|dependency| dependency.name.clone())
            .collect();
        arrows.insert(package.name.to_string(), uses);
    }
    arrows
}

fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    ARROWS
        .iter()
        .map(|(from, to)| {
            let to = to.iter().map(|name| (*name).to_owned()).collect();
            ((*from).to_owned(), to)
        })
        .collect()
}

#[test]
fn crates_depend_on_each_other_exactly_as_the_design_says() -> Result<()> {
    let found = arrows(&metadata()?, DependencyKind::Normal);
    assert_eq!(found, allowed(), "found on the left, allowed on the right");
    Ok(())
}

#[test]
fn tests_and_build_scripts_add_no_arrow() -> Result<()> {
    let metadata = metadata()?;
    let allowed = allowed();
    let mut violations = Vec::new();
    for kind in [DependencyKind::Development, DependencyKind::Build] {
        for (from, uses) in arrows(&metadata, kind) {
            let more = uses.iter().filter(|to| !allowed[&from].contains(*to));
            violations.extend(more.map(|to| format!("{from} → {to}")));
        }
    }
    none("arrows that are not listed", &violations);
    Ok(())
}

#[test]
fn a_wire_or_a_store_is_known_to_its_own_crate_only() -> Result<()> {
    let mut violations = Vec::new();
    for package in &metadata()?.packages {
        for dependency in &package.dependencies {
            let wall = WALLS.iter().find(|(name, _, _)| *name == dependency.name);
            if let Some((name, owners, reason)) = wall
                && !owners.contains(&package.name.as_str())
            {
                violations.push(format!("{} uses {name}: {reason}", package.name));
            }
        }
    }
    none("crates behind walls", &violations);
    Ok(())
}
