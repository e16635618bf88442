// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/base/guid.hpp"
#include "efistore/capsule/source.hpp"
#include "efistore/crypto/certificate.hpp"

#include "support/vectors.hpp"

namespace efistore::capsule::test {

using Bytes = std::vector<std::byte>;

/// The image types of the vectors.
inline constexpr Guid type_a = *Guid::parse("6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01");
inline constexpr Guid type_b = *Guid::parse("9d1b6c3a-02f4-4f0e-8a9f-5b1f6d7e2b02");

inline Bytes load(std::string_view name) {
  return efistore::test::load_vector("capsule/" + std::string(name)).value();
}

inline crypto::Certificate certificate(std::string_view name) {
  return crypto::Certificate::from_der(load(name)).value();
}

inline void put_u32(Bytes& bytes, std::size_t offset, std::uint32_t value) {
  ByteWriter(std::span(bytes).subspan(offset, 4)).u32(value);
}

/// A source that counts what is read of it, and can be changed behind the reader's back.
class CountingSource final : public Source {
 public:
  explicit CountingSource(Bytes bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t size() const noexcept override { return bytes_.size(); }
  Status read(std::uint64_t offset, std::span<std::byte> out) const override {
    largest_read_ = std::max(largest_read_, out.size());
    ++reads_;
    if (reads_ == fail_at_) return fail(Errc::io, "the medium has failed");
    return MemorySource(bytes_).read(offset, out);
  }

  Bytes& bytes() noexcept { return bytes_; }
  std::size_t largest_read() const noexcept { return largest_read_; }
  std::size_t reads() const noexcept { return reads_; }
  void fail_at(std::size_t read) noexcept {
    reads_ = 0;
    fail_at_ = read;
  }

 private:
  Bytes bytes_;
  mutable std::size_t largest_read_ = 0;
  mutable std::size_t reads_ = 0;
  std::size_t fail_at_ = 0;
};

}  // namespace efistore::capsule::test
