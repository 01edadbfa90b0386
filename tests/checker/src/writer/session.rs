//! One connection to MariaDB, MySQL or PostgreSQL, behind the few calls that the writers need.

use mysql_async::prelude::Queryable as _;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;
use tokio_postgres::types::{ToSql, Type};

/// The longest a statement may take before the connection counts as lost. A lock in a database that is being stopped
/// and continued is waited for, so it is above the rig's pauses.
const STATEMENT_LIMIT: Duration = Duration::from_secs(20);
/// The longest wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Db {
    /// MariaDB or MySQL.
    Mariadb,
    /// PostgreSQL.
    Postgres,
}

/// A password; printed as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a statement did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database refused it, and the connection lives: a deadlock, a violated constraint.
    #[error("the database refused: {0}")]
    Refused(String),
    /// No connection, or none any more; what became of a COMMIT is not known.
    #[error("the connection to the database is lost: {0}")]
    Lost(String),
    /// The address is not one.
    #[error("not an address of a database: {0}")]
    Address(String),
}

/// A value of a statement.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Int(i64),
    Text(String),
}

/// Rows of whole numbers, which is all that is asked for.
pub(super) type Rows = Vec<Vec<Option<i64>>>;

/// An open connection.
pub(super) enum Session {
    Mariadb(Box<mysql_async::Conn>),
    Postgres {
        client: Box<tokio_postgres::Client>,
        statements: HashMap<String, tokio_postgres::Statement>,
    },
}

impl Session {
    /// Connects, within the limit.
    pub(super) async fn open(
        db: Db,
        url: &str,
        password: Option<&Password>,
    ) -> Result<Self, SessionError> {
        let open = async {
            match db {
                Db::Mariadb => open_mariadb(url, password).await,
                Db::Postgres => open_postgres(url, password).await,
            }
        };
        within(CONNECT_LIMIT, open).await
    }

    /// Runs a statement with `?` for its values.
    pub(super) async fn run(&mut self, sql: &str, values: &[Value]) -> Result<Rows, SessionError> {
        within(STATEMENT_LIMIT, async {
            match self {
                Self::Mariadb(conn) => run_mariadb(conn, sql, values).await,
                Self::Postgres { client, statements } => {
                    run_postgres(client, statements, sql, values).await
                }
            }
        })
        .await
    }

    /// Rows as text, of a statement without values.
    pub(super) async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<String>>, SessionError> {
        within(STATEMENT_LIMIT, async {
            match self {
                Self::Mariadb(conn) => texts_of_mariadb(conn, sql).await,
                Self::Postgres { client, .. } => {
                    let messages = client.simple_query(sql).await;
                    let messages = messages.map_err(|it| of_postgres(&it))?;
                    let rows = messages.iter().filter_map(|it| match it {
                        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                        _ => None,
                    });
                    let cell = |row: &tokio_postgres::SimpleQueryRow, at| {
                        row.get(at).unwrap_or_default().to_owned()
                    };
                    Ok(rows
                        .map(|row| (0..row.len()).map(|at| cell(row, at)).collect())
                        .collect())
                }
            }
        })
        .await
    }

    /// Runs a statement that cannot be prepared.
    pub(super) async fn plain(&mut self, sql: &str) -> Result<(), SessionError> {
        within(STATEMENT_LIMIT, async {
            match self {
                Self::Mariadb(conn) => conn.query_drop(sql).await.map_err(of_mariadb),
                Self::Postgres { client, .. } => client
                    .batch_execute(sql)
                    .await
                    .map_err(|it| of_postgres(&it)),
            }
        })
        .await
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, SessionError> {
    let timed_out = |_| SessionError::Lost(format!("no answer within {limit:?}"));
    tokio::time::timeout(limit, work).await.map_err(timed_out)?
}

async fn open_mariadb(url: &str, password: Option<&Password>) -> Result<Session, SessionError> {
    let address = |error: mysql_async::UrlError| SessionError::Address(error.to_string());
    let opts = mysql_async::Opts::from_url(url).map_err(address)?;
    // Settings of the server need no statement of ours before each connection; a socket file would not outlive it.
    let mut opts = mysql_async::OptsBuilder::from_opts(opts)
        .prefer_socket(false)
        .tcp_nodelay(true);
    if let Some(Password(password)) = password {
        opts = opts.pass(Some(password));
    }
    let mut conn = mysql_async::Conn::new(opts).await.map_err(of_mariadb)?;
    conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await
        .map_err(of_mariadb)?;
    Ok(Session::Mariadb(Box::new(conn)))
}

async fn open_postgres(url: &str, password: Option<&Password>) -> Result<Session, SessionError> {
    let address = |error: tokio_postgres::Error| SessionError::Address(chain(&error));
    let mut config = tokio_postgres::Config::from_str(url).map_err(address)?;
    if let Some(Password(password)) = password {
        config.password(password);
    }
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .map_err(|it| of_postgres(&it))?;
    // Ends when the client is dropped or the connection is lost; the client's calls tell the error.
    tokio::spawn(connection);
    Ok(Session::Postgres {
        client: Box::new(client),
        statements: HashMap::new(),
    })
}

async fn texts_of_mariadb(
    conn: &mut mysql_async::Conn,
    sql: &str,
) -> Result<Vec<Vec<String>>, SessionError> {
    let rows: Vec<mysql_async::Row> = conn.query(sql).await.map_err(of_mariadb)?;
    let cell = |value: mysql_async::Value| match value {
        mysql_async::Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        mysql_async::Value::NULL => String::new(),
        other => other.as_sql(true),
    };
    let texts = |row: mysql_async::Row| row.unwrap().into_iter().map(cell).collect();
    Ok(rows.into_iter().map(texts).collect())
}

async fn run_mariadb(
    conn: &mut mysql_async::Conn,
    sql: &str,
    values: &[Value],
) -> Result<Rows, SessionError> {
    let values = values.iter().map(|value| match value {
        Value::Int(int) => mysql_async::Value::Int(*int),
        Value::Text(text) => mysql_async::Value::Bytes(text.clone().into_bytes()),
    });
    let params = mysql_async::Params::Positional(values.collect());
    let rows: Vec<mysql_async::Row> = conn.exec(sql, params).await.map_err(of_mariadb)?;
    let ints = |row: mysql_async::Row| {
        let ints = row.unwrap().into_iter().map(|value| match value {
            mysql_async::Value::Int(int) => Some(int),
            mysql_async::Value::UInt(int) => i64::try_from(int).ok(),
            _ => None,
        });
        ints.collect()
    };
    Ok(rows.into_iter().map(ints).collect())
}

async fn run_postgres(
    client: &tokio_postgres::Client,
    statements: &mut HashMap<String, tokio_postgres::Statement>,
    sql: &str,
    values: &[Value],
) -> Result<Rows, SessionError> {
    let failed = |error: tokio_postgres::Error| of_postgres(&error);
    let statement = if let Some(known) = statements.get(sql) {
        known.clone()
    } else {
        let types: Vec<Type> = values
            .iter()
            .map(|value| match value {
                Value::Int(_) => Type::INT8,
                Value::Text(_) => Type::TEXT,
            })
            .collect();
        let prepared = client.prepare_typed(&numbered(sql), &types).await;
        let prepared = prepared.map_err(failed)?;
        statements.insert(sql.to_owned(), prepared.clone());
        prepared
    };
    let values: Vec<&(dyn ToSql + Sync)> = values
        .iter()
        .map(|value| match value {
            Value::Int(int) => int as &(dyn ToSql + Sync),
            Value::Text(text) => text,
        })
        .collect();
    let rows = client.query(&statement, &values).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            (0..row.len())
                .map(|at| row.try_get::<_, Option<i64>>(at).map_err(failed))
                .collect()
        })
        .collect()
}

/// `?` as PostgreSQL writes it: `$1`, `$2`, …
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (number, part) in (1..).zip(parts) {
        text = format!("{text}${number}{part}");
    }
    text
}

fn of_mariadb(error: mysql_async::Error) -> SessionError {
    let text = chain(&error);
    match error {
        // 1053 shutdown, 1152, 1158–1161 network, 1927 connection killed: the server says good-bye.
        mysql_async::Error::Server(server)
            if !matches!(server.code, 1053 | 1152 | 1158..=1161 | 1927) =>
        {
            SessionError::Refused(text)
        }
        _ => SessionError::Lost(text),
    }
}

fn of_postgres(error: &tokio_postgres::Error) -> SessionError {
    let text = chain(error);
    match error.code() {
        // Class 57P: the server shuts down or has crashed; class 08: the connection.
        Some(code) if !code.code().starts_with("57P") && !code.code().starts_with("08") => {
            SessionError::Refused(text)
        }
        _ => SessionError::Lost(text),
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_for_postgresql() {
        assert_eq!(numbered("a = ? AND b = ?"), "a = $1 AND b = $2");
        assert_eq!(numbered("COMMIT"), "COMMIT");
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", Password::new("secret")), "***");
    }
}
