//! Whether two texts mean the same policy, for plans without noise.

use crate::policy::PolicyDocument;
use crate::trust::TrustPolicy;

/// True when both texts are the same policy: order of statements, elements and values, case of
/// actions and keys, a single value or a list of one, and white space do not matter.
///
/// Texts that are no policies are the same when they are the same JSON, else when they are the same
/// text: a policy that will be refused must not show as a change either.
pub fn equivalent(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    if let (Ok(a), Ok(b)) = (PolicyDocument::parse(a), PolicyDocument::parse(b)) {
        return a.version == b.version && a.id == b.id && same(a.statements, b.statements);
    }
    if let (Ok(a), Ok(b)) = (TrustPolicy::parse(a), TrustPolicy::parse(b)) {
        return a.version == b.version && a.id == b.id && same(a.statements, b.statements);
    }
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    json(a).zip(json(b)).is_some_and(|(a, b)| a == b)
}

fn same<T: Ord>(mut a: Vec<T>, mut b: Vec<T>) -> bool {
    a.sort();
    b.sort();
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["kafka-cluster:ReadData","kafka-cluster:Connect"],"Resource":"*"},
        {"Effect":"Deny","Action":"kafka-cluster:DeleteTopic","Resource":["*"]}]}"#;

    #[test]
    fn order_and_form_do_not_matter() {
        let other = r#"{"Statement":[
            {"Resource":"*","Action":["kafka-cluster:deletetopic"],"Effect":"Deny"},
            {"Action":["kafka-cluster:Connect","kafka-cluster:ReadData"],"Effect":"Allow",
             "Resource":["*"]}],"Version":"2012-10-17"}"#;
        assert!(equivalent(ONE, other));
        assert!(equivalent(other, ONE));
    }

    #[test]
    fn what_differs_in_meaning_is_not_the_same() {
        assert!(!equivalent(ONE, &ONE.replace("Deny", "Allow")));
        assert!(!equivalent(ONE, &ONE.replace("2012", "2008")));
        assert!(!equivalent(
            ONE,
            &ONE.replace("\"*\"", "\"arn:aws:kafka:*:*:topic/*\"")
        ));
        assert!(!equivalent(ONE, TrustPolicy::DEFAULT_JSON));
        assert!(!equivalent(ONE, ""));
    }

    #[test]
    fn refused_texts_are_compared_as_json() {
        assert!(equivalent(r#"{"a": 1, "b": 2}"#, r#"{"b":2,"a":1}"#));
        assert!(!equivalent(r#"{"a": 1}"#, r#"{"a": 2}"#));
        assert!(!equivalent("nonsense", "other nonsense"));
    }
}
