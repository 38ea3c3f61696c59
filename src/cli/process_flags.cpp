#include "cli/process_flags.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/file.h"
#include "base/pool.h"
#include "base/status_line.h"
#include "cli/args.h"
#include "gemm/variant.h"
#include "model/device.h"

namespace finback {

void declare_process_flags(Args& args) {
  args.flag("threads", "N", "threads of the thread pool (default: the cores of this process)")
      .flag("kernels", "NAME", "auto, ref, portable, avx2, avx512, avx512_bf16 or avx512_fp16")
      .toggle("quiet", "no progress and no information on stderr; warnings and errors stay")
      .toggle("poison", "memory not yet written reads as NaN")
      .developer()
      .flag("failpoint", "NAME:COUNT:WHAT", "at passage COUNT of NAME, WHAT is kill, full or short")
      .developer();
}

void apply_process_flags(const Args& args) {
  set_quiet(args.has("quiet"));
  if (args.has("poison")) poison_memory();
  if (args.has("failpoint")) arm_failpoint(*args.get("failpoint"));
  set_threads(int(args.integer("threads", available_cores(), 1, 1024)));
  if (threads() > available_cores())
    warn(fmt::format("warning: --threads={} on {} core{}: more threads than cores only wait for each other", threads(), available_cores(),
                     available_cores() == 1 ? "" : "s"));
  select_kernels(args.get_or("kernels", "auto"));
}

}  // namespace finback
