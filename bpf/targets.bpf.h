/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Which cgroups are watched, and whether a task or a cgroup lies in one of them.
 *
 * A target matches its whole subtree. Walking a task's ancestors up to the root would cost its
 * depth for every test; instead the library names the few depths at which targets lie, and only the
 * ancestors there are looked up: one lookup when one cgroup is watched, or ten thousand siblings.
 * Targets may be nested, so a task can lie in several.
 */
#ifndef FREEZERCTL_TARGETS_BPF_H
#define FREEZERCTL_TARGETS_BPF_H

#include "bpf/compat.bpf.h"

/*
 * Whether targets may be in the v1 freezer's hierarchy. Set before loading: the verifier then leaves
 * out what is for them alone.
 */
const volatile bool fz_watch_v1 = false;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fz_config);
} fz_config SEC(".maps");

/* Cgroup to slot. The library sets the sizes of this and the maps by slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct fz_cgroup_key);
	__type(value, __u32);
} fz_target_index SEC(".maps");

static __always_inline const struct fz_config *fz_get_config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fz_config, &zero);
}

static __always_inline __u32 *fz_target_at(__u64 cgroup_id, __u32 hierarchy)
{
	struct fz_cgroup_key key = {.id = cgroup_id, .hierarchy = hierarchy};

	return bpf_map_lookup_elem(&fz_target_index, &key);
}

/* The slot of the target that this very cgroup is, or NULL. Any hierarchy's cgroup may be asked. */
static __always_inline __u32 *fz_target_of_cgroup(const struct cgroup *cgrp)
{
	return fz_target_at(BPF_CORE_READ(cgrp, kn, id), BPF_CORE_READ(cgrp, root, hierarchy_id));
}

/*
 * One more than the slot of the target that holds the cgroup at the i-th watched depth, or 0.
 *
 * A global function, with numbers for arguments, because the kernel then verifies it once and not
 * anew for every round of every loop: the difference is 150 ms of loading.
 */
__attribute__((noinline)) __u32 fz_target_above(__u64 cgroup, __u32 cgroup_level, __u32 i,
						   __u32 hierarchy)
{
	const struct cgroup *cgrp = (const struct cgroup *)cgroup;
	const struct fz_config *config = fz_get_config();

	if (!config || i >= FZ_LEVELS_MAX)
		return 0;

	__u32 level = config->levels[i];

	if (level > cgroup_level)
		return 0;

	__u32 *slot = fz_target_at(fz_cgroup_ancestor_id(cgrp, level), hierarchy);

	return slot ? *slot + 1 : 0;
}

/*
 * Runs the body once for each target that holds the cgroup `cgrp` of that hierarchy; `slot` is its
 * number. A macro because a BPF callback would need 5.13 (bpf_for_each_map_elem) and hide the body.
 * Keep the body to one call of a global function, for the reason above.
 */
#define fz_for_each_target_slot(slot, cgrp, cgrp_level, level_count, hierarchy)                    \
	for (__u32 fz_i = 0, slot; fz_i < FZ_LEVELS_MAX && fz_i < (level_count); fz_i++)           \
		if ((slot = fz_target_above((__u64)(cgrp), cgrp_level, fz_i, hierarchy)) &&        \
		    (slot--, true))

/* How many depths are watched: 0 when there is no target at all. */
static __always_inline __u32 fz_level_count(void)
{
	const struct fz_config *config = fz_get_config();

	return config ? config->level_count : 0;
}

/* Whether a target holds the cgroup, an address. Global: see fz_target_above(). */
__attribute__((noinline)) __u32 fz_is_watched(__u64 cgroup, __u32 level, __u32 hierarchy)
{
	__u32 level_count = fz_level_count();

	fz_for_each_target_slot(slot, cgroup, level, level_count, hierarchy)
		return 1;
	return 0;
}

/*
 * A pointer as a number, for the arguments of a global function: those take no pointers into the
 * kernel, and the verifier lets none be cast.
 */
static __always_inline __u64 fz_address(const void *pointer)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

/* A cgroup that a task is in, with what matching it takes. `cgrp` is NULL: not to be matched. */
struct fz_place {
	struct cgroup *cgrp;
	__u64 id;
	__u32 level;
	__u32 hierarchy;
};

static __always_inline void fz_place_in(struct fz_place *place, struct cgroup *cgrp, __u32 hierarchy)
{
	place->cgrp = cgrp;
	place->level = BPF_CORE_READ(cgrp, level);
	place->id = BPF_CORE_READ(cgrp, kn, id);
	place->hierarchy = hierarchy;
}

static __always_inline void fz_place_at(struct fz_place *place, struct cgroup *cgrp)
{
	fz_place_in(place, cgrp, BPF_CORE_READ(cgrp, root, hierarchy_id));
}

static __always_inline struct cgroup *fz_v2_cgroup(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

/*
 * In the v1 freezer's hierarchy, NULL where no target can be there: nobody else shall pay for the
 * search, nor for having it verified.
 */
static __always_inline struct cgroup *fz_v1_cgroup(struct task_struct *task)
{
	return fz_watch_v1 ? fz_v1_cgroup_of(BPF_CORE_READ(task, cgroups)) : NULL;
}

static __always_inline void fz_place_v2(struct fz_place *place, struct task_struct *task)
{
	fz_place_in(place, fz_v2_cgroup(task), 0);
}

static __always_inline void fz_place_v1(struct fz_place *place, struct task_struct *task)
{
	struct cgroup *cgrp = fz_v1_cgroup(task);

	place->cgrp = NULL;
	if (cgrp)
		fz_place_at(place, cgrp);
}

/* Whether a target holds the cgroup of a task. */
static __always_inline bool fz_holds(const struct fz_place *place)
{
	return place->cgrp &&
	       fz_is_watched(fz_address(place->cgrp), place->level, place->hierarchy);
}

#endif
