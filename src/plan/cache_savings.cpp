#include "plan/cache_savings.h"

#include <algorithm>

#include "base/error.h"
#include "plan/hit_curve.h"

namespace finback {

std::vector<CacheSize> price_cache_sizes(const CacheTrace& trace, const ServePlan& plan, const std::vector<double>& gigabytes) {
  const HitCurve curve = replay_trace(trace);
  const double block_bytes = double(trace.block_tokens) * plan.cache_bytes_per_token;
  std::vector<CacheSize> sizes;
  for (const double gb : gigabytes) sizes.push_back({.bytes = 1e9 * gb});
  if (gigabytes.empty()) {
    for (int halvings = 7; halvings >= 0; --halvings) {
      const int64_t blocks = trace.distinct_blocks >> halvings;
      if (blocks > 0) sizes.push_back({.bytes = double(blocks) * block_bytes});
    }
  }
  for (CacheSize& size : sizes) {
    size.blocks = int64_t(std::min(size.bytes / block_bytes, double(trace.distinct_blocks)));
    size.hit = double(curve.at(size.blocks) * trace.block_tokens) / double(trace.prompt_tokens);
    size.usd_per_m_input = size.hit * plan.usd_per_m_hit + (1 - size.hit) * plan.usd_per_m_miss;
    size.usd_saved = (plan.usd_per_m_miss - size.usd_per_m_input) * double(trace.prompt_tokens) / 1e6;
  }
  return sizes;
}

Json savings_json(const CacheTrace& trace, const std::vector<CacheSize>& sizes) {
  Json rows = Json::array();
  for (const CacheSize& s : sizes)
    rows.push_back({{"gb", s.bytes / 1e9},
                    {"blocks", s.blocks},
                    {"hit_share", s.hit},
                    {"usd_per_million_input", s.usd_per_m_input},
                    {"usd_saved", s.usd_saved}});
  return {{"requests", trace.requests.size()},  {"prompt_tokens", trace.prompt_tokens},     {"output_tokens", trace.output_tokens},
          {"block_tokens", trace.block_tokens}, {"distinct_blocks", trace.distinct_blocks}, {"sizes", rows}};
}

std::string savings_text(const CacheTrace& trace, const std::vector<CacheSize>& sizes) {
  std::string text = fmt::format(
      "trace: {} requests, {} prompt tokens, {} output tokens; {} different blocks of {} tokens, least recently used out first\n",
      trace.requests.size(), trace.prompt_tokens, trace.output_tokens, trace.distinct_blocks, trace.block_tokens);
  text += fmt::format("  {:>12} {:>10} {:>16} {:>14}\n", "cache, GB", "hit, %", "$ a M input", "$ saved");
  for (const CacheSize& s : sizes)
    text += fmt::format("  {:>12.5g} {:>10.1f} {:>16.4f} {:>14.5g}\n", s.bytes / 1e9, 100 * s.hit, s.usd_per_m_input, s.usd_saved);
  return text + "  the cache's own memory or disks are not priced; one cache for all accelerators\n";
}

}  // namespace finback
