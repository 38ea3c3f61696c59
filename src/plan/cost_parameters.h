// What training reaches of what hardware offers: a few shares, fitted by tools/fit_cost on published rows (configs/cost/parameters.toml, compiled in).
// They belong to kinds of work, to hardware generations and to the date of the software; none belongs to a model.
#pragma once
#include "base/fields.h"

namespace finback {

struct CostParameters {
  // Matrix products: share of the measured ceiling that long products of a training step run at.
  double gemm_16 = 0.92, gemm_fp8 = 0.80, gemm_fp8_block = 0.72, gemm_mxfp8 = 0.75, gemm_fp4 = 0.55;
  double unmeasured_16 = 0.78, unmeasured_8 = 0.71;  // ceiling / peak where nobody measured
  double power = 0.4;                                // rate goes with (cap / power of the die) to this
  double gemm_traffic = 0.5;                         // share of a product's bytes that is not hidden behind its arithmetic
  double gemm_start_us = 6;                          // start, ramp and tail of one product
  // Attention: matrix part, and exponentials not hidden.
  double attention_16 = 0.62, attention_exp = 0.45;
  double young = 0.05;               // for each year that a part is younger than three, kernels lose this share of their rate
  double attention_progress = 0.10;  // attention loses this share for each year before 2025, or before kernels for the part were mature
  double traffic = 1.0;              // bytes of element-wise passes over the counted ones, fused as in 2025
  double quantize = 1.0;             // the same of casts to 8 and 4 bits
  double permute = 1.5;              // the same of expert permutation
  double cheap_recompute = 0.5;      // seconds of recomputing the cheap half of the kept activations, over its share of them
  double progress = 0.12;            // a year of software takes this share off traffic, casts and host time
  double hbm = 0.85;                 // share of memory bandwidth
  // Host: time to issue one layer's kernels of one micro-batch, forward and backward, in 2025.
  double host_dense_ms = 1.0, host_moe_ms = 6.0;
  double host_progress = 0.35;
  double host_static = 0.4;  // MoE host time where shapes are static (tokens over capacity are dropped): nothing waits for counts
  double host_graphs = 0.4;  // MoE host time and permutation where dropless layers are captured and fused (2026, Blackwell)
  double host_power = 4;     // exponent of the norm that joins host and device time: the larger, the more the slower one decides
  // Links.
  double link = 0.75, nic = 0.70;
  double hop_us = 12;  // latency of a collective's hop
  double hide_tp = 0.55, hide_fsdp = 0.75, hide_dp = 0.85, hide_ep = 0.3, hide_cp = 0.8;
  double hide_ep_dual = 0.9, hide_ep_1f1b = 0.7;  // where the schedule interleaves micro-batches for it
  double straggle = 0.006;                        // lost for each doubling of accelerators beyond a node: waiting for the slowest
  double step_ms = 8;                             // a step's fixed work: loss sync, data, logging
  double imbalance = 0.03;                        // pipeline stages are not equal
  double experts_uneven = 0.0;                    // extra load of the fullest expert group where routing is free
  // Campaigns: ideal hours / charged hours; of the planned speed, the share that published ones reach.
  double goodput = 0.89;
  double practice_dense = 0.80, practice_moe = 0.75;
  // Half of an 80 % interval, as a factor on times.
  double spread_step_dense = 1.15, spread_step_moe = 1.25, spread_hours_dense = 1.5, spread_hours_moe = 1.6;
};
template <class V>
void visit_fields(CostParameters& p, V& v) {
  v("gemm_16", p.gemm_16, "16-bit products: share of the ceiling");
  v("gemm_fp8", p.gemm_fp8, "FP8, a scale a tensor");
  v("gemm_fp8_block", p.gemm_fp8_block, "FP8, scales of 128 x 128 blocks");
  v("gemm_mxfp8", p.gemm_mxfp8, "MXFP8, scales of 32");
  v("gemm_fp4", p.gemm_fp4, "NVFP4, of 0.72 of its peak");
  v("unmeasured_16", p.unmeasured_16, "ceiling / peak of 16-bit parts not measured");
  v("unmeasured_8", p.unmeasured_8, "the same of FP8");
  v("power", p.power, "exponent of capped power");
  v("gemm_traffic", p.gemm_traffic, "share of a product's bytes not hidden");
  v("gemm_start_us", p.gemm_start_us, "start of a product, us");
  v("attention_16", p.attention_16, "attention's products: share of the ceiling");
  v("young", p.young, "a year of a part's youth: share of the rates lost");
  v("attention_progress", p.attention_progress, "yearly share of attention's rate gained until its kernels were mature");
  v("attention_exp", p.attention_exp, "share of the exponentials not hidden");
  v("traffic", p.traffic, "element-wise bytes against the counted ones");
  v("quantize", p.quantize, "cast bytes against the counted ones");
  v("permute", p.permute, "expert permutation bytes against the counted ones");
  v("cheap_recompute", p.cheap_recompute, "recomputing the cheap half: cost against its share");
  v("progress", p.progress, "yearly share taken off by software");
  v("hbm", p.hbm, "share of memory bandwidth");
  v("host_dense_ms", p.host_dense_ms, "host, ms a dense layer a micro-batch in 2025");
  v("host_moe_ms", p.host_moe_ms, "host, ms an MoE layer a micro-batch in 2025");
  v("host_progress", p.host_progress, "yearly share taken off the host's time");
  v("host_static", p.host_static, "MoE host time with static shapes");
  v("host_graphs", p.host_graphs, "MoE host time with captured graphs");
  v("host_power", p.host_power, "norm that joins host and device time");
  v("link", p.link, "share of the scale-up link");
  v("nic", p.nic, "share of the network");
  v("hop_us", p.hop_us, "latency of a hop, us");
  v("hide_tp", p.hide_tp, "share of tensor-parallel traffic hidden");
  v("hide_fsdp", p.hide_fsdp, "share of weight gathering hidden");
  v("hide_dp", p.hide_dp, "share of gradient reduction hidden");
  v("hide_ep", p.hide_ep, "share of expert exchange hidden");
  v("hide_cp", p.hide_cp, "share of context-parallel traffic hidden");
  v("hide_ep_dual", p.hide_ep_dual, "the same under a schedule made for it");
  v("hide_ep_1f1b", p.hide_ep_1f1b, "the same under interleaved 1F1B since 2026");
  v("straggle", p.straggle, "lost a doubling of accelerators");
  v("step_ms", p.step_ms, "fixed work of a step, ms");
  v("imbalance", p.imbalance, "unequal pipeline stages");
  v("experts_uneven", p.experts_uneven, "extra load of the fullest expert group");
  v("goodput", p.goodput, "ideal hours / campaign hours");
  v("practice_dense", p.practice_dense, "campaigns of dense models: planned speed that is reached");
  v("practice_moe", p.practice_moe, "the same of sparse models");
  v("spread_step_dense", p.spread_step_dense, "80 % interval of a step, as a factor");
  v("spread_step_moe", p.spread_step_moe, "the same of sparse models");
  v("spread_hours_dense", p.spread_hours_dense, "80 % interval of a campaign, as a factor");
  v("spread_hours_moe", p.spread_hours_moe, "the same of sparse models");
}

// The fitted ones of configs/cost/parameters.toml.
const CostParameters& fitted_parameters();

}  // namespace finback
