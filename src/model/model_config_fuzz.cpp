// libFuzzer target for config.json. Seeds and what it found: tests/golden/fuzz/model_config_fuzz.
// What is accepted must be small enough to build and survive writing and reading again; everything else is an Error.
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "model/parameters.h"

namespace finback {
namespace {

void try_model_config(std::string_view text) {
  try {
    const ModelConfig config = parse_model_config(parse_json(text, "file"), "file");
    FB_ASSERT(std::isfinite(config.softmax_scale()) && config.softmax_scale() > 0, "a scale that can multiply");
    const Json dumped = dump_model_config(config);
    FB_ASSERT(dump_model_config(parse_model_config(dumped, "dumped")) == dumped, "a config survives writing");
    if (config.total_layers() * (config.n_routed_experts + 1) > 1000) return;  // names of more tensors than a fuzzer has time for
    int64_t end = 0;
    for (const ParameterSpec& spec : parameter_specs(config)) {
      FB_ASSERT(spec.numel >= 1 && spec.offset == end, "tensors tile the buffer");
      end += spec.numel;
    }
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace finback

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  finback::try_model_config({reinterpret_cast<const char*>(data), size});
  return 0;
}
