// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/store/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "efistore/base/bytes.hpp"

#include "firmware_volume.hpp"
#include "ftw.hpp"

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

/// Finds the working area behind the variables by its header, which is the only thing on flash that
/// tells; firmware knows it from its build.
Status locate_ftw(flash::Device& device, Layout& layout) {
  constexpr std::uint64_t step = 512;
  std::array<std::byte, ftw_header_size> header{};
  for (std::uint64_t at = layout.variables.end(); at + header.size() <= layout.volume_size_bytes;
       at += step) {
    if (auto done = device.read(at, header); !done) return done;
    const std::uint64_t size = ftw_working_size(header);
    if (size == 0 || size > layout.volume_size_bytes - at) continue;
    const std::uint64_t block = layout.block_size_bytes;
    const std::uint64_t spare = (at + size + block - 1) / block * block;
    if (spare > layout.volume_size_bytes ||
        layout.volume_size_bytes - spare < layout.variables.size) {
      continue;
    }
    layout.event_log = {layout.variables.end(), at - layout.variables.end()};
    layout.ftw_working = {at, size};
    layout.ftw_spare = {spare, layout.volume_size_bytes - spare};
    return {};
  }
  return {};
}

/// Errors: blank if the device holds nothing but one fill byte, else none.
Status check_blank(flash::Device& device) {
  std::vector<std::byte> chunk(64U << 10);
  const std::uint64_t size = device.geometry().size_bytes;
  std::byte fill{};
  for (std::uint64_t at = 0; at < size; at += chunk.size()) {
    const std::span part(chunk.data(), std::min<std::uint64_t>(chunk.size(), size - at));
    if (auto done = device.read(at, part); !done) return done;
    if (at == 0) fill = part.front();
    if ((fill != erased && fill != zero) || !is_filled(part, fill)) return {};
  }
  return fail(Errc::blank, fmt::format("{} is blank: all of its {} bytes are {}", device.name(),
                                       size, fill == erased ? "0xff" : "zero"));
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
  const std::uint64_t device_size = device.geometry().size_bytes;
  std::vector<std::byte> bytes(std::min<std::uint64_t>(headers_read_size, device_size));
  if (auto done = device.read(0, bytes); !done) return forward(std::move(done), device.name());
  const auto volume = parse_volume_header(bytes);
  if (!volume) {
    if (auto blank = check_blank(device); !blank) return forward(std::move(blank));
    return forward(Result<VolumeHeader>(volume), device.name());
  }
  const std::uint64_t block = volume->block_size_bytes;
  if (volume->volume_size_bytes > std::min(device_size, max_volume_size_bytes) ||
      volume->volume_size_bytes % block != 0 || volume->volume_size_bytes < block) {
    return fail(
        Errc::damaged,
        fmt::format("{}: the firmware volume's FvLength at 0x20 should be a multiple of the "
                    "block size {:#x} within the device's {:#x} bytes (and {:#x}), is {:#x}",
                    device.name(), block, device_size, max_volume_size_bytes,
                    volume->volume_size_bytes));
  }
  const std::uint16_t header_size = volume->header_size_bytes;
  const auto store = parse_store_header(std::span(bytes).subspan(header_size), header_size);
  if (!store) return forward(Result<StoreHeader>(store), device.name());
  const std::uint64_t variables_size = std::uint64_t{header_size} + store->size_bytes;
  if (store->size_bytes <= store_header_size || variables_size > volume->volume_size_bytes ||
      variables_size % block != 0) {
    return fail(Errc::damaged,
                fmt::format("{}: the variable store's Size at {:#x} should end on a block of {:#x} "
                            "bytes within the volume of {:#x}, is {:#x}",
                            device.name(), header_size + 16, block, volume->volume_size_bytes,
                            store->size_bytes));
  }
  Layout layout{.volume_size_bytes = volume->volume_size_bytes,
                .block_size_bytes = volume->block_size_bytes,
                .block_map_count = volume->block_count,
                .volume_attributes = volume->attributes,
                .format = store->format,
                .variables = {0, variables_size}};
  for (const auto& [name, make] : builtin) {
    if (const Layout known = make(); same_geometry(layout, known)) {
      layout.event_log = known.event_log;
      layout.ftw_working = known.ftw_working;
      layout.ftw_spare = known.ftw_spare;
      return layout;
    }
  }
  if (auto done = locate_ftw(device, layout); !done) return forward(std::move(done), device.name());
  if (layout.ftw_working.size == 0) {
    Layout divided = layout;
    divide(divided);
    if (divided.variables == layout.variables) layout = divided;
  }
  return layout;
}

}  // namespace efistore::store
