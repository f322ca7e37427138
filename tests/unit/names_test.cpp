// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// Which names the paths of cgroups and the files of container runtimes give.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "user/names.h"

namespace
{

using freezer::Match;
using freezer::match;
using freezer::NameKind;

const std::string kId(64, 'a');
const std::string kUid = "0b4a1f3c-98d4-4a3e-9f6c-6d0d2f8f1c11";
const std::string kUidUnderscores = "0b4a1f3c_98d4_4a3e_9f6c_6d0d2f8f1c11";

// "kind runtime id", "" for none.
std::string told(const std::string &path)
{
    const auto name = freezer::name_of(path);
    return name ? std::string(to_string(name->kind)) + " " + name->runtime + " " + name->id : "";
}

TEST(Names, of_paths)
{
    const std::string pods = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" +
                             kUidUnderscores + ".slice";
    const std::vector<std::pair<std::string, std::string>> cases{
        // systemd
        {"/system.slice/nginx.service", "unit systemd nginx.service"},
        {"/system.slice/system-getty.slice/getty@tty1.service", "unit systemd getty@tty1.service"},
        {"/user.slice/user-1000.slice/user@1000.service/app.slice/foot.scope",
         "unit systemd foot.scope"},
        {"/system.slice/_cpu.service", "unit systemd cpu.service"},
        {"/system.slice/dev-disk-by\\x2dlabel-swap.swap",
         "unit systemd dev-disk-by\\x2dlabel-swap.swap"},
        {"/init.scope", "unit systemd init.scope"},
        {"/.service", ""},
        {"/demo", ""},
        // docker
        {"/system.slice/docker-" + kId + ".scope", "container docker " + kId},
        {"/docker/" + kId, "container docker " + kId},
        {"/docker/buildkit", ""},
        {"/system.slice/docker.service", "unit systemd docker.service"},
        // podman
        {"/machine.slice/libpod-" + kId + ".scope", "container podman " + kId},
        {"/libpod_parent/libpod-" + kId, "container podman " + kId},
        {"/machine.slice/libpod-conmon-" + kId + ".scope", ""},
        {"/machine.slice/libpod-" + kId + ".scope/container", ""},
        // Kubernetes
        {pods, "pod kubernetes " + kUid},
        {"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + kUidUnderscores + ".slice",
         "pod kubernetes " + kUid},
        {"/kubepods/besteffort/pod" + kUid, "pod kubernetes " + kUid},
        {"/kubepods/besteffort/pod" + kUid + "/" + kId, "container kubernetes " + kId},
        {pods + "/cri-containerd-" + kId + ".scope", "container containerd " + kId},
        {pods + "/crio-" + kId + ".scope", "container cri-o " + kId},
        {pods + "/crio-conmon-" + kId + ".scope", ""},
        {"/kubepods.slice/kubepods-besteffort.slice", "unit systemd kubepods-besteffort.slice"},
        {"/kubepods/podcast", ""},
        {"/other/pod" + kUid, ""},
        // LXC, Incus
        {"/lxc.payload.web", "container lxc web"},
        {"/lxc.payload.project_web", "container lxc project_web"},
        {"/lxc.monitor.web", ""},
        {"/lxc/web", "container lxc web"},
        // others
        {"/default/" + kId, "container oci " + kId},
        {"/user.slice/crun-web.scope", "container crun web"},
        {"/system.slice/runc-web\\x2d1.scope", "container runc web-1"},
        {"/machine.slice/machine-fedora\\x2d40.scope", "container machine fedora-40"},
        {"/a/" + kId.substr(1), ""},
        {"/a/" + std::string(64, 'G'), ""},
        {"", ""},
        {"/", ""},
    };
    for (const auto &[path, expected] : cases)
        EXPECT_EQ(told(path), expected) << path;
}

TEST(Names, a_container_of_systemd_is_a_unit_as_well)
{
    EXPECT_EQ(freezer::unit_of("/system.slice/docker-" + kId + ".scope"),
              "docker-" + kId + ".scope");
    EXPECT_EQ(freezer::unit_of("/system.slice/_cgroup.service"), "cgroup.service");
    EXPECT_EQ(freezer::unit_of("/docker/" + kId), "");
}

TEST(Names, what_words_mean)
{
    const freezer::CgroupName container{NameKind::kContainer, "docker", kId};
    EXPECT_EQ(match(kId, container, {}), Match::kExact);
    EXPECT_EQ(match("web", container, {"web"}), Match::kExact);
    EXPECT_EQ(match("we", container, {"web"}), Match::kNo); // names are not cut short
    EXPECT_EQ(match("aaaa", container, {}), Match::kPrefix);
    EXPECT_EQ(match("aaa", container, {}), Match::kPrefix);
    EXPECT_EQ(match("aa", container, {}), Match::kNo);
    EXPECT_EQ(match("", container, {""}), Match::kNo);

    const freezer::CgroupName unit{NameKind::kUnit, "systemd", "nginx.service"};
    EXPECT_EQ(match("nginx.service", unit, {}), Match::kExact);
    EXPECT_EQ(match("nginx", unit, {}), Match::kExact);
    EXPECT_EQ(match("ngin", unit, {}), Match::kNo);

    const freezer::CgroupName pod{NameKind::kPod, "kubernetes", kUid};
    EXPECT_EQ(match("kube-system/coredns", pod, {"kube-system/coredns"}), Match::kExact);
    EXPECT_EQ(match("0b4a1f3c", pod, {}), Match::kPrefix);
}

TEST(Names, of_docker)
{
    const auto container =
        freezer::parse_docker_config(R"({"State":{"Pid":7},"ID":"abc","Name":"/web"})");
    ASSERT_TRUE(container);
    EXPECT_EQ(container->id, "abc");
    EXPECT_EQ(container->names, std::vector<std::string>{"web"});
    for (const char *const text : {"", "{", "[]", "7", "{\"ID\":7}", "{\"Name\":\"/web\"}"})
        EXPECT_FALSE(freezer::parse_docker_config(text)) << text;
}

TEST(Names, of_podman)
{
    const auto containers = freezer::parse_podman_containers(
        R"([{"id":"abc","names":["web","other"],"image":"x"},{"id":"def"},{"names":["lost"]},7])");
    ASSERT_EQ(containers.size(), 2U);
    EXPECT_EQ(containers[0].names, (std::vector<std::string>{"web", "other"}));
    EXPECT_TRUE(containers[1].names.empty());
    EXPECT_TRUE(freezer::parse_podman_containers("{\"id\":\"abc\"}").empty());
    EXPECT_TRUE(freezer::parse_podman_containers("[").empty());
}

TEST(Names, of_crun_and_runc)
{
    const auto crun = freezer::parse_crun_status("web", R"({"pid":7,"cgroup-path":"/a/b"})");
    ASSERT_TRUE(crun);
    EXPECT_EQ(crun->id, "web");
    EXPECT_EQ(crun->cgroup, "/a/b");
    EXPECT_FALSE(freezer::parse_crun_status("web", "nothing"));
    EXPECT_EQ(freezer::parse_crun_status("web", "{\"cgroup-path\":null}")->cgroup, "");

    const auto v2 =
        freezer::parse_runc_state(R"({"id":"web","cgroup_paths":{"":"/sys/fs/cgroup/web"}})");
    ASSERT_TRUE(v2);
    EXPECT_EQ(v2->cgroup, "/sys/fs/cgroup/web");
    const auto v1 = freezer::parse_runc_state(
        R"({"id":"web","cgroup_paths":{"cpu":"/c/web","freezer":"/sys/fs/cgroup/freezer/web"}})");
    EXPECT_EQ(v1->cgroup, "/sys/fs/cgroup/freezer/web");
    EXPECT_FALSE(freezer::parse_runc_state("{}"));
}

TEST(Names, of_pods)
{
    const auto pod = freezer::parse_pod_directory("kube-system_coredns-5d78c9869d-abcde_" + kUid);
    ASSERT_TRUE(pod);
    EXPECT_EQ(pod->uid, kUid);
    EXPECT_EQ(pod->name, "kube-system/coredns-5d78c9869d-abcde");
    const auto fixed =
        freezer::parse_pod_directory("kube-system_etcd-node_" + std::string(32, '7'));
    ASSERT_TRUE(fixed);
    EXPECT_FALSE(freezer::parse_pod_directory("a_b"));
    EXPECT_FALSE(freezer::parse_pod_directory("a_b_c"));
    EXPECT_FALSE(freezer::parse_pod_directory(""));
}

} // namespace
