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
modprobe efistore || fail "modprobe"
[ ! -e /dev/efi_capsule_loader ] || fail "a capsule loader of ours"
start_peer -e 1:1
expect_logged "esrt: errno 17"
expect 1 "variables by default" ours

mount_efivarfs
parameter efivars on
umount "$MOUNT"
expect 1 "variables after on while mounted" ours
parameter efivars on
if old_kernel; then
  # It cannot be told to step back.
  expect 1 "variables after on" ours
else
  expect 0 "variables after on" ours
  mount_efivarfs
  expect error "off while mounted" parameter efivars off
  umount "$MOUNT"
  expect 0 "off" parameter efivars off
  expect 1 "variables after off" ours
  parameter efivars on
  expect 0 "variables after on again" ours
  expect error "unload" rmmod efistore
  stop_peer
  expect 1 "variables without the daemon" ours
fi
stop_peer
expect 0 "unload" rmmod efistore
expect 1 "variables after all" ours
[ -d "$EFI/efivars" ] || fail "the firmware's directory is gone"
no_complaint
end_tests
