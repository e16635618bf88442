// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/image_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "efistore/flash/file_lock.hpp"

#include "file_io.hpp"

namespace efistore::flash {

namespace {

Status check_block_size(const std::string& name, std::uint32_t block_size) {
  if (std::has_single_bit(block_size)) return {};
  return fail(Errc::invalid_argument,
              fmt::format("{}: erase block size {:#x} is not a power of two", name, block_size));
}

Status check_regular(const struct stat& file, const std::string& name) {
  if (S_ISREG(file.st_mode)) return {};
  return fail(Errc::invalid_argument, name + " is not a regular file");
}

/// A new file in a directory that is unlinked unless it gets the name it is meant for, `target`,
/// which is also the one that messages have: nobody asked for the other.
class UnnamedFile {
 public:
  static Result<UnnamedFile> create(const std::filesystem::path& directory,
                                    const std::string& target) {
    constexpr int attempts = 16;
    for (int i = 0; i < attempts; ++i) {
      std::uint64_t random = 0;
      if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) continue;
      auto path = directory / fmt::format(".efistore-{:016x}", random);
      UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666));
      if (fd) return UnnamedFile(std::move(fd), std::move(path));
      if (errno != EEXIST && errno != EINTR) return fail_errno(errno, "create " + target);
    }
    return fail(Errc::io, "create " + target + ": no free name for a temporary file");
  }

  UnnamedFile(UnnamedFile&& other) noexcept
      : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}
  UnnamedFile& operator=(UnnamedFile&&) = delete;
  ~UnnamedFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  int fd() const noexcept { return fd_.get(); }

  /// Errors: already_exists, and what the file system says.
  Result<UniqueFd> move_to(const std::filesystem::path& path) {
    int error = 0;
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
      path_.clear();
    } else if (errno != EINVAL && errno != ENOSYS) {
      error = errno;
    } else if (::link(path_.c_str(), path.c_str()) != 0) {
      // Reached on file systems without RENAME_NOREPLACE, such as NFS.
      error = errno;
    }
    if (error != 0) return fail_errno(error, "create " + path.string());
    return std::move(fd_);
  }

 private:
  UnnamedFile(UniqueFd fd, std::filesystem::path path)
      : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::filesystem::path path_;
};

Status sync_directory(const std::filesystem::path& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + directory.string());
  // EINVAL: a file system whose directories need no sync.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) {
    return fail_errno(errno, "sync " + directory.string());
  }
  return {};
}

}  // namespace

ImageFile::ImageFile(UniqueFd fd, std::string name, OpenMode mode, Geometry geometry)
    : fd_(std::move(fd)), name_(std::move(name)), mode_(mode), geometry_(geometry) {}

Result<std::unique_ptr<ImageFile>> ImageFile::open(const std::filesystem::path& path, OpenMode mode,
                                                   std::uint32_t erase_block_size_bytes) {
  std::string name = path.string();
  if (auto status = check_block_size(name, erase_block_size_bytes); !status) {
    return forward(std::move(status));
  }
  struct stat file {};
  // Before open() as well, which has effects on some devices.
  if (::stat(path.c_str(), &file) != 0) return fail_errno(errno, name);
  if (auto status = check_regular(file, name); !status) return forward(std::move(status));

  const bool writable = mode == OpenMode::read_write;
  // O_NONBLOCK: should a FIFO have taken the file's place since, open() does not wait for it.
  UniqueFd fd(
      ::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return fail_errno(errno, name);
  if (auto status = lock_file(fd.get(), writable ? LockMode::exclusive : LockMode::shared, name);
      !status) {
    return forward(std::move(status));
  }
  if (::fstat(fd.get(), &file) != 0) return fail_errno(errno, name);
  if (auto status = check_regular(file, name); !status) return forward(std::move(status));

  const auto size = static_cast<std::uint64_t>(file.st_size);
  if (size < erase_block_size_bytes) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: {} bytes are less than an erase block of {}", name, size,
                            erase_block_size_bytes));
  }
  const Geometry geometry{.size_bytes = size - size % erase_block_size_bytes,
                          .erase_block_size_bytes = erase_block_size_bytes};
  return std::unique_ptr<ImageFile>(new ImageFile(std::move(fd), std::move(name), mode, geometry));
}

Result<std::unique_ptr<ImageFile>> ImageFile::create(const std::filesystem::path& path,
                                                     std::uint64_t size_bytes,
                                                     std::uint32_t erase_block_size_bytes) {
  std::string name = path.string();
  if (auto status = check_block_size(name, erase_block_size_bytes); !status) {
    return forward(std::move(status));
  }
  if (size_bytes == 0 || size_bytes % erase_block_size_bytes != 0 || size_bytes > INT64_MAX) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: size {:#x} is not a positive multiple of the erase block of {:#x}",
                            name, size_bytes, erase_block_size_bytes));
  }
  const std::filesystem::path parent = path.parent_path();
  const std::filesystem::path directory = parent.empty() ? "." : parent;
  auto file = UnnamedFile::create(directory, name);
  if (!file) return forward(std::move(file));
  if (auto status = write_erased(file->fd(), 0, size_bytes, name); !status) {
    return forward(std::move(status));
  }
  if (::fsync(file->fd()) != 0) return fail_errno(errno, "sync " + name);
  // Before the file has its name, so that nobody else can have it first.
  if (auto status = lock_file(file->fd(), LockMode::exclusive, name); !status) {
    return forward(std::move(status));
  }
  auto fd = file->move_to(path);
  if (!fd) return forward(std::move(fd));
  if (auto status = sync_directory(directory); !status) return forward(std::move(status));
  const Geometry geometry{.size_bytes = size_bytes,
                          .erase_block_size_bytes = erase_block_size_bytes};
  return std::unique_ptr<ImageFile>(
      new ImageFile(std::move(*fd), std::move(name), OpenMode::read_write, geometry));
}

Status ImageFile::read(std::uint64_t offset, std::span<std::byte> out) {
  if (auto status = check_read(*this, offset, out.size()); !status) return status;
  return read_fully(fd_.get(), offset, out, name_);
}

Status ImageFile::program(std::uint64_t offset, std::span<const std::byte> data) {
  if (auto status = check_program(*this, offset, data.size()); !status) return status;
  std::array<std::byte, 4096> buffer;
  for (std::size_t done = 0; done < data.size();) {
    const auto part = data.subspan(done, std::min(buffer.size(), data.size() - done));
    const auto current = std::span(buffer).first(part.size());
    if (auto status = read_fully(fd_.get(), offset + done, current, name_); !status) return status;
    if (auto status = check_no_bit_set(*this, offset + done, current, part); !status) return status;
    done += part.size();
  }
  // No bit of it is set that is not set there: writing it is clearing bits.
  return write_fully(fd_.get(), offset, data, name_);
}

Status ImageFile::erase(Range blocks) {
  if (auto status = check_erase(*this, blocks); !status) return status;
  return write_erased(fd_.get(), blocks.offset, blocks.size, name_);
}

Status ImageFile::sync() {
  // The file's size never changes, so its other metadata can wait.
  if (::fdatasync(fd_.get()) != 0) return fail_errno(errno, "sync " + name_);
  return {};
}

}  // namespace efistore::flash
