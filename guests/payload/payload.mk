# Our own test guests, as bzImages: build/payload/exits.bz and chaos.bz.

PAYLOAD_SOURCES := $(sort $(wildcard guests/payload/*.c)) core/lib/format.c core/lib/mem.c core/lib/string.c
PAYLOAD_ASM := $(addprefix build/payload/obj/,guests/payload/start.o guests/payload/ap.o guests/payload/modes.o core/x86/traps.o)
PAYLOAD_OBJECTS := $(PAYLOAD_SOURCES:%.c=build/payload/obj/%.o) $(PAYLOAD_ASM)
PAYLOAD_CFLAGS := $(filter-out -mcmodel=kernel,$(CFLAGS)) -mcmodel=small
PAYLOAD_IMAGES := build/payload/exits.bz build/payload/chaos.bz

# The one that does anything at all shares its first instructions and its report.
CHAOS_SOURCES := $(sort $(wildcard guests/payload/chaos/*.c)) $(addprefix guests/payload/,known.c list.c machine.c report.c trap.c) \
	core/lib/format.c core/lib/mem.c core/lib/string.c
CHAOS_ASM := $(addprefix build/payload/obj/,guests/payload/start.o guests/payload/chaos/enter.o core/x86/traps.o)

build/payload/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(PAYLOAD_CFLAGS) -MMD -MP -c $< -o $@

$(sort $(PAYLOAD_ASM) $(CHAOS_ASM)): build/payload/obj/%.o: %.asm
	@mkdir -p $(@D)
	$(call quiet,NASM)$(NASM) -f elf64 -Werror -o $@ $<

build/payload/exits.elf: $(PAYLOAD_OBJECTS) guests/payload/payload.ld
	$(call quiet,LD)$(LD) -nostdlib -static -z noexecstack --build-id=none --no-warn-rwx-segments -T guests/payload/payload.ld -o $@ \
		$(PAYLOAD_OBJECTS)

build/payload/%.bin: build/payload/%.elf
	@objcopy -O binary $< $@

build/payload/%.bz: build/payload/%.bin guests/payload/header.asm
	@$(NASM) -f bin -Werror -DSYSTEM_BYTES=$$(stat -c %s $<) -o $@.setup guests/payload/header.asm
	$(call quiet,BZ)cat $@.setup $< >$@

build/payload/chaos.elf: $(CHAOS_SOURCES:%.c=build/payload/obj/%.o) $(CHAOS_ASM) guests/payload/payload.ld
	$(call quiet,LD)$(LD) -nostdlib -static -z noexecstack --build-id=none --no-warn-rwx-segments -T guests/payload/payload.ld -o $@ \
		$(filter %.o,$^)

-include $(wildcard build/payload/obj/*/*/*.d build/payload/obj/*/*/*/*.d)

# A small kernel in each format that Keel loads, from one source: build/payload/formats/NAME, with these macros.
FORMATS := mb1.elf mb1-64.elf mb1-high.elf mb1-kludge.bin mb2.elf mb2-address.bin pvh.elf pvh-64.elf
FORMAT_mb1 := MULTIBOOT1
FORMAT_mb1-high := MULTIBOOT1 HIGH
FORMAT_mb1-kludge := MULTIBOOT1 KLUDGE
FORMAT_mb2 := MULTIBOOT2
FORMAT_mb2-address := MULTIBOOT2 ADDRESS
FORMAT_pvh := PVH
FORMAT_CFLAGS := $(filter-out -m64 -mcmodel=kernel -mno-red-zone,$(CFLAGS)) -m32
FORMAT_SOURCES := guests/payload/formats/main.c guests/payload/formats/typing.c guests/payload/formats/lib.c core/lib/format.c core/lib/string.c
PAYLOAD_IMAGES += $(FORMATS:%=build/payload/formats/%)

build/payload/formats/%.lnk: guests/payload/formats/start.asm guests/payload/formats/formats.ld $(FORMAT_SOURCES) Makefile
	@mkdir -p $(@D)
	@$(NASM) -f elf32 -Werror $(FORMAT_$*:%=-D%) -o $@.start.o $<
	@$(foreach source,$(FORMAT_SOURCES),$(CC) $(CPPFLAGS) $(FORMAT_CFLAGS) $(FORMAT_$*:%=-D%) -c $(source) \
		-o $@.$(notdir $(source:.c=.o)) &&) true
	$(call quiet,LD)$(LD) -m elf_i386 -nostdlib -static -z noexecstack --build-id=none --no-warn-rwx-segments \
		--defsym BASE=$(if $(filter HIGH,$(FORMAT_$*)),0xc0100000,0x100000) \
		--defsym OFFSET=$(if $(filter HIGH,$(FORMAT_$*)),0xc0000000,0) \
		-T guests/payload/formats/formats.ld -o $@ $@.start.o $(patsubst %.c,$@.%.o,$(notdir $(FORMAT_SOURCES)))

build/payload/formats/%-64.elf: build/payload/formats/%.lnk
	@objcopy -I elf32-i386 -O elf64-x86-64 $< $@

build/payload/formats/%.elf: build/payload/formats/%.lnk
	@cp $< $@

build/payload/formats/%.bin: build/payload/formats/%.lnk
	@objcopy -O binary -j .image -j .notes -j .end $< $@

.PHONY: payloads
payloads: $(PAYLOAD_IMAGES)
