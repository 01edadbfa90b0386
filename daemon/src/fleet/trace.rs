//! The one line of a Java stack trace that says what went wrong.

/// The root cause of a trace: its last `Caused by:` line without these words, else its first line.
///
/// Causes of suppressed exceptions are indented and do not count.
pub fn trace_root_line(trace: &str) -> String {
    trace
        .lines()
        .filter_map(|line| line.strip_prefix("Caused by: "))
        .next_back()
        .or_else(|| trace.lines().find(|line| !line.trim().is_empty()))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Heads that are kept of one trace.
const HEADS_MAX: usize = 16;
/// Characters that are kept of one head; what classifies an exception stands at its beginning.
const HEAD_LIMIT: usize = 500;

/// The first lines of a trace's exceptions, the root first; those of suppressed ones do not count.
pub fn trace_heads(trace: &str) -> Vec<String> {
    let outermost = trace.lines().find(|line| !line.trim().is_empty());
    let causes = trace
        .lines()
        .filter_map(|line| line.strip_prefix("Caused by: "));
    let mut heads: Vec<String> = outermost
        .into_iter()
        .chain(causes)
        .map(|head| head.trim()[..head.trim().floor_char_boundary(HEAD_LIMIT)].to_owned())
        .collect();
    heads.reverse();
    heads.truncate(HEADS_MAX);
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cause_is_the_root() {
        let trace = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
            \tat org.apache.kafka.connect.runtime.errors.RetryWithToleranceOperator.execAndHandleError(RetryWithToleranceOperator.java:230)\n\
            Caused by: org.apache.kafka.connect.errors.DataException: Converting byte[] to Kafka Connect data failed due to serialization error of topic t: \n\
            \tat org.apache.kafka.connect.json.JsonConverter.toConnectData(JsonConverter.java:333)\n\
            \t... 13 more\n\
            Caused by: com.fasterxml.jackson.core.JsonParseException: Unrecognized token 'hello'\n\
            \x20at [Source: (byte[])\"hello\"; line: 1, column: 6]\n\
            \tat com.fasterxml.jackson.core.JsonParser._constructError(JsonParser.java:2477)\n\
            \tSuppressed: java.lang.RuntimeException: close\n\
            \tCaused by: java.io.IOException: not this one\n";
        assert_eq!(
            trace_root_line(trace),
            "com.fasterxml.jackson.core.JsonParseException: Unrecognized token 'hello'"
        );
        let heads = trace_heads(trace);
        assert_eq!(heads.len(), 3);
        assert_eq!(heads[0], trace_root_line(trace));
        assert!(heads[2].contains("Tolerance exceeded"));
        assert!(trace_heads(" \n").is_empty());
    }

    #[test]
    fn without_a_cause_the_first_line_is_the_root() {
        let trace = "java.lang.NoSuchMethodError: 'org.apache.kafka.clients.consumer.ConsumerRecords \
            org.apache.kafka.clients.consumer.KafkaConsumer.poll(long)'\n\tat io.debezium.X.recover(X.java:1)\r\n";
        assert!(trace_root_line(trace).starts_with("java.lang.NoSuchMethodError: "));
        assert_eq!(trace_root_line("\n one \n"), "one");
        assert_eq!(trace_root_line(""), "");
    }
}
