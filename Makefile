# Keel. One non-recursive Makefile; whatever is made goes below build/.
#
#   make                    build/keel.elf (two-pass link: the second with the symbol table of the first)
#   make iso                build/keel.iso: Keel, a stock Debian kernel and a small initramfs
#   make run [BACKEND=B]    the demo, iso/demo.conf, on the best back end of this machine, its console in this terminal
#            [CONF=FILE]    the VMs of another keel.conf; CORES=N and MEMORY=MIB are the machine's
#   make test               everything below, ends with "N passed, N failed"
#   make test-unit [K=X]    unit tests on the host under ASan and UBSan
#   make test-setup [K=EXPR]   what the set-up scripts say when a download fails; what judges the tests
#   make test-system [BACKEND=B] [K=EXPR]
#   make soak [SECONDS=N] [SEED=N] [BACKEND=B]      the long forms of the tests that take minutes
#   make fuzz [T=SECONDS] [STEPS=N] [K=NAME] [SEED=N]
#   make check              format, layers, headers, static analysis
#   make bench              the cost table

VERSION := 0.1.0
IMAGE_LIMIT := 524288

# Pure files: no asm, no hidden globals. They build unchanged for the host (unit tests, fuzzers, tools).
# Listed are the exceptions; a row for a file that isn't there does no harm.

# in core/lib/ and mm/ all files are pure but these:
IMPURE := \
	core/lib/mem.c \
	mm/hostmap.c \

# in core/ none is pure but these:
PURE_CORE := \
	core/bus.c \
	core/console.c \
	core/console_ring.c \
	core/console_sinks.c \
	core/access.c \
	core/cpuid.c \
	core/cpuid_features.c \
	core/cpuid_ready.c \
	core/event.c \
	core/exit_cr.c \
	core/exit_io.c \
	core/exit_task.c \
	core/fetch.c \
	core/vcpu.c \
	core/emulate.c \
	core/lineedit.c \
	core/monitor.c \
	core/monitor_table.c \
	core/msr.c \
	core/pv_call.c \
	core/pv_hyperv.c \
	core/pv_kvm.c \
	core/pv_synic.c \
	core/sched.c \
	core/site.c \
	core/stats.c \
	core/timer.c \
	core/trace_ring.c \
	core/vapic.c \
	core/vmballoon.c \

# elsewhere: these, and all of core/emul/, drivers/virt/ and guests/
PURE_OTHER := \
	boot/multiboot2.c \
	boot/options.c \
	core/x86/caps.c \
	core/x86/fpu_area.c \
	$(wildcard drivers/hw/acpi*.c) \
	$(addprefix svm/,check.c controls.c cr8.c events.c length.c limits.c movcr.c names.c nmi.c page.c probe.c quick.c shadow.c state.c step.c \
		virq.c) \
	$(addprefix vmx/,check.c check_controls.c check_guest.c check_host.c check_segments.c controls.c names.c) \
	drivers/hw/calibrate.c \
	drivers/hw/font.c \
	drivers/hw/raster.c \
	drivers/hw/terminal.c \

PYTHON := /usr/bin/python3
CC := gcc
CLANG := clang
NASM := nasm
LD := ld
IASL := iasl
BACKEND ?=
CONF ?=
CORES ?=
MEMORY ?=
K ?=
T ?=
TOTAL ?=
SEED ?=

# V=1 shows whole commands; otherwise one short line each.
V ?=
quiet = $(if $(V),,@printf '  %-5s %s\n' $(1) $@;)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# The hypervisor ------------------------------------------------------------------------------------------------

SOURCES_C := $(sort $(wildcard boot/*.c core/lib/*.c core/x86/*.c core/*.c core/emul/*.c mm/*.c vmx/*.c svm/*.c \
	drivers/hw/*.c drivers/virt/*.c guests/*.c))
SOURCES_ASM := $(sort $(wildcard boot/*.asm core/x86/*.asm vmx/*.asm svm/*.asm guests/*.asm))
OBJECTS := $(SOURCES_C:%.c=build/hv/%.o) $(SOURCES_ASM:%.asm=build/hv/%.asm.o)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wpointer-arith \
	-Wwrite-strings
CPPFLAGS := -I. -DKEEL_VERSION='"$(VERSION)"'
CFLAGS := -std=gnu11 -m64 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	-mno-sse -mno-mmx -mpreferred-stack-boundary=3 -fno-stack-protector -fcf-protection=none -fno-omit-frame-pointer \
	-fno-strict-aliasing -fno-asynchronous-unwind-tables -ffile-prefix-map=$(CURDIR)=. $(WARNINGS)
NASMFLAGS := -f elf64 -Werror -I. -Ibuild/
LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none --fatal-warnings -T linker.ld

# What a guest has done on a device only seldom is small rather than fast.
SELDOM := $(addprefix core/emul/,exec_bits.c exec_count.c exec_exchange.c exec_far.c exec_frame.c exec_muldiv.c exec_return.c \
	exec_rights.c exec_segment.c exec_vector.c exec_vex.c gate.c interrupt.c kind.c segment.c task.c)
$(SELDOM:%.c=build/hv/%.o): CFLAGS += -Os

.PHONY: all
all: build/keel.elf build/keelconf

build/hv/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

build/hv/%.asm.o: %.asm Makefile
	@mkdir -p $(@D)
	$(call quiet,NASM)$(NASM) $(NASMFLAGS) -MD $(@:.o=.d) -o $@ $<

build/dsdt.aml: guests/dsdt.asl
	@mkdir -p $(@D)
	$(call quiet,IASL)$(IASL) -we -p build/dsdt $< >build/dsdt.log 2>&1 || { cat build/dsdt.log; false; }

build/hv/guests/dsdt.asm.o: build/dsdt.aml

build/symbols.pass1.asm: boot/symbols
	@mkdir -p $(@D)
	@boot/symbols --empty >$@

build/symbols.asm: build/keel.pass1.elf boot/symbols
	@boot/symbols build/keel.pass1.elf >$@

build/symbols.o build/symbols.pass1.o: build/%.o: build/%.asm
	$(call quiet,NASM)$(NASM) $(NASMFLAGS) -o $@ $<

build/keel.pass1.elf: $(OBJECTS) build/symbols.pass1.o linker.ld
	$(call quiet,LD)$(LD) $(LDFLAGS) -o $@ $(OBJECTS) build/symbols.pass1.o

build/keel.elf: $(OBJECTS) build/symbols.o linker.ld
	$(call quiet,LD)$(LD) $(LDFLAGS) -Map build/keel.map -o $@ $(OBJECTS) build/symbols.o
	@size $@ | awk 'NR == 2 { n = $$1 + $$2; \
		printf "keel.elf: text + rodata + data = %d bytes of %d\n", n, $(IMAGE_LIMIT); exit n > $(IMAGE_LIMIT) }'

-include $(OBJECTS:.o=.d)

# Small guests of our own: build/payload/*.bz
-include $(wildcard guests/payload/payload.mk)

# The host's side: unit tests and fuzzers -------------------------------------------------------------------------

PURE := $(sort $(filter-out $(IMPURE),$(wildcard core/lib/*.c core/emul/*.c drivers/virt/*.c guests/*.c mm/*.c \
	$(PURE_CORE) $(PURE_OTHER))))
HOST_CPPFLAGS := $(CPPFLAGS)
HOST_CFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -fno-sanitize-recover=all $(WARNINGS)
UNIT_CFLAGS := $(HOST_CFLAGS) -fsanitize=address,undefined
FUZZ_CFLAGS := $(HOST_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined
TEST_CFLAGS := -Wno-missing-prototypes
UNIT_TESTS := $(patsubst tests/unit/%.c,build/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
SUPPORT := $(wildcard tests/unit/support.c)

build/unit/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(HOST_CPPFLAGS) $(UNIT_CFLAGS) $(if $(filter tests/%,$<),$(TEST_CFLAGS)) -MMD -MP -c $< -o $@

build/unit/pure.a: $(PURE:%.c=build/unit/obj/%.o)
	@rm -f $@
	$(call quiet,AR)ar rcsD $@ $^

build/unit/test_%: build/unit/obj/tests/unit/test_%.o $(SUPPORT:%.c=build/unit/obj/%.o) build/unit/pure.a
	$(call quiet,CC)$(CC) $(UNIT_CFLAGS) $^ -lcmocka -lcapstone -o $@

build/unit/test_guest_acpi: | build/dsdt.aml

build/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call quiet,CLANG)$(CLANG) $(HOST_CPPFLAGS) $(FUZZ_CFLAGS) $(if $(filter tests/%,$<),$(TEST_CFLAGS)) -MMD -MP -c $< -o $@

build/fuzz/pure.a: $(PURE:%.c=build/fuzz/obj/%.o)
	@rm -f $@
	$(call quiet,AR)ar rcsD $@ $^

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o $(SUPPORT:%.c=build/fuzz/obj/%.o) build/fuzz/pure.a
	$(call quiet,CLANG)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer $^ -lcapstone -o $@

# What iso/mkiso asks about a keel.conf: the hypervisor's own parser.
KEELCONF := iso/keelconf.c core/cpuid_features.c core/x86/caps.c guests/option.c $(sort $(wildcard guests/config*.c)) \
	$(addprefix core/lib/,format.c lock.c log.c string.c)

build/keelconf: $(KEELCONF:%.c=build/host/%.o)
	$(call quiet,CC)$(CC) $^ -o $@

build/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(HOST_CPPFLAGS) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

.SECONDARY:
-include $(KEELCONF:%.c=build/host/%.d)
-include $(wildcard build/unit/obj/*/*.d build/unit/obj/*/*/*.d build/fuzz/obj/*/*.d build/fuzz/obj/*/*/*.d)

.PHONY: unit-programs fuzz-programs test-unit fuzz
unit-programs: $(UNIT_TESTS)
fuzz-programs: $(FUZZERS)

test-unit: unit-programs
	@$(PYTHON) tests/run-unit $(if $(K),-k '$(K)') $(UNIT_TESTS) $(sort $(wildcard tests/unit/test_*.py))

# The random guest needs machines, and has a test of its own in `make test`.
STEPS ?= 1000000

fuzz: fuzz-programs
	@$(if $(TOTAL),,$(MAKE) --no-print-directory -s build/keel.elf build/keelconf payloads $(BOCHS))
	@$(PYTHON) tests/run-fuzz $(if $(T),-t $(T)) $(if $(TOTAL),--total $(TOTAL),--steps $(STEPS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(K),-k '$(K)') $(FUZZERS)

# The machine's side: set-up, ISO, running ------------------------------------------------------------------------

GUEST := build/guest/vmlinuz build/guest/initrd.gz build/guest/modules.gz
BOCHS := build/bochs/bin/bochs

.PHONY: deps guest bochs iso run
deps:
	@tests/setup/deps

guest: $(GUEST)
$(GUEST) &: tests/setup/guest tests/setup/guest-init tests/setup/guest-shell tests/setup/guest-loads tests/setup/guest-drivers \
		tests/setup/apt-lib.sh
	@tests/setup/guest

# Programs of Debian's that put a guest under load.
LOAD := $(addprefix build/guest/,rt.gz stress.gz iperf.gz lspci.gz loads.gz)
$(LOAD) &: tests/setup/guest-load tests/setup/apt-lib.sh tests/setup/elf-lib.sh
	@tests/setup/guest-load

OTHERS := build/guest/memtest.bin build/guest/ipxe.iso
$(OTHERS) &: tests/setup/guest-others tests/setup/apt-lib.sh
	@tests/setup/guest-others

# A Debian on a disk.
DEBIAN := build/guest/debian.img build/guest/debian.gz build/guest/tools.img
$(DEBIAN) &: tests/setup/debian tests/setup/debian-init tests/setup/apt-lib.sh tests/setup/elf-lib.sh
	@tests/setup/debian

bochs: $(BOCHS)
$(BOCHS): tests/backends/bochs-build
	@tests/backends/bochs-build

iso: build/keel.iso
build/keel.iso: build/keel.elf iso/build-iso $(GUEST)
	$(call quiet,ISO)iso/build-iso -o $@ -k build/keel.elf -m build/guest/vmlinuz 'vmlinuz console=ttyS0' \
		-m build/guest/initrd.gz initrd.gz

# The tools come first, and only then what is built with them. Each back end has an image of its own: two may run at once.
RUN_ISO := build/run$(if $(BACKEND),-$(BACKEND)).iso

run: deps
	@$(MAKE) --no-print-directory -s all $(if $(CONF),,$(GUEST)) $(if $(filter bochs-vmx,$(BACKEND)),$(BOCHS))
	@iso/mkiso $(or $(CONF),iso/demo.conf) $(RUN_ISO)
	@$(PYTHON) tests/backends/run $(if $(BACKEND),--backend $(BACKEND)) $(if $(CORES),--cores $(CORES)) \
		$(if $(MEMORY),--memory $(MEMORY)) $(RUN_ISO)

# Tests -----------------------------------------------------------------------------------------------------------

PAYLOADS := $(PAYLOAD_IMAGES)

.PHONY: test test-setup test-system system-inputs soak check format bench clean
system-inputs: build/keel.elf build/keelconf $(GUEST) $(LOAD) $(OTHERS) $(DEBIAN) $(BOCHS) $(PAYLOADS)

test-setup:
	@$(PYTHON) tests/run-setup $(if $(K),-k '$(K)')

test-system: deps
	@$(MAKE) --no-print-directory system-inputs
	@$(PYTHON) tests/run-system $(if $(BACKEND),--backend $(BACKEND)) $(if $(K),-k '$(K)')

# VMs that come and go at random, and a stock kernel under load: ten minutes of the guests' time each. The seed of an earlier
# run repeats its orders.
SECONDS ?= 600

soak: deps
	@$(MAKE) --no-print-directory system-inputs
	@KEEL_SOAK_SECONDS=$(SECONDS) KEEL_SOAK_SEED=$(SEED) KEEL_LOAD_SECONDS=$(SECONDS) KEEL_LATE_TIMERS=1000000 \
		$(PYTHON) tests/run-system $(if $(BACKEND),--backend $(BACKEND)) -k 'test_soak or test_load or test_debian or exclusive_core'

check:
	@tests/check/run $(K)

# Puts all C files into the form that `make check` wants.
format:
	clang-format -i $$(git ls-files '*.c' '*.h')

# For scripts: the value of a variable of this file.
print-%:
	@echo $($*)

bench: deps
	@$(MAKE) --no-print-directory system-inputs
	@$(PYTHON) tests/bench/run $(if $(BACKEND),--backend $(BACKEND))

test: deps
	@$(PYTHON) tests/run-all

clean:
	rm -rf build/hv build/host build/unit build/fuzz build/payload build/keelconf build/*.elf build/*.iso \
		build/*.asm build/*.o build/*.aml
