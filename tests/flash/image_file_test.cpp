// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/flash/image_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"

#include "flash/system_calls.hpp"
#include "support/temporary_directory.hpp"

namespace efistore::flash {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint32_t block_size = 4096;

void write_file(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

Errc open_error(const fs::path& path, OpenMode mode = OpenMode::read_write,
                std::uint32_t erase_block_size_bytes = block_size) {
  const auto image = ImageFile::open(path, mode, erase_block_size_bytes);
  if (image) {
    ADD_FAILURE() << path << " was opened";
    return Errc::io;
  }
  EXPECT_THAT(image.error().message, HasSubstr(path.string()));
  return image.error().code;
}

/// Exits with 0 if an image larger than the process may write is refused.
[[noreturn]] void create_beyond_the_size_limit(const fs::path& path) {
  const rlimit limit{.rlim_cur = 2 * block_size, .rlim_max = 2 * block_size};
  ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto image = ImageFile::create(path, 4 * block_size, block_size);
  std::_Exit(!image && image.error().code == Errc::io ? 0 : 1);
}

class ImageFileTest : public ::testing::Test {
 protected:
  test::TemporaryDirectory directory_;
  fs::path path_ = directory_ / "vars.fd";
};

TEST_F(ImageFileTest, CreatesAnErasedFileAndNothingElse) {
  ASSERT_TRUE(ImageFile::create(path_, 3 * block_size, block_size));
  EXPECT_EQ(read_file(path_), std::string(3 * block_size, '\xff'));
  EXPECT_THAT(names_in(directory_.path()), ::testing::ElementsAre("vars.fd"));
}

TEST_F(ImageFileTest, CreatesInTheWorkingDirectoryToo) {
  const fs::path before = fs::current_path();
  fs::current_path(directory_.path());
  const auto image = ImageFile::create("vars.fd", block_size, block_size);
  fs::current_path(before);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(ImageFileTest, CreatesWithThePermissionsThatTheUserAskedFor) {
  const mode_t before = ::umask(027);
  const auto image = ImageFile::create(path_, block_size, block_size);
  ::umask(before);
  ASSERT_TRUE(image);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms{0640});
}

TEST_F(ImageFileTest, CreateReplacesNothing) {
  const fs::path dangling = directory_ / "dangling.fd";
  const fs::path folder = directory_ / "folder";
  write_file(path_, "precious");
  fs::create_symlink(directory_ / "nowhere", dangling);
  fs::create_directory(folder);
  for (const fs::path& path : {path_, dangling, folder}) {
    const auto image = ImageFile::create(path, block_size, block_size);
    ASSERT_FALSE(image) << path;
    EXPECT_EQ(image.error().code, Errc::already_exists) << image.error().message;
  }
  EXPECT_EQ(read_file(path_), "precious");
  EXPECT_TRUE(fs::is_symlink(dangling));
  EXPECT_EQ(names_in(directory_.path()).size(), 3U) << "a temporary file was left";
}

TEST_F(ImageFileTest, TheNameNeverShowsAnUnfinishedFile) {
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), directory_.path().c_str(),
                                IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM),
            0);
  ASSERT_TRUE(ImageFile::create(path_, 16 * block_size, block_size));
  std::uint32_t seen_before_name = 0;
  std::uint32_t seen_of_name = 0;
  alignas(inotify_event) std::array<char, 65536> events;
  const ssize_t size = ::read(watch.get(), events.data(), events.size());
  ASSERT_GT(size, 0);
  for (ssize_t at = 0; at < size;) {
    const auto* event = reinterpret_cast<const inotify_event*>(events.data() + at);
    at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    const bool is_name = std::string(event->name) == "vars.fd";
    if (is_name) seen_of_name |= event->mask;
    if (!is_name && seen_of_name == 0) seen_before_name |= event->mask;
  }
  EXPECT_EQ(seen_before_name & (IN_CREATE | IN_MODIFY), IN_CREATE | IN_MODIFY);
  EXPECT_NE(seen_of_name, 0U);
  EXPECT_EQ(seen_of_name & IN_MODIFY, 0U) << "written to after it had its name";
}

TEST_F(ImageFileTest, LeavesNothingBehindWhenThereIsNoRoom) {
  // In a process of its own, which ends with the limit.
  EXPECT_EXIT(create_beyond_the_size_limit(path_), ::testing::ExitedWithCode(0), "");
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

TEST_F(ImageFileTest, CreateRefusesSizesThatAreNoBlocks) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{block_size} + 1, UINT64_MAX,
        std::uint64_t{1} << 63}) {
    const auto image = ImageFile::create(path_, size, block_size);
    ASSERT_FALSE(image) << size;
    EXPECT_EQ(image.error().code, Errc::invalid_argument) << size;
  }
  for (const std::uint32_t odd_block : {0U, 3U, 4095U}) {
    const auto image = ImageFile::create(path_, std::uint64_t{odd_block} * 4, odd_block);
    ASSERT_FALSE(image) << odd_block;
    EXPECT_EQ(image.error().code, Errc::invalid_argument) << odd_block;
  }
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

TEST_F(ImageFileTest, CreateNamesThePathItWasGivenWhereItsDirectoryIsMissing) {
  const fs::path path = directory_ / "missing" / "vars.fd";
  const auto image = ImageFile::create(path, block_size, block_size);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Errc::not_found);
  EXPECT_EQ(image.error().message, "create " + path.string() + ": No such file or directory");
}

TEST_F(ImageFileTest, OpensOnlyRegularFiles) {
  const fs::path fifo = directory_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const fs::path& path : {directory_.path(), fifo, fs::path("/dev/null")}) {
    EXPECT_EQ(open_error(path), Errc::invalid_argument) << path;
    EXPECT_EQ(open_error(path, OpenMode::read_only), Errc::invalid_argument) << path;
  }
  EXPECT_EQ(open_error(path_), Errc::not_found);
}

TEST_F(ImageFileTest, RefusesOddBlockSizesAndFilesWithoutABlock) {
  write_file(path_, std::string(3 * block_size, 'x'));
  for (const std::uint32_t odd : {0U, 1000U, 3 * block_size}) {
    EXPECT_EQ(open_error(path_, OpenMode::read_only, odd), Errc::invalid_argument) << odd;
  }
  EXPECT_EQ(open_error(path_, OpenMode::read_only, 4 * block_size), Errc::invalid_argument);
  write_file(path_, "");
  EXPECT_EQ(open_error(path_), Errc::invalid_argument);
}

TEST_F(ImageFileTest, LeavesATailThatIsNoBlockAlone) {
  write_file(path_, std::string(2 * block_size, 'x') + "tail");
  const auto image = ImageFile::open(path_, OpenMode::read_write, block_size);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ((*image)->geometry().size_bytes, 2 * block_size);
  std::byte byte{};
  EXPECT_EQ((*image)->read(2 * block_size, {&byte, 1}).error().code, Errc::out_of_range);
  ASSERT_TRUE((*image)->erase({.offset = 0, .size = 2 * block_size}));
  EXPECT_EQ(read_file(path_), std::string(2 * block_size, '\xff') + "tail");
}

TEST_F(ImageFileTest, NamesTheOffsetAndTheBytesWhenABitWouldBeSet) {
  const auto image = ImageFile::create(path_, 4 * block_size, block_size);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->program(0x2345, as_bytes("\x5a")));
  const auto status = (*image)->program(0x2340, as_bytes(std::string(0x20, '\x7b')));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, AllOf(HasSubstr(path_.string()), HasSubstr("0x2345"),
                                            HasSubstr("0x5a"), HasSubstr("0x7b")));
}

TEST_F(ImageFileTest, FailsWhereSomebodyShortenedTheFile) {
  const auto image = ImageFile::create(path_, 2 * block_size, block_size);
  ASSERT_TRUE(image);
  fs::resize_file(path_, block_size + 10);
  std::array<std::byte, 32> out{};
  const auto read = (*image)->read(block_size, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::io);
  EXPECT_EQ((*image)->program(block_size, out).error().code, Errc::io);
}

TEST_F(ImageFileTest, GetsItsNameAfterItsContentAndTheDirectoryLast) {
  SystemCalls calls;
  ASSERT_TRUE(ImageFile::create(path_, 16 * block_size, block_size));
  EXPECT_THAT(calls.order,
              ::testing::ElementsAre("write", "fsync file", "rename", "fsync directory"));
}

TEST_F(ImageFileTest, GetsItsNameByALinkWhereRenamingMightReplace) {
  SystemCalls calls;
  calls.rename_error = EINVAL;
  ASSERT_TRUE(ImageFile::create(path_, block_size, block_size));
  EXPECT_THAT(calls.order,
              ::testing::ElementsAre("write", "fsync file", "link", "fsync directory"));
  EXPECT_THAT(names_in(directory_.path()), ::testing::ElementsAre("vars.fd"));
  const auto again = ImageFile::create(path_, block_size, block_size);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::already_exists);
  EXPECT_THAT(names_in(directory_.path()), ::testing::ElementsAre("vars.fd"));
}

TEST_F(ImageFileTest, SyncReachesTheDisk) {
  const auto image = ImageFile::create(path_, block_size, block_size);
  ASSERT_TRUE(image);
  SystemCalls calls;
  ASSERT_TRUE((*image)->program(0, as_bytes("x")));
  ASSERT_TRUE((*image)->sync());
  EXPECT_THAT(calls.order, ::testing::ElementsAre("write", "fdatasync"));
}

TEST_F(ImageFileTest, GoesOnAfterShortAndInterruptedTransfers) {
  SystemCalls calls;
  calls.largest_transfer = 1001;
  calls.interrupted = true;
  const auto image = ImageFile::create(path_, 4 * block_size, block_size);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(read_file(path_), std::string(4 * block_size, '\xff'));
  const std::string text(2 * block_size, 'e');
  ASSERT_TRUE((*image)->program(block_size, as_bytes(text)));
  std::vector<std::byte> read(text.size());
  ASSERT_TRUE((*image)->read(block_size, read));
  EXPECT_TRUE(std::ranges::equal(read, as_bytes(text)));
  EXPECT_EQ((*image)->program(3 * block_size - 1, as_bytes("f")).error().code, Errc::bit_set);
  ASSERT_TRUE((*image)->erase({.offset = 0, .size = 2 * block_size}));
  EXPECT_EQ(read_file(path_), std::string(2 * block_size, '\xff') + std::string(block_size, 'e') +
                                  std::string(block_size, '\xff'));
}

TEST_F(ImageFileTest, FailsRatherThanTryForEverWhenNothingIsTransferred) {
  const auto image = ImageFile::create(path_, block_size, block_size);
  ASSERT_TRUE(image);
  SystemCalls calls;
  calls.largest_transfer = 0;
  std::byte byte{};
  EXPECT_EQ((*image)->read(0, {&byte, 1}).error().code, Errc::io);
  EXPECT_EQ((*image)->erase({.offset = 0, .size = block_size}).error().code, Errc::io);
}

}  // namespace
}  // namespace efistore::flash
