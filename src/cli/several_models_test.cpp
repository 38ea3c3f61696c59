// Several models in one process work side by side: a trainer, a reference of another precision, two engines over one model of another shape. What
// each computes has the bits of a process of its own, in turns on one thread and on threads of their own. What is global stands in DESIGN.md.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <thread>

#include "base/pool.h"
#include "infer/engine.h"
#include "train/optimizer.h"
#include "train/step_rows.h"

namespace finback {
using namespace test;
namespace {

// Someone who works step by step; `said` is all that was computed, exactly.
struct Worker {
  std::function<bool(std::string& said)> step;  // false: done
  std::string said;
  void finish() {
    while (step(said)) continue;
  }
};

constexpr int64_t kSteps = 4;

// fp8, MTP, expert balance: all that a training step has.
struct Trainer {
  std::unique_ptr<Transformer> model = lively_model(small_config(), true, 5);
  Optimizer optimizer{model->parameters(), OptimizerSection{}};
  int64_t steps = 0;

  Trainer() { model->set_precision({Precision::kFp8, Precision::kFp8, {}}); }

  bool step(std::string& said) {
    const StepResult result =
        accumulate_gradients(*model, {random_micro_batch(3, 16, uint64_t(steps))}, {MlaAlgebra::kExpanded, 0.3, 1e-2, 1e-3});
    optimizer.step(0.01, ++steps, result.grad_norm, 1, result.mtp_trained);
    update_expert_bias(model->parameters(), result.loads, 1e-3);
    said += fmt::format("{:a} {:a} {}\n", result.loss, result.grad_norm, model->parameters().fingerprint());
    return steps < kSteps;
  }
};

// Another shape in everything that a table or buffer could be made for: no q_lora, other heads, latent, rotation, experts, vocabulary.
ModelConfig other_config() {
  return small_config(
      R"({"vocab_size": 83, "hidden_size": 40, "num_hidden_layers": 2, "num_attention_heads": 5, "q_lora_rank": null, "kv_lora_rank": 12,
    "qk_nope_head_dim": 6, "qk_rope_head_dim": 8, "v_head_dim": 10, "intermediate_size": 36, "moe_intermediate_size": 12, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "num_nextn_predict_layers": 0, "rope_theta": 500, "max_position_embeddings": 300})");
}

Request request_of(const ModelConfig& config, int64_t prompt, uint64_t seed) {
  Request request;
  for (int64_t i = 0; i < prompt; ++i) request.prompt.push_back(int32_t((i * 37 + int64_t(seed)) % config.vocab_size));
  request.max_tokens = 8;
  request.key.seed = seed, request.sampling.top_p = 0.95;
  return request;
}

bool engine_step(Engine& engine, std::string& said) {
  for (const TokenEvent& event : engine.step()) said += fmt::format("{} {:a}\n", event.token, event.logprob);
  return !engine.idle();
}

// workers[2] and [3] share a model.
struct Scene {
  Trainer trainer;
  std::unique_ptr<Transformer> reference = lively_model(small_config(), false, 6), served = lively_model(other_config(), false, 7);
  Engine of_reference{*reference, {0, 16}}, first{*served, {0, 32}}, second{*served, {0, 7}};
  std::vector<Worker> workers;

  Scene() {
    served->store_weights(Precision::kInt8);
    of_reference.submit(request_of(reference->config(), 40, 1));
    first.submit(request_of(served->config(), 90, 2));
    second.submit(request_of(served->config(), 20, 3));
    workers.push_back({[this](std::string& said) { return trainer.step(said); }, ""});
    for (Engine* engine : {&of_reference, &first, &second}) {
      workers.push_back({[engine](std::string& said) { return engine_step(*engine, said); }, ""});
    }
  }
};

// Keeps what a process wrote to stderr.
class Heard : public testing::MatcherInterface<const std::string&> {
 public:
  explicit Heard(std::string& text) : text_(text) {}
  bool MatchAndExplain(const std::string& text, testing::MatchResultListener*) const override { return text_ = text, true; }
  void DescribeTo(std::ostream* out) const override { *out << "any text"; }

 private:
  std::string& text_;
};

void work_alone(size_t i) {
  Scene scene;
  scene.workers[i].finish();
  std::fputs(scene.workers[i].said.c_str(), stderr);
  std::exit(0);
}

// Each in a process of its own, begun anew (a death test that ends well): in this one a global may be there already, and would change all alike.
std::vector<std::string> each_alone() {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::vector<std::string> said(4);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EXIT(work_alone(i), testing::ExitedWithCode(0), testing::Matcher<const std::string&>(new Heard(said[i])));
  }
  return said;
}

void in_turns(std::vector<Worker*> workers) {
  while (!workers.empty()) std::erase_if(workers, [](Worker* worker) { return !worker->step(worker->said); });
}

TEST(SeveralModels, TogetherComputeWhatEachComputesAlone) {
  const std::vector<std::string> alone = each_alone();
  const auto expect_the_same = [&](const Scene& scene) {
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(scene.workers[i].said, alone[i]) << "worker " << i;
  };
  for (const std::string& said : alone) EXPECT_GT(said.size(), 100u);
  {
    SCOPED_TRACE("in turns on one thread");
    Scene scene;
    std::vector<Worker>& w = scene.workers;
    in_turns({&w[0], &w[1], &w[2], &w[3]});
    expect_the_same(scene);
  }
  // The engines over one model take turns on one thread: a model's packed weights are made when they are first read.
  for (int round = 0; round < 10 && !HasFailure(); ++round) {
    SCOPED_TRACE("on threads of their own");
    Scene scene;
    std::vector<Worker>& w = scene.workers;
    std::thread trainer([&] { in_turns({&w[0]}); }), reference([&] { in_turns({&w[1]}); }), engines([&] { in_turns({&w[2], &w[3]}); });
    trainer.join(), reference.join(), engines.join();
    expect_the_same(scene);
  }
}

// A policy's rollouts: the engine reads the trainer's own weights between its steps, draws what a copy of them would, and changes nothing.
TEST(SeveralModels, AnEngineOverTheTrainersWeightsFollowsThemAndLeavesThemAlone) {
  std::string alone, copied, watched, drawn;
  Trainer trainer, another;
  for (bool more = true; more;) {
    more = trainer.step(alone);
    Transformer copy(trainer.model->config(), at::kCPU, false);
    copy.set_precision({Precision::kFp8, Precision::kFp8, {}});
    copy.parameters().values_P().copy_(trainer.model->parameters().values_P());
    for (const ParameterSpec& spec : copy.parameters().buffers()) {
      copy.parameters().buffer(spec.name).copy_(trainer.model->parameters().buffer(spec.name));
    }
    copy.parameters().touch();
    Engine engine(copy, {0, 16});
    engine.submit(request_of(copy.config(), 20, 4));
    while (engine_step(engine, copied)) continue;
  }
  Engine engine(*another.model, {0, 16});
  for (bool more = true; more;) {
    more = another.step(watched);
    engine.submit(request_of(another.model->config(), 20, 4));
    while (engine_step(engine, drawn)) continue;
  }
  EXPECT_EQ(watched, alone);
  EXPECT_EQ(drawn, copied);
}

}  // namespace
}  // namespace finback
