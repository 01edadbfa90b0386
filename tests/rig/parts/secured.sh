# shellcheck shell=bash
# One Kafka broker that lets nobody in unasked: SASL_SSL with SCRAM, TLS with client certificates, ACLs. Sourced by rig.
# Expects: what broker.sh expects, broker.sh itself, tls.sh and the ports.

SECURED=$DIR/secured
readonly SECURED_READY_SECONDS=60
readonly SECURED_ADMIN=admin

# SCRAM for the connectors and for the broker itself, certificates for those who prefer them. The controller speaks
# in plain on loopback, as ANONYMOUS: that name reaches no other listener.
secured_properties() {
  local -r listeners=SASL_SSL://127.0.0.1:$RIG_SECURED_PORT,MTLS://127.0.0.1:$RIG_SECURED_MTLS_PORT
  local -r scram=org.apache.kafka.common.security.scram.ScramLoginModule
  cat <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$RIG_SECURED_CONTROLLER_PORT
listeners=$listeners,CONTROLLER://127.0.0.1:$RIG_SECURED_CONTROLLER_PORT
advertised.listeners=$listeners
listener.security.protocol.map=SASL_SSL:SASL_SSL,MTLS:SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=SASL_SSL
log.dirs=$SECURED/data

sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$scram required \
  username="$SECURED_ADMIN" password="$(<"$SECURED/admin-password")";

ssl.keystore.type=PEM
ssl.keystore.location=$TLS/broker-store.pem
ssl.truststore.type=PEM
ssl.truststore.location=$TLS/ca.pem
listener.name.mtls.ssl.client.auth=required
# CN=NAME is User:NAME.
ssl.principal.mapping.rules=RULE:^CN=([A-Za-z0-9._-]+)\$/\$1/,DEFAULT

authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:$SECURED_ADMIN;User:ANONYMOUS

END
  broker_one_node_properties
}

# How the admin's tools log in.
secured_admin_properties() {
  cat <<END
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
  username="$SECURED_ADMIN" password="$(<"$SECURED/admin-password")";
ssl.truststore.type=PEM
ssl.truststore.location=$TLS/ca.pem
END
}

# How one with a client certificate comes in.
secured_certificate_properties() {
  cat <<END
security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=$TLS/client-store.pem
ssl.truststore.type=PEM
ssl.truststore.location=$TLS/ca.pem
END
}

secured_prepare() {
  [[ -d $RUNTIME_4_3/libs ]] || die "the broker's jars are missing; run: $HERE/fetch"
  mkdir -p "$SECURED"
  tls_prepare
  # Everything with the password in it is its owner's alone.
  (
    umask 077
    [[ -s $SECURED/admin-password ]] || secured_password >"$SECURED/admin-password"
    secured_properties >"$SECURED/server.properties"
    secured_admin_properties >"$SECURED/admin.properties"
    secured_certificate_properties >"$SECURED/certificate.properties"
  )
  [[ -f $SECURED/data/meta.properties ]] && return 0
  rm -rf "$SECURED/data"
  secured_format
}

# 32 letters, digits, `-` and `_`: nothing that one of the many readers of a password would take for syntax.
secured_password() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }

# The first user is made with the storage; its password reaches the tool by a file (one argument a line), because
# everybody on the machine can read a command line.
secured_format() {
  local -r arguments=$SECURED/format-arguments
  (umask 077 && printf -- '--add-scram\nSCRAM-SHA-512=[name=%s,password=%s]\n' \
    "$SECURED_ADMIN" "$(<"$SECURED/admin-password")" >"$arguments")
  # Its log shows the salted password.
  (umask 077 && broker_java -Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC kafka.tools.StorageTool format \
    -t "$(broker_cluster_id)" -c "$SECURED/server.properties" "@$arguments" >"$SECURED/format.log" 2>&1) ||
    die "the secured broker's storage could not be formatted: $(tail -n 5 "$SECURED/format.log")"
  rm -f "$arguments"
}

secured_launch() { broker_run "$SECURED"; }

secured_await() {
  await_ready secured "$SECURED/process" "$SECURED/log" "$SECURED_READY_SECONDS" \
    grep -q 'Kafka Server started' "$SECURED/log"
}

secured_end() { end "$SECURED/process" TERM 35; }

# secured_tool [--as FILE | --certificate] TOOL [ARGUMENT…]: as admin, by the client properties in FILE, or with the
# client certificate.
secured_tool() {
  local login=$SECURED/admin.properties port=$RIG_SECURED_PORT
  case ${1:-} in
    --as)
      login=${2:?which file?}
      shift 2
      ;;
    --certificate)
      login=$SECURED/certificate.properties port=$RIG_SECURED_MTLS_PORT
      shift
      ;;
  esac
  broker_tool_at "127.0.0.1:$port" --command-config "$login" "$@"
}
