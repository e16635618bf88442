// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/source.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace efistore::capsule {

Status MemorySource::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
    return fail(Errc::out_of_range, fmt::format("{} bytes at {} are beyond the end, {}", out.size(),
                                                offset, bytes_.size()));
  }
  std::ranges::copy(bytes_.subspan(offset, out.size()), out.begin());
  return {};
}

Result<std::vector<std::byte>> read_all(const Source& source, const Range& range) {
  std::vector<std::byte> bytes(range.size);
  if (Status read = source.read(range.offset, bytes); !read) return forward(std::move(read));
  return bytes;
}

Status for_each_piece(const Source& source, const Range& range,
                      const std::function<Status(std::span<const std::byte>)>& take) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(range.size, piece_size_bytes));
  for (std::uint64_t done = 0; done < range.size;) {
    const auto piece =
        std::span(buffer).first(std::min<std::uint64_t>(range.size - done, buffer.size()));
    if (Status read = source.read(range.offset + done, piece); !read) return read;
    if (Status taken = take(piece); !taken) return taken;
    done += piece.size();
  }
  return {};
}

}  // namespace efistore::capsule
