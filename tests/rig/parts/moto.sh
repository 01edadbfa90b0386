# shellcheck shell=bash
# One server of AWS's APIs, in memory: moto. Sourced by rig.
# Expects: die, launch, end, await_ready, DIR, HERE, MOTO_HOME and the port.

MOTO=$DIR/moto
readonly MOTO_READY_SECONDS=60

moto_prepare() {
  [[ -x $MOTO_HOME/bin/moto_server ]] || die "moto is missing; run: $HERE/fetch moto"
  mkdir -p "$MOTO/data"
}

moto_launch() {
  # Credentials are not looked at, so any will do.
  (cd "$MOTO/data" && launch "$MOTO/process" "$MOTO/log" \
    "$MOTO_HOME/bin/python" "$MOTO_HOME/bin/moto_server" -H 127.0.0.1 -p "$RIG_MOTO_PORT")
}

moto_await() {
  await_ready moto "$MOTO/process" "$MOTO/log" "$MOTO_READY_SECONDS" \
    curl --fail --silent --max-time 2 "http://127.0.0.1:$RIG_MOTO_PORT/moto-api/data.json"
}

# It keeps nothing on disk and has nothing to say at its end.
moto_end() { end "$MOTO/process" TERM 10; }
