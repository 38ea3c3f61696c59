#include "plan/layer_time.h"

#include <algorithm>
#include <cmath>

#include "cost/flops.h"
#include "plan/link_time.h"

namespace finback {
namespace {

constexpr double kBackward = 2;         // gradients of input and of weight
constexpr double kFlashBackward = 2.5;  // five products instead of two
constexpr double kHiddenTensorSince = 2024.4, kHiddenExpertsSince = 2026.0, kGraphsSince = 2026.42;
constexpr double kMatureAge = 4.0;      // years after which attention kernels for a part have stopped gaining
constexpr double kFusedSince = 2022.7;  // attention kernels that keep scores on chip

bool below_16_bits(MatrixPrecision precision) { return precision != MatrixPrecision::k16; }

// Software gets faster by exp(-share) a year, counted from 2025.
double dated(double share, double date) { return std::exp(-share * (date - 2025)); }

// The forward pass of one layer: seconds of matrix products, values moved element by element, values cast.
struct LayerForward {
  const TrainSetup& s;
  const CostParameters& p;
  double tokens;  // of the micro-batch on this rank, not yet divided by tensor parallel
  double seconds = 0, moved = 0, cast = 0;

  double bandwidth() const { return s.gpu.hbm_tb_s * 1e12 * p.hbm; }
  // `count` products [m, k] x [k, n].
  void gemm(double m, double n, double k, double count = 1, bool linear = true) {
    const MatrixPrecision precision = linear ? s.precision : MatrixPrecision::k16;
    const double bytes = below_16_bits(precision) ? (m * k + k * n) + 2 * m * n : 2 * (m * k + k * n + m * n);
    seconds += count * (2 * m * n * k / gemm_rate(s.gpu, precision, p) + p.gemm_traffic * bytes / bandwidth()) + p.gemm_start_us * 1e-6;
    if (linear && below_16_bits(precision)) cast += count * m * k * 5;  // read 2 bytes, write 1 for each direction of use, scales
  }
  void elements(double count) { moved += 2 * count; }
  double traffic() const {
    const double early = dated(p.progress, s.software_date);
    const double recipe = s.precision == MatrixPrecision::kFp8Block ? 1.5 : 1;
    return (p.traffic * moved + p.quantize * recipe * cast) * early / bandwidth();
  }
};

LayerTime with_backward(const LayerForward& pass, double host_ms, double host_progress) {
  LayerTime time;
  const double youth = 1 + pass.p.young * std::clamp(double(pass.s.gpu.year) + 3.5 - pass.s.software_date, 0.0, 3.0);
  time.gemm = (1 + kBackward) * pass.seconds * youth;
  time.traffic = (1 + kBackward) * pass.traffic() * youth;
  time.host = host_ms * 1e-3 * dated(host_progress, pass.s.software_date);
  time.recompute = (pass.seconds + pass.traffic()) * youth;
  return time;
}

void attention_gemms(LayerForward& pass, double tp) {
  const ModelShape& m = pass.s.shape;
  const double d = double(m.d_model), h = double(m.heads), n = pass.tokens, dqk = double(m.head_dim), dv = double(m.value_dim);
  if (m.is_mla()) {
    if (m.q_rank > 0) pass.gemm(n / tp, double(m.q_rank), d);
    pass.gemm(n, h * dqk / tp, m.q_rank > 0 ? double(m.q_rank) : d);
    pass.gemm(n / tp, double(m.kv_rank + m.rope_dim), d);
    pass.gemm(n, h * (dqk - double(m.rope_dim) + dv) / tp, double(m.kv_rank));
    pass.elements(n * (2 * double(m.q_rank + m.kv_rank) + h * dqk / tp));
  } else {
    pass.gemm(n, (h * dqk + double(m.kv_heads) * (dqk + dv)) / tp, d);
  }
  pass.gemm(n, d, h * dv / tp);
}

// Attention that keeps its scores in memory: `products` matrix products over the full square (two of them forward) and `passes` over 16-bit scores.
double unfused_attention(const TrainSetup& s, const CostParameters& p, double tokens, double products, double passes) {
  const double scores = tokens * double(s.shape.heads) / double(s.layout.tp) * double(s.seq_len);
  const double product = scores * double(s.shape.head_dim + s.shape.value_dim);
  return products * product / gemm_rate(s.gpu, MatrixPrecision::k16, p) + passes * 2 * scores / (s.gpu.hbm_tb_s * 1e12 * p.hbm);
}

struct CoreSeconds {
  double forward = 0, backward = 0;
  double recompute = 0;  // what selective recompute runs once more
};

CoreSeconds attention_core(const TrainSetup& s, const CostParameters& p, double tokens) {
  if (s.software_date < kFusedSince) {
    // Forward: the scores are written; softmax reads and writes them; so does dropout, with its mask; the product with the values reads them.
    // Selective recompute stops before that product. Backward: the scores are read and their gradient is written; dropout; softmax, with three
    // passes; the products for the gradients of queries and keys read it.
    return {unfused_attention(s, p, tokens, 2, 6.5), unfused_attention(s, p, tokens, 4, 9.5), unfused_attention(s, p, tokens, 1, 5.5)};
  }
  const double h = double(s.shape.heads) / double(s.layout.tp), keys = visible_keys(s.shape, double(s.seq_len), AttentionCount::kCausal);
  const double flops = 2 * tokens * h * double(s.shape.head_dim + s.shape.value_dim) * keys;
  const double ceiling = gemm_rate(s.gpu, MatrixPrecision::k16, p) / p.gemm_16;
  const double forward =
      (flops / (ceiling * p.attention_16) + p.attention_exp * tokens * h * keys / (s.gpu.exp_gop_s * 1e9)) *
      std::exp(p.attention_progress * std::max(0.0, std::min(2025.0, double(s.gpu.year) + kMatureAge) - s.software_date));
  return {forward, kFlashBackward * forward, 0};
}

// A layer gathers and scatters a micro-batch's activations twice, forward and backward; half of that is one sub-layer's.
double tensor_seconds(const TrainSetup& s, const CostParameters& p, double tokens) {
  if (s.layout.tp <= 1) return 0;
  const double bytes = 2 * tokens * double(s.shape.d_model);
  const double hidden = s.layout.hide_tensor ? std::max(p.hide_tp, 0.7) : p.hide_tp * (s.software_date >= kHiddenTensorSince ? 1.0 : 0.0);
  return 4 * gather_seconds(bytes, {s.layout.tp, 1}, s.gpu, p) * (1 - hidden);
}

LayerTime attention_time(const TrainSetup& s, const CostParameters& p, double tokens) {
  const Layout& l = s.layout;
  const double tp = double(l.tp), norm_tp = s.sequence_parallel ? tp : 1, d = double(s.shape.d_model);
  LayerForward pass{s, p, tokens};
  attention_gemms(pass, tp);
  pass.elements(tokens * (4 * d / norm_tp + 2 * double(s.shape.heads * s.shape.head_dim + s.shape.kv_heads * s.shape.head_dim) / tp));
  LayerTime time = with_backward(pass, 0.5 * p.host_dense_ms, p.host_progress);
  const CoreSeconds core = attention_core(s, p, tokens);
  time.attention = core.forward + core.backward + (l.recompute == Recompute::kSelective ? core.recompute : 0);
  time.recompute += core.forward;
  time.tp = tensor_seconds(s, p, tokens);
  if (l.cp > 1) {
    const double bytes = 2 * tokens * double(l.cp) * double(s.shape.kv_heads * (s.shape.head_dim + s.shape.value_dim)) / tp;
    time.cp = 3 * gather_seconds(bytes, {l.cp, l.tp}, s.gpu, p) * (1 - p.hide_cp);
  }
  return time;
}

LayerTime dense_time(const TrainSetup& s, const CostParameters& p, double tokens) {
  const double tp = double(s.layout.tp), norm_tp = s.sequence_parallel ? tp : 1, d = double(s.shape.d_model), f = double(s.shape.d_ffn);
  LayerForward pass{s, p, tokens};
  pass.gemm(tokens, (s.shape.gated ? 2 : 1) * f / tp, d);
  pass.gemm(tokens, d, f / tp);
  pass.elements(tokens * (4 * d / norm_tp + (s.shape.gated ? 3 : 2) * f / tp));
  LayerTime time = with_backward(pass, 0.5 * p.host_dense_ms, p.host_progress);
  time.tp = tensor_seconds(s, p, tokens);
  return time;
}

LayerTime moe_time(const TrainSetup& s, const CostParameters& p, double tokens) {
  const Layout& l = s.layout;
  const ModelShape& m = s.shape;
  const double tp = double(l.tp), d = double(m.d_model), f = double(m.d_expert), k = double(m.top_k);
  const double here = tokens / tp, local = double(m.experts) / double(l.ep), up = m.gated ? 2 : 1;
  LayerForward pass{s, p, tokens};
  pass.gemm(here, double(m.experts), d, 1, false);
  const double rows = here * k * (1 + p.experts_uneven) / local;
  pass.gemm(rows, up * f, d, local);
  pass.gemm(rows, d, f, local);
  if (m.shared_experts > 0) {
    pass.gemm(tokens, up * f * double(m.shared_experts) / tp, d);
    pass.gemm(tokens, d, f * double(m.shared_experts) / tp);
  }
  pass.elements(here * (4 * d + (up + 1) * f * (k + double(m.shared_experts)) + 4 * double(m.experts)));
  const bool graphs = s.software_date >= kGraphsSince && s.gpu.year >= 2024;
  pass.elements(p.permute * (graphs ? p.host_graphs : 1) * here * k * 4 * d);
  // The expert exchange needs token counts on the host, which waits for them. Without exchange, grouped products read them on the device.
  const double host = p.host_moe_ms * (l.static_experts || l.ep == 1 ? p.host_static : graphs ? p.host_graphs : 1);
  LayerTime time = with_backward(pass, host, p.host_progress);
  time.tp = m.shared_experts > 0 ? tensor_seconds(s, p, tokens) : 0;
  if (l.ep > 1) {
    // Dispatch sends 8-bit values where the products take such, combine 16-bit ones; the same in the backward pass.
    const double out = here * k * d * (below_16_bits(s.precision) ? 1.5 : 2), back = here * k * d * 2;
    const RankGroup group{l.ep, 1};
    time.ep = 2 * (exchange_seconds(out, k, group, s.gpu, p) + exchange_seconds(back, k, group, s.gpu, p));
    const bool interleaved = l.pp > 1 && l.vp > 1 && s.software_date >= kHiddenExpertsSince;
    time.ep *= 1 - (l.hide_experts ? p.hide_ep_dual : interleaved ? p.hide_ep_1f1b : p.hide_ep);
  }
  return time;
}

LayerTime mixer_time(const TrainSetup& s, const CostParameters& p, double tokens) {
  const double tp = double(s.layout.tp), d = double(s.shape.d_model), inner = double(s.shape.mixer_matmul) / (3.4 * d);
  LayerForward pass{s, p, tokens};
  pass.gemm(tokens, 2.4 * inner / tp, d);
  pass.gemm(tokens, d, inner / tp);
  pass.elements(tokens * (4 * d + 30 * inner / tp));  // convolution, scan, gate
  LayerTime time = with_backward(pass, p.host_dense_ms, p.host_progress);
  time.tp = tensor_seconds(s, p, tokens);
  return time;
}

}  // namespace

LayerTime& LayerTime::operator+=(const LayerTime& o) {
  gemm += o.gemm, attention += o.attention, traffic += o.traffic, host += o.host, recompute += o.recompute;
  tp += o.tp, cp += o.cp, ep += o.ep;
  return *this;
}

LayerTime LayerTime::operator*(double x) const {
  return {x * gemm, x * attention, x * traffic, x * host, x * recompute, x * tp, x * cp, x * ep};
}

double gemm_rate(const Accelerator& gpu, MatrixPrecision precision, const CostParameters& p) {
  const double capped = gpu.die_tdp_w > 0 && gpu.tdp_w > 0 ? std::pow(std::min(1.0, gpu.tdp_w / gpu.die_tdp_w), p.power) : 1;
  const double ceiling_16 = gpu.matmul_bf16_tflops > 0 ? gpu.matmul_bf16_tflops : p.unmeasured_16 * gpu.bf16_tflops;
  const double ceiling_8 = gpu.matmul_fp8_tflops > 0 ? gpu.matmul_fp8_tflops : p.unmeasured_8 * gpu.fp8_tflops;
  const double rate_16 = p.gemm_16 * ceiling_16;
  double rate = rate_16;
  if (precision != MatrixPrecision::k16 && gpu.fp8_tflops > 0) {
    const double share = precision == MatrixPrecision::kFp8Tensor  ? p.gemm_fp8
                         : precision == MatrixPrecision::kFp8Block ? p.gemm_fp8_block
                                                                   : p.gemm_mxfp8;
    rate = share * ceiling_8;
    if (precision == MatrixPrecision::kFp4 && gpu.fp4_tflops > 0) rate = p.gemm_fp4 * p.unmeasured_8 * gpu.fp4_tflops;
  }
  return rate * capped * 1e12;
}

LayerTime layer_time(const TrainSetup& s, LayerKind kind, const CostParameters& p) {
  const double tokens = double(s.layout.micro_seqs) * double(s.seq_len) / double(s.layout.cp);
  switch (kind) {
    case LayerKind::kAttention:
      return attention_time(s, p, tokens);
    case LayerKind::kDenseFfn:
      return dense_time(s, p, tokens);
    case LayerKind::kMoeFfn:
      return moe_time(s, p, tokens);
    case LayerKind::kMixer:
      return mixer_time(s, p, tokens);
  }
  return {};
}

LayerTime head_time(const TrainSetup& s, const CostParameters& p) {
  const double tokens = double(s.layout.micro_seqs) * double(s.seq_len) / double(s.layout.cp), tp = double(s.layout.tp);
  const double d = double(s.shape.d_model), vocab = double(s.shape.vocab);
  LayerForward pass{s, p, tokens};
  pass.gemm(tokens, vocab / tp, d, 1, false);
  // Logits are written, widened to 32 bits, reduced and turned into their gradient. A third of that, because with_backward counts three passes.
  pass.elements(tokens * vocab / tp * 3);
  return with_backward(pass, p.host_dense_ms, p.host_progress);
}

}  // namespace finback
