# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Run in the guest by mtd-test, with mtdram, nandsim, brd and block2mtd loaded.

# node_of NAME: the node of the MTD device called so.
node_of() {
  for device in /sys/class/mtd/mtd*; do
    case $device in *ro) continue ;; esac
    if [ "$(cat "$device/name")" = "$1" ]; then
      echo "/dev/${device##*/}"
      return
    fi
  done
  echo "there is no MTD device called $1" >&2
  exit 1
}

# passes COUNT PROGRAM ARGUMENT...: a GoogleTest program succeeds, having run COUNT tests or more.
passes() {
  least=$1
  shift
  "$@" >/tmp/output
  status=$?
  [ "$status" = 0 ] || cat /tmp/output
  grep -E '^\[  (PASSED|SKIPPED) ' /tmp/output
  count=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\{0,1\}\.$/\1/p' /tmp/output)
  [ "$status" = 0 ] && [ "${count:-0}" -ge "$least" ] && ! grep -q SKIPPED /tmp/output && return
  echo "$*: status $status, ${count:-0} tests passed, at least $least expected"
  exit 1
}

# Two devices of one name.
for disk in /dev/ram0 /dev/ram1; do
  echo "$disk,4096,twin" >/sys/module/block2mtd/parameters/block2mtd || exit 1
done
cat /proc/mtd

EFISTORE_TEST_MTD=$(node_of "mtdram test device") || exit 1
EFISTORE_TEST_NAND=$(node_of "NAND simulator partition 0") || exit 1
export EFISTORE_TEST_MTD EFISTORE_TEST_NAND

passes 10 test_mtd_node
passes 30 test_flash --gtest_filter='Flash/*MtdDevice*'
kill_rounds "$EFISTORE_TEST_MTD" "${EFISTORE_KILL_ROUNDS:-150}" || exit 1
