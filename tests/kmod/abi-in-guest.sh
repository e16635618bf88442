# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# The nodes, the ESRT and the capsule loader, without efivarfs.
# shellcheck disable=SC2046 # words are meant where $(echo $(...)) stands
# shellcheck source=tests/kmod/guest-lib.sh
. /etc/guest-lib.sh

abi() {
  mm_abi || fail "mm_abi"
}

abi_of_other_buffers() {
  for size in 1 4000000000; do
    expect 0 "unload" unload
    expect 0 "load" modprobe efistore buffer_size=$size restart_ms=300
    case $size in 1) wanted=8192 ;; *) wanted=16777216 ;; esac
    expect_text $wanted "buffer_size" "$(cat /sys/module/efistore/parameters/buffer_size)"
    mm_abi || fail "mm_abi with $wanted"
  done
  expect 0 "unload" unload
  for wrong in timeout_ms=0 timeout_ms=x max_callers=0 max_requests=5000 restart_ms=-1; do
    expect error "load with $wrong" modprobe efistore $wrong
  done
}

load() {
  mm_load "${EFISTORE_TEST_SECONDS:-6}" "${EFISTORE_TEST_SEED:-1}" || fail "mm_load"
}

load_and_unload() {
  for round in 1 2 3 4 5 6 7 8 9 10; do
    start_peer -e 3:$round
    expect error "unload with a daemon" rmmod efistore
    stop_peer
    expect 0 "unload" unload
    expect 0 "load" modprobe efistore timeout_ms=3000 restart_ms=1000
  done
}

esrt() {
  with_efi || return
  [ ! -d "$EFI" ] || fail "$EFI is there"
  start_peer -s 0 -e 3:7
  cd "$EFI/esrt" || fail "no tree"
  expect_text "3 128 1" "counts" "$(echo $(cat fw_resource_count fw_resource_count_max fw_resource_version))"
  expect_text "entry0 entry1 entry2" "entries" "$(echo $(ls entries))"
  expect_text "capsule_flags fw_class fw_type fw_version last_attempt_status last_attempt_version lowest_supported_fw_version" \
    "files" "$(echo $(ls entries/entry0))"
  expect_text "0x50000 $GLOBAL 1 9 6 7 1" "values" "$(cd entries/entry2 && echo $(cat capsule_flags fw_class \
    fw_type fw_version last_attempt_status last_attempt_version lowest_supported_fw_version))"
  expect_text "400" "modes" "$(stat -c %a fw_resource_count entries/*/* | sort -u)"
  expect_text "444 64" "fw_platform_size" "$(stat -c %a ../fw_platform_size) $(cat ../fw_platform_size)"
  stop_peer
  expect_text 3 "count without the daemon" "$(cat fw_resource_count)"
  # Somebody reads all the time while it is replaced.
  (while [ ! -e /tmp/stop ]; do cat entries/*/* fw_* >/dev/null 2>&1; done) &
  reader=$!
  for count in 1 128 0 5; do
    start_peer -s 0 -e $count:$count
    expect_text "$count" "count" "$(cat fw_resource_count)"
    expect_text "$count" "entries" "$(ls entries | wc -l)"
    for entry in entries/entry*; do
      [ -e "$entry" ] || continue
      expect_text "$count" "$entry" "$(cat "$entry/last_attempt_version")"
    done
    stop_peer
  done
  : >/tmp/stop
  wait $reader
  rm /tmp/stop
  start_peer -s 0 -e 129:1
  expect_logged "esrt: errno 22"
  expect_text 5 "count after a wrong table" "$(cat fw_resource_count)"
  cd /
}

# reads_at_once ENTRY: fails if one of its files is there before what stands in it.
reads_at_once() {
  until [ -e "$1/fw_version" ]; do [ ! -e /tmp/stop ] || return; done
  read -r line <"$1/fw_version" || : >/tmp/early
}

esrt_is_whole_from_the_start() {
  with_efi || return
  rm -f /tmp/early /tmp/stop
  for round in 1 2 3 4 5; do
    reads_at_once "$EFI/esrt/entries/entry0" &
    reads_at_once "$EFI/esrt/entries/entry1" &
    reads_at_once "$EFI/esrt/entries/entry60" &
    # The first table; then one that has more.
    [ $((round % 2)) = 1 ] || start_peer -s 0 -e 1:1
    start_peer -s 0 -e 128:2
    : >/tmp/stop
    wait
    stop_peer
    rm /tmp/stop
    expect 0 "unload" unload
    expect 0 "load" modprobe efistore
  done
  [ ! -e /tmp/early ] || fail "a file could not be read at once"
}

capsule_bytes() {
  # A capsule's header: GUID, HeaderSize 28, Flags 0, CapsuleImageSize.
  printf 'abcdefghijklmnop\34\0\0\0\0\0\0\0'
  printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $((($1 >> 8) & 255)))\\$(printf %o $((($1 >> 16) & 255)))\\0"
  head -c $(($1 - 28)) /dev/urandom
}

capsule_loader() {
  with_efi || return
  node=/dev/efi_capsule_loader
  capsule_bytes 200000 >/tmp/capsule
  expect_error "not connected" "without a daemon" dd if=/tmp/capsule of=$node bs=1000
  start_peer -s 0 -c /tmp/uploaded
  for block in 1000 10 28 27 200000 65536 4096; do
    rm -f /tmp/uploaded
    if [ $block -lt 100 ]; then
      # The head in small pieces.
      (dd if=/tmp/capsule bs=$block count=5 2>/dev/null
        dd if=/tmp/capsule bs=$block skip=5 2>/dev/null | dd obs=60000 2>/dev/null) >$node || fail "write in pieces of $block"
    else
      expect 0 "write in pieces of $block" sh -c "cat /tmp/capsule | dd bs=$block >$node"
    fi
    cmp /tmp/capsule /tmp/uploaded || fail "the capsule in pieces of $block"
  done
  # More than its header says, and after the end.
  rm -f /tmp/uploaded
  (cat /tmp/capsule; printf x) >/tmp/longer
  expect_error "Invalid argument" "more than the header says" dd if=/tmp/longer of=$node bs=200001
  expect_logged "capsule cancelled"
  [ ! -e /tmp/uploaded ] || fail "it was committed"
  expect_error "Input/output" "after the end" sh -c "exec 3>$node; dd if=/tmp/capsule bs=65536 >&3 2>/dev/null; echo x >&3"
  # Too early an end.
  expect 0 "begin" dd if=/tmp/capsule of=$node bs=1000 count=0
  head -c 100000 /tmp/capsule >/tmp/half
  expect_error "canceled" "half a capsule" mm_close_early $node /tmp/half
  sleep 1
  expect_logged "cancelled"
  [ ! -e /tmp/uploaded ] || fail "half a capsule is left"
  expect_error "canceled" "half a header" sh -c "head -c 20 /tmp/capsule >/tmp/half; mm_close_early $node /tmp/half"
  # Headers that lie.
  (printf 'abcdefghijklmnop\33\0\0\0\0\0\0\0\0\1\0\0'; head -c 228 /dev/zero) >/tmp/wrong
  expect_error "Invalid argument" "a header size of 27" dd if=/tmp/wrong of=$node bs=256
  (printf 'abcdefghijklmnop\0\2\0\0\0\0\0\0\0\1\0\0'; head -c 228 /dev/zero) >/tmp/wrong
  expect_error "Invalid argument" "a header that is larger than all" dd if=/tmp/wrong of=$node bs=256
  # So many may have it open.
  stop_peer
  start_peer -s 0 -c /tmp/uploaded
  for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 1000 >$node & done
  usleep 500000
  expect error "opening it once more" sh -c "exec 3>$node"
  kill $! && wait $!
  expect 0 "opening it after one has gone" sh -c "exec 3>$node"
  kill $(jobs -p)
  wait
  # What the daemon says is what write says, and then it is over.
  for function in 32 33 34; do
    stop_peer
    start_peer -s 0 -c /tmp/uploaded -m status:$function -S $((0x800000000000001a))
    expect_error "Permission denied" "refused in $function" dd if=/tmp/capsule of=$node bs=200000
  done
  stop_peer
  start_peer -s 0 -c /tmp/uploaded -m die:33:2
  expect_error "not connected" "the daemon dies" dd if=/tmp/capsule of=$node bs=50000
  expect error "reading" dd if=$node of=/dev/null count=1
}

for name in abi abi_of_other_buffers load_and_unload esrt esrt_is_whole_from_the_start capsule_loader load; do
  case " ${EFISTORE_TEST_ONLY:-$name} " in *" $name "*) run_test $name ;; esac
done
end_tests
