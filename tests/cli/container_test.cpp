// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// A container that crun runs: the trace of its pause, and freezerctl's own way to it by name.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/json_lines.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::Ran;

// A container of one process that sleeps, in a cgroup "box" of the scratch one. Its programs are
// those of this machine.
class Container
{
  public:
    explicit Container(const test::Scratch &scratch)
    {
        std::string name = "/tmp/freezerctl-test-XXXXXX";
        if (!::mkdtemp(name.data()))
            throw std::system_error(errno, std::generic_category(), "mkdtemp");
        dir_ = name;
        id_ = dir_.filename();
        const auto rootfs = dir_ / "rootfs";
        for (const char *below : {"usr", "dev", "proc", "sys"})
            std::filesystem::create_directories(rootfs / below);
        for (const char *link : {"bin", "lib", "lib64"})
            std::filesystem::create_symlink(std::string("usr/") + link, rootfs / link);
        const json config{
            {"ociVersion", "1.0.0"},
            {"process",
             {{"user", {{"uid", 0}, {"gid", 0}}},
              {"args", {"/usr/bin/sleep", "100000"}},
              {"cwd", "/"}}},
            {"root", {{"path", "rootfs"}, {"readonly", true}}},
            {"mounts", json::array({{{"destination", "/usr"},
                                     {"type", "bind"},
                                     {"source", "/usr"},
                                     {"options", {"rbind", "ro"}}}})},
            {"linux",
             {{"cgroupsPath", scratch.path("box")},
              {"namespaces", json::array({{{"type", "pid"}}, {{"type", "mount"}}})}}}};
        std::ofstream(dir_ / "config.json") << config;
    }
    Container(const Container &) = delete;
    Container &operator=(const Container &) = delete;
    ~Container()
    {
        // It was never there if crun could not run it.
        (void)std::system((crun("delete --force " + id_) + quiet()).c_str());
        std::error_code error;
        std::filesystem::remove_all(dir_, error);
    }

    [[nodiscard]] const std::string &id() const { return id_; }
    // A shell command that runs crun where it finds the v2 hierarchy alone on /sys/fs/cgroup, as it
    // wants it, whatever this machine has there.
    [[nodiscard]] std::string crun(const std::string &arguments) const
    {
        return "unshare --mount /bin/sh -c 'mount --make-rprivate / && "
               "mount -t cgroup2 none /sys/fs/cgroup && "
               "exec crun --cgroup-manager=cgroupfs --root=" +
               (dir_ / "state").string() + " " + arguments + "'";
    }
    [[nodiscard]] bool start() const
    {
        return std::system((crun("run --detach --bundle=" + dir_.string() + " " + id_) + quiet())
                               .c_str()) == 0;
    }
    [[nodiscard]] std::string error() const { return test::read_file(error_file()); }
    // Runs freezerctl where crun's state is found in the usual place.
    [[nodiscard]] Ran run(const std::vector<std::string> &arguments) const
    {
        test::Command command(arguments, [this] {
            const std::string state = dir_ / "state";
            if (!test::enter_private_mounts() ||
                ::mount("none", "/run", "tmpfs", 0, nullptr) != 0 ||
                ::mkdir("/run/crun", 0755) != 0 ||
                ::mount(state.c_str(), "/run/crun", nullptr, MS_BIND, nullptr) != 0)
                ::_exit(120);
        });
        return command.finish();
    }

  private:
    [[nodiscard]] std::string error_file() const { return (dir_ / "error").string(); }
    [[nodiscard]] std::string quiet() const { return " </dev/null >/dev/null 2>" + error_file(); }

    std::filesystem::path dir_;
    std::string id_;
};

// A container of crun that runs.
class InContainer : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        if (test::cgroup2_mount().empty())
            GTEST_SKIP() << "no cgroup2";
        if (std::system("command -v crun >/dev/null") != 0)
            GTEST_SKIP() << "crun is not installed";
        scratch_.emplace();
        container_.emplace(*scratch_);
        if (!container_->start())
            GTEST_SKIP() << "crun cannot run a container here: " << container_->error();
    }
    [[nodiscard]] const test::Scratch &scratch() const { return *scratch_; }
    [[nodiscard]] const Container &container() const { return *container_; }

  private:
    std::optional<test::Scratch> scratch_;
    std::optional<Container> container_; // ends before the scratch cgroup goes
};

TEST_F(InContainer, crun_is_the_actor_of_its_pause)
{
    const Ran traced = test::run({"trace", "--json", scratch().path(), "--", "/bin/sh", "-c",
                                  container().crun("pause " + container().id()) + " && " +
                                      container().crun("resume " + container().id())});
    EXPECT_EQ(traced.status, 0) << traced.err;
    const std::vector<pid_t> inside = scratch().threads("box");
    ASSERT_EQ(inside.size(), 1U);
    std::vector<std::string> order;
    for (const json &line : test::lines_of(traced.out)) {
        const std::string event = line["event"];
        if (event == "freeze" || event == "thaw") {
            EXPECT_EQ(line["actor"]["comm"], "crun");
            EXPECT_EQ(line["cgroup"], scratch().path("box"));
        } else if (event == "reached" || event == "left") {
            EXPECT_EQ(line["task"]["tid"], inside.front());
            EXPECT_EQ(line["task"]["comm"], "sleep");
        } else {
            continue;
        }
        order.push_back(event);
    }
    EXPECT_EQ(order, (std::vector<std::string>{"freeze", "reached", "thaw", "left"})) << traced.out;
}

TEST_F(InContainer, is_meant_by_a_beginning_of_its_name)
{
    const std::string beginning = container().id().substr(0, container().id().size() - 2);
    const Ran frozen = container().run({"freeze", "--json", beginning});
    ASSERT_EQ(frozen.status, 0) << frozen.err;
    EXPECT_EQ(json::parse(frozen.out)["path"], scratch().path("box"));
    EXPECT_EQ(scratch().event("frozen", "box"), 1);
    // crun sees it as its own pause.
    EXPECT_EQ(
        std::system((container().crun("state " + container().id()) + " | grep -q paused").c_str()),
        0);
    const Ran listed = container().run({"list", "--json", "--type", "container", "--is", "frozen"});
    EXPECT_NE(listed.out.find("\"" + container().id() + "\""), std::string::npos) << listed.out;
    EXPECT_EQ(container().run({"thaw", "--type", "container", container().id()}).status, 0);
    EXPECT_EQ(scratch().event("frozen", "box"), 0);
}

} // namespace
