#include "cli/process_flags.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/file.h"
#include "base/pool.h"
#include "cli/args.h"
#include "gemm/variant.h"
#include "model/device.h"

namespace finback {

void declare_process_flags(Args& args) {
  args.flag("threads", "N", "threads of the kernel pool (default: the cores of this process)")
      .flag("kernels", "NAME", "auto, ref, portable, avx2, avx512, avx512_bf16 or avx512_fp16")
      .toggle("poison", "tests: memory not yet written reads as NaN")
      .flag("failpoint", "NAME:COUNT:WHAT", "tests: at passage COUNT of NAME, WHAT is kill, full or short");
}

void apply_process_flags(const Args& args) {
  if (args.has("poison")) poison_memory();
  if (args.has("failpoint")) arm_failpoint(*args.get("failpoint"));
  set_threads(int(args.integer("threads", available_cores(), 1, 1024)));
  if (threads() > available_cores())
    fmt::print(stderr, "warning: --threads={} on {} core{}: more threads than cores only wait for each other\n", threads(),
               available_cores(), available_cores() == 1 ? "" : "s");
  select_kernels(args.get_or("kernels", "auto"));
}

}  // namespace finback
