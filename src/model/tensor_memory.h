// Where large tensors live: blocks that are kept when a tensor dies and given to the next one, cut from regions that the system backs with
// huge pages where it can. A training step asks for the same few hundred blocks again and again; fresh from the system each would be mapped,
// cleared and unmapped every time, and a step that walks hundreds of megabytes would miss the TLB at every row. Knows no tensors' contents.
#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace finback {

// Best fit; freed neighbours become one block. Memory is never given back to the system. Thread-safe.
class TensorMemory {
 public:
  static constexpr size_t kAlign = 64;  // a cache line
  // Throws std::bad_alloc when the system has no more.
  void* take(size_t bytes);
  void give(void* block);
  // Bytes mapped from the system.
  size_t mapped() const;

 private:
  void map_region(size_t bytes);

  using Size = size_t;
  mutable std::mutex mutex_;
  std::map<char*, Size> taken_, free_;  // by address
  std::set<std::pair<Size, char*>> by_size_;
  size_t mapped_ = 0;
  void add_free(char* begin, Size size);
  void remove_free(std::map<char*, Size>::iterator block);
};

// From now on, for the whole process. Not under AddressSanitizer, which would see less.
void keep_tensor_memory();

}  // namespace finback
