# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Tasks that are frozen, by a control group or for a suspend, while the kernel waits for the daemon.
# shellcheck source=tests/kmod/guest-lib.sh
. /etc/guest-lib.sh
GROUP=/tmp/freezer/group
NODE=/dev/efi_capsule_loader

freezer() { echo "$1" >$GROUP/freezer.state; }

# in_group COMMAND...
in_group() {
  sh -c 'echo 0 >"$0/tasks"; exec "$@"' $GROUP "$@"
}

write_late() {
  printf '\7\0\0\0x' >/tmp/variable
  in_group dd if=/tmp/variable of="$MOUNT/Late-$GLOBAL" bs=100
}

# Whoever is frozen in the kernel's lock on all variables keeps it from all others.
others_need_no_thaw() {
  start_peer
  mount_efivarfs || fail "mount"
  for kind in get set; do
    stop_peer
    case $kind in
      get)
        start_peer -m slow:1 -t 1500
        in_group cat "$HELLO" >/tmp/frozen 2>&1 &
        ;;
      set)
        start_peer -m slow:3 -t 1500
        write_late >/tmp/frozen 2>&1 &
        ;;
    esac
    frozen=$!
    usleep 500000
    freezer FROZEN
    expect 0 "a read beside a frozen $kind" timeout 6 cat "$HELLO"
    freezer THAWED
    wait $frozen || fail "$kind: $(cat /tmp/frozen)"
  done
  umount "$MOUNT"
  stop_peer
  mkdir -p /tmp/mnt
  start_peer -m slow:2 -t 1500
  in_group mount -t efivarfs none /tmp/mnt >/tmp/frozen 2>&1 &
  frozen=$!
  usleep 500000
  freezer FROZEN
  expect 0 "a mount beside a frozen mount" timeout 6 mount -t efivarfs none "$MOUNT"
  freezer THAWED
  wait $frozen || fail "mount: $(cat /tmp/frozen)"
  umount /tmp/mnt
  # A capsule goes on when its writer does.
  stop_peer
  start_peer -c /tmp/uploaded -m slow:33 -t 1500
  in_group dd if=/tmp/capsule of=$NODE bs=1000 >/tmp/frozen 2>&1 &
  frozen=$!
  usleep 500000
  freezer FROZEN
  sleep 2
  freezer THAWED
  wait $frozen || fail "capsule: $(cat /tmp/frozen)"
}

# A caller of the node holds nothing, and is frozen where it waits.
callers_are_frozen() {
  start_peer
  stop_peer
  start_peer -m slow:0 -t 1500
  in_group mm_call 100 >/tmp/frozen 2>&1 &
  frozen=$!
  usleep 500000
  freezer FROZEN
  usleep 500000
  expect_text FROZEN "the state of the group" "$(cat $GROUP/freezer.state)"
  freezer THAWED
  wait $frozen || fail "call: $(cat /tmp/frozen)"
}

suspend() { echo mem >/sys/power/state; }

# Requests that are pending are answered first.
suspend_waits_for_answers() {
  start_peer
  mount_efivarfs || fail "mount"
  stop_peer
  start_peer -m slow:1 -t 2500
  # The time of the test itself, 5 s, counts, unlike that of a real suspend.
  parameter timeout_ms 20000
  cat "$HELLO" >/tmp/read 2>&1 &
  reader=$!
  mm_call 100 >/tmp/called 2>&1 &
  caller=$!
  usleep 500000
  # Of what cannot be frozen it says so after 20 s.
  expect 0 "suspend" timed suspend
  took_between 0 15000 "it"
  wait $reader || fail "the read: $(cat /tmp/read)"
  wait $caller || fail "the call: $(cat /tmp/called)"
}

# Those without an answer are ended, and no others begin.
suspend_does_not_wait_for_ever() {
  start_peer
  mount_efivarfs || fail "mount"
  parameter timeout_ms 60000
  # It would wait for a mount that has begun before anything else.
  echo 0 >/sys/power/sync_on_suspend
  for kind in get set mount capsule; do
    stop_peer
    case $kind in
      get)
        start_peer -m hang:1
        cat "$HELLO" >/tmp/pending 2>&1 &
        ;;
      set)
        start_peer -m hang:3
        write_variable Pending >/tmp/pending 2>&1 &
        ;;
      mount)
        umount "$MOUNT"
        start_peer -m hang:2
        mount_efivarfs >/tmp/pending 2>&1 &
        ;;
      capsule)
        start_peer -c /tmp/uploaded -m hang:33
        dd if=/tmp/capsule of=$NODE bs=1000 >/tmp/pending 2>&1 &
        ;;
    esac
    pending=$!
    usleep 500000
    expect 0 "suspend beside $kind" timed suspend
    took_between 0 20000 "it"
    wait $pending && fail "$kind ends without an error"
    case $kind in get | set) words="Input/output error" ;; mount) words="not supported" ;; *) words=busy ;; esac
    grep -q "$words" /tmp/pending || fail "$kind: $(cat /tmp/pending)"
    mounted || mount_efivarfs || fail "mount after $kind"
    expect 0 "a read after $kind" cat "$HELLO"
  done
}

mkdir -p /tmp/freezer
mount -t cgroup -o freezer none /tmp/freezer && mkdir $GROUP || { echo "no freezer"; exit 1; }
{
  # A capsule's header: GUID, HeaderSize 28, Flags 0, CapsuleImageSize 1000.
  printf 'abcdefghijklmnop\34\0\0\0\0\0\0\0\350\3\0\0'
  head -c 972 /dev/zero
} >/tmp/capsule
echo freezer >/sys/power/pm_test
for name in others_need_no_thaw callers_are_frozen suspend_waits_for_answers \
  suspend_does_not_wait_for_ever; do
  case " ${EFISTORE_TEST_ONLY:-$name} " in *" $name "*) run_test $name ;; esac
done
end_tests
