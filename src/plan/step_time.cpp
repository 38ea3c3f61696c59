#include "plan/step_time.h"

#include <algorithm>
#include <cmath>

#include "plan/layer_time.h"
#include "plan/link_time.h"
#include "plan/stage_memory.h"

namespace finback {
namespace {

// One micro-batch through all of this rank's stages.
LayerTime stage_time(const TrainSetup& s, const CostParameters& p) {
  const ModelShape& m = s.shape;
  LayerTime all = layer_time(s, LayerKind::kAttention, p) * double(m.attention_layers + m.mtp);
  if (m.plain_ffn_layers() > 0) all += layer_time(s, LayerKind::kDenseFfn, p) * double(m.plain_ffn_layers());
  if (m.is_moe()) all += layer_time(s, LayerKind::kMoeFfn, p) * double(m.moe_layers() + m.mtp);
  if (!m.is_moe() && m.mtp > 0) all += layer_time(s, LayerKind::kDenseFfn, p) * double(m.mtp);
  if (m.mixer_layers > 0) all += layer_time(s, LayerKind::kMixer, p) * double(m.mixer_layers);
  LayerTime head = head_time(s, p) * double(1 + m.mtp);
  head.recompute = 0;
  all += head;
  return all * (1 / double(s.layout.pp));
}

// Seconds of recomputing a share of the kept activations: the cheap ones first (norms, activations, up-projections), which are most of the bytes.
double recompute_seconds(const TrainSetup& s, const LayerTime& stage, const CostParameters& p) {
  if (s.layout.recompute == Recompute::kFull) return stage.recompute;
  if (s.layout.recompute != Recompute::kAuto) return 0;
  const double share = std::min(1.0, needed_recompute(s));
  return stage.recompute *
         (share <= 0.5 ? p.cheap_recompute * share : p.cheap_recompute * 0.5 + (1 - p.cheap_recompute * 0.5) * (share - 0.5) / 0.5);
}

// The share that software of that date overlaps with the backward pass.
double overlap_of(double share, double date) { return share * std::clamp((date - 2024.2) / 0.75, 0.0, 1.0); }

void add_data_parallel(StepTime& t, const TrainSetup& s, const CostParameters& p, double micro_batches, double busy) {
  const Layout& l = s.layout;
  const int64_t dp = l.dp(s.gpus);
  const StoredParameters stored = stored_parameters(s);
  const double ways = stored.expert_ways;
  const RankGroup dense_group{dp * l.cp, l.tp}, expert_group{std::max<int64_t>(1, int64_t(ways)), l.tp * std::max<int64_t>(1, l.ep / l.tp)};
  const bool sharded = l.sharding != Sharding::kOptimizer && dp > 1;
  if (sharded) {
    const RankGroup group{l.shard_group > 0 ? l.shard_group : dp * l.cp, l.tp};
    const double gathers = l.sharding == Sharding::kWeights ? 3 : 2;  // forward, backward, and the gradients' scatter
    const double each = gather_seconds(2 * stored.dense, group, s.gpu, p) + gather_seconds(2 * stored.experts, expert_group, s.gpu, p);
    const double layers = double(s.shape.layers) / double(l.pp);
    const double latency = layers * gather_seconds(0, group, s.gpu, p);
    // A pipeline keeps gathered weights for the whole step.
    const double times = l.pp > 1 ? 1 : micro_batches;
    const double wanted = gathers * (each + latency) * times;
    const double hidden = std::min(p.hide_fsdp * wanted, 0.9 * busy);
    t.dp += wanted - hidden;
    // Replicas of the sharding group reduce their gradients once a step.
    if (l.shard_group > 0 && dp * l.cp > l.shard_group)
      t.dp += (1 - p.hide_dp) * 2 *
              gather_seconds(4 * stored.dense / double(l.shard_group), {dp * l.cp / l.shard_group, l.tp * l.shard_group}, s.gpu, p);
  } else if (dp * l.cp > 1) {
    const double reduce =
        gather_seconds(4 * stored.dense, dense_group, s.gpu, p) + gather_seconds(4 * stored.experts, expert_group, s.gpu, p);
    const double wanted = 1.5 * reduce;  // gradients in 32 bits, weights back in 16
    const double hidden = std::min(overlap_of(p.hide_dp, s.software_date) * wanted, 0.5 * busy / std::max(1.0, micro_batches) * double(2));
    t.dp += wanted - hidden;
  }
  // The gradient is read for its norm; master weight, moments and gradient are read; master, moments and weight written; the gradient is cleared.
  const double states = sharded || ways > 1 ? (stored.dense / double(dp * l.cp) + stored.experts / ways) : stored.dense + stored.experts;
  t.optimizer = states * (2 * s.optimizer_bytes + 14) / (s.gpu.hbm_tb_s * 1e12 * p.hbm) + p.step_ms * 1e-3;
}

}  // namespace

StepTime step_time(const TrainSetup& s, const CostParameters& p) {
  const Layout& l = s.layout;
  const double dp = double(l.dp(s.gpus));
  const double micro_batches = std::max(1.0, double(s.batch_seqs) / (dp * double(l.micro_seqs)));
  const LayerTime stage = stage_time(s, p);
  StepTime t;
  t.gemm = stage.gemm * micro_batches, t.attention = stage.attention * micro_batches, t.traffic = stage.traffic * micro_batches;
  t.recompute = recompute_seconds(s, stage, p) * micro_batches;
  // A full recompute repeats the forward pass's communication: half of the tensor and expert traffic, a third of the context traffic.
  const double repeated = l.recompute == Recompute::kFull ? 1 : 0;
  t.tp = stage.tp * micro_batches * (1 + repeated / 2), t.ep = stage.ep * micro_batches * (1 + repeated / 2);
  t.cp = stage.cp * micro_batches * (1 + repeated / 3);
  // Device and host work side by side: the slower one decides. A norm joins them.
  const double device = t.gemm + t.attention + t.traffic + t.recompute + t.tp + t.cp + t.ep, host = stage.host * micro_batches;
  t.host = std::pow(std::pow(device, p.host_power) + std::pow(host, p.host_power), 1 / p.host_power) - device;
  const double busy = device + t.host;
  if (l.pp > 1) {
    // 1F1B, interleaved vp-fold; under DualPipe (pp/2 - 1)(F&B + B - 3W) = (pp/2 - 1) * 2/3 of a micro-batch (V3 report, table 2).
    const double idle = l.dual_pipe() ? (double(l.pp) / 2 - 1) * 2 / 3 : double(l.pp - 1) / double(l.vp);
    t.bubble = busy * (std::max(0.0, idle) / micro_batches + p.imbalance);
    const double bytes = 2 * double(l.micro_seqs * s.seq_len) / double(l.cp * l.tp) * double(s.shape.d_model);
    const double port = l.tp * l.cp * l.pp <= s.gpu.domain ? s.gpu.link_gb_s * p.link : s.gpu.nic_gb_s * p.nic;
    t.pp = 2 * double(l.vp) * micro_batches * (bytes / (port * 1e9) + p.hop_us * 1e-6) * 0.25;
  }
  add_data_parallel(t, s, p, micro_batches, busy);
  // The ranks of one stage wait for the slowest of them once a step.
  const double beyond = double(s.gpus) / double(8 * l.pp);
  if (beyond > 1) t.straggle = t.total() * p.straggle * std::log2(beyond);
  return t;
}

double tokens_per_second(const TrainSetup& s, const StepTime& t) {
  return double(s.batch_seqs) * double(s.seq_len) / (t.total() * double(s.gpus));
}

}  // namespace finback
