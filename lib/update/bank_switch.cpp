// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/bank_switch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/capsule/source.hpp"
#include "efistore/update/image_writer.hpp"

namespace efistore::update {

namespace {

Result<std::vector<std::byte>> read_copy(flash::Device& device) {
  std::vector<std::byte> bytes(
      std::min<std::uint64_t>(device.geometry().size_bytes, capsule::max_fwu_metadata_size_bytes));
  if (Status read = device.read(0, bytes); !read) return forward(std::move(read));
  return bytes;
}

Status write_copy(flash::Device& device, std::span<const std::byte> encoded) {
  const capsule::MemorySource source(encoded);
  auto writer = ImageWriter::create(device, {source, {0, encoded.size()}});
  if (!writer) return forward(std::move(writer));
  BlockSet blocks;
  for (std::uint32_t block = 0; block < writer->block_count(); ++block) blocks.add(block);
  return writer->write(blocks);
}

/// What is remembered of a change: the checksum of the metadata before it, and those after it.
struct Remembered {
  std::uint32_t old_checksum = 0;
  capsule::FwuMetadata metadata;
  std::vector<std::byte> encoded;
};

std::uint32_t checksum_of(std::span<const std::byte> encoded) noexcept {
  return ByteReader(encoded).u32();
}

/// Nothing of a variable that is no change, or of one that somebody else has gone over: a boot
/// loader that reverted, say. Then a copy is valid, and neither old nor new.
std::optional<Remembered> parse_change(std::span<const std::byte> data,
                                       const std::array<flash::Device*, 2>& copies) {
  ByteReader reader(data);
  Remembered change;
  change.old_checksum = reader.u32();
  if (!reader.ok()) return std::nullopt;
  auto metadata = capsule::parse_fwu_metadata(data.subspan(reader.position()));
  if (!metadata) return std::nullopt;
  change.metadata = *std::move(metadata);
  change.encoded = capsule::encode_fwu_metadata(change.metadata);
  for (flash::Device* copy : copies) {
    const auto bytes = read_copy(*copy);
    const auto there = bytes ? capsule::parse_fwu_metadata(*bytes)
                             : Result<capsule::FwuMetadata>(tl::unexpected(bytes.error()));
    if (!there) continue;
    const auto encoded = capsule::encode_fwu_metadata(*there);
    if (encoded != change.encoded && checksum_of(encoded) != change.old_checksum) {
      return std::nullopt;
    }
  }
  return change;
}

}  // namespace

Result<BankSwitch> BankSwitch::open(flash::Device& first, flash::Device& second,
                                    Variables& variables, std::u16string_view key) {
  BankSwitch banks(first, second, variables, u"FwuMetadata" + std::u16string(key));
  const auto remembered = variables.get(banks.name_, guids::update_state);
  if (!remembered) return tl::unexpected(remembered.error());
  if (*remembered) {
    if (const auto change = parse_change(**remembered, banks.copies_)) {
      if (Status written = banks.write(change->encoded); !written) {
        return forward(std::move(written));
      }
    }
    Status forgotten = variables.set(banks.name_, guids::update_state, {});
    if (!forgotten) return forward(std::move(forgotten));
  }
  if (Status loaded = banks.load(); !loaded) return forward(std::move(loaded));
  return banks;
}

Result<capsule::FwuMetadata> BankSwitch::peek(flash::Device& first, flash::Device& second,
                                              Variables& variables, std::u16string_view key) {
  BankSwitch banks(first, second, variables, u"FwuMetadata" + std::u16string(key));
  const auto remembered = variables.get(banks.name_, guids::update_state);
  if (!remembered) return tl::unexpected(remembered.error());
  if (*remembered) {
    if (auto change = parse_change(**remembered, banks.copies_)) return std::move(change->metadata);
  }
  if (Status loaded = banks.load(); !loaded) return forward(std::move(loaded));
  return std::move(banks.metadata_);
}

Status BankSwitch::load() {
  std::string reasons;
  Errc code = Errc::blank;
  for (flash::Device* copy : copies_) {
    const auto bytes = read_copy(*copy);
    if (!bytes) return tl::unexpected(bytes.error());
    auto metadata = capsule::parse_fwu_metadata(*bytes);
    if (metadata) {
      metadata_ = *std::move(metadata);
      return {};
    }
    if (metadata.error().code != Errc::blank) code = Errc::damaged;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", copy->name(),
                           metadata.error().message);
  }
  return fail(code, reasons);
}

Status BankSwitch::write(std::span<const std::byte> encoded) {
  // The power may have gone while one of the two was written: then that one may read as something
  // that it is not for long. The first is written first; once it is new, it was the second.
  const auto first = read_copy(*copies_[0]);
  if (!first) return tl::unexpected(first.error());
  const bool first_is_new = first->size() >= encoded.size() &&
                            equal_bytes(std::span(*first).first(encoded.size()), encoded);
  if (!first_is_new) {
    if (Status written = write_copy(*copies_[0], encoded); !written) return written;
  }
  return write_copy(*copies_[1], encoded);
}

Status BankSwitch::mend_second() {
  const auto first = read_copy(*copies_[0]);
  if (!first) return tl::unexpected(first.error());
  const auto second = read_copy(*copies_[1]);
  if (!second) return tl::unexpected(second.error());
  const auto valid = capsule::parse_fwu_metadata(*first);
  if (!valid) return {};
  const std::vector<std::byte> encoded = capsule::encode_fwu_metadata(*valid);
  if (second->size() >= encoded.size() &&
      equal_bytes(std::span(*second).first(encoded.size()), encoded)) {
    return {};
  }
  return write_copy(*copies_[1], encoded);
}

Status BankSwitch::change(const capsule::FwuMetadata& metadata) {
  const std::vector<std::byte> encoded = capsule::encode_fwu_metadata(metadata);
  for (const flash::Device* copy : copies_) {
    if (copy->geometry().size_bytes < encoded.size()) {
      return fail(Errc::no_space,
                  fmt::format("{}: the metadata have {} bytes, and there is room for {}",
                              copy->name(), encoded.size(), copy->geometry().size_bytes));
    }
  }
  if (Status mended = mend_second(); !mended) return mended;
  std::vector<std::byte> change(sizeof(std::uint32_t));
  ByteWriter(change).u32(checksum_of(capsule::encode_fwu_metadata(metadata_)));
  change.insert(change.end(), encoded.begin(), encoded.end());
  Status remembered = variables_->set(name_, guids::update_state, change);
  if (!remembered) return remembered;
  if (Status written = write(encoded); !written) return written;
  metadata_ = metadata;
  return variables_->set(name_, guids::update_state, {});
}

}  // namespace efistore::update
