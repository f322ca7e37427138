// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// One run of a verb: the library opened, the targets found, what went wrong said and counted.
#ifndef FREEZERCTL_TOOLS_SESSION_H
#define FREEZERCTL_TOOLS_SESSION_H

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tools/freezerctl/exit_code.h"
#include "user/freezer.h"
#include "user/result.h"

namespace freezerctl
{

// What a target's words are.
enum class TargetType { kAny, kPath, kUnit, kContainer, kPod };

// Which cgroups are meant.
struct TargetArguments {
    std::vector<std::string> cgroups;
    std::vector<int> pids;
    TargetType type = TargetType::kAny;
    bool force = false; // also what the machine or the user's session depends on
    freezer::HierarchyChoice hierarchy = freezer::HierarchyChoice::kAny;

    [[nodiscard]] bool empty() const { return cgroups.empty() && pids.empty(); }
};

struct CommonArguments {
    bool json = false;
    bool no_bpf = false;
};

void print(const std::string &text);    // to stdout
void complain(const std::string &text); // to stderr

class Session
{
  public:
    // The verb's name and whether it speaks JSON, for what refuse() prints.
    Session(std::string verb, bool json) : verb_(std::move(verb)), json_(json) {}
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;
    // Leaves the targets and the tracker open: the process ends with the verb, and the kernel puts
    // its descriptors and mappings away in less time than as many system calls take. Every
    // operation has taken back what it told the tracker; what a killed one has not, the next client
    // does (Tracker::open_pinned()).
    ~Session()
    {
        (void)targets_.release();
        (void)freezer_.release();
    }

    // False, and said, when it cannot be had.
    bool open(const freezer::Config &config);
    // Opens and checks all of them: nothing is to be written before every one is known to be good.
    // `harmful`: refuses those whose freeze or kill would hit the caller or the machine.
    bool find_targets(const TargetArguments &arguments, bool harmful);
    // Where print() and refuse() write what is for stdout otherwise. The second: to a file, made
    // or emptied; false, and said, when that cannot be.
    void set_output(std::FILE *output) { output_ = output; }
    bool open_output(const std::string &path);
    void print(const std::string &text);
    // What was printed is with its reader, who need not wait for what there is to put away.
    void flush() { (void)std::fflush(output_); }
    // Says why a target (or the whole command) cannot be served.
    void refuse(const std::string &target, const freezer::Error &error);
    void count(ExitCode code) { code_ = worse(code_, code); }

    [[nodiscard]] freezer::Freezer &freezer() { return *freezer_; }
    [[nodiscard]] std::vector<freezer::Target> &targets() { return *targets_; }
    [[nodiscard]] ExitCode code() const { return code_; }

  private:
    freezer::Result<std::unique_ptr<freezer::Cgroup>> find(const std::string &text,
                                                           const TargetArguments &arguments) const;

    std::string verb_;
    bool json_;
    std::FILE *output_ = stdout;
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> file_{nullptr, &std::fclose};
    std::unique_ptr<freezer::Freezer> freezer_;
    std::unique_ptr<std::vector<freezer::Target>> targets_ =
        std::make_unique<std::vector<freezer::Target>>();
    ExitCode code_ = kReached;
};

} // namespace freezerctl

#endif
