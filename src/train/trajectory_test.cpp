// Golden trajectories: 20 optimizer steps of configs/models/nano with MTP, balance loss, z-loss and bias updates in f32, bf16 and fp8, whole
// and in micro-batches, against tests/golden/trajectory/<variant>.json to the bit, and f32 against transformers and torch's AdamW within
// kOracle*. A variant without a file prints so and passes. To write the file of every variant that this machine runs, and what
// tools/parity_trajectory reads: build/train_test --gtest_also_run_disabled_tests --gtest_filter='Trajectory.DISABLED_*'.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "kernels/op_check.h"
#include "model/checkpoint.h"
#include "train/optimizer_step.h"
#include "train/step_rows.h"

namespace finback {
using namespace test;
namespace {
namespace fs = std::filesystem;

constexpr int64_t kSteps = 20, kPortableSteps = 2, kAccumulatedSteps = 6, kRows = 4, kSeqLen = 64, kIds = 96;
constexpr double kLr = 1e-3, kClip = 1.0, kGamma = 1e-3;
// Largest difference of losses (seen: 2e-6) and of gradient norms (relative) to transformers and torch.optim.AdamW over the 20 steps.
constexpr double kOracleLoss = 1e-5, kOracleNorm = 3e-4;

fs::path golden_folder() { return fs::path(FINBACK_SOURCE_DIR) / "tests" / "golden" / "trajectory"; }

// Documents of a whole row each. Ids are skewed, so that there is something to learn in 20 steps.
std::vector<int64_t> ids_of(int64_t step, int64_t row) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < kSeqLen; ++i) {
    const auto words = philox(Stream::kTest, 20, uint64_t((step * kRows + row) * kSeqLen + i));
    const uint64_t first = uniform_below(words[0], words[1], kIds), second = uniform_below(words[2], words[3], kIds);
    ids.push_back(int64_t(std::min(first, second)) * 21);
  }
  return ids;
}

MicroBatch rows_of(int64_t step, int64_t first, int64_t rows) {
  std::vector<int64_t> ids, targets, positions, starts = {0};
  for (int64_t row = first; row < first + rows; ++row) {
    const std::vector<int64_t> more = ids_of(step, row);
    for (int64_t i = 0; i < kSeqLen; ++i) {
      ids.push_back(more[size_t(i)]);
      positions.push_back(i);
      targets.push_back(i + 1 < kSeqLen ? more[size_t(i + 1)] : -1);
    }
    starts.push_back(int64_t(ids.size()));
  }
  return micro_batch({packed_batch(at::tensor(ids, at::kLong), at::tensor(positions, at::kLong), starts), at::tensor(targets, at::kLong)},
                     kSeqLen);
}

std::unique_ptr<Transformer> nano_model() {
  auto model =
      std::make_unique<Transformer>(load_model_config(fs::path(FINBACK_SOURCE_DIR) / "configs" / "models" / "nano"), at::kCPU, true);
  model->parameters().initialize(1, model->config().initializer_range);
  return model;
}

std::string hex_of(double x) { return fmt::format("{:a}", x); }

// Two hex digits a tensor, in checkpoint order: of its gradient and its updated values. They say where; the fingerprint says whether.
std::string tensor_digits(const Parameters& parameters) {
  std::string digits;
  const float *grads = parameters.grads_P().const_data_ptr<float>(), *values = parameters.values_P().const_data_ptr<float>();
  for (const ParameterSpec& spec : parameters.specs()) {
    const auto hash = [&](const float* flat, uint64_t seed) {
      return xxhash64(std::as_bytes(std::span(flat + spec.offset, size_t(spec.numel))), seed);
    };
    digits += fmt::format("{:02x}", hash(values, hash(grads, 0)) & 0xff);
  }
  return digits;
}

Json trajectory(Precision precision, const std::vector<int64_t>& cut, int64_t count = kSteps,
                std::vector<std::vector<RouterLog>>* routes = nullptr) {
  const auto model = nano_model();
  model->set_precision({precision, precision, {}});
  OptimizerSection section;
  Optimizer optimizer(model->parameters(), section);
  Json steps = Json::array();
  for (int64_t step = 1; step <= count; ++step) {
    std::vector<MicroBatch> micro_batches;
    int64_t first = 0;
    for (const int64_t rows : cut) {
      micro_batches.push_back(rows_of(step, first, rows));
      first += rows;
    }
    if (routes != nullptr) routes->emplace_back();
    const StepSettings settings = {step, kLr, kClip, kGamma, {MlaAlgebra::kExpanded, 0.3, 1e-3, 1e-4}};
    const StepResult result =
        optimizer_step(*model, optimizer, micro_batches, settings, routes != nullptr ? &routes->back() : nullptr).result;
    steps.push_back({{"loss", hex_of(result.loss)},
                     {"main_loss", hex_of(result.main_loss)},
                     {"mtp_loss", hex_of(result.mtp_loss[0])},
                     {"balance_loss", hex_of(result.balance_loss)},
                     {"z_loss", hex_of(result.z_loss)},
                     {"grad_norm", hex_of(result.grad_norm)},
                     {"fingerprint", model->parameters().fingerprint()},
                     {"tensors", tensor_digits(model->parameters())}});
  }
  return steps;
}

// "step 7: grad_norm is 0x1p+0, expected 0x1p+1; first tensor: model.layers...": empty when all bits are equal.
std::string first_difference(const Json& seen, const Json& expected) {
  if (seen.size() != expected.size()) return fmt::format("{} steps, expected {}", seen.size(), expected.size());
  for (size_t step = 0; step < seen.size(); ++step) {
    for (const auto& [key, value] : expected[step].items()) {
      if (key == "tensors" || seen[step][key] == value) continue;
      std::string tensor = "none by its two digits";
      const std::string was = expected[step]["tensors"].get<std::string>(), is = seen[step]["tensors"].get<std::string>();
      const std::vector<ParameterSpec> specs = parameter_specs(nano_model()->config());
      for (size_t i = 0; i < specs.size(); ++i) {
        if (was.substr(2 * i, 2) == is.substr(2 * i, 2)) continue;
        tensor = specs[i].name;
        break;
      }
      return fmt::format("step {}: {} is {}, expected {}; first tensor that differs: {}", step + 1, key, seen[step][key].get<std::string>(),
                         value.get<std::string>(), tensor);
    }
  }
  return "";
}

fs::path golden_file() { return golden_folder() / (kernel_label() + ".json"); }

constexpr Precision kPrecisions[] = {Precision::kF32, Precision::kBf16, Precision::kFp8};
const std::vector<int64_t> kWhole = {kRows};

TEST(Trajectory, IsTheGoldenOneToTheBit) {
  for_each_variant([] {
    if (!fs::exists(golden_file())) {
      fmt::print("no golden trajectory of {} is there: not compared\n", kernel_label());
      return;
    }
    const Json golden = read_json(golden_file());
    for (const Precision precision : kPrecisions) {
      SCOPED_TRACE(kernel_label() + " " + precision_name(precision));
      Json expected = golden.at(precision_name(precision));
      if (kernel_variant() == Variant::kPortable) {  // one lane, a minute of computing for all of it: the first steps
        expected.erase(expected.begin() + kPortableSteps, expected.end());
        EXPECT_EQ(first_difference(trajectory(precision, kWhole, kPortableSteps), expected), "");
        continue;
      }
      EXPECT_EQ(first_difference(trajectory(precision, kWhole), expected), "");
      expected.erase(expected.begin() + kAccumulatedSteps, expected.end());
      EXPECT_EQ(first_difference(trajectory(precision, {1, 3}, kAccumulatedSteps), expected), "") << "in micro-batches";
    }
  });
}

// The comparison must name step and tensor.
TEST(Trajectory, AChangedBitNamesStepAndTensor) {
  const Json steps = trajectory(Precision::kF32, kWhole);
  EXPECT_EQ(first_difference(steps, steps), "");
  Json other = steps;
  std::string digits = other[4]["tensors"].get<std::string>();
  digits[3] = digits[3] == '0' ? '1' : '0';  // of the second tensor
  other[4]["tensors"] = digits;
  other[4]["fingerprint"] = "0000000000000000";
  EXPECT_NE(first_difference(other, steps).find("step 5: fingerprint is 0000000000000000"), std::string::npos);
  EXPECT_NE(first_difference(other, steps).find("model.layers.0.input_layernorm.weight"), std::string::npos);
}

// The committed curve of avx512 (which the test above holds against a run) beside the oracle's, which replayed its choice of experts.
TEST(Trajectory, IsThatOfTransformersAndTorchAdamW) {
  const Json oracle = read_json(golden_folder() / "transformers.json"), curve = read_json(golden_folder() / "avx512.json").at("f32");
  ASSERT_EQ(oracle["loss"].size(), size_t(kSteps));
  ASSERT_EQ(curve.size(), size_t(kSteps));
  const auto number = [](const Json& hex) { return std::strtod(hex.get<std::string>().c_str(), nullptr); };
  for (size_t step = 0; step < curve.size(); ++step) {
    for (const char* key : {"main_loss", "mtp_loss", "balance_loss", "z_loss", "loss"}) {
      EXPECT_NEAR(number(curve[step][key]), oracle[key][step].get<double>(), kOracleLoss) << "step " << step + 1 << " " << key;
    }
    const double norm = oracle["grad_norm"][step].get<double>();
    EXPECT_NEAR(number(curve[step]["grad_norm"]), norm, kOracleNorm * norm) << "step " << step + 1;
  }
  EXPECT_LT(number(curve.back()["main_loss"]), number(curve[0]["main_loss"]) - 1) << "something was learned";
}

// One precision a line would be unreadable for git; a line a step is not.
std::string pretty(const Json& golden) {
  std::string text = "{\n";
  for (const auto& [precision, steps] : golden.items()) {
    text += fmt::format("\"{}\": [\n", precision);
    for (size_t i = 0; i < steps.size(); ++i) text += dump_json_line(steps[i]) + (i + 1 < steps.size() ? ",\n" : "\n");
    text += "],\n";
  }
  text.erase(text.size() - 2);
  return text + "\n}\n";
}

TEST(Trajectory, DISABLED_WritesTheGoldensOfThisMachine) {
  fs::create_directories(golden_folder());
  for_each_variant([] {
    Json golden = Json::object();
    for (const Precision precision : kPrecisions) golden[precision_name(precision)] = trajectory(precision, kWhole);
    write_file_atomic(golden_file(), pretty(golden));
  });
}

// build/trajectory: the initial model, and steps.json: ids [row][token] and experts [layer][token * k] of the f32 trajectory of variant avx512.
TEST(Trajectory, DISABLED_WritesWhatTheOracleReads) {
  const fs::path folder = "build/trajectory";
  select_kernels("avx512");
  save_model(folder, *nano_model(), {});
  Json steps = Json::array();
  std::vector<std::vector<RouterLog>> routes;
  trajectory(Precision::kF32, kWhole, kSteps, &routes);
  for (int64_t step = 1; step <= kSteps; ++step) {
    Json ids = Json::array(), experts = Json::array();
    for (int64_t row = 0; row < kRows; ++row) ids.push_back(ids_of(step, row));
    for (const RouterLog::Layer& layer : routes[size_t(step - 1)][0].layers) {
      const at::Tensor chosen = layer.topk_ids_TK.contiguous();
      experts.push_back(std::vector<int64_t>(chosen.const_data_ptr<int64_t>(), chosen.const_data_ptr<int64_t>() + chosen.numel()));
    }
    steps.push_back({{"ids", ids}, {"experts", experts}});
  }
  write_file_atomic(folder / "steps.json", dump_json_line(steps));
  select_kernels("auto");
}

}  // namespace
}  // namespace finback
