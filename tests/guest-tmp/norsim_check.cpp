// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// usage: norsim_check DEVICE
//
// The NOR simulator of tests/norsim, before others are tested with it: run in a guest that has
// loaded it with blocks of 4 KiB, on a partition of 16 blocks or more. What is there is lost.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mtd/mtd-user.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t block = 4096;

[[noreturn]] void fail(int line, const std::string& what) {
  fmt::print(stderr, "norsim_check: line {}: {}\n", line, what);
  std::exit(1);
}

template <typename A, typename B>
void expect_equal(int line, const A& expected, const B& actual) {
  if (expected != actual) fail(line, fmt::format("expected {}, not {}", expected, actual));
}

void expect(int line, bool holds, const char* what) {
  if (!holds) fail(line, what);
}

#define EXPECT_EQ(expected, actual) expect_equal(__LINE__, expected, actual)
#define EXPECT(condition) expect(__LINE__, condition, #condition)

std::string parameter(const std::string& name) {
  std::ifstream file("/sys/module/norsim/parameters/" + name);
  std::string value;
  std::getline(file, value);
  return value;
}

unsigned long counter(const std::string& name) {
  return std::stoul(parameter(name));
}

void set_parameter(const std::string& name, const std::string& value) {
  std::ofstream file("/sys/module/norsim/parameters/" + name);
  file << value << std::flush;
  if (!file) fail(__LINE__, "cannot set " + name);
}

class Flash {
 public:
  explicit Flash(const char* path) : fd_(open(path, O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0) fail(__LINE__, "cannot open the device");
  }
  ~Flash() { close(fd_); }
  Flash(const Flash&) = delete;
  Flash& operator=(const Flash&) = delete;

  mtd_info_user info() const {
    mtd_info_user info{};
    EXPECT_EQ(0, ioctl(fd_, MEMGETINFO, &info));
    return info;
  }
  /// Each of these: 0, or errno.
  int try_read(std::uint32_t at, Bytes& out) const {
    const ssize_t done = pread(fd_, out.data(), out.size(), at);
    if (done < 0) return errno;
    EXPECT_EQ(static_cast<ssize_t>(out.size()), done);
    return 0;
  }
  int program(std::uint32_t at, const Bytes& data) const {
    return pwrite(fd_, data.data(), data.size(), at) < 0 ? errno : 0;
  }
  int erase(std::uint32_t at, std::uint32_t size) const {
    erase_info_user range{.start = at, .length = size};
    return ioctl(fd_, MEMERASE, &range) < 0 ? errno : 0;
  }
  Bytes read(std::uint32_t at, std::size_t size) const {
    Bytes out(size);
    EXPECT_EQ(0, try_read(at, out));
    return out;
  }

 private:
  int fd_;
};

Bytes pattern(std::size_t size, unsigned seed) {
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i) {
    seed = seed * 1103515245 + 12345;
    data[i] = static_cast<std::uint8_t>(seed >> 16);
  }
  return data;
}

void is_nor_flash(const Flash& flash) {
  const auto info = flash.info();
  EXPECT_EQ(MTD_NORFLASH, static_cast<int>(info.type));
  EXPECT_EQ(static_cast<unsigned>(MTD_CAP_NORFLASH), info.flags);
  EXPECT_EQ(block, info.erasesize);
  EXPECT_EQ(1U, info.writesize);
}

void programs_clear_bits_only(const Flash& flash) {
  EXPECT_EQ(0, flash.erase(0, block));
  EXPECT_EQ(Bytes(block, 0xff), flash.read(0, block));
  const unsigned long programs = counter("programs");
  const unsigned long bytes = counter("programmed_bytes");
  const unsigned long not_set = counter("bits_not_set");
  EXPECT_EQ(0, flash.program(7, {0xf0, 0x55, 0x0f}));
  EXPECT_EQ(0, flash.program(8, {0xaa}));
  EXPECT_EQ(Bytes({0xff, 0xf0, 0x00, 0x0f, 0xff}), flash.read(6, 5));
  EXPECT_EQ(programs + 2, counter("programs"));
  EXPECT_EQ(bytes + 4, counter("programmed_bytes"));
  EXPECT_EQ(not_set + 4, counter("bits_not_set"));
}

void strict_programs_set_no_bit(const Flash& flash) {
  EXPECT_EQ(0, flash.erase(0, block));
  set_parameter("strict", "1");
  EXPECT_EQ(0, flash.program(0, {0x0f, 0x00}));
  EXPECT_EQ(EIO, flash.program(0, {0x07, 0x01}));
  EXPECT_EQ(Bytes({0x07, 0x00}), flash.read(0, 2));
  set_parameter("strict", "0");
}

void erases_set_whole_blocks(const Flash& flash) {
  EXPECT_EQ(0, flash.program(0, Bytes(3 * block, 0)));
  const unsigned long erased = counter("erased_blocks");
  EXPECT_EQ(EINVAL, flash.erase(1, block));
  EXPECT_EQ(EINVAL, flash.erase(0, block / 2));
  EXPECT_EQ(erased, counter("erased_blocks"));
  EXPECT_EQ(0, flash.erase(block, block));
  EXPECT_EQ(erased + 1, counter("erased_blocks"));
  EXPECT_EQ(Bytes(block, 0), flash.read(0, block));
  EXPECT_EQ(Bytes(block, 0xff), flash.read(block, block));
  EXPECT_EQ(Bytes(block, 0), flash.read(2 * block, block));
}

/// Nothing works without power; then it returns.
void power_is_off(const Flash& flash) {
  Bytes some(4);
  EXPECT_EQ("off", parameter("power"));
  EXPECT_EQ(EIO, flash.try_read(0, some));
  EXPECT_EQ(EIO, flash.program(0, some));
  EXPECT_EQ(EIO, flash.erase(0, block));
  set_parameter("power", "on");
  EXPECT_EQ("on", parameter("power"));
  EXPECT_EQ("-1", parameter("cut_program"));
  EXPECT_EQ("-1", parameter("cut_erase"));
}

/// A program of 32 bytes over other bytes is cut in each of them, a few times.
void a_cut_program_tears_one_byte(const Flash& flash) {
  constexpr std::size_t size = 32;
  int torn = 0;
  for (unsigned round = 0; round < 8 * size; ++round) {
    const std::size_t cut = round % size;
    const Bytes old = pattern(size, round);
    Bytes wanted = pattern(size, round + 1000);
    for (std::size_t i = 0; i < size; ++i) wanted[i] &= old[i];
    EXPECT_EQ(0, flash.erase(0, block));
    EXPECT_EQ(0, flash.program(0, old));
    set_parameter("cut_program", std::to_string(cut));
    EXPECT_EQ(EIO, flash.program(0, wanted));
    power_is_off(flash);
    const Bytes left = flash.read(0, size);
    for (std::size_t i = 0; i < size; ++i) {
      if (i < cut) EXPECT_EQ(wanted[i], left[i]);
      if (i > cut) EXPECT_EQ(old[i], left[i]);
    }
    EXPECT_EQ(wanted[cut], left[cut] & wanted[cut]);
    EXPECT_EQ(left[cut], left[cut] & old[cut]);
    if (left[cut] != old[cut] && left[cut] != wanted[cut]) ++torn;
  }
  EXPECT(torn > 50);
}

void a_cut_counts_bytes_of_several_programs(const Flash& flash) {
  EXPECT_EQ(0, flash.erase(0, block));
  set_parameter("cut_program", "5");
  EXPECT_EQ(0, flash.program(0, {1, 2, 3}));
  EXPECT_EQ("2", parameter("cut_program"));
  EXPECT_EQ(EIO, flash.program(3, {4, 5, 6}));
  power_is_off(flash);
  EXPECT_EQ(Bytes({1, 2, 3, 4, 5}), flash.read(0, 5));
  EXPECT_EQ(0xff, flash.read(6, 1)[0]);
}

void a_cut_erase_leaves_half_a_block(const Flash& flash) {
  const Bytes old = pattern(3 * block, 7);
  EXPECT_EQ(0, flash.erase(0, 3 * block));
  EXPECT_EQ(0, flash.program(0, old));
  set_parameter("cut_erase", "1");
  EXPECT_EQ(EIO, flash.erase(0, 3 * block));
  power_is_off(flash);
  EXPECT_EQ(Bytes(block, 0xff), flash.read(0, block));
  EXPECT_EQ(Bytes(old.begin() + 2 * block, old.end()), flash.read(2 * block, block));
  const Bytes half = flash.read(block, block);
  std::size_t erased = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < block; ++i) {
    if (half[i] == 0xff) ++erased;
    if (half[i] == old[block + i]) ++kept;
  }
  EXPECT(erased > block / 4 && kept > block / 8 && erased + kept < block);
  EXPECT_EQ(0, flash.erase(block, block));
  EXPECT_EQ(Bytes(block, 0xff), flash.read(block, block));
}

void power_goes_between_operations(const Flash& flash) {
  set_parameter("cut_program", "100");
  set_parameter("power", "off");
  power_is_off(flash);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: norsim_check DEVICE\n");
    return 2;
  }
  const Flash flash(argv[1]);
  is_nor_flash(flash);
  programs_clear_bits_only(flash);
  strict_programs_set_no_bit(flash);
  erases_set_whole_blocks(flash);
  a_cut_program_tears_one_byte(flash);
  a_cut_counts_bytes_of_several_programs(flash);
  a_cut_erase_leaves_half_a_block(flash);
  power_goes_between_operations(flash);
  fmt::print("the NOR simulator clears bits, erases blocks and loses power as it says\n");
  return 0;
}
