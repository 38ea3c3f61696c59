// A MoE layer must not make the host wait for a device. No device is needed to see it: the references (variant ref) are what a device runs, and
// a waiting ATen operation has a name. Not seen: a copy to the host (nothing to copy here; tools/check host refuses the words), and what an
// operation does inside on a device beyond the list below.
#include "model/moe.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <set>

#include "gemm/each_variant.h"
#include "kernels/host_values.h"
#include "model/test_models.h"

namespace finback::test {
namespace {

// Operations whose result's size or value the host must know: on CUDA each of them synchronises.
bool waits_for_the_device(const std::string& name) {
  static const std::set<std::string> names = {"aten::item",
                                              "aten::_local_scalar_dense",
                                              "aten::is_nonzero",
                                              "aten::equal",
                                              "aten::nonzero",
                                              "aten::masked_select",
                                              "aten::_unique",
                                              "aten::_unique2",
                                              "aten::unique_dim",
                                              "aten::bincount",
                                              "aten::argwhere",
                                              "aten::repeat_interleave.Tensor",
                                              "aten::repeat_interleave.self_Tensor"};
  return names.contains(name);
}

std::multiset<std::string> g_waits;
std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& function) {
  const auto op = function.operator_name();
  if (!op) return nullptr;
  const std::string name = op->overload_name.empty() ? op->name : op->name + "." + op->overload_name;
  if (waits_for_the_device(name)) g_waits.insert(name);
  return nullptr;
}

struct Waits {
  std::multiset<std::string> operations;
  int64_t fetches = 0;
};
Waits waits_during(const std::function<void()>& work) {
  g_waits.clear();
  const int64_t before = fetch_count();
  const auto observer = at::addThreadLocalCallback(at::RecordFunctionCallback(note).scopes({at::RecordScope::FUNCTION}));
  work();
  at::removeCallback(observer);
  return {g_waits, fetch_count() - before};
}

// Forward and backward of layer 1 with everything on: balance loss, log, shared expert.
Waits waits_of_a_layer(const Numerics& numerics) {
  const ModelConfig config = small_config();
  Parameters parameters(config, at::kCPU, true);
  make_lively(parameters, 3);
  Moe moe(config, parameters, "model.layers.1.mlp.", 1);
  moe.set_numerics(numerics);
  moe.prepare(/*backward=*/true);
  PackedDocuments rows = documents({9, 4, 11}, config.vocab_size);
  rows.batch.balance_starts = {0, 9, 13, 24};
  ForwardOptions options;
  RouterLog log;
  options.log = &log, options.balance_scale = 1e-3;
  const auto pass = make_forward_pass(rows.batch, options, at::zeros({32, 4}), false);
  const at::Tensor n_TD = at::randn({24, config.hidden_size}), u_TD = at::randn({24, config.hidden_size});
  return waits_during([&] {
    const LayerResult result = moe.forward(n_TD, u_TD, pass, true, [&] { return n_TD; });
    result.backward(u_TD);
  });
}

TEST(Moe, ADeviceIsWaitedForOnlyByTheReferencesOfItsProducts) {
  select_kernels("ref");
  EXPECT_EQ(waits_during([] { at::ones({2}).sum().item<float>(); }).operations.count("aten::item"), 1u) << "the observer is blind";
  // Offsets once a product: y, dx and dw of two matrices, in bf16 and fp8 of the shared expert's two as well; fp8: tile boundaries twice in each dw.
  for (const auto& [precision, fetches] : {std::pair{Precision::kF32, 6}, {Precision::kBf16, 12}, {Precision::kFp8, 20}}) {
    SCOPED_TRACE(precision_name(precision));
    const Waits waits = waits_of_a_layer({precision, precision});
    EXPECT_TRUE(waits.operations.empty()) << *waits.operations.begin();
    EXPECT_EQ(waits.fetches, fetches);
  }
}

TEST(Moe, TheCpuReadsOffsetsInPlace) {
  for_each_variant([&] {
    for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
      const Waits waits = waits_of_a_layer({precision, precision});
      EXPECT_EQ(waits.fetches, 0) << precision_name(precision);
      EXPECT_TRUE(waits.operations.empty()) << precision_name(precision);
    }
  });
}

}  // namespace
}  // namespace finback::test
