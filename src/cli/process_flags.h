// The flags that every verb takes, and what they do to the process: --threads, --kernels, --quiet, --poison, --failpoint. They are declared in a verb's own
// table, so they are recognised only where a flag may stand: not as another flag's value, not behind "--".
#pragma once

namespace finback {

class Args;
void declare_process_flags(Args& args);
// Sets the pool's threads, the kernels, poisoned memory and the failpoint: as given, else to the defaults. Throws Error for a bad value.
void apply_process_flags(const Args& args);

}  // namespace finback
