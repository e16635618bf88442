// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "capsule_spool.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "efistore/base/bytes.hpp"

namespace efistore::daemon {

using variable::EfiResult;
using variable::refuse;

namespace {

constexpr std::size_t capsule_header_size = 28;
constexpr const char* part_suffix = ".part";
constexpr const char* capsule_suffix = ".cap";

tl::unexpected<variable::EfiError> refuse_errno(int error, std::string_view what) {
  const EfiStatus status =
      error == ENOSPC || error == EDQUOT ? EfiStatus::out_of_resources : EfiStatus::device_error;
  return refuse(status, fmt::format("{}: {}", what, std::generic_category().message(error)));
}

/// What is wrong with the header; nothing if it is right.
std::optional<std::string> header_fault(std::span<const std::byte> header, std::uint64_t size) {
  ByteReader reader(header);
  reader.skip(16);
  const std::uint32_t header_size = reader.u32();
  const std::uint32_t flags = reader.u32();
  const std::uint32_t image_size = reader.u32();
  if (header_size < capsule_header_size || header_size > size) {
    return fmt::format("HeaderSize at offset 16 is {}: expected {} to {}", header_size,
                       capsule_header_size, size);
  }
  if (image_size != size) {
    return fmt::format("CapsuleImageSize at offset 24 is {}: expected {}, the bytes there are",
                       image_size, size);
  }
  constexpr std::uint32_t persist = 0x10000;
  constexpr std::uint32_t populate = 0x20000;
  constexpr std::uint32_t initiate_reset = 0x40000;
  if ((flags & (populate | initiate_reset)) != 0 && (flags & persist) == 0) {
    return fmt::format(
        "Flags at offset 20 are {:#x}: expected PERSIST_ACROSS_RESET beside "
        "POPULATE_SYSTEM_TABLE and INITIATE_RESET",
        flags);
  }
  return std::nullopt;
}

struct StagedCapsules {
  std::size_t count = 0;
  std::uint32_t last_number = 0;
};

StagedCapsules staged_in(const std::filesystem::path& folder) {
  StagedCapsules staged;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != capsule_suffix) continue;
    ++staged.count;
    const std::string stem = entry.path().stem().string();
    std::uint32_t number = 0;
    std::from_chars(stem.data(), stem.data() + stem.size(), number);
    staged.last_number = std::max(staged.last_number, number);
  }
  return staged;
}

}  // namespace

Result<CapsuleSpool> CapsuleSpool::open(std::filesystem::path folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail_errno(error.value(), "make " + folder.string());
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return fail_errno(error.value(), "list " + folder.string());
  for (const auto& entry : entries) {
    if (entry.path().extension() == part_suffix) std::filesystem::remove(entry.path(), error);
  }
  return CapsuleSpool(std::move(folder));
}

EfiResult<void> CapsuleSpool::begin(std::uint64_t session, std::uint64_t size_bytes) {
  cancel(session);
  if (size_bytes < capsule_header_size || size_bytes > max_capsule_size_bytes) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("a capsule of {} bytes: expected {} to {}", size_bytes,
                              capsule_header_size, max_capsule_size_bytes));
  }
  if (uploads_.size() >= max_uploads) {
    return refuse(EfiStatus::out_of_resources,
                  fmt::format("{} capsules are being handed over already", max_uploads));
  }
  if (staged_in(folder_).count >= max_staged_capsules) {
    return refuse(EfiStatus::out_of_resources,
                  fmt::format("{} capsules wait to be processed already", max_staged_capsules));
  }
  Upload upload{.path = folder_ / fmt::format("{}{}", session, part_suffix),
                .size_bytes = size_bytes};
  upload.fd = UniqueFd(
      ::open(upload.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!upload.fd) return refuse_errno(errno, "keep the capsule");
  uploads_.emplace(session, std::move(upload));
  return {};
}

EfiResult<void> CapsuleSpool::data(std::uint64_t session, std::uint64_t offset,
                                   std::span<const std::byte> piece) {
  const auto found = uploads_.find(session);
  if (found == uploads_.end()) {
    return refuse(EfiStatus::invalid_parameter, "no capsule has been begun");
  }
  Upload& upload = found->second;
  if (offset != upload.received_bytes || piece.size() > upload.size_bytes - offset) {
    return refuse(EfiStatus::invalid_parameter,
                  fmt::format("{} bytes at offset {}: expected those at {}, of {}", piece.size(),
                              offset, upload.received_bytes, upload.size_bytes));
  }
  while (!piece.empty()) {
    const ssize_t count = ::pwrite(upload.fd.get(), piece.data(), piece.size(),
                                   static_cast<off_t>(upload.received_bytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      cancel(session);
      return refuse_errno(error, "keep the capsule");
    }
    upload.received_bytes += static_cast<std::uint64_t>(count);
    piece = piece.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

EfiResult<void> CapsuleSpool::commit(std::uint64_t session) {
  const auto found = uploads_.find(session);
  if (found == uploads_.end()) {
    return refuse(EfiStatus::invalid_parameter, "no capsule has been begun");
  }
  const Upload upload = std::move(found->second);
  uploads_.erase(found);
  // Gone unless it gets its name.
  const auto drop = [&upload](tl::unexpected<variable::EfiError> why) -> EfiResult<void> {
    ::unlink(upload.path.c_str());
    return why;
  };
  if (upload.received_bytes != upload.size_bytes) {
    return drop(
        refuse(EfiStatus::invalid_parameter,
               fmt::format("{} of {} bytes have come", upload.received_bytes, upload.size_bytes)));
  }
  std::array<std::byte, capsule_header_size> header;
  if (::pread(upload.fd.get(), header.data(), header.size(), 0) !=
      static_cast<ssize_t>(header.size())) {
    return drop(refuse_errno(errno, "read the capsule again"));
  }
  if (auto fault = header_fault(header, upload.size_bytes)) {
    return drop(refuse(EfiStatus::invalid_parameter, std::move(*fault)));
  }
  const auto name =
      folder_ / fmt::format("{:08}{}", staged_in(folder_).last_number + 1, capsule_suffix);
  const UniqueFd directory(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (::fsync(upload.fd.get()) != 0 || !directory ||
      std::rename(upload.path.c_str(), name.c_str()) != 0) {
    return drop(refuse_errno(errno, "keep the capsule"));
  }
  if (::fsync(directory.get()) != 0) return refuse_errno(errno, "keep the capsule");
  return {};
}

void CapsuleSpool::cancel(std::uint64_t session) noexcept {
  const auto upload = uploads_.find(session);
  if (upload == uploads_.end()) return;
  ::unlink(upload->second.path.c_str());
  uploads_.erase(upload);
}

}  // namespace efistore::daemon
