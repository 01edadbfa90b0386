# shellcheck shell=bash
# One MariaDB with a row binlog, as a source for Debezium. Sourced by rig.
# Expects: die, launch, end, await_ready, DIR, run_user_for and the port.

MARIADB=$DIR/mariadb
readonly MARIADB_READY_SECONDS=60
readonly MARIADB_USER=my-database-user MARIADB_PASSWORD=my-secret-password
# Distributions keep servers where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin

# Our own options only: nothing of /etc/mysql, so every machine runs the same server. The character set is the
# server's built-in default (latin1), as in the walk-through's records.
mariadb_options() {
  cat <<END
[mariadbd]
datadir=$MARIADB/data
# Relative to the data folder: a long path would not fit into a socket's name (107 bytes).
socket=mariadb.sock
pid-file=mariadb.pid
tmpdir=$MARIADB/tmp
bind-address=127.0.0.1
port=$RIG_MARIADB_PORT
skip-name-resolve

server-id=223344
log-bin=binlog
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
gtid_strict_mode=ON

# Commits reach the kernel at once, the disk a second later: a killed server loses nothing, and nothing waits for
# the disk.
innodb_flush_log_at_trx_commit=2
sync_binlog=0
innodb_buffer_pool_size=64M
innodb_log_file_size=16M
performance_schema=OFF
END
}

# Runs once, before the server takes connections. Root is left without a password on the private socket alone.
mariadb_first_statements() {
  cat <<END
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
FLUSH PRIVILEGES;
CREATE USER IF NOT EXISTS '$MARIADB_USER'@'127.0.0.1' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT SELECT, RELOAD, SHOW DATABASES, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR, REPLICA MONITOR ON *.* TO '$MARIADB_USER'@'127.0.0.1';
END
}

mariadb_prepare() {
  local user
  if ! { command -v mariadbd && command -v mariadb-install-db && command -v mariadb; } >/dev/null; then
    die "MariaDB is missing; run: $HERE/fetch mariadb"
  fi
  user=$(run_user_for mysql nobody)
  mkdir -p "$MARIADB/tmp"
  mariadb_options >"$MARIADB/options.cnf"
  chown_to "$user" "$MARIADB" "$MARIADB/tmp" "$MARIADB/options.cnf"
  [[ -f $MARIADB/data/.installed ]] && return 0
  rm -rf "$MARIADB/data"
  mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db \
    ${user:+"--user=$user"} "--datadir=$MARIADB/data" >"$MARIADB/install.log" 2>&1 ||
    die "mariadb-install-db failed: $(tail -n 5 "$MARIADB/install.log")"
  mariadb_first_statements >"$MARIADB/first.sql"
  chown_to "$user" "$MARIADB/first.sql"
  : >"$MARIADB/data/.installed"
}

mariadb_launch() {
  local user first=()
  user=$(run_user_for mysql nobody)
  [[ ! -f $MARIADB/first.sql ]] || first=("--init-file=$MARIADB/first.sql")
  launch "$MARIADB/process" "$MARIADB/log" mariadbd "--defaults-file=$MARIADB/options.cnf" \
    ${user:+"--user=$user"} "${first[@]}"
}

mariadb_client() {
  cd "$MARIADB/data" || die "no MariaDB was made in $DIR"
  exec mariadb --no-defaults --socket=mariadb.sock --user=root "$@"
}

# The user exists only when the first statements have run.
mariadb_probe() {
  [[ $(mariadb_client --skip-column-names --execute \
    "SELECT count(*) FROM mysql.user WHERE user = '$MARIADB_USER'") == 1 ]]
}

mariadb_await() {
  await_ready mariadb "$MARIADB/process" "$MARIADB/log" "$MARIADB_READY_SECONDS" mariadb_probe
  rm -f "$MARIADB/first.sql"
}

mariadb_end() { end "$MARIADB/process" TERM 30; }
