# Our own test guests, as bzImages: build/payload/exits.bz.

PAYLOAD_SOURCES := $(sort $(wildcard guests/payload/*.c)) core/lib/format.c core/lib/mem.c core/lib/string.c
PAYLOAD_ASM := $(addprefix build/payload/obj/,guests/payload/start.o guests/payload/ap.o core/x86/traps.o)
PAYLOAD_OBJECTS := $(PAYLOAD_SOURCES:%.c=build/payload/obj/%.o) $(PAYLOAD_ASM)
PAYLOAD_CFLAGS := $(filter-out -mcmodel=kernel,$(CFLAGS)) -mcmodel=small
PAYLOAD_IMAGES := build/payload/exits.bz

.PHONY: payloads
payloads: $(PAYLOAD_IMAGES)

build/payload/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(CPPFLAGS) $(PAYLOAD_CFLAGS) -MMD -MP -c $< -o $@

$(PAYLOAD_ASM): build/payload/obj/%.o: %.asm
	@mkdir -p $(@D)
	$(call quiet,NASM)$(NASM) -f elf64 -Werror -o $@ $<

build/payload/exits.elf: $(PAYLOAD_OBJECTS) guests/payload/payload.ld
	$(call quiet,LD)$(LD) -nostdlib -static -z noexecstack --build-id=none --no-warn-rwx-segments -T guests/payload/payload.ld -o $@ \
		$(PAYLOAD_OBJECTS)

build/payload/exits.bin: build/payload/exits.elf
	@objcopy -O binary $< $@

build/payload/exits.bz: build/payload/exits.bin guests/payload/header.asm
	@$(NASM) -f bin -Werror -DSYSTEM_BYTES=$$(stat -c %s $<) -o $@.setup guests/payload/header.asm
	$(call quiet,BZ)cat $@.setup $< >$@

-include $(wildcard build/payload/obj/*/*/*.d)
