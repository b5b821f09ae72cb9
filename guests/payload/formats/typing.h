/* Shows the scan codes of a line that is typed, then ends the VM. */
#pragma once

void typing(void);
