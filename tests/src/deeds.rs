//! What the daemon's log tells of its doing.

/// Whether a line of the daemon's log tells of something that was done. To ask is not to do: the
/// source is asked now and then whether it is still there.
pub fn is_deed(line: &str) -> bool {
    let Some((_, deeds)) = line.split_once(" -> ") else {
        return false;
    };
    let deeds = deeds.split(" connector=").next().unwrap_or_default();
    deeds.split("; ").any(|deed| !deed.starts_with("preflight"))
}
