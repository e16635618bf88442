// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What is remembered of a write to a target while it is not finished: a variable of the image
// type's namespace for each bank of a resource. A journal says what to look at, never what to
// trust: whoever goes on verifies the capsule again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/crypto/digest.hpp"
#include "efistore/update/image_writer.hpp"

namespace efistore::update {

/// A plan of more runs is joined to as many.
inline constexpr std::size_t max_journal_runs = 64;

struct Journal {
  enum class State : std::uint8_t {
    writing = 1,    ///< to be gone on with
    abandoned = 2,  ///< not to be gone on with; what it lists may not be what it reads as
  } state = State::writing;
  crypto::Digest capsule{};  ///< SHA-256 of the staged capsule
  std::uint32_t block_size_bytes = 0;
  WritePlan plan{};
};

/// "FmpUpdate0" for the first bank, with what FmpState's name has behind it.
std::u16string journal_name(std::size_t bank, std::uint64_t hardware_instance, std::uint8_t index);

std::vector<std::byte> encode_journal(const Journal& journal);
/// Errors: invalid_argument.
Result<Journal> parse_journal(std::span<const std::byte> data);

}  // namespace efistore::update
