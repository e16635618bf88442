// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/flash/image_file.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "create_layout.hpp"
#include "json.hpp"
#include "size.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store vars.fd create                       as OVMF's blank OVMF_VARS_4M.fd
  efistore --store vars.fd create --layout aavmf --size 64M
  efistore --store mtd:uefi-vars create                 over the whole partition
  efistore --store vars.fd create --force               discards all variables of vars.fd)";

struct CreateOptions {
  LayoutRequest layout{};
  bool force = false;
};

/// An image file that is new and goes away again unless it is kept.
class NewImage {
 public:
  explicit NewImage(std::string path) : path_(std::move(path)) {}
  NewImage(const NewImage&) = delete;
  NewImage& operator=(const NewImage&) = delete;
  ~NewImage() {
    if (!kept_) ::unlink(path_.c_str());
  }
  void keep() noexcept { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

Outcome<store::Layout> create_image(const std::string& path, const LayoutRequest& request) {
  auto layout = choose_layout(request, std::nullopt);
  if (!layout) return layout;
  const std::uint64_t size = std::max(request.size_bytes.value_or(0), layout->volume_size_bytes);
  auto image = flash::ImageFile::create(path, size);
  if (!image) return fail_with(image.error());
  NewImage cleanup(path);
  if (auto done = store::VariableStore::format(**image, *layout); !done) {
    return fail_with(done.error());
  }
  cleanup.keep();
  return layout;
}

/// Whether nothing but erased, or nothing but zero bytes would be overwritten.
Outcome<bool> is_blank(flash::Device& device, std::uint64_t size) {
  std::vector<std::byte> chunk(64U << 10);
  std::byte fill{};
  for (std::uint64_t at = 0; at < size; at += chunk.size()) {
    const std::span part(chunk.data(), std::min<std::uint64_t>(chunk.size(), size - at));
    if (auto done = device.read(at, part); !done) return fail_with(done.error());
    if (at == 0) fill = part.front();
    const bool blank_fill = fill == std::byte{0xff} || fill == std::byte{0};
    if (!blank_fill || !is_filled(part, fill)) return false;
  }
  return true;
}

Outcome<store::Layout> format_existing(const std::string& locator, const CreateOptions& options) {
  auto device = open_flash(locator, flash::OpenMode::read_write);
  if (!device) return tl::unexpected(std::move(device).error());
  const flash::Geometry& geometry = (*device)->geometry();
  auto layout = choose_layout(options.layout, geometry);
  if (!layout) return layout;
  if (!options.force) {
    const std::uint64_t overwritten = std::min(layout->volume_size_bytes, geometry.size_bytes);
    const auto blank = is_blank(**device, overwritten);
    if (!blank) return tl::unexpected(blank.error());
    if (!*blank) {
      const bool is_store = store::detect_layout(**device).has_value();
      return fail_with(fmt::format("{}: {}; --force overwrites the first {} of it", locator,
                                   is_store ? "holds a variable store" : "is not blank",
                                   format_size(overwritten)));
    }
  }
  if (auto done = store::VariableStore::format(**device, *layout); !done) {
    return fail_with(done.error());
  }
  return layout;
}

/// Whether `locator` is a path at which nothing is: an image file is made there.
bool is_new_file(const std::string& locator) {
  if (locator.starts_with("mtd:") || locator.starts_with("unix:") || locator.starts_with("/dev/")) {
    return false;
  }
  std::error_code error;
  // Whatever else is wrong with the path, opening it will say.
  return std::filesystem::status(locator, error).type() == std::filesystem::file_type::not_found;
}

/// A link that leads nowhere is in the way of a new file, and not followed: who made it may have
/// meant another place, or none.
Outcome<void> check_no_dangling_link(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error)) return {};
  return fail_with(fmt::format("{} is a symbolic link to {}, where nothing is", path,
                               std::filesystem::read_symlink(path, error).string()));
}

Outcome<ExitCode> run_create(const GlobalOptions& global, const CreateOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  const bool new_file = is_new_file(*locator);
  if (new_file) {
    if (auto free = check_no_dangling_link(*locator); !free) return tl::unexpected(free.error());
  }
  const auto layout =
      new_file ? create_image(*locator, options.layout) : format_existing(*locator, options);
  if (!layout) return tl::unexpected(layout.error());
  if (global.json) {
    print_json(Json{{"store", *locator},
                    {"layout", layout->name()},
                    {"format", store::to_string(layout->format)},
                    {"volume_size", layout->volume_size_bytes},
                    {"block_size", layout->block_size_bytes}});
  } else {
    print(fmt::format("{}: {}, {} format, {} in blocks of {}\n",
                      escape(*locator, EscapeStyle::line), layout->name(),
                      store::to_string(layout->format), format_size(layout->volume_size_bytes),
                      format_size(layout->block_size_bytes)));
  }
  return ExitCode::success;
}

}  // namespace

void add_create(CLI::App& app, Action& action) {
  struct Arguments {
    std::string layout;
    std::optional<std::string> size;
    std::optional<std::string> block_size;
    std::string format = "auth";
    bool force = false;
  };
  auto* const command = app.add_subcommand("create", "Make a new, empty store");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("--layout", arguments->layout, "Where things lie in the volume")
      ->check(CLI::IsMember({"ovmf-4m", "ovmf-2m", "aavmf", "custom"}));
  command
      ->add_option("--size", arguments->size,
                   "Bytes of the new file, or of the custom volume (suffixes K, M)")
      ->type_name("N[K|M]");
  command
      ->add_option("--block-size", arguments->block_size,
                   "Bytes of an erase block of the custom layout (suffixes K, M)")
      ->type_name("N[K|M]");
  command->add_option("--format", arguments->format, "Kind of variable headers")
      ->check(CLI::IsMember({"auth", "normal"}))
      ->capture_default_str();
  command->add_flag("--force", arguments->force, "Overwrite what is there");
  command->footer(footer);
  command->callback([arguments, &action] {
    action = [arguments](const GlobalOptions& global) -> Outcome<ExitCode> {
      CreateOptions options;
      options.force = arguments->force;
      options.layout.name = arguments->layout;
      options.layout.format = arguments->format == "normal" ? store::RecordFormat::normal
                                                            : store::RecordFormat::authenticated;
      for (const auto& [option, text, value] :
           {std::tuple("--size", &arguments->size, &options.layout.size_bytes),
            std::tuple("--block-size", &arguments->block_size, &options.layout.block_size_bytes)}) {
        if (!*text) continue;
        *value = parse_size(**text);
        if (!*value) {
          return fail_usage(fmt::format(
              "{}: \"{}\" is no size: a number with K, M or nothing behind it was expected", option,
              **text));
        }
      }
      return run_create(global, options);
    };
  });
}

}  // namespace efistore::tools
