# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Run in the guest by conformance-test.
modprobe efistore efivars=off || exit 1
test_runtime --gtest_filter='Over/Conformance.*' >/tmp/output 2>&1
status=$?
grep -E '^\[  (PASSED|SKIPPED|FAILED)' /tmp/output
count=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\{0,1\}\.$/\1/p' /tmp/output)
if [ "$status" != 0 ] || [ "${count:-0}" -lt 15 ] || grep -q SKIPPED /tmp/output; then
  cat /tmp/output
  echo "status $status, ${count:-0} tests passed, at least 15 expected"
  exit 1
fi
rmmod efistore
