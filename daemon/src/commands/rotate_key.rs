//! `runnel rotate-key`.

use super::{Client, CommandError};
use runnel_api::server::SealingKeyRotation;
use std::io::Write;

/// Has every secret in the store sealed with another key.
pub async fn rotate_key(client: &Client, out: &mut impl Write) -> Result<(), CommandError> {
    let path = "/api/v1/sealing-key/rotate";
    let rotated: SealingKeyRotation = client.post(path, &serde_json::json!({})).await?;
    out.write_all(told(&rotated).as_bytes())?;
    Ok(())
}

fn told(rotated: &SealingKeyRotation) -> String {
    let count = |number: u64, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let mut text = format!(
        "{} and {} of connectors' users are sealed with another key\n",
        count(rotated.secrets, "secret"),
        count(rotated.passwords, "password"),
    );
    text.push_str(if rotated.old_key_removed {
        "sealing.key is new: backups of the store from before need the key from before, and the \
         next backup must have this one\n"
    } else {
        "warning: the new key is still in sealing.key.next beside the old one; the daemon's log says \
         why, and its next start moves it\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_sealed_and_what_backups_need() {
        let rotated = SealingKeyRotation {
            secrets: 1,
            generations: 4,
            passwords: 2,
            old_key_removed: true,
        };
        let text = told(&rotated);
        assert!(text.starts_with("1 secret and 2 passwords of"), "{text}");
        assert!(text.contains("backups"), "{text}");
        let left = SealingKeyRotation {
            old_key_removed: false,
            ..rotated
        };
        assert!(told(&left).contains("sealing.key.next"));
    }
}
