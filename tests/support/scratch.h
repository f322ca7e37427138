// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Real cgroups with real tasks for tests, gone afterwards whatever happens. What the kernel refuses
// is thrown as std::system_error, which fails the test and none of the others.
#ifndef FREEZERCTL_TESTS_SCRATCH_H
#define FREEZERCTL_TESTS_SCRATCH_H

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace test
{

// Where cgroup2 is mounted; empty: nowhere.
const std::string &cgroup2_mount();

// Waits for a condition that no event announces (a process's first breath), until a deadline that
// is far beyond any real delay. The only place in the tests that looks again and again.
bool eventually(const std::function<bool()> &condition);

// A mount namespace of this process's own, in which it stays: nobody else sees what it mounts from
// now on. False with errno set when it fails.
bool enter_private_mounts();

// The whole content, "" if it cannot be read.
std::string read_file(const std::string &path);
// False with errno set when it fails.
bool write_file(const std::string &path, const std::string &content);

// Memory shared with all children made afterwards: a progress counter for each worker.
class Counters
{
  public:
    explicit Counters(size_t n);
    Counters(const Counters &) = delete;
    Counters &operator=(const Counters &) = delete;
    ~Counters();
    std::atomic<std::uint64_t> &operator[](size_t i) { return slots_[i]; }
    [[nodiscard]] size_t size() const { return size_; }
    [[nodiscard]] std::vector<std::uint64_t> values() const;

  private:
    std::atomic<std::uint64_t> *slots_;
    size_t size_;
};

// A cgroup of its own below the mount with a name that no other process uses. Its destructor thaws,
// kills and reaps everything in it and below, then removes the tree.
class Scratch
{
  public:
    Scratch();
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    ~Scratch();

    // Below the mount: "/freezerctl-test-PID-N" and what is below it.
    [[nodiscard]] const std::string &path() const { return path_; }
    [[nodiscard]] std::string path(const std::string &below) const { return path_ + "/" + below; }
    // In the file system.
    [[nodiscard]] std::string dir(const std::string &below = "") const;
    // A control file's content; `below` as for mkdir().
    [[nodiscard]] std::string read(const std::string &file, const std::string &below = "") const;
    bool write(const std::string &file, const std::string &content,
               const std::string &below = "") const;
    // The value of "key value" in cgroup.events; -1: none.
    [[nodiscard]] int event(const std::string &key, const std::string &below = "") const;
    [[nodiscard]] std::vector<pid_t> threads(const std::string &below = "") const;

    // The cgroup and all below it, parents first, in the file system; and their tasks.
    [[nodiscard]] std::vector<std::string> cgroups(const std::string &below = "") const;
    [[nodiscard]] std::vector<pid_t> threads_of_tree(const std::string &below = "") const;

    // Makes "a/b" with its parents.
    void mkdir(const std::string &below) const;
    bool rmdir(const std::string &below) const;

    // Starts a child that is born in the cgroup (clone3 with CLONE_INTO_CGROUP) and runs `body`,
    // then exits. Returns when it runs. It dies with the test, and the destructor reaps it.
    pid_t spawn(const std::function<void()> &body, const std::string &below = "");
    // A child that sleeps for ever.
    pid_t spawn_sleeper(const std::string &below = "");
    // A child that counts up slot `i` without ever sleeping.
    pid_t spawn_spinner(Counters &counters, size_t i, const std::string &below = "");
    // A child that counts slot `i` up once in each such time and sleeps in between.
    pid_t spawn_napper(Counters &counters, size_t i, int milliseconds,
                       const std::string &below = "");

  private:
    std::string path_;
};

// Without it nothing of BPF loads.
bool kernel_has_btf();
// From 7.0 on a program at a preemptible tracepoint can be skipped (user/bpf_misses.h).
bool kernel_skips_programs();

// How many of something big a test makes: `n`, or FREEZERCTL_TEST_SCALE percent of it for machines
// that are slow, but not fewer than `least`.
size_t scaled(size_t n, size_t least = 1);

// In a child: sleeps until it is killed.
[[noreturn]] void sleep_for_ever();

// Blocks its caller in a system call on a page that nobody serves (userfaultfd): a task that does
// not reach the freezer until release(), and dies of SIGKILL all the same.
class Straggler
{
  public:
    Straggler();
    Straggler(const Straggler &) = delete;
    Straggler &operator=(const Straggler &) = delete;
    ~Straggler();
    // False: the kernel has no userfaultfd for us; why() says so.
    [[nodiscard]] bool possible() const { return why_.empty(); }
    [[nodiscard]] const std::string &why() const { return why_; }
    enum class Call {
        kWrite, // write(2)
        kVfork, // clone3(2), which after release() waits for a child that sleeps for ever
    };
    // Spawns the blocked child and returns when it is blocked.
    pid_t spawn(Scratch &scratch, const std::string &below = "", Call call = Call::kWrite);
    // Serves the page: the child goes on and then sleeps for ever.
    void release();

  private:
    int uffd_ = -1;
    void *page_ = nullptr; // at one address in parent and child; registered in the child
    int sockets_[2] = {-1, -1};
    std::string why_;
};

} // namespace test

#endif
