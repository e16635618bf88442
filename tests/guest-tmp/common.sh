# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# What the tests in guests share; sourced, with "here" set to the folder of this file. Sets "guests",
# the folder of kernels and what is built for them, and "scratch", which is removed in the end.
guests=${EFISTORE_GUEST_KERNEL_DIR:-${EFISTORE_BINARY_DIR:?}/guest-kernel}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/efistore-guests.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# skip REASON: where everything is installed, as in CI, a test that cannot run is a failure.
skip() {
  echo "skipped: $*"
  [ "${CI-}" != true ] || exit 1
  exit 77
}

# available REASON COMMAND...: the command succeeds, or the test is skipped for this reason.
available() {
  local status=0
  "${@:2}" || status=$?
  [ "$status" != 77 ] || skip "$1"
  [ "$status" = 0 ] || exit 1
}

# need_kernel NAME [--headers]: sets "name" and "kernel".
need_kernel() {
  name=$1
  kernel=$guests/$name
  [ "$(uname -m)" = x86_64 ] || { echo "skipped: made for x86-64 machines"; exit 77; }
  available "no kernel $name" "$here/fetch-kernel" ${2+"$2"} "$name" "$kernel"
}

# need_module SOURCE: builds the module of this folder for "kernel"; sets "module", its file.
need_module() {
  local output
  output=$guests/modules/$name/$(basename "$1")
  available "no compiler for modules" "$here/build-module" "$kernel" "$1" "$output"
  module=$(echo "$output"/*.ko)
}

# guest STATUS ARGUMENT...: run-guest with "kernel", which has to end like this.
guest() {
  local expected=$1 status=0
  shift
  "$here/run-guest" -k "$kernel" "$@" || status=$?
  [ "$status" != 77 ] || skip "a program is missing"
  [ "$status" = "$expected" ] || {
    echo "the guest ended with status $status, not $expected"
    exit 1
  }
}
