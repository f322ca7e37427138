# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
#
# One makefile for everything. Objects go to $(O); "make help" lists the targets, "V=1" shows commands.
# For another architecture: ARCH, CROSS_COMPILE, SYSROOT, and BPFTOOL where the system's one is too old
# for it.

O             ?= build
PREFIX        ?= /usr/local
VERSION       := 0.1.0
REVISION      := $(shell git describe --always --dirty --abbrev=12 2>/dev/null)
NPROC         := $(shell nproc)
DESTDIR       ?=
ARCH          ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)
CROSS_COMPILE ?=
CXX            = $(CROSS_COMPILE)g++
CLANG         ?= clang
BPFTOOL       ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG_CONFIG    ?= pkg-config
GTEST_SRC     ?=
SYSROOT       ?=

ifeq ($(V),1)
Q   =
msg =
else
Q   = @
msg = @printf '  %-8s %s\n' $(1) $(2);
endif

# ---- flags ---------------------------------------------------------------------------------------

WARNINGS  = -Wall -Wextra
# A command that runs for two milliseconds spends them on page faults: small code is fast code here.
CXXFLAGS ?= -Os -g
# Tests are compiled more often than they run.
TEST_CXXFLAGS ?= -O0
# A sysroot's headers stand in for the system's; its own C library is the cross compiler's.
sysroot_include = $(if $(SYSROOT),-isystem $(SYSROOT)/usr/include)
sysroot_lib     = $(if $(SYSROOT),-L$(firstword $(wildcard $(SYSROOT)/usr/lib/*-linux-gnu*)))
# -MD, not -MMD: the skeletons count as system headers, so that no checker looks into them.
DEFINES      = -DFREEZERCTL_VERSION='"$(VERSION)"'
ALL_CXXFLAGS = -std=c++20 $(CXXFLAGS) -ffunction-sections $(WARNINGS) $(DEFINES) \
	       -I. -isystem $(O) $(sysroot_include) -MD -MP
BPF_ENDIAN   = $(if $(filter s390x,$(ARCH)),bpfeb,bpfel)
BPF_FLAGS    = -O2 -g -target $(BPF_ENDIAN) -mcpu=v3 $(WARNINGS) -Wno-unused-parameter \
	       -I. $(sysroot_include) -MMD -MP
LIBS = $(sysroot_lib) -lbpf -lelf -lz $(EXTRA_LIBS)
# The command starts in half the time when nothing has to be mapped and relocated first, and the test
# programs run as they are in the machines of "make vm". Where there are no static libraries:
# make PROGRAM_LDFLAGS=. What ld would warn of, libfuse and gtest never call here (dlopen, getaddrinfo).
PROGRAM_LDFLAGS ?= -static -Wl,--gc-sections -Wl,--no-warnings
# Of the command, not the library: the live view, and the mount.
TUI_LIBS   = $(sysroot_lib) -lncursesw -ltinfo
FUSE_LIBS  = $(sysroot_lib) -lfuse3 -lpthread
GTEST_LIBS = $(if $(GTEST_SRC),$(O)/gtest/libgtest.a,-lgtest -lgtest_main) -lpthread
# What the tests need besides: a FUSE file system that hangs.
TEST_LIBS  = -lfuse3
GTEST_INC  = $(if $(GTEST_SRC),-I$(GTEST_SRC)/googletest/include)

# ---- files ---------------------------------------------------------------------------------------

BPF_PROGRAMS = tracker tasks stacks trace
SKELETONS    = $(BPF_PROGRAMS:%=$(O)/%.skel.h) $(O)/bpf_id.h
LIB_OBJS     = $(patsubst %.cpp,$(O)/%.o,$(wildcard user/*.cpp))
CMD_OBJS     = $(patsubst %.cpp,$(O)/%.o,$(wildcard tools/freezerctl/*.cpp))
CMD_LIB_OBJS = $(filter-out %/main.o,$(CMD_OBJS))
TESTS        = unit kernel cli
test_objs    = $(patsubst %.cpp,$(O)/%.o,$(wildcard tests/$(1)/*.cpp))
SUPPORT_OBJS = $(call test_objs,support)
PROGRAMS     = $(O)/freezerctl $(O)/demo_workload
TEST_BINS    = $(TESTS:%=$(O)/%_tests)

.PHONY: all everything demo test bench bench-trace bench-attached bench-why fuzz install clean deps help lint asan man vm vm-all vm-payload FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS)  ## the command (the default)

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

# ---- what the machine needs ----------------------------------------------------------------------

deps:  ## install what the build and the tests need, from Debian's packages
	$(Q)tools/install-deps.sh

everything: $(PROGRAMS) $(TEST_BINS)  ## the command and all tests

demo: deps  ## freeze, show, thaw and kill real tasks in a scratch cgroup
	$(Q)$(MAKE) --no-print-directory -j$(NPROC) all
	$(Q)tools/demo.sh $(O)

test: deps  ## build and run every test
	$(Q)$(MAKE) --no-print-directory -j$(NPROC) everything
	$(Q)tests/run.sh $(O)

# ---- build ---------------------------------------------------------------------------------------

# Rebuilds what was built with other flags.
$(O)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(subst ','\'',$(CXX) $(ALL_CXXFLAGS) $(BPF_FLAGS) $(LDFLAGS) $(LIBS))' > $@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(O)/%.bpf.o: bpf/%.bpf.c $(O)/flags
	$(call msg,BPF,$@)$(CLANG) $(BPF_FLAGS) -c $< -o $@

$(O)/%.skel.h: $(O)/%.bpf.o
	$(call msg,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# Tells one build's attached programs from another's.
$(O)/bpf_id.h: $(O)/tracker.bpf.o $(O)/tasks.bpf.o
	$(call msg,ID,$@)printf '#define FREEZERCTL_BPF_ID "%.16s"\n' "$$(cat $^ | sha256sum)" > $@

# A file of its own, so that a commit rebuilds only what tells it.
$(O)/revision.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '#define FREEZERCTL_REVISION "$(REVISION)"' > $@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Depfiles name the skeletons from the second build on; the first must make them before.
$(O)/%.o: %.cpp $(O)/flags | $(SKELETONS) $(O)/revision.h
	$(Q)mkdir -p $(@D)
	$(call msg,CXX,$@)$(CXX) $(ALL_CXXFLAGS) $(if $(filter $(O)/tests/%,$@),$(TEST_CXXFLAGS)) \
		$(GTEST_INC) -c $< -o $@

$(O)/libfreezer.a: $(LIB_OBJS)
	$(call msg,AR,$@)rm -f $@ && $(CROSS_COMPILE)ar rcs $@ $^

$(O)/freezerctl: $(CMD_OBJS) $(O)/libfreezer.a
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) $(PROGRAM_LDFLAGS) $^ $(LIBS) $(TUI_LIBS) $(FUSE_LIBS) -o $@

$(O)/demo_workload: $(O)/tools/demo/workload.o
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) $^ -lpthread -o $@

# All of tools/bench/ but the other three programs.
FREEZE_BENCH_OBJS = $(filter-out %/trace_bench.o %/why_bench.o %/poller.o,$(patsubst %.cpp,$(O)/%.o,$(wildcard tools/bench/*.cpp)))
$(O)/freeze_bench: $(FREEZE_BENCH_OBJS) $(O)/tests/support/scratch.o $(O)/libfreezer.a | $(O)/poller
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) $^ $(LIBS) -lpthread -o $@

$(O)/poller: $(O)/tools/bench/poller.o
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) $(PROGRAM_LDFLAGS) $^ -o $@

$(O)/why_bench: $(O)/tools/bench/why_bench.o $(O)/tests/support/scratch.o $(O)/libfreezer.a
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) $^ $(LIBS) -o $@

$(O)/trace_bench: $(O)/tools/bench/trace_bench.o $(O)/libfreezer.a
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) $^ $(LIBS) -o $@

# Only with CXX=clang++ and the flags of "make fuzz".
FUZZ_CMD_OBJS = record_file trace_json trace_text trace_summary perfetto picture text why_text
$(O)/recording_fuzz: $(O)/tests/fuzz/recording_fuzz.o $(FUZZ_CMD_OBJS:%=$(O)/tools/freezerctl/%.o) \
		$(O)/libfreezer.a
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) -fsanitize=fuzzer $^ $(LIBS) -o $@

$(O)/gtest/libgtest.a: $(O)/flags
	$(Q)mkdir -p $(@D)
	$(call msg,CXX,$@)for f in gtest-all gtest_main; do \
		$(CXX) -std=c++20 -O1 -I$(GTEST_SRC)/googletest/include -I$(GTEST_SRC)/googletest \
			-c $(GTEST_SRC)/googletest/src/$$f.cc -o $(@D)/$$f.o || exit 1; done && \
		$(CROSS_COMPILE)ar rcs $@ $(@D)/gtest-all.o $(@D)/gtest_main.o

$(O)/unit_tests: $(call test_objs,unit) $(CMD_LIB_OBJS) $(O)/libfreezer.a
$(O)/kernel_tests: $(call test_objs,kernel) $(SUPPORT_OBJS) $(O)/libfreezer.a
$(O)/cli_tests: $(call test_objs,cli) $(SUPPORT_OBJS) $(O)/libfreezer.a
$(TEST_BINS): $(if $(GTEST_SRC),$(O)/gtest/libgtest.a)
	$(call msg,LINK,$@)$(CXX) $(LDFLAGS) $(PROGRAM_LDFLAGS) $(filter %.o %/libfreezer.a,$^) $(GTEST_LIBS) \
		$(TEST_LIBS) $(LIBS) $(if $(filter %/unit_tests,$@),$(TUI_LIBS)) -o $@

# BENCH_FLAGS: see build/freeze_bench --help.
BENCH_FLAGS ?=
bench: deps  ## freezerctl against crun, runc and the raw kernel path (needs root); BENCH_FLAGS=--quick
	$(Q)tools/install-packages.sh runc crun busybox-static
	$(Q)$(MAKE) --no-print-directory -j$(NPROC) $(O)/freeze_bench $(O)/freezerctl
	$(Q)$(O)/freeze_bench $(BENCH_FLAGS)

bench-trace: $(O)/trace_bench  ## what tracing costs where nothing freezes (needs root)
	$(Q)$(O)/trace_bench

bench-attached: $(O)/trace_bench  ## what an attached tracker costs where nothing freezes (needs root)
	$(Q)$(O)/trace_bench --attached

bench-why: $(O)/why_bench  ## how long it takes to explain 10,000 tasks (needs root)
	$(Q)$(O)/why_bench

# KERNELS: an expression that selects lines of tests/vm/kernels.tsv; VM_FLAGS: see tests/vm/run.py --help.
KERNELS  ?=
VM_FLAGS ?=
vm_run    = tests/vm/run.py --programs $(O) --out $(O)/vm $(if $(KERNELS),--kernels '$(KERNELS)') $(VM_FLAGS)

vm: deps  ## the tests on a few other kernels, under QEMU; KERNELS='regex' selects
	$(Q)tests/vm/install-deps.sh base
	$(Q)tests/vm/install-deps.sh $$($(vm_run) --tier 1 --list-architectures)
	$(Q)tests/vm/runner_test.py --quiet
	$(Q)$(MAKE) --no-print-directory -j$(NPROC) vm-payload
	$(Q)$(vm_run) --tier 1

vm-all: deps  ## the tests on every kernel of tests/vm/kernels.tsv, and the table in docs/
	$(Q)tests/vm/install-deps.sh
	$(Q)$(MAKE) --no-print-directory -j$(NPROC) vm-payload
	$(Q)status=0; $(vm_run) --tier 2 || status=$$?; \
		tests/vm/support_table.py $(O)/vm/results.json docs/kernel-support.md && exit $$status

vm-payload: $(O)/freezerctl $(TEST_BINS)  ## what a test machine of another kernel runs

-include $(LIB_OBJS:.o=.d) $(CMD_OBJS:.o=.d) $(SUPPORT_OBJS:.o=.d)
-include $(foreach t,$(TESTS),$(patsubst %.o,%.d,$(call test_objs,$(t))))
-include $(BPF_PROGRAMS:%=$(O)/%.bpf.d) $(O)/tools/demo/workload.d $(wildcard $(O)/tools/bench/*.d $(O)/tests/fuzz/*.d)

# ---- checks --------------------------------------------------------------------------------------

CXX_SOURCES = $(wildcard user/*.cpp tools/*/*.cpp tests/*/*.cpp)
CXX_HEADERS = $(wildcard user/*.h tools/*/*.h tests/*/*.h)

# One stamp for each file: what has not changed since it was found clean is not looked at again.
LINT_STAMPS = $(CXX_SOURCES:%.cpp=$(O)/lint/%.ok)

lint: $(LINT_STAMPS)  ## clang-format and clang-tidy, findings are errors
	$(Q)clang-format --dry-run --Werror $(CXX_SOURCES) $(CXX_HEADERS)

# The object stands for the headers: it is made anew when one of them changes.
$(O)/lint/%.ok: %.cpp $(O)/%.o .clang-tidy user/.clang-tidy tests/.clang-tidy
	$(Q)mkdir -p $(@D)
	$(call msg,TIDY,$<)clang-tidy --quiet --warnings-as-errors='*' $< -- \
		-std=c++20 -I. -isystem $(O) $(WARNINGS) $(DEFINES) 2>$@.log || { cat $@.log; exit 1; }; \
		rm -f $@.log; touch $@

asan:  ## the unit tests under AddressSanitizer and UBSan
	$(Q)$(MAKE) --no-print-directory O=$(O)/asan $(O)/asan/unit_tests \
		CXXFLAGS='-O0 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all' \
		LDFLAGS='-fsanitize=address,undefined' PROGRAM_LDFLAGS=
	$(Q)$(O)/asan/unit_tests

# Not one of the packages of "make deps": the run-time of clang's fuzzer.
FUZZ_SECONDS ?= 60
fuzz:  ## fuzz the reader of recordings and its views for a minute; FUZZ_SECONDS=N
	$(Q)tools/install-packages.sh libclang-rt-dev
	$(Q)$(MAKE) --no-print-directory -j$(NPROC) O=$(O)/fuzz $(O)/fuzz/recording_fuzz CXX=clang++ \
		CXXFLAGS='-O1 -g1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' \
		LDFLAGS='-fsanitize=address,undefined'
	$(Q)tests/fuzz/run.sh $(O)/fuzz/recording_fuzz $(O)/fuzz/corpus $(FUZZ_SECONDS)

# ---- install -------------------------------------------------------------------------------------

MAN_PAGES = $(patsubst docs/%.md,$(O)/man/%.1,$(wildcard docs/freezerctl*.md))

man: $(MAN_PAGES)  ## the manual pages, from docs/

# The page's own title and the marks of a web page go; the names of other pages stay.
$(O)/man/%.1: docs/%.md
	$(Q)mkdir -p $(@D)
	$(call msg,MAN,$@)sed -e '/^<!--/d' -e '/^# /d' -e 's/^## /# /' -e 's/\[\([^]]*\)\]([^)]*)/\1/g' $< | \
		lowdown -s -Tman -M title=$* -M section=1 -M source=freezerctl -o $@

# Below share/, where each shell looks.
COMPLETIONS = bash-completion/completions/freezerctl zsh/site-functions/_freezerctl \
	      fish/vendor_completions.d/freezerctl.fish
shell_of    = $(firstword $(subst /, ,$(subst -completion,,$(1))))

install: $(O)/freezerctl man  ## the command and its manual, to $(DESTDIR)$(PREFIX)
	install -D -m 0755 $(O)/freezerctl $(DESTDIR)$(PREFIX)/bin/freezerctl
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0644 $(MAN_PAGES) $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,$(dir $(COMPLETIONS)))
	$(foreach c,$(COMPLETIONS),$(O)/freezerctl completion $(call shell_of,$(c)) > $(DESTDIR)$(PREFIX)/share/$(c) &&) :
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in attach mount; do \
		sed 's|@PREFIX@|$(PREFIX)|' tools/freezerctl/freezerctl-$$unit.service \
			> $(DESTDIR)$(PREFIX)/lib/systemd/system/freezerctl-$$unit.service || exit 1; done

clean:  ## remove what was built
	rm -rf $(O)
