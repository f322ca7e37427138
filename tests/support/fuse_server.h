// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#ifndef FREEZERCTL_TESTS_FUSE_SERVER_H
#define FREEZERCTL_TESTS_FUSE_SERVER_H

#include <sys/types.h>

#include <string>

#include "tests/support/scratch.h"

namespace test
{

// A FUSE file system with one file whose reads the server takes and never answers. The server is a
// child process, which dies with the test; its end makes all requests fail, so that nothing that
// hangs in it outlives this. Declare it after the Scratch of its readers: they die only with it.
class FuseServer
{
  public:
    // `cached`: reads go through the page cache, where the reader waits for a page.
    explicit FuseServer(bool cached = false);
    FuseServer(const FuseServer &) = delete;
    FuseServer &operator=(const FuseServer &) = delete;
    ~FuseServer();

    // False: there is no FUSE here; why() says so.
    [[nodiscard]] bool possible() const { return why_.empty(); }
    [[nodiscard]] const std::string &why() const { return why_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] const std::string &mount_point() const { return dir_; }

    // A child in the cgroup that reads the file. Returns when the server has taken its request.
    pid_t spawn_reader(Scratch &scratch, const std::string &below = "");
    // Ends the server: its requests fail.
    void stop();

  private:
    std::string dir_;
    std::string why_;
    pid_t pid_ = -1;
    int taken_ = -1; // a byte for each read that the server took
};

} // namespace test

#endif
