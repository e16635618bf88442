// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "fault_tolerant_write.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "efistore/base/bytes.hpp"

#include "device_failure.hpp"
#include "firmware_volume.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};

enum class Erase {
  used,  ///< blocks that are not erased
  all,   ///< blocks that read as erased too: an erase that was cut may have left them unstable
};

/// One write of the variables area, from an idle queue to an idle queue, or the rest of one.
class Writer {
 public:
  Writer(flash::Device& device, const Layout& layout) : device_(device), layout_(layout) {}

  /// Makes the working area a new one. The old header is cleared first, so that no mixture of old
  /// and erased bits in a block whose erase was cut can pass for a valid queue. As EDK2 does, a
  /// copy of the new header is put into the spare before, so that all the while something tells
  /// where the areas are; the next write erases it.
  Status reset() {
    const flash::Range working = layout_.ftw_working;
    const std::uint64_t block = layout_.block_size_bytes;
    if (working.offset % block != 0 || working.size % block != 0) {
      return fail(Errc::unsupported,
                  fmt::format("the working area of {:#x} bytes at {:#x} shares an erase block with "
                              "something else",
                              working.size, working.offset));
    }
    if (auto done = put_header_copy(); !done) return done;
    const std::vector<std::byte> cleared(ftw_header_size);
    if (auto done = program(working.offset, cleared); !done) return done;
    if (auto done = erase(working, Erase::all); !done) return done;
    return program(working.offset, build_ftw_header(static_cast<std::uint32_t>(working.size)));
  }

  /// Puts an entry for the variables at the queue's end. Its sizes stand, and are synced, before
  /// the bit is cleared that makes EDK2 believe them.
  Status allocate(std::uint32_t queue_end) {
    entry_ = layout_.ftw_working.offset + queue_end;
    const auto entry = build_ftw_entry(layout_);
    const std::span bytes(entry);
    if (auto done = program_used(entry_, bytes.first(ftw_write_header_size)); !done) return done;
    if (auto done = set_header(ftw_state::allocated); !done) return done;
    if (auto done = set_header(ftw_state::writes_allocated); !done) return done;
    record_ = entry_ + ftw_write_header_size;
    return program_used(record_, bytes.subspan(ftw_write_header_size));
  }

  /// As allocate(), of a write whose data is in the spare already.
  Status allocate_staged(std::uint32_t queue_end) {
    entry_ = layout_.ftw_working.offset + queue_end;
    record_ = entry_ + ftw_write_header_size;
    auto entry = build_ftw_entry(layout_);
    entry[ftw_write_header_size] = ftw_state::spare_complete;
    if (auto done = program_used(entry_, entry); !done) return done;
    if (auto done = set_header(ftw_state::allocated); !done) return done;
    return set_header(ftw_state::writes_allocated);
  }

  /// Takes up the write that was found under way.
  void resume(const FtwInspection& found) {
    entry_ = layout_.ftw_working.offset + found.queue_end;
    record_ = layout_.ftw_working.offset + found.record;
  }

  Status stage(std::span<const std::byte> wanted) {
    const flash::Range spare{layout_.ftw_spare.offset, layout_.variables.size};
    if (auto done = erase(spare, Erase::used); !done) return done;
    if (auto done = program_used(spare.offset, wanted); !done) return done;
    std::vector<std::byte> staged(wanted.size());
    if (auto done = device_.read(spare.offset, staged); !done) return done;
    if (!equal_bytes(staged, wanted)) {
      return fail(Errc::io, fmt::format("the spare area at {:#x} does not keep what is written",
                                        spare.offset));
    }
    return set_record(ftw_state::spare_complete);
  }

  Status copy(std::span<const std::byte> wanted, Erase mode) {
    const std::size_t block = layout_.block_size_bytes;
    std::vector<std::byte> current(block);
    for (std::size_t at = 0; at < wanted.size(); at += block) {
      const flash::Range place{layout_.variables.offset + at, block};
      const auto part = wanted.subspan(at, block);
      if (auto done = device_.read(place.offset, current); !done) return done;
      if (mode == Erase::used && equal_bytes(current, part)) continue;
      auto done = at == 0 ? copy_headers(place, part) : copy_block(place, part, mode);
      if (!done) return done;
    }
    return set_record(ftw_state::destination_complete);
  }

  /// The spare is erased while the entry is still open: a queue that is idle says that no erase of
  /// it was cut.
  Status complete() {
    if (auto done = erase({layout_.ftw_spare.offset, layout_.variables.size}, spare_erase_); !done)
      return done;
    std::byte state{};
    if (auto done = device_.read(entry_, std::span(&state, 1)); !done) return done;
    return set_header(state & ftw_state::complete_mask);
  }

  /// From here on no block is trusted to be stable because it reads as erased.
  void distrust_erased() { spare_erase_ = Erase::all; }

 private:
  Status program(std::uint64_t offset, std::span<const std::byte> data) {
    if (auto done = device_.program(offset, data); !done) return device_failure(std::move(done));
    return sync();
  }

  Status sync() { return device_failure(device_.sync()); }

  /// A spare that begins with a copy of the volume's headers needs no other, and may be the only
  /// place where the variables are.
  Status put_header_copy() {
    const flash::Range place{layout_.ftw_spare.offset, layout_.ftw_working.size};
    if (layout_.ftw_spare.size < place.size) return {};
    std::vector<std::byte> begin(std::min<std::uint64_t>(headers_read_size, place.size));
    if (auto done = device_.read(place.offset, begin); !done) return done;
    if (tells_ftw(begin, layout_)) return {};
    // A former cut may have left blocks that only seem to be erased.
    if (auto done = erase(place, Erase::all); !done) return done;
    return program(place.offset, build_ftw_header(static_cast<std::uint32_t>(place.size)));
  }

  Status copy_block(flash::Range place, std::span<const std::byte> wanted, Erase mode) {
    if (auto done = erase(place, mode); !done) return done;
    return program_used(place.offset, wanted);
  }

  /// The volume's signature goes first and comes last, so that headers of which a cut has left some
  /// bits, a Size with one bit too many perhaps, are never taken for headers.
  Status copy_headers(flash::Range place, std::span<const std::byte> wanted) {
    const std::uint64_t signature = place.offset + volume_signature_offset;
    if (auto done = program(signature, std::vector<std::byte>(volume_signature_size)); !done)
      return done;
    std::vector<std::byte> unsigned_block(wanted.begin(), wanted.end());
    const auto gap = std::span(unsigned_block).subspan(volume_signature_offset);
    std::ranges::fill(gap.first(volume_signature_size), erased);
    if (auto done = copy_block(place, unsigned_block, Erase::all); !done) return done;
    return program(signature, wanted.subspan(volume_signature_offset, volume_signature_size));
  }

  Status set_header(std::byte state) { return program(entry_, std::span(&state, 1)); }
  Status set_record(std::byte state) { return program(record_, std::span(&state, 1)); }

  /// Programs the bytes of `wanted` that are not erased, leaving out long erased stretches.
  Status program_used(std::uint64_t offset, std::span<const std::byte> wanted) {
    constexpr std::size_t page = 256;  // what NOR parts program in one go
    for (std::size_t at = 0; at < wanted.size(); at += page) {
      const auto part = wanted.subspan(at, std::min(page, wanted.size() - at));
      if (is_filled(part, erased)) continue;
      const auto first = std::ranges::find_if(part, [](std::byte b) { return b != erased; });
      const auto last =
          std::find_if(part.rbegin(), part.rend(), [](std::byte b) { return b != erased; });
      const auto begin = static_cast<std::size_t>(first - part.begin());
      const auto end = part.size() - static_cast<std::size_t>(last - part.rbegin());
      if (auto done = device_.program(offset + at + begin, part.subspan(begin, end - begin));
          !done) {
        return device_failure(std::move(done));
      }
    }
    return sync();
  }

  Status erase(flash::Range range, Erase mode) {
    std::vector<std::byte> block(layout_.block_size_bytes);
    bool erased_any = false;
    for (std::uint64_t at = range.offset; at < range.end(); at += block.size()) {
      if (mode == Erase::used) {
        if (auto done = device_.read(at, block); !done) return done;
        if (is_filled(block, erased)) continue;
      }
      if (auto done = device_.erase({at, block.size()}); !done)
        return device_failure(std::move(done));
      erased_any = true;
    }
    return erased_any ? sync() : Status{};
  }

  flash::Device& device_;
  const Layout& layout_;
  std::uint64_t entry_ = 0;
  std::uint64_t record_ = 0;
  Erase spare_erase_ = Erase::used;
};

Status finish(flash::Device& device, const Layout& layout, Writer& writer) {
  std::vector<std::byte> staged(layout.variables.size);
  if (auto done = device.read(layout.ftw_spare.offset, staged); !done) return done;
  if (auto done = writer.copy(staged, Erase::all); !done) return done;
  return writer.complete();
}

/// Whether `bytes` begin with headers of the volume that `layout` is of. EDK2 copies whatever
/// stands in the spare; here a store is not given for less than what could be opened in its place.
bool has_headers_of(const Layout& layout, std::span<const std::byte> bytes) {
  const auto volume = parse_volume_header(bytes);
  if (!volume || volume->volume_size_bytes != layout.volume_size_bytes ||
      volume->block_size_bytes != layout.block_size_bytes) {
    return false;
  }
  const std::uint16_t header_size = volume->header_size_bytes;
  const auto store = parse_store_header(bytes.subspan(header_size), header_size);
  return store && store->format == layout.format && store->size_bytes > store_header_size &&
         std::uint64_t{header_size} + store->size_bytes == layout.variables.size;
}

bool has_room(const Layout& layout, const FtwInspection& ftw) noexcept {
  return layout.ftw_working.size - ftw.queue_end >= ftw_entry_size;
}

}  // namespace

bool tells_ftw(std::span<const std::byte> spare, const Layout& layout) {
  const auto header = build_ftw_header(static_cast<std::uint32_t>(layout.ftw_working.size));
  if (spare.size() >= header.size() && std::ranges::equal(spare.first(header.size()), header))
    return true;
  const auto volume = parse_volume_header(spare);
  return volume && volume->volume_size_bytes == layout.volume_size_bytes;
}

Result<FtwInspection> read_ftw(flash::Device& device, const Layout& layout) {
  std::vector<std::byte> working(layout.ftw_working.size);
  if (auto done = device.read(layout.ftw_working.offset, working); !done)
    return forward(std::move(done));
  FtwInspection found = inspect_ftw(working, layout);
  if (found.state != FtwState::copying) return found;
  std::vector<std::byte> headers(std::min<std::uint64_t>(headers_read_size, layout.variables.size));
  if (auto done = device.read(layout.ftw_spare.offset, headers); !done)
    return forward(std::move(done));
  if (!has_headers_of(layout, headers)) {
    found.state = FtwState::broken;
    found.detail = fmt::format(
        "the write at {:#x} of the working area should have its data in the "
        "spare area at {:#x}, and no variables of this volume are there",
        found.queue_end, layout.ftw_spare.offset);
  }
  return found;
}

flash::Range valid_variables(const FtwInspection& ftw, const Layout& layout) noexcept {
  if (ftw.state == FtwState::copying) return {layout.ftw_spare.offset, layout.variables.size};
  return layout.variables;
}

Result<FtwRecovery> recover_variables(flash::Device& device, const Layout& layout) {
  const auto ftw = read_ftw(device, layout);
  if (!ftw) return forward(Result<FtwInspection>(ftw));
  Writer writer(device, layout);
  writer.resume(*ftw);
  writer.distrust_erased();
  Status done;
  FtwRecovery recovery = FtwRecovery::none;
  switch (ftw->state) {
    case FtwState::absent:
    case FtwState::idle:
      break;
    case FtwState::invalid:
      done = writer.reset();
      recovery = FtwRecovery::reset;
      break;
    case FtwState::staged:
      done = ftw->tail_used ? writer.reset() : writer.complete();
      recovery = FtwRecovery::dropped;
      break;
    case FtwState::copying:
      done = finish(device, layout, writer);
      recovery = FtwRecovery::finished;
      break;
    case FtwState::copied:
      done = writer.complete();
      recovery = FtwRecovery::finished;
      break;
    case FtwState::foreign:
      return fail(Errc::unsupported,
                  fmt::format("firmware was interrupted in a write that only it can finish: {}",
                              ftw->detail));
    case FtwState::broken:
      return fail(Errc::damaged, ftw->detail);
  }
  if (!done) return forward(std::move(done));
  return recovery;
}

Status restart_queue(flash::Device& device, const Layout& layout) {
  return Writer(device, layout).reset();
}

Status take_spare(flash::Device& device, const Layout& layout) {
  auto ftw = read_ftw(device, layout);
  if (!ftw) return forward(std::move(ftw));
  Writer writer(device, layout);
  writer.distrust_erased();
  if (ftw->state != FtwState::idle || ftw->tail_used || !has_room(layout, *ftw)) {
    if (auto done = writer.reset(); !done) return done;
    ftw = read_ftw(device, layout);
    if (!ftw) return forward(std::move(ftw));
  }
  if (ftw->state != FtwState::idle) return fail(Errc::damaged, ftw->detail);
  if (auto done = writer.allocate_staged(ftw->queue_end); !done) return done;
  return finish(device, layout, writer);
}

Status write_variables(flash::Device& device, const Layout& layout,
                       std::span<const std::byte> wanted) {
  if (layout.ftw_working.size == 0 || layout.ftw_spare.size < layout.variables.size) {
    return fail(Errc::unsupported,
                fmt::format("{} has no spare area that holds its variables, without which they "
                            "cannot be rewritten safely",
                            device.name()));
  }
  std::vector<std::byte> current(wanted.size());
  if (auto done = device.read(layout.variables.offset, current); !done) return done;
  if (equal_bytes(current, wanted)) return {};

  auto ftw = read_ftw(device, layout);
  if (!ftw) return forward(std::move(ftw));
  Writer writer(device, layout);
  if (ftw->state == FtwState::invalid ||
      (ftw->state == FtwState::idle && (ftw->tail_used || !has_room(layout, *ftw)))) {
    if (auto done = writer.reset(); !done) return done;
    ftw = read_ftw(device, layout);
    if (!ftw) return forward(std::move(ftw));
  }
  if (ftw->state != FtwState::idle) {
    return fail(Errc::damaged, fmt::format("{}: the fault-tolerant queue is not idle but {}",
                                           device.name(), to_string(ftw->state)));
  }
  if (auto done = writer.allocate(ftw->queue_end); !done) return done;
  if (auto done = writer.stage(wanted); !done) return done;
  if (auto done = writer.copy(wanted, Erase::used); !done) return done;
  return writer.complete();
}

}  // namespace efistore::store
