#include "plan/stage_memory.h"

#include <algorithm>
#include <cmath>

#include "cost/parameter_count.h"

namespace finback {
namespace {

constexpr double kSlack = 0.93;             // allocator, communication buffers, runtime
constexpr double kFusedAttention = 2022.7;  // before: scores and dropout masks are kept

// Activations that a layer keeps for its backward pass, bytes per token: its input; all others.
struct LayerActivations {
  double input = 0, inner = 0;
};

LayerActivations attention_activations(const TrainSetup& s, double tp, double sequence_tp) {
  const ModelShape& m = s.shape;
  const double d = double(m.d_model), h = double(m.heads), dqk = double(m.head_dim), dv = double(m.value_dim);
  LayerActivations k{2 * d / sequence_tp, 2 * d / sequence_tp};
  k.inner += 2 * (h * dqk + double(m.kv_heads) * (dqk + dv) + h * dv) / tp + 4 * double(m.q_rank + m.kv_rank) / sequence_tp;
  if (s.software_date < kFusedAttention) {
    k.inner += d / sequence_tp;
    if (s.layout.recompute == Recompute::kNone) k.inner += 5 * h * double(s.seq_len) / tp;
  }
  return k;
}

LayerActivations ffn_activations(const TrainSetup& s, double tp, double sequence_tp, bool moe) {
  const ModelShape& m = s.shape;
  const double d = double(m.d_model), wide = 2 * (m.gated ? 3 : 2);
  LayerActivations k{2 * d / sequence_tp, 2 * d / sequence_tp};
  if (s.software_date < kFusedAttention) k.inner += d / sequence_tp;
  if (!moe) {
    k.inner += wide * double(m.d_ffn) / tp;
  } else {
    k.inner += (double(m.top_k) * (4 * d + wide * double(m.d_expert)) + wide * double(m.shared_experts * m.d_expert)) / tp;
  }
  return k;
}

// Micro-batches in flight at a stage, over the number of stages. Under 1F1B each stage keeps one fewer than the one before; interleaved, two chunks fewer.
double in_flight(const TrainSetup& s, int64_t stage) {
  const Layout& l = s.layout;
  const double pp = double(l.pp), vp = double(l.vp), r = double(stage);
  const double m = std::max(1.0, double(s.batch_seqs) / double(l.dp(s.gpus) * l.micro_seqs));
  const double kept = l.dual_pipe() ? pp + 1 : l.vp > 1 ? pp + (pp - 1 - 2 * r) / vp : pp - r;
  return std::min(m, kept) / pp;
}

}  // namespace

StoredParameters stored_parameters(const TrainSetup& s) {
  const ParameterCount count = count_parameters(s.shape);
  const Layout& l = s.layout;
  const double layers = double(s.shape.moe_layers() + (s.shape.is_moe() ? s.shape.mtp : 0));
  const double experts = layers * double(s.shape.experts) * double(expert_parameters(s.shape));
  const double tp = double(l.tp), pp = double(l.pp), dp = double(l.dp(s.gpus) * l.cp);
  StoredParameters stored;
  stored.dense = (double(count.total_with_mtp()) - experts) / (tp * pp);
  stored.experts = experts / ((l.ep > 1 ? double(l.ep) : tp) * pp);
  stored.expert_ways = l.ep > 1 ? std::max(1.0, dp * tp / double(l.ep)) : dp;
  return stored;
}

namespace {

// Weights, gradients and optimizer states, and the buffers of gathered weights.
void add_states(StageMemory& memory, const TrainSetup& s) {
  const Layout& l = s.layout;
  const StoredParameters stored = stored_parameters(s);
  const double dp = double(l.dp(s.gpus) * l.cp), group = l.shard_group > 0 ? double(l.shard_group) : dp;
  const double all = stored.dense + stored.experts, ways = std::min(group, stored.expert_ways);
  const auto split = [&](bool on, double dense_ways, double expert_ways) {
    return on ? stored.dense / dense_ways + stored.experts / expert_ways : all;
  };
  const bool fsdp = l.sharding == Sharding::kWeights;
  const double copies = l.dual_pipe() ? 2 : 1;  // of the weights (V3 report, table 2): a rank holds a stage from each end
  memory.weights = copies * (fsdp ? 4 : 2) * split(fsdp, group, ways);
  memory.gradients = 4 * split(l.sharding != Sharding::kOptimizer, group, ways);
  // The master copy of sharded weights is the 32-bit shard itself.
  memory.optimizer = (fsdp ? s.optimizer_bytes - 4 : s.optimizer_bytes) * split(true, fsdp ? group : dp, fsdp ? ways : stored.expert_ways);
  if (fsdp) memory.buffers += l.pp > 1 ? 2 * all : 2 * 2 * all / double(std::max<int64_t>(1, s.shape.layers));
}

// Kept activations, the logits at the stages that make them, and the layer that is recomputed at the moment.
void add_activations(StageMemory& memory, const TrainSetup& s, double recomputed, int64_t stage) {
  const Layout& l = s.layout;
  const ModelShape& m = s.shape;
  const double tokens = double(l.micro_seqs) * double(s.seq_len) / double(l.cp), tp = double(l.tp),
               sequence_tp = s.sequence_parallel ? tp : 1;
  const LayerActivations attention = attention_activations(s, tp, sequence_tp), dense = ffn_activations(s, tp, sequence_tp, false),
                         moe = ffn_activations(s, tp, sequence_tp, true);
  const double dense_layers = double(m.plain_ffn_layers()), moe_layers = double(m.moe_layers() + (m.is_moe() ? m.mtp : 0));
  const double attention_layers = double(m.attention_layers + m.mixer_layers + m.mtp);
  // A recomputed layer keeps its input alone. 8-bit recipes keep the inputs of their products in 8 bits.
  const double width = s.precision == MatrixPrecision::k16 ? 1 : 0.6;
  const double inputs = attention_layers * attention.input;
  const double rest =
      attention_layers * attention.inner + dense_layers * (dense.input + dense.inner) + moe_layers * (moe.input + moe.inner);
  memory.activations = tokens * in_flight(s, stage) * (inputs + (1 - recomputed) * width * rest);
  const double one_layer = tokens * (attention.inner + std::max(dense_layers > 0 ? dense.inner : 0, moe_layers > 0 ? moe.inner : 0));
  const double logits = tokens * double(m.vocab) / tp * (s.software_date < kFusedAttention ? 0 : 10);
  const bool has_logits = stage == l.pp - 1 || (l.dual_pipe() && stage == 0);
  memory.buffers = (recomputed > 0 ? one_layer : 0) + (has_logits ? logits : 0);
}

}  // namespace

StageMemory stage_memory(const TrainSetup& s, double recomputed, int64_t stage) {
  StageMemory memory;
  add_activations(memory, s, recomputed, stage);
  add_states(memory, s);
  return memory;
}

StageMemory fullest_stage(const TrainSetup& s, double recomputed) {
  const StageMemory first = stage_memory(s, recomputed, 0), last = stage_memory(s, recomputed, s.layout.pp - 1);
  return first.total() >= last.total() ? first : last;
}

double usable_memory(const Accelerator& gpu) { return gpu.memory_gb * 1e9 * kSlack; }

double needed_recompute(const TrainSetup& s) {
  const double least = s.layout.recompute == Recompute::kFull ? 1 : 0, room = usable_memory(s.gpu);
  const double all = fullest_stage(s, 1).total();
  if (least == 1 || all > room) return all > room ? 2 : 1;
  if (fullest_stage(s, 0).total() <= room) return 0;
  double needed = 0;
  for (const int64_t stage : {int64_t{0}, s.layout.pp - 1}) {
    const double some = stage_memory(s, 1e-9, stage).total(), gain = some - stage_memory(s, 1, stage).total();
    needed = std::max(needed, std::clamp((some - room) / gain, 0.0, 1.0));
  }
  return needed;
}

}  // namespace finback
