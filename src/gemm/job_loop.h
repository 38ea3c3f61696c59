// One pool loop over the chunks of many jobs, and how matrix products are cut into output tiles, one a chunk. Knows no arithmetic.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/pool.h"

namespace finback {

// body(index of the job, chunk of the job) for every chunk of every job; chunks_of(job) says how many a job has.
template <class Job, class ChunksOf, class Body>
void for_all_chunks(std::span<const Job> jobs, const ChunksOf& chunks_of, const Body& body) {
  std::vector<int64_t> starts = {0};
  for (const Job& job : jobs) starts.push_back(starts.back() + chunks_of(job));
  parallel_for(starts.back(), [&](int64_t i) {
    const size_t job = size_t(std::upper_bound(starts.begin(), starts.end(), i) - starts.begin()) - 1;
    body(job, i - starts[job]);
  });
}

// The rows and columns of C that a chunk computes: multiples of every register tile's (4, 6, 12 rows; up to 64 columns). A tiling never changes a bit,
// and never depends on the thread count all the same.
struct TileShape {
  int64_t rows, columns;
};
// Fewer columns pack the same rows of A more often.
constexpr TileShape kTileShapes[] = {{96, 256}, {48, 256}, {24, 256}, {24, 128}};

constexpr int64_t kMinChunks = 16;  // below this tiles are made smaller: the last chunk's wait is at most a few percent on a few threads

// The first of `tilings` with which the jobs have enough chunks together, else the last.
template <class Tiling, size_t N, class Job, class ChunksOf>
Tiling choose_tiling(const Tiling (&tilings)[N], std::span<const Job> jobs, const ChunksOf& chunks_of, int64_t enough = kMinChunks) {
  return *std::find_if(tilings, tilings + N - 1, [&](const Tiling& tiling) {
    int64_t chunks = 0;
    for (const Job& job : jobs) chunks += chunks_of(job, tiling);
    return chunks >= enough;
  });
}

}  // namespace finback
