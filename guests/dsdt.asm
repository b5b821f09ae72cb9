; The compiled guests/dsdt.asl.

section .rodata
align 8

global dsdt_aml, dsdt_aml_end
dsdt_aml:       incbin "dsdt.aml"
dsdt_aml_end:
