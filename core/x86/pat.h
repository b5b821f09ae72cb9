/* The page attribute table of the hypervisor: as after reset, but entry 1 (PWT alone) is write-combining (mm/pt.h PT_WC). */
#pragma once

/* From entry 7 down to 0: UC, UC-, WT, WB, UC, UC-, WC, WB (SDM volume 3, section "Page Attribute Table"). */
#define HOST_PAT 0x0007040600070106ull
