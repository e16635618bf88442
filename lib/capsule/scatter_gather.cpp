// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/capsule/scatter_gather.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "efistore/capsule/capsule_header.hpp"

#include "field.hpp"

namespace efistore::capsule {

namespace {

constexpr std::uint64_t descriptor_size = 16;

tl::unexpected<Error> refuse(std::uint64_t at, const std::string& what) {
  return fail(Errc::invalid_argument,
              fmt::format("capsule block descriptor at {:#x}: {}", at, what));
}

/// Ranges of addresses of which no two overlap.
class Claims {
 public:
  /// False if a part of it is claimed already.
  bool claim(std::uint64_t address, std::uint64_t size) {
    const auto next = ends_by_start_.lower_bound(address);
    if (next != ends_by_start_.end() && next->first - address < size) return false;
    if (next != ends_by_start_.begin() && std::prev(next)->second > address) return false;
    ends_by_start_.emplace(address, address + size);
    return true;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> ends_by_start_;
};

class List {
 public:
  List(std::span<const MemoryRegion> memory, const CoalesceLimits& limits) noexcept
      : memory_(memory), limits_(limits) {}

  Result<std::vector<std::vector<std::byte>>> read(std::uint64_t head);

 private:
  struct Block {
    std::uint64_t descriptor = 0;
    std::span<const std::byte> bytes;
  };

  std::optional<std::span<const std::byte>> find(std::uint64_t address, std::uint64_t size) const;
  /// The next block of data; none at the list's end.
  Result<std::optional<Block>> next();
  Status begin(const Block& block);
  Status append(const Block& block);

  std::span<const MemoryRegion> memory_;
  const CoalesceLimits& limits_;
  Claims claims_;
  std::uint64_t position_ = 0;
  std::size_t descriptors_ = 0;
  std::size_t continuations_ = 0;
  std::uint64_t total_ = 0;
  /// Of the capsule that is being put together.
  std::uint64_t missing_ = 0;
  std::vector<std::vector<std::byte>> capsules_;
};

std::optional<std::span<const std::byte>> List::find(std::uint64_t address,
                                                     std::uint64_t size) const {
  for (const MemoryRegion& region : memory_) {
    if (address < region.address) continue;
    const std::uint64_t offset = address - region.address;
    if (offset <= region.bytes.size() && size <= region.bytes.size() - offset) {
      return region.bytes.subspan(offset, size);
    }
  }
  return std::nullopt;
}

Result<std::optional<List::Block>> List::next() {
  while (true) {
    if (position_ % 8 != 0) return refuse(position_, "expected an address aligned to 8 bytes");
    const auto descriptor = find(position_, descriptor_size);
    if (!descriptor) return refuse(position_, "it is outside of the memory there is");
    // A list that comes back to itself meets a descriptor that it had.
    if (!claims_.claim(position_, descriptor_size)) {
      return refuse(position_, "it was part of the list, or of a block, already");
    }
    ByteReader reader(*descriptor);
    const std::uint64_t length = reader.u64();
    const std::uint64_t address = reader.u64();
    const std::uint64_t at = position_;
    if (length == 0) {
      if (address == 0) return std::optional<Block>();
      if (++continuations_ > limits_.max_continuations) {
        return refuse(at, fmt::format("more than {} continuations", limits_.max_continuations));
      }
      position_ = address;
      continue;
    }
    position_ += descriptor_size;
    if (++descriptors_ > limits_.max_descriptors) {
      return refuse(at, fmt::format("more than {} blocks", limits_.max_descriptors));
    }
    if (length > std::numeric_limits<std::uint64_t>::max() - address) {
      return refuse(at, fmt::format("Length {:#x} at {:#x} reaches beyond the address space",
                                    length, address));
    }
    const auto bytes = find(address, length);
    if (!bytes) {
      return refuse(
          at, fmt::format("its block, {} bytes at {:#x}, is outside of the memory there is", length,
                          address));
    }
    if (!claims_.claim(address, length)) {
      return refuse(at, fmt::format("its block, {} bytes at {:#x}, overlaps another or the list",
                                    length, address));
    }
    if (length > limits_.max_size_bytes - total_) {
      return refuse(at, fmt::format("more than {} bytes of capsules", limits_.max_size_bytes));
    }
    total_ += length;
    return Block{at, *bytes};
  }
}

/// The header is looked at where it stands; the blocks behind it are not known yet.
Status List::begin(const Block& block) {
  if (capsules_.size() == limits_.max_capsules) {
    return refuse(block.descriptor, fmt::format("more than {} capsules", limits_.max_capsules));
  }
  if (block.bytes.size() < capsule_header_size) {
    return refuse(block.descriptor,
                  fmt::format("a capsule begins with a block of {} bytes, expected {} at least, "
                              "its header",
                              block.bytes.size(), capsule_header_size));
  }
  ByteReader reader(block.bytes.subspan(16));
  CapsuleHeader header;
  header.guid = Guid::from_bytes(block.bytes);
  header.header_size = reader.u32();
  header.flags = reader.u32();
  header.image_size = reader.u32();
  if (header.image_size < capsule_header_size || header.header_size < capsule_header_size ||
      header.header_size > header.image_size) {
    return refuse(
        block.descriptor,
        fmt::format("the capsule's HeaderSize is {} and its CapsuleImageSize {}, expected "
                    "{} at least, and the first not above the second",
                    header.header_size, header.image_size, capsule_header_size));
  }
  if ((header.flags & flags::persist_across_reset) == 0) {
    return refuse(block.descriptor, "the capsule's Flags lack PERSIST_ACROSS_RESET (0x10000)");
  }
  if (Status checked = check_flags(header); !checked) {
    return refuse(block.descriptor, checked.error().message);
  }
  missing_ = header.image_size;
  capsules_.emplace_back();
  return {};
}

Status List::append(const Block& block) {
  if (block.bytes.size() > missing_) {
    return refuse(block.descriptor,
                  fmt::format("a block of {} bytes, and {} are left of the capsule",
                              block.bytes.size(), missing_));
  }
  missing_ -= block.bytes.size();
  capsules_.back().insert(capsules_.back().end(), block.bytes.begin(), block.bytes.end());
  return {};
}

Result<std::vector<std::vector<std::byte>>> List::read(std::uint64_t head) {
  position_ = head;
  while (true) {
    const auto block = next();
    if (!block) return tl::unexpected(block.error());
    if (!*block) break;
    if (missing_ == 0) {
      if (Status begun = begin(**block); !begun) return forward(std::move(begun));
    }
    if (Status appended = append(**block); !appended) return forward(std::move(appended));
  }
  if (missing_ > 0) {
    return refuse(position_, fmt::format("the list ends {} bytes before the capsule", missing_));
  }
  if (capsules_.empty()) {
    return fail(Errc::not_found, fmt::format("the list at {:#x} has no capsule", head));
  }
  return std::move(capsules_);
}

}  // namespace

Result<std::vector<std::vector<std::byte>>> coalesce(std::span<const MemoryRegion> memory,
                                                     std::uint64_t head,
                                                     const CoalesceLimits& limits) {
  return List(memory, limits).read(head);
}

}  // namespace efistore::capsule
