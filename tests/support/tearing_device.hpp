// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// NOR flash that loses power. The model:
//
// - Every program and every erase counts as one operation for each erase block that it touches, so
//   that a request over several blocks is cut inside too. The n-th operation is the cut: a part of
//   it reaches the medium, what part, the Tear says. It and everything after it fails, and changes
//   nothing more.
// - A program clears any of the bits that it was to clear, and no other bit.
// - An erase leaves each bit of its block as it was, erased, or at random: parts clear all bits
//   before they set them. It may also leave bits *unstable*: they read differently each time, and
//   go on doing so until the whole block is erased again. Programming does not make them stable.
// - Write-through: what was programmed before the cut is on the medium, in that order, whether
//   sync() was called or not. A lost or reordered write cache is not modelled.
// - A bit that is programmed by itself, as flags are, is programmed or not; it is never unstable.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/flash/device.hpp"

namespace efistore::test {

/// What of the operation that is cut reaches the medium.
enum class Tear {
  before,  ///< nothing
  after,   ///< all of it
  // Of a program:
  first_byte,     ///< its first byte
  half,           ///< the first half of its bytes
  all_but_last,   ///< all but its last byte
  bits,           ///< each bit that is to be cleared, or not, at random
  bytes,          ///< each byte in full, or not at all, at random
  one_bit,        ///< one bit, chosen at random, half of the time among the first 128 bytes
  all_but_a_bit,  ///< all bits but one, chosen in the same way
  // Of an erase:
  front_erased,     ///< the bytes up to a random place, the rest is old
  back_erased,      ///< the bytes from a random place on, the rest is old
  bits_erased,      ///< each bit is old or erased, at random
  few_bits_erased,  ///< one to three bits are erased, the rest is old
  scrambled,        ///< each bit is old, erased or random
  unstable,         ///< as bits_erased, and every bit is unstable
  unstable_weakly,  ///< all erased, and a few bits in a thousand are unstable
  unstable_later,   ///< reads as erased until the power comes on for the second time, then unstable
};

inline constexpr std::array program_tears = {Tear::before, Tear::after,        Tear::first_byte,
                                             Tear::half,   Tear::all_but_last, Tear::bits,
                                             Tear::bytes,  Tear::one_bit,      Tear::all_but_a_bit};
inline constexpr std::array erase_tears = {
    Tear::before,          Tear::after,           Tear::front_erased, Tear::back_erased,
    Tear::bits_erased,     Tear::few_bits_erased, Tear::scrambled,    Tear::unstable,
    Tear::unstable_weakly, Tear::unstable_later};

std::string_view to_string(Tear tear) noexcept;  // the enumerator's name
/// Whether the outcome depends on the seed.
bool is_random(Tear tear) noexcept;

enum class OperationKind { program, erase };

struct Operation {
  OperationKind kind = OperationKind::program;
  flash::Range where{};

  friend bool operator==(const Operation&, const Operation&) = default;
};

struct Cut {
  std::uint64_t operation = 1;  ///< 1 is the first operation of the device
  Tear tear = Tear::before;
  std::uint64_t seed = 0;
};

/// What outlives a power cut. Devices are made over it, one after the other.
struct Medium {
  std::vector<std::byte> content;
  std::uint32_t erase_block_size_bytes = 0x1000;

  /// The bits of a block that are unstable.
  struct Instability {
    std::vector<std::byte> mask;
    unsigned calm_power_ons = 0;  ///< how often the power comes on before they show
  };
  std::map<std::uint64_t, Instability> unstable{};  ///< by the block's number
};

class TearingDevice final : public flash::Device {
 public:
  /// The power comes on. `medium` must outlive the device. `seed` is that of unstable bits.
  explicit TearingDevice(Medium& medium, std::uint64_t seed = 0);

  /// Arms the cut. A tear that is not one of the operation's kind aborts the process when it is
  /// due: the test is wrong.
  void cut_at(Cut cut);
  /// Whether the cut was due: false says that there were fewer operations.
  bool is_cut() const noexcept { return is_cut_; }
  /// The operations so far, without those that came after the cut.
  const std::vector<Operation>& operations() const noexcept { return operations_; }

  const flash::Geometry& geometry() const noexcept override { return geometry_; }
  const std::string& name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return false; }
  Status read(std::uint64_t offset, std::span<std::byte> out) override;
  /// bit_set applies to stable bits.
  Status program(std::uint64_t offset, std::span<const std::byte> data) override;
  Status erase(flash::Range blocks) override;
  Status sync() override;

 private:
  bool is_due(Operation operation);
  Status powerless() const;
  Status check_bits(std::uint64_t offset, std::span<const std::byte> data) const;
  void tear_program(std::span<std::byte> place, std::span<const std::byte> data) const;
  void tear_erase(std::uint64_t block);

  Medium& medium_;
  flash::Geometry geometry_;
  std::string name_ = "tearing";
  std::uint64_t seed_;
  std::uint64_t reads_ = 0;
  std::map<std::uint64_t, bool> shows_;  ///< the unstable blocks: whether they show it yet
  Cut cut_{.operation = 0};
  bool is_cut_ = false;
  std::vector<Operation> operations_;
};

}  // namespace efistore::test
