// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// `bench-fuse SHIM MINIMAL`: lists and reads 100 variables on efivarfs-shim and 100 files on the
// minimal file system, in turns, both mounted at once, all on one processor; then the shim's
// resident memory. Prints JSON; exits with 1 if the memory is over its target, with 77 where
// nothing can be mounted.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "mounted_process.hpp"
#include "support/temporary_directory.hpp"
#include "workload.hpp"

namespace efistore::bench {

namespace {

constexpr std::size_t file_count = 100;
constexpr ssize_t file_size_bytes = 104;
/// The attributes come in front of a file's data.
constexpr std::size_t data_size_bytes = 100;
constexpr int rounds = 150;
constexpr int warm_up_rounds = 5;
constexpr std::size_t memory_target_kib = 8 * 1024;
constexpr int exit_skipped = 77;

/// Lists the directory, then opens, reads and closes each file. In microseconds.
double list_and_read(const std::filesystem::path& directory) {
  const auto begin = std::chrono::steady_clock::now();
  DIR* listing = opendir(directory.c_str());
  if (listing == nullptr) give_up(directory.string() + " cannot be listed");
  std::size_t files = 0;
  std::array<char, 4096> buffer;
  while (const dirent* entry = readdir(listing)) {
    if (entry->d_name[0] == '.') continue;
    const int file = openat(dirfd(listing), entry->d_name, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, buffer.data(), buffer.size()) != file_size_bytes) {
      give_up(fmt::format("{}/{} cannot be read", directory.string(), entry->d_name));
    }
    close(file);
    ++files;
  }
  closedir(listing);
  if (files != file_count) give_up(fmt::format("{} has {} files", directory.string(), files));
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
      .count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

nlohmann::json time_both(const MountedProcess& shim, const MountedProcess& minimal) {
  std::vector<double> shim_us;
  std::vector<double> minimal_us;
  std::vector<double> ratios;
  for (int round = 0; round < warm_up_rounds + rounds; ++round) {
    // Who comes first alternates too.
    const bool shim_first = round % 2 == 0;
    const double first = list_and_read((shim_first ? shim : minimal).mount_point());
    const double second = list_and_read((shim_first ? minimal : shim).mount_point());
    if (round < warm_up_rounds) continue;
    shim_us.push_back(shim_first ? first : second);
    minimal_us.push_back(shim_first ? second : first);
    ratios.push_back(shim_us.back() / minimal_us.back());
  }
  const double best_shim = std::ranges::min(shim_us);
  const double best_minimal = std::ranges::min(minimal_us);
  return {{"rounds", rounds},
          {"shim_best_us", best_shim},
          {"shim_median_us", median(shim_us)},
          {"minimal_best_us", best_minimal},
          {"minimal_median_us", median(minimal_us)},
          {"ratio_of_bests", best_shim / best_minimal},
          {"median_of_ratios", median(ratios)}};
}

std::filesystem::path write_image(const std::filesystem::path& path, const Workload& workload) {
  const auto& image = image_of(workload);
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(image.data()),
             static_cast<std::streamsize>(image.size()));
  if (!file.flush()) give_up(path.string() + " cannot be written");
  return path;
}

/// What the shim occupies after everything was read, and whether that is within the target.
nlohmann::json judge_memory(const MountedProcess& shim, const Workload& workload,
                            std::vector<std::string>& misses) {
  const ResidentMemory memory = shim.resident_memory();
  const std::size_t store_kib = image_of(workload).size() / 1024;
  const std::size_t limit = memory_target_kib + 2 * store_kib;
  if (memory.resident >= limit) {
    misses.push_back(fmt::format("the shim over {} variables has {} KiB resident, {} KiB allowed",
                                 label_of(workload), memory.resident, limit));
  }
  return {{"workload", label_of(workload)},
          {"resident_kib", memory.resident},
          {"high_water_kib", memory.high_water},
          {"anonymous_kib", memory.anonymous},
          {"limit_kib", limit}};
}

void read_all(const std::filesystem::path& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::array<char, 4096> buffer;
    if (!file.read(buffer.data(), buffer.size()) && file.gcount() == 0) {
      give_up(entry.path().string() + " cannot be read");
    }
  }
}

/// Keeps this process and those that it starts on one processor. A request wakes the file system
/// and the answer its client; across processors that takes twenty times as long, and which of the
/// two file systems the scheduler treats so is chance.
void stay_on_one_processor() {
  const int processor = sched_getcpu();
  if (processor < 0) give_up("sched_getcpu() fails");
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(processor), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) give_up("sched_setaffinity() fails");
}

int run(const std::string& shim_program, const std::string& minimal_program) {
  stay_on_one_processor();
  const test::TemporaryDirectory directory;
  const auto shim_command = [&](const Workload& workload, const std::string& image) {
    return std::vector<std::string>{shim_program, "-f", "--store",
                                    write_image(directory / image, workload).string()};
  };
  std::vector<std::string> misses;
  nlohmann::json output;
  {
    const Workload workload{.variable_count = file_count, .data_size_bytes = data_size_bytes};
    auto command = shim_command(workload, "vars.fd");
    // Otherwise VarErrorFlag would be one file more.
    command.insert(command.end(), {"-o", "ro"});
    const MountedProcess shim(std::move(command), directory / "shim");
    const MountedProcess minimal({minimal_program}, directory / "minimal");
    output["list_and_read"] = time_both(shim, minimal);
    output["memory"].push_back(judge_memory(shim, workload, misses));
    output["minimal_resident_kib"] = minimal.resident_memory().resident;
  }
  {
    const Workload workload{.variable_count = 500, .full_of_dead_records = true};
    const MountedProcess shim(shim_command(workload, "full.fd"), directory / "full");
    read_all(shim.mount_point());
    output["memory"].push_back(judge_memory(shim, workload, misses));
  }
  output["missed"] = misses;
  fmt::print("{}\n", output.dump(2));
  return misses.empty() ? 0 : 1;
}

}  // namespace

}  // namespace efistore::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: bench-fuse SHIM MINIMAL\n");
    return 2;
  }
  if (access("/dev/fuse", R_OK | W_OK) != 0) {
    fmt::print(stderr, "benchmark: skipped: /dev/fuse is not there, or not for us\n");
    return efistore::bench::exit_skipped;
  }
  return efistore::bench::run_guarded([&] { return efistore::bench::run(argv[1], argv[2]); });
}
