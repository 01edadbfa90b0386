//! What comes in: names, preconditions, queries and JSON bodies, each refused in the same words.

use super::Limits;
use super::error::ApiError;
use crate::store::Precondition;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use http::{HeaderMap, Uri, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use runnel_api::object::{Generation, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};
use runnel_api::{ErrorCode, Name, Problem};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use std::fmt::Write as _;

/// The `{name}` of a path.
#[derive(Debug)]
pub struct ObjectName(pub Name);

impl<S: Send + Sync> FromRequestParts<S> for ObjectName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| unreadable_path())?;
        name(&text).map(Self)
    }
}

/// The path does not decode.
pub fn unreadable_path() -> ApiError {
    ApiError::from(Problem::new(
        ErrorCode::InvalidArgument,
        "the path is not percent-encoded UTF-8",
    ))
}

/// Parses a name of an object.
pub fn name(text: &str) -> Result<Name, ApiError> {
    Name::parse(text).map_err(|error| {
        ApiError::from(Problem::new(ErrorCode::InvalidArgument, error.to_string()).field("name"))
    })
}

/// Reads the query of a URI.
pub fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    Query::<T>::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|rejection| {
            ApiError::from(
                Problem::new(
                    ErrorCode::InvalidArgument,
                    "the query of the request is wrong",
                )
                .detail(rejection.body_text()),
            )
        })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    limit: Option<usize>,
    after: Option<String>,
}

/// `limit` and `after` of a list.
pub fn page(uri: &Uri) -> Result<(usize, Option<Name>), ApiError> {
    let PageQuery { limit, after } = query(uri)?;
    let limit = limit.unwrap_or(PAGE_LIMIT_DEFAULT);
    if !(1..=PAGE_LIMIT_MAX).contains(&limit) {
        let message = format!("limit is 1 to {PAGE_LIMIT_MAX}, not {limit}");
        return Err(Problem::new(ErrorCode::InvalidArgument, message).into());
    }
    let after = after.map(|text| name(&text)).transpose()?;
    Ok((limit, after))
}

/// `If-Match` and `If-None-Match`.
pub fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let refused = |message: &str| {
        ApiError::from(Problem::new(ErrorCode::InvalidArgument, message).hint(
            "send If-None-Match: * for a new object, If-Match: GENERATION for a change, or neither",
        ))
    };
    match (
        headers.get(header::IF_MATCH),
        headers.get(header::IF_NONE_MATCH),
    ) {
        (None, None) => Ok(Precondition::None),
        (Some(_), Some(_)) => Err(refused("If-Match and If-None-Match exclude each other")),
        (None, Some(value)) if value.as_bytes() == b"*" => Ok(Precondition::Absent),
        (None, Some(_)) => Err(refused("If-None-Match takes nothing but *")),
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default().trim_matches('"');
            let number = text.parse().map_err(|_| {
                refused("If-Match takes the generation, a number, and nothing else")
            })?;
            Ok(Precondition::Generation(Generation(number)))
        }
    }
}

/// Reads a JSON body within its limits. Errors name the field.
pub async fn json<T: DeserializeOwned>(
    limits: &Limits,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    let found = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = found.and_then(|found| found.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Err(ApiError::content_type(found, "application/json"));
    }
    let collected = Limited::new(body, limits.json_max).collect();
    let bytes = match tokio::time::timeout(limits.body_timeout, collected).await {
        Err(_) => return Err(ApiError::body_too_slow()),
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {} bytes", limits.json_max);
            return Err(Problem::new(ErrorCode::TooLarge, message).into());
        }
        Ok(Err(_)) => {
            let message = "the body ended before it was complete";
            return Err(Problem::new(ErrorCode::InvalidArgument, message).into());
        }
    };
    parse_json(&bytes)
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (field, is_secret) = field_of(error.path());
        let inner = error.inner();
        let message = if is_secret {
            // The parser's own words would quote the value.
            "a secret is not a text".to_owned()
        } else if inner.is_data() {
            without_position(&inner.to_string())
        } else {
            format!("the body is not valid JSON: {inner}")
        };
        let problem = Problem::new(ErrorCode::InvalidArgument, message);
        match field {
            Some(field) => problem.field(field),
            None => problem,
        }
    })?;
    deserializer.end().map_err(|error| {
        let message = format!("the body is not valid JSON: {error}");
        Problem::new(ErrorCode::InvalidArgument, message)
    })?;
    Ok(value)
}

/// Line and column say nothing to somebody who wrote HCL; the field does.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message.to_owned(),
    }
}

/// Maps whose keys are data, not attributes.
const MAPS: [&str; 7] = [
    "config",
    "properties",
    "policies",
    "kafka_clusters",
    "plugins",
    "worker_configurations",
    "roles",
];

/// The place as it is written in HCL, without the envelope; and whether it is inside `secrets`.
fn field_of(path: &serde_path_to_error::Path) -> (Option<String>, bool) {
    let mut field = String::new();
    let mut parent = "";
    let mut is_secret = false;
    for (depth, segment) in path.iter().enumerate() {
        match segment {
            Segment::Map { key } if depth == 0 && key == "spec" => {}
            Segment::Map { key } if depth == 0 && key == "secrets" => {
                is_secret = true;
                field.push_str("config_wo");
            }
            Segment::Map { key } if MAPS.contains(&parent) || (is_secret && depth == 1) => {
                let _ = write!(field, "[{key:?}]");
                parent = "";
                continue;
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !field.is_empty() {
                    field.push('.');
                }
                field.push_str(key);
            }
            Segment::Seq { index } => {
                let _ = write!(field, "[{index}]");
            }
            Segment::Unknown => {}
        }
        parent = match segment {
            Segment::Map { key } => key,
            _ => "",
        };
    }
    ((!field.is_empty()).then_some(field), is_secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;
    use runnel_api::Put;
    use runnel_api::connector::ConnectorSpec;

    async fn problem(body: &str) -> Problem {
        let error = parse_json::<Put<ConnectorSpec>>(body.as_bytes()).unwrap_err();
        let body = error.into_response().into_body();
        let bytes = body.collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn fields_are_written_as_in_hcl() {
        for (body, field) in [
            (
                r#"{"spec":{"config":{"tasks.max":1}}}"#,
                r#"config["tasks.max"]"#,
            ),
            (r#"{"spec":{"plugins":["x"]}}"#, "plugins[0]"),
            (r#"{"spec":{"kafka_cluster":"a/b"}}"#, "kafka_cluster"),
            (
                r#"{"spec":{"capacity":{"provisioned":{"mcu_count":"x"}}}}"#,
                "capacity.provisioned.mcu_count",
            ),
            (r#"{"spec":{"descripton":"x"}}"#, "descripton"),
        ] {
            let problem = problem(body).await;
            assert_eq!(problem.field.as_deref(), Some(field), "{problem:?}");
            assert_eq!(problem.code, ErrorCode::InvalidArgument);
            assert!(!problem.message.contains(" line "), "{problem:?}");
        }
    }

    #[tokio::test]
    async fn a_secret_of_the_wrong_type_is_not_quoted() {
        let problem = problem(r#"{"secrets":{"database.password":12345678}}"#).await;
        assert_eq!(
            problem.field.as_deref(),
            Some(r#"config_wo["database.password"]"#)
        );
        assert!(!format!("{problem:?}").contains("12345678"));
    }

    #[tokio::test]
    async fn what_is_no_json_is_said_with_its_place() {
        for body in ["", "{", "{\"spec\":", "[1,2", "{} {}", "\u{feff}{}"] {
            let problem = problem(body).await;
            assert_eq!(problem.code, ErrorCode::InvalidArgument, "{body:?}");
        }
    }

    #[test]
    fn preconditions_are_read_strictly() {
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            precondition(&headers).ok()
        };
        assert_eq!(read("if-none-match", "*"), Some(Precondition::Absent));
        let third = Some(Precondition::Generation(Generation(3)));
        assert_eq!(read("if-match", "3"), third);
        assert_eq!(read("if-match", "\"3\""), third);
        assert_eq!(read("if-match", "*"), None);
        assert_eq!(read("if-none-match", "3"), None);
        assert_eq!(read("accept", "*"), Some(Precondition::None));
    }
}
