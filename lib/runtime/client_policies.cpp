// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The variable-policy protocol, from the caller's side (VariablePolicySmmDxe.c).
#include <algorithm>

#include "efistore/runtime/client.hpp"

#include "payload.hpp"

namespace efistore::runtime {

using mm::PolicyCommand;
using variable::refuse;

EfiResult<Client::Reply> Client::call(PolicyCommand command, std::size_t payload_size) {
  ByteWriter head(message_room());
  head.u32(mm::policy_signature);
  head.u32(mm::policy_revision);
  head.u32(static_cast<std::uint32_t>(command));
  head.u64(0);
  const auto message = exchange(mm::guids::policy_protocol, mm::policy_header_size + payload_size);
  if (!message) return tl::unexpected(message.error());
  ByteReader reader(*message);
  reader.skip(8);
  const bool same = reader.u32() == static_cast<std::uint32_t>(command);
  const auto status = static_cast<EfiStatus>(reader.u64());
  if (!reader.ok() || !same) return malformed_reply("it is of another command");
  return Reply{status, message->subspan(mm::policy_header_size)};
}

EfiResult<void> Client::disable_policies() {
  return status_only(checked(call(PolicyCommand::disable, 0)));
}

EfiResult<bool> Client::policies_enabled() {
  const auto payload = make_payload(1, mm::policy_header_size);
  if (!payload) return tl::unexpected(payload.error());
  const auto reply = checked(call(PolicyCommand::is_enabled, 1), 1);
  if (!reply) return tl::unexpected(reply.error());
  return (*reply)[0] != std::byte{0};
}

EfiResult<void> Client::register_policy(const variable::Policy& policy) {
  const auto entry = variable::encode_policy(policy);
  if (!entry) return refuse(EfiStatus::invalid_parameter, entry.error().message);
  const auto payload = make_payload(entry->size(), mm::policy_header_size);
  if (!payload) return tl::unexpected(payload.error());
  std::ranges::copy(*entry, payload->begin());
  return status_only(checked(call(PolicyCommand::register_policy, entry->size())));
}

EfiResult<std::vector<std::byte>> Client::dump_policies() {
  constexpr std::size_t dump_payload_size = mm::policy_dump_header_size + mm::policy_dump_page_size;
  std::vector<std::byte> all;
  std::uint32_t total = 0;
  for (std::uint32_t page = 0;; ++page) {
    const auto payload = make_payload(dump_payload_size, mm::policy_header_size);
    if (!payload) return tl::unexpected(payload.error());
    ByteWriter(*payload).u32(page);
    const auto reply = checked(call(PolicyCommand::dump, dump_payload_size), dump_payload_size);
    if (!reply) return tl::unexpected(reply.error());
    ByteReader reader(*reply);
    reader.skip(sizeof(page));
    const std::uint32_t told = reader.u32();
    const std::uint32_t size = reader.u32();
    const bool more = reader.u8() != 0;
    if (page == 0) {
      total = told;
      if (total > variable::max_policy_table_size_bytes) return malformed_reply("TotalSize");
    }
    const bool fits = size <= mm::policy_dump_page_size && size <= total - all.size();
    if (told != total || !fits || (page != 0 && more && size == 0)) {
      return malformed_reply("the pages do not make up what page 0 told");
    }
    const auto part = reader.take(size);
    all.insert(all.end(), part.begin(), part.end());
    if (!more) break;
  }
  if (all.size() != total) return malformed_reply("there are fewer pages than page 0 told");
  return all;
}

EfiResult<void> Client::lock_policies() {
  return status_only(checked(call(PolicyCommand::lock, 0)));
}

EfiResult<Client::PolicyInfo> Client::policy_info(PolicyCommand command, std::u16string_view name,
                                                  const Guid& guid) {
  const std::size_t in_size = name_size_of(name);
  const std::size_t fixed = mm::policy_info_names_offset;
  const auto payload = make_payload(fixed + in_size + mm::max_name_size, mm::policy_header_size);
  if (!payload) return tl::unexpected(payload.error());
  ByteWriter writer(*payload);
  writer.bytes(guid.bytes);
  writer.u32(static_cast<std::uint32_t>(in_size));
  writer.u32(static_cast<std::uint32_t>(mm::max_name_size));
  ByteWriter text(payload->subspan(fixed));
  write_name(text, name);
  const auto reply = checked(call(command, payload->size()), payload->size());
  if (!reply) return tl::unexpected(reply.error());
  ByteReader reader(*reply);
  reader.skip(20);
  const std::uint32_t out_size = reader.u32();
  const auto entry = reader.take(mm::policy_info_entry_size);
  reader.skip(in_size);
  PolicyInfo info{.entry = {entry.begin(), entry.end()}};
  if (out_size == 0) return info;
  auto found = take_name(reader, out_size);
  if (!found) return malformed_reply("the policy's name does not end where its size says");
  info.name = std::move(*found);
  return info;
}

}  // namespace efistore::runtime
