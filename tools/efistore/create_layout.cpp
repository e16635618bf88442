// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "create_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "size.hpp"

namespace efistore::tools {

namespace {

/// The smallest block that a layout can have, and what image files erase.
constexpr std::uint64_t default_block_size_bytes = 4096;
constexpr std::array<std::string_view, 3> named_layouts{"ovmf-4m", "ovmf-2m", "aavmf"};

Outcome<store::Layout> choose_named(const LayoutRequest& request) {
  auto layout = store::Layout::by_name(request.name);
  if (!layout) return fail_usage(fmt::format("there is no layout called \"{}\"", request.name));
  if (request.block_size_bytes && *request.block_size_bytes != layout->block_size_bytes) {
    return fail_usage(fmt::format("--block-size: layout {} has blocks of {}", request.name,
                                  format_size(layout->block_size_bytes)));
  }
  if (request.size_bytes && *request.size_bytes < layout->volume_size_bytes) {
    return fail_usage(fmt::format("--size: layout {} needs {}", request.name,
                                  format_size(layout->volume_size_bytes)));
  }
  layout->format = request.format;
  return *layout;
}

Outcome<store::Layout> choose_custom(std::uint64_t size_bytes, std::uint64_t block_size_bytes,
                                     store::RecordFormat format) {
  if (block_size_bytes > std::numeric_limits<std::uint32_t>::max()) {
    return fail_with(fmt::format("no layout has blocks of {}", format_size(block_size_bytes)));
  }
  auto layout =
      store::Layout::custom({.size_bytes = size_bytes,
                             .block_size_bytes = static_cast<std::uint32_t>(block_size_bytes),
                             .format = format});
  if (!layout) return fail_with(layout.error());
  return *layout;
}

}  // namespace

Outcome<store::Layout> choose_layout(const LayoutRequest& request,
                                     const std::optional<flash::Geometry>& medium) {
  if (medium && request.size_bytes && *request.size_bytes > medium->size_bytes) {
    return fail_with(fmt::format("--size: there are only {}", format_size(medium->size_bytes)));
  }
  const bool custom = request.name == "custom";
  if (!request.name.empty() && !custom) return choose_named(request);

  const std::uint64_t smallest_block =
      medium ? std::max<std::uint64_t>(medium->erase_block_size_bytes, default_block_size_bytes)
             : default_block_size_bytes;
  const std::uint64_t block = request.block_size_bytes.value_or(smallest_block);
  if (!request.size_bytes && !medium) {
    if (custom) return fail_usage("--layout custom: a new file needs --size");
    if (block == default_block_size_bytes) {
      return choose_named({.name = "ovmf-4m", .format = request.format});
    }
    return fail_usage("--block-size: a new file with blocks of its own needs --size");
  }
  const std::uint64_t size = request.size_bytes ? *request.size_bytes : medium->size_bytes;
  if (!custom) {
    for (const std::string_view name : named_layouts) {
      auto named = store::Layout::by_name(name);
      if (named->volume_size_bytes == size && named->block_size_bytes == block) {
        named->format = request.format;
        return *named;
      }
    }
  }
  return choose_custom(size, block, request.format);
}

}  // namespace efistore::tools
