# shellcheck shell=bash
# Processes of a rig: started so that they outlive their caller, recorded so that a stranger is never signalled.
# Sourced by rig. Expects: die.

# Field 22 of /proc/PID/stat, ticks since boot; the name in field 2 may hold blanks and brackets.
start_time_of() {
  local stat rest
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  rest=${stat##*) }
  # shellcheck disable=SC2086 # split on purpose: fields 3 to 52
  set -- $rest
  # A zombie has ended; only its parent has not looked yet.
  [[ $1 != Z ]] || return 1
  echo "${20}"
}

# live_pid RECORD: prints the pid if the recorded process still runs: same pid, same start, same boot.
live_pid() {
  local pid started boot
  [[ -f $1 ]] || return 1
  read -r pid started boot <"$1" || return 1
  [[ $boot == "$(</proc/sys/kernel/random/boot_id)" && $(start_time_of "$pid") == "$started" ]] || return 1
  echo "$pid"
}

# launch RECORD LOG COMMAND…: starts COMMAND in a session of its own, with nothing of ours open.
# The child writes the record before it becomes COMMAND, so no process exists without a record.
launch() {
  local -r record=$1 log=$2
  local child until=$((SECONDS + 10))
  shift 2
  [[ ! -f $log ]] || mv -f "$log" "$log.1"
  rm -f "$record"
  (
    trap '' HUP
    exec </dev/null >>"$log" 2>&1
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      ((fd <= 2)) || eval "exec $fd>&-"
    done
    self=$BASHPID
    printf '%s %s %s\n' "$self" "$(start_time_of "$self")" "$(</proc/sys/kernel/random/boot_id)" >"$record"
    exec setsid "$@"
  ) &
  child=$!
  until [[ -s $record ]]; do
    if ! kill -0 "$child" 2>/dev/null || ((SECONDS > until)); then die "could not start $1; see $log"; fi
    sleep 0.01
  done
}

# signal RECORD NAME: to the recorded process, if it lives.
signal() {
  local pid
  pid=$(live_pid "$1") || return 0
  kill -s "$2" "$pid" 2>/dev/null || true
}

# await_end RECORD SECONDS: bounded; fails if the process is still there.
await_end() {
  local -r record=$1 until=$((SECONDS + $2))
  while live_pid "$record" >/dev/null; do
    ((SECONDS <= until)) || return 1
    sleep 0.05
  done
  rm -f "$record"
}

# end RECORD SIGNAL SECONDS: asks, asks again (MariaDB forgets a SIGTERM that comes while it starts), then kills.
end() {
  local -r until=$((SECONDS + $3))
  while ((SECONDS <= until)); do
    signal "$1" "$2"
    await_end "$1" 2 && return 0
  done
  signal "$1" KILL
  await_end "$1" 10 || die "process $(live_pid "$1") does not end, not even by SIGKILL"
}

# await_ready NAME RECORD LOG SECONDS PROBE…: asks until PROBE succeeds; a dead process or the end of the time fails
# with the last lines of the log.
await_ready() {
  local -r name=$1 record=$2 log=$3 seconds=$4 until=$((SECONDS + $4))
  local why
  shift 4
  while :; do
    if ! live_pid "$record" >/dev/null; then
      why="ended before it was ready"
      break
    fi
    # Its answer counts only while the recorded process lives: a stranger on the port must not pass for ours.
    if "$@" >/dev/null 2>&1 && live_pid "$record" >/dev/null; then
      return 0
    fi
    if ((SECONDS > until)); then
      why="was not ready after $seconds s"
      break
    fi
    sleep 0.1
  done
  tail -n 20 "$log" | sed "s/^/  $name: /" >&2
  die "$name $why; its log: $log"
}

# await_nobody_in FOLDER: until no process works in FOLDER. PostgreSQL's children see their parent's death a moment
# after it.
await_nobody_in() {
  local -r until=$((SECONDS + 10))
  local cwd
  while :; do
    cwd=$(readlink /proc/[0-9]*/cwd 2>/dev/null | grep -Fxc -- "$1") || true
    [[ $cwd != 0 ]] || return 0
    ((SECONDS <= until)) || die "processes still work in $1"
    sleep 0.05
  done
}
