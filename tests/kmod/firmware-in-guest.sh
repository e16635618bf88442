# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# On a machine that has UEFI: its variables are left alone, unless they are asked to be replaced, and
# then come back.
# shellcheck source=tests/kmod/guest-lib.sh
. /etc/guest-lib.sh
test=firmware

ours() {
  mount_efivarfs || return 2
  [ -e "$HELLO" ]
  status=$?
  umount "$MOUNT"
  return $status
}

[ -e "$EFI/systab" ] || fail "the guest has no UEFI"
modprobe efivarfs || fail "efivarfs"
modprobe efistore restart_ms=1000 || fail "modprobe"
[ ! -e /dev/efi_capsule_loader ] || fail "a capsule loader of ours"
start_peer -e 1:1
expect_logged "esrt: errno 17"
expect 1 "variables by default" ours

mount_efivarfs
expect error "on while mounted" parameter efivars on
expect_text auto "the mode after a refusal" "$(cat /sys/module/efistore/parameters/efivars)"
umount "$MOUNT"
expect 1 "variables after on while mounted" ours
if old_kernel; then
  # It cannot be told to step back.
  expect error "on" parameter efivars on
  expect 1 "variables after on" ours
else
  # efi_pstore has found the firmware's.
  modprobe efi_pstore
  expect error "on under efi_pstore" parameter efivars on
  expect_kernel "in use: efi_pstore"
  echo Y >/sys/module/efi_pstore/parameters/pstore_disable
  expect 0 "on" parameter efivars on
  expect 0 "variables after on" ours
  mount_efivarfs
  expect error "off while mounted" parameter efivars off
  expect error "auto while mounted" parameter efivars auto
  expect_text on "the mode after a refusal" "$(cat /sys/module/efistore/parameters/efivars)"
  umount "$MOUNT"
  expect 0 "off" parameter efivars off
  expect 1 "variables after off" ours
  expect 0 "on again" parameter efivars on
  expect 0 "variables after on again" ours
  expect 0 "auto" parameter efivars auto
  expect 1 "variables after auto" ours
  expect 0 "on after auto" parameter efivars on
  expect 0 "variables after it" ours
  expect error "unload" rmmod efistore
  stop_peer
  sleep 2
  expect 1 "variables without the daemon" ours
  start_peer
  expect 0 "variables of the next daemon" ours
  expect 0 "off at last" parameter efivars off
  mount -t securityfs none /sys/kernel/security
  echo integrity >/sys/kernel/security/lockdown || fail "lockdown"
  expect error "on when locked down" parameter efivars on
  expect_kernel "locked down: the firmware's variables stay"
  expect 1 "variables when locked down" ours
fi
stop_peer
expect 0 "unload" rmmod efistore
expect 1 "variables after all" ours
[ -d "$EFI/efivars" ] || fail "the firmware's directory is gone"
no_complaint
end_tests
