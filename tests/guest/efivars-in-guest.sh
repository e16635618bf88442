# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Run in guests without UEFI by efivars-test, boot after boot with the same flash: the kernel's own
# efivarfs, its variables efistored's. EFISTORE_TEST_BOOT says which boot it is, EFISTORE_TEST_FLASH
# of which kind the flash is.
efivars=/sys/firmware/efi/efivars
store=mtd:uefi-vars
vendor=11223344-5566-7788-99aa-bbccddeeff00
daemon=

fail() {
  echo "efivars-in-guest: $*"
  tail -n 5 /tmp/efistored.log 2>/dev/null
  exit 1
}

start_daemon() {
  efistored --store $store --kmod >>/tmp/efistored.log 2>&1 &
  daemon=$!
}

# stop_daemon SIGNAL: returns when it has ended.
stop_daemon() {
  kill "-$1" "$daemon"
  wait "$daemon" 2>/dev/null
}

# within TENTHS COMMAND...: the command succeeds in so many tenths of a second.
within() {
  left=$1
  shift
  until "$@" 2>/dev/null; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 0.1
  done
}

mount_efivars() {
  mount -t efivarfs efivarfs $efivars
}

# The steps that a board's start makes.
start() {
  case $EFISTORE_TEST_FLASH in
    norsim) modprobe norsim file=/dev/vda 'parts=528k(uefi-vars),-(rest)' ;;
    cfi)
      for module in cfi_util gen_probe cfi_probe cfi_cmdset_0001 map_funcs; do
        modprobe $module || fail "cannot load $module"
      done
      modprobe cmdlinepart 'mtdparts=0.flash:64m(bank0)ro,768k(uefi-vars),-(rest)' &&
        modprobe physmap
      ;;
  esac || fail "cannot load the flash"
  grep -q '"uefi-vars"' /proc/mtd || fail "there is no partition for the variables"
  modprobe efistore || fail "cannot load efistore"
}

# Reads are answered before the flash can be written. The files of this vendor are never immutable.
try_to_write() {
  printf '\007\000\000\000x' >/tmp/ready
  dd if=/tmp/ready of=$efivars/Ready-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0 bs=1M
}

until_writable() {
  within 100 try_to_write || fail "nothing can be written"
}

# The resource that the daemon is to show.
describe_firmware() {
  mkdir -p /etc/efistore/firmware.d
  cat >/etc/efistore/firmware.d/loader.toml <<END
image_type = "$vendor"
name = "loader"
type = "system"
lowest_supported_version = 2
version = { fixed = 0x20001 }
target = "mtd:rest"
allow_unsigned = true
END
}

shows_firmware() {
  entry=/sys/firmware/efi/esrt/entries/entry0
  [ "$(cat $entry/fw_class)" = $vendor ] || fail "no firmware resource is shown"
  [ "$(cat $entry/fw_version $entry/lowest_supported_fw_version $entry/fw_type | tr '\n' ' ')" = \
    "131073 2 1 " ] || fail "the firmware resource has $(cat $entry/fw_version)"
  [ "$(cat /sys/firmware/efi/esrt/fw_resource_count)" = 1 ] || fail "more is shown"
}

start_to_mount() {
  describe_firmware
  start_daemon
  within 100 mount_efivars || fail "efivarfs cannot be mounted"
  shows_firmware
  until_writable
}

# path NAME: the file of the variable.
path() {
  echo "$efivars/$1-$vendor"
}

# value NAME: what is in it, in hexadecimal digits, with its attributes.
value() {
  xxd -p "$(path "$1")" | tr -d '\n'
}

# write_value NAME TEXT
write_value() {
  printf '\007\000\000\000%s' "$2" >/tmp/value
  # One write: dd, where the shell's printf might make several.
  dd if=/tmp/value of="$(path "$1")" bs=1M 2>/dev/null
}

# has NAME TEXT: the variable's content.
has() {
  [ "$(value "$1")" = "07000000$(printf %s "$2" | xxd -p | tr -d '\n')" ] ||
    fail "$1 has $(value "$1"), not $2"
}

refused() {
  ! "$@" 2>/dev/null || fail "not refused: $*"
}

# Everything that somebody without other tools than a shell does.
file_operations() {
  [ "$(stat -f -c %t $efivars)" = de5e81e4 ] || fail "it is not efivarfs"
  refused cat "$(path Absent)"
  write_value Text one || fail "cannot create"
  has Text one
  [ "$(stat -c %s "$(path Text)")" = 7 ] || fail "the size is wrong"
  case $(lsattr "$(path Text)") in
    ----i*) ;;
    *) fail "a new variable is not immutable" ;;
  esac
  refused rm -f "$(path Text)"
  refused write_value Text two
  chattr -i "$(path Text)" || fail "chattr -i"
  write_value Text two || fail "cannot write again"
  has Text two
  printf '\107\000\000\000%s' more >/tmp/value
  dd if=/tmp/value of="$(path Text)" bs=1M 2>/dev/null || fail "cannot append"
  has Text twomore
  printf '\007\000' >/tmp/value
  refused dd if=/tmp/value of="$(path Text)" bs=1M
  has Text twomore
  rm "$(path Text)" || fail "cannot delete"
  [ ! -e "$(path Text)" ] || fail "it is still there"
  refused touch $efivars/no-guid
  refused mkdir "$efivars/directory-$vendor"
  umount $efivars && mount_efivars || fail "cannot remount"
  [ ! -e "$(path Text)" ] || fail "it is there after a remount"
}

conformance() {
  mkdir -p /usr/lib
  ln -s /mnt/python "/usr/lib/$EFISTORE_TEST_PYTHON"
  PYTHONHOME=/usr PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/mnt/shim "$EFISTORE_TEST_PYTHON" /bin/kernel_conformance.py \
    $efivars /etc/conformance.tsv "linux-$(uname -r | cut -d. -f1,2)." || fail "conformance"
}

# With a name that the suite's rows do not have, so that it is alone.
make_boot_entry() {
  efibootmgr -q -c -d /dev/$EFISTORE_TEST_DISK -p 1 -b 00ab -L "efistore boots" \
    -l '\EFI\debian\grub.efi' || fail "efibootmgr -c"
  check_boot_entry
}

check_boot_entry() {
  efibootmgr -v >/tmp/entries || fail "efibootmgr -v"
  grep '^Boot00AB\* efistore boots.*HD(1,GPT,.*File(.EFI.debian.grub.efi)' /tmp/entries ||
    { cat /tmp/entries; fail "the boot entry is not there"; }
  grep -q '^BootOrder: .*00AB' /tmp/entries || fail "BootOrder has no 00AB"
}

# Whether the shortage of somebody to answer is told, not hidden.
before_the_daemon() {
  refused mount_efivars
  if grep -q nandsim /etc/modules; then
    efistored --store "mtd:NAND simulator partition 0" --kmod >/tmp/nand.log 2>&1 &&
      fail "NAND was taken"
    grep -q 'NAND.*byte can be written again' /tmp/nand.log ||
      { cat /tmp/nand.log; fail "no reason for the refusal of NAND"; }
  fi
}

# written_since NUMBER: the writer has been answered again, for a later write than this.
written_since() {
  now=$(cat /tmp/done)
  [ -n "$now" ] && [ "$now" -gt "${1:-0}" ]
}

# The daemon is killed under the mount, again and again, while somebody writes: what was written
# without an error is there.
daemon_comes_back() {
  write_value Counter 100 || fail "cannot create Counter"
  chattr -i "$(path Counter)"
  : >/tmp/done
  (
    n=100
    echo $n >/tmp/done
    while [ ! -e /tmp/stop ]; do
      n=$((n + 1))
      write_value Counter $n && echo $n >/tmp/done
    done
    echo $n >/tmp/begun
  ) &
  writer=$!
  for round in 1 2 3 4 5; do
    before=$(cat /tmp/done)
    within 100 written_since "$before" || fail "nothing is written after $((round - 1)) daemons"
    sleep 0.$round
    stop_daemon KILL
    sleep 0.1
    start_daemon
  done
  within 100 written_since "$(cat /tmp/done)" || fail "nothing is written after the last daemon"
  touch /tmp/stop
  wait $writer
  last=$(cat /tmp/done)
  begun=$(cat /tmp/begun)
  seen=$(tail -c +5 "$(path Counter)")
  { [ "$seen" -ge "$last" ] && [ "$seen" -le "$begun" ]; } ||
    fail "Counter is $seen, but $last was written"
  echo "5 daemons killed, $((last - 100)) writes, the last of them there"
}

# cut_at BYTES: power is lost when so many have been programmed in a SetVariable, and returns.
cut_at() {
  until_writable
  old=$(value Cut)
  wanted=$(printf 'after-%04d-%0200d' "$1" "$1")
  echo "$1" >/sys/module/norsim/parameters/cut_program
  write_value Cut "$wanted" && answered=yes || answered=no
  [ "$(cat /sys/module/norsim/parameters/power)" = on ] || cuts=$((cuts + 1))
  stop_daemon KILL
  echo on >/sys/module/norsim/parameters/power
  start_daemon
  within 100 cat "$(path Cut)" >/dev/null || fail "cannot read after a cut at $1"
  new="07000000$(printf %s "$wanted" | xxd -p | tr -d '\n')"
  case $(value Cut) in
    "$new") ;;
    "$old") [ $answered = no ] || fail "an answered write is lost by a cut at $1" ;;
    *) fail "after a cut at $1 it is neither old nor new" ;;
  esac
  check_boot_entry >/dev/null
}

cuts_in_writes() {
  dmesg -n 1
  cuts=0
  for at in $EFISTORE_TEST_CUTS; do
    cut_at "$at"
  done
  dmesg -n 4
  # Of the last ones some may be behind the end of what is programmed.
  [ $cuts -ge $(($(echo "$EFISTORE_TEST_CUTS" | wc -w) - 3)) ] || fail "there were only $cuts cuts"
  echo "$cuts power cuts in SetVariable: old or new each time"
}

# Everything can be taken away again.
end() {
  umount $efivars || fail "umount"
  # A kernel before 6.3 has efivarfs use what is registered as long as it is loaded.
  modprobe -r efivarfs || fail "cannot unload efivarfs"
  stop_daemon TERM
  if command -v efistore >/dev/null; then
    efistore --store $store check >/tmp/check 2>&1 || { cat /tmp/check; fail "efistore check"; }
  fi
  # Nobody else is to come.
  echo off >/sys/module/efistore/parameters/efivars
  modprobe -r efistore || fail "cannot unload efistore"
}

no_trouble() {
  ! dmesg | grep -E 'BUG:|WARNING:|Oops|INFO: (task|trying|lockdep)|possible (recursive|circular)' ||
    fail "the kernel complained"
}

# The next boot finds what was answered, although the machine goes down with a request on its way.
reboot_with_request_pending() {
  kill -STOP "$daemon"
  cat "$(path Kept)" >/dev/null 2>&1 &
  sleep 0.5
  no_trouble
  echo guest-reboot
  reboot -f
  sleep 1000
}

case $EFISTORE_TEST_BOOT in
  create)
    start
    before_the_daemon
    # In guests without the command the host has made the store.
    ! command -v efistore >/dev/null || efistore --store $store create || fail "efistore create"
    start_to_mount
    file_operations
    [ -z "${EFISTORE_TEST_PYTHON-}" ] || conformance
    make_boot_entry
    write_value Kept "over a boot" || fail "cannot create Kept"
    reboot_with_request_pending
    ;;
  again)
    start
    start_to_mount
    check_boot_entry
    has Kept "over a boot"
    daemon_comes_back
    write_value Cut before || fail "cannot create Cut"
    chattr -i "$(path Cut)"
    no_trouble
    if [ "$EFISTORE_TEST_FLASH" = norsim ]; then
      # The host takes the power when it sees the simulator's message.
      echo 40 >/sys/module/norsim/parameters/cut_program
      write_value Cut behind
    else
      write_value Cut behind || fail "cannot write Cut"
      echo "guest-cut"
    fi
    sleep 1000
    ;;
  recover)
    start
    start_to_mount
    check_boot_entry
    has Kept "over a boot"
    if [ "$EFISTORE_TEST_FLASH" = norsim ]; then
      has Cut before
      chattr -i "$(path Cut)"
      cuts_in_writes
    else
      has Cut behind
    fi
    end
    no_trouble
    ;;
esac
