//! The example provider under the real `terraform` binary, found through a filesystem mirror.
//!
//! Each test has a folder of its own; nothing of the user's is read or written. Without `terraform` on the
//! path these tests fail, as they should: nothing else proves what they prove.

mod bench;
mod transport;
mod workspace;

use serde_json::json;
use workspace::{Workspace, attribute};

const NOTE: &str = r#"
resource "echo_note" "a" {
  name      = "a"
  text      = "hello  world"
  labels    = { colour = "red" }
  size      = { width = 3 }
  secret_wo = "s3cr3t-v4lue"
  rule {
    effect  = "Allow"
    readers = ["bob", "alice"]
  }
  timeouts {
    create = "30s"
  }
}
"#;

#[test]
fn a_resource_lives_from_create_to_destroy() {
    let work = Workspace::new(NOTE);
    let planned = work.plan_json();
    let change = &planned["resource_changes"][0]["change"];
    assert_eq!(change["actions"], json!(["create"]));
    assert_eq!(
        change["after"]["mode"], "PLAIN",
        "the default is in the plan"
    );
    assert_eq!(
        change["after"]["length"], 12,
        "the hook's value is known at plan"
    );
    assert_eq!(change["after_unknown"]["id"], true);
    assert_eq!(change["after_unknown"]["size"], json!({"area": true}));

    work.ok(&["apply", "-auto-approve"]);
    let state = work.state_of("echo_note.a");
    assert_eq!(state["id"], "note/a");
    assert_eq!(state["revision"], 1);
    assert_eq!(state["size"], json!({"width": 3, "depth": 1, "area": 3}));
    assert_eq!(
        state["rule"],
        json!([{"effect": "Allow", "readers": ["alice", "bob"]}])
    );
    work.no_changes();

    work.write(&NOTE.replace("hello  world", "hello world"));
    work.no_changes();

    work.write(
        &NOTE
            .replace("hello  world", "hello moon")
            .replace("width = 3", "width = 4"),
    );
    let planned = work.plan_json();
    assert_eq!(
        planned["resource_changes"][0]["change"]["actions"],
        json!(["update"])
    );
    assert_eq!(
        planned["resource_changes"][0]["change"]["after"]["id"], "note/a",
        "the id stays known"
    );
    work.ok(&["apply", "-auto-approve"]);
    assert_eq!(work.state_of("echo_note.a")["revision"], 2);
    assert_eq!(work.state_of("echo_note.a")["size"]["area"], 4);
    work.no_changes();

    work.write(&NOTE.replace(
        "name      = \"a\"",
        "name      = \"b\"\n  trouble   = \"stay\"",
    ));
    let failed = work.fails(&["plan"]);
    assert!(
        failed.contains("This note wants to stay."),
        "the second plan knows that it replaces: {failed}"
    );

    work.write(&NOTE.replace("name      = \"a\"", "name      = \"b\""));
    let planned = work.plan_json();
    assert_eq!(
        planned["resource_changes"][0]["change"]["actions"],
        json!(["delete", "create"])
    );
    assert_eq!(
        planned["resource_changes"][0]["change"]["replace_paths"],
        json!([["name"]])
    );
    let replaced = work.ok(&["apply", "-auto-approve"]);
    assert!(
        replaced.contains("The old note will be gone."),
        "{replaced}"
    );
    assert_eq!(work.notes(), ["b.json"]);

    let destroyed = work.ok(&["destroy", "-auto-approve"]);
    assert!(
        destroyed.contains("Nobody can read \"b\" after this."),
        "{destroyed}"
    );
    assert_eq!(work.notes(), Vec::<String>::new());
}

#[test]
fn a_write_only_value_is_in_neither_plan_nor_state() {
    let work = Workspace::new(&format!(
        "{NOTE}\nephemeral \"echo_token\" \"t\" {{ prefix = \"p\" }}\n\
         resource \"echo_note\" \"b\" {{\n  name = \"b\"\n  text = \"x\"\n  secret_wo = ephemeral.echo_token.t.value\n}}"
    ));
    let mut planned = work.plan_json();
    // The text of the configuration is quoted there, secrets in it and all.
    planned["configuration"].take();
    let planned = planned.to_string();
    work.ok(&["apply", "-auto-approve"]);
    let stored = work.read("terraform.tfstate");
    for secret in ["s3cr3t-v4lue", "t0ken-t0ken"] {
        assert!(
            !planned.contains(secret) && !stored.contains(secret),
            "{secret}"
        );
    }
    let note: serde_json::Value = serde_json::from_str(&work.read("notes/b.json")).expect("a note");
    assert_eq!(note["secret_length"], 13, "the provider got it");
    assert_eq!(
        work.read("notes/closed.json"),
        "\"p\"",
        "the token was closed with its private state"
    );
    work.no_changes();
}

#[test]
fn what_exists_is_imported_and_then_planned_without_change() {
    let work =
        Workspace::new("resource \"echo_note\" \"a\" {\n  name = \"a\"\n  text = \"old\"\n}");
    let missing = work.fails(&["import", "echo_note.a", "a"]);
    assert!(
        missing.contains("Cannot import non-existent remote object"),
        "{missing}"
    );
    work.write_note("a", &json!({"text": "old", "mode": "PLAIN", "revision": 7}));
    work.ok(&["import", "echo_note.a", "a"]);
    assert_eq!(work.state_of("echo_note.a")["revision"], 7);
    work.no_changes();
    work.write_note(
        "a",
        &json!({"text": "drifted", "mode": "PLAIN", "revision": 8}),
    );
    let planned = work.plan_json();
    assert_eq!(
        planned["resource_changes"][0]["change"]["actions"],
        json!(["update"])
    );
    let applied = work.ok(&["apply", "-auto-approve"]);
    assert!(
        applied.contains("It was not made here."),
        "private state tells imported from made: {applied}"
    );
    std::fs::remove_file(work.dir().join("notes/a.json")).expect("a note");
    let planned = work.plan_json();
    assert_eq!(
        planned["resource_changes"][0]["change"]["actions"],
        json!(["create"]),
        "gone is gone"
    );
}

#[test]
fn the_state_of_an_older_version_is_upgraded() {
    let work =
        Workspace::new("resource \"echo_note\" \"a\" {\n  name = \"a\"\n  text = \"old\"\n}");
    work.ok(&["apply", "-auto-approve"]);
    let state = work.read("terraform.tfstate");
    let old = state
        .replace("\"schema_version\": 1", "\"schema_version\": 0")
        .replace("\"text\":", "\"body\":");
    assert_ne!(state, old);
    std::fs::write(work.dir().join("terraform.tfstate"), old).expect("a state");
    work.no_changes();
}

#[test]
fn functions_and_data_sources_answer() {
    let work = Workspace::new(
        r#"
resource "echo_note" "a" {
  name = "a"
  text = provider::echo::shout("hello", "!", "?")
}
data "echo_note" "a" {
  name = echo_note.a.name
  statement {}
  statement { effect = "Deny" }
}
output "read" { value = [data.echo_note.a.text, data.echo_note.a.effects] }
"#,
    );
    work.ok(&["apply", "-auto-approve"]);
    assert_eq!(
        work.json(&["output", "-json", "read"]),
        json!(["HELLO!?", ["Allow", "Deny"]])
    );
    work.no_changes();
    work.write("output \"x\" { value = provider::echo::shout(\"\") }");
    let failed = work.fails(&["plan"]);
    assert!(failed.contains("There is nothing to shout."), "{failed}");
    assert!(
        failed.contains("\"text\" parameter"),
        "the argument is named: {failed}"
    );
    work.write("data \"echo_note\" \"a\" { name = \"none\" }");
    let failed = work.fails(&["plan"]);
    assert!(failed.contains("There is no note \"none\"."), "{failed}");
}

#[test]
fn a_value_larger_than_a_usual_message_travels_both_ways() {
    let work = Workspace::new(
        "resource \"echo_note\" \"a\" {\n  name = \"a\"\n  text = file(\"big.txt\")\n}",
    );
    std::fs::write(work.dir().join("big.txt"), "word ".repeat(1 << 20)).expect("a file");
    work.ok(&["apply", "-auto-approve"]);
    assert_eq!(work.state_of("echo_note.a")["length"], 5 << 20);
    work.no_changes();
}

#[test]
fn an_error_points_at_the_line_of_the_users_file() {
    let work = Workspace::new(
        "resource \"echo_note\" \"a\" {\n  name = \"a\"\n  text = \"x\"\n  mode = \"QUIET\"\n  labels = {\n    \
         \"echo:x\" = \"y\"\n  }\n  size = { width = 1000 }\n}\n",
    );
    let report = work.json_even_if_it_fails(&["validate", "-json"]);
    let diagnostics = report["diagnostics"].as_array().expect("diagnostics");
    let mut found: Vec<(i64, String)> = diagnostics
        .iter()
        .map(|each| {
            let line =
                each["range"]["start"]["line"].as_i64().expect("a line") - workspace::HEADER_LINES;
            (line, each["detail"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    found.sort();
    let expected = [
        (4, "\"QUIET\" is not one of PLAIN, LOUD."),
        (6, "\"echo:x\" starts with \"echo:\", which is reserved."),
        (8, "1000 is not a whole number from 1 to 100."),
    ];
    let expected: Vec<(i64, String)> = expected
        .iter()
        .map(|(line, text)| (*line, (*text).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_failed_create_keeps_what_was_made_and_a_panic_hurts_nobody_else() {
    let note = |name: &str, trouble: &str| {
        format!(
            "resource \"echo_note\" \"{name}\" {{\n  name = \"{name}\"\n  text = \"x\"\n  trouble = {trouble}\n}}\n"
        )
    };
    let work = Workspace::new(
        &[
            note("half", "\"half\""),
            note("crash", "\"panic\""),
            note("fine", "null"),
        ]
        .concat(),
    );
    let failed = work.fails(&["apply", "-auto-approve"]);
    assert!(
        failed.contains("The note is there, but not as it should be."),
        "{failed}"
    );
    assert!(
        failed.contains("The provider has crashed") && failed.contains("asked to panic"),
        "{failed}"
    );
    assert_eq!(
        attribute(&work.resource("echo_note.half"), "tainted"),
        json!(true)
    );
    assert_eq!(work.state_of("echo_note.fine")["id"], "note/fine");
    assert!(work.resource("echo_note.crash").is_null());
}

#[test]
fn a_state_that_is_not_as_planned_is_named_by_the_debug_build() {
    let work = Workspace::new(
        "resource \"echo_note\" \"a\" {\n  name = \"a\"\n  text = \"x\"\n  trouble = \"lie\"\n}",
    );
    let failed = work.fails(&["apply", "-auto-approve"]);
    assert!(
        failed.contains("Provider breaks the rule AppliedIsPlanned"),
        "{failed}"
    );
    assert!(
        failed.contains("Planned was \"x\", but now it is \"something else\"."),
        "{failed}"
    );
}

#[test]
fn an_unknown_provider_configuration_is_an_error_where_it_hurts() {
    let work = Workspace::with_provider(
        "provider \"echo\" { dir = terraform_data.dir.output }\nresource \"terraform_data\" \"dir\" { input = \"notes\" }",
        "resource \"echo_note\" \"a\" {\n  name = \"a\"\n  text = \"x\"\n}",
    );
    let planned = work.plan_json();
    assert_eq!(
        planned["resource_changes"][0]["change"]["actions"],
        json!(["create"]),
        "a plan needs no client here"
    );
    work.ok(&["apply", "-auto-approve"]);
    assert_eq!(work.notes(), ["a.json"]);
}

#[test]
fn ctrl_c_stops_the_work_and_keeps_what_was_made() {
    let work = Workspace::new(
        "resource \"echo_note\" \"a\" {\n  name = \"a\"\n  text = \"x\"\n  trouble = \"slow\"\n}",
    );
    let (output, code) = work.interrupted(&["apply", "-auto-approve"], "notes/started.json");
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("The note was being checked."), "{output}");
    assert_eq!(
        attribute(&work.resource("echo_note.a"), "tainted"),
        json!(true)
    );
}
