# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Ends the guest with requests pending, as EFISTORE_TEST_END says: by a reboot, or by a crash under
# efi_pstore, which must not wait for the daemon either.
# shellcheck source=tests/kmod/guest-lib.sh
. /etc/guest-lib.sh
test=$EFISTORE_TEST_END

modprobe efistore timeout_ms=100000 restart_ms=100000
start_peer
if [ "$test" = panic ]; then
  modprobe efi_pstore pstore_disable=N || exit 1
  dmesg | grep -q "efi.* as persistent store" || exit 1
fi
mount_efivarfs || exit 1
stop_peer
start_peer -m stall
for n in 1 2 3 4 5 6 7 8; do mm_call 100 >/dev/console & done
usleep 200000
# A reader holds the kernel's lock, and a crash then does not get as far as to the module.
[ "$test" = panic ] || cat "$HELLO" >/dev/console 2>&1 &
sleep 0.5
case $test in
  reboot)
    echo guest-reboot
    reboot -f
    ;;
  panic)
    echo 1 >/proc/sys/kernel/sysrq
    echo c >/proc/sysrq-trigger
    ;;
esac
sleep 10
