# shellcheck shell=bash
# One Kafka broker: KRaft, one node, plaintext on loopback. Sourced by rig.
# Expects: die, launch, end, await_ready, DIR, HERE, RUNTIME_4_3 and the ports.

BROKER=$DIR/broker
readonly BROKER_READY_SECONDS=60

broker_java() { exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -cp "$RUNTIME_4_3/libs/*" "$@"; }

broker_properties() {
  cat <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$RIG_CONTROLLER_PORT
listeners=PLAINTEXT://127.0.0.1:$RIG_BROKER_PORT,CONTROLLER://127.0.0.1:$RIG_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$RIG_BROKER_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$BROKER/data

END
  broker_one_node_properties
}

# What does not depend on who may come in.
broker_one_node_properties() {
  cat <<END
# The walk-through relies on it: Debezium's topics are made by its first record.
auto.create.topics.enable=true
num.partitions=1

# One node holds every copy.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=5
transaction.state.log.num.partitions=5

# 3 s at the first join of every new group otherwise.
group.initial.rebalance.delay.ms=0
END
}

# A cluster id is 16 bytes in url-safe base64 without padding; it must not look like an option.
broker_cluster_id() { printf 'r%s\n' "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c2-22)"; }

broker_prepare() {
  [[ -d $RUNTIME_4_3/libs ]] || die "the broker's jars are missing; run: $HERE/fetch"
  mkdir -p "$BROKER"
  broker_properties >"$BROKER/server.properties"
  [[ -f $BROKER/data/meta.properties ]] && return 0
  rm -rf "$BROKER/data"
  (broker_java -Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC kafka.tools.StorageTool format \
    -t "$(broker_cluster_id)" -c "$BROKER/server.properties") >"$BROKER/format.log" 2>&1 ||
    die "the broker's storage could not be formatted: $(tail -n 5 "$BROKER/format.log")"
}

broker_launch() { broker_run "$BROKER"; }

# broker_run FOLDER: by the server.properties in it.
broker_run() {
  # Small and quick to start: C1 only, serial collector; 370 MB resident under the tests' load.
  launch "$1/process" "$1/log" "${JAVA_HOME:+$JAVA_HOME/bin/}java" \
    -Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    "-Dlog4j2.configurationFile=$HERE/parts/broker-log4j2.properties" \
    -cp "$RUNTIME_4_3/libs/*" kafka.Kafka "$1/server.properties"
}

broker_await() {
  await_ready broker "$BROKER/process" "$BROKER/log" "$BROKER_READY_SECONDS" \
    grep -q 'Kafka Server started' "$BROKER/log"
}

# A controlled shutdown of a lone node takes 1 to 2 s; with clients that hang on it can take its own 30 s.
broker_end() { end "$BROKER/process" TERM 35; }

broker_tool() { broker_tool_at "127.0.0.1:$RIG_BROKER_PORT" "$@"; }

# broker_tool_at BOOTSTRAP [--command-config FILE] TOOL [ARGUMENT…]: what a user of Kafka's own scripts would type, by
# the same names.
broker_tool_at() {
  local class login=()
  local -r bootstrap=$1
  shift
  if [[ ${1:-} == --command-config ]]; then
    login=(--command-config "$2")
    shift 2
  fi
  case ${1:-} in
    acls) class=org.apache.kafka.tools.AclCommand ;;
    configs) class=kafka.admin.ConfigCommand ;;
    topics) class=org.apache.kafka.tools.TopicCommand ;;
    console-consumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
    console-producer) class=org.apache.kafka.tools.ConsoleProducer ;;
    consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    *) die "unknown tool \`${1:-}\`; the tools are: acls configs topics console-consumer console-producer \
consumer-groups" ;;
  esac
  shift
  broker_java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.level=ERROR "$class" \
    --bootstrap-server "$bootstrap" "${login[@]}" "$@"
}
