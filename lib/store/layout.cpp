// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "efistore/base/bytes.hpp"

#include "fault_tolerant_write.hpp"
#include "firmware_volume.hpp"
#include "ftw_queue.hpp"
#include "layout_search.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};
constexpr std::byte zero{0x00};

using Factory = Layout (*)() noexcept;
constexpr std::array<std::pair<std::string_view, Factory>, 3> builtin{
    {{"ovmf-4m", &Layout::ovmf_4m}, {"ovmf-2m", &Layout::ovmf_2m}, {"aavmf", &Layout::aavmf}}};

bool same_geometry(const Layout& a, const Layout& b) noexcept {
  return a.volume_size_bytes == b.volume_size_bytes && a.block_size_bytes == b.block_size_bytes &&
         a.variables == b.variables;
}

/// How custom() divides a volume.
void divide(Layout& layout) noexcept {
  const std::uint64_t block = layout.block_size_bytes;
  const std::uint64_t shared_blocks = layout.volume_size_bytes / block - 1;
  const std::uint64_t half = shared_blocks / 2 * block;
  layout.variables = {0, half};
  layout.event_log = {half, (shared_blocks % 2) * block};
  layout.ftw_working = {layout.event_log.end(), block};
  layout.ftw_spare = {layout.ftw_working.end(), half};
}

/// The working area with its header at `at`, and the spare behind it, if they fit the volume.
bool take_ftw_at(std::uint64_t at, std::uint64_t working_size, Layout& layout) noexcept {
  if (working_size == 0 || at > layout.volume_size_bytes ||
      working_size > layout.volume_size_bytes - at) {
    return false;
  }
  const std::uint64_t block = layout.block_size_bytes;
  const std::uint64_t spare = (at + working_size + block - 1) / block * block;
  if (at < layout.variables.end() || spare > layout.volume_size_bytes ||
      layout.volume_size_bytes - spare < layout.variables.size) {
    return false;
  }
  layout.event_log = {layout.variables.end(), at - layout.variables.end()};
  layout.ftw_working = {at, working_size};
  layout.ftw_spare = {spare, layout.volume_size_bytes - spare};
  return true;
}

/// Finds the working area behind the variables by its header, which is the only thing on flash that
/// tells; firmware knows it from its build. A header that is `intact` has the state and CRC of its
/// size; one that is not may be what a cut left.
Status locate_ftw(flash::Device& device, bool intact, Layout& layout) {
  std::array<std::byte, ftw_header_size> header{};
  for (std::uint64_t at = layout.variables.end(); at + header.size() <= layout.volume_size_bytes;
       at += ftw_search_step) {
    if (auto done = device.read(at, header); !done) return done;
    const std::uint64_t size = ftw_working_size(header);
    if (size == 0 ||
        (intact && !std::ranges::equal(build_ftw_header(static_cast<std::uint32_t>(size)), header)))
      continue;
    if (take_ftw_at(at, size, layout)) break;
  }
  return {};
}

/// Reads the headers that stand at `offset`: in their place, or in the spare area.
/// Errors: damaged, io.
Result<Headers> read_headers(flash::Device& device, std::uint64_t offset) {
  const std::uint64_t device_size = device.geometry().size_bytes;
  std::vector<std::byte> bytes(std::min<std::uint64_t>(headers_read_size, device_size - offset));
  if (auto done = device.read(offset, bytes); !done) return forward(std::move(done));
  auto volume = parse_volume_header(bytes);
  if (!volume) return forward(std::move(volume));
  const std::uint64_t block = volume->block_size_bytes;
  if (volume->volume_size_bytes > std::min(device_size, max_volume_size_bytes) ||
      volume->volume_size_bytes % block != 0 || volume->volume_size_bytes < block) {
    return fail(
        Errc::damaged,
        fmt::format("the firmware volume's FvLength at {:#x} should be a multiple of the "
                    "block size {:#x} within the device's {:#x} bytes (and {:#x}), is {:#x}",
                    offset + 0x20, block, device_size, max_volume_size_bytes,
                    volume->volume_size_bytes));
  }
  const std::uint16_t header_size = volume->header_size_bytes;
  auto store = parse_store_header(std::span(bytes).subspan(header_size), offset + header_size);
  if (!store) return forward(std::move(store));
  const std::uint64_t variables_size = std::uint64_t{header_size} + store->size_bytes;
  if (store->size_bytes <= store_header_size || variables_size > volume->volume_size_bytes ||
      variables_size % block != 0) {
    return fail(Errc::damaged,
                fmt::format("the variable store's Size at {:#x} should end on a block of {:#x} "
                            "bytes within the volume of {:#x}, is {:#x}",
                            offset + header_size + 16, block, volume->volume_size_bytes,
                            store->size_bytes));
  }
  return Headers{*volume, *store};
}

/// All of the layout that the headers tell.
Layout layout_from(const Headers& headers) noexcept {
  return {
      .volume_size_bytes = headers.volume.volume_size_bytes,
      .block_size_bytes = headers.volume.block_size_bytes,
      .block_map_count = headers.volume.block_count,
      .volume_attributes = headers.volume.attributes,
      .format = headers.store.format,
      .variables = {0, std::uint64_t{headers.volume.header_size_bytes} + headers.store.size_bytes}};
}

/// Whether the working area and the spare can be where `layout` has them, of which no valid working
/// header tells: the spare begins with what tells_ftw(), or is erased behind what resembles a
/// working area. Anything else is somebody's, and not to be erased on a guess.
Result<bool> can_have_ftw(flash::Device& device, const Layout& layout) {
  std::vector<std::byte> spare(layout.ftw_spare.size);
  if (auto done = device.read(layout.ftw_spare.offset, spare); !done)
    return forward(std::move(done));
  if (tells_ftw(spare, layout)) return true;
  if (!is_filled(spare, erased)) return false;
  std::vector<std::byte> working(layout.ftw_working.size);
  if (auto done = device.read(layout.ftw_working.offset, working); !done)
    return forward(std::move(done));
  return resembles_ftw_area(working);
}

}  // namespace

Result<Layout> layout_of(flash::Device& device, const Headers& headers) {
  Layout layout = layout_from(headers);
  Layout located = layout;
  if (auto done = locate_ftw(device, true, located); !done)
    return forward(std::move(done), device.name());
  const flash::Range working = located.ftw_working;
  for (const auto& [name, make] : builtin) {
    const Layout known = make();
    if (!same_geometry(layout, known)) continue;
    // Other firmware may divide a volume of this size in another way. A header in the spare is
    // none: it stands in a copy of some variable's data.
    if (working.size != 0 && working != known.ftw_working &&
        working.offset < known.ftw_spare.offset) {
      return located;
    }
    layout.event_log = known.event_log;
    layout.ftw_working = known.ftw_working;
    layout.ftw_spare = known.ftw_spare;
    return layout;
  }
  if (working.size != 0) return located;
  Layout divided = layout;
  divide(divided);
  if (divided.variables == layout.variables) {
    const auto possible = can_have_ftw(device, divided);
    if (!possible) return forward(Result<bool>(possible), device.name());
    if (*possible) return divided;
  }
  if (auto done = locate_ftw(device, false, layout); !done)
    return forward(std::move(done), device.name());
  return layout;
}

Result<std::optional<Layout>> layout_from_copy(flash::Device& device, flash::Range working,
                                               std::uint64_t spare) {
  const auto headers = read_headers(device, spare);
  if (!headers) {
    if (headers.error().code == Errc::io) return forward(Result<Headers>(headers));
    return std::nullopt;
  }
  Layout layout = layout_from(*headers);
  if (!take_ftw_at(working.offset, working.size, layout) || layout.ftw_spare.offset != spare)
    return std::nullopt;
  return layout;
}

bool is_known_geometry(const Layout& layout) noexcept {
  if (layout.name() != "custom") return true;
  Layout divided = layout;
  if (divided.block_size_bytes == 0 || divided.volume_size_bytes < divided.block_size_bytes)
    return false;
  divide(divided);
  return divided.variables == layout.variables;
}

namespace {

/// The layout of a volume whose variables are being copied back from the spare area, found without
/// its own headers: by a working header with the headers' copy behind it and a queue that says so.
/// Only the first that has such a copy is looked at, which keeps the search linear.
Result<std::optional<Layout>> find_pending_copy(flash::Device& device) {
  const std::uint64_t end = std::min(device.geometry().size_bytes, max_volume_size_bytes);
  std::array<std::byte, ftw_header_size> header{};
  for (std::uint64_t at = 0; at + header.size() <= end; at += ftw_search_step) {
    if (auto done = device.read(at, header); !done) return forward(std::move(done));
    const std::uint64_t size = ftw_working_size(header);
    if (size == 0 || size >= end - at) continue;
    // The spare begins at the next erase block, whose size only the copy tells.
    for (const std::uint64_t block : {ftw_search_step, std::uint64_t{0x1000}}) {
      const std::uint64_t spare = (at + size + block - 1) / block * block;
      if (spare >= end) continue;
      auto layout = layout_from_copy(device, {at, size}, spare);
      if (!layout) return forward(std::move(layout));
      if (!*layout) continue;
      auto ftw = read_ftw(device, **layout);
      if (!ftw) return forward(std::move(ftw));
      if (ftw->state != FtwState::copying) return std::nullopt;
      return layout;
    }
  }
  return std::nullopt;
}

/// Errors: blank if the device, as far as a volume can reach, holds nothing but one fill byte, else
/// none. The rest of a device, terabytes of a sparse file perhaps, is not looked at.
Status check_blank(flash::Device& device) {
  std::vector<std::byte> chunk(64U << 10);
  const std::uint64_t device_size = device.geometry().size_bytes;
  const std::uint64_t size = std::min(device_size, max_volume_size_bytes);
  std::byte fill{};
  for (std::uint64_t at = 0; at < size; at += chunk.size()) {
    const std::span part(chunk.data(), std::min<std::uint64_t>(chunk.size(), size - at));
    if (auto done = device.read(at, part); !done) return done;
    if (at == 0) fill = part.front();
    if ((fill != erased && fill != zero) || !is_filled(part, fill)) return {};
  }
  return fail(Errc::blank, fmt::format("{} is blank: all of its {}{} bytes are {}", device.name(),
                                       size < device_size ? "first " : "", size,
                                       fill == erased ? "0xff" : "zero"));
}

}  // namespace

std::string_view to_string(RecordFormat format) noexcept {
  return format == RecordFormat::authenticated ? "auth" : "normal";
}

Layout Layout::ovmf_4m() noexcept {
  return {.volume_size_bytes = 0x84000,
          .block_size_bytes = 0x1000,
          .block_map_count = 0x84,
          .variables = {0, 0x40000},
          .event_log = {0x40000, 0x1000},
          .ftw_working = {0x41000, 0x1000},
          .ftw_spare = {0x42000, 0x42000}};
}

Layout Layout::ovmf_2m() noexcept {
  return {.volume_size_bytes = 0x20000,
          .block_size_bytes = 0x1000,
          .block_map_count = 0x20,
          .variables = {0, 0xe000},
          .event_log = {0xe000, 0x1000},
          .ftw_working = {0xf000, 0x1000},
          .ftw_spare = {0x10000, 0x10000}};
}

Layout Layout::aavmf() noexcept {
  return {.volume_size_bytes = 0xc0000,
          .block_size_bytes = 0x40000,
          .block_map_count = 0x100,
          .volume_attributes = 0x00000e36,
          .variables = {0, 0x40000},
          .event_log = {},
          .ftw_working = {0x40000, 0x40000},
          .ftw_spare = {0x80000, 0x40000}};
}

Result<Layout> Layout::custom(const Custom& wanted) {
  const std::uint64_t block = wanted.block_size_bytes;
  if (!std::has_single_bit(block) || block < 0x1000 || block > 0x100000) {
    return fail(
        Errc::invalid_argument,
        fmt::format("block size {:#x}: expected a power of two from 0x1000 to 0x100000", block));
  }
  if (wanted.size_bytes % block != 0 || wanted.size_bytes < 3 * block ||
      wanted.size_bytes > max_volume_size_bytes) {
    return fail(
        Errc::invalid_argument,
        fmt::format("size {:#x}: expected a multiple of the block size {:#x} from {:#x} to {:#x}",
                    wanted.size_bytes, block, 3 * block, max_volume_size_bytes));
  }
  Layout layout{.volume_size_bytes = wanted.size_bytes,
                .block_size_bytes = wanted.block_size_bytes,
                .block_map_count = static_cast<std::uint32_t>(wanted.size_bytes / block),
                .format = wanted.format};
  divide(layout);
  return layout;
}

std::optional<Layout> Layout::by_name(std::string_view name) noexcept {
  for (const auto& [known, make] : builtin) {
    if (known == name) return make();
  }
  return std::nullopt;
}

std::string_view Layout::name() const noexcept {
  for (const auto& [known, make] : builtin) {
    if (same_geometry(*this, make())) return known;
  }
  return "custom";
}

Result<Layout> detect_layout(flash::Device& device) {
  const auto headers = read_headers(device, 0);
  // Headers that cannot be read are not headers that are gone.
  if (!headers && headers.error().code == Errc::io) return forward(Result<Headers>(headers));
  if (headers && headers->volume.checksum_valid) return layout_of(device, *headers);
  // A cut while the variables were copied back leaves no headers, or a part of them.
  auto pending = find_pending_copy(device);
  if (!pending) return forward(std::move(pending), device.name());
  if (*pending) return **pending;
  if (headers) return layout_of(device, *headers);
  if (auto blank = check_blank(device); !blank) return forward(std::move(blank));
  return forward(Result<Headers>(headers), device.name());
}

}  // namespace efistore::store
