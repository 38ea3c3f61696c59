#include "model/device.h"

#include <ATen/Context.h>

#include <cstdlib>

#include "base/error.h"

namespace finback {

c10::Device parse_device(const std::string& name, std::string_view what) {
  FB_CHECK(name == "cpu" || name == "cuda", "{}: expected cpu or cuda, got \"{}\"", what, name);
  FB_CHECK(name == "cpu" || at::hasCUDA(),
           "{}: expected a GPU for cuda, got a torch that finds none. Hint: tools/setup --preset cuda --torch PYTHON", what);
  return c10::Device(name);
}

// Torch fills fresh memory in deterministic mode only, and does so there unless told otherwise: that part is --poison's alone.
void make_deterministic() {
  at::Context& torch = at::globalContext();
  const bool poisoned = torch.deterministicAlgorithms() && torch.deterministicFillUninitializedMemory();
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  torch.setDeterministicAlgorithms(true, /*warn_only=*/false);
  torch.setDeterministicFillUninitializedMemory(poisoned);
}

void poison_memory() {
  make_deterministic();
  at::globalContext().setDeterministicFillUninitializedMemory(true);
}

}  // namespace finback
