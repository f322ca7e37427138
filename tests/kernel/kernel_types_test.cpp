// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// vmlinux/vmlinux.h declares a few members of a few types of the kernel. Where each lies is found
// out when a program is loaded, but a number is read with the size that is declared: a kernel that
// made it smaller would have its neighbours read along, without a word.

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "stacks.skel.h"
#include "tasks.skel.h"
#include "trace.skel.h"
#include "tracker.skel.h"

namespace
{

using Btf = std::unique_ptr<btf, decltype(&btf__free)>;

// Read with the size that the kernel's types name (bpf/compat.bpf.h).
const std::set<std::string> read_by_any_size = {"task_struct.on_cpu", "task_struct.on_rq"};

uint32_t without_qualifiers(const btf *types, uint32_t id)
{
    const btf_type *type = btf__type_by_id(types, id);
    while (btf_is_mod(type) || btf_is_typedef(type)) {
        id = type->type;
        type = btf__type_by_id(types, id);
    }
    return id;
}

bool is_number(const btf *types, uint32_t id)
{
    const btf_type *type = btf__type_by_id(types, without_qualifiers(types, id));
    return btf_is_int(type) || btf_is_any_enum(type);
}

struct Member {
    uint32_t type = 0; // 0: there is none of this name
    bool is_bit_field = false;
};

// A member by its name, in structs and unions without one as well.
Member find_member(const btf *types, uint32_t id, std::string_view name)
{
    const btf_type *type = btf__type_by_id(types, id);
    for (uint32_t i = 0; i < btf_vlen(type); ++i) {
        const btf_member &member = btf_members(type)[i];
        const std::string_view found = btf__name_by_offset(types, member.name_off);
        if (found == name)
            return {member.type, btf_member_bitfield_size(type, i) != 0};
        const uint32_t inner = without_qualifiers(types, member.type);
        if (!found.empty() || !btf_is_composite(btf__type_by_id(types, inner)))
            continue;
        if (const Member in = find_member(types, inner, name); in.type != 0)
            return in;
    }
    return {};
}

// Compares every number of a program's types with the kernel's; returns how many there were.
int compare(const btf *ours, const btf *kernels)
{
    int compared = 0;
    for (uint32_t id = 1; id < btf__type_cnt(ours); ++id) {
        const btf_type *type = btf__type_by_id(ours, id);
        if (!btf_is_struct(type))
            continue;
        std::string name = btf__name_by_offset(ours, type->name_off);
        name.resize(std::min(name.size(), name.find("___"))); // one of several variants
        const int kernel_id =
            name.empty() ? 0 : btf__find_by_name_kind(kernels, name.c_str(), BTF_KIND_STRUCT);
        if (kernel_id <= 0)
            continue;
        for (uint32_t i = 0; i < btf_vlen(type); ++i) {
            const btf_member &member = btf_members(type)[i];
            const std::string member_name = btf__name_by_offset(ours, member.name_off);
            const Member theirs = find_member(kernels, kernel_id, member_name);
            if (theirs.type == 0 || btf_member_bitfield_size(type, i) != 0 ||
                !is_number(ours, member.type))
                continue;
            std::string full_name = name;
            full_name.append(".").append(member_name);
            if (read_by_any_size.contains(full_name))
                continue;
            EXPECT_FALSE(theirs.is_bit_field) << full_name;
            EXPECT_TRUE(is_number(kernels, theirs.type)) << full_name;
            EXPECT_EQ(btf__resolve_size(kernels, theirs.type), btf__resolve_size(ours, member.type))
                << full_name;
            ++compared;
        }
    }
    return compared;
}

// What a skeleton's programs declare.
template <typename Skeleton> int compare_skeleton(const btf *kernels)
{
    const std::unique_ptr<Skeleton, decltype(&Skeleton::destroy)> skeleton(Skeleton::open(),
                                                                           &Skeleton::destroy);
    if (skeleton == nullptr) {
        ADD_FAILURE() << "open";
        return 0;
    }
    return compare(bpf_object__btf(skeleton->obj), kernels);
}

TEST(KernelTypes, numbers_have_the_size_that_is_declared)
{
    const Btf kernels(btf__load_vmlinux_btf(), &btf__free);
    if (kernels == nullptr)
        GTEST_SKIP() << "this kernel has no BTF";
    EXPECT_GT(compare_skeleton<tracker_bpf>(kernels.get()), 5);
    EXPECT_GT(compare_skeleton<tasks_bpf>(kernels.get()), 5);
    EXPECT_GT(compare_skeleton<stacks_bpf>(kernels.get()), 5);
    EXPECT_GT(compare_skeleton<trace_bpf>(kernels.get()), 5);
}

} // namespace
