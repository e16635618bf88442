// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/wear.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <numeric>
#include <string_view>

#include "efistore/base/unique_fd.hpp"
#include "efistore/flash/sidecar.hpp"

namespace efistore::flash {

namespace {

constexpr std::string_view magic = "efistore-wear 1";
/// A volume has 2^17 blocks at most, and devices that hold much more than it are no flash.
constexpr std::uint64_t max_blocks = 1U << 17;
/// A count has 20 digits at most.
constexpr std::size_t max_file_size = 4U << 20;

WearCounts none_yet(const Geometry& geometry) {
  const std::uint32_t block = geometry.erase_block_size_bytes;
  return {.erase_block_size_bytes = block,
          .erases = std::vector<std::uint64_t>(geometry.size_bytes / block)};
}

Result<std::string> read_text(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "open " + path.string());
  struct stat file {};
  if (::fstat(fd.get(), &file) != 0) return fail_errno(errno, path.string());
  if (!S_ISREG(file.st_mode)) return fail(Errc::damaged, path.string() + " is not a regular file");
  if (static_cast<std::uint64_t>(file.st_size) > max_file_size) {
    return fail(Errc::damaged, fmt::format("{} has {} bytes, expected at most {}", path.string(),
                                           file.st_size, max_file_size));
  }
  std::string text(static_cast<std::size_t>(file.st_size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read " + path.string());
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  return text;
}

/// The next line, without its end; the text behind it stays.
std::string_view take_line(std::string_view& text) noexcept {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

bool write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t done = ::write(fd, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(done));
  }
  return true;
}

}  // namespace

std::uint64_t WearCounts::total() const noexcept {
  return std::accumulate(erases.begin(), erases.end(), std::uint64_t{0});
}

std::size_t WearCounts::most_worn() const noexcept {
  return static_cast<std::size_t>(std::ranges::max_element(erases) - erases.begin());
}

Result<WearCounts> load_wear(const std::filesystem::path& path, const Geometry& geometry) {
  const auto text = read_text(path);
  if (!text) return forward(Result<std::string>(text));
  const std::uint64_t blocks = geometry.size_bytes / geometry.erase_block_size_bytes;
  if (blocks > max_blocks) {
    return fail(Errc::unsupported, fmt::format("{}: erases of {} blocks are not counted, only of "
                                               "{}",
                                               path.string(), blocks, max_blocks));
  }
  WearCounts counts = none_yet(geometry);
  std::string_view rest = *text;
  if (rest.empty()) return counts;
  const std::string head =
      fmt::format("{} {} {}", magic, counts.erase_block_size_bytes, counts.erases.size());
  if (take_line(rest) != head) {
    return fail(Errc::damaged, fmt::format("{}: line 1 should be \"{}\"", path.string(), head));
  }
  for (std::size_t block = 0; block < counts.erases.size(); ++block) {
    const std::string_view line = take_line(rest);
    const char* const end = line.data() + line.size();
    const auto parsed = std::from_chars(line.data(), end, counts.erases[block]);
    if (line.empty() || parsed.ec != std::errc{} || parsed.ptr != end) {
      return fail(Errc::damaged, fmt::format("{}: line {} should be how often block {} was erased",
                                             path.string(), block + 2, block));
    }
  }
  if (!rest.empty()) {
    return fail(Errc::damaged, fmt::format("{}: there is text behind the {} blocks", path.string(),
                                           counts.erases.size()));
  }
  return counts;
}

Status save_wear(const std::filesystem::path& path, const WearCounts& counts) {
  std::string text =
      fmt::format("{} {} {}\n", magic, counts.erase_block_size_bytes, counts.erases.size());
  for (const std::uint64_t erases : counts.erases) text += fmt::format("{}\n", erases);
  // The store's lock keeps a second writer away, so one name will do.
  const std::string temporary = path.string() + ".new";
  ::unlink(temporary.c_str());
  UniqueFd fd(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return fail_errno(errno, "create " + temporary);
  if (!write_all(fd.get(), text) || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return fail_errno(error, "write " + path.string());
  }
  return {};
}

std::filesystem::path wear_path(const std::string& locator, const Device& device) {
  return sidecar_path(locator, device, "wear");
}

WearDevice::WearDevice(std::unique_ptr<Device> below, std::filesystem::path file, WearCounts counts)
    : below_(std::move(below)), file_(std::move(file)), counts_(std::move(counts)) {}

WearDevice::~WearDevice() {
  if (unsaved_) save();
}

Status WearDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  return below_->read(offset, out);
}

Status WearDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  return below_->program(offset, data);
}

Status WearDevice::erase(Range blocks) {
  auto done = below_->erase(blocks);
  // One that failed in the device may have worn the block; one that was refused has not.
  if (!done && done.error().code != Errc::io) return done;
  const std::uint32_t block = counts_.erase_block_size_bytes;
  for (std::uint64_t at = blocks.offset; at < blocks.end(); at += block) {
    ++counts_.erases[at / block];
  }
  unsaved_ = true;
  return done;
}

Status WearDevice::sync() {
  auto done = below_->sync();
  if (unsaved_) save();
  return done;
}

void WearDevice::save() {
  unsaved_ = !save_wear(file_, counts_).has_value();
}

std::unique_ptr<Device> count_wear(std::unique_ptr<Device> device, const std::string& locator) {
  if (device->read_only()) return device;
  auto file = wear_path(locator, *device);
  auto counts = load_wear(file, device->geometry());
  if (!counts) {
    const bool starts = counts.error().code == Errc::not_found && is_mtd(*device);
    if (!starts) return device;
    std::error_code ignored;
    std::filesystem::create_directories(file.parent_path(), ignored);
    counts = none_yet(device->geometry());
  }
  return std::make_unique<WearDevice>(std::move(device), std::move(file), std::move(*counts));
}

}  // namespace efistore::flash
