// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/mtd_device.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <mtd/mtd-user.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "efistore/flash/file_lock.hpp"

#include "file_io.hpp"
#include "mtd_node.hpp"
#include "printable.hpp"

namespace efistore::flash {

namespace {

/// The widest bus of the boards known; programs are padded to words of it.
constexpr std::uint64_t bus_word_bytes = 4;

constexpr std::size_t mtd_name_limit = 64;

/// The kernel's own ENOTSUPP, which some of its drivers return and no user-space header has.
constexpr int kernel_enotsupp = 524;

std::string_view type_name(std::uint8_t type) noexcept {
  switch (type) {
    case MTD_ABSENT:
      return "an empty slot";
    case MTD_RAM:
      return "RAM";
    case MTD_ROM:
      return "ROM";
    case MTD_NORFLASH:
      return "NOR flash";
    case MTD_NANDFLASH:
    case MTD_MLCNANDFLASH:
      return "NAND flash";
    case MTD_DATAFLASH:
      return "DataFlash";
    case MTD_UBIVOLUME:
      return "a UBI volume";
    default:
      return "of an unknown kind";
  }
}

/// "mtd4 (uefi-vars)", or the path where sysfs does not tell.
std::string display_name(const std::filesystem::path& path, dev_t node) {
  const std::string device = fmt::format("/sys/dev/char/{}:{}", major(node), minor(node));
  const UniqueFd fd(::open((device + "/name").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, mtd_name_limit + 1> text{};
  const ssize_t count = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (count <= 0) return path.string();
  std::string_view name(text.data(), static_cast<std::size_t>(count));
  if (name.ends_with('\n')) name.remove_suffix(1);
  return fmt::format("mtd{} ({})", minor(node) / 2, printable(name, mtd_name_limit));
}

Result<MtdInfo> read_info(int fd, const std::string& name) {
  mtd_info_user raw{};
  if (::ioctl(fd, MEMGETINFO, &raw) != 0) return fail_errno(errno, name + ": MEMGETINFO");
  // MEMGETINFO cuts the size to 32 bits; the end of the file is not.
  const off_t size = ::lseek(fd, 0, SEEK_END);
  if (size < 0) return fail_errno(errno, name + ": size");
  return MtdInfo{.type = raw.type,
                 .flags = raw.flags,
                 .size_bytes = static_cast<std::uint64_t>(size),
                 .erase_block_size_bytes = raw.erasesize,
                 .write_size_bytes = raw.writesize};
}

/// Why the node cannot be opened: the kernel says EACCES both where the file's permissions forbid
/// writing and where the device or partition is made for reading only.
tl::unexpected<Error> open_failure(const std::filesystem::path& path, const std::string& name,
                                   OpenMode mode, int error) {
  if (mode == OpenMode::read_write && error == EACCES) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat node {};
    mtd_info_user info{};
    if (fd && ::fstat(fd.get(), &node) == 0 && ::ioctl(fd.get(), MEMGETINFO, &info) == 0) {
      if (minor(node.st_rdev) % 2 != 0) {
        return fail(Errc::read_only,
                    fmt::format("{}: {} is its node for reading only", name, path.string()));
      }
      if ((info.flags & MTD_WRITEABLE) == 0) {
        return fail(Errc::read_only, name + ": the device or partition is for reading only");
      }
    }
  }
  return fail_errno(error, name);
}

}  // namespace

bool is_mtd_node(const struct stat& node) noexcept {
  constexpr unsigned mtd_char_major = 90;
  return S_ISCHR(node.st_mode) && major(node.st_rdev) == mtd_char_major;
}

Status check_mtd_suitable(const MtdInfo& info, const std::string& name) {
  const auto refuse = [&name](const std::string& reason) {
    return fail(Errc::unsupported, fmt::format("{}: {}: the variable store needs NOR flash, or "
                                               "RAM, in which every byte can be written again "
                                               "without an erase",
                                               name, reason));
  };
  if (info.type != MTD_NORFLASH && info.type != MTD_RAM) {
    return refuse(fmt::format("is {} (type {}, write size {})", type_name(info.type), info.type,
                              info.write_size_bytes));
  }
  if (info.write_size_bytes != 1) {
    return refuse(fmt::format("is {} with a write size of {} bytes, not 1", type_name(info.type),
                              info.write_size_bytes));
  }
  if ((info.flags & MTD_BIT_WRITEABLE) == 0) {
    return refuse(fmt::format("is {} that is not bit-writable (flags {:#x})", type_name(info.type),
                              info.flags));
  }
  if (!std::has_single_bit(info.erase_block_size_bytes) ||
      info.erase_block_size_bytes < bus_word_bytes) {
    return refuse(fmt::format("has erase blocks of {} bytes, not a power of two from {} on",
                              info.erase_block_size_bytes, bus_word_bytes));
  }
  if (info.size_bytes == 0 || info.size_bytes % info.erase_block_size_bytes != 0) {
    return refuse(
        fmt::format("its size of {} bytes is not a positive multiple of its erase block "
                    "of {} bytes",
                    info.size_bytes, info.erase_block_size_bytes));
  }
  return {};
}

MtdDevice::MtdDevice(UniqueFd fd, std::string name, OpenMode mode, Geometry geometry)
    : fd_(std::move(fd)), name_(std::move(name)), mode_(mode), geometry_(geometry) {}

Result<std::unique_ptr<MtdDevice>> MtdDevice::open(const std::filesystem::path& path,
                                                   OpenMode mode) {
  struct stat node {};
  // Before open(), which has effects on devices of other kinds.
  if (::stat(path.c_str(), &node) != 0) return fail_errno(errno, path.string());
  if (!is_mtd_node(node)) {
    return fail(Errc::invalid_argument, path.string() + " is not an MTD character device");
  }
  std::string name = display_name(path, node.st_rdev);
  const bool writable = mode == OpenMode::read_write;
  UniqueFd fd(::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (!fd) return open_failure(path, name, mode, errno);
  auto info = read_info(fd.get(), name);
  if (!info) return forward(std::move(info));
  if (auto status = check_mtd_suitable(*info, name); !status) return forward(std::move(status));
  if (auto status = lock_file(fd.get(), writable ? LockMode::exclusive : LockMode::shared, name);
      !status) {
    return forward(std::move(status));
  }
  const Geometry geometry{.size_bytes = info->size_bytes,
                          .erase_block_size_bytes = info->erase_block_size_bytes};
  std::unique_ptr<MtdDevice> device(new MtdDevice(std::move(fd), std::move(name), mode, geometry));
  // Many parts lock all blocks at power-up, against programming as well as against erasing.
  if (writable) {
    if (auto status = device->unlock({0, geometry.size_bytes}); !status) {
      return forward(std::move(status));
    }
  }
  return device;
}

Status MtdDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  if (auto status = check_read(*this, offset, out.size()); !status) return status;
  return read_fully(fd_.get(), offset, out, name_);
}

Status MtdDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  if (auto status = check_program(*this, offset, data.size()); !status) return status;
  if (data.empty()) return {};
  const std::uint64_t begin = offset - offset % bus_word_bytes;
  const std::uint64_t end =
      (offset + data.size() + bus_word_bytes - 1) / bus_word_bytes * bus_word_bytes;
  std::vector<std::byte> words(static_cast<std::size_t>(end - begin));
  if (auto status = read_fully(fd_.get(), begin, words, name_); !status) return status;
  const auto place =
      std::span(words).subspan(static_cast<std::size_t>(offset - begin), data.size());
  if (auto status = check_no_bit_set(*this, offset, place, data); !status) return status;
  std::ranges::copy(data, place.begin());
  return write_fully(fd_.get(), begin, words, name_);
}

Status MtdDevice::erase(Range blocks) {
  if (auto status = check_erase(*this, blocks); !status) return status;
  if (blocks.size == 0) return {};
  if (auto status = unlock(blocks); !status) return status;
  erase_info_user64 request{.start = blocks.offset, .length = blocks.size};
  if (::ioctl(fd_.get(), MEMERASE64, &request) != 0) {
    return fail_errno(
        errno, fmt::format("{}: erase of {:#x} bytes at {:#x}", name_, blocks.size, blocks.offset));
  }
  return {};
}

Status MtdDevice::unlock(Range blocks) {
  // MEMUNLOCK has 32 bits for offset and size; parts with locks are smaller than that.
  if (!has_locks_ || blocks.end() > UINT32_MAX) return {};
  erase_info_user request{.start = static_cast<std::uint32_t>(blocks.offset),
                          .length = static_cast<std::uint32_t>(blocks.size)};
  if (::ioctl(fd_.get(), MEMUNLOCK, &request) == 0) return {};
  switch (errno) {
    case EOPNOTSUPP:
    case ENOTTY:
    case kernel_enotsupp:
      has_locks_ = false;
      return {};
    case EINVAL:
      // The chip's locks cannot tell these blocks from others; the erase says whether it matters.
      return {};
    default:
      return fail_errno(errno, fmt::format("{}: unlock of {:#x} bytes at {:#x}", name_, blocks.size,
                                           blocks.offset));
  }
}

Status MtdDevice::sync() {
  // MTD character devices have no fsync: programs and erases are done when the call returns.
  if (::fsync(fd_.get()) != 0 && errno != EINVAL) return fail_errno(errno, "sync " + name_);
  return {};
}

}  // namespace efistore::flash
