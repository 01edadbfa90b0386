# shellcheck shell=bash
# One PostgreSQL with logical decoding, as source or sink. Sourced by rig.
# Expects: die, launch, end, await_ready, await_nobody_in, DIR, HERE, can_reach, chown_to and the port.

POSTGRES=$DIR/postgres
readonly POSTGRES_READY_SECONDS=60
readonly POSTGRES_USER=my-database-user POSTGRES_PASSWORD=my-secret-password POSTGRES_DATABASE=shop
readonly POSTGRES_ADMIN=postgres POSTGRES_ADMIN_PASSWORD=postgres-secret-password

# The newest release that is installed.
postgres_bin() {
  local newest
  newest=$(compgen -G '/usr/lib/postgresql/*/bin' | sort --version-sort | tail -n 1) || true
  if [[ -n $newest ]]; then
    echo "$newest"
  elif command -v initdb >/dev/null; then
    dirname "$(command -v initdb)"
  else
    die "PostgreSQL is missing; run: $HERE/fetch postgres"
  fi
}

# PostgreSQL refuses to run as root.
as_postgres() {
  if ((EUID == 0)); then
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"
  else
    exec "$@"
  fi
}

postgres_options() {
  cat <<END
listen_addresses = '127.0.0.1'
port = $RIG_POSTGRES_PORT
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
wal_level = logical
max_wal_senders = 10
max_replication_slots = 10
shared_buffers = 32MB
# A killed server loses nothing by it, a lost machine would: this one is made to be thrown away.
fsync = off
END
}

postgres_prepare() {
  local bin
  bin=$(postgres_bin)
  mkdir -p "$POSTGRES"
  if ((EUID == 0)); then
    id postgres >/dev/null 2>&1 || die "PostgreSQL cannot run as root, and there is no user \`postgres\`"
    can_reach postgres "$DIR" ||
      die "PostgreSQL cannot run as root, and the user \`postgres\` cannot enter $DIR: choose a folder whose parents \
all can be entered (chmod o+x), such as one in /var/tmp"
    chown_to postgres "$POSTGRES"
  fi
  if [[ ! -f $POSTGRES/data/.installed ]]; then
    rm -rf "$POSTGRES/data"
    (umask 077 && printf '%s\n' "$POSTGRES_ADMIN_PASSWORD" >"$POSTGRES/admin-password")
    ((EUID != 0)) || chown_to postgres "$POSTGRES/admin-password"
    (cd "$POSTGRES" && as_postgres "$bin/initdb" --pgdata "$POSTGRES/data" --username "$POSTGRES_ADMIN" \
      --pwfile "$POSTGRES/admin-password" --auth scram-sha-256 --encoding UTF8 --locale C --no-sync \
      --no-instructions) >"$POSTGRES/install.log" 2>&1 || die "initdb failed: $(tail -n 5 "$POSTGRES/install.log")"
    echo "include '$POSTGRES/rig.conf'" >>"$POSTGRES/data/postgresql.conf"
    : >"$POSTGRES/data/.installed"
  fi
  postgres_options >"$POSTGRES/rig.conf"
  # After a kill -9 its lock file stays, and names a process that may not have been reaped yet: PostgreSQL would
  # take the dead for the living. We know better when nobody works in the folder.
  await_nobody_in "$POSTGRES/data"
  rm -f "$POSTGRES/data/postmaster.pid"
}

postgres_launch() {
  local bin command
  bin=$(postgres_bin)
  command=("$bin/postgres" -D "$POSTGRES/data")
  ((EUID != 0)) || command=(setpriv --reuid=postgres --regid=postgres --init-groups "${command[@]}")
  (cd "$POSTGRES" && launch "$POSTGRES/process" "$POSTGRES/log" "${command[@]}")
}

# The password reaches the client by a file: an environment can be read by others of the same user.
postgres_client() {
  local -r pass=$POSTGRES/pgpass
  (umask 077 && printf '127.0.0.1:*:*:%s:%s\n' "$POSTGRES_ADMIN" "$POSTGRES_ADMIN_PASSWORD" >"$pass")
  PGPASSFILE=$pass exec psql --no-psqlrc --host 127.0.0.1 --port "$RIG_POSTGRES_PORT" --username "$POSTGRES_ADMIN" \
    --no-password "$@"
}

postgres_probe() { (postgres_client --dbname postgres --command 'SELECT 1'); }

# The user may replicate and make databases, and owns the database `shop`, so it can make publications there.
postgres_first_statements() {
  cat <<END
SELECT 'CREATE ROLE "$POSTGRES_USER" LOGIN REPLICATION CREATEDB PASSWORD ''$POSTGRES_PASSWORD'''
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$POSTGRES_USER') \\gexec
SELECT 'CREATE DATABASE $POSTGRES_DATABASE OWNER "$POSTGRES_USER"'
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$POSTGRES_DATABASE') \\gexec
END
}

postgres_await() {
  await_ready postgres "$POSTGRES/process" "$POSTGRES/log" "$POSTGRES_READY_SECONDS" postgres_probe
  [[ -f $POSTGRES/users-made ]] && return 0
  postgres_first_statements |
    (postgres_client --dbname postgres --quiet --set ON_ERROR_STOP=1) >>"$POSTGRES/install.log" 2>&1 ||
    die "the first users could not be made: $(tail -n 5 "$POSTGRES/install.log")"
  : >"$POSTGRES/users-made"
}

# SIGINT is PostgreSQL's fast shutdown: sessions are ended, the data is left clean.
postgres_end() { end "$POSTGRES/process" INT 30; }
