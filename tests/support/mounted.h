// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// freezerctl mount, as its clients have it.
#ifndef FREEZERCTL_TESTS_MOUNTED_H
#define FREEZERCTL_TESTS_MOUNTED_H

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/command.h"

namespace test
{

// A server in the foreground with its mount, in a mount namespace of this process's own (which it
// then stays in). Its destructor ends the server and waits for it.
class Mounted
{
  public:
    // `root`: a cgroup's path; `before` as of Command.
    explicit Mounted(const std::string &root, const std::vector<std::string> &options = {},
                     const std::function<void()> &before = {}, const std::string &point = "");
    Mounted(const Mounted &) = delete;
    Mounted &operator=(const Mounted &) = delete;
    ~Mounted();

    // Why there is none; empty: there is.
    [[nodiscard]] const std::string &why() const { return why_; }
    // Of the mount, or of something below it.
    [[nodiscard]] std::string path(const std::string &below = "") const;
    [[nodiscard]] Command &server() { return *server_; }
    // "FROZEN", without the line end.
    [[nodiscard]] std::string state(const std::string &below = "") const;

  private:
    std::string point_;
    std::string made_; // a directory to remove
    std::string why_;
    std::unique_ptr<Command> server_;
};

// 0, or the errno of open(2) or write(2). The file is neither made nor cut.
int write_error(const std::string &path, const std::string &text);
// The same of open(2) and read(2).
int read_error(const std::string &path);

// What a shell prints, with stderr, and its exit code.
struct ShellRan {
    int status = -1;
    std::string out;
};
ShellRan shell(const std::string &script);

// Runs `body` in a child with the user's ids and no groups; its return value, or -1 when the child
// died.
int as_user(uid_t uid, const std::function<int()> &body);

} // namespace test

#endif
