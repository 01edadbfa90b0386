//! `runnel token`: makes, lists and revokes tokens of the API.

use super::{Client, CommandError, parse_name, table};
use crate::logs::filter;
use runnel_api::token::{CreateToken, CreatedToken, EXPIRES_SECONDS_MAX, TokenInfo, TokenRole};
use runnel_api::{Name, Page};
use std::io::Write;

/// What to do with tokens. Each needs a token of the role admin, as the root token is.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Makes a token and prints it. It is printed this once; the daemon keeps a hash of it.
    Create {
        /// Its name, for lists and the audit log.
        #[arg(value_parser = parse_name)]
        name: Name,
        /// What it may do: viewer (read), planner (also plan), operator (also change objects) or
        /// admin (everything).
        #[arg(long, value_parser = parse_role)]
        role: TokenRole,
        /// How long it lives, such as 12h or 30d; without an end when this is left out.
        #[arg(long, value_name = "TIME", value_parser = parse_life)]
        expires: Option<u64>,
        /// Pattern of the ARNs of roles that its holder may give to connectors, with `*` and `?`;
        /// may be given several times. All roles without it.
        #[arg(long, value_name = "ARN_PATTERN")]
        pass_role: Vec<String>,
    },
    /// Lists all tokens; their texts are not known any more.
    List,
    /// Makes a token void at once.
    Revoke {
        /// The token.
        #[arg(value_parser = parse_name)]
        name: Name,
    },
}

fn parse_role(text: &str) -> Result<TokenRole, String> {
    TokenRole::parse(text).ok_or_else(|| {
        let all = TokenRole::ALL.map(TokenRole::as_str);
        format!("{text:?} is no role; write {}", all.join(", "))
    })
}

/// Seconds.
fn parse_life(text: &str) -> Result<u64, String> {
    match filter::duration(text).map(|life| life.as_secs()) {
        None => Err(format!("{text:?} is no time; write 12h or 30d")),
        Some(0) => Err("a token lives at least one second".to_owned()),
        Some(seconds) if seconds > EXPIRES_SECONDS_MAX => {
            Err("a token lives at most ten years; leave it out for one without an end".to_owned())
        }
        Some(seconds) => Ok(seconds),
    }
}

/// Runs one of the commands.
pub async fn run(
    client: &Client,
    command: TokenCommand,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let path = "/api/v1/tokens";
    match command {
        TokenCommand::Create {
            name,
            role,
            expires,
            pass_role,
        } => {
            let asked = CreateToken {
                name,
                role,
                expires_seconds: expires,
                pass_roles: pass_role,
            };
            let created: CreatedToken = client.post(path, &asked).await?;
            writeln!(out, "{}", created.token.expose())?;
        }
        TokenCommand::List => {
            let page: Page<TokenInfo> = client.get(path).await?;
            out.write_all(listed(&page.items).as_bytes())?;
        }
        TokenCommand::Revoke { name } => {
            let revoked: TokenInfo = client.delete(&format!("{path}/{name}")).await?;
            writeln!(out, "revoked {} ({})", revoked.name, revoked.prefix)?;
        }
    }
    Ok(())
}

fn listed(tokens: &[TokenInfo]) -> String {
    let head = ["NAME", "ROLE", "BEGINS", "EXPIRES", "LAST USED", "PASSES"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(tokens.iter().map(|token| {
        let passes = if token.pass_roles.is_empty() {
            "all roles".to_owned()
        } else {
            token.pass_roles.join(" ")
        };
        let when = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), table::time);
        [
            token.name.to_string(),
            token.role.to_string(),
            token.prefix.clone(),
            when(token.expires_ms),
            when(token.last_used_ms),
            passes,
        ]
    }));
    table::aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_who_may_do_what_and_until_when() {
        let token = |name: &str, pass_roles: &[&str]| TokenInfo {
            name: Name::parse(name).unwrap(),
            prefix: "rnl_0123".to_owned(),
            role: TokenRole::Operator,
            pass_roles: pass_roles.iter().map(|&it| it.to_owned()).collect(),
            created_ms: 0,
            expires_ms: pass_roles.first().map(|_| 1_763_845_261_999),
            last_used_ms: None,
        };
        assert_eq!(
            listed(&[token("ci", &[]), token("orders", &["arn:a", "arn:b"])]),
            "NAME    ROLE      BEGINS    EXPIRES               LAST USED  PASSES\n\
             ci      operator  rnl_0123  never                 never      all roles\n\
             orders  operator  rnl_0123  2025-11-22T21:01:01Z  never      arn:a arn:b\n"
        );
    }

    #[test]
    fn lives_and_roles_are_read_strictly() {
        assert_eq!(parse_life("30d"), Ok(30 * 24 * 3600));
        assert_eq!(parse_life("1h30m"), Ok(5400));
        for odd in ["", "30", "0s", "10ms", "4000d", "soon"] {
            assert!(parse_life(odd).is_err(), "{odd}");
        }
        assert_eq!(parse_role("planner"), Ok(TokenRole::Planner));
        assert!(parse_role("root").unwrap_err().contains("viewer"));
    }
}
