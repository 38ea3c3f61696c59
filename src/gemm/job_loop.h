// One pool loop over the pieces of many jobs, and how matrix products are cut into them. Knows no arithmetic.
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

// The rows and columns of C that a piece computes: multiples of every tile's (4, 6, 12 rows; up to 64 columns). A cut never changes a bit, and never
// depends on the thread count all the same.
struct Cut {
  int64_t rows, columns;
};
// Fewer columns pack the same rows of A more often.
constexpr Cut kCuts[] = {{96, 256}, {48, 256}, {24, 256}, {24, 128}};

constexpr int64_t kMinChunks = 16;  // below this a loop is cut finer: the last chunk's wait is at most a few percent on a few threads

// The first of `cuts` with which the jobs have enough chunks together, else the last.
template <class C, size_t N, class Job, class ChunksOf>
C choose_cut(const C (&cuts)[N], std::span<const Job> jobs, const ChunksOf& chunks_of, int64_t enough = kMinChunks) {
  return *std::find_if(cuts, cuts + N - 1, [&](const C& cut) {
    int64_t chunks = 0;
    for (const Job& job : jobs) chunks += chunks_of(job, cut);
    return chunks >= enough;
  });
}

}  // namespace finback
