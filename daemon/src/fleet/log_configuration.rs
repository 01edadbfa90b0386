//! A worker's log configuration: everything to standard output, one line format on every release, read by the shim.

/// Loggers that print whole configurations at INFO. Kafka hides only what a class types as PASSWORD, and most
/// secrets of connectors are not so typed; what a connector runs with is in the API.
const CONFIGURATION_LOGGERS: &[&str] = &[
    "org.apache.kafka.clients.admin.AdminClientConfig",
    "org.apache.kafka.clients.consumer.ConsumerConfig",
    "org.apache.kafka.clients.producer.ProducerConfig",
    "org.apache.kafka.connect.runtime.ConnectorConfig",
    "org.apache.kafka.connect.runtime.SinkConnectorConfig",
    "org.apache.kafka.connect.runtime.SourceConnectorConfig",
    "org.apache.kafka.connect.runtime.TaskConfig",
    "org.apache.kafka.connect.runtime.distributed.DistributedConfig",
    "org.apache.kafka.connect.runtime.rest.RestServerConfig",
];

/// Its inner classes (`EnrichedConnectorConfig`) have a `$`, which both log systems take as a name of its own.
const ENRICHED_LOGGERS: &[&str] = &[
    "org.apache.kafka.connect.runtime.ConnectorConfig$EnrichedConnectorConfig",
    "org.apache.kafka.connect.runtime.SourceConnectorConfig$EnrichedSourceConnectorConfig",
];

fn quiet_loggers() -> impl Iterator<Item = &'static str> {
    CONFIGURATION_LOGGERS
        .iter()
        .chain(ENRICHED_LOGGERS)
        .copied()
}

/// Log4j 2, for 4.x.
pub fn log4j2_yaml() -> String {
    let mut text = String::from(
        r#"Configuration:
  status: WARN
  Appenders:
    Console:
      name: out
      target: SYSTEM_OUT
      PatternLayout:
        pattern: "[%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}{UTC}] %p %X{connector.context}%m (%c)%n"
  Loggers:
    Root:
      level: INFO
      AppenderRef:
        ref: out
    Logger:
"#,
    );
    for logger in quiet_loggers() {
        text.push_str("      - name: \"");
        text.push_str(logger);
        text.push_str("\"\n        level: WARN\n");
    }
    text
}

/// Reload4j, for 3.9. The time zone is the environment's: UTC.
pub fn log4j_properties() -> String {
    let mut text = String::from(
        r"log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.target=System.out
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}] %p %X{connector.context}%m (%c)%n
",
    );
    for logger in quiet_loggers() {
        text.push_str("log4j.logger.");
        text.push_str(logger);
        text.push_str("=WARN\n");
    }
    text
}
