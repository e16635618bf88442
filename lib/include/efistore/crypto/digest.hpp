// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>

namespace efistore::crypto {

/// SHA-256 of something.
using Digest = std::array<std::byte, 32>;

Digest sha256(std::span<const std::byte> data);

/// Of the parts, one behind the other.
Digest sha256(std::initializer_list<std::span<const std::byte>> parts);

/// SHA-256 of what comes in parts.
class Hash {
 public:
  Hash();
  Hash(Hash&&) noexcept;
  Hash& operator=(Hash&&) noexcept;
  ~Hash();

  void update(std::span<const std::byte> part);
  /// Of all parts. To be called once, and nothing after it.
  Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace efistore::crypto
