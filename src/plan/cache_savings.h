// What a prefix cache of a given size saves on a trace: hit rate, mean price of input tokens, dollars. The cache's own memory or disks are not priced.
#pragma once
#include <vector>

#include "plan/cache_trace.h"
#include "plan/serve_plan.h"

namespace finback {

struct CacheSize {
  double bytes = 0;
  int64_t blocks = 0;
  double hit = 0;              // share of the trace's prompt tokens
  double usd_per_m_input = 0;  // mean over hits and misses
  double usd_saved = 0;        // of the whole trace, against no cache
};
// `gigabytes` empty: eight sizes, each half of the next, up to the one that keeps every block.
std::vector<CacheSize> price_cache_sizes(const CacheTrace& trace, const ServePlan& plan, const std::vector<double>& gigabytes);

Json savings_json(const CacheTrace& trace, const std::vector<CacheSize>& sizes);
std::string savings_text(const CacheTrace& trace, const std::vector<CacheSize>& sizes);

}  // namespace finback
