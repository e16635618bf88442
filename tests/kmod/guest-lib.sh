# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# What the scripts in the guest share; at /etc/guest-lib.sh there.
EFI=/sys/firmware/efi
MOUNT=$EFI/efivars
GLOBAL=8be4df61-93ca-11d2-aa0d-00e098032b8c
HELLO=$MOUNT/Hello-$GLOBAL
failures=0
peer=

old_kernel() { case $(uname -r) in 6.1.*) true ;; *) false ;; esac; }

fail() {
  echo "FAILED: $test: $*"
  failures=$((failures + 1))
}

# expect WANTED WHAT COMMAND...: its exit status; WANTED may be "error".
expect() {
  wanted=$1
  what=$2
  shift 2
  "$@" >/tmp/output 2>&1
  status=$?
  [ "$wanted" = "$status" ] || { [ "$wanted" = error ] && [ "$status" != 0 ]; } ||
    fail "$what: status $status, not $wanted: $(head -n 3 /tmp/output)"
}

# expect_error TEXT WHAT COMMAND...: it fails, and says so in these words.
expect_error() {
  words=$1
  what=$2
  shift 2
  "$@" >/tmp/output 2>&1 && fail "$what: it succeeds"
  grep -q "$words" /tmp/output || fail "$what: not \"$words\": $(head -n 3 /tmp/output)"
}

# expect_text WANTED WHAT ACTUAL
expect_text() { [ "$1" = "$3" ] || fail "$2: \"$3\", not \"$1\""; }

# expect_logged TEXT: in the log of the daemon.
expect_logged() { grep -q "$1" /tmp/mm_peer.log || fail "the daemon did not say \"$1\": $(cat /tmp/mm_peer.log)"; }

start_peer() {
  stop_peer
  : >/tmp/mm_peer.log
  peer=$(mm_peer -b /tmp/mm_peer.log "$@") || fail "mm_peer $* does not start"
}

stop_peer() {
  [ -z "$peer" ] && return
  kill -9 "$peer" 2>/dev/null
  while [ -d "/proc/$peer" ]; do usleep 10000; done
  peer=
}

# write_variable NAME: 7 (nv, bs, rt) and a letter.
write_variable() {
  printf '\7\0\0\0x' >/tmp/variable
  dd if=/tmp/variable of="$MOUNT/$1-$GLOBAL" bs=100
}

# Whether the module was built with the kernel's EFI variables.
with_efi() { [ -e /sys/module/efistore/parameters/efivars ]; }

# unload: the module at once, which would wait for a daemon to come back.
unload() {
  ! with_efi || parameter efivars off
  rmmod efistore
}

parameter() { echo "$2" >"/sys/module/efistore/parameters/$1"; }

mounted() { grep -q " $MOUNT efivarfs " /proc/mounts; }

mount_efivarfs() { mount -t efivarfs none "$MOUNT"; }

# The time that a command took, in ms, at /tmp/took.
timed() {
  begin=$(sed 's/\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime)
  "$@"
  status=$?
  end=$(sed 's/\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime)
  echo $((end - begin)) >/tmp/took
  return $status
}

took_between() {
  took=$(cat /tmp/took)
  [ "$took" -ge "$1" ] && [ "$took" -le "$2" ] || fail "$3: $took ms, not $1 to $2"
}

# expect_kernel TEXT: in the kernel's log.
expect_kernel() { dmesg | grep -q "$1" || fail "the kernel did not say \"$1\": $(dmesg | tail -n 4)"; }

no_complaint() {
  dmesg | grep -E 'BUG:|WARNING:|Oops|INFO: (task|trying|lockdep)|possible (recursive|circular)|general protection|unable to handle' &&
    fail "the kernel complains"
}

# run_test NAME: from a clean state, and back to it.
run_test() {
  test=$1
  before=$failures
  modprobe efistore timeout_ms=3000 restart_ms=2000 || fail "modprobe"
  "$1"
  stop_peer
  for mount in $(grep ' efivarfs ' /proc/mounts | cut -d' ' -f2); do umount "$mount" || fail "umount"; done
  old_kernel && [ -d /sys/module/efivarfs ] && rmmod efivarfs
  ! with_efi || parameter efivars off 2>/dev/null
  tries=0
  while [ -d /sys/module/efistore ] && [ $tries -lt 40 ]; do
    rmmod efistore 2>/dev/null || usleep 100000
    tries=$((tries + 1))
  done
  [ ! -d /sys/module/efistore ] || fail "the module cannot be unloaded"
  [ ! -d "$EFI" ] || fail "$EFI is left"
  no_complaint
  [ "$failures" = "$before" ] && echo "passed: $test"
}

# On a debugging kernel: memory that nobody has a pointer to.
no_leak() {
  mkdir -p /tmp/debug
  mount -t debugfs none /tmp/debug 2>/dev/null && [ -e /tmp/debug/kmemleak ] || return
  echo scan >/tmp/debug/kmemleak
  sleep 6
  echo scan >/tmp/debug/kmemleak
  leaks=$(grep -c unreferenced /tmp/debug/kmemleak)
  echo "kmemleak: $leaks"
  [ "$leaks" = 0 ] || fail "memory is lost: $(head -n 60 /tmp/debug/kmemleak)"
}

end_tests() {
  no_leak
  echo "$failures failures"
  exit $((failures != 0))
}
