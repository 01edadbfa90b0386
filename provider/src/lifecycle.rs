//! Create, read, update and delete as every kind of object does them: a declarative write, then a
//! wait for its operation, then the truth about how it ended.

use crate::daemon_client::{AnswerOf, ClientError, Noun, ObjectOf, Precondition};
use crate::report;
use crate::session::Session;
use crate::timeouts::{self, Phase};
use crate::waiting::{self, Ended};
use runnel_api::arn::Incarnation;
use runnel_api::error::Warning;
use runnel_api::{ErrorCode, Generation, Name, Operation, Outcome, Problem, Put, Secret};
use std::collections::BTreeMap;
use std::time::Duration;
use tfplugin::{Change, Context, Diagnostic, Failure, Object};
use tokio::time::Instant;

/// Key of private state: the generation that was last read or written, for `If-Match`.
const GENERATION: &str = "generation";
/// Key of private state: the name. In a plan without a prior state it says that the plan is the
/// second half of a replacement, because Terraform hands it over from the first.
const NAME: &str = "name";
/// Pause between repetitions of a write whose answer was lost.
const REPEAT_PAUSE: Duration = Duration::from_millis(500);

/// What Terraform does with an object whose create has an open end.
const TAINTED: &str = "Terraform marks what it made as tainted and would replace it at the next apply. If it comes up \
                       after all, `terraform untaint` with its address keeps it.";

/// The context of every resource here.
pub type Cx = Context<Session>;

/// What a kind of object does not share with the others.
pub trait Convert<N: Noun> {
    /// The specification that a plan or state declares. All of it must be known.
    fn spec(&self, values: &Object) -> Result<N::Spec, Diagnostic>;
    /// The state of an object; what the daemon does not hold is taken from `carried`.
    fn state(&self, object: &ObjectOf<N>, carried: &Object) -> Object;
}

/// The name that a plan or state declares; `None` while it is unknown.
pub fn name_of(values: &Object) -> Result<Option<Name>, Diagnostic> {
    let Some(text) = values.get::<tfplugin::Tri<String>>("name")?.known() else {
        return Ok(None);
    };
    let refuse = |error: runnel_api::NameError| {
        Diagnostic::error("Invalid name", format!("{error}.")).at("name")
    };
    Name::parse(&text).map(Some).map_err(refuse)
}

/// The name of a plan or state in which it must be known.
pub fn known_name(values: &Object) -> Result<Name, Diagnostic> {
    name_of(values)?.ok_or_else(|| {
        Diagnostic::error("Value not known yet", "The name is needed here.").at("name")
    })
}

/// What a plan knows of the identity of its object.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// It exists and stays.
    Stays,
    /// It will be new.
    New {
        /// Its identity.
        next: Incarnation,
        /// Whether one of the same name goes first.
        replacing: bool,
    },
    /// It will be replaced: Terraform asks again for the new one.
    Leaves,
    /// Not to be known yet: the name or the provider's configuration is known only after apply.
    Open,
}

/// Finds out what will exist under the name. A name that is taken by something that the state does
/// not know is an error at plan.
pub async fn identity<N: Noun>(cx: &mut Cx, change: &Change) -> Result<Planned, Failure> {
    let Some(name) = name_of(&change.planned)? else {
        return Ok(Planned::Open);
    };
    let own = cx.private.get::<String>(NAME).as_deref() == Some(name.as_str());
    cx.private.set(NAME, name.as_str());
    if change.prior.is_some() {
        let leaves = !change.requires_replace().is_empty();
        return Ok(if leaves {
            Planned::Leaves
        } else {
            Planned::Stays
        });
    }
    let Some(session) = cx.client_if_known() else {
        return Ok(Planned::Open);
    };
    let identity = session.daemon.identity(N::KIND, &name).await;
    let identity = identity.map_err(|error| report::call(&error, &change.config))?;
    // A tainted object is planned as if it were new, but its state was read before.
    let mine = own || session.has_seen(N::KIND, &name);
    if identity.current.is_some() && !mine {
        return Err(report::exists(N::KIND, &name).into());
    }
    Ok(Planned::New {
        next: identity.next,
        replacing: identity.current.is_some(),
    })
}

/// Makes the object and waits until it is as it should be.
pub async fn create<N: Noun>(
    cx: &mut Cx,
    convert: &impl Convert<N>,
    plan: &Object,
    config: &Object,
    secrets: Option<BTreeMap<String, Secret>>,
) -> Result<Object, Failure> {
    let (session, name) = (cx.client()?, known_name(plan)?);
    let put = Put {
        spec: convert.spec(plan)?,
        secrets,
    };
    let deadline = Instant::now() + timeouts::limit(plan, Phase::Create);
    let answer = write::<N>(&session, &name, &put, Precondition::Absent, deadline).await;
    let answer = match answer {
        Err(error) if error.code() == Some(ErrorCode::AlreadyExists) => {
            return Err(report::exists(N::KIND, &name).into());
        }
        other => other.map_err(|error| report::call(&error, config))?,
    };
    remark(cx, &answer.warnings, config);
    remember(cx, &answer.object.name, answer.object.generation);
    let state = convert.state(&answer.object, plan);
    let ended = waiting::wait(&session.daemon, answer.operation, deadline, &cx.cancel).await;
    match verdict(&ended) {
        Verdict::Done => {}
        // The daemon has undone it: nothing is left that Terraform should remember.
        Verdict::Undone(problem) => return Err(failed_create(&problem, config).into()),
        Verdict::Open(mut diagnostic) => {
            append(&mut diagnostic, TAINTED);
            return Err(Failure::from(diagnostic).with_state(state));
        }
    }
    remark(cx, outcome_warnings(&ended), config);
    Ok(state)
}

/// What to send for an update, besides the specification.
#[derive(Debug)]
pub struct Update {
    /// Secrets, if they are to be sent anew.
    pub secrets: Option<BTreeMap<String, Secret>>,
    /// True if the daemon has to know; otherwise only Terraform's own attributes changed.
    pub write: bool,
}

/// Changes the object and waits until the change has taken effect.
pub async fn update<N: Noun>(
    cx: &mut Cx,
    convert: &impl Convert<N>,
    plan: &Object,
    config: &Object,
    update: Update,
) -> Result<Object, Failure> {
    let (session, name) = (cx.client()?, known_name(plan)?);
    let deadline = Instant::now() + timeouts::limit(plan, Phase::Update);
    let generation = cx.private.get::<u64>(GENERATION).map(Generation);
    let generation = match generation {
        Some(generation) if update.write => generation,
        _ => {
            let object = session.daemon.get::<N>(&name).await;
            let object = object.map_err(|error| report::call(&error, config))?;
            let object = object.ok_or_else(|| gone::<N>(&name))?;
            if !update.write {
                remember(cx, &name, object.generation);
                return Ok(convert.state(&object, plan));
            }
            object.generation
        }
    };
    let put = Put {
        spec: convert.spec(plan)?,
        secrets: update.secrets,
    };
    let at = Precondition::At(generation);
    let answer = write::<N>(&session, &name, &put, at, deadline).await;
    let answer = answer.map_err(|error| report::call(&error, config))?;
    remark(cx, &answer.warnings, config);
    let ended = waiting::wait(&session.daemon, answer.operation, deadline, &cx.cancel).await;
    match verdict(&ended) {
        Verdict::Done => {}
        Verdict::Undone(problem) => return Err(failed_update(&ended, &problem, config).into()),
        // The old state is kept; the next refresh will see what became of it.
        Verdict::Open(diagnostic) => return Err(diagnostic.into()),
    }
    remark(cx, outcome_warnings(&ended), config);
    remember(cx, &name, answer.object.generation);
    Ok(convert.state(&answer.object, plan))
}

/// What the object is now; `None` if there is none. One that is being deleted still is.
pub async fn read<N: Noun>(
    cx: &mut Cx,
    convert: &impl Convert<N>,
    state: &Object,
) -> Result<Option<(ObjectOf<N>, Object)>, Failure> {
    let (session, name) = (cx.client()?, known_name(state)?);
    let object = session.daemon.get::<N>(&name).await;
    let object = object.map_err(|error| report::call(&error, state))?;
    let Some(object) = object else {
        return Ok(None);
    };
    session.see(N::KIND, &name);
    remember(cx, &name, object.generation);
    let state = convert.state(&object, state);
    Ok(Some((object, state)))
}

/// Removes the object and waits until it is gone.
pub async fn delete<N: Noun>(cx: &mut Cx, state: &Object) -> Result<(), Failure> {
    let (session, name) = (cx.client()?, known_name(state)?);
    let deadline = Instant::now() + timeouts::limit(state, Phase::Delete);
    let deleted = session.daemon.delete::<N>(&name).await;
    let deleted = deleted.map_err(|error| report::call(&error, state))?;
    let Some(deleted) = deleted else {
        return Ok(());
    };
    let ended = waiting::wait(&session.daemon, deleted.operation, deadline, &cx.cancel).await;
    match (&ended, verdict(&ended)) {
        (Ended::Forgotten, _) | (_, Verdict::Done) => {
            remark(cx, outcome_warnings(&ended), state);
            Ok(())
        }
        (_, Verdict::Undone(problem)) => Err(report::problem(&problem, state).into()),
        (_, Verdict::Open(diagnostic)) => Err(diagnostic.into()),
    }
}

/// Turns the name that the user gives to `terraform import` into what a read needs.
pub fn import<N: Noun>(id: &str) -> Result<Object, Failure> {
    let name = Name::parse(id).map_err(|error| {
        let detail = format!("A {} is imported by its name; {error}.", N::KIND);
        Diagnostic::error("Invalid import id", detail)
    })?;
    Ok(Object::new().with("name", name.as_str()))
}

/// A write, repeated while its answer is lost: the same specification twice is one operation.
async fn write<N: Noun>(
    session: &Session,
    name: &Name,
    put: &Put<N::Spec>,
    precondition: Precondition,
    deadline: Instant,
) -> Result<AnswerOf<N>, ClientError> {
    let mut lost = false;
    loop {
        let error = match session.daemon.put::<N>(name, put, precondition).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // A daemon that was never there is not waited for.
        lost |= matches!(error, ClientError::Lost { .. });
        if !(lost && error.is_passing()) || Instant::now() + REPEAT_PAUSE >= deadline {
            return Err(error);
        }
        tokio::time::sleep(REPEAT_PAUSE).await;
    }
}

/// What the end of a wait means.
enum Verdict {
    Done,
    /// It did not work, and the daemon knows it.
    Undone(Problem),
    /// How it ends is not known.
    Open(Diagnostic),
}

fn verdict(ended: &Ended) -> Verdict {
    let open = |summary: &str, detail: String| Verdict::Open(Diagnostic::error(summary, detail));
    match ended {
        Ended::Final(operation) => match operation.outcome {
            Outcome::Succeeded => Verdict::Done,
            Outcome::Superseded => open(
                "A newer change took over",
                format!(
                    "Someone else changed {} while this change was under way. Plan again.",
                    operation.name
                ),
            ),
            _ => Verdict::Undone(operation.problem.clone().unwrap_or_else(|| {
                Problem::new(ErrorCode::Internal, "the operation failed")
                    .detail("the daemon gives no reason; its log may")
            })),
        },
        Ended::Cancelled(operation) => open(
            "Interrupted",
            format!("The daemon goes on with it{}.", doing(operation)),
        ),
        Ended::TimedOut(operation, None) => open(
            "Time is up",
            format!(
                "The daemon goes on with it{}.\n\nSee how it ends with `runnel status`, then plan again. The block \
                 `timeouts` gives it more time.",
                doing(operation)
            ),
        ),
        Ended::TimedOut(_, Some(error)) => {
            let mut diagnostic = report::call(error, &Object::new());
            diagnostic.detail = format!(
                "The daemon accepted the change, then could not be asked any more how it went.\n\n{}",
                diagnostic.detail
            );
            Verdict::Open(diagnostic)
        }
        Ended::Forgotten => open(
            "The outcome is not known",
            "The daemon does not know this operation any more. Plan again.".to_owned(),
        ),
        Ended::Refused(error) => Verdict::Open(report::call(error, &Object::new())),
    }
}

/// What an operation was last seen to wait for, as the end of a sentence.
fn doing(operation: &Operation) -> String {
    operation
        .waiting_on
        .as_ref()
        .map(|what| format!("; it was waiting for {what}"))
        .unwrap_or_default()
}

fn failed_create(problem: &Problem, config: &Object) -> Diagnostic {
    let mut diagnostic = report::problem(problem, config);
    append(&mut diagnostic, "Nothing of it is left; its logs are kept.");
    diagnostic
}

fn failed_update(ended: &Ended, problem: &Problem, config: &Object) -> Diagnostic {
    let mut diagnostic = report::problem(problem, config);
    let restored =
        matches!(ended, Ended::Final(operation) if operation.outcome == Outcome::RolledBack);
    append(
        &mut diagnostic,
        if restored {
            "The change is undone: the generation before it is in force."
        } else {
            "The change was not rolled back: the object is left as it failed."
        },
    );
    diagnostic
}

fn append(diagnostic: &mut Diagnostic, text: &str) {
    if !diagnostic.detail.is_empty() {
        diagnostic.detail.push_str("\n\n");
    }
    diagnostic.detail.push_str(text);
}

fn gone<N: Noun>(name: &Name) -> Diagnostic {
    Diagnostic::error(
        format!("The {} {name} is gone", N::KIND),
        "Someone removed it since the plan was made. Plan again.",
    )
}

fn outcome_warnings(ended: &Ended) -> &[Warning] {
    match ended {
        Ended::Final(operation) => &operation.warnings,
        _ => &[],
    }
}

/// Passes the daemon's remarks on, each once in a run: plan and apply bring the same ones.
pub fn remark(cx: &mut Cx, warnings: &[Warning], config: &Object) {
    let session = cx.client_if_known();
    for warning in warnings {
        let name = config.value("name").as_str().unwrap_or_default();
        let text = format!("{name}: {warning:?}");
        if session
            .as_ref()
            .is_none_or(|session| session.is_new_remark(&text))
        {
            cx.diagnostics.push(report::warning(warning, config));
        }
    }
}

fn remember(cx: &mut Cx, name: &Name, generation: Generation) {
    cx.private.set(NAME, name.as_str());
    cx.private.set(GENERATION, generation.0);
}

#[cfg(test)]
mod tests;
