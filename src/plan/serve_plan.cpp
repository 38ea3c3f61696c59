#include "plan/serve_plan.h"

#include <algorithm>
#include <cmath>

#include "base/timer.h"
#include "cost/cache_bytes.h"
#include "cost/flops.h"
#include "cost/parameter_count.h"
#include "plan/layer_time.h"
#include "plan/link_time.h"
#include "plan/stage_memory.h"

namespace finback {
namespace {

double cache_bytes(const ModelShape& m) { return double(cache_bytes_per_token(m, /*bytes_per_value=*/2, /*with_mtp=*/false)); }

// Experts are spread over the group. The other weights lie on every accelerator of it in a mixture of experts, and are spread in a dense model.
double weight_bytes_per_gpu(const ServeRequest& r) {
  const ParameterCount count = count_parameters(r.setup.shape);
  const double experts = double(r.setup.shape.moe_layers() * r.setup.shape.experts) * double(expert_parameters(r.setup.shape));
  const double gpus = double(r.setup.gpus), rest = double(count.total()) - experts;
  return r.weight_bytes * (experts / gpus + (r.setup.shape.is_moe() ? rest : rest / gpus));
}

double decode_step(const ServeRequest& r, double batch, const CostParameters& p) {
  const TrainSetup& s = r.setup;
  const ModelShape& m = s.shape;
  const ParameterCount count = count_parameters(m);
  const double context = r.context + r.output / 2;
  const double attention = batch * double(decode_flops_per_key(m)) * decoded_keys(m, context);
  const double bytes = weight_bytes_per_gpu(r) + batch * context * cache_bytes(m);
  const double busy =
      (batch * 2 * double(count.matmul(false)) / gemm_rate(s.gpu, s.precision, p) + attention / gemm_rate(s.gpu, MatrixPrecision::k16, p)) /
      0.6;
  double seconds = std::max(bytes / (s.gpu.hbm_tb_s * 1e12 * p.hbm), busy);
  const double layers = double(m.attention_layers + m.ffn_layers);
  seconds += layers * 2 * p.gemm_start_us * 1e-6;
  if (m.is_moe() && s.gpus > 1) {
    const double sent = batch * double(m.top_k) * double(m.d_model);
    const RankGroup group{s.gpus, 1};
    seconds += double(m.moe_layers()) *
               (exchange_seconds(sent, double(m.top_k), group, s.gpu, p) + exchange_seconds(2 * sent, double(m.top_k), group, s.gpu, p)) *
               (1 - p.hide_ep);
  } else if (s.gpus > 1) {
    seconds += layers * 2 * gather_seconds(2 * batch * double(s.gpus) * double(m.d_model), {s.gpus, 1}, s.gpu, p);
  }
  return seconds;
}

double prefill_rate(const ServeRequest& r, const CostParameters& p) {
  TrainSetup s = r.setup;
  s.seq_len = std::max<int64_t>(1, int64_t(r.context));
  s.layout = Layout{};
  s.layout.micro_seqs = std::max<int64_t>(1, 16384 / s.seq_len);
  s.layout.ep = s.shape.is_moe() ? std::min(s.gpus, s.shape.experts) : 1;
  s.layout.tp = s.shape.is_moe() ? 1 : std::min(s.gpus, s.gpu.domain);
  const ModelShape& m = s.shape;
  double seconds = 0;
  const auto add = [&](LayerKind kind, int64_t layers) {
    if (layers < 1) return;
    const LayerTime t = layer_time(s, kind, p);
    seconds += double(layers) * (t.recompute + (t.tp + t.cp + t.ep) / 2);
  };
  add(LayerKind::kAttention, m.attention_layers), add(LayerKind::kDenseFfn, m.plain_ffn_layers());
  add(LayerKind::kMoeFfn, m.moe_layers()), add(LayerKind::kMixer, m.mixer_layers);
  return double(s.layout.micro_seqs * s.seq_len) / seconds / double(s.layout.tp);
}

}  // namespace

ServePlan plan_serving(const ServeRequest& r, const CostParameters& p) {
  FB_CHECK(r.context >= 1 && r.output >= 1, "--context, --output: expected at least one token, got {} and {}", r.context, r.output);
  FB_CHECK(r.hit >= 0 && r.hit <= 1, "--hit: expected a share from 0 to 1, got {}", r.hit);
  ServePlan plan;
  plan.weight_bytes = weight_bytes_per_gpu(r);
  plan.cache_bytes_per_token = cache_bytes(r.setup.shape);
  const double room = usable_memory(r.setup.gpu) - plan.weight_bytes, request_bytes = (r.context + r.output) * plan.cache_bytes_per_token;
  FB_CHECK(room > request_bytes, "{} x {}: weights need {} of {} usable each, and one request {} more. Hint: a larger --group",
           r.setup.gpus, r.setup.gpu.title, human_bytes(plan.weight_bytes), human_bytes(usable_memory(r.setup.gpu)),
           human_bytes(request_bytes));
  plan.batch = std::floor(room / request_bytes);
  while (plan.batch > 1 && decode_step(r, plan.batch, p) * r.least_speed > 1) plan.batch = std::floor(plan.batch * 0.95);
  plan.decode_step_s = decode_step(r, plan.batch, p);
  plan.decode_tokens_per_s = plan.batch / plan.decode_step_s;
  plan.prefill_tokens_per_s = prefill_rate(r, p);
  const double second = r.price.usd_per_hour / 3600 / r.load;
  plan.usd_per_m_miss = 1e6 * second / plan.prefill_tokens_per_s;
  // Cached tokens are read over the network port instead of computed.
  plan.usd_per_m_hit = 1e6 * second * plan.cache_bytes_per_token / (r.setup.gpu.nic_gb_s * 1e9 * p.nic);
  plan.usd_per_m_input = r.hit * plan.usd_per_m_hit + (1 - r.hit) * plan.usd_per_m_miss;
  plan.usd_per_m_output = 1e6 * second / plan.decode_tokens_per_s;
  return plan;
}

Json serve_json(const ServeRequest& r, const ServePlan& plan) {
  return {{"accelerator", r.setup.gpu.name},
          {"group", r.setup.gpus},
          {"context", r.context},
          {"output", r.output},
          {"hit_share", r.hit},
          {"least_speed", r.least_speed},
          {"batch_per_gpu", plan.batch},
          {"decode_step_s", plan.decode_step_s},
          {"decode_tokens_per_s_per_gpu", plan.decode_tokens_per_s},
          {"prefill_tokens_per_s_per_gpu", plan.prefill_tokens_per_s},
          {"cache_bytes_per_token", plan.cache_bytes_per_token},
          {"weight_bytes_per_gpu", plan.weight_bytes},
          {"usd_per_million",
           {{"input_hit", plan.usd_per_m_hit},
            {"input_miss", plan.usd_per_m_miss},
            {"input", plan.usd_per_m_input},
            {"output", plan.usd_per_m_output}}},
          {"load", r.load},
          {"usd_per_hour", r.price.usd_per_hour},
          {"price", r.price.what},
          {"price_kind", r.price.kind},
          {"price_source", r.price.source},
          {"price_date", r.price.date}};
}

std::string serve_text(const ServeRequest& r, const ServePlan& plan) {
  std::string text =
      fmt::format("serving on groups of {} x {}, prompts of {:.0f}, answers of {:.0f} tokens, {:.0f} % of the prompt cached\n",
                  r.setup.gpus, r.setup.gpu.title, r.context, r.output, 100 * r.hit);
  const auto line = [&](const char* name, const std::string& value) { text += fmt::format("  {:<20} {}\n", name, value); };
  line("prefill", fmt::format("{:.0f} tokens/s an accelerator", plan.prefill_tokens_per_s));
  line("decoding", fmt::format("{:.0f} tokens/s per accelerator: {:.0f} requests, {:.1f} ms a step", plan.decode_tokens_per_s, plan.batch,
                               1e3 * plan.decode_step_s));
  line("memory",
       fmt::format("{} of weights, {} of KV cache per token", human_bytes(plan.weight_bytes), human_bytes(plan.cache_bytes_per_token)));
  if (r.price.usd_per_hour <= 0) {
    line("$ a million tokens", fmt::format("no price for {} in configs/prices.toml. Hint: --rate USD", r.setup.gpu.name));
  } else {
    line("$ a million tokens",
         fmt::format("{:.4f} input cached, {:.4f} input new, {:.4f} output (${:.2f} an hour, {:.0f} % load; {}, {}, {} [{}])",
                     plan.usd_per_m_hit, plan.usd_per_m_miss, plan.usd_per_m_output, r.price.usd_per_hour, 100 * r.load, r.price.kind,
                     r.price.date, r.price.what, r.price.source));
  }
  line("assumed", "rooflines: no queueing, balanced experts, one request's speed at least what was asked; not fitted to serving data");
  return text;
}

}  // namespace finback
