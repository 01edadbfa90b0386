//! What a record of Kafka says, as far as the checker wants to know.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A record as Kafka gave it, fit to be kept in a file and read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawRecord {
    /// Topic.
    #[serde(with = "shared_text")]
    pub topic: Arc<str>,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// The record's timestamp, milliseconds since 1970; −1 when it has none.
    pub at: i64,
    /// Key, as text.
    pub key: Option<String>,
    /// Value, as text; none is a tombstone.
    pub value: Option<String>,
}

/// A text that many records share, in files.
mod shared_text {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }
}

/// One record, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// The record's timestamp, milliseconds since 1970; −1 when it has none.
    pub at: i64,
    /// The row that the record's key names.
    pub key: Option<RowKey>,
    /// What it says.
    pub body: Body,
}

/// A table whose rows are there from the beginning, are never deleted, and count their changes from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ledger {
    /// Accounts, `NAME_bank`.
    #[serde(rename = "b")]
    Bank,
    /// More accounts, `NAME_vault`: a transfer may go from one table to the other.
    #[serde(rename = "v")]
    Vault,
    /// Lists to which elements are appended, `NAME_list`.
    #[serde(rename = "l")]
    List,
}

impl Ledger {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bank, Self::Vault, Self::List];

    /// The last part of the table's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Vault => "vault",
            Self::List => "list",
        }
    }

    /// The one of this table or topic, by the end of its name.
    pub fn of(name: &str, table: &str) -> Option<Self> {
        let wanted = |it: &Self| {
            let rest = name.strip_suffix(it.suffix());
            rest.is_some_and(|it| it.strip_suffix('_').is_some_and(|it| it.ends_with(table)))
        };
        Self::ALL.into_iter().find(wanted)
    }
}

/// A row's primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey {
    /// A row of the register table.
    Register(i64),
    /// A row of the append table.
    Append {
        /// Who appended.
        writer: u32,
        /// Counts the writer's appends, from 1, without a gap.
        seq: u64,
    },
    /// A row of an account table or of the list table.
    Ledger(Ledger, i64),
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(id) => write!(f, "register {id}"),
            Self::Append { writer, seq } => write!(f, "append {seq} of writer {writer}"),
            Self::Ledger(Ledger::List, id) => write!(f, "list {id}"),
            Self::Ledger(ledger, id) => write!(f, "{} account {id}", ledger.suffix()),
        }
    }
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A row was made, changed, removed, or read by a snapshot.
    Change(Change),
    /// No value: the key is gone.
    Tombstone,
    /// A transaction ended (Debezium's topic of transaction metadata); how many events each captured table had.
    End {
        /// The transaction's id, as in [`Change::transaction`].
        id: String,
        /// Events by table, `database.table` or `schema.table`.
        tables: Vec<(String, u64)>,
    },
    /// A transaction began.
    Begin,
    /// Kafka's `VerifiableSourceConnector`: a number of a task's series.
    Count {
        /// The task, with the connector's name when the record tells it.
        source: String,
        /// The number; a series counts from 0.
        seqno: u64,
    },
    /// A record whose content means nothing here: a digest of key and value, to compare copies.
    Opaque(u64),
    /// A row of a table that was not to be read.
    Foreign(String),
    /// Nothing that can be understood, and why.
    Unreadable(String),
}

/// How a row came to be as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Inserted.
    Create,
    /// Updated.
    Update,
    /// Deleted.
    Delete,
    /// Read by a snapshot.
    Read,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub op: Op,
    /// The row before, when the source tells it.
    pub before: Option<Row>,
    /// The row after.
    pub after: Option<Row>,
    /// The transaction's id and the event's number in it (Debezium's `provide.transaction.metadata`).
    pub transaction: Option<(String, u64)>,
}

/// A row of one of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Primary key.
    pub key: RowKey,
    /// Counts the changes of the row, from 1, of a register through deletes; 0 in the append table.
    pub ver: u64,
    /// Who wrote it.
    pub writer: u32,
    /// The writer's attempt that wrote it.
    pub wseq: u64,
    /// See [`crate::payload`]; of an account its balance, of a list its elements.
    pub payload: String,
}

impl Row {
    /// What tells a row with all its columns from any other one: FNV-1a over their text, stirred.
    pub fn digest(&self) -> u64 {
        let (key, ver, writer, wseq) = (self.key, self.ver, self.writer, self.wseq);
        let text = format!("{key}|{ver}|{writer}|{wseq}|{}", self.payload);
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        crate::dice::scramble(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }

    /// Whether the payload is the one that belongs here. What a list holds is known by the list before it alone.
    pub fn is_sound(&self) -> bool {
        let place = match self.key {
            RowKey::Register(id) => crate::payload::Place::Register(id),
            RowKey::Append { .. } => crate::payload::Place::Append,
            RowKey::Ledger(Ledger::List, _) => return !self.payload.is_empty(),
            RowKey::Ledger(..) => return self.payload.parse::<i64>().is_ok(),
        };
        crate::payload::is_payload(&self.payload, self.writer, self.wseq, place)
    }
}

impl Event {
    /// Where it stands, for people.
    pub fn place(&self) -> String {
        format!("{}-{}@{}", self.topic, self.partition, self.offset)
    }
}
