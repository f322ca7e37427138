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
#include "tests/support/user.h"

namespace
{

using nlohmann::json;
using test::Ran;

// A container of one process that sleeps, in a cgroup "box" of the scratch one. Its programs are
// those of this machine.
class Container
{
  public:
    enum class Whose {
        kRoots,
        kUsers, // kNobody's, below a cgroup that was delegated to it
    };
    explicit Container(const test::Scratch &scratch, Whose whose) : scratch_(scratch), whose_(whose)
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
        std::filesystem::create_directories(state().parent_path());
        json config{{"ociVersion", "1.0.0"},
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
        if (whose == Whose::kUsers) {
            const json mapping =
                json::array({{{"containerID", 0}, {"hostID", test::kNobody}, {"size", 1}}});
            config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = mapping;
            config["linux"]["namespaces"].push_back({{"type", "user"}});
            scratch.mkdir("session");
            for (const char *const below : {"", "session"})
                test::delegate(scratch, below);
        }
        std::ofstream(dir_ / "config.json") << config;
        if (whose == Whose::kUsers) {
            test::give(dir_);
            for (const auto &entry : std::filesystem::recursive_directory_iterator(dir_)) {
                if (!entry.is_symlink())
                    test::give(entry.path());
            }
        }
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
        std::string before;
        if (whose_ == Whose::kUsers)
            before = "echo 0 >/sys/fs/cgroup" + scratch_.path("session") + "/cgroup.procs && " +
                     "exec setpriv --clear-groups --reuid=" + std::to_string(test::kNobody) +
                     " --regid=" + std::to_string(test::kNobody) + " env HOME=" + dir_.string() +
                     " XDG_RUNTIME_DIR=" + dir_.string() + " ";
        else
            before = "exec ";
        return "unshare --mount /bin/sh -c 'mount --make-rprivate / && "
               "mount -t cgroup2 none /sys/fs/cgroup && " +
               before + "crun --cgroup-manager=cgroupfs --root=" + state().string() + " " +
               arguments + "'";
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
            if (!(whose_ == Whose::kUsers ? enter_users_place() : enter_roots_place()))
                ::_exit(120);
        });
        return command.finish();
    }

  private:
    [[nodiscard]] bool enter_roots_place() const
    {
        return test::enter_private_mounts() && ::mount("none", "/run", "tmpfs", 0, nullptr) == 0 &&
               ::mkdir("/run/crun", 0755) == 0 &&
               ::mount(state().c_str(), "/run/crun", nullptr, MS_BIND, nullptr) == 0;
    }
    [[nodiscard]] bool enter_users_place() const
    {
        return scratch_.write("cgroup.procs", "0", "session") &&
               ::setenv("XDG_RUNTIME_DIR", dir_.c_str(), 1) == 0 && test::become(test::kNobody);
    }
    // Where crun keeps it of itself, below /run or $XDG_RUNTIME_DIR.
    [[nodiscard]] std::filesystem::path state() const { return dir_ / "crun"; }
    [[nodiscard]] std::string error_file() const { return (dir_ / "error").string(); }
    [[nodiscard]] std::string quiet() const { return " </dev/null >/dev/null 2>" + error_file(); }

    const test::Scratch &scratch_;
    Whose whose_;
    std::filesystem::path dir_;
    std::string id_;
};

// A container of crun that runs.
class InContainer : public ::testing::TestWithParam<Container::Whose>
{
  protected:
    void SetUp() override
    {
        if (test::cgroup2_mount().empty())
            GTEST_SKIP() << "no cgroup2";
        if (std::system("command -v crun >/dev/null") != 0)
            GTEST_SKIP() << "crun is not installed";
        scratch_.emplace();
        container_.emplace(*scratch_, GetParam());
        if (!container_->start())
            GTEST_SKIP() << "crun cannot run a container here: " << container_->error();
    }
    [[nodiscard]] const test::Scratch &scratch() const { return *scratch_; }
    [[nodiscard]] const Container &container() const { return *container_; }

  private:
    std::optional<test::Scratch> scratch_;
    std::optional<Container> container_; // ends before the scratch cgroup goes
};

TEST_P(InContainer, crun_is_the_actor_of_its_pause)
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
            // With a user namespace it runs as a copy of itself, "memfd:crun_clon".
            const std::string comm = line["actor"]["comm"];
            EXPECT_TRUE(comm == "crun" ||
                        (GetParam() == Container::Whose::kUsers && comm.starts_with("memfd:crun")))
                << comm;
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

TEST_P(InContainer, is_meant_by_a_beginning_of_its_name)
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

TEST_P(InContainer, is_held_around_a_command)
{
    const Ran ran = container().run(
        {"freeze", container().id(), "--", "/bin/cat", scratch().dir("box") + "/cgroup.events"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("frozen 1"), std::string::npos) << ran.out;
    EXPECT_EQ(scratch().event("frozen", "box"), 0);
}

INSTANTIATE_TEST_SUITE_P(Of, InContainer,
                         ::testing::Values(Container::Whose::kRoots, Container::Whose::kUsers),
                         [](const auto &info) {
                             return info.param == Container::Whose::kRoots ? "root" : "a_user";
                         });

} // namespace
