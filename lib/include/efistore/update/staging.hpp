// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules as files: read from a path that may be an attacker's, and kept in the state folder while
// they are applied.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "efistore/base/result.hpp"
#include "efistore/base/unique_fd.hpp"
#include "efistore/capsule/source.hpp"
#include "efistore/crypto/digest.hpp"

namespace efistore::update {

/// A regular file. Its size is the one that it had when it was opened.
class FileSource final : public capsule::Source {
 public:
  /// Follows no link in the last component, and waits for no device or pipe.
  /// Errors: not_found, permission, invalid_argument (no regular file), io.
  static Result<std::unique_ptr<FileSource>> open(const std::filesystem::path& path);
  /// Of a descriptor; messages call it `name`. Errors: invalid_argument (no regular file), io.
  static Result<std::unique_ptr<FileSource>> adopt(UniqueFd fd, std::string name);

  std::uint64_t size() const noexcept override { return size_; }
  Status read(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  FileSource(UniqueFd fd, std::string name, std::uint64_t size)
      : fd_(std::move(fd)), name_(std::move(name)), size_(size) {}

  UniqueFd fd_;
  std::string name_;
  std::uint64_t size_;
};

/// Where a capsule of that digest is kept: "FOLDER/applying-HEX.cap".
std::filesystem::path staged_path(const std::filesystem::path& folder,
                                  const crypto::Digest& digest);

/// Makes the folder, for its owner only, if it is not there, and holds it: one process applies
/// capsules at a time.
class StateFolder {
 public:
  /// Errors: busy (somebody else holds it), permission, io.
  static Result<StateFolder> hold(const std::filesystem::path& folder);

  /// Removes copies that are not in `kept`, and what a cut has left of copying.
  void tidy(std::span<const crypto::Digest> kept) const;

 private:
  StateFolder(std::filesystem::path folder, UniqueFd lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}

  std::filesystem::path folder_;
  UniqueFd lock_;
};

/// Copies a capsule to staged_path() and says what its digest is.
/// Errors: those of the source; no_space, permission, io.
/// Power loss: a file ".staging-…" may be left; the copy is whole once it has its name.
Result<crypto::Digest> stage_capsule(const capsule::Source& source,
                                     const std::filesystem::path& folder);

/// The staged capsule, if it is there and still has its digest.
/// Errors: not_found, damaged; those of FileSource::open().
Result<std::unique_ptr<FileSource>> open_staged(const std::filesystem::path& folder,
                                                const crypto::Digest& digest);

/// Removes it; that it is not there is no error. Errors: io.
Status remove_staged(const std::filesystem::path& folder, const crypto::Digest& digest);

}  // namespace efistore::update
