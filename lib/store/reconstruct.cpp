// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "reconstruct.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"

#include "fault_tolerant_write.hpp"
#include "firmware_volume.hpp"
#include "ftw_queue.hpp"
#include "layout_search.hpp"
#include "salvage.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};

// What each piece of evidence weighs. A single header field can be right by chance; a working
// header has a CRC, and a volume header a sum.
constexpr unsigned weak_evidence = 1;
constexpr unsigned field_evidence = 2;
constexpr unsigned strong_evidence = 4;
/// A working header where a known layout has it: nobody else has the rest of it.
constexpr unsigned known_evidence = 3;
/// Less than this is not believed: two fields and a half.
constexpr unsigned least_weight = 5;

// Offsets in the volume header and in the store header behind it.
constexpr std::size_t volume_size_offset = 32;
constexpr std::size_t attributes_offset = 44;
constexpr std::size_t checksum_offset = 50;
constexpr std::size_t block_count_offset = 56;
constexpr std::size_t block_size_offset = 60;
constexpr std::size_t store_size_offset = volume_header_size + 16;

template <typename T>
T field(std::span<const std::byte> bytes, std::size_t offset) noexcept {
  return bytes.size() < offset ? T{} : ByteReader(bytes.subspan(offset)).read<T>();
}

/// Everything that can tell a layout, read once.
struct Evidence {
  std::span<const std::byte> image;
  std::vector<flash::Range> working;  ///< areas with an intact working header
};

std::vector<flash::Range> intact_working_areas(std::span<const std::byte> image) {
  constexpr std::size_t enough = 16;  // a hostile image is full of them
  std::vector<flash::Range> areas;
  for (std::uint64_t at = 0; at + ftw_header_size <= image.size() && areas.size() < enough;
       at += ftw_search_step) {
    const auto header = image.subspan(at, ftw_header_size);
    const std::uint64_t size = ftw_working_size(header);
    if (size == 0 || size > image.size() - at) continue;
    if (!std::ranges::equal(build_ftw_header(static_cast<std::uint32_t>(size)), header)) continue;
    // Right behind an area of its size it is the copy that starting that one anew has left.
    if (!areas.empty() && areas.back() == flash::Range{at - size, size}) continue;
    areas.push_back({at, size});
  }
  return areas;
}

/// Whether the layout's spare begins with a copy of its headers.
bool has_copy(const Evidence& evidence, const Layout& layout) {
  if (layout.ftw_spare.size == 0) return false;
  const auto copy = evidence.image.subspan(layout.ftw_spare.offset);
  const auto volume = parse_volume_header(copy.first(std::min(copy.size(), headers_read_size)));
  if (!volume || !volume->checksum_valid || volume->volume_size_bytes != layout.volume_size_bytes ||
      volume->block_size_bytes != layout.block_size_bytes) {
    return false;
  }
  const auto store = parse_store_header(copy.subspan(volume->header_size_bytes), 0);
  return store &&
         volume->header_size_bytes + std::uint64_t{store->size_bytes} == layout.variables.size;
}

LayoutCandidate weigh(const Evidence& evidence, const Layout& layout) {
  LayoutCandidate candidate{.layout = layout, .weight = 0, .evidence = {}};
  auto speaks = [&candidate](bool holds, unsigned weight, const std::string& what) {
    if (!holds) return;
    candidate.weight += weight;
    if (!candidate.evidence.empty()) candidate.evidence += ", ";
    candidate.evidence += what;
  };
  const auto image = evidence.image;
  const auto built = build_headers(layout);
  speaks(field<std::uint64_t>(image, volume_size_offset) == layout.volume_size_bytes,
         field_evidence, "FvLength");
  speaks(field<std::uint32_t>(image, block_size_offset) == layout.block_size_bytes, weak_evidence,
         "the block size");
  speaks(field<std::uint32_t>(image, block_count_offset) == layout.block_map_count, weak_evidence,
         "the number of blocks");
  speaks(
      field<std::uint16_t>(image, checksum_offset) == field<std::uint16_t>(built, checksum_offset),
      field_evidence, "the headers' sum");
  speaks(field<std::uint32_t>(image, store_size_offset) ==
             field<std::uint32_t>(built, store_size_offset),
         field_evidence, "the store's Size");
  // A cut while the working area was started anew leaves its header in the spare only.
  for (const std::uint64_t at : {layout.ftw_working.offset, layout.ftw_spare.offset}) {
    const bool has_working =
        layout.ftw_working.size != 0 &&
        std::ranges::find(evidence.working, flash::Range{at, layout.ftw_working.size}) !=
            evidence.working.end();
    speaks(has_working,
           is_known_geometry(layout) ? strong_evidence + known_evidence : strong_evidence,
           fmt::format("the working header at {:#x}", at));
    if (has_working) break;
  }
  speaks(has_copy(evidence, layout), strong_evidence, "a copy of the headers in the spare area");
  speaks(image.size() == layout.volume_size_bytes, weak_evidence, "the device's size");
  return candidate;
}

class Candidates {
 public:
  explicit Candidates(const Evidence& evidence, const flash::Geometry& geometry)
      : evidence_(evidence), geometry_(geometry) {}

  void add(const Layout& layout) {
    if (layout.volume_size_bytes > evidence_.image.size() ||
        layout.block_size_bytes % geometry_.erase_block_size_bytes != 0) {
      return;
    }
    const bool known = std::ranges::any_of(found_, [&](const LayoutCandidate& other) {
      return other.layout.volume_size_bytes == layout.volume_size_bytes &&
             other.layout.block_size_bytes == layout.block_size_bytes &&
             other.layout.variables == layout.variables &&
             other.layout.ftw_working == layout.ftw_working;
    });
    if (!known) found_.push_back(weigh(evidence_, layout));
  }

  void add_custom(std::uint64_t size_bytes, std::uint64_t block_size_bytes) {
    if (block_size_bytes > UINT32_MAX) return;
    const auto layout =
        Layout::custom({.size_bytes = size_bytes,
                        .block_size_bytes = static_cast<std::uint32_t>(block_size_bytes)});
    if (layout) add(*layout);
  }

  std::vector<LayoutCandidate> take() {
    std::erase_if(found_, [](const LayoutCandidate& c) { return c.weight <= weak_evidence; });
    std::ranges::stable_sort(found_, std::ranges::greater{}, &LayoutCandidate::weight);
    return std::move(found_);
  }

 private:
  const Evidence& evidence_;
  flash::Geometry geometry_;
  std::vector<LayoutCandidate> found_;
};

/// Layouts that the volume header tells once one of its bits is turned: those whose sum is right
/// then, and whose block map adds up.
Status add_headers_with_one_bit_turned(flash::Device& image, Candidates& candidates) {
  std::vector<std::byte> bytes(
      std::min<std::uint64_t>(headers_read_size, image.geometry().size_bytes));
  if (auto done = image.read(0, bytes); !done) return done;
  if (bytes.size() < volume_header_size + store_header_size) return {};
  for (std::size_t bit = 0; bit < std::size_t{volume_header_size} * 8; ++bit) {
    const auto mask = static_cast<std::byte>(1U << (bit % 8));
    bytes[bit / 8] ^= mask;
    const auto volume = parse_volume_header(bytes);
    bytes[bit / 8] ^= mask;
    if (!volume || !volume->checksum_valid || volume->header_size_bytes != volume_header_size ||
        volume->mapped_size_bytes != volume->volume_size_bytes ||
        volume->volume_size_bytes > image.geometry().size_bytes) {
      continue;
    }
    const auto store = parse_store_header(std::span(bytes).subspan(volume_header_size), 0);
    if (!store) continue;
    const std::uint64_t variables = std::uint64_t{volume_header_size} + store->size_bytes;
    if (store->size_bytes <= store_header_size || variables > volume->volume_size_bytes ||
        variables % volume->block_size_bytes != 0) {
      continue;
    }
    const auto layout = layout_of(image, {*volume, *store});
    if (!layout) return forward(Result<Layout>(layout));
    candidates.add(*layout);
  }
  return {};
}

/// The format by the store's signature if it is nearly one of the two, else by the copy of it in
/// `spare` if there is one, else by the records.
RecordFormat format_of(std::span<const std::byte> area, std::span<const std::byte> spare,
                       Layout layout) {
  std::array<unsigned, 2> distance{};
  std::array<std::size_t, 2> records{};
  for (const RecordFormat format : {RecordFormat::authenticated, RecordFormat::normal}) {
    const auto index = format == RecordFormat::authenticated ? 0U : 1U;
    layout.format = format;
    const auto built = build_headers(layout);
    for (std::size_t i = volume_header_size; i < volume_header_size + sizeof(Guid); ++i) {
      distance[index] +=
          static_cast<unsigned>(std::popcount(static_cast<std::uint8_t>(area[i] ^ built[i])));
    }
  }
  constexpr unsigned near = 16;  // of 128 bits; those of the two are far apart
  if (distance[0] <= near) return RecordFormat::authenticated;
  if (distance[1] <= near) return RecordFormat::normal;
  if (const auto volume = parse_volume_header(spare)) {
    const auto store = parse_store_header(spare.subspan(volume->header_size_bytes), 0);
    if (store) return store->format;
  }
  for (const RecordFormat format : {RecordFormat::authenticated, RecordFormat::normal}) {
    records[format == RecordFormat::authenticated ? 0U : 1U] =
        salvage_records(area, first_record_offset(volume_header_size), format, Swallowed::left)
            .records.size();
  }
  // All known firmware has the authenticated one.
  return records[1] > records[0] ? RecordFormat::normal : RecordFormat::authenticated;
}

/// Takes over what the header says of attributes and blocks, or what others have, where its sum
/// says that this is right.
void adopt_details(std::span<const std::byte> area, Layout& layout) {
  const auto wanted = field<std::uint16_t>(area, checksum_offset);
  const std::array attributes{field<std::uint32_t>(area, attributes_offset),
                              layout.volume_attributes, Layout::ovmf_4m().volume_attributes,
                              Layout::aavmf().volume_attributes};
  const std::array counts{field<std::uint32_t>(area, block_count_offset), layout.block_map_count};
  for (const std::uint32_t attribute : attributes) {
    for (const std::uint32_t count : counts) {
      Layout tried = layout;
      tried.volume_attributes = attribute;
      tried.block_map_count = count;
      if (field<std::uint16_t>(build_headers(tried), checksum_offset) != wanted) continue;
      layout = tried;
      return;
    }
  }
}

Result<std::vector<std::byte>> read_image(flash::Device& device) {
  std::vector<std::byte> image(
      std::min<std::uint64_t>(device.geometry().size_bytes, max_volume_size_bytes));
  if (auto done = device.read(0, image); !done) return forward(std::move(done));
  return image;
}

std::string list_of(std::span<const LayoutCandidate> candidates) {
  constexpr std::size_t enough = 5;
  std::string text;
  for (const LayoutCandidate& candidate : candidates.first(std::min(candidates.size(), enough))) {
    text +=
        fmt::format("{}{} of {:#x} bytes ({})", text.empty() ? "" : "; ", candidate.layout.name(),
                    candidate.layout.volume_size_bytes, candidate.evidence);
  }
  return text;
}

/// The layout of that name for a device of which nothing tells more.
Result<Layout> layout_by_name(const flash::Device& device, std::string_view name) {
  const flash::Geometry& geometry = device.geometry();
  Result<Layout> layout = fail(Errc::invalid_argument, fmt::format("no layout is called {}", name));
  if (name == "custom") {
    layout =
        Layout::custom({.size_bytes = std::min(geometry.size_bytes, max_volume_size_bytes),
                        .block_size_bytes = std::max(geometry.erase_block_size_bytes, 0x1000U)});
  } else if (const auto known = Layout::by_name(name)) {
    layout = *known;
  }
  if (!layout) return layout;
  if (layout->volume_size_bytes > geometry.size_bytes ||
      layout->block_size_bytes % geometry.erase_block_size_bytes != 0) {
    return fail(Errc::invalid_argument,
                fmt::format("{} has {:#x} bytes in blocks of {:#x}; layout {} needs {:#x} in "
                            "blocks of {:#x}",
                            device.name(), geometry.size_bytes, geometry.erase_block_size_bytes,
                            name, layout->volume_size_bytes, layout->block_size_bytes));
  }
  return layout;
}

/// One header field, to be compared with what it should be.
struct Field {
  std::size_t offset;
  std::size_t size;
  std::string_view name;
  bool vital;  ///< without it EDK2 or this library finds no store
};

constexpr std::array volume_fields{
    Field{0, 16, "ZeroVector", false},
    Field{16, 16, "FileSystemGuid", true},
    Field{volume_size_offset, 8, "FvLength", true},
    Field{40, 4, "Signature", true},
    Field{attributes_offset, 4, "Attributes", false},
    Field{48, 2, "HeaderLength", true},
    Field{52, 2, "ExtHeaderOffset", false},
    Field{54, 1, "Reserved", false},
    Field{55, 1, "Revision", false},
    Field{block_count_offset, 4, "the block map's NumBlocks", false},
    Field{block_size_offset, 4, "the block map's Length", true},
    Field{64, 8, "the block map's end", false},
};
constexpr std::array store_fields{Field{0, 16, "Signature", true}, Field{20, 1, "Format", true},
                                  Field{21, 1, "State", true}};

/// The volume header if it stands as a whole, whatever its sum.
std::optional<VolumeHeader> readable_volume(std::span<const std::byte> area, const Layout& layout) {
  const auto volume = parse_volume_header(area);
  if (!volume || volume->volume_size_bytes != layout.volume_size_bytes ||
      volume->block_size_bytes != layout.block_size_bytes) {
    return std::nullopt;
  }
  const bool ordinary = volume->header_size_bytes == volume_header_size;
  // A longer header is believed if the store's stands behind it.
  if (!ordinary && !parse_store_header(area.subspan(volume->header_size_bytes), 0))
    return std::nullopt;
  return *volume;
}

void compare(std::span<const std::byte> area, std::span<const std::byte> wanted,
             std::span<const Field> fields, std::size_t base, std::string_view header,
             std::vector<Finding>& findings) {
  for (const Field& part : fields) {
    const auto found = area.subspan(base + part.offset, part.size);
    const auto right = wanted.subspan(base + part.offset, part.size);
    if (equal_bytes(found, right)) continue;
    findings.push_back(
        {part.vital ? Severity::damage : Severity::warning,
         {base + part.offset, part.size},
         fmt::format("{}'s {} should be {}, is {} (bytes as they stand): {}", header, part.name,
                     to_hex(right), to_hex(found),
                     part.vital ? "firmware finds no variables, or the wrong ones, until it is "
                                  "repaired"
                                : "EDK2 does not look at it")});
  }
}

/// The store's Size, which no sum covers.
void compare_size(std::span<const std::byte> area, const Layout& layout, std::size_t header_size,
                  std::vector<Finding>& findings) {
  const std::uint64_t found = field<std::uint32_t>(area, header_size + 16);
  const std::uint64_t wanted = layout.variables.size - header_size;
  if (found == wanted) return;
  const std::uint64_t end = header_size + found;
  const bool harmless = end < area.size() && end % layout.block_size_bytes == 0 &&
                        is_filled(area.subspan(end), erased);
  findings.push_back(
      {harmless ? Severity::warning : Severity::damage,
       {header_size + 16, 4},
       fmt::format("the variable store's Size should be {:#x}, is {:#x}: {}", wanted, found,
                   harmless ? "the space behind it is not used"
                            : "firmware loses variables, or takes other areas for "
                              "variables")});
}

}  // namespace

Result<std::optional<Layout>> undoubted_layout(flash::Device& device) {
  const auto layout = detect_layout(device);
  if (!layout) {
    if (layout.error().code == Errc::io) return forward(Result<Layout>(layout));
    return std::nullopt;
  }
  const auto ftw = read_ftw(device, *layout);
  if (!ftw) return forward(Result<FtwInspection>(ftw));
  if (ftw->state == FtwState::copying) return *layout;
  if (!is_known_geometry(*layout)) return std::nullopt;
  std::vector<std::byte> headers(
      std::min<std::uint64_t>(headers_read_size, layout->variables.size));
  if (auto done = device.read(0, headers); !done) return forward(std::move(done));
  const auto volume = parse_volume_header(headers);
  if (!volume || !volume->checksum_valid) return std::nullopt;
  return *layout;
}

Result<std::vector<LayoutCandidate>> layout_candidates(flash::Device& device) {
  auto bytes = read_image(device);
  if (!bytes) return forward(std::move(bytes), device.name());
  const std::uint32_t erase_block = device.geometry().erase_block_size_bytes;
  if (bytes->size() % erase_block != 0) return std::vector<LayoutCandidate>{};
  flash::MemoryDevice image(std::move(*bytes), erase_block, device.name());
  const Evidence evidence{.image = image.content(),
                          .working = intact_working_areas(image.content())};
  Candidates candidates(evidence, device.geometry());
  for (const std::string_view name : {"ovmf-4m", "ovmf-2m", "aavmf"}) {
    candidates.add(*Layout::by_name(name));
  }
  const auto told_block = field<std::uint32_t>(evidence.image, block_size_offset);
  for (const std::uint64_t size : {field<std::uint64_t>(evidence.image, volume_size_offset),
                                   std::uint64_t{evidence.image.size()}}) {
    for (const std::uint32_t block : {told_block, std::max(erase_block, 0x1000U)})
      candidates.add_custom(size, block);
  }
  for (const flash::Range& working : evidence.working) {
    // One block, between an odd or even number of others.
    candidates.add_custom(2 * working.offset + working.size, working.size);
    candidates.add_custom(2 * working.offset, working.size);
    if (working.offset >= working.size) {  // and if this is the copy in the spare
      candidates.add_custom(2 * working.offset - working.size, working.size);
      candidates.add_custom(2 * (working.offset - working.size), working.size);
    }
    for (const std::uint64_t block : {ftw_search_step, std::uint64_t{0x1000}, working.size}) {
      const std::uint64_t spare = (working.end() + block - 1) / block * block;
      if (spare >= evidence.image.size()) continue;
      const auto copied = layout_from_copy(image, working, spare);
      if (copied && *copied) candidates.add(**copied);
    }
  }
  if (const auto told = detect_layout(image)) candidates.add(*told);
  if (auto done = add_headers_with_one_bit_turned(image, candidates); !done)
    return forward(std::move(done));
  auto found = candidates.take();
  constexpr std::size_t enough = 8;  // whoever has more is hostile
  if (found.size() > enough) found.resize(enough);
  for (LayoutCandidate& candidate : found) {
    Layout& layout = candidate.layout;
    layout.format = format_of(
        evidence.image.first(layout.variables.size),
        evidence.image.subspan(layout.ftw_spare.offset,
                               std::min<std::uint64_t>(headers_read_size, layout.ftw_spare.size)),
        layout);
    adopt_details(evidence.image, layout);
  }
  return found;
}

Result<Layout> reconstruct_layout(flash::Device& device, std::string_view name) {
  const auto undoubted = undoubted_layout(device);
  if (!undoubted) return forward(Result<std::optional<Layout>>(undoubted));
  if (*undoubted) {
    if (name.empty() || (*undoubted)->name() == name) return **undoubted;
    return fail(Errc::invalid_argument,
                fmt::format("{} has the layout {}, which its headers leave no doubt of, and not {}",
                            device.name(), (*undoubted)->name(), name));
  }
  auto candidates = layout_candidates(device);
  if (!candidates) return forward(std::move(candidates));
  if (!name.empty()) {
    std::erase_if(*candidates, [&](const LayoutCandidate& c) { return c.layout.name() != name; });
  }
  const bool unique = candidates->size() == 1 ||
                      (candidates->size() > 1 && (*candidates)[0].weight > (*candidates)[1].weight);
  if (unique && (!name.empty() || candidates->front().weight >= least_weight))
    return candidates->front().layout;
  if (!name.empty() && candidates->empty()) {
    auto layout = layout_by_name(device, name);
    if (!layout) return layout;
    std::vector<std::byte> area(layout->variables.size);
    if (auto done = device.read(0, area); !done) return forward(std::move(done), device.name());
    layout->format = format_of(area, {}, *layout);
    return layout;
  }
  return fail(Errc::damaged,
              candidates->empty()
                  ? fmt::format("{}: nothing tells which layout the volume has; name it: ovmf-4m, "
                                "ovmf-2m, aavmf or custom",
                                device.name())
                  : fmt::format("{}: the volume may have more than one layout; name the one that "
                                "it has: {}",
                                device.name(), list_of(*candidates)));
}

std::vector<std::byte> mended_headers(std::span<const std::byte> area, const Layout& layout) {
  std::vector<std::byte> headers = build_headers(layout);
  const auto volume = readable_volume(area, layout);
  if (!volume || (!volume->checksum_valid && volume->header_size_bytes == volume_header_size))
    return headers;
  // The header stands as it is, but for its sum.
  const std::size_t header_size = volume->header_size_bytes;
  std::vector<std::byte> kept(area.begin(), area.begin() + static_cast<long>(header_size));
  if (!volume->checksum_valid) set_checksum(kept);
  std::copy(headers.begin() + volume_header_size, headers.end(), std::back_inserter(kept));
  ByteWriter(std::span(kept).subspan(header_size + 16))
      .u32(static_cast<std::uint32_t>(layout.variables.size - header_size));
  kept.resize(first_record_offset(volume->header_size_bytes), erased);
  return kept;
}

std::vector<Finding> header_findings(std::span<const std::byte> area, const Layout& layout) {
  std::vector<Finding> findings;
  const auto wanted = mended_headers(area, layout);
  const auto volume = readable_volume(area, layout);
  const std::size_t header_size = volume ? volume->header_size_bytes : volume_header_size;
  if (header_size == volume_header_size)
    compare(area, wanted, volume_fields, 0, "the firmware volume header", findings);
  if (!equal_bytes(area.subspan(checksum_offset, 2),
                   std::span(wanted).subspan(checksum_offset, 2))) {
    findings.push_back(
        {Severity::warning,
         {checksum_offset, 2},
         "the firmware volume header's checksum is wrong (EDK2 does not look at it)"});
  }
  compare(area, wanted, store_fields, header_size, "the variable store header", findings);
  compare_size(area, layout, header_size, findings);
  if (volume && volume->mapped_size_bytes != volume->volume_size_bytes && volume->checksum_valid) {
    findings.push_back({Severity::note,
                        {block_count_offset, 8},
                        fmt::format("the block map adds up to {:#x} bytes, the volume has {:#x}",
                                    volume->mapped_size_bytes, volume->volume_size_bytes)});
  }
  return findings;
}

}  // namespace efistore::store
