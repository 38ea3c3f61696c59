// One pool loop over the pieces of many jobs. Knows no arithmetic.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/pool.h"

namespace finback {

inline int64_t pieces_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

// body(index of the job, index within the job) for every piece of every job; count_of(job) says how many a job has.
template <class Job, class CountOf, class Body>
void for_all_pieces(std::span<const Job> jobs, const CountOf& count_of, const Body& body) {
  std::vector<int64_t> starts = {0};
  for (const Job& job : jobs) starts.push_back(starts.back() + count_of(job));
  parallel_for(starts.back(), [&](int64_t i) {
    const size_t job = size_t(std::upper_bound(starts.begin(), starts.end(), i) - starts.begin()) - 1;
    body(job, i - starts[job]);
  });
}

}  // namespace finback
