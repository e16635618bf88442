// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "runtime/mm_side.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "efistore/flash/image_file.hpp"
#include "efistore/store/layout.hpp"

#include "capsule_spool.hpp"
#include "module_node.hpp"
#include "server.hpp"
#include "socket.hpp"
#include "store/store_fixture.hpp"

namespace efistore::test {

variable::Services open_image(const std::filesystem::path& image,
                              const variable::Options& options) {
  auto device = flash::ImageFile::open(image, flash::OpenMode::read_write).value();
  auto store = store::VariableStore::open(std::move(device)).value();
  return variable::Services::create(std::move(store), options).value();
}

MmSide::MmSide(Way way, MmSetup setup) : way_(way), setup_(std::move(setup)) {
  const Bytes blank = blank_image(store::Layout::custom({.size_bytes = 0x40000}).value());
  std::FILE* const file = std::fopen(image().c_str(), "wb");
  EXPECT_EQ(std::fwrite(blank.data(), 1, blank.size(), file), blank.size());
  std::fclose(file);
  start();
  client_.emplace(runtime::Client::create(connect().value()).value());
}

MmSide::~MmSide() {
  client_.reset();
  if (child_ == 0) return;
  ::kill(child_, SIGTERM);
  int status = 0;
  ::waitpid(child_, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

void MmSide::kill() {
  ::kill(child_, SIGKILL);
  ::waitpid(std::exchange(child_, 0), nullptr, 0);
}

void MmSide::start() {
  if (way_ == Way::in_process) {
    services_.emplace(open_image(image(), setup_.services));
    dispatcher_.emplace(*services_);
    return;
  }
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  child_ = ::fork();
  if (child_ == 0) {
    // Its end is not to depend on that of the test.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(ends[1]);
  }
  ::close(ends[1]);
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  ::close(ends[0]);
}

void MmSide::serve(int ready) const {
  auto services = open_image(image(), setup_.services);
  std::optional<daemon::CapsuleSpool> spool;
  if (setup_.capsules) spool.emplace(daemon::CapsuleSpool::open(capsules()).value());
  mm::Dispatcher dispatcher(services, {.capsules = spool ? &*spool : nullptr});
  daemon::ServerOptions options{.permissions = daemon::PermissionTable(setup_.permissions)};
  options.listener = daemon::listen_at(socket()).value();
  if (way_ == Way::kernel_module) {
    options.module.emplace(daemon::ModuleNode::open("/dev/efistore-mm").value());
  }
  const auto complain = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  auto server =
      daemon::Server::create(dispatcher, std::move(options), {.complain = complain}).value();
  server->announce_readiness();
  if (::write(ready, "r", 1) != 1) std::_Exit(2);
  std::_Exit(server->run() ? 0 : 1);
}

Result<std::unique_ptr<runtime::Transport>> MmSide::connect(const runtime::SocketOptions& options) {
  switch (way_) {
    case Way::in_process:
      return runtime::make_in_process_transport(*dispatcher_);
    case Way::socket:
      return runtime::connect_socket(socket(), options);
    case Way::kernel_module:
      return runtime::open_kernel_module("/dev/efistore");
  }
  return fail(Errc::unsupported, "no such way");
}

}  // namespace efistore::test
