# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Run in the guest by norsim-test, boot after boot, with a disk for the flash: EFISTORE_TEST_BOOT.
parts='parts=512k(vars),64k(fixed)ro,-(rest)'
image=/dev/vda

fail() {
  echo "norsim-in-guest: $*"
  exit 1
}

# refused PARAMETER...: the module does not load with them.
refused() {
  ! modprobe norsim "$@" 2>/dev/null || fail "loaded with $*"
}

load() {
  modprobe norsim "$@" || fail "cannot load with $*"
}

case $EFISTORE_TEST_BOOT in
  1)
    dmesg -n 1
    refused erase_kib=0
    refused size_kib=0
    refused size_kib=1 erase_kib=4
    refused write_size=3
    refused parts=12
    refused 'parts=64k()'
    refused 'parts=64k(x)rw'
    refused file=/there-is-none
    refused size_kib=4096 file=$image

    # Without a place to keep it.
    load size_kib=64 write_size=4
    [ "$(cat /sys/class/mtd/mtd0/flags)" = 0x400 ] || fail "write_size=4 is bit-writable"
    printf abc | dd of=/dev/mtd0 bs=3 2>/dev/null && fail "a program of 3 bytes"
    printf abcd | dd of=/dev/mtd0 bs=4 2>/dev/null || fail "no program of 4 bytes"
    modprobe -r norsim
    load size_kib=64
    [ "$(dd if=/dev/mtd0 bs=1 count=1 2>/dev/null | xxd -p)" = ff ] || fail "kept without a file"
    exec 5</dev/mtd0
    rmmod norsim 2>/dev/null && fail "unloaded while a device is open"
    exec 5<&-
    modprobe -r norsim || fail "cannot unload"

    load "$parts" file=$image
    cat /proc/mtd
    dmesg -n 1
    norsim_check /dev/mtd0 || exit 1
    dmesg -n 4
    printf x 2>/dev/null >/dev/mtd1 && fail "a read-only partition was written"
    # 64 KiB of it, so that other tests find a blank one.
    printf 'kept over a boot' | dd of=/dev/mtd2 bs=16 2>/dev/null || fail "cannot write"
    # The host takes the power when it sees the module's message; the bytes before are on the disk.
    echo 4 >/sys/module/norsim/parameters/cut_program
    printf '12345678' | dd of=/dev/mtd2 bs=8 seek=4 2>/dev/null
    sleep 1000
    ;;
  2)
    load "$parts" file=$image
    [ "$(dd if=/dev/mtd2 bs=16 count=1 2>/dev/null)" = 'kept over a boot' ] || fail "not kept"
    [ "$(dd if=/dev/mtd2 bs=4 skip=8 count=1 2>/dev/null)" = 1234 ] || fail "the cut program is lost"
    [ "$(dd if=/dev/mtd2 bs=1 skip=37 count=3 2>/dev/null | xxd -p)" = ffffff ] ||
      fail "bytes behind the cut are programmed"
    [ -n "$EFISTORE_TEST_DEVICES" ] || exit 0
    # It is a device as others are.
    EFISTORE_TEST_MTD=/dev/mtd0 test_flash --gtest_filter='Flash/*MtdDevice*' >/tmp/output ||
      { cat /tmp/output; fail "test_flash"; }
    grep '^\[  PASSED' /tmp/output
    kill_rounds /dev/mtd0 "${EFISTORE_KILL_ROUNDS:-50}" || exit 1
    ;;
esac
