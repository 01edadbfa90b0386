//! What kind of failure it is, and so whether it is tried again.
//!
//! A Java trace is read from its root outwards: the first exception that is known decides. Texts
//! are those of Kafka Connect 3.9 and 4.x, Debezium 1.6 and 3.x, MariaDB, MySQL and PostgreSQL.
//! What is not known is tried again, because stopping what would heal costs more than a retry.

use serde::{Deserialize, Serialize};

/// Why something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureKind {
    /// A value of the configuration, or what it names is not there.
    Configuration,
    /// A login, a grant or an ACL is refused.
    Authorization,
    /// A class or method is missing: plugin and runtime do not fit.
    Class,
    /// Something could not be reached.
    Network,
    /// The source or target system refuses for now.
    Source,
    /// The Kafka cluster refuses or does not answer for now.
    Kafka,
    /// Memory was not enough.
    OutOfMemory,
    /// The position that was recorded is not to be had any more.
    Position,
    /// One record cannot be read, converted or written.
    Record,
    /// None of the others.
    Unknown,
}

/// Whether a failure is tried again when nobody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only after a new generation or `runnel restart`: it would fail the same way.
    Never,
    /// Once in five minutes: grants and passwords are mended elsewhere, and some systems lock out
    /// who tries too often.
    Slow,
    /// Without end, with pauses that grow to five minutes.
    Capped,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Configuration,
        Self::Authorization,
        Self::Class,
        Self::Network,
        Self::Source,
        Self::Kafka,
        Self::OutOfMemory,
        Self::Position,
        Self::Record,
        Self::Unknown,
    ];

    /// Whether it is tried again.
    pub const fn retry(self) -> Retry {
        match self {
            Self::Configuration | Self::Class | Self::Position | Self::Record => Retry::Never,
            Self::Authorization => Retry::Slow,
            Self::Network | Self::Source | Self::Kafka | Self::OutOfMemory | Self::Unknown => {
                Retry::Capped
            }
        }
    }

    /// What a person can do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Configuration => {
                "change the configuration, or restart it when what it names is in order"
            }
            Self::Authorization => "mend the grant or the password, or restart it to try at once",
            Self::Class => "choose another plugin version or kafkaconnect_version",
            Self::Position => {
                "its recorded position is gone: decide on a new snapshot, for it may have missed changes"
            }
            Self::Record => {
                "mend the record, the converter or the size limit, or set errors.tolerance with a dead letter queue; then restart it"
            }
            Self::OutOfMemory => "give it a larger capacity",
            Self::Network | Self::Source | Self::Kafka | Self::Unknown => {
                "look at its log if it does not recover"
            }
        }
    }
}

/// Texts by which a kind is known, in the order in which kinds are asked: what must stop before
/// what is tried again, and the special before the general.
const SIGNS: [(FailureKind, &[&str]); 9] = [
    (
        FailureKind::Position,
        &[
            // Debezium, all databases with a binlog.
            "but this is no longer available on the server",
            "history topic is missing",
            "history topic or its content is fully or partially missing",
            // Error 1236 of MySQL and MariaDB, in their several words.
            "Could not find first log file name in binary log index file",
            "purged binary logs",
            "purged required binary logs",
            "required binlog files have been purged",
            "which is not in the master's binlog",
            // PostgreSQL.
            "can no longer get changes from replication slot",
            "cannot read from logical replication slot",
            "has already been removed",
            // MongoDB: the oplog has moved on.
            "resume point may no longer be in the oplog",
            // A sink's position has been deleted with its segment, and it is told not to jump.
            "OffsetOutOfRangeException",
            "NoOffsetForPartitionException",
        ],
    ),
    (
        FailureKind::OutOfMemory,
        &["OutOfMemoryError", "out of memory"],
    ),
    (
        FailureKind::Class,
        &[
            "NoClassDefFoundError",
            "ClassNotFoundException",
            "NoSuchMethodError",
            "NoSuchFieldError",
            "AbstractMethodError",
            "UnsupportedClassVersionError",
            "IncompatibleClassChangeError",
            "IllegalAccessError",
            "java.lang.VerifyError",
            "java.lang.LinkageError",
            "java.util.ServiceConfigurationError",
            "Failed to find any class that implements",
        ],
    ),
    (
        FailureKind::Authorization,
        &[
            // GroupAuthorizationException, TopicAuthorizationException and their kin.
            "AuthorizationException",
            "AuthenticationException",
            "Access denied",
            "command denied to user",
            "password authentication failed",
            "no password was provided",
            "no pg_hba.conf entry",
            "permission denied",
            "must be superuser or replication role",
            "must be owner of",
            "SQLSTATE: 28",
        ],
    ),
    (
        FailureKind::Record,
        &[
            "RecordTooLargeException",
            "RecordDeserializationException",
            "connect.errors.DataException",
            "connect.errors.SchemaBuilderException",
            "errors.SerializationException",
            "larger than the maximum request size",
        ],
    ),
    (
        FailureKind::Configuration,
        &[
            "connector configuration is not valid",
            "connector config is invalid",
            "configuration is invalid",
            "InvalidTopicException",
            "PolicyViolationException",
            "is not configured to use a ROW binlog_format",
            "binlog_row_image",
            "wal_level",
            "Unknown database",
        ],
    ),
    (
        FailureKind::Network,
        &[
            "UnknownHostException",
            "java.net.ConnectException",
            "java.net.SocketException",
            "java.net.SocketTimeoutException",
            "java.net.NoRouteToHostException",
            "java.nio.channels.",
            "java.io.EOFException",
            "Connection refused",
            "Connection reset",
            "Connection timed out",
            "Broken pipe",
            "Communications link failure",
            "CommunicationsException",
            "Could not connect",
            "Unable to connect",
            "Socket fail to connect",
            "Socket error",
            "The connection attempt failed",
            "Check that the hostname and port are correct",
            "I/O error occurred while sending to the backend",
            "SQLSTATE: 08",
            "SSLHandshakeException",
        ],
    ),
    (
        FailureKind::Kafka,
        &[
            "org.apache.kafka.common.errors.",
            "org.apache.kafka.common.KafkaException",
            "No resolvable bootstrap urls",
            "Failed to connect to and describe Kafka cluster",
        ],
    ),
    (
        FailureKind::Source,
        &[
            "java.sql.",
            "PSQLException",
            "com.mysql.cj.",
            "org.mariadb.jdbc.",
            "binlog.network.ServerException",
            "com.mongodb.",
            "errors.RetriableException",
        ],
    ),
];

/// `ConfigException` is asked last of all: Kafka's clients throw it for a host without an address
/// too, which is the network's.
const CONFIGURATION_LAST: &str = "ConfigException";

/// Decides the kind from the first lines of a trace's exceptions, the root first.
pub fn classify<'a>(heads: impl IntoIterator<Item = &'a str>) -> FailureKind {
    heads
        .into_iter()
        .find_map(kind_of_head)
        .unwrap_or(FailureKind::Unknown)
}

fn kind_of_head(head: &str) -> Option<FailureKind> {
    if head.contains("replication slot") {
        // A slot that another session holds comes free; one that is gone does not come back.
        if head.contains("is active for PID") {
            return Some(FailureKind::Source);
        }
        if head.contains("does not exist") {
            return Some(FailureKind::Position);
        }
    }
    let known = SIGNS
        .iter()
        .find(|(_, signs)| signs.iter().any(|sign| head.contains(sign)))
        .map(|(kind, _)| *kind);
    known.or_else(|| {
        head.contains(CONFIGURATION_LAST)
            .then_some(FailureKind::Configuration)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureKind::{
        Authorization, Class, Configuration, Kafka, Network, OutOfMemory, Position, Record, Source,
        Unknown,
    };

    /// Root lines as Connect and its worker logs give them.
    const ROOT_LINES: &[(FailureKind, &str)] = &[
        (
            Authorization,
            "java.sql.SQLException: Access denied for user 'u'@'localhost' (using password: YES)",
        ),
        (
            Authorization,
            "java.sql.SQLSyntaxErrorException: Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation",
        ),
        (
            Authorization,
            "java.sql.SQLSyntaxErrorException: SELECT command denied to user 'u'@'h' for table 't'",
        ),
        (
            Authorization,
            "org.apache.kafka.common.errors.GroupAuthorizationException: Not authorized to access group: shop-dbhistory",
        ),
        (
            Authorization,
            "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [shop.orders]",
        ),
        (
            Authorization,
            "org.apache.kafka.common.errors.SaslAuthenticationException: Authentication failed during authentication due to invalid credentials",
        ),
        (
            Authorization,
            "org.postgresql.util.PSQLException: FATAL: password authentication failed for user \"u\"",
        ),
        (
            Authorization,
            "org.postgresql.util.PSQLException: ERROR: permission denied for table orders",
        ),
        (
            Class,
            "java.lang.NoSuchMethodError: 'org.apache.kafka.clients.consumer.ConsumerRecords org.apache.kafka.clients.consumer.KafkaConsumer.poll(long)'",
        ),
        (Class, "java.lang.NoClassDefFoundError: io/debezium/X"),
        (Class, "java.lang.ClassNotFoundException: com.example.Smt"),
        (
            Class,
            "java.lang.UnsupportedClassVersionError: com/example/X has been compiled by a more recent version of the Java Runtime",
        ),
        (
            Configuration,
            "org.apache.kafka.common.config.ConfigException: Invalid value 0 for configuration tasks.max",
        ),
        (
            Configuration,
            "org.apache.kafka.connect.errors.ConnectException: The MySQL server is not configured to use a ROW binlog_format, which is required for this connector to work properly",
        ),
        (
            Configuration,
            "org.apache.kafka.common.errors.InvalidTopicException: Invalid topics: [a b]",
        ),
        (
            Kafka,
            "org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in bootstrap.servers",
        ),
        (
            Kafka,
            "org.apache.kafka.common.errors.TimeoutException: Topic t not present in metadata after 60000 ms.",
        ),
        (
            Kafka,
            "org.apache.kafka.connect.errors.ConnectException: Failed to connect to and describe Kafka cluster. Check worker's broker connection and security properties.",
        ),
        (Network, "java.net.ConnectException: Connection refused"),
        (Network, "java.net.UnknownHostException: db.internal"),
        (
            Network,
            "com.mysql.cj.exceptions.CJCommunicationsException: Communications link failure",
        ),
        (
            Network,
            "java.sql.SQLNonTransientConnectionException: Socket fail to connect to host:address=(host=127.0.0.1)(port=3306)(type=primary). Connection refused",
        ),
        (
            Network,
            "org.postgresql.util.PSQLException: Connection to 127.0.0.1:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.",
        ),
        (
            Network,
            "io.debezium.DebeziumException: Failed to read next byte from position 4 Error code: 0; SQLSTATE: 08S01.",
        ),
        (
            Network,
            "java.io.EOFException: Failed to read next byte from position 1073",
        ),
        (OutOfMemory, "java.lang.OutOfMemoryError: Java heap space"),
        (
            Position,
            "io.debezium.DebeziumException: The connector is trying to read binlog starting at SourceInfo [currentBinlogFilename=binlog.000001], but this is no longer available on the server. Reconfigure the connector to use a snapshot when needed.",
        ),
        (
            Position,
            "com.github.shyiko.mysql.binlog.network.ServerException: Could not find first log file name in binary log index file",
        ),
        (
            Position,
            "io.debezium.DebeziumException: The db history topic is missing. You may attempt to recover it by reconfiguring the connector to SCHEMA_ONLY_RECOVERY",
        ),
        (
            Position,
            "org.postgresql.util.PSQLException: ERROR: requested WAL segment 000000010000000000000001 has already been removed",
        ),
        (
            Position,
            "org.postgresql.util.PSQLException: ERROR: replication slot \"shop\" does not exist",
        ),
        (
            Source,
            "org.postgresql.util.PSQLException: ERROR: replication slot \"shop\" is active for PID 4711",
        ),
        (
            Source,
            "com.github.shyiko.mysql.binlog.network.ServerException: A slave with the same server_uuid/server_id as this slave has connected to the master",
        ),
        (
            Source,
            "java.sql.SQLException: Lock wait timeout exceeded; try restarting transaction",
        ),
        (
            Record,
            "org.apache.kafka.common.errors.RecordTooLargeException: The message is 2000074 bytes when serialized which is larger than 1048576",
        ),
        (
            Record,
            "org.apache.kafka.common.errors.SerializationException: Error deserializing Avro message for id -1",
        ),
        (
            Record,
            "org.apache.kafka.connect.errors.DataException: Failed to deserialize data for topic t to Avro",
        ),
        (
            Unknown,
            "org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer. This connector will be stopped.",
        ),
        (Unknown, "java.lang.NullPointerException"),
        (Unknown, ""),
    ];

    #[test]
    fn root_lines_tell_their_kind() {
        for (kind, line) in ROOT_LINES {
            assert_eq!(classify([*line]), *kind, "{line}");
        }
    }

    /// Whole traces, root first: an unknown root leaves the word to what wraps it.
    #[test]
    fn the_innermost_known_exception_decides() {
        let poison = [
            "com.fasterxml.jackson.core.JsonParseException: Unrecognized token 'hello'",
            "org.apache.kafka.connect.errors.DataException: Converting byte[] to Kafka Connect data failed due to serialization error of topic t: ",
            "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler",
        ];
        assert_eq!(classify(poison), Record);
        let registry_away = [
            "java.net.ConnectException: Connection refused",
            "org.apache.kafka.common.errors.SerializationException: Error retrieving Avro schema",
            "org.apache.kafka.connect.errors.DataException: Failed to serialize",
        ];
        assert_eq!(classify(registry_away), Network);
        let wrapped = [
            "boom",
            "org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception from producer send callback",
            "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized",
        ];
        assert_eq!(classify(wrapped), Authorization);
        assert_eq!(classify([]), Unknown);
    }

    #[test]
    fn what_would_fail_the_same_way_is_not_tried_again() {
        let never: Vec<FailureKind> = FailureKind::ALL
            .into_iter()
            .filter(|kind| kind.retry() == Retry::Never)
            .collect();
        assert_eq!(never, [Configuration, Class, Position, Record]);
        assert_eq!(Authorization.retry(), Retry::Slow);
        assert!(
            FailureKind::ALL
                .iter()
                .all(|kind| !kind.advice().is_empty())
        );
    }
}
