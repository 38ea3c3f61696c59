#include "kernels/fp8_block.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_fp8_block(Bench& bench) {
  const at::Tensor w_NK = at::randn({1024, 1024});
  const double bytes = 1024.0 * 1024 * (sizeof(float) + 1);  // f32 on one side, E4M3 on the other
  const auto row = [&](const char* name, const std::function<void()>& fast, const std::function<void()>& ref) {
    bench.row(name, 0, bytes, fast, ref);
  };
  row(
      "fp8_quantize_weight 1024x1024", [&] { fp8_quantize_weight(w_NK); }, [&] { fp8_quantize_ref(w_NK, kFp8Block, false); });
  row(
      "fp8_quantize_activation 1024x1024", [&] { fp8_quantize_activation(w_NK); }, [&] { fp8_quantize_ref(w_NK, 1, false); });
  const Fp8Blocks blocks = fp8_quantize_weight(w_NK);
  row(
      "fp8_dequantize_weight 1024x1024", [&] { fp8_dequantize_weight(blocks.values, blocks.scales); },
      [&] { fp8_dequantize_weight_ref(blocks.values, blocks.scales); });
}

}  // namespace finback
