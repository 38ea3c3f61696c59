// The layout of a run over accelerators: tensor, pipeline, context, expert and data parallel, sharding and recompute. Parsing and the divisibility
// rules; knows no times.
#pragma once
#include <cstdint>
#include <string>

#include "cost/model_shape.h"

namespace finback {

enum class Recompute { kAuto, kNone, kSelective, kFull };  // kAuto: as little as memory asks for
enum class Sharding { kOptimizer, kGradients, kWeights };  // ZeRO-1; SHARD_GRAD_OP (ZeRO-2); FULL_SHARD (ZeRO-3, FSDP)

struct Layout {
  int64_t tp = 1, pp = 1, vp = 1, cp = 1, ep = 1;
  int64_t micro_seqs = 1;  // sequences of a micro-batch
  Sharding sharding = Sharding::kOptimizer;
  int64_t shard_group = 0;  // accelerators that weights are sharded over with kWeights; 0: all of data parallel
  Recompute recompute = Recompute::kAuto;
  bool hide_experts = false;    // expert all-to-all runs beside compute of another micro-batch (DualPipe and its kin)
  bool static_experts = false;  // tokens over an expert's capacity are dropped, so shapes are known beforehand
  bool hide_tensor = false;     // asynchronous tensor parallel
  // Fed from both ends (V3 report, section 3.2.1): the smaller bubble, for twice the weights.
  bool dual_pipe() const { return hide_experts && pp > 1 && vp == 1; }
  int64_t dp(int64_t gpus) const { return gpus / (tp * pp * cp); }
};

// "tp2,pp8,vp4,ep64,mbs1,full,fsdp": words in any order; throws Error that names the word. `hide-ep`: DualPipe.
Layout parse_layout(const std::string& text);
// Long rows leave few micro-batches for a pipeline: context parallel takes ranks from data parallel until a rank has four for each stage.
void widen_context(Layout& layout, int64_t gpus, int64_t batch_seqs);
std::string layout_name(const Layout& layout);
// "" when the layout can be built for this shape, batch and number of accelerators, else what does not divide (expected, got).
std::string layout_fault(const Layout& layout, const ModelShape& shape, int64_t gpus, int64_t batch_seqs, int64_t seq_len);

}  // namespace finback
