// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What can be said of the file system without the kernel in front of it; tests/shim/conformance has
// the rest.
#include "file_system.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/store/variable_store.hpp"
#include "efistore/variable/services.hpp"

namespace efistore::shim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

using namespace literals;

constexpr Guid vendor = "210be57c-9849-4fc7-a635-e6382d1aec27"_guid;
constexpr Guid crash = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"_guid;
constexpr std::uint32_t volatile_attributes =
    attributes::bootservice_access | attributes::runtime_access;

/// Flash that stops working on demand.
class BreakableDevice final : public flash::Device {
 public:
  BreakableDevice(const bool& broken, int& broken_after)
      : broken_(broken),
        broken_after_(broken_after),
        memory_({.size_bytes = 0x84000, .erase_block_size_bytes = 0x1000}) {}

  const flash::Geometry& geometry() const noexcept override { return memory_.geometry(); }
  const std::string& name() const noexcept override { return memory_.name(); }
  bool read_only() const noexcept override { return false; }
  Status read(std::uint64_t offset, std::span<std::byte> out) override {
    return memory_.read(offset, out);
  }
  Status program(std::uint64_t offset, std::span<const std::byte> data) override {
    if (broken_ || broken_after_ == 0) return fail(Errc::io, "the flash is broken");
    if (broken_after_ > 0) --broken_after_;
    return memory_.program(offset, data);
  }
  Status erase(flash::Range blocks) override {
    if (broken_) return fail(Errc::io, "the flash is broken");
    return memory_.erase(blocks);
  }
  Status sync() override { return {}; }

 private:
  const bool& broken_;
  int& broken_after_;  ///< program operations until it breaks; negative for never
  flash::MemoryDevice memory_;
};

class FileSystemTest : public ::testing::Test {
 protected:
  FileSystemTest() {
    auto device = std::make_unique<BreakableDevice>(broken_, broken_after_);
    EXPECT_TRUE(store::VariableStore::format(*device, store::Layout::ovmf_4m()));
    auto opened = store::VariableStore::open(std::move(device));
    services_.emplace(std::move(*variable::Services::create(std::move(*opened))));
  }

  /// A variable made at boot, before the file system is there.
  void make(std::u16string_view name, std::string_view data, const Guid& guid = vendor,
            std::uint32_t attributes = attributes::default_new) {
    const auto done = services_->set(
        {.name = name, .guid = guid, .attributes = attributes, .data = as_bytes(data)});
    ASSERT_TRUE(done) << done.error().reason;
  }

  FileSystem& mount(std::uint64_t reserve_bytes = 0,
                    std::optional<BudgetPolicy> policy = std::nullopt) {
    services_->exit_boot_services();
    FileSystemOptions options;
    options.uid = 7;
    options.gid = 8;
    options.reserve_bytes = reserve_bytes;
    options.clock = [this] { return timespec{.tv_sec = ++seconds_, .tv_nsec = 0}; };
    options.on_device_error = [this](const std::string& reason) { complaints_.push_back(reason); };
    files_.emplace(make_local_access(std::move(*services_), std::move(policy)), std::move(options));
    return *files_;
  }

  static std::string named(std::string_view name, const Guid& guid = vendor) {
    return std::string(name).append("-").append(to_string(guid));
  }
  std::vector<std::string> listing() {
    std::vector<std::string> names;
    InodeNumber position = 0;
    while (const Inode* file = files_->next_file(position)) {
      names.push_back(file->file_name);
      position = file->number;
    }
    return names;
  }
  InodeNumber number_of(std::string_view file_name) {
    const auto status = files_->lookup(root_inode, file_name);
    return status ? status->st_ino : 0;
  }
  Outcome<std::size_t> write(InodeNumber number, std::string_view data,
                             std::uint32_t attributes = attributes::default_new) {
    std::vector<std::byte> bytes(4 + data.size());
    ByteWriter writer(bytes);
    writer.u32(attributes);
    writer.bytes(as_bytes(data));
    return files_->write(number, bytes);
  }
  std::string content(InodeNumber number) {
    const auto bytes = files_->read(number, 0, 1 << 20);
    return bytes ? to_hex(*bytes) : "error " + std::to_string(bytes.error());
  }

  bool broken_ = false;
  int broken_after_ = -1;
  time_t seconds_ = 1000;
  std::vector<std::string> complaints_;
  std::optional<variable::Services> services_;
  std::optional<FileSystem> files_;
};

TEST_F(FileSystemTest, ListsWhatRuntimeSees) {
  make(u"Shown", "ab");
  make(u"BootOnly", "ab", vendor, attributes::non_volatile | attributes::bootservice_access);
  make(u"Volatile", "ab", vendor, volatile_attributes);
  make(u"RandomSeed", "ab", "1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b"_guid);
  mount();
  EXPECT_THAT(listing(), UnorderedElementsAre(named("Shown"), named("Volatile")));
  EXPECT_EQ(files_->unlisted(), 0U);
}

TEST_F(FileSystemTest, AFileIsTheOwnersOfTheMount) {
  make(u"Shown", "ab");
  mount();
  const auto status = files_->lookup(root_inode, named("Shown"));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->st_mode, static_cast<mode_t>(S_IFREG | 0644));
  EXPECT_EQ(status->st_uid, 7U);
  EXPECT_EQ(status->st_gid, 8U);
  EXPECT_EQ(status->st_size, 6);
  EXPECT_EQ(status->st_nlink, 1U);
  const auto root = files_->attributes(root_inode);
  EXPECT_EQ(root->st_mode, static_cast<mode_t>(S_IFDIR | 0755));
  EXPECT_EQ(root->st_uid, 7U);
  EXPECT_EQ(root->st_nlink, 2U);
}

TEST_F(FileSystemTest, VolatileVariablesCannotBeWrittenAndStay) {
  make(u"Volatile", "ab", vendor, volatile_attributes);
  mount();
  const InodeNumber number = number_of(named("Volatile"));
  EXPECT_EQ(write(number, "ab", volatile_attributes).error(), EROFS);
  ASSERT_TRUE(files_->set_immutable(number, false));
  EXPECT_EQ(files_->unlink(root_inode, named("Volatile")).error(), EINVAL);
  EXPECT_EQ(number_of(named("Volatile")), number);
  EXPECT_EQ(content(number), "060000006162");
}

TEST_F(FileSystemTest, NamesThatNoFileCanHaveAreCounted) {
  make(u"a/b", "1");
  make(u"a!b", "2");
  make(std::u16string(218, u'n'), "3");
  make(std::u16string(219, u'm'), "4");
  mount();
  EXPECT_THAT(listing(), UnorderedElementsAre(named("a!b"), named(std::string(218, 'n'))));
  EXPECT_EQ(files_->unlisted(), 2U);
  EXPECT_EQ(content(number_of(named("a!b"))), "0700000031") << "the first one has the name";
}

TEST_F(FileSystemTest, ANameTypedInUtf8IsFoundAgain) {
  make(u"\u00c3\u00a9", "x");  // what creating "é" made
  mount();
  EXPECT_THAT(listing(), ElementsAre(named("\xc3\x83\xc2\xa9")));
  EXPECT_EQ(number_of(named("\xc3\xa9")), number_of(named("\xc3\x83\xc2\xa9")));
  EXPECT_NE(number_of(named("\xc3\xa9")), 0U);
}

TEST_F(FileSystemTest, FollowsWhatOneWriteChangesElsewhere) {
  make(u"LangCodes", std::string_view("eng\0", 4), guids::global_variable, volatile_attributes);
  make(u"PlatformLangCodes", std::string_view("en\0", 3), guids::global_variable,
       volatile_attributes);
  mount();
  const std::string lang = named("Lang", guids::global_variable);
  const std::string platform_lang = named("PlatformLang", guids::global_variable);
  EXPECT_EQ(number_of(lang), 0U);
  const auto created = files_->create(root_inode, platform_lang, 0644);
  ASSERT_TRUE(created);
  ASSERT_TRUE(write(created->st_ino, std::string_view("en\0", 3)));
  EXPECT_NE(number_of(lang), 0U) << "the services set Lang as well";
  EXPECT_THAT(files_->take_changed(), ElementsAre(root_inode));
  EXPECT_TRUE(files_->take_changed().empty());
}

TEST_F(FileSystemTest, TheWriterKnowsOfItsOwnChange) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  ASSERT_TRUE(write(number, "abcdef"));
  EXPECT_EQ(files_->attributes(number)->st_size, 10);
  EXPECT_THAT(files_->take_changed(), Not(Contains(number)));
}

TEST_F(FileSystemTest, AFileWithoutANameKeepsItsContentToItself) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  ASSERT_TRUE(files_->set_immutable(number, false));
  ASSERT_TRUE(files_->open(number, true));
  ASSERT_TRUE(files_->unlink(root_inode, named("Shown")));
  EXPECT_EQ(content(number), "");
  EXPECT_EQ(write(number, "").error(), EIO);
  ASSERT_TRUE(write(number, "x"));
  ASSERT_TRUE(write(number, "yz", attributes::default_new | attributes::append_write));
  EXPECT_EQ(content(number), "0700000078797a");
  EXPECT_EQ(files_->attributes(number)->st_size, 7);
  EXPECT_EQ(files_->attributes(number)->st_nlink, 0U);
  EXPECT_EQ(number_of(named("Shown")), 0U);
  EXPECT_TRUE(listing().empty());

  const std::string large(max_variable_write_bytes - 8, 'l');
  EXPECT_TRUE(write(number, large));
  EXPECT_EQ(write(number, large, attributes::default_new | attributes::append_write).error(),
            EINVAL);
  ASSERT_TRUE(write(number, ""));
  EXPECT_EQ(content(number), "");
  files_->close(number);
  files_->forget(number, 1);
  EXPECT_EQ(files_->attributes(number).error(), ESTALE);
}

TEST_F(FileSystemTest, AFileThatVanishedBetweenLookupAndOpenIsBack) {
  mount();
  const std::string name = named("Brief", crash);  // not born immutable
  const InodeNumber number = files_->create(root_inode, name, 0644)->st_ino;
  ASSERT_EQ(number_of(name), number) << "another one's lookup";
  files_->close(number);
  ASSERT_TRUE(listing().empty());
  ASSERT_TRUE(files_->open(number, true));
  EXPECT_THAT(listing(), ElementsAre(name));
  ASSERT_TRUE(write(number, "x"));
  files_->close(number);
  EXPECT_EQ(content(number_of(name)), "0700000078") << "no acknowledged write is lost";
}

TEST_F(FileSystemTest, AFileWhoseNameIsAnothersByNowCannotBeOpened) {
  mount();
  const std::string name = named("Brief");
  const InodeNumber first = files_->create(root_inode, name, 0644)->st_ino;
  ASSERT_EQ(number_of(name), first);
  files_->close(first);
  const InodeNumber second = files_->create(root_inode, name, 0644)->st_ino;
  EXPECT_EQ(files_->open(first, true).error(), ESTALE);
  EXPECT_EQ(number_of(name), second);
}

TEST_F(FileSystemTest, AnUnlinkedFileCannotBeOpenedUnlessItIsOpen) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  ASSERT_TRUE(files_->set_immutable(number, false));
  ASSERT_TRUE(files_->open(number, true));
  ASSERT_TRUE(files_->unlink(root_inode, named("Shown")));
  EXPECT_TRUE(files_->open(number, true)) << "as reading the flags of an open file does";
  files_->close(number);
  files_->close(number);
  EXPECT_EQ(files_->open(number, true).error(), ESTALE);
  EXPECT_TRUE(listing().empty());
}

TEST_F(FileSystemTest, FilesWithoutANameHoldOnlySoMuch) {
  mount();
  const std::string large(max_variable_write_bytes - 4, 'l');
  std::size_t held = 0;
  InodeNumber last = 0;
  int error = 0;
  for (int i = 0; error == 0 && i < 1000; ++i) {
    const std::string name = named("Orphan" + std::to_string(i));
    last = files_->create(root_inode, name, 0644)->st_ino;
    ASSERT_TRUE(files_->set_immutable(last, false));
    ASSERT_TRUE(files_->unlink(root_inode, name));
    const auto written = write(last, large);
    if (written) {
      held += *written;
    } else {
      error = written.error();
    }
  }
  EXPECT_EQ(error, ENOSPC);
  EXPECT_LE(held, max_orphan_bytes);
  EXPECT_GT(held, max_orphan_bytes - max_variable_write_bytes);
  EXPECT_TRUE(write(last, "x")) << "there is room for this";
  EXPECT_TRUE(write(last, "y")) << "and again in its place";
}

TEST_F(FileSystemTest, WritesLeaveTheReserveFree) {
  FileSystem& files = mount(5120);
  const auto space = files.space();
  EXPECT_EQ(space->f_bfree - space->f_bavail, 5120U);
  // All that is left but the reserve, for one variable after the other.
  InodeNumber last = 0;
  for (int i = 0; files.space()->f_bavail > 40000; ++i) {
    last = files.create(root_inode, named("Fill" + std::to_string(i)), 0644)->st_ino;
    ASSERT_TRUE(write(last, std::string(30000, 'f')));
  }
  const std::uint64_t available = files.space()->f_bavail;
  const InodeNumber one = files.create(root_inode, named("One"), 0644)->st_ino;
  const std::size_t name_bytes = 3 * sizeof(char16_t);
  EXPECT_EQ(write(one, std::string(available - name_bytes + 1, 'x')).error(), ENOSPC);
  EXPECT_TRUE(write(last, std::string(30000, 'f'))) << "there is space for this";
  EXPECT_TRUE(write(one, std::string(available - name_bytes - 1000, 'x')));
  EXPECT_TRUE(write(last, "")) << "deleting needs no space";
}

TEST_F(FileSystemTest, ImmutableStopsAllButWhatIsOpen) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  EXPECT_TRUE(*files_->immutable(number));
  EXPECT_EQ(files_->open(number, true).error(), EPERM);
  EXPECT_TRUE(files_->open(number, false));
  EXPECT_EQ(files_->unlink(root_inode, named("Shown")).error(), EPERM);
  EXPECT_EQ(files_->set_attributes(number, {.mode = 0600}).error(), EPERM);
  EXPECT_EQ(files_->set_attributes(number, {.uid = 1U}).error(), EPERM);
  EXPECT_EQ(files_->set_attributes(number, {.gid = 1U}).error(), EPERM);
  EXPECT_EQ(files_->set_attributes(number, {.accessed = timespec{}}).error(), EPERM);
  EXPECT_EQ(files_->set_attributes(number, {.modified = timespec{}}).error(), EPERM);
  EXPECT_EQ(files_->set_attributes(number, {.size = true}).error(), EPERM);
  EXPECT_TRUE(files_->set_attributes(number, {.size = true, .through_open = true}));
  EXPECT_TRUE(write(number, "cd")) << "an open file goes on";
}

TEST_F(FileSystemTest, TruncationChangesNothing) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  ASSERT_TRUE(files_->set_immutable(number, false));
  const auto before = *files_->attributes(number);
  const auto after = files_->set_attributes(number, {.size = true});
  ASSERT_TRUE(after);
  EXPECT_EQ(after->st_size, 6);
  EXPECT_EQ(after->st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(content(number), "070000006162");
}

TEST_F(FileSystemTest, ChangesOfAttributesKeepTheType) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  ASSERT_TRUE(files_->set_immutable(number, false));
  const auto status = files_->set_attributes(number, {.mode = S_IFDIR | 04600});
  EXPECT_EQ(status->st_mode, static_cast<mode_t>(S_IFREG | 04600));
}

TEST_F(FileSystemTest, WhatTheKernelCannotAskGetsAnError) {
  make(u"Shown", "ab");
  mount();
  constexpr InodeNumber unknown = 4711;
  EXPECT_EQ(files_->attributes(unknown).error(), ESTALE);
  EXPECT_EQ(files_->set_attributes(unknown, {}).error(), ESTALE);
  EXPECT_EQ(files_->open(unknown, false).error(), ESTALE);
  EXPECT_EQ(files_->read(unknown, 0, 1).error(), ESTALE);
  EXPECT_EQ(write(unknown, "x").error(), ESTALE);
  EXPECT_EQ(files_->immutable(unknown).error(), ESTALE);
  EXPECT_EQ(files_->set_immutable(unknown, true).error(), ESTALE);
  files_->close(unknown);
  files_->forget(unknown, 1);
  EXPECT_EQ(files_->open(root_inode, false).error(), EISDIR);
  EXPECT_EQ(files_->read(root_inode, 0, 1).error(), EISDIR);
  EXPECT_EQ(write(root_inode, "x").error(), EISDIR);
  EXPECT_EQ(files_->immutable(root_inode).error(), ENOTTY);
  EXPECT_EQ(files_->set_immutable(root_inode, true).error(), ENOTTY);
  const InodeNumber file = number_of(named("Shown"));
  EXPECT_EQ(files_->lookup(file, named("Shown")).error(), ENOTDIR);
  EXPECT_EQ(files_->create(file, named("New"), 0644).error(), ENOTDIR);
  EXPECT_EQ(files_->unlink(file, named("Shown")).error(), ENOTDIR);
  EXPECT_EQ(files_->create(root_inode, named("Shown"), 0644).error(), EEXIST);
  EXPECT_EQ(content(file), "070000006162");
}

TEST_F(FileSystemTest, ReadsAnyPart) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  const auto part = [&](std::uint64_t offset, std::size_t size) {
    return to_hex(*files_->read(number, offset, size));
  };
  EXPECT_EQ(part(0, 4), "07000000");
  EXPECT_EQ(part(3, 2), "0061");
  EXPECT_EQ(part(5, 100), "62");
  EXPECT_EQ(part(6, 1), "");
  EXPECT_EQ(part(~std::uint64_t{0}, ~std::size_t{0}), "");
  EXPECT_EQ(part(1, ~std::size_t{0}), "0000006162");
}

TEST_F(FileSystemTest, AWriteThatMayBeAPartIsRefused) {
  mount();
  const InodeNumber number = files_->create(root_inode, named("Large"), 0644)->st_ino;
  EXPECT_EQ(write(number, std::string(max_variable_write_bytes - 3, 'x')).error(), EINVAL);
  EXPECT_EQ(files_->attributes(number)->st_size, 0);
}

TEST_F(FileSystemTest, TooManyFilesWithoutVariablesAreRefused) {
  mount();
  int made = 0;
  int error = 0;
  while (error == 0 && made < 100000) {
    const auto file = files_->make_file(root_inode, named("f" + std::to_string(made)), 0644);
    file ? ++made : error = file.error();
  }
  EXPECT_EQ(error, ENOSPC);
  EXPECT_GT(made, 60000);
}

TEST_F(FileSystemTest, WhatAFailedWriteChangedIsSeen) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  // All is written but the last byte, which marks the old value as deleted.
  broken_after_ = 3;
  EXPECT_EQ(write(number, "abcdef").error(), EIO);
  EXPECT_EQ(content(number), "07000000616263646566");
  EXPECT_EQ(files_->attributes(number)->st_size, 10);
  EXPECT_THAT(files_->take_changed(), Contains(number)) << "the writer was not told";
}

TEST_F(FileSystemTest, ABrokenMediumIsReported) {
  make(u"Shown", "ab");
  mount();
  const InodeNumber number = number_of(named("Shown"));
  broken_ = true;
  EXPECT_EQ(write(number, "cd").error(), EIO);
  ASSERT_EQ(complaints_.size(), 1U);
  EXPECT_THAT(complaints_.front(), ::testing::HasSubstr("broken"));
  broken_ = false;
  EXPECT_EQ(content(number), "070000006162");
}

TEST_F(FileSystemTest, WritesAreChargedToTheirVendor) {
  make(u"Shown", "ab");
  variable::WriteBudget::Time now{};
  auto budget = variable::WriteBudget::create({.bytes_per_hour = 3600, .burst_bytes = 100});
  ASSERT_TRUE(budget);
  FileSystem& files = mount(0, BudgetPolicy{std::move(*budget), [&now] { return now; }});
  const InodeNumber number = number_of(named("Shown"));
  ASSERT_NE(files.vendor_of(number), nullptr);
  EXPECT_EQ(*files.vendor_of(number), vendor);
  EXPECT_TRUE(write(number, "first"));
  EXPECT_EQ(files.write_wait(vendor).count(), 0);
  EXPECT_TRUE(write(number, "other"));
  // Two records of 80 bytes, less the burst; what the live ones add rounds to nothing.
  EXPECT_EQ(files.write_wait(vendor), std::chrono::seconds(60));
  EXPECT_EQ(files.write_wait(crash).count(), 0);
  now += std::chrono::seconds(60);
  EXPECT_EQ(files.write_wait(vendor).count(), 0);
}

TEST_F(FileSystemTest, WhatDoesNotReachTheStoreHasNoVendor) {
  make(u"Shown", "ab");
  FileSystem& files = mount();
  EXPECT_EQ(files.vendor_of(root_inode), nullptr);
  EXPECT_EQ(files.vendor_of(12345), nullptr);
  const InodeNumber number = number_of(named("Shown"));
  EXPECT_NE(files.vendor_of(number), nullptr);
  ASSERT_TRUE(files.set_immutable(number, false));
  ASSERT_TRUE(files.open(number, true));
  ASSERT_TRUE(files.unlink(root_inode, named("Shown")));
  EXPECT_EQ(files.vendor_of(number), nullptr);
}

}  // namespace
}  // namespace efistore::shim
