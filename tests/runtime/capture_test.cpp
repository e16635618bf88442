// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "capture.hpp"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include "efistore/base/bytes.hpp"

#include "common/capture_format.hpp"
#include "support/temporary_directory.hpp"

namespace {

/// What happens just before somebody gets a lock.
std::function<void()> before_lock;

}  // namespace

/// In the place of the C library's.
extern "C" int flock(int fd, int operation) noexcept {
  if (before_lock) std::exchange(before_lock, {})();
  return static_cast<int>(::syscall(SYS_flock, fd, operation));
}

namespace efistore::tools {
namespace {

std::vector<std::byte> capture_of(const std::vector<CapturedFrame>& frames) {
  auto file = capture_file_header();
  for (const auto& frame : frames) {
    const auto block = encode_captured_frame(frame);
    file.insert(file.end(), block.begin(), block.end());
  }
  return file;
}

const auto content = as_bytes("a frame's bytes");

CapturedFrame example() {
  return {.time_ns = 1'700'000'000'123'456'789,
          .direction = FrameDirection::reply,
          .transport = FrameTransport::kernel_module,
          .rights = 3,
          .uid = 1000,
          .session = 0x8000000000000007,
          .frame = content};
}

TEST(Capture, WhatWasWrittenIsRead) {
  for (std::size_t size = 0; size <= content.size(); ++size) {
    auto frame = example();
    frame.frame = content.first(size);
    const auto file = capture_of({frame, frame});
    EXPECT_EQ(file.size() % 4, 0U);
    const auto frames = parse_capture(file);
    ASSERT_TRUE(frames) << frames.error().message;
    ASSERT_EQ(frames->size(), 2U);
    for (const auto& read : *frames) {
      EXPECT_EQ(read.time_ns, frame.time_ns);
      EXPECT_EQ(read.direction, frame.direction);
      EXPECT_EQ(read.transport, frame.transport);
      EXPECT_EQ(read.rights, frame.rights);
      EXPECT_EQ(read.uid, frame.uid);
      EXPECT_EQ(read.session, frame.session);
      EXPECT_TRUE(equal_bytes(read.frame, frame.frame));
    }
  }
}

TEST(Capture, TheFirstBytesAreTheFormats) {
  EXPECT_EQ(to_hex(capture_file_header()),
            "0a0d0d0a"
            "1c000000"
            "4d3c2b1a"
            "0100"
            "0000"
            "ffffffffffffffff"
            "1c000000"
            "01000000"
            "20000000"
            "9300"
            "0000"
            "00000000"
            "0900"
            "0100"
            "09000000"
            "00000000"
            "20000000");
}

TEST(Capture, AFileThatWasCutGivesTheWholeBlocks) {
  const auto file = capture_of({example(), example()});
  const std::size_t header = capture_file_header().size();
  const std::size_t block = (file.size() - header) / 2;
  for (std::size_t size = header; size < file.size(); ++size) {
    const auto frames = parse_capture(std::span(file).first(size));
    ASSERT_TRUE(frames) << size;
    EXPECT_EQ(frames->size(), (size - header) / block) << size;
  }
}

TEST(Capture, BlocksOfOtherKindsArePassedOver) {
  auto file = capture_of({example()});
  std::vector<std::byte> other(16);
  ByteWriter writer(other);
  writer.u32(5);
  writer.u32(16);
  writer.u32(0);
  writer.u32(16);
  file.insert(file.begin() + 60, other.begin(), other.end());
  EXPECT_EQ(parse_capture(file)->size(), 1U);
}

TEST(Capture, EveryByteThatIsWrongGivesAnErrorOrAnotherFrame) {
  const auto file = capture_of({example()});
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const auto value : {std::byte{0}, std::byte{0xff}, file[at] ^ std::byte{1}}) {
      auto broken = file;
      broken[at] = value;
      const auto frames = parse_capture(broken);
      if (!frames) {
        EXPECT_NE(frames.error().message.find("offset"), std::string::npos);
      }
    }
  }
  EXPECT_FALSE(parse_capture(as_bytes("{\"no\":\"capture\"}")));
  EXPECT_TRUE(parse_capture({})->empty());
}

TEST(Capture, SectionsFollowOneAnother) {
  auto file = capture_of({example()});
  const auto second = capture_of({example(), example()});
  file.insert(file.end(), second.begin(), second.end());
  const auto frames = parse_capture(file);
  ASSERT_TRUE(frames) << frames.error().message;
  ASSERT_EQ(frames->size(), 3U);
  EXPECT_EQ((*frames)[0].section, 0U);
  EXPECT_EQ((*frames)[1].section, 1U);
  EXPECT_EQ((*frames)[2].section, 1U);
}

class CaptureFile : public testing::Test {
 protected:
  /// A daemon that serves one frame.
  Status write_one() {
    auto capture = daemon::Capture::open(path_);
    if (!capture) return forward(std::move(capture));
    return capture->add(example());
  }
  std::vector<std::byte> content() const {
    std::ifstream file(path_, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
  }
  void put(std::span<const std::byte> bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    std::filesystem::permissions(path_, owner_only);
  }
  void refuses(Errc code) {
    const auto before = content();
    const auto opened = daemon::Capture::open(path_);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, code) << opened.error().message;
    EXPECT_EQ(content(), before);
  }

  static constexpr auto owner_only =
      std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
  const test::TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_.path() / "frames.pcapng";
};

TEST_F(CaptureFile, IsItsOwnersAlone) {
  ASSERT_TRUE(write_one());
  EXPECT_EQ(std::filesystem::status(path_).permissions(), owner_only);
  EXPECT_EQ(content(), capture_of({example()}));
}

TEST_F(CaptureFile, GoesOnBehindWhatIsThereWhereverThatWasCut) {
  ASSERT_TRUE(write_one());
  const auto one = content();
  const std::size_t header = capture_file_header().size();
  for (std::size_t size = 0; size <= one.size(); ++size) {
    put(std::span(one).first(size));
    const auto done = write_one();
    ASSERT_TRUE(done) << size << ": " << done.error().message;
    // Blocks that are whole stay.
    auto expected = std::vector<std::byte>(
        one.begin(), one.begin() + static_cast<std::ptrdiff_t>(size == one.size() ? size
                                                               : size < header    ? 0
                                                                                  : header));
    expected.insert(expected.end(), one.begin(), one.end());
    EXPECT_EQ(content(), expected) << size;
    EXPECT_TRUE(parse_capture(content()));
  }
}

TEST_F(CaptureFile, IsNoFileOfAnotherKind) {
  put(as_bytes("mine"));
  refuses(Errc::already_exists);
  auto other = capture_of({example()});
  other[36] = std::byte{1};  // Ethernet
  put(other);
  refuses(Errc::already_exists);
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(daemon::Capture::open(path_));
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const auto opened = daemon::Capture::open(path_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::already_exists);
}

TEST_F(CaptureFile, IsNoneThatOthersHaveAccessTo) {
  ASSERT_TRUE(write_one());
  std::filesystem::permissions(path_, owner_only | std::filesystem::perms::group_read);
  refuses(Errc::already_exists);
  std::filesystem::permissions(path_, owner_only);
  std::filesystem::create_hard_link(path_, directory_.path() / "other");
  refuses(Errc::already_exists);
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(directory_.path() / "other", path_);
  EXPECT_FALSE(daemon::Capture::open(path_));
}

TEST_F(CaptureFile, HasOneWriter) {
  const auto first = daemon::Capture::open(path_);
  ASSERT_TRUE(first);
  refuses(Errc::busy);
}

TEST_F(CaptureFile, KeepsWhatTheLastWriterAddedUntilItLetGo) {
  ASSERT_TRUE(write_one());
  const auto whole = content();
  put(std::span(whole).first(whole.size() - 4));
  before_lock = [&] { put(whole); };
  ASSERT_TRUE(write_one());
  auto both = whole;
  both.insert(both.end(), whole.begin(), whole.end());
  EXPECT_EQ(content(), both);
}

TEST_F(CaptureFile, ThatIsFullTakesNoMore) {
  put(capture_file_header());
  // As large as one may be but for some bytes, which one block has that nobody wrote.
  std::vector<std::byte> head(8);
  ByteWriter writer(head);
  writer.u32(5);
  writer.u32(static_cast<std::uint32_t>(max_capture_size_bytes) - 60 - 100);
  std::ofstream(path_, std::ios::binary | std::ios::app)
      .write(reinterpret_cast<const char*>(head.data()), 8);
  std::filesystem::resize_file(path_, max_capture_size_bytes - 100);
  auto capture = daemon::Capture::open(path_);
  ASSERT_TRUE(capture) << capture.error().message;
  EXPECT_EQ(std::filesystem::file_size(path_), max_capture_size_bytes - 40);
  EXPECT_EQ(capture->add(example()).error().code, Errc::no_space);
  EXPECT_EQ(std::filesystem::file_size(path_), max_capture_size_bytes - 40);
}

}  // namespace
}  // namespace efistore::tools
