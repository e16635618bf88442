// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/policies.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "efistore/base/unique_fd.hpp"
#include "efistore/flash/sidecar.hpp"

#include "common/file_io.hpp"

namespace efistore::tools {

namespace {

/// At most `limit` bytes of a regular file; one more than the limit tells that there are more.
Result<std::vector<std::byte>> read_file(const std::filesystem::path& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "open " + path.string());
  struct stat file {};
  if (::fstat(fd.get(), &file) != 0) return fail_errno(errno, path.string());
  if (!S_ISREG(file.st_mode)) return fail(Errc::damaged, path.string() + " is not a regular file");
  std::vector<std::byte> content(limit + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(fd.get(), content.data() + size, content.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "read " + path.string());
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  content.resize(size);
  return content;
}

}  // namespace

std::filesystem::path policy_path(const std::string& locator, const flash::Device& device) {
  std::error_code error;
  const auto target = std::filesystem::canonical(locator, error);
  return flash::sidecar_path(error ? locator : target.string(), device, "policy");
}

Result<Guid> read_boot_id(const std::filesystem::path& file) {
  const auto content = read_file(file, guid_text_size + 1);
  if (!content) return forward(Result<std::vector<std::byte>>(content));
  std::string text(content->size(), '\0');
  std::ranges::transform(*content, text.begin(), [](std::byte b) { return static_cast<char>(b); });
  if (text.ends_with('\n')) text.pop_back();
  const auto id = Guid::parse(text);
  if (!id || *id == Guid{}) {
    return fail(Errc::damaged, file.string() + ": expected the boot's identifier, a UUID");
  }
  return *id;
}

Result<variable::PolicyFile> load_policy_file(const std::filesystem::path& path) {
  const auto content = read_file(path, variable::max_policy_file_size_bytes);
  if (!content) {
    if (content.error().code == Errc::not_found) return variable::PolicyFile{};
    return forward(Result<std::vector<std::byte>>(content));
  }
  auto file = variable::read_policy_file(*content);
  if (!file) return forward(std::move(file), path.string());
  return file;
}

Outcome<void> save_policy_file(const std::filesystem::path& path,
                               const variable::PolicyFile& file) {
  const auto content = variable::encode_policy_file(file);
  if (!content) return fail_with(content.error());
  std::error_code ignored;  // the file itself then cannot be made
  std::filesystem::create_directories(path.parent_path(), ignored);
  return write_file(path.string(), *content);
}

Result<bool> is_locked(const variable::PolicyFile& file, const std::filesystem::path& boot_id) {
  if (!file.locked_in_boot) return false;
  const auto boot = read_boot_id(boot_id);
  if (!boot) return forward(Result<Guid>(boot));
  return *boot == *file.locked_in_boot;
}

Result<std::vector<variable::Policy>> policies_of(const std::string& locator,
                                                  const flash::Device& device) {
  auto file = load_policy_file(policy_path(locator, device));
  if (!file) {
    Error error = std::move(file).error();
    error.message += "; without its policies the store is not written";
    return tl::unexpected(std::move(error));
  }
  return std::move(file->policies);
}

}  // namespace efistore::tools
