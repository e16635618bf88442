// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "private_authority.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/crypto/certificate.hpp"
#include "efistore/crypto/signed_data.hpp"
#include "efistore/variable/certificate_database.hpp"

#include "authority.hpp"

namespace efistore::variable {

namespace {

using Nodes = std::vector<CertificateNode>;

/// certdb, or certdbv for volatile variables.
struct Database {
  std::u16string_view name;
  std::uint32_t attributes;
};

constexpr std::uint32_t volatile_attributes = attributes::bootservice_access |
                                              attributes::runtime_access |
                                              attributes::time_based_authenticated_write_access;
constexpr Database kept{certificate_database_name, volatile_attributes | attributes::non_volatile};
constexpr Database unkept{volatile_certificate_database_name, volatile_attributes};

const Database& database_for(std::uint32_t attributes) noexcept {
  return (attributes & attributes::non_volatile) != 0 ? kept : unkept;
}

EfiResult<Nodes> nodes_of(const Services::State& state, const Database& database) {
  const bool in_flash = (database.attributes & attributes::non_volatile) != 0;
  const store::Record* const record =
      in_flash ? state.nv.find(database.name, certificate_database_guid)
               : state.volatile_area.find(database.name, certificate_database_guid);
  if (record == nullptr) return Nodes();
  auto nodes = parse_certificate_database(record->data);
  if (!nodes) {
    return refuse(
        EfiStatus::security_violation,
        "certdb, which tells who may change the variable, is damaged: " + nodes.error().message);
  }
  return std::move(*nodes);
}

/// Tells the nodes of the variable that is asked for.
auto is_for(const SetRequest& request) {
  return [&request](const CertificateNode& node) {
    return node.guid == request.guid && node.name == request.name;
  };
}

/// As much of the common name as EDK2's buffer holds, up to a NUL.
std::string hashed_name(const crypto::Certificate& signer) {
  constexpr std::size_t max_size_bytes = 127;
  std::string name = signer.common_name().substr(0, max_size_bytes);
  return name.substr(0, name.find('\0'));
}

/// EDK2 hashes the signer's common name and the part of the certificate that is signed.
crypto::Digest signer_digest(const crypto::Certificate& signer) {
  const std::string name = hashed_name(signer);
  const auto to_be_signed = signer.to_be_signed();
  return crypto::sha256({as_bytes(name), to_be_signed});
}

/// What EDK2 kept before it kept a hash: the number of the signers, and of each the size and bytes
/// of the certificate.
std::vector<std::byte> signer_stack(const crypto::Certificate& signer) {
  constexpr std::size_t header_size = 5;
  std::vector<std::byte> stack(header_size + signer.der().size());
  ByteWriter writer(stack);
  writer.u8(1);
  writer.u32(static_cast<std::uint32_t>(signer.der().size()));
  writer.bytes(signer.der());
  return stack;
}

EfiResult<void> check_signed_first(const Nodes& nodes, const SetRequest& request,
                                   const crypto::Certificate& signer) {
  const auto node = std::ranges::find_if(nodes, is_for(request));
  if (node == nodes.end()) {
    return refuse(EfiStatus::security_violation, "certdb does not tell who may change it");
  }
  const crypto::Digest digest = signer_digest(signer);
  const bool same = node->certificate.size() == digest.size()
                        ? equal_bytes(node->certificate, digest)
                        : equal_bytes(node->certificate, signer_stack(signer));
  if (same) return {};
  return refuse(EfiStatus::security_violation, "it was signed first by another signer");
}

EfiResult<void> write_nodes(Services::State& state, const Database& database, const Nodes& nodes) {
  const auto data = make_certificate_database(nodes);
  return update_variable(state, {.name = database.name,
                                 .guid = certificate_database_guid,
                                 .attributes = database.attributes,
                                 .data = data});
}

EfiResult<void> add_node(Services::State& state, const SetRequest& request,
                         const crypto::Certificate& signer) {
  const Database& database = database_for(request.attributes);
  auto nodes = nodes_of(state, database);
  if (!nodes) return tl::unexpected(std::move(nodes).error());
  // What an earlier variable of the name left does not count for this one.
  std::erase_if(*nodes, is_for(request));
  const crypto::Digest digest = signer_digest(signer);
  nodes->push_back(
      {.name = std::u16string(request.name), .guid = request.guid, .certificate = digest});
  const std::uint64_t limit = state.limits.max_content_size(database.attributes, state.nv.format());
  const std::uint64_t name_size = (database.name.size() + 1) * sizeof(char16_t);
  if (certificate_database_size(*nodes) + name_size > limit) {
    return refuse(EfiStatus::out_of_resources, "certdb has no room for another variable's signer");
  }
  return write_nodes(state, database, *nodes);
}

EfiResult<void> remove_node(Services::State& state, const SetRequest& request) {
  const Database& database = database_for(request.attributes);
  auto nodes = nodes_of(state, database);
  if (!nodes) return tl::unexpected(std::move(nodes).error());
  const std::size_t removed = std::erase_if(*nodes, is_for(request));
  return removed == 0 ? EfiResult<void>{} : write_nodes(state, database, *nodes);
}

}  // namespace

EfiResult<void> set_private(Services::State& state, const SetRequest& request) {
  const auto authentication = parse_descriptor(request);
  if (!authentication) return tl::unexpected(authentication.error());
  const Existing existing = state.find(request.name, request.guid);
  if (auto later = check_time(request, authentication->time, existing.record); !later) return later;
  const auto signed_data = crypto::SignedData::parse(authentication->signed_data);
  if (!signed_data) return refuse(EfiStatus::security_violation, signed_data.error().message);
  const crypto::Certificate& signer = signed_data->signer();
  if (hashed_name(signer).empty()) {
    return refuse(EfiStatus::security_violation, "the signer's certificate has no common name");
  }
  if (existing) {
    const auto nodes = nodes_of(state, database_for(request.attributes));
    if (!nodes) return tl::unexpected(nodes.error());
    if (auto same = check_signed_first(*nodes, request, signer); !same) return same;
  }
  const auto content = signed_content(request.name, request.guid, request.attributes,
                                      authentication->time, authentication->payload);
  if (const Status verified = signed_data->verify_by(content, signer); !verified) {
    return refuse(EfiStatus::security_violation, verified.error().message);
  }
  const SetRequest update{.name = request.name,
                          .guid = request.guid,
                          .attributes = request.attributes,
                          .data = authentication->payload};
  const bool deletion = is_deletion(update.attributes, update.data.size());
  if (existing ? !deletion : update.data.empty()) {
    return update_variable(state, update, authentication->time);
  }
  return transact(state, [&](Services::State& changed) -> EfiResult<void> {
    if (auto done = update_variable(changed, update, authentication->time); !done) return done;
    return existing ? remove_node(changed, update) : add_node(changed, update, signer);
  });
}

EfiResult<void> delete_private(Services::State& state, const SetRequest& request) {
  return transact(state, [&](Services::State& changed) -> EfiResult<void> {
    auto done = update_variable(
        changed, {.name = request.name, .guid = request.guid, .attributes = 0, .data = {}});
    if (!done) return done;
    return remove_node(changed, request);
  });
}

EfiResult<void> forget_lost_variables(Services::State& state) {
  auto nodes = nodes_of(state, kept);
  // A database that cannot be read lets nobody change anything; the examination tells.
  if (!nodes) return {};
  const std::size_t lost = std::erase_if(*nodes, [&](const CertificateNode& node) {
    const store::Record* const record = state.nv.find(node.name, node.guid);
    return record == nullptr || (record->attributes & attributes::any_authenticated) == 0;
  });
  return lost == 0 ? EfiResult<void>{} : write_nodes(state, kept, *nodes);
}

}  // namespace efistore::variable
