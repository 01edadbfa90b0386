//! Every answer that is no success is a [`Problem`] as JSON.

use crate::store::StoreError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use runnel_api::{ErrorCode, Problem};

/// The code of a refusal, beside the answer that holds it as text.
#[derive(Clone, Copy, Debug)]
pub struct Refused(pub ErrorCode);

/// A problem on its way out.
#[derive(Debug)]
pub struct ApiError {
    problem: Problem,
    /// Set where HTTP has a more exact status than the code's.
    status: Option<StatusCode>,
    /// Apart, because almost no answer has one and every handler's result would be larger for it.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl ApiError {
    /// What is told, without HTTP's part.
    pub fn into_problem(self) -> Problem {
        self.problem
    }

    /// With a status of its own.
    pub fn with_status(problem: Problem, status: StatusCode) -> Self {
        Self {
            problem,
            status: Some(status),
            header: None,
        }
    }

    /// With a header besides.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The body was not JSON by its header.
    pub fn content_type(found: Option<&str>, wanted: &str) -> Self {
        let found = found.unwrap_or("none");
        Self::with_status(
            Problem::new(ErrorCode::InvalidArgument, "the body has the wrong type")
                .detail(format!("content-type is {found}"))
                .hint(format!("send content-type: {wanted}")),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        )
    }

    /// The body did not come.
    pub fn body_too_slow() -> Self {
        Self::with_status(
            Problem::new(ErrorCode::TimedOut, "the body did not arrive in time"),
            StatusCode::REQUEST_TIMEOUT,
        )
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            status: None,
            header: None,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if !matches!(error, StoreError::Refused(_)) {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, source, "the store failed");
        }
        Self::from(error.problem())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status.unwrap_or_else(|| {
            StatusCode::from_u16(self.problem.code.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        });
        let code = self.problem.code;
        let mut response = (status, Json(self.problem)).into_response();
        response.extensions_mut().insert(Refused(code));
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 11.6.1 wants a challenge with each 401.
            response.headers_mut().insert(
                http::header::WWW_AUTHENTICATE,
                http::HeaderValue::from_static("Bearer"),
            );
        }
        response
    }
}
