// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <cstdint>
#include <optional>

#include "efistore/base/bytes.hpp"
#include "efistore/base/crc32.hpp"
#include "efistore/exchange/exchange.hpp"

#include "collector.hpp"
#include "naming.hpp"

namespace efistore::exchange {

namespace {

constexpr std::uint64_t magic = 0x0161566966456255;
constexpr std::size_t header_size_bytes = 24;
/// Of an entry: data length, attributes, time, GUID.
constexpr std::size_t entry_header_size_bytes = 32;
constexpr std::size_t entry_alignment = 8;
/// U-Boot's mark of a variable that nobody may change; UEFI has no such attribute.
constexpr std::uint32_t read_only = 0x80000000;
/// 9999-12-31T23:59:59, the last second that an EFI_TIME has.
constexpr std::uint64_t last_time = 253402300799;

constexpr std::size_t align_entry(std::size_t offset) noexcept {
  return (offset + entry_alignment - 1) & ~(entry_alignment - 1);
}

tl::unexpected<Error> fail_at(std::size_t offset, std::string_view field, std::string_view what) {
  return fail(Errc::invalid_argument, fmt::format("offset {:#x}: {}: {}", offset, field, what));
}

/// U-Boot has 0 for "no time", which in an EFI_TIME is all zeros and not 1970.
EfiTime time_of(std::uint64_t seconds) noexcept {
  return seconds == 0 ? EfiTime{} : EfiTime::from_unix(static_cast<std::int64_t>(seconds));
}

/// The time as U-Boot writes it, and a loss if reading it would give another one.
std::uint64_t seconds_of(const store::Variable& variable, Sentences& lost) {
  if (!has_time_attribute(variable)) return 0;
  const std::int64_t seconds = variable.time.to_unix();
  const std::uint64_t written = seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds);
  if (time_of(written) != variable.time) {
    lost.add([&] {
      return fmt::format("{}: its time {} ({}) becomes {} seconds since 1970",
                         label(variable.name, variable.guid), to_string(variable.time),
                         to_hex(variable.time.bytes), written);
    });
  }
  return written;
}

std::size_t entry_size(const store::Variable& variable) noexcept {
  return align_entry(entry_header_size_bytes + (variable.name.size() + 1) * 2 +
                     variable.data.size());
}

void write_entry(std::span<std::byte> entry, const store::Variable& variable, Sentences& lost) {
  ByteWriter out(entry);
  out.u32(static_cast<std::uint32_t>(variable.data.size()));
  out.u32(variable.attributes & ~read_only);
  out.u64(seconds_of(variable, lost));
  out.bytes(variable.guid.bytes);
  for (const char16_t unit : variable.name) out.u16(unit);
  out.u16(0);
  out.bytes(variable.data);
  if ((variable.attributes & read_only) != 0) {
    lost.add([&] {
      return fmt::format("{}: attribute bit {:#x} has a meaning of its own there, left out",
                         label(variable.name, variable.guid), read_only);
    });
  }
}

Status check_header(std::span<const std::byte> file) {
  if (file.size() < header_size_bytes) {
    return fail_at(0, "header",
                   fmt::format("{} bytes, expected {}", file.size(), header_size_bytes));
  }
  ByteReader in(file);
  if (const std::uint64_t reserved = in.u64(); reserved != 0) {
    return fail_at(0, "reserved", fmt::format("{:#x}, expected 0", reserved));
  }
  if (const std::uint64_t found = in.u64(); found != magic) {
    return fail_at(8, "magic", fmt::format("{:#018x}, expected {:#018x}", found, magic));
  }
  if (const std::uint32_t length = in.u32(); length != file.size()) {
    return fail_at(16, "length", fmt::format("{}, expected the file's {}", length, file.size()));
  }
  if (file.size() % entry_alignment != 0) {
    return fail_at(16, "length",
                   fmt::format("{}, expected a multiple of {}", file.size(), entry_alignment));
  }
  const std::uint32_t expected = crc32(file.subspan(header_size_bytes));
  if (const std::uint32_t found = in.u32(); found != expected) {
    return fail_at(20, "CRC-32", fmt::format("{:#010x}, expected {:#010x}", found, expected));
  }
  return {};
}

/// The name at the reader; none if the bytes end before its NUL.
std::optional<std::u16string> read_name(ByteReader& in) {
  std::u16string name;
  while (true) {
    const auto unit = static_cast<char16_t>(in.u16());
    if (!in.ok()) return std::nullopt;
    if (unit == 0) return name;
    name += unit;
  }
}

/// Reads the entry at `offset` and moves it to where the next one begins.
Status read_entry(std::span<const std::byte> file, std::size_t& offset, Collector& collector) {
  ByteReader in(file.subspan(offset));
  store::Variable variable;
  const std::uint32_t data_size = in.u32();
  variable.attributes = in.u32();
  const std::uint64_t seconds = in.u64();
  const auto guid = in.take(Guid{}.bytes.size());
  if (!in.ok()) {
    return fail_at(offset, "entry",
                   fmt::format("{} bytes, expected at least {}", file.size() - offset,
                               entry_header_size_bytes));
  }
  variable.guid = Guid::from_bytes(guid);
  if (seconds > last_time) {
    return fail_at(offset + 8, "time", fmt::format("{}, expected at most {}", seconds, last_time));
  }
  variable.time = time_of(seconds);
  auto name = read_name(in);
  if (!name) {
    return fail_at(offset + entry_header_size_bytes, "name",
                   "expected a NUL before the file's end");
  }
  variable.name = *std::move(name);
  const std::size_t available = in.remaining();
  const auto data = in.take(data_size);
  if (!in.ok()) {
    return fail_at(offset, "data length",
                   fmt::format("{}, expected at most {}", data_size, available));
  }
  variable.data.assign(data.begin(), data.end());
  // The file's size is a multiple of the alignment, so the padding lies inside it.
  const std::size_t next = align_entry(offset + in.position());
  const std::string place = fmt::format("offset {:#x}", offset);
  if (!is_filled(in.take(next - offset - in.position()), std::byte{0})) {
    collector.losses().parts.add(
        [&] { return place + ": bytes other than 0 in the padding, left out"; });
  }
  offset = next;
  return collector.add_foreign(place, std::move(variable));
}

}  // namespace

Exported export_ubootefi(std::span<const store::Variable> variables) {
  Losses losses;
  std::vector<std::byte> file(header_size_bytes);
  for (const store::Variable& variable : variables) {
    if (!fits_foreign(variable, losses.left_out)) continue;
    const std::size_t begin = file.size();
    const std::size_t size = entry_size(variable);
    if (size > max_input_size_bytes - begin) {
      losses.left_out.add([&] {
        return fmt::format("{}: it does not fit into a file of {} bytes",
                           label(variable.name, variable.guid), max_input_size_bytes);
      });
      continue;
    }
    file.resize(begin + size);
    list_lost_fields(variable, losses.parts);
    write_entry(std::span(file).subspan(begin), variable, losses.parts);
  }
  ByteWriter out(file);
  out.u64(0);
  out.u64(magic);
  out.u32(static_cast<std::uint32_t>(file.size()));
  out.u32(crc32(std::span(file).subspan(header_size_bytes)));
  return {
      .bytes = std::move(file), .left_out = losses.left_out.take(), .losses = losses.parts.take()};
}

Result<Imported> import_ubootefi(std::span<const std::byte> bytes) {
  if (auto size = check_input_size(bytes); !size) return forward(std::move(size));
  if (auto header = check_header(bytes); !header) return forward(std::move(header));
  Collector collector;
  for (std::size_t offset = header_size_bytes; offset < bytes.size();) {
    if (auto read = read_entry(bytes, offset, collector); !read) return forward(std::move(read));
  }
  return collector.take();
}

}  // namespace efistore::exchange
