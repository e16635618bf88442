// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/certificate_database.hpp"

#include <fmt/format.h>

#include "efistore/base/bytes.hpp"

namespace efistore::variable {

namespace {

constexpr std::size_t total_size = 4;
constexpr std::size_t node_header_size = 28;

tl::unexpected<Error> broken(std::size_t offset, const std::string& what) {
  return fail(Errc::damaged, fmt::format("at byte {} {}", offset, what));
}

}  // namespace

Result<std::vector<CertificateNode>> parse_certificate_database(std::span<const std::byte> data) {
  if (data.size() < total_size) return broken(0, "there is no total of 4 bytes");
  if (const std::uint32_t total = ByteReader(data).u32(); total != data.size()) {
    return broken(0, fmt::format("the total is {}, and there are {} bytes", total, data.size()));
  }
  std::vector<CertificateNode> nodes;
  // Every node takes at least its header, so this ends within the data.
  for (std::size_t at = total_size; at < data.size();) {
    ByteReader reader(data.subspan(at));
    const auto guid = reader.take(16);
    const std::uint32_t node_size = reader.u32();
    const std::uint32_t name_length = reader.u32();
    const std::uint32_t certificate_size = reader.u32();
    if (!reader.ok()) {
      return broken(at, fmt::format("a node of {} bytes or more should begin, and there are {}",
                                    node_header_size, data.size() - at));
    }
    const std::uint64_t added_up =
        node_header_size + 2 * std::uint64_t{name_length} + certificate_size;
    if (node_size != added_up) {
      return broken(at, fmt::format("the size of a node is {}, and its parts add up to {}",
                                    node_size, added_up));
    }
    if (node_size > data.size() - at) {
      return broken(at, fmt::format("a node of {} bytes begins, and there are {}", node_size,
                                    data.size() - at));
    }
    CertificateNode node{.name = std::u16string(name_length, u'\0'),
                         .guid = Guid::from_bytes(guid),
                         .certificate = {},
                         .offset = static_cast<std::uint32_t>(at),
                         .size = node_size};
    for (char16_t& c : node.name) c = reader.u16();
    if (node.name.empty() || node.name.find(u'\0') != std::u16string::npos) {
      return broken(at, "the name of a node is empty, or holds a NUL");
    }
    node.certificate = reader.take(certificate_size);
    nodes.push_back(std::move(node));
    at += node_size;
  }
  return nodes;
}

std::size_t certificate_database_size(std::span<const CertificateNode> nodes) noexcept {
  std::size_t size = total_size;
  for (const CertificateNode& node : nodes) {
    size += node_header_size + node.name.size() * sizeof(char16_t) + node.certificate.size();
  }
  return size;
}

std::vector<std::byte> make_certificate_database(std::span<const CertificateNode> nodes) {
  std::vector<std::byte> data(certificate_database_size(nodes));
  ByteWriter writer(data);
  writer.u32(static_cast<std::uint32_t>(data.size()));
  for (const CertificateNode& node : nodes) {
    writer.bytes(node.guid.bytes);
    writer.u32(static_cast<std::uint32_t>(certificate_database_size({&node, 1}) - total_size));
    writer.u32(static_cast<std::uint32_t>(node.name.size()));
    writer.u32(static_cast<std::uint32_t>(node.certificate.size()));
    for (const char16_t c : node.name) writer.u16(c);
    writer.bytes(node.certificate);
  }
  return data;
}

}  // namespace efistore::variable
