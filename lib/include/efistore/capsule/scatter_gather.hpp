// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Scatter-gather lists of EFI_CAPSULE_BLOCK_DESCRIPTOR (UEFI 2.10, 8.5.3.1), the form in which
// capsules outlast a reset in memory: pairs of a length and an address; a pair of length 0 goes on
// at another address, or ends the list if that is 0. Where EDK2 answers otherwise is in
// lib/SPEC.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "efistore/base/result.hpp"

namespace efistore::capsule {

/// Memory at an address of the lists' own address space. The bytes must not change meanwhile.
struct MemoryRegion {
  std::uint64_t address = 0;
  std::span<const std::byte> bytes;
};

struct CoalesceLimits {
  std::size_t max_descriptors = 65536;  ///< of data, over all of a list
  std::size_t max_continuations = 4096;
  std::uint64_t max_size_bytes = std::uint64_t{256} * 1024 * 1024;
  std::size_t max_capsules = 255;
};

/// The capsules of the list at `head`, each in one piece, in their order. A capsule begins with a
/// block of its own, which holds its header at least, and its blocks are as long together as its
/// CapsuleImageSize says. All of its flags are those of check_flags(), with PERSIST_ACROSS_RESET.
/// Errors: invalid_argument, naming the descriptor and what was expected: alignment to 8 bytes,
/// memory outside of `memory`, an address above 2^64, blocks that overlap one another or the list,
/// a list that comes back to itself, a limit; not_found (no capsule in it).
Result<std::vector<std::vector<std::byte>>> coalesce(std::span<const MemoryRegion> memory,
                                                     std::uint64_t head,
                                                     const CoalesceLimits& limits = {});

}  // namespace efistore::capsule
