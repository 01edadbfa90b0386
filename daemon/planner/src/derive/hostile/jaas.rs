//! Login modules in a JAAS configuration, read as Kafka reads it
//! (`org.apache.kafka.common.security.JaasConfig`, a `StreamTokenizer`).

use runnel_api::{ErrorCode, Problem};

/// Modules that only take a name and a password, or get a token from a handler of the plugin's.
const MODULES: [&str; 4] = [
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
    "org.apache.kafka.common.security.plain.PlainLoginModule",
    "org.apache.kafka.common.security.scram.ScramLoginModule",
    "software.amazon.msk.auth.iam.IAMLoginModule",
];

/// Modules that are known to be used in attacks, for the detail.
const JNDI: &str = "JndiLoginModule";
const LDAP: &str = "LdapLoginModule";

/// Refuses a configuration with a module that is not in the list, or one that this reader and
/// Kafka's might read differently. Values of options are never quoted.
pub(super) fn refusal(text: &str) -> Option<Problem> {
    let Some(modules) = modules(text) else {
        return Some(
            Problem::new(
                ErrorCode::InvalidArgument,
                "the JAAS configuration has a comment, an open quotation or a line break in one",
            )
            .detail("what is hidden in it could name another login module (CVE-2023-25194)")
            .hint("write `MODULE required KEY=\"VALUE\";` on one line"),
        );
    };
    let wrong = modules
        .iter()
        .find(|module| !MODULES.contains(&module.as_str()))?;
    let detail = if wrong.ends_with(JNDI) || wrong.ends_with(LDAP) {
        "it asks a server that the configuration names, and runs the object that comes back \
         (CVE-2023-25194, CVE-2025-27818)"
    } else {
        "a login module runs with the worker's rights and may read files or ask servers \
         (CVE-2023-25194, CVE-2025-27818)"
    };
    let problem = Problem::new(
        ErrorCode::InvalidArgument,
        format!(
            "the login module {} is not allowed",
            super::super::cut(wrong)
        ),
    )
    .detail(detail);
    Some(match runnel_api::nearest::nearest(wrong, MODULES) {
        Some(near) => problem.hint(format!("did you mean {near}?")),
        None => problem.hint(format!("allowed are {}", MODULES.join(", "))),
    })
}

/// The first word of each entry; none where a comment begins or a quotation does not end on its
/// line. Kafka's tokenizer takes every `/` outside of quotations for the beginning of a comment.
fn modules(text: &str) -> Option<Vec<String>> {
    let mut modules = Vec::new();
    let mut entry = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '/' => return None,
            '"' | '\'' => {
                skip_quotation(letter, &mut letters)?;
                // An entry never begins with a quotation; a placeholder keeps it from vanishing.
                entry.push(letter);
            }
            ';' => push(&mut modules, &std::mem::take(&mut entry)),
            letter => entry.push(letter),
        }
    }
    push(&mut modules, &entry);
    Some(modules)
}

fn skip_quotation(quote: char, letters: &mut std::str::Chars<'_>) -> Option<()> {
    loop {
        match letters.next()? {
            '\n' | '\r' => return None,
            '\\' => {
                letters.next().filter(|next| !matches!(next, '\n' | '\r'))?;
            }
            letter if letter == quote => return Some(()),
            _ => {}
        }
    }
}

fn push(modules: &mut Vec<String>, entry: &str) {
    // Kafka's tokenizer parts words at every character up to the space.
    let first = entry
        .split(|c: char| c <= ' ')
        .find(|word| !word.is_empty());
    modules.extend(first.map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_counts_and_quotations_hide_nothing() {
        let names = |text: &str| modules(text).map(|list| list.join(" "));
        assert_eq!(names("a.B required x=\"1; c.D required\";").unwrap(), "a.B");
        assert_eq!(names("a.B required;c.D required;").unwrap(), "a.B c.D");
        assert_eq!(names(" a.B\trequired x='\\'; y' ; ").unwrap(), "a.B");
        assert_eq!(names("\"a.B\" required;").unwrap(), "\"");
        for hidden in [
            "a.B required // \"\n; c.D required; // \"",
            "a.B /* x */ required;",
            "a.B required x=\"1\n; c.D required; y=\"2\";",
            "a.B required x=\"1",
            "a.B required x=\"1\\",
        ] {
            assert_eq!(names(hidden), None, "{hidden}");
        }
    }
}
