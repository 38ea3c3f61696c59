#include "plan/layout_search.h"

#include <algorithm>

namespace finback {
namespace {

constexpr double kDualPipeSince = 2025.15;  // DeepSeek published DualPipe in February 2025

std::vector<int64_t> powers(int64_t most) {
  std::vector<int64_t> list;
  for (int64_t i = 1; i <= most; i *= 2) list.push_back(i);
  return list;
}

// Layouts worth trying: tensor parallel stays in a scale-up domain, context parallel only for long rows.
std::vector<Layout> layouts_to_try(const TrainSetup& s) {
  std::vector<Layout> list;
  const int64_t most_tp = std::min<int64_t>({8, s.gpu.domain, s.gpus}), most_cp = s.seq_len >= 16384 ? s.seq_len / 8192 : 1;
  for (const int64_t tp : powers(most_tp))
    for (const int64_t pp : powers(std::min<int64_t>(32, s.shape.layers)))
      for (const int64_t cp : powers(most_cp))
        for (const int64_t ep : powers(s.shape.is_moe() ? std::min<int64_t>(s.shape.experts, 64) : 1))
          for (const int64_t mbs : powers(4))
            for (const int64_t vp : powers(pp > 1 ? std::clamp<int64_t>(s.shape.layers / pp, 1, 8) : 1))
              for (const Sharding sharding : {Sharding::kOptimizer, Sharding::kWeights}) {
                if (sharding == Sharding::kWeights && pp > 1) continue;
                Layout l;
                l.tp = tp, l.pp = pp, l.cp = cp, l.ep = ep, l.micro_seqs = mbs, l.vp = vp, l.sharding = sharding;
                l.hide_experts = s.layout.hide_experts;
                list.push_back(l);
                if (l.hide_experts || s.software_date < kDualPipeSince || ep == 1) continue;
                l.hide_experts = true;
                if (l.dual_pipe()) list.push_back(l);
              }
  return list;
}

bool faster(const TimedLayout& a, const TimedLayout& b) { return a.tokens_per_s > b.tokens_per_s; }

}  // namespace

TimedLayout time_layout(const TrainSetup& s, const CostParameters& p) {
  TimedLayout c;
  c.layout = s.layout;
  // Norms, activations and up-projections recomputed: half of the bytes, few of the seconds. Before fused attention it meant the scores.
  const double selective = s.software_date < 2022.7 ? 0 : 0.5;
  switch (s.layout.recompute) {
    case Recompute::kFull:
      c.recomputed = 1;
      break;
    case Recompute::kAuto:
      c.recomputed = needed_recompute(s);
      break;
    case Recompute::kSelective:
      c.recomputed = selective;
      break;
    case Recompute::kNone:
      break;
  }
  c.memory = fullest_stage(s, std::min(1.0, c.recomputed));
  c.time = step_time(s, p);
  c.tokens_per_s = tokens_per_second(s, c.time);
  return c;
}

LayoutSearch search_layouts(TrainSetup s, const CostParameters& p, size_t count) {
  LayoutSearch found;
  for (const Layout& layout : layouts_to_try(s)) {
    s.layout = layout;
    ++found.tried;
    if (!layout_fault(layout, s.shape, s.gpus, s.batch_seqs, s.seq_len).empty()) {
      ++found.indivisible;
      continue;
    }
    if (needed_recompute(s) > 1) {
      TimedLayout c;
      c.layout = layout, c.recomputed = 2, c.memory = fullest_stage(s, 1);
      if (found.too_big++ == 0 || c.memory.total() < found.nearest.memory.total()) found.nearest = c;
      continue;
    }
    const TimedLayout c = time_layout(s, p);
    const auto place = std::upper_bound(found.best.begin(), found.best.end(), c, faster);
    if (size_t(place - found.best.begin()) < count) found.best.insert(place, c);
    if (found.best.size() > count) found.best.pop_back();
  }
  return found;
}

int64_t fewest_accelerators(TrainSetup s, const CostParameters& p) {
  for (int64_t gpus = std::max<int64_t>(1, s.gpus); gpus <= (int64_t{1} << 20); gpus *= 2) {
    s.gpus = gpus;
    s.batch_seqs = std::max(s.batch_seqs, gpus);
    if (!search_layouts(s, p, 1).best.empty()) return gpus;
  }
  return 0;
}

}  // namespace finback
