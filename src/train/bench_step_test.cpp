#include "train/bench_step.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

Json bench(Precision precision) {
  StepBench options;
  options.batch_tokens = 256, options.seq_len = 64, options.steps = 1;
  options.precision = precision;
  return bench_training_step(load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano/config.json"), options);
}

// V3 section 3.3.3: what is kept for the backward pass is E4M3 where the linears take it.
TEST(BenchStep, Fp8KeepsAtMostSixTenthsOfTheBytesForBackward) {
  const double f32 = bench(Precision::kF32)["backward_bytes"].get<double>(), bf16 = bench(Precision::kBf16)["backward_bytes"].get<double>(),
               fp8 = bench(Precision::kFp8)["backward_bytes"].get<double>();
  EXPECT_GT(f32, 256 * 4 * 1000) << "more than a thousand floats a token";
  EXPECT_LT(fp8, 0.6 * f32) << fp8 / f32;
  EXPECT_LT(fp8, bf16);
  EXPECT_LT(bf16, f32);
}

}  // namespace
}  // namespace finback
