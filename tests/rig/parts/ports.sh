# shellcheck shell=bash
# Free loopback ports, kept for one rig as long as its folder uses them. Sourced by rig. Expects: die, CACHE.

# Below Linux's ephemeral range (32768–60999): an outgoing connection can never take a port while its server is down.
readonly PORT_LOW=20000 PORT_COUNT=10000
readonly PORT_TRIES=200

# Any socket that is bound to the port, whatever its state; /proc so that no tool need be installed.
port_is_taken() {
  local hex
  printf -v hex ':%04X' "$1"
  awk -v port="$hex" 'substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# reserve_port DIR: prints a port that no socket uses and no other rig keeps. One file per port, made exclusively,
# holding the rig's folder; a file whose rig has gone is free again.
reserve_port() {
  local -r dir=$1 book=$CACHE/ports
  local port holder try
  mkdir -p "$book"
  for ((try = 0; try < PORT_TRIES; try++)); do
    port=$((PORT_LOW + SRANDOM % PORT_COUNT))
    port_is_taken "$port" && continue
    if [[ -f $book/$port ]]; then
      holder=$(<"$book/$port")
      [[ -n $holder && ! -e $holder/rig.env ]] || continue
      rm -f "$book/$port"
    fi
    if (set -o noclobber && printf '%s\n' "$dir" >"$book/$port") 2>/dev/null; then
      echo "$port"
      return 0
    fi
  done
  die "no free port between $PORT_LOW and $((PORT_LOW + PORT_COUNT - 1)) after $PORT_TRIES tries; look into $book"
}

release_ports() {
  local file
  for file in "$CACHE"/ports/*; do
    [[ ! -f $file || $(<"$file") != "$1" ]] || rm -f "$file"
  done
}
