# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# need_programs COMPILER: builds the programs that the guests run; sourced. Sets "programs",
# arguments of run-guest. Static, because a guest may be of another architecture, and not by CMake,
# whose presets have sanitizers in their flags.
need_programs() {
  local program output=$scratch/programs
  command -v "$1" >/dev/null || skip "$1 is not installed"
  mkdir -p "$output"
  programs=(-f "$tests/guest-lib.sh:/etc/guest-lib.sh")
  for program in mm_abi mm_load mm_peer mm_call mm_close_early fs_hold; do
    local sources=("$tests/$program.c" "$tests/node.c")
    [ $program != mm_abi ] || sources+=("$tests/mm_buffer.c")
    "$1" -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O1 -g -Wall -Wextra -Werror -static -pthread \
      -I"$source/kmod/include/uapi" -o "$output/$program" "${sources[@]}"
    programs+=(-f "$output/$program:/bin/$program")
  done
}
