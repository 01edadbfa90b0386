//! What is refused at plan, and how it is said.

use anyhow::{Result, ensure};
use e2e::hcl;
use e2e::world::World;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use zip::write::SimpleFileOptions;

/// Bad archives are errors on `source` (a wrong pin on `sha256`) and nothing of them is stored.
pub fn archives(world: &mut World) -> Result<()> {
    let terraform = world.terraform("archives", "")?;
    let folder = terraform.folder().to_owned();
    let zip = |name: &str, entry: &str, size: usize| -> Result<String> {
        let path = folder.join(name);
        let mut writer = zip::ZipWriter::new(fs::File::create(&path)?);
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(entry, options)?;
        let block = vec![0_u8; 1 << 20];
        for _ in 0..size {
            writer.write_all(&block)?;
        }
        writer.finish()?;
        Ok(path.display().to_string())
    };
    let text = folder.join("text.zip");
    fs::write(&text, "this is not an archive")?;
    let cases = [
        (text.display().to_string(), "", "archive", "source"),
        (
            zip("up.zip", "../evil.jar", 1)?,
            "",
            "../evil.jar",
            "source",
        ),
        (zip("bomb.zip", "a.jar", 300)?, "", "inflate", "source"),
        (library(&folder)?, "", "class", "source"),
        (
            world.place("RIG_PLUGIN_SEED_ZIP")?.to_owned(),
            "  sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
            "sha256",
            "sha256",
        ),
    ];
    let before = stored(world)?;
    for (source, pin, says, field) in cases {
        let main = hcl::plugin("bad", &source).replace("}\n", &format!("{pin}}}\n"));
        terraform.write(&main)?;
        let refused = terraform.plan()?.expect(1)?;
        refused.says(says)?;
        let line = refused
            .text
            .lines()
            .find(|line| line.contains(&format!("{field} ")) && line.contains('='));
        ensure!(
            line.is_some(),
            "no line of {field} is shown:\n{}",
            refused.text
        );
        terraform.apply()?.expect(1)?;
    }
    ensure!(stored(world)? == before, "something was stored");
    ensure!(
        world.daemon.get("/api/v1/plugins")?["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
    Ok(())
}

/// An archive whose only jar holds nothing that Connect could load.
fn library(folder: &Path) -> Result<String> {
    let mut jar = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    jar.start_file("META-INF/MANIFEST.MF", SimpleFileOptions::default())?;
    jar.write_all(b"Manifest-Version: 1.0\n")?;
    let jar = jar.finish()?.into_inner();
    let path = folder.join("library.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path)?);
    archive.start_file("library.jar", SimpleFileOptions::default())?;
    archive.write_all(&jar)?;
    archive.finish()?;
    Ok(path.display().to_string())
}

fn stored(world: &World) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(world.daemon.data().join("plugins"))
        .into_iter()
        .flatten()
    {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The doctor finds nothing to treat on a machine that runs all trials; runtimes are listed.
pub fn doctor(world: &mut World) -> Result<()> {
    let text = world.daemon.runnel(&["doctor"])?;
    for part in ["java", "data folder", "port", "cgroups", "3.9", "4.3"] {
        ensure!(
            text.contains(part),
            "the doctor does not look at {part}: {text}"
        );
    }
    let listed = world.daemon.runnel(&["runtime", "list"])?;
    ensure!(
        listed.contains("3.9.2") && listed.contains("4.3.1"),
        "{listed}"
    );
    Ok(())
}

/// No daemon, a wrong token, a wrong address: one error each, with what to do.
pub fn daemon_out_of_reach(world: &mut World) -> Result<()> {
    let main = "resource \"runnel_role\" \"this\" {\n  name = \"r\"\n}\n";
    let mut terraform = world.terraform("reach", main)?;
    let right = world.daemon.endpoint();
    let token = fs::read_to_string(world.daemon.token_file())?
        .trim()
        .to_owned();
    let mut refused = |endpoint: &str, token: &str, says: &[&str]| -> Result<()> {
        terraform.set("RUNNEL_ENDPOINT", endpoint);
        terraform.set("RUNNEL_TOKEN", token);
        let output = terraform.plan()?.expect(1)?;
        println!("{}", output.text);
        ensure!(
            output.text.matches("Error:").count() == 1,
            "not one error:\n{}",
            output.text
        );
        for part in says {
            output.says(part)?;
        }
        Ok(())
    };
    refused("http://127.0.0.1:9", &token, &["runnel daemon"])?;
    refused(&right, "rnl_wrong", &["token"])?;
    refused(&format!("{right}/nowhere"), &token, &["endpoint"])?;
    Ok(())
}

/// A topic's ARN begins so, on a cluster that nobody has to declare for it.
const TOPIC: &str =
    "arn:aws:kafka:us-east-1:000000000000:topic/shop/11111111-2222-3333-4444-555555555555-1";

/// What is wrong, the statement's elements but `Effect` as JSON, and what the refusal says.
const POLICIES: &[(&str, &str, &str)] = &[
    (
        "a * inside",
        r#""Action": "kafka-cluster:ReadData", "Resource": "TOPIC/or*ders""#,
        "which Kafka's ACLs cannot name",
    ),
    (
        "a condition that no ACL can express",
        r#""Action": "kafka-cluster:ReadData", "Resource": "TOPIC/orders", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#,
        "cannot ask about aws:SourceIp",
    ),
    (
        "NotResource",
        r#""Action": "kafka-cluster:ReadData", "NotResource": "TOPIC/orders""#,
        r#"cannot say "everything but""#,
    ),
    (
        "an unknown action",
        r#""Action": "kafka-cluster:ReedData", "Resource": "TOPIC/orders""#,
        "unknown action",
    ),
    (
        "an unknown condition key",
        r#""Action": "kafka-cluster:ReadData", "Resource": "TOPIC/orders", "Condition": {"StringEquals": {"aws:Colour": "red"}}"#,
        r#"unknown condition key "aws:Colour""#,
    ),
    (
        "an unknown element",
        r#""Action": "kafka-cluster:ReadData", "Resource": "TOPIC/orders", "Colour": "red""#,
        r#"unknown element "Colour""#,
    ),
];

/// A policy that brokers cannot enforce, or that means nothing, is one error on that policy, at plan and at the API.
pub fn policies(world: &mut World) -> Result<()> {
    let terraform = world.terraform("policies", "")?;
    for (case, statement, says) in POLICIES {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", {}}}]}}"#,
            statement.replace("TOPIC", TOPIC)
        );
        let role = format!(
            "resource \"runnel_role\" \"this\" {{\n  name = \"narrow\"\n  policies = {{ kafka = {policy:?} }}\n}}\n"
        );
        terraform.write(&role)?;
        let refused = terraform.plan()?.expect(1)?;
        println!("{case}:\n{}", refused.text);
        for part in [says, "policies = { kafka = "] {
            refused.says(part)?;
        }
        let errors = refused.text.matches("Error:").count();
        ensure!(errors == 1, "{case}: {errors} errors");
        let body = serde_json::json!({"spec": {"policies": {"kafka": policy}}});
        let path = "/api/v1/roles/narrow";
        let (status, answer) = world.daemon.send(reqwest::Method::PUT, path, Some(&body))?;
        ensure!(status == 422, "{case}: {status}: {answer}");
        let field = &answer["field"];
        ensure!(field == "policies[\"kafka\"]", "{case}: {answer}");
    }
    Ok(())
}
