# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# The kernel's efivarfs through the module: when it is there, each of the traps that are known of
# it, and a daemon that lies.
# shellcheck disable=SC2046 # words are meant where $(echo $(...)) stands
# shellcheck source=tests/kmod/guest-lib.sh
. /etc/guest-lib.sh

# efivarfs of 6.1 cannot be loaded without operations: trap 1.
mount_after_peer() {
  start_peer "$@"
  expect 0 "mount" mount_efivarfs
}

mode_off() {
  parameter efivars off
  start_peer
  [ ! -d "$EFI" ] || fail "$EFI is there"
  parameter efivars auto
  expect 0 "mount after auto" mount_efivarfs
  expect error "off while mounted" parameter efivars off
  expect_text auto "the mode after a refusal" "$(cat /sys/module/efistore/parameters/efivars)"
  umount "$MOUNT"
  old_kernel && rmmod efivarfs
  expect 0 "off" parameter efivars off
  [ ! -d "$EFI" ] || fail "$EFI is left"
  expect 0 "on" parameter efivars on
  expect 0 "mount after on" mount_efivarfs
  expect error "a word that is none" parameter efivars maybe
}

mode_at_load() {
  stop_peer
  rmmod efistore
  expect error "a word that is none" modprobe efistore efivars=maybe
  expect 0 "off at load" modprobe efistore efivars=off
  start_peer
  [ ! -d "$EFI" ] || fail "$EFI is there"
}

only_when_ready() {
  start_peer -s 0
  [ ! -d "$EFI" ] || fail "$EFI is there before the daemon can be asked"
  expect_text 0x100 "flags before" "$(mm_call)"
  stop_peer
  start_peer -s 1
  [ -d "$MOUNT" ] || fail "there is no $MOUNT"
  expect_text 0x301 "flags" "$(mm_call)"
  expect 0 "mount" mount_efivarfs
}

file_operations() {
  mount_after_peer -n 3
  expect_text 3 "files" "$(find "$MOUNT" -type f | wc -l)"
  expect_text "7 0 0 0 119 111 114 108 100" "content" "$(echo $(od -An -tu1 "$HELLO"))"
  printf '\7\0\0\0new' >"$MOUNT/Made-$GLOBAL" || fail "create"
  expect_text "7 0 0 0 110 101 119" "made" "$(echo $(od -An -tu1 "$MOUNT/Made-$GLOBAL"))"
  expect error "immutable" sh -c "echo x >'$MOUNT/Made-$GLOBAL'"
  chattr -i "$MOUNT/Made-$GLOBAL"
  printf '\107\0\0\0er' >>"$MOUNT/Made-$GLOBAL" || fail "append"
  expect_text "7 0 0 0 110 101 119 101 114" "appended" "$(echo $(od -An -tu1 "$MOUNT/Made-$GLOBAL"))"
  expect 0 "unlink" rm -f "$MOUNT/Made-$GLOBAL"
  expect_text 3 "files after all" "$(find "$MOUNT" -type f | wc -l)"
  printf '\7\0\0\0' >/tmp/large
  head -c 69000 /dev/zero >>/tmp/large
  # Over 64 KiB: what the kernel allows where nobody says how much there is room for.
  expect 0 "a large variable" dd if=/tmp/large of="$MOUNT/Large-$GLOBAL" bs=70000
  expect 0 "the large variable" cmp /tmp/large "$MOUNT/Large-$GLOBAL"
  head -c 200000 /dev/zero >>/tmp/large
  expect_error "Invalid argument" "one that no frame carries" dd if=/tmp/large of="$MOUNT/Larger-$GLOBAL" bs=300000
}

mount_without_a_daemon() {
  if old_kernel; then
    expect_error "No such device\|can't load\|ENODEV" "efivarfs without operations" modprobe efivarfs
  else
    modprobe efivarfs
    mkdir -p /tmp/mnt
    expect_error "not supported" "mount without operations" mount -t efivarfs none /tmp/mnt
  fi
  mount_after_peer
  umount "$MOUNT"
  modprobe efivarfs
  # 6.1 keeps the operations while efivarfs is loaded; 6.12 has none without a daemon.
  stop_peer
  mkdir -p /tmp/mnt
  sleep 2.5
  expect_error "not supported" "mount without a daemon" mount -t efivarfs none /tmp/mnt
}

daemon_death_and_return() {
  mount_after_peer
  stop_peer
  [ -e "$HELLO" ] || fail "the listing is gone"
  expect_error "Input/output error" "read without a daemon" timed cat "$HELLO"
  sleep 2.2
  expect_error "Input/output error" "read long without a daemon" timed cat "$HELLO"
  took_between 0 900 "it"
  expect_error "Input/output error" "write without a daemon" write_variable Without
  start_peer
  expect 0 "read after its return" cat "$HELLO"
  # Within the time of a restart reads wait for it.
  stop_peer
  cat "$HELLO" >/tmp/read 2>&1 &
  reader=$!
  usleep 300000
  start_peer
  wait $reader || fail "a read across a restart"
  # So they do when the request was with the daemon that died.
  stop_peer
  start_peer -m die:1
  cat "$HELLO" >/tmp/read 2>&1 &
  reader=$!
  usleep 300000
  start_peer
  wait $reader || fail "a read whose daemon died"
  # A change is not made twice: what the dead one did with it is unknown.
  stop_peer
  start_peer -m die:3
  write_variable Died >/tmp/written 2>&1 &
  writer=$!
  usleep 300000
  start_peer
  wait $writer && fail "a write whose daemon died"
  grep -q "Input/output error" /tmp/written || fail "a write whose daemon died: $(cat /tmp/written)"
}

# What is mounted there stays, and so do the operations while a daemon may come back.
restart_keeps_everything() {
  start_peer
  mount -t tmpfs none "$MOUNT" || fail "tmpfs"
  : >"$MOUNT/shim"
  stop_peer
  expect_text 0x200 "flags without the daemon" "$(mm_call)"
  sleep 2.6
  expect_text 0x0 "flags long without it" "$(mm_call)"
  [ -e "$MOUNT/shim" ] || fail "what was mounted there is gone"
  start_peer
  [ -e "$MOUNT/shim" ] || fail "what was mounted there is gone with the next daemon"
  umount "$MOUNT"
  # A mount that begins while there is no daemon.
  stop_peer
  mount_efivarfs >/tmp/output 2>&1 &
  mounting=$!
  usleep 500000
  start_peer
  wait $mounting || fail "a mount across a restart: $(cat /tmp/output)"
  umount "$MOUNT"
  old_kernel && rmmod efivarfs
  stop_peer
  expect 0 "off in between" parameter efivars off
  expect_text 0x0 "flags after off" "$(mm_call)"
  [ ! -d "$EFI" ] || fail "$EFI is left"
  # Nor is one waited for that is not to be.
  parameter efivars auto
  parameter restart_ms 0
  for n in 1 2 3 4 5 6 7 8 9 10; do
    start_peer
    stop_peer
    expect_text 0x0 "flags without a wait" "$(mm_call)"
  done
}

# What two daemons died of is not given to a third.
poison() {
  mount_after_peer
  stop_peer
  start_peer -m die:1
  cat "$HELLO" >/tmp/read 2>&1 &
  reader=$!
  usleep 500000
  start_peer -m die:1
  timed wait $reader && fail "a read that killed two daemons"
  took_between 0 1500 "it"
  grep -q "Input/output error" /tmp/read || fail "a read that killed two daemons: $(cat /tmp/read)"
  start_peer
  expect 0 "a read of the third" cat "$HELLO"
}

# After one request without an answer nobody waits, but for one who tries now and then.
unresponsive() {
  mount_after_peer
  stop_peer
  start_peer -m hang:1
  expect_error "Input/output error" "no answer" timed cat "$HELLO"
  took_between 2500 5000 "it"
  for n in 1 2; do
    expect_error "Input/output error" "at once" timed cat "$HELLO"
    took_between 0 1500 "it"
  done
  sleep 3
  expect 0 "the next try" cat "$HELLO"
  expect 0 "and all others" cat "$HELLO"
  for back in answer another; do
    start_peer -m hang:1
    expect_error "Input/output error" "no answer" cat "$HELLO"
    case $back in answer) mm_call 100 >/dev/null ;; another) start_peer ;; esac
    expect 0 "a read after $back" cat "$HELLO"
  done
}

trap_2_notifier_is_initialised() {
  mount_after_peer
  for n in 1 2 3 4; do
    mkdir -p /tmp/mnt$n
    mount -t efivarfs none /tmp/mnt$n || fail "mount $n"
  done
  for n in 1 2 3 4; do umount /tmp/mnt$n; done
  umount "$MOUNT"
  expect 0 "again" mount_efivarfs
}

trap_3_unload_while_mounted() {
  mount_after_peer
  expect error "unload with a daemon" rmmod efistore
  stop_peer
  expect error "unload while mounted" rmmod efistore
  sleep 2.6
  expect error "unload while mounted, later" rmmod efistore
  expect_kernel "still registered: efivarfs is"
  expect_error "Input/output error" "and it can be read" cat "$HELLO"
  umount "$MOUNT"
  old_kernel && rmmod efivarfs
  sleep 1
  expect 0 "unload after that" rmmod efistore
  [ ! -d "$EFI" ] || fail "$EFI is left"
  modprobe efivarfs 2>/dev/null
  mkdir -p /tmp/mnt
  expect error "mount without the module" mount -t efivarfs none /tmp/mnt
  modprobe efistore
}

trap_3_unregister_with_a_context() {
  old_kernel && return
  start_peer
  modprobe efivarfs
  fs_hold efivarfs &
  holder=$!
  usleep 300000
  expect error "off while a mount has begun" parameter efivars off
  kill -9 $holder
  wait $holder 2>/dev/null
  expect 0 "off" parameter efivars off
}

trap_3_unregister_against_mount() {
  start_peer
  mkdir -p /tmp/mnt
  (while [ ! -e /tmp/stop ]; do
    mount -t efivarfs none /tmp/mnt 2>/dev/null && umount /tmp/mnt
    old_kernel && rmmod efivarfs 2>/dev/null
  done) &
  mounter=$!
  changes=0 refused=0
  while [ $((changes + refused)) -lt "${EFISTORE_TEST_CHANGES:-300}" ]; do
    if parameter efivars off 2>/dev/null; then changes=$((changes + 1)); else refused=$((refused + 1)); fi
    parameter efivars auto
  done
  : >/tmp/stop
  wait $mounter
  rm /tmp/stop
  echo "unregistered $changes times against mounts, refused $refused times"
  [ "$changes" -ge 10 ] || fail "it came to only $changes changes"
}

trap_4_listing_is_whole_or_none() {
  start_peer -n 9 -m status:2:5 -S 0x8000000000000007
  expect_error "not supported" "an error in the middle" mount_efivarfs
  expect 0 "once more" mount_efivarfs
  umount "$MOUNT"
  stop_peer
  start_peer -n 9 -m hang:2:5
  expect_error "not supported" "no answer in the middle" timed mount_efivarfs
  took_between 2500 9000 "it"
  stop_peer
  start_peer -n 9 -m die:2:5
  mount_efivarfs >/tmp/output 2>&1 &
  mounting=$!
  usleep 400000
  start_peer -n 9
  wait $mounting || fail "a restart in the middle: $(cat /tmp/output)"
  expect_text 9 "files" "$(find "$MOUNT" -type f | wc -l)"
  umount "$MOUNT"
  stop_peer
  start_peer -n 9 -m die:2:5
  expect_error "not supported" "the end in the middle" mount_efivarfs
}

trap_5_others_wait_but_can_be_killed() {
  mount_after_peer
  stop_peer
  start_peer -m hang:1
  cat "$HELLO" >/dev/null 2>&1 &
  first=$!
  usleep 300000
  cat "$HELLO" >/dev/null 2>&1 &
  second=$!
  usleep 300000
  timed kill -9 $second
  wait $second
  timed kill -9 $first
  wait $first
  expect 0 "a read after both" timed cat "$HELLO"
  took_between 0 2000 "it"
}

trap_6_daemon_touches_efivarfs() {
  mount_after_peer
  stop_peer
  start_peer -m touch:1
  expect_error "Input/output error" "a read that the daemon answers by a read" timed cat "$HELLO"
  took_between 2500 8000 "it"
  sleep 1
  expect_logged "touch: -1"
  expect 0 "the next" cat "$HELLO"
  stop_peer
  # Between requests it is refused at once.
  start_peer -m touch-after:1
  expect 0 "a write" write_variable Touched
  sleep 1
  expect_logged "touch: -1 errno 5 after [0-9]\{1,3\} ms"
}

pstores() { dmesg | grep -c "pstore: Registered .* as persistent store"; }
pstore_backend() { cat /sys/module/pstore/parameters/backend; }

# efi_pstore keeps the operations only where it was asked for, and that is said.
trap_8_efi_pstore() {
  start_peer
  before=$(pstores)
  modprobe efi_pstore || return
  expect_kernel "efi_pstore is disabled"
  expect_text "$before" "backends" "$(pstores)"
  expect 0 "mount" mount_efivarfs
  umount "$MOUNT"
  old_kernel && rmmod efivarfs
  expect 0 "off with efi_pstore loaded" parameter efivars off
  rmmod efi_pstore
  # It was there first, as it is where everything is loaded at the start.
  modprobe efi_pstore
  parameter efivars auto
  [ -d "$MOUNT" ] || fail "not registered"
  expect_text "$before" "backends" "$(pstores)"
  expect 0 "off with efi_pstore loaded first" parameter efivars off
  rmmod efi_pstore
  if ! old_kernel; then
    # Whoever loads it first with its parameter has chosen as well.
    modprobe efi_pstore pstore_disable=N
    parameter efivars auto
    expect_text N "the parameter that was given" \
      "$(cat /sys/module/efi_pstore/parameters/pstore_disable)"
    expect error "off under an efi_pstore that may begin" parameter efivars off
    rmmod efi_pstore
    expect 0 "off without it" parameter efivars off
  fi
  parameter efivars auto
  modprobe efi_pstore pstore_disable=N
  expect_text $((before + 1)) "backends" "$(pstores)"
  expect error "off under efi_pstore" parameter efivars off
  expect_kernel "still registered: efi_pstore uses them"
  expect error "unload under efi_pstore" rmmod efistore
  stop_peer
  sleep 2.6
  expect_text 0x200 "flags under efi_pstore" "$(mm_call)"
  start_peer
  if ! old_kernel; then
    echo Y >/sys/module/efi_pstore/parameters/pstore_disable
    expect_text "(null)" "the backend after its parameter" "$(pstore_backend)"
    expect 0 "off after its parameter" parameter efivars off
    parameter efivars auto
    echo N >/sys/module/efi_pstore/parameters/pstore_disable
    expect error "off after its parameter again" parameter efivars off
  fi
  [ "$(pstore_backend)" != "(null)" ] || fail "efi_pstore is no backend"
  rmmod efi_pstore
  expect_text "(null)" "the backend without efi_pstore" "$(pstore_backend)"
  expect 0 "off" parameter efivars off
}

trap_9_statuses() {
  mount_after_peer
  stop_peer
  for row in "2:Invalid argument" "9:No space" "7:Input/output error" "8:Read-only" "26:Permission denied" \
    "3:Invalid argument" "28:Read-only" "18:Invalid argument" "0x7777777:Input/output error"; do
    start_peer -m status:3 -S $((0x8000000000000000 | ${row%%:*}))
    expect_error "${row#*:}" "status ${row%%:*}" write_variable "Status${row%%:*}"
    stop_peer
  done
}

trap_10_long_names() {
  mount_after_peer -n 9 -l
  expect_text 9 "files" "$(find "$MOUNT" -type f | wc -l)"
}

trap_11_changes_elsewhere() {
  mount_after_peer -n 3
  stop_peer
  start_peer -n 5
  expect_text 3 "files" "$(find "$MOUNT" -type f | wc -l)"
  umount "$MOUNT"
  mount_efivarfs
  expect_text 5 "files" "$(find "$MOUNT" -type f | wc -l)"
}

trap_12_directory_only_when_needed() {
  [ ! -d "$EFI" ] || fail "$EFI is there without a daemon"
  start_peer
  expect_text 64 "fw_platform_size" "$(cat "$EFI/fw_platform_size")"
  stop_peer
  sleep 2.6
  [ -d "$EFI" ] || fail "$EFI is gone with the daemon"
  expect 0 "off" parameter efivars off
  [ ! -d "$EFI" ] || fail "$EFI is left"
}

lying_daemon() {
  mount_after_peer
  stop_peer
  for kind in data-size data-size-huge data-size-small name-size guid length function truncated headless oversize; do
    start_peer -m $kind:1:1:9
    expect_error "Input/output error" "$kind" cat "$HELLO"
    stop_peer
  done
  for kind in twice unknown; do
    start_peer -m $kind:1:1:9
    expect 0 "$kind" cat "$HELLO"
    expect_logged "errno 2"
    stop_peer
  done
  start_peer -m late:1 -t 4000
  expect_error "Input/output error" "late" cat "$HELLO"
  sleep 2
  expect_logged "late reply: errno 2"
  expect 0 "after it" cat "$HELLO"
  stop_peer
  umount "$MOUNT"
  for kind in next-odd next-huge next-small next-unterminated next-empty guid length function truncated headless oversize; do
    start_peer -n 5 -m $kind:2:3
    refusals=$(dmesg | grep -c "cannot be listed: status 8000000000000007")
    expect_error "not supported" "$kind" mount_efivarfs
    # By the module, not by what the daemon says to the nonsense that it gave itself.
    case $kind in next-*)
      expect_text $((refusals + 1)) "refusals of $kind" "$(dmesg | grep -c "cannot be listed: status 8000000000000007")"
      ;;
    esac
    stop_peer
  done
}

for name in mode_off mode_at_load only_when_ready file_operations mount_without_a_daemon \
  daemon_death_and_return restart_keeps_everything poison unresponsive trap_2_notifier_is_initialised trap_3_unload_while_mounted \
  trap_3_unregister_with_a_context trap_3_unregister_against_mount trap_4_listing_is_whole_or_none \
  trap_5_others_wait_but_can_be_killed trap_6_daemon_touches_efivarfs \
  trap_8_efi_pstore trap_9_statuses trap_10_long_names \
  trap_11_changes_elsewhere trap_12_directory_only_when_needed lying_daemon; do
  case " ${EFISTORE_TEST_ONLY:-$name} " in *" $name "*) run_test $name ;; esac
done
end_tests
