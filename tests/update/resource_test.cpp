// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/resource.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "efistore/flash/memory_device.hpp"
#include "efistore/update/extent_device.hpp"

#include "support/temporary_directory.hpp"
#include "support/vectors.hpp"

namespace efistore::update {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string minimal = R"(image_type = "6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01"
name = "loader"
target = "mtd:fw"
allow_unsigned = true
)";

const std::string banks = R"(image_type = "6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01"
name = "loader"
allow_unsigned = true
scheme = "ab"
[[bank]]
target = "mtd:fw-a"
[[bank]]
target = [{device = "mtd:fw-b", offset = 0x1000, size = 0x2000}, "mtd:fw-c"]
[fwu]
metadata = ["mtd:fwu-0", "mtd:fwu-1"]
max_trial_boots = 5
)";

std::string error_of(const std::string& text) {
  const auto resource = parse_resource("/etc/fw.toml", text);
  return resource ? "" : resource.error().message;
}

TEST(Resource, HasDefaults) {
  const auto resource = parse_resource("/etc/fw.toml", minimal);
  ASSERT_TRUE(resource) << resource.error().message;
  EXPECT_EQ("6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01", to_string(resource->type_id));
  EXPECT_EQ(1, resource->index);
  EXPECT_EQ(Scheme::single, resource->scheme);
  EXPECT_EQ((std::vector<Target>{{Extent{"mtd:fw"}}}), resource->banks);
  EXPECT_FALSE(resource->form.authenticated);
  EXPECT_TRUE(resource->form.payload_header);
  EXPECT_EQ(VersionSource::Kind::recorded, resource->version.kind);
  EXPECT_EQ(std::chrono::seconds(60), resource->hooks.timeout);
}

TEST(Resource, SaysAllThatThereIs) {
  const auto resource = parse_resource("/etc/fw.toml", R"(
image_type = "6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01"
name = "loader"
vendor = "Example"
type = "system"
index = 2
hardware_instance = 0x10
capsule_flags = 0x8000
lowest_supported_version = 7
version = { fixed = 0x20001 }
target = { device = "mtd:fw", offset = 0x10000, size = 0x20000 }
allow_unsigned = true
payload_header = false
guard_first_block = true
[hooks]
before = ["/bin/true", "x"]
after = ["/bin/false"]
timeout_s = 5
)");
  ASSERT_TRUE(resource) << resource.error().message;
  EXPECT_EQ("Example", resource->vendor);
  EXPECT_EQ(1U, resource->fw_type);
  EXPECT_EQ(2, resource->index);
  EXPECT_EQ(0x10U, resource->hardware_instance);
  EXPECT_EQ(0x8000U, resource->capsule_flags);
  EXPECT_EQ(7U, resource->lowest_supported_version);
  EXPECT_EQ(0x20001U, resource->version.version);
  EXPECT_EQ(VersionSource::Kind::fixed, resource->version.kind);
  EXPECT_EQ((Extent{"mtd:fw", 0x10000, 0x20000}), resource->banks[0][0]);
  EXPECT_FALSE(resource->form.payload_header);
  EXPECT_TRUE(resource->guard_first_block);
  EXPECT_EQ((std::vector<std::string>{"/bin/true", "x"}), resource->hooks.before);
  EXPECT_EQ(std::chrono::seconds(5), resource->hooks.timeout);
}

TEST(Resource, HasBanks) {
  const auto resource = parse_resource("/etc/fw.toml", banks);
  ASSERT_TRUE(resource) << resource.error().message;
  EXPECT_EQ(Scheme::ab, resource->scheme);
  ASSERT_EQ(2U, resource->banks.size());
  EXPECT_EQ((Target{Extent{"mtd:fw-b", 0x1000, 0x2000}, Extent{"mtd:fw-c"}}), resource->banks[1]);
  EXPECT_EQ("mtd:fwu-1", resource->fwu->metadata[1].device);
  EXPECT_EQ(5U, resource->fwu->max_trial_boots);
}

TEST(Resource, ErrorsNameFileLineAndReason) {
  const auto with = [](std::string text, const std::string& from, const std::string& to) {
    return error_of(text.replace(text.find(from), from.size(), to));
  };
  EXPECT_THAT(error_of("x = "), StartsWith("/etc/fw.toml:1: "));
  EXPECT_EQ("/etc/fw.toml:2: \"name\" is no text, or empty", with(minimal, "\"loader\"", "7"));
  EXPECT_EQ("/etc/fw.toml:1: \"image_type\" is no GUID like 6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01",
            with(minimal, "6f5f2bd5", "6f5f2bd"));
  EXPECT_THAT(error_of(minimal + "speed = 1\n"),
              StartsWith("/etc/fw.toml:5: there is no key \"speed\" here, expected image_type,"));
  EXPECT_EQ("/etc/fw.toml:5: \"index\" is not a number from 0 to 255",
            error_of(minimal + "index = 256\n"));
  EXPECT_EQ("/etc/fw.toml:5: \"index\" is 0, expected 1 to 255", error_of(minimal + "index = 0\n"));
  EXPECT_THAT(error_of(minimal + "index = -1\n"), HasSubstr("not a number"));
  EXPECT_THAT(error_of(minimal + "type = \"bios\"\n"),
              HasSubstr(":5: \"type\" is \"bios\", expected unknown, system, device, driver"));
  EXPECT_THAT(error_of(minimal + "version = {}\n"), HasSubstr("exactly one of"));
  EXPECT_THAT(error_of(minimal + "version = 3\n"), HasSubstr("is no table"));
  EXPECT_THAT(error_of(minimal + "scheme = \"abc\"\n"), HasSubstr("expected single or ab"));
  EXPECT_THAT(error_of(minimal + "[hooks]\nbefore = [\"true\"]\n"), HasSubstr("no absolute path"));
  EXPECT_THAT(with(minimal, "allow_unsigned = true", ""), HasSubstr("\"certificates\" is missing"));
  EXPECT_THAT(with(minimal, "allow_unsigned = true", "certificates = [\"none.crt\"]"),
              HasSubstr(":4: the certificate /etc/none.crt cannot be read"));
  EXPECT_THAT(with(minimal, "\"mtd:fw\"", "[]"), HasSubstr("has 0 parts"));
  EXPECT_THAT(with(minimal, "\"mtd:fw\"", "{device = \"a\", size = 0}"),
              HasSubstr("\"size\" is 0"));
  EXPECT_THAT(with(minimal, "target = \"mtd:fw\"", ""), HasSubstr("\"target\" is missing"));
  EXPECT_THAT(error_of(minimal + "[[bank]]\ntarget = \"x\"\n"), HasSubstr("belongs to scheme"));
  EXPECT_THAT(with(banks, "[[bank]]\ntarget = \"mtd:fw-a\"", ""), HasSubstr("two to four times"));
  EXPECT_THAT(with(banks, "\"mtd:fwu-0\", ", ""), HasSubstr("not a list of two places"));
  EXPECT_THAT(with(banks, "scheme = \"ab\"", "scheme = \"ab\"\ntarget = \"x\""),
              HasSubstr(":5: \"target\" belongs to scheme = \"single\""));
}

TEST(Resource, CertificatesAreThoseOfFiles) {
  EFISTORE_NEED_VECTORS();
  const efistore::test::TemporaryDirectory folder;
  const auto keys = efistore::test::vectors_dir() / "capsule/keys";
  std::filesystem::copy_file(keys / "root.crt", folder / "root.crt");
  std::filesystem::copy_file(keys / "int.der", folder / "int.der");
  std::string text = minimal;
  text.replace(text.find("allow_unsigned = true"), 21,
               "certificates = [\"root.crt\", \"int.der\"]");
  const auto resource = parse_resource(folder / "fw.toml", text);
  ASSERT_TRUE(resource) << resource.error().message;
  EXPECT_EQ(2U, resource->trusted.size());
  EXPECT_TRUE(resource->form.authenticated);
  EXPECT_THAT(parse_resource(folder / "fw.toml", text + "allow_unsigned = true\n").error().message,
              HasSubstr("leaves nothing for"));
}

/// Attack: a payload's type is not signed, so one of another resource would do.
TEST(Resources, ShareCertificatesOnlyIfBothSaySo) {
  EFISTORE_NEED_VECTORS();
  const efistore::test::TemporaryDirectory folder;
  std::filesystem::copy_file(efistore::test::vectors_dir() / "capsule/keys/root.crt",
                             folder / "root.crt");
  const auto write = [&](const std::string& name, const std::string& more) {
    std::string text = minimal;
    text.replace(text.find("allow_unsigned = true"), 21, "certificates = [\"root.crt\"]");
    text.replace(text.find("mtd:fw"), 6, "mtd:" + name);
    std::ofstream(folder / (name + ".toml")) << text << more;
  };
  write("a", "shares_certificates = true\n");
  write("b", "index = 2\n");
  EXPECT_THAT(load_resources(folder.path()).error().message,
              HasSubstr("both need shares_certificates = true"));
  write("b", "index = 2\nshares_certificates = true\n");
  EXPECT_EQ(2U, load_resources(folder.path())->size());
}

TEST(Resources, OfAFolderMustGoTogether) {
  const efistore::test::TemporaryDirectory folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
  };
  EXPECT_TRUE(load_resources(folder / "none")->empty());
  write("a.toml", minimal);
  write("ignored.conf", "nonsense");
  EXPECT_EQ(1U, load_resources(folder.path())->size());
  write("b.toml", minimal);
  EXPECT_THAT(load_resources(folder.path()).error().message,
              HasSubstr("b.toml: " + (folder / "a.toml").string() + " has the same image_type"));
  write("b.toml", "index = 2\n" + minimal);
  EXPECT_THAT(load_resources(folder.path()).error().message, HasSubstr("overlaps one of"));
  std::string second = banks;
  write("b.toml", "index = 2\n" + second);
  EXPECT_EQ(2U, load_resources(folder.path())->size());
  // Two with the same metadata are one group; a target on metadata is a mistake.
  std::string third = second;
  for (const std::string part : {"mtd:fw-a", "mtd:fw-b", "mtd:fw-c"}) {
    third.replace(third.find(part), part.size(), part + "3");
  }
  write("c.toml", "index = 3\n" + third);
  EXPECT_EQ(3U, load_resources(folder.path())->size());
  third.replace(third.find("mtd:fw-a3"), 9, "mtd:fwu-0");
  write("c.toml", "index = 3\n" + third);
  EXPECT_THAT(load_resources(folder.path()).error().message, HasSubstr("overlaps one of"));
}

TEST(ExtentDevice, IsItsExtentsInOrder) {
  const auto opener = [](const std::string& name,
                         flash::OpenMode) -> Result<std::unique_ptr<flash::Device>> {
    std::vector<std::byte> content(2048, std::byte{0xff});
    if (name == "coarse") return std::make_unique<flash::MemoryDevice>(content, 1024, name);
    if (name == "fine") return std::make_unique<flash::MemoryDevice>(content, 256, name);
    return fail(Errc::not_found, name);
  };
  DevicePool pool(opener, flash::OpenMode::read_write);
  auto device = ExtentDevice::open({{"fine", 1024, 512}, {"fine", 0, 256}}, pool);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ(768U, (*device)->geometry().size_bytes);
  const std::vector<std::byte> data(20, std::byte{0x5a});
  ASSERT_TRUE((*device)->program(502, data));
  // The device is opened once, and this is the end of the first extent and the front of the second.
  flash::Device& whole = **pool.get("fine");
  std::vector<std::byte> there(10);
  ASSERT_TRUE(whole.read(1024 + 502, there));
  EXPECT_EQ(data[0], there[9]);
  ASSERT_TRUE(whole.read(0, there));
  EXPECT_EQ(data[0], there[9]);
  ASSERT_TRUE((*device)->erase({256, 512}));
  ASSERT_TRUE(whole.read(0, there));
  EXPECT_EQ(std::byte{0xff}, there[0]);
  EXPECT_FALSE((*device)->program(760, data));
  EXPECT_FALSE((*device)->read(768, there));
  const auto code = [&](const Target& target) {
    return ExtentDevice::open(target, pool).error().code;
  };
  EXPECT_EQ(Errc::not_found, code({{"none"}}));
  EXPECT_EQ(Errc::out_of_range, code({{"fine", 2048}}));
  EXPECT_EQ(Errc::out_of_range, code({{"fine", 1024, 1025}}));
  EXPECT_EQ(Errc::invalid_argument, code({{"fine", 128}}));
  EXPECT_EQ(Errc::invalid_argument, code({{"fine", 0, 100}}));
  EXPECT_EQ(Errc::invalid_argument, code({{"fine"}, {"coarse"}}));
}

}  // namespace
}  // namespace efistore::update
