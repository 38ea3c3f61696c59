#include "cli/process_flags.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/file.h"
#include "base/pool.h"
#include "base/status_line.h"
#include "gemm/variant.h"
#include "model/device.h"

namespace finback {

std::vector<FlagHelp> process_flags() {
  return {{"threads", "N", "threads of the thread pool (default: the cores of this process)"},
          {"kernels", "NAME", "auto, ref, portable, avx2, avx512, avx512_bf16 or avx512_fp16"},
          {"quiet", "", "no progress and no information on stderr; warnings and errors stay"},
          {"poison", "", "memory not yet written reads as NaN", /*developer=*/true},
          {"failpoint", "NAME:COUNT:WHAT", "at passage COUNT of NAME, WHAT is kill, full or short", /*developer=*/true}};
}

void apply_process_flags(const ProcessFlags& given) {
  set_quiet(given.quiet);
  if (given.poison) poison_memory();
  if (given.failpoint) arm_failpoint(*given.failpoint);
  set_threads(int(given.threads));
  if (threads() > available_cores())
    warn(fmt::format("warning: --threads={} on {} core{}: more threads than cores only wait for each other", threads(), available_cores(),
                     available_cores() == 1 ? "" : "s"));
  select_kernels(given.kernels);
}

}  // namespace finback
