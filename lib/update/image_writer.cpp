// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/image_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "efistore/base/bytes.hpp"

namespace efistore::update {

namespace {

/// A run of erased bytes that is longer is not programmed.
constexpr std::size_t program_granule_bytes = 256;

}  // namespace

ImageWriter::ImageWriter(flash::Device& target, const Firmware& firmware)
    : target_(&target),
      firmware_(firmware),
      block_size_(target.geometry().erase_block_size_bytes),
      wanted_(block_size_),
      read_(block_size_) {}

Result<ImageWriter> ImageWriter::create(flash::Device& target, const Firmware& firmware) {
  const flash::Geometry& geometry = target.geometry();
  if (geometry.erase_block_size_bytes > max_erase_block_size_bytes ||
      geometry.size_bytes / geometry.erase_block_size_bytes >=
          std::numeric_limits<std::uint32_t>::max()) {
    return fail(Errc::unsupported,
                fmt::format("{}: {} bytes in erase blocks of {}, expected less than 2^32 blocks of "
                            "at most {}",
                            target.name(), geometry.size_bytes, geometry.erase_block_size_bytes,
                            max_erase_block_size_bytes));
  }
  if (firmware.range.size > geometry.size_bytes) {
    return fail(Errc::no_space,
                fmt::format("{}: the firmware has {} bytes, and there is room for {}",
                            target.name(), firmware.range.size, geometry.size_bytes));
  }
  return ImageWriter(target, firmware);
}

std::uint64_t ImageWriter::block_count() const noexcept {
  return (firmware_.range.size + block_size_ - 1) / block_size_;
}

Result<std::span<const std::byte>> ImageWriter::firmware_of(std::uint32_t block) {
  const std::uint64_t begin = std::uint64_t{block} * block_size_;
  const auto part =
      std::span(wanted_).first(std::min<std::uint64_t>(block_size_, firmware_.range.size - begin));
  if (Status read = firmware_.source.read(firmware_.range.offset + begin, part); !read) {
    return forward(std::move(read));
  }
  return part;
}

Result<bool> ImageWriter::is_same(std::uint32_t block) {
  const auto wanted = firmware_of(block);
  if (!wanted) return tl::unexpected(wanted.error());
  const auto there = std::span(read_).first(wanted->size());
  if (Status read = target_->read(std::uint64_t{block} * block_size_, there); !read) {
    return forward(std::move(read));
  }
  return equal_bytes(there, *wanted);
}

Result<BlockSet> ImageWriter::compare(const Progress& progress) {
  BlockSet different;
  for (std::uint32_t block = 0; block < block_count(); ++block) {
    const auto same = is_same(block);
    if (!same) return tl::unexpected(same.error());
    if (!*same) different.add(block);
    if (progress) {
      progress(
          std::min<std::uint64_t>((std::uint64_t{block} + 1) * block_size_, firmware_.range.size),
          firmware_.range.size);
    }
  }
  return different;
}

Result<BlockSet> ImageWriter::possibly_cut(const WritePlan& plan) {
  // In the order of write(), blocks in front of the one that was cut are done, and those behind it
  // are as they were. So it is the first that is not done, or, if it reads as if it were done, the
  // one in front of that. Of a plan that is not exact it is known only of the ends of a run that
  // they had to be written: any block since the last such one may be the one in front.
  BlockSet cut;
  bool found = false;
  if (plan.differing == WritePlan::Differing::unknown) return plan.blocks;
  const bool is_exact = plan.differing == WritePlan::Differing::all;
  for (const BlockSet::Run& run : plan.blocks.runs()) {
    for (std::uint32_t block = run.first; block < run.end() && !found; ++block) {
      if (block == 0) continue;
      if (block >= block_count()) {
        return fail(Errc::out_of_range, fmt::format("{}: block {} is behind the firmware's {}",
                                                    target_->name(), block, block_count()));
      }
      const auto same = is_same(block);
      if (!same) return tl::unexpected(same.error());
      found = !*same;
      if (*same && (is_exact || block == run.first || block + 1 == run.end())) cut = {};
      cut.add(block);
    }
  }
  // The first one is erased before all others, and programmed behind them.
  if (plan.blocks.contains(0)) cut.add(0);
  return cut;
}

Status ImageWriter::erase(std::uint32_t block) {
  if (Status erased = target_->erase({std::uint64_t{block} * block_size_, block_size_}); !erased) {
    return erased;
  }
  return target_->sync();
}

Status ImageWriter::program(std::uint32_t block) {
  const auto wanted = firmware_of(block);
  if (!wanted) return tl::unexpected(wanted.error());
  const std::uint64_t begin = std::uint64_t{block} * block_size_;
  // Whole write units: erased bytes behind the firmware's end stay erased.
  std::fill(wanted_.begin() + static_cast<std::ptrdiff_t>(wanted->size()), wanted_.end(),
            std::byte{0xff});
  const std::size_t granule =
      std::max<std::size_t>(program_granule_bytes, target_->geometry().write_unit_bytes);
  for (std::size_t at = 0; at < block_size_;) {
    // Neighbouring granules in one request.
    std::size_t end = at;
    const auto is_erased = [&](std::size_t from) {
      return is_filled(std::span(wanted_).subspan(from, std::min(granule, block_size_ - from)),
                       std::byte{0xff});
    };
    while (end < block_size_ && !is_erased(end))
      end = std::min<std::size_t>(end + granule, block_size_);
    if (end > at) {
      Status programmed = target_->program(begin + at, std::span(wanted_).subspan(at, end - at));
      if (!programmed) return programmed;
    }
    at = end + granule;
  }
  if (Status synced = target_->sync(); !synced) return synced;
  if (Status read = target_->read(begin, read_); !read) return read;
  if (!equal_bytes(read_, wanted_)) {
    const auto [there, _] = std::ranges::mismatch(read_, wanted_);
    return fail(Errc::io, fmt::format("{}: byte {} reads back as {:#04x} after it was programmed",
                                      target_->name(),
                                      begin + static_cast<std::uint64_t>(there - read_.begin()),
                                      std::to_integer<unsigned>(*there)));
  }
  return {};
}

Status ImageWriter::write(const BlockSet& blocks, const Progress& progress) {
  const std::uint64_t total = blocks.count() * block_size_;
  std::uint64_t done = 0;
  if (blocks.contains(0)) {
    if (Status erased = erase(0); !erased) return erased;
  }
  const auto finish = [&](std::uint32_t block) {
    if (Status programmed = program(block); !programmed) return programmed;
    done += block_size_;
    if (progress) progress(done, total);
    return Status();
  };
  for (const BlockSet::Run& run : blocks.runs()) {
    for (std::uint32_t block = run.first; block < run.end(); ++block) {
      if (block >= block_count()) {
        return fail(Errc::out_of_range, fmt::format("{}: block {} is behind the firmware's {}",
                                                    target_->name(), block, block_count()));
      }
      if (block == 0) continue;
      if (Status erased = erase(block); !erased) return erased;
      if (Status finished = finish(block); !finished) return finished;
    }
  }
  return blocks.contains(0) ? finish(0) : Status();
}

}  // namespace efistore::update
