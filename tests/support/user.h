// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// An ordinary user, and what is delegated to one.
#ifndef FREEZERCTL_TESTS_USER_H
#define FREEZERCTL_TESTS_USER_H

#include <sys/types.h>

#include <string>

#include "tests/support/scratch.h"

namespace test
{

constexpr uid_t kNobody = 65534;

// The calling process is this user from now on, with the group of that number and no other. False
// with errno set when it fails.
bool become(uid_t uid);

// Makes kNobody the owner, as a delegation by systemd does it: of the cgroup and of the files by
// which processes are moved and children get controllers.
void delegate(const Scratch &scratch, const std::string &below);

// Makes kNobody the owner of one file or directory.
void give(const std::string &path);

} // namespace test

#endif
