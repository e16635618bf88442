// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "common/file_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "efistore/base/bytes.hpp"

namespace efistore::tools {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class FileIo : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "file-io-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static mode_t mode_of(const std::string& path) {
    struct stat file {};
    EXPECT_EQ(stat(path.c_str(), &file), 0);
    return file.st_mode & 07777;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(FileIo, WritesANewFileWithThePermissionsOfTheUmask) {
  const mode_t before = umask(027);
  const auto written = write_file(path("new"), as_bytes("content"));
  umask(before);
  ASSERT_TRUE(written);
  EXPECT_EQ(content(path("new")), "content");
  EXPECT_EQ(mode_of(path("new")), 0640U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(FileIo, ANewFileTakesNobodysPlace) {
  ASSERT_TRUE(write_file(path("new"), as_bytes("content"), IfThere::fail));
  EXPECT_EQ(content(path("new")), "content");
  fs::create_symlink("nowhere", path("link"));
  fs::create_directory(path("folder"));
  for (const std::string name : {"new", "link", "folder"}) {
    const auto written = write_file(path(name), as_bytes("other"), IfThere::fail);
    ASSERT_FALSE(written) << name;
    EXPECT_THAT(written.error().message, HasSubstr("File exists"));
  }
  EXPECT_EQ(content(path("new")), "content");
  EXPECT_FALSE(fs::exists(path("nowhere")));
  EXPECT_EQ(files(), 3U);
  ASSERT_TRUE(write_file(path("new"), as_bytes("other"), IfThere::replace));
  EXPECT_EQ(content(path("new")), "other");
  EXPECT_EQ(files(), 3U);
  EXPECT_FALSE(write_file("", {}, IfThere::fail));
}

TEST_F(FileIo, KeepsThePermissionsOfAFileItReplaces) {
  std::ofstream(path("old")) << "old and longer";
  ASSERT_EQ(chmod(path("old").c_str(), 0600), 0);
  ASSERT_TRUE(write_file(path("old"), as_bytes("new")));
  EXPECT_EQ(content(path("old")), "new");
  EXPECT_EQ(mode_of(path("old")), 0600U);
  EXPECT_EQ(files(), 1U);
}

TEST_F(FileIo, ReplacesAFileThatOthersHaveOpenAsAWhole) {
  std::ofstream(path("old")) << "old";
  std::ifstream reader(path("old"));
  ASSERT_TRUE(write_file(path("old"), as_bytes("new")));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(reader), {}), "old");
}

TEST_F(FileIo, FollowsSymbolicLinks) {
  std::ofstream(path("target")) << "old";
  fs::create_symlink("target", path("link"));
  ASSERT_TRUE(write_file(path("link"), as_bytes("new")));
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(content(path("target")), "new");
}

TEST_F(FileIo, WritesToWhatIsNoRegularFileDirectly) {
  ASSERT_TRUE(write_file("/dev/null", as_bytes("gone")));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(FileIo, NamesTheFileItCannotWrite) {
  const auto written = write_file(path("none/file"), as_bytes("x"));
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message, HasSubstr(path("none/file") + ": No such file"));
  const auto full = write_file("/dev/full", as_bytes("x"));
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().message, HasSubstr("/dev/full: No space left"));
}

TEST_F(FileIo, ReadsUpToTheLimit) {
  std::ofstream(path("file")) << std::string(100000, 'x');
  EXPECT_EQ(read_input(path("file"), 100000).value().size(), 100000U);
  const auto too_much = read_input(path("file"), 99999);
  ASSERT_FALSE(too_much);
  EXPECT_THAT(too_much.error().message, HasSubstr("99999"));
  EXPECT_FALSE(read_input("/dev/zero", 1 << 20));
  const auto missing = read_input(path("missing"), 1);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr(path("missing")));
  EXPECT_FALSE(read_input(folder_.string(), 1));
}

}  // namespace
}  // namespace efistore::tools
