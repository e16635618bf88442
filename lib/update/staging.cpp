// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/staging.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "efistore/base/bytes.hpp"

namespace efistore::update {

namespace {

/// Ends with the whole written, or an error.
Status write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, name);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

/// What happened to names in the folder outlasts a power loss.
Status sync_folder(const std::filesystem::path& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(errno, folder.string());
  return {};
}

/// A temporary file that goes unless it was given its name.
class StagingFile {
 public:
  explicit StagingFile(const std::filesystem::path& folder)
      : path_((folder / ".staging-XXXXXX").string()) {
    fd_ = UniqueFd(::mkostemp(path_.data(), O_CLOEXEC));
  }
  ~StagingFile() {
    if (fd_) ::unlink(path_.c_str());
  }
  StagingFile(const StagingFile&) = delete;
  StagingFile& operator=(const StagingFile&) = delete;

  int fd() const noexcept { return fd_.get(); }
  const std::string& path() const noexcept { return path_; }
  Status rename_to(const std::filesystem::path& path) {
    if (::fsync(fd_.get()) != 0 || ::rename(path_.c_str(), path.c_str()) != 0) {
      return fail_errno(errno, path.string());
    }
    fd_.reset();
    return sync_folder(path.parent_path());
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

Result<crypto::Digest> digest_of(const capsule::Source& source) {
  crypto::Hash hash;
  Status hashed = capsule::for_each_piece(source, {0, source.size()},
                                          [&hash](std::span<const std::byte> piece) -> Status {
                                            hash.update(piece);
                                            return {};
                                          });
  if (!hashed) return forward(std::move(hashed));
  return hash.finish();
}

}  // namespace

Result<std::unique_ptr<FileSource>> FileSource::open(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, path.string());
  return adopt(std::move(fd), path.string());
}

Result<std::unique_ptr<FileSource>> FileSource::adopt(UniqueFd fd, std::string name) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, name);
  if (!S_ISREG(status.st_mode)) {
    return fail(Errc::invalid_argument, name + ": it is no regular file");
  }
  return std::unique_ptr<FileSource>(
      new FileSource(std::move(fd), std::move(name), static_cast<std::uint64_t>(status.st_size)));
}

Status FileSource::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return fail(Errc::out_of_range, fmt::format("{}: {} bytes at {} are beyond its end, {}", name_,
                                                out.size(), offset, size_));
  }
  while (!out.empty()) {
    const ssize_t done = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail_errno(errno, name_);
    if (done == 0) {
      return fail(Errc::io,
                  fmt::format("{}: it ends at {} now, and had {} bytes", name_, offset, size_));
    }
    out = out.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

Result<StateFolder> StateFolder::hold(const std::filesystem::path& folder) {
  std::error_code error;
  // A journal must not outlast the folder that its copy is in.
  std::vector<std::filesystem::path> missing;
  for (auto path = std::filesystem::absolute(folder); !std::filesystem::exists(path, error);
       path = path.parent_path()) {
    missing.push_back(path);
  }
  std::ranges::reverse(missing);
  for (const auto& path : missing) {
    if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
      return fail_errno(errno, path.string());
    }
    if (Status synced = sync_folder(path.parent_path()); !synced) {
      return forward(std::move(synced));
    }
  }
  UniqueFd lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!lock || ::fchmod(lock.get(), S_IRWXU) != 0) return fail_errno(errno, folder.string());
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, folder.string());
    return fail(Errc::busy, folder.string() + ": another update is under way");
  }
  return StateFolder(folder, std::move(lock));
}

void StateFolder::tidy(std::span<const crypto::Digest> kept) const {
  std::error_code error;
  std::vector<std::filesystem::path> left;
  for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool is_ours = name.starts_with(".staging-") || name.starts_with("applying-");
    const bool is_kept = std::ranges::any_of(kept, [&](const crypto::Digest& digest) {
      return staged_path(folder_, digest).filename() == name;
    });
    if (is_ours && !is_kept) left.push_back(entry->path());
  }
  for (const auto& path : left) ::unlink(path.c_str());
}

std::filesystem::path staged_path(const std::filesystem::path& folder,
                                  const crypto::Digest& digest) {
  return folder / ("applying-" + to_hex(digest) + ".cap");
}

Result<crypto::Digest> stage_capsule(const capsule::Source& source,
                                     const std::filesystem::path& folder) {
  StagingFile file(folder);
  if (file.fd() < 0) return fail_errno(errno, folder.string());
  crypto::Hash hash;
  Status copied =
      capsule::for_each_piece(source, {0, source.size()}, [&](std::span<const std::byte> piece) {
        hash.update(piece);
        return write_all(file.fd(), piece, file.path());
      });
  if (!copied) return forward(std::move(copied));
  const crypto::Digest digest = hash.finish();
  if (Status renamed = file.rename_to(staged_path(folder, digest)); !renamed) {
    return forward(std::move(renamed));
  }
  return digest;
}

Result<std::unique_ptr<FileSource>> open_staged(const std::filesystem::path& folder,
                                                const crypto::Digest& digest) {
  auto source = FileSource::open(staged_path(folder, digest));
  if (!source) return source;
  const auto there = digest_of(**source);
  if (!there) return tl::unexpected(there.error());
  if (*there != digest) {
    return fail(Errc::damaged, fmt::format("{}: it is not what was put there",
                                           staged_path(folder, digest).string()));
  }
  return source;
}

Status remove_staged(const std::filesystem::path& folder, const crypto::Digest& digest) {
  const auto path = staged_path(folder, digest);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, path.string());
  return {};
}

}  // namespace efistore::update
