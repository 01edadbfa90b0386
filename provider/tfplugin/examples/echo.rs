//! A small provider that shows every part of the kit, and that the tests drive with the real Terraform.
//!
//! It keeps notes as files in a folder: `echo_note` is a resource, a data source reads one, an ephemeral
//! resource makes a token, a function shouts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tfplugin::schema::{Attribute, Block, NestedBlock, Schema, Validator};
use tfplugin::value::{Type, Value};
use tfplugin::{
    Action, Change, Context, DataSource, Diagnostic, Diagnostics, Ephemeral, Failure, Function,
    FunctionError, Object, Opened, Parameter, Path, Provider, Resource, Setup, Signature, Tri,
    async_trait,
};

fn main() -> ExitCode {
    tfplugin::serve(Echo)
}

struct Echo;

/// The folder with the notes.
struct Notes {
    dir: PathBuf,
}

impl Notes {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn load(&self, name: &str) -> Result<Option<Json>, Diagnostic> {
        match std::fs::read(self.file(name)) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| trouble(name, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(name, &error)),
        }
    }

    fn save(&self, name: &str, note: &Json) -> Result<(), Diagnostic> {
        std::fs::write(self.file(name), note.to_string()).map_err(|error| trouble(name, &error))
    }
}

fn trouble(name: &str, error: &dyn std::error::Error) -> Diagnostic {
    Diagnostic::error(
        "Note not accessible",
        format!("The file of note {name:?}: {error}."),
    )
}

#[async_trait]
impl Provider for Echo {
    type Client = Notes;

    fn schema(&self) -> Schema {
        Schema::new("Keeps notes in a folder.")
            .attribute(Attribute::string("dir").required().describe("The folder."))
    }

    async fn configure(
        &self,
        _setup: &mut Setup,
        config: &Object,
    ) -> Result<Option<Notes>, Failure> {
        let dir: Tri<String> = config.get("dir")?;
        Ok(dir.known().map(|dir| Notes { dir: dir.into() }))
    }

    fn resources(&self) -> Vec<Box<dyn Resource<Notes>>> {
        vec![Box::new(NoteResource)]
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<Notes>>> {
        vec![Box::new(NoteData)]
    }

    fn functions(&self) -> Vec<Box<dyn Function>> {
        vec![Box::new(Shout)]
    }

    fn ephemerals(&self) -> Vec<Box<dyn Ephemeral<Notes>>> {
        vec![Box::new(Token)]
    }
}

struct NoteResource;

/// Texts mean the same whatever their spaces.
fn same_words(left: &Value, right: &Value) -> bool {
    let words = |value: &Value| {
        value.as_str().map(|text| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
    };
    words(left) == words(right)
}

impl NoteResource {
    /// What a note is after create and update alike.
    fn write(
        cx: &Context<Notes>,
        plan: &Object,
        config: &Object,
        revision: i64,
    ) -> Result<Object, Failure> {
        let notes = cx.client()?;
        let name: String = plan.get("name")?;
        let text: String = plan.get("text")?;
        let secret: Option<String> = config.get("secret_wo")?;
        let note = json!({
            "text": text,
            "mode": plan.get::<String>("mode")?,
            "revision": revision,
            "secret_length": secret.map_or(0, |secret| secret.len()),
            "labels": plan.value("labels").to_json(),
        });
        notes.save(&name, &note)?;
        let mut state = plan.clone();
        state.set("id", format!("note/{name}"));
        state.set("revision", revision);
        if let Some(mut size) = plan.get::<Option<Object>>("size")? {
            let area = size.get::<i64>("width")? * size.get::<i64>("depth")?;
            size.set("area", area);
            state.set("size", size);
        }
        Ok(state)
    }
}

#[async_trait]
impl Resource<Notes> for NoteResource {
    fn type_name(&self) -> &'static str {
        "echo_note"
    }

    fn schema(&self) -> Schema {
        let size = [
            Attribute::number("width")
                .required()
                .validate(Validator::range(1..=100)),
            Attribute::number("depth").default(1),
            Attribute::number("area").computed(),
        ];
        let rule = Block::new("Who may read.")
            .attribute(Attribute::string("effect").required())
            .attribute(Attribute::set("readers", Type::String).optional());
        Schema::new("A note in a file.")
            .version(1)
            .attribute(
                Attribute::string("name")
                    .required()
                    .requires_replace()
                    .validate(Validator::length(1..=20)),
            )
            .attribute(Attribute::string("text").required().equal_when(same_words))
            .attribute(
                Attribute::string("mode")
                    .default("PLAIN")
                    .validate(Validator::one_of(["PLAIN", "LOUD"])),
            )
            .attribute(Attribute::map("labels", Type::String).optional())
            .attribute(Attribute::string("secret_wo").write_only().sensitive())
            .attribute(Attribute::number("secret_wo_version").optional())
            .attribute(
                Attribute::string("trouble")
                    .optional()
                    .describe("What shall go wrong."),
            )
            .attribute(Attribute::single("size", size).optional())
            .attribute(Attribute::string("id").computed().use_state_for_unknown())
            .attribute(
                Attribute::number("length")
                    .computed()
                    .describe("Known at plan."),
            )
            .attribute(Attribute::number("revision").computed())
            .block(NestedBlock::list("rule", rule))
            .block(NestedBlock::single(
                "timeouts",
                Block::new("Time limits.").attribute(Attribute::string("create").optional()),
            ))
    }

    fn validate(&self, config: &Object, diagnostics: &mut Diagnostics) {
        if let Ok(Tri::Known(labels)) = config.get::<Tri<BTreeMap<String, Tri<String>>>>("labels") {
            for key in labels.keys().filter(|key| key.starts_with("echo:")) {
                let at = config.path("labels").key(key);
                diagnostics.error_at(
                    at,
                    "Reserved label",
                    format!("{key:?} starts with \"echo:\", which is reserved."),
                );
            }
        }
    }

    async fn plan(&self, cx: &mut Context<Notes>, change: &mut Change) -> Result<(), Failure> {
        let text: Tri<String> = change.planned.get("text")?;
        change.planned.set("length", text.map(|text| text.len()));
        if !change.requires_replace().is_empty() {
            cx.diagnostics
                .warning_at("name", "A new note", "The old note will be gone.");
        }
        if change.action == Action::Replace
            && change
                .planned
                .get::<Tri<String>>("trouble")?
                .known()
                .as_deref()
                == Some("stay")
        {
            return Err(
                Diagnostic::error("Not replaced", "This note wants to stay.")
                    .at("name")
                    .into(),
            );
        }
        Ok(())
    }

    async fn plan_destroy(&self, cx: &mut Context<Notes>, prior: &Object) -> Result<(), Failure> {
        let name: String = prior.get("name")?;
        cx.diagnostics.warning(
            "A note will be gone",
            format!("Nobody can read {name:?} after this."),
        );
        Ok(())
    }

    async fn create(
        &self,
        cx: &mut Context<Notes>,
        plan: &Object,
        config: &Object,
    ) -> Result<Object, Failure> {
        match plan.get::<Option<String>>("trouble")?.as_deref() {
            Some("panic") => panic!("asked to panic"),
            Some("half") => {
                let failure: Failure =
                    Diagnostic::error("Half done", "The note is there, but not as it should be.")
                        .into();
                return Err(failure.with_state(Self::write(cx, plan, config, 1)?));
            }
            Some("slow") => {
                let state = Self::write(cx, plan, config, 1)?;
                cx.client()?.save("started", &json!(true))?;
                tokio::select! {
                    () = cx.cancel.cancelled() => {
                        let failure: Failure = Diagnostic::error("Interrupted", "The note was being checked.").into();
                        return Err(failure.with_state(state));
                    }
                    () = tokio::time::sleep(Duration::from_mins(1)) => {}
                }
            }
            Some("lie") => {
                return Ok(Self::write(cx, plan, config, 1)?.with("text", "something else"));
            }
            _ => {}
        }
        cx.private.set("made", true);
        Self::write(cx, plan, config, 1)
    }

    async fn read(
        &self,
        cx: &mut Context<Notes>,
        state: &Object,
    ) -> Result<Option<Object>, Failure> {
        let name: String = state.get("name")?;
        let Some(note) = cx.client()?.load(&name)? else {
            return Ok(None);
        };
        let text = note["text"].as_str().unwrap_or_default().to_owned();
        let labels: Option<BTreeMap<String, String>> =
            serde_json::from_value(note["labels"].clone()).unwrap_or_default();
        let read = state
            .clone()
            .with("length", text.len())
            .with("text", text)
            .with("mode", note["mode"].as_str().unwrap_or("PLAIN"))
            .with("revision", note["revision"].as_i64().unwrap_or_default())
            .with("labels", labels)
            .with("id", format!("note/{name}"));
        Ok(Some(read))
    }

    async fn update(
        &self,
        cx: &mut Context<Notes>,
        state: &Object,
        plan: &Object,
        config: &Object,
    ) -> Result<Object, Failure> {
        if cx.private.get::<bool>("made") != Some(true) {
            cx.diagnostics
                .warning("An imported note", "It was not made here.");
        }
        let revision: i64 = state.get("revision")?;
        Self::write(cx, plan, config, revision + 1)
    }

    async fn delete(&self, cx: &mut Context<Notes>, state: &Object) -> Result<(), Failure> {
        let name: String = state.get("name")?;
        match std::fs::remove_file(cx.client()?.file(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(trouble(&name, &error).into())
            }
            _ => Ok(()),
        }
    }

    async fn import(&self, _cx: &mut Context<Notes>, id: &str) -> Result<Object, Failure> {
        Ok(Object::new().with("name", id))
    }

    fn upgrade(&self, _version: i64, mut state: Json) -> Result<Json, Diagnostic> {
        // Version 0 called the text "body".
        if let Some(object) = state.as_object_mut()
            && let Some(text) = object.remove("body")
        {
            object.insert("text".to_owned(), text);
        }
        Ok(state)
    }
}

struct NoteData;

#[async_trait]
impl DataSource<Notes> for NoteData {
    fn type_name(&self) -> &'static str {
        "echo_note"
    }

    fn schema(&self) -> Schema {
        let statement = Block::new("A part of the answer.")
            .attribute(Attribute::string("effect").default("Allow"));
        Schema::new("Reads a note.")
            .attribute(Attribute::string("name").required())
            .attribute(Attribute::string("text").computed())
            .attribute(Attribute::list("effects", Type::String).computed())
            .block(NestedBlock::list("statement", statement))
    }

    async fn read(&self, cx: &mut Context<Notes>, config: &Object) -> Result<Object, Failure> {
        let name: String = config.get("name")?;
        let Some(note) = cx.client()?.load(&name)? else {
            return Err(
                Diagnostic::error("No such note", format!("There is no note {name:?}."))
                    .at("name")
                    .into(),
            );
        };
        let statements: Vec<Object> = config.get("statement")?;
        let effects: Vec<String> = statements
            .iter()
            .map(|each| each.get("effect"))
            .collect::<Result<_, _>>()?;
        Ok(config
            .clone()
            .with("text", note["text"].as_str())
            .with("effects", effects))
    }
}

struct Shout;

impl Function for Shout {
    fn signature(&self) -> Signature {
        Signature::new("shout", "Makes text loud", Type::String)
            .describe("Writes `text` in capital letters, and any marks after it.")
            .parameter(Parameter::new("text", Type::String, "What to shout."))
            .variadic(Parameter::new("marks", Type::String, "What follows."))
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let texts: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
        match texts.split_first() {
            None | Some((&"", _)) => Err(FunctionError::at(0, "There is nothing to shout.")),
            Some((text, marks)) => Ok(Value::from(text.to_uppercase() + &marks.concat())),
        }
    }
}

struct Token;

#[async_trait]
impl Ephemeral<Notes> for Token {
    fn type_name(&self) -> &'static str {
        "echo_token"
    }

    fn schema(&self) -> Schema {
        Schema::new("A token that is never stored.")
            .attribute(Attribute::string("prefix").required())
            .attribute(Attribute::string("value").computed().sensitive())
    }

    async fn open(&self, cx: &mut Context<Notes>, config: &Object) -> Result<Opened, Failure> {
        let prefix: String = config.get("prefix")?;
        cx.private.set("prefix", &prefix);
        Ok(Opened {
            result: config
                .clone()
                .with("value", format!("{prefix}-t0ken-t0ken")),
            renew_at: None,
        })
    }

    async fn close(&self, cx: &mut Context<Notes>) -> Result<(), Failure> {
        let prefix: Option<String> = cx.private.get("prefix");
        cx.client()?
            .save("closed", &json!(prefix))
            .map_err(|error| Failure::from(error.at(Path::root())))
    }
}
