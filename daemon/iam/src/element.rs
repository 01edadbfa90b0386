//! How messages name a place in a policy, and how elements are read that take one value or a list.

use crate::json::Json;
use runnel_api::nearest::nearest;
use runnel_api::{ErrorCode, Problem};

/// The elements of one JSON object, in the order in which they stand.
type Entries<'a> = &'a [(String, Json)];

/// Where in the document we are: the document itself, or a statement by index and Sid.
#[derive(Clone, Debug)]
pub struct Place(String);

impl Place {
    /// The document as a whole.
    pub fn document() -> Self {
        Self(String::from("the policy"))
    }

    /// A statement; the index counts from 0, as in HCL.
    pub fn statement(index: usize, sid: Option<&str>) -> Self {
        Self(match sid {
            Some(sid) => format!("Statement[{index}] (Sid {sid:?})"),
            None => format!("Statement[{index}]"),
        })
    }

    /// The place as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A refusal that names place and element; `hint` may be empty.
    pub fn refuse(&self, element: &str, what: impl AsRef<str>, hint: impl Into<String>) -> Problem {
        let what = what.as_ref();
        let message = match element {
            "" => format!("{}: {what}", self.0),
            _ => format!("{}, {element}: {what}", self.0),
        };
        let hint = hint.into();
        let problem = Problem::new(ErrorCode::InvalidPolicy, message);
        if hint.is_empty() {
            problem
        } else {
            problem.hint(hint)
        }
    }

    /// A word that is not among those known.
    pub fn unknown<'a>(
        &self,
        element: &str,
        what: &str,
        word: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Problem {
        let guess = nearest(word, known.clone())
            .map(|near| format!("did you mean {near:?}? "))
            .unwrap_or_default();
        let problem = self.refuse(element, format!("unknown {what} {}", short(word)), "");
        problem.hint(format!("{guess}allowed are {}", listed(known)))
    }
}

/// Words as a list for a sentence.
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// A word in quotes, cut when it is long: input of any size must not fill a terminal.
pub fn short(word: &str) -> String {
    const MOST: usize = 200;
    if word.chars().count() <= MOST {
        return format!("{word:?}");
    }
    let start: String = word.chars().take(MOST).collect();
    format!("{start:?}…")
}

/// Refuses policy variables (`${aws:username}`): half an implementation of them would match other
/// things than IAM does.
pub fn check_no_variable(text: &str, element: &str, place: &Place) -> Result<(), Problem> {
    if text.contains("${") {
        let what = format!("policy variables are not supported, found {}", short(text));
        return Err(place.refuse(element, what, "write the value itself"));
    }
    Ok(())
}

/// Readers of JSON shapes that policies use.
pub struct Reader;

impl Reader {
    /// The entries of an object.
    pub fn object<'a>(
        json: &'a Json,
        element: &str,
        place: &Place,
    ) -> Result<Entries<'a>, Problem> {
        match json {
            Json::Object(entries) => Ok(entries),
            other => Err(Self::wrong("an object", other, element, place)),
        }
    }

    /// One string.
    pub fn text(json: &Json, element: &str, place: &Place) -> Result<String, Problem> {
        match json {
            Json::Text(text) => Ok(text.clone()),
            other => Err(Self::wrong("a string", other, element, place)),
        }
    }

    /// One string or a list of them, not empty.
    pub fn texts(json: &Json, element: &str, place: &Place) -> Result<Vec<String>, Problem> {
        let list = match json {
            Json::List(list) => list.as_slice(),
            single => std::slice::from_ref(single),
        };
        if list.is_empty() {
            return Err(place.refuse(element, "the list is empty", "name at least one value"));
        }
        let read = |item: &Json| match item {
            Json::Text(text) if text.is_empty() => {
                Err(place.refuse(element, "an empty string means nothing here", ""))
            }
            Json::Text(text) => Ok(text.clone()),
            other => Err(Self::wrong(
                "a string or a list of strings",
                other,
                element,
                place,
            )),
        };
        list.iter().map(read).collect()
    }

    /// Entries of an object whose keys are all among `allowed`.
    pub fn elements<'a>(
        json: &'a Json,
        allowed: &[&str],
        place: &Place,
    ) -> Result<Entries<'a>, Problem> {
        let entries = Self::object(json, "", place)?;
        let stranger = entries
            .iter()
            .find(|(key, _)| !allowed.contains(&key.as_str()));
        match stranger {
            Some((key, _)) => Err(place.unknown("", "element", key, allowed.iter().copied())),
            None => Ok(entries),
        }
    }

    fn wrong(expected: &str, found: &Json, element: &str, place: &Place) -> Problem {
        let what = format!("expected {expected}, found {}", found.kind());
        place.refuse(element, what, "")
    }
}

/// The value of an element, if it is there.
pub fn entry<'a>(entries: Entries<'a>, name: &str) -> Option<&'a Json> {
    entries
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}
