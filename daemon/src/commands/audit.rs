//! `runnel audit`: who changed what, and whether the log of it is whole.

use super::{Client, CommandError, parse_name, table};
use reqwest::Url;
use runnel_api::audit::{
    AUDIT_LIMIT_DEFAULT, AUDIT_LIMIT_MAX, Actor, AuditRecord, AuditVerdict, FieldChange,
};
use runnel_api::{ErrorCode, Name, Page, Problem};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write;

/// Characters of a value that are shown; `--json` has all of it.
const VALUE_SHOWN: usize = 80;

/// Which records are shown, and how.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AuditArgs {
    /// Records of this time back from now, such as 1h or 7d, or since a time (RFC 3339); the last
    /// hundred without it.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Records about the object or token of this name.
    #[arg(long, value_parser = parse_name)]
    pub name: Option<Name>,
    /// Records of what was done with the token of this name.
    #[arg(long, value_parser = parse_name)]
    pub token: Option<Name>,
    /// Prints one JSON object for each record.
    #[arg(long)]
    pub json: bool,
    /// Checks instead that no record was changed or removed.
    #[arg(long, conflicts_with_all = ["since", "name", "token"])]
    pub verify: bool,
}

/// Prints records, the newest first, or the verdict.
pub async fn print(
    client: &Client,
    args: &AuditArgs,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    if args.verify {
        return verify(client, args.json, out).await;
    }
    let limit = match args.since {
        Some(_) => AUDIT_LIMIT_MAX,
        None => AUDIT_LIMIT_DEFAULT,
    };
    let mut before: Option<String> = None;
    loop {
        let page: Page<AuditRecord> = client.get(&path(args, limit, before.as_deref())).await?;
        for record in &page.items {
            if args.json {
                let json = serde_json::to_string(record).map_err(std::io::Error::other)?;
                writeln!(out, "{json}")?;
            } else {
                out.write_all(shown(record).as_bytes())?;
            }
        }
        before = page.next;
        if before.is_none() || args.since.is_none() {
            return Ok(());
        }
    }
}

fn path(args: &AuditArgs, limit: usize, before: Option<&str>) -> String {
    let limit = limit.to_string();
    let asked = [
        ("limit", Some(limit.as_str())),
        ("since", args.since.as_deref()),
        ("name", args.name.as_ref().map(Name::as_str)),
        ("token", args.token.as_ref().map(Name::as_str)),
        ("before", before),
    ];
    let asked = asked
        .iter()
        .filter_map(|(key, value)| Some((key, (*value)?)));
    // Any base will do: only the encoding of the query is wanted.
    let query = Url::parse_with_params("http://x", asked);
    let query = query.ok().and_then(|url| url.query().map(str::to_owned));
    format!("/api/v1/audit?{}", query.unwrap_or_default())
}

async fn verify(client: &Client, json: bool, out: &mut impl Write) -> Result<(), CommandError> {
    let verdict: AuditVerdict = client.get("/api/v1/audit/verification").await?;
    if json {
        let json = serde_json::to_string(&verdict).map_err(std::io::Error::other)?;
        writeln!(out, "{json}")?;
    }
    let AuditVerdict {
        first,
        last,
        last_hash,
        fault,
    } = verdict;
    if let Some(fault) = fault {
        let message = "the audit log is not what the daemon wrote";
        return Err(Problem::new(ErrorCode::Internal, message)
            .detail(fault)
            .hint("the daemon's own log has number and hash of each record as it was written")
            .into());
    }
    if !json {
        if last < first {
            writeln!(out, "the audit log is whole: no records yet")?;
        } else {
            writeln!(out, "the audit log is whole: records {first} to {last}")?;
            writeln!(out, "hash of the last one: {last_hash}")?;
        }
    }
    Ok(())
}

/// One line, and one more for each change.
fn shown(record: &AuditRecord) -> String {
    let AuditRecord { number, entry, .. } = record;
    let actor = match &entry.actor {
        Actor::Stranger => "no token".to_owned(),
        Actor::Token { name, role, .. } => format!("{name} ({role})"),
        Actor::Daemon => "the daemon".to_owned(),
    };
    let mut text = format!("{number}  {}  {actor}", table::time(entry.at_ms));
    if let Some(peer) = &entry.peer {
        let _ = write!(text, "  {peer}");
    }
    let _ = write!(text, "  {}", printable(&entry.action));
    if let Some(status) = entry.status {
        let _ = write!(text, "  {status}");
    }
    if let Some(code) = entry.code {
        let _ = write!(text, " {code}");
    }
    text.push('\n');
    match (entry.generation_before, entry.generation_after) {
        (Some(before), Some(after)) if before != after => {
            let _ = writeln!(text, "    generation {before} → {after}");
        }
        (None, Some(after)) => {
            let _ = writeln!(text, "    generation {after}");
        }
        _ => {}
    }
    for change in &entry.changes {
        let FieldChange {
            field,
            before,
            after,
        } = change;
        let field = printable(field);
        let (before, after) = (value(before.as_ref()), value(after.as_ref()));
        let _ = writeln!(text, "    {field}: {before} → {after}");
    }
    if entry.changes_left_out > 0 {
        let left_out = entry.changes_left_out;
        let _ = writeln!(text, "    {left_out} more changes, too large to record");
    }
    if !entry.secret_keys.is_empty() {
        let keys = printable(&entry.secret_keys.join(", "));
        let _ = writeln!(text, "    secrets given: {keys}");
    }
    if let Some(detail) = &entry.detail {
        let _ = writeln!(text, "    {}", printable(detail));
    }
    text
}

fn value(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let mut shown: String = text.chars().take(VALUE_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    printable(&shown)
}

/// What others wrote must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnel_api::audit::AuditEntry;
    use runnel_api::object::Generation;
    use runnel_api::token::TokenRole;
    use serde_json::json;

    #[test]
    fn a_record_is_a_line_and_one_for_each_change() {
        let actor = Actor::Token {
            name: Name::parse("ci").unwrap(),
            prefix: "rnl_01".to_owned(),
            role: TokenRole::Operator,
        };
        let action = "PUT /api/v1/connectors/orders";
        let entry = AuditEntry {
            peer: Some("192.0.2.1".to_owned()),
            status: Some(200),
            generation_before: Some(Generation(1)),
            generation_after: Some(Generation(2)),
            changes: vec![FieldChange {
                field: "config[\"tasks.max\"]".to_owned(),
                before: Some(json!("1")),
                after: Some(json!("2".repeat(90))),
            }],
            changes_left_out: 1,
            secret_keys: vec!["database.password".to_owned()],
            ..AuditEntry::new(1_763_845_261_999, actor, action)
        };
        let mut record = AuditRecord {
            number: 7,
            entry,
            hash: String::new(),
        };
        let long = "2".repeat(79);
        assert_eq!(
            shown(&record),
            format!(
                "7  2025-11-22T21:01:01Z  ci (operator)  192.0.2.1  {action}  200\n    \
                 generation 1 → 2\n    \
                 config[\"tasks.max\"]: \"1\" → \"{long}…\n    \
                 1 more changes, too large to record\n    \
                 secrets given: database.password\n"
            )
        );
        record.entry = AuditEntry {
            status: Some(401),
            code: Some(ErrorCode::Unauthenticated),
            ..AuditEntry::new(0, Actor::Stranger, "PUT /\u{1b}[2J")
        };
        assert_eq!(
            shown(&record),
            "7  1970-01-01T00:00:00Z  no token  PUT /\u{fffd}[2J  401 UNAUTHENTICATED\n"
        );
    }

    #[test]
    fn what_people_type_survives_the_query() {
        let args = AuditArgs {
            since: Some("2026-11-22T17:40:00+01:00".to_owned()),
            ..AuditArgs::default()
        };
        assert_eq!(
            path(&args, 5, Some("9")),
            "/api/v1/audit?limit=5&since=2026-11-22T17%3A40%3A00%2B01%3A00&before=9"
        );
    }
}
