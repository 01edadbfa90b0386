# shellcheck shell=bash
# Where the downloaded parts are. Sourced by fetch and rig; decides nothing, touches nothing.

CACHE=${RUNNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/runnel}
case $CACHE in
  /*) ;;
  *) CACHE=$PWD/$CACHE ;;
esac

RUNTIME_3_9=$CACHE/runtimes/3.9
RUNTIME_4_3=$CACHE/runtimes/4.3
PLUGINS=$CACHE/plugins
MSK_IAM=$CACHE/msk-iam
MOTO_HOME=$CACHE/moto

# Prints the places as KEY=VALUE, fit for `eval`.
print_places() {
  local -r debezium=$PLUGINS/debezium-connector
  printf '%s=%q\n' \
    RUNNEL_CACHE "$CACHE" \
    RIG_RUNTIME_3_9 "$RUNTIME_3_9" \
    RIG_RUNTIME_4_3 "$RUNTIME_4_3" \
    RIG_PLUGINS "$PLUGINS" \
    RIG_MOTO_HOME "$MOTO_HOME" \
    RIG_MSK_IAM_JAR "$MSK_IAM/aws-msk-iam-auth-2.3.5-all.jar" \
    RIG_PLUGIN_SEED_ZIP "$debezium-mysql-1.6.1.zip" \
    RIG_PLUGIN_SEED_TAR_GZ "$debezium-mysql-1.6.1.Final-plugin.tar.gz" \
    RIG_PLUGIN_MARIADB "$debezium-mariadb-3.5.0.Final-plugin.tar.gz" \
    RIG_PLUGIN_MYSQL "$debezium-mysql-3.5.0.Final-plugin.tar.gz" \
    RIG_PLUGIN_POSTGRES "$debezium-postgres-3.5.0.Final-plugin.tar.gz" \
    RIG_PLUGIN_JDBC "$debezium-jdbc-3.5.0.Final-plugin.tar.gz"
}
