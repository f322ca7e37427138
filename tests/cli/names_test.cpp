// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Cgroups by name: units, containers and pods, and what is refused.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/json_lines.h"
#include "tests/support/scratch.h"

namespace
{

using nlohmann::json;
using test::Command;
using test::Ran;
using test::run;
using test::Scratch;

// A name that nothing else on the machine has, and an id of a container.
std::string unique(const std::string &text)
{
    return text + "-" + std::to_string(::getpid());
}

std::string unique_id(char last)
{
    std::array<char, 65> text{};
    std::snprintf(text.data(), text.size(), "fe%08xed%051x%c", static_cast<unsigned>(::getpid()), 0,
                  last);
    return {text.data(), 64};
}

// The command where /run and /var hold these files alone.
Ran run_with_files(const std::vector<std::string> &arguments,
                   const std::map<std::string, std::string> &files)
{
    Command command(arguments, [&] {
        if (!test::enter_private_mounts())
            ::_exit(120);
        for (const char *const top : {"/run", "/var"}) {
            ::mkdir(top, 0755);
            if (::mount("none", top, "tmpfs", 0, nullptr) != 0)
                ::_exit(121);
        }
        for (const auto &[path, content] : files) {
            std::filesystem::create_directories(std::filesystem::path(path).parent_path());
            std::ofstream(path) << content;
        }
    });
    return command.finish();
}

class Names : public ::testing::Test
{
  protected:
    // Makes it, with a process in it.
    void fill(const std::string &below)
    {
        scratch_.mkdir(below);
        scratch_.spawn_sleeper(below);
    }
    [[nodiscard]] bool frozen(const std::string &below) const
    {
        return scratch_.event("frozen", below) == 1;
    }

    Scratch scratch_;
};

TEST_F(Names, a_unit)
{
    const std::string unit = unique("unit") + ".service";
    fill("a.slice/" + unit);
    const Ran ran = run("freeze " + unit);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(frozen("a.slice/" + unit));
    EXPECT_EQ(ran.out.rfind("frozen " + unit + " (" + scratch_.path("a.slice/" + unit) + "): ", 0),
              0U)
        << ran.out;
    EXPECT_EQ(run("thaw " + unique("unit")).status, 0);
    EXPECT_FALSE(frozen("a.slice/" + unit));
    EXPECT_EQ(run("status --is thawed --type unit " + unit).status, 0);
    EXPECT_EQ(run("status --type container " + unit).status, 4);
    EXPECT_EQ(run("status --type path " + unit).status, 4);
    EXPECT_EQ(run("status /" + unit).status, 4);
    EXPECT_EQ(run("state " + unit).out, "THAWED\n");
}

TEST_F(Names, nobody_is_called_so)
{
    const Ran ran = run("freeze " + unique("nobody"));
    EXPECT_EQ(ran.status, 4);
    EXPECT_NE(ran.err.find("does not exist"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("searched"), std::string::npos) << ran.err;
    EXPECT_NE(run("freeze --type pod " + unique("nobody")).err.find("no pod"), std::string::npos);
}

TEST_F(Names, several_are_called_so)
{
    const std::string unit = unique("twice") + ".service";
    fill("a/" + unit);
    fill("b/" + unit);
    const Ran ran = run("kill " + unit);
    EXPECT_EQ(ran.status, 2);
    EXPECT_NE(ran.err.find(scratch_.path("a/" + unit)), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find(scratch_.path("b/" + unit)), std::string::npos) << ran.err;
    EXPECT_EQ(scratch_.event("populated", "a/" + unit), 1);
}

TEST_F(Names, a_container)
{
    const std::string one = unique_id('1');
    const std::string other = unique_id('2');
    fill("docker/" + one);
    fill("docker-" + other + ".scope");
    fill("libpod-conmon-" + one + ".scope");

    EXPECT_EQ(run("freeze " + one).status, 0);
    EXPECT_TRUE(frozen("docker/" + one));
    EXPECT_FALSE(frozen("libpod-conmon-" + one + ".scope"));
    EXPECT_EQ(run("freeze " + other.substr(0, 62)).status, 2);
    EXPECT_EQ(run("freeze docker-" + other + ".scope").status, 0);
    EXPECT_TRUE(frozen("docker-" + other + ".scope"));

    const std::string web = unique("web");
    const std::map<std::string, std::string> files{
        {"/var/lib/docker/containers/" + one + "/config.v2.json",
         R"({"ID":")" + one + R"(","Name":"/)" + web + R"("})"}};
    const Ran thawed = run_with_files({"thaw", "--json", web}, files);
    EXPECT_EQ(thawed.status, 0) << thawed.err;
    EXPECT_EQ(json::parse(thawed.out)["path"], scratch_.path("docker/" + one));
    EXPECT_EQ(json::parse(thawed.out)["target"], web);
    EXPECT_FALSE(frozen("docker/" + one));
}

TEST_F(Names, a_container_of_podman_crun_and_runc)
{
    const std::string id = unique_id('3');
    fill("libpod_parent/libpod-" + id);
    fill("c");
    fill("r");
    const std::map<std::string, std::string> files{
        {"/var/lib/containers/storage/overlay-containers/containers.json",
         R"([{"id":")" + id + R"(","names":["db"]}])"},
        {"/run/crun/crun-1/status", R"({"cgroup-path":")" + scratch_.path("c") + R"("})"},
        {"/run/runc/runc-1/state.json",
         R"({"id":"runc-1","cgroup_paths":{"":"/sys/fs/cgroup)" + scratch_.path("r") + R"("}})"}};
    const auto path_of = [&](const std::string &name) {
        const Ran ran = run_with_files({"freeze", "--json", "--type", "container", name}, files);
        EXPECT_EQ(ran.status, 0) << ran.err;
        return json::parse(ran.out)["path"].get<std::string>();
    };
    EXPECT_EQ(path_of("db"), scratch_.path("libpod_parent/libpod-" + id));
    EXPECT_EQ(path_of("crun-1"), scratch_.path("c"));
    EXPECT_EQ(path_of("crun"), scratch_.path("c")); // a beginning of it
    EXPECT_EQ(path_of("runc-1"), scratch_.path("r"));
}

TEST_F(Names, a_pod)
{
    const std::string pid = std::to_string(10000000 + ::getpid());
    const std::string uid = pid + "-1111-2222-3333-444444444444";
    const std::string slice =
        "kubepods.slice/kubepods-pod" + pid + "_1111_2222_3333_444444444444.slice";
    fill(slice);
    EXPECT_EQ(run("freeze " + uid).status, 0);
    EXPECT_TRUE(frozen(slice));
    EXPECT_EQ(run("thaw --type pod " + pid).status, 0);
    EXPECT_FALSE(frozen(slice));
    const Ran ran = run_with_files({"freeze", "kube-system/dns-1"},
                                   {{"/var/log/pods/kube-system_dns-1_" + uid + "/dns/0.log", ""}});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(frozen(slice));
}

TEST_F(Names, the_list)
{
    const std::string unit = unique("listed") + ".service";
    fill(unit);
    scratch_.mkdir(unique("empty") + ".service");
    const auto entry = [&](const std::string &arguments) {
        for (const json &line : test::lines_of(run("list --json " + arguments).out)) {
            if (line["name"] == unit)
                return line;
        }
        return json();
    };
    const json listed = entry("");
    EXPECT_EQ(listed["type"], "unit");
    EXPECT_EQ(listed["path"], scratch_.path(unit));
    EXPECT_EQ(listed["state"], "THAWED");
    EXPECT_TRUE(entry("--type container").is_null());
    EXPECT_TRUE(entry("--is frozen").is_null());
    ASSERT_EQ(run("freeze " + unit).status, 0);
    EXPECT_EQ(entry("--is frozen")["state"], "FROZEN");

    const std::string quiet = run("list --quiet").out;
    EXPECT_NE(quiet.find(unit + "\n"), std::string::npos) << quiet;
    EXPECT_EQ(quiet.find(unique("empty")), std::string::npos) << quiet;
    EXPECT_NE(run("list --all --quiet").out.find(unique("empty")), std::string::npos);
    const std::string table = run("list").out;
    EXPECT_EQ(table.rfind("TYPE ", 0), 0U) << table;
    EXPECT_NE(table.find(scratch_.path(unit)), std::string::npos) << table;
}

TEST_F(Names, what_much_depends_on_takes_force)
{
    fill("system.slice/ssh.service");
    for (const char *const below : {"system.slice", "system.slice/ssh.service"}) {
        for (const char *const verb : {"freeze ", "kill "}) {
            const Ran ran = run(verb + scratch_.path(below));
            EXPECT_EQ(ran.status, 1) << below;
            EXPECT_NE(ran.err.find("ssh.service"), std::string::npos) << ran.err;
            EXPECT_NE(ran.err.find("--force"), std::string::npos) << ran.err;
        }
        EXPECT_EQ(run("state " + scratch_.path(below) + " FROZEN").status, 1);
    }
    EXPECT_FALSE(frozen("system.slice"));
    EXPECT_EQ(run("freeze --force " + scratch_.path("system.slice")).status, 0);
    EXPECT_TRUE(frozen("system.slice"));
    EXPECT_EQ(run("thaw " + scratch_.path("system.slice")).status, 0);

    fill("init.scope");
    EXPECT_EQ(run("freeze " + scratch_.path("init.scope")).status, 1);
    EXPECT_EQ(run("state --force " + scratch_.path("init.scope") + " FROZEN").status, 0);
}

// A shell in one cgroup that starts the command in another.
TEST_F(Names, the_session_that_it_was_started_from_takes_force)
{
    scratch_.mkdir("session");
    scratch_.mkdir("away");
    const std::string script = "(echo 0 >" + scratch_.dir("away") + "/cgroup.procs; exec " +
                               test::binary() + " freeze " + scratch_.path("session") + ") 2>&1";
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    scratch_.spawn(
        [&] {
            ::dup2(pipe[1], STDOUT_FILENO);
            ::execl("/bin/sh", "sh", "-c", (script + "; echo $?; :").c_str(), nullptr);
        },
        "session");
    ::close(pipe[1]);
    std::string out;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::read(pipe[0], buffer.data(), buffer.size())) > 0;)
        out.append(buffer.data(), static_cast<size_t>(n));
    ::close(pipe[0]);
    EXPECT_NE(out.find("started from"), std::string::npos) << out;
    EXPECT_TRUE(out.ends_with("\n1\n")) << out;
    EXPECT_EQ(scratch_.read("cgroup.freeze", "session"), "0\n");
}

} // namespace
