// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What efitools and openssl make is accepted, and nothing else about it.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "efistore/base/bytes.hpp"
#include "efistore/crypto/signed_data.hpp"
#include "efistore/crypto/signing_key.hpp"
#include "efistore/variable/authentication.hpp"
#include "efistore/variable/signature_list.hpp"

#include "support/temporary_directory.hpp"
#include "support/vectors.hpp"

namespace efistore::variable {
namespace {

using namespace literals;

constexpr Guid owner = "11223344-5566-7788-99aa-bbccddeeff00"_guid;
constexpr std::uint32_t attributes = 0x27;
constexpr std::uint32_t append = 0x40;

class Producers : public testing::Test {
 protected:
  void SetUp() override {
    for (const std::string tool : {"openssl", "sign-efi-sig-list", "cert-to-efi-sig-list",
                                   "hash-to-efi-sig-list", "sbvarsign"}) {
      if (std::system(("command -v " + tool + " > /dev/null").c_str()) == 0) continue;
      if (test::runs_in_ci()) FAIL() << tool << " is missing";
      GTEST_SKIP() << tool << " is missing";
    }
    make_certificate("signer", "rsa:2048");
    write("payload", "payload");
  }

  /// A command of the shell in the folder.
  void run(const std::string& command) {
    const std::string line =
        "cd '" + folder_.path().string() + "' && { " + command + "; } > log 2>&1";
    const int status = std::system(line.c_str());
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << '\n' << text("log");
  }

  /// NAME.key and NAME.pem.
  void make_certificate(const std::string& name, const std::string& key,
                        const std::string& more = "") {
    run("openssl req -x509 -newkey " + key + " -nodes -keyout " + name + ".key -out " + name +
        ".pem -days 30 -subj /CN=" + name + " " + more);
  }

  void write(const std::string& name, std::string_view content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  std::string text(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  std::vector<std::byte> bytes(const std::string& name) const {
    const std::string content = text(name);
    const auto view = as_bytes(content);
    return {view.begin(), view.end()};
  }

  crypto::Certificate certificate(const std::string& name = "signer") const {
    return crypto::Certificate::from_pem(text(name + ".pem")).value().front();
  }

  /// Whether a file with SignedData is accepted for the file "payload", and that only.
  void expect_accepted(const std::string& name, const std::string& by = "signer") {
    const auto signed_data = crypto::SignedData::parse(bytes(name));
    ASSERT_TRUE(signed_data) << signed_data.error().message;
    const Status status = signed_data->verify_up_to(as_bytes("payload"), certificate(by));
    EXPECT_TRUE(status) << status.error().message;
    EXPECT_FALSE(signed_data->verify_up_to(as_bytes("payloaD"), certificate(by)));
  }

  void expect_refused(const std::string& name) {
    EXPECT_FALSE(crypto::SignedData::parse(bytes(name)));
  }

  /// Whether an .auth file changes the variable of that name and no other.
  void expect_authentic(const std::string& file, std::u16string_view name, const Guid& guid,
                        std::uint32_t asked) {
    const auto data = bytes(file);
    const auto authentication = parse_authentication(data);
    ASSERT_TRUE(authentication) << authentication.error().message;
    EXPECT_TRUE(equal_bytes(bytes("list.esl"), authentication->payload));
    const auto signed_data = crypto::SignedData::parse(authentication->signed_data);
    ASSERT_TRUE(signed_data) << signed_data.error().message;
    const auto verify = [&](std::u16string_view as, const Guid& in, std::uint32_t with) {
      const auto content =
          signed_content(as, in, with, authentication->time, authentication->payload);
      return signed_data->verify_by(content, certificate());
    };
    const Status status = verify(name, guid, asked);
    EXPECT_TRUE(status) << status.error().message;
    EXPECT_FALSE(verify(u"other", guid, asked));
    EXPECT_FALSE(verify(name, owner, asked));
    EXPECT_FALSE(verify(name, guid, asked ^ append));
  }

  test::TemporaryDirectory folder_;
};

TEST_F(Producers, CertToEfiSigList) {
  run("cert-to-efi-sig-list -g " + to_string(owner) + " signer.pem list.esl");
  const auto list = bytes("list.esl");
  const Status status = check_signature_lists(list, true);
  EXPECT_TRUE(status) << status.error().message;
  const crypto::Certificate signer = certificate();
  const std::vector<std::span<const std::byte>> entries{signer.der()};
  EXPECT_EQ(list, make_signature_list(signature_types::x509, owner, entries));
}

TEST_F(Producers, HashToEfiSigList) {
  // Any PE file will do.
  const std::string program = "/usr/lib/efitools/x86_64-linux-gnu/HelloWorld.efi";
  if (std::system(("test -f " + program).c_str()) != 0) GTEST_SKIP() << program << " is missing";
  run("hash-to-efi-sig-list " + program + " list.esl");
  const auto list = bytes("list.esl");
  const Status status = check_signature_lists(list, false);
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_EQ(signature_types::sha256, parse_signature_lists(list)->front().type);
}

TEST_F(Producers, SignEfiSigList) {
  run("cert-to-efi-sig-list -g " + to_string(owner) + " signer.pem list.esl");
  run("sign-efi-sig-list -k signer.key -c signer.pem PK list.esl PK.auth");
  expect_authentic("PK.auth", u"PK", guids::global_variable, attributes);
  run("sign-efi-sig-list -t '2026-11-21 05:26:30' -k signer.key -c signer.pem db list.esl db.auth");
  expect_authentic("db.auth", u"db", guids::image_security_database, attributes);
  // Its time is all zero.
  run("sign-efi-sig-list -a -k signer.key -c signer.pem dbx list.esl dbx.auth");
  expect_authentic("dbx.auth", u"dbx", guids::image_security_database, attributes | append);
  // To delete.
  write("list.esl", "");
  run("sign-efi-sig-list -k signer.key -c signer.pem PK list.esl none.auth");
  expect_authentic("none.auth", u"PK", guids::global_variable, attributes);
}

TEST_F(Producers, SignEfiSigListIsMadeTheSameHere) {
  run("cert-to-efi-sig-list -g " + to_string(owner) + " signer.pem list.esl");
  run("sign-efi-sig-list -k signer.key -c signer.pem PK list.esl PK.auth");
  const auto theirs = bytes("PK.auth");
  const auto authentication = parse_authentication(theirs);
  ASSERT_TRUE(authentication);
  const auto key = crypto::PrivateKey::from_pem(text("signer.key"));
  ASSERT_TRUE(key) << key.error().message;
  const auto payload = bytes("list.esl");
  const auto der = crypto::sign(
      signed_content(u"PK", guids::global_variable, attributes, authentication->time, payload),
      *key, certificate());
  ASSERT_TRUE(der) << der.error().message;
  EXPECT_EQ(theirs, make_authentication(authentication->time, *der, payload));
}

TEST_F(Producers, Sbvarsign) {
  run("cert-to-efi-sig-list -g " + to_string(owner) + " signer.pem list.esl");
  run("sbvarsign --key signer.key --cert signer.pem --output KEK.auth KEK list.esl");
  // Unless told otherwise it signs for every attribute there is.
  expect_authentic("KEK.auth", u"KEK", guids::global_variable, attributes | append);
}

TEST_F(Producers, OpensslSmimeAndCms) {
  make_certificate("second", "rsa:2048");
  for (const std::string command : {"smime", "cms"}) {
    const std::string start = "openssl " + command +
                              " -sign -binary -in payload -outform DER -signer signer.pem -inkey "
                              "signer.key -out out ";
    for (const std::string options :
         {"-noattr", "", "-md sha384", "-md sha512 -noattr", "-nosmimecap"}) {
      SCOPED_TRACE(start + options);
      run(start + options);
      expect_accepted("out");
    }
    for (const std::string options :
         {"-nocerts", "-nodetach", "-md sha1", "-md md5", "-signer second.pem -inkey second.key"}) {
      SCOPED_TRACE(start + options);
      run(start + options);
      expect_refused("out");
    }
  }
}

TEST_F(Producers, OpensslCmsWithOtherFormsIsRefused) {
  const std::string start =
      "openssl cms -sign -binary -in payload -outform DER -signer signer.pem -inkey signer.key "
      "-out out ";
  // A key identifier in the place of issuer and serial number makes it another version.
  for (const std::string options :
       {"-keyid", "-keyopt rsa_padding_mode:pss", "-stream", "-econtent_type pkcs7-signedData"}) {
    SCOPED_TRACE(options);
    run(start + options);
    expect_refused("out");
  }
}

TEST_F(Producers, OpensslWithEcKeys) {
  for (const std::string curve : {"P-256", "P-384", "P-521"}) {
    SCOPED_TRACE(curve);
    make_certificate("ec", "ec -pkeyopt ec_paramgen_curve:" + curve);
    for (const std::string options : {"-noattr", "-md sha384"}) {
      run("openssl cms -sign -binary -in payload -outform DER -signer ec.pem -inkey ec.key -out "
          "out " +
          options);
      expect_accepted("out", "ec");
    }
  }
}

TEST_F(Producers, OpensslWithAChain) {
  make_certificate("root", "rsa:2048", "-sha384");
  write("ca.ext", "basicConstraints=critical,CA:TRUE\n");
  run("openssl req -newkey rsa:2048 -nodes -keyout middle.key -out middle.csr -subj /CN=middle");
  run("openssl x509 -req -in middle.csr -CA root.pem -CAkey root.key -CAcreateserial -days 30 "
      "-extfile ca.ext -out middle.pem");
  run("openssl req -newkey rsa:2048 -nodes -keyout end.key -out end.csr -subj /CN=end");
  run("openssl x509 -req -in end.csr -CA middle.pem -CAkey middle.key -CAcreateserial -days 30 "
      "-out end.pem");
  run("openssl cms -sign -binary -noattr -in payload -outform DER -signer end.pem -inkey end.key "
      "-certfile middle.pem -out out");
  for (const std::string anchor : {"root", "middle", "end"}) {
    SCOPED_TRACE(anchor);
    expect_accepted("out", anchor);
  }
}

TEST_F(Producers, OpensslVerifiesWhatIsMadeHere) {
  const auto key = crypto::PrivateKey::generate(crypto::KeyKind::ec_p384).value();
  const auto made =
      crypto::make_self_signed(key, {.common_name = "made here", .days = 30, .ca = true}).value();
  write("made.pem", crypto::to_pem(made));
  write("made.key", key.to_pem());
  run("openssl x509 -in made.pem -noout -text && openssl pkey -in made.key -check -noout");
  run("openssl verify -x509_strict -CAfile made.pem made.pem");
  run("cert-to-efi-sig-list made.pem list.esl");
}

}  // namespace
}  // namespace efistore::variable
