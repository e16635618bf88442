# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# The module as it is built for a kernel that has efi_pstore built in: once registered, it stays.
# shellcheck source=tests/kmod/guest-lib.sh
. /etc/guest-lib.sh
test=builtin

modprobe efistore restart_ms=300 || fail "modprobe"
start_peer
mount_efivarfs || fail "mount"
umount "$MOUNT"
old_kernel && rmmod efivarfs
expect_error "busy" "off" sh -c 'echo off >/sys/module/efistore/parameters/efivars'
expect_kernel "still registered: efi_pstore is built in"
stop_peer
sleep 2
expect error "unload" rmmod efistore
expect_text 0x200 "flags" "$(mm_call)"
no_complaint
end_tests
