#include "model/tensor_memory.h"

#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "base/error.h"

namespace finback {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kRegion = size_t{64} << 20;   // asked from the system at once, or as much as one tensor needs
constexpr size_t kSmallest = size_t{1} << 16;  // below this malloc is as good
// Tensors of one shape would start in the same set of every cache, a multiple of a huge page apart: each block is some lines longer.
constexpr size_t kStagger = 17 * TensorMemory::kAlign;

size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

// Small tensors go to the allocator that was there.
class KeepingAllocator final : public c10::Allocator {
 public:
  explicit KeepingAllocator(c10::Allocator* inner) : inner_(inner) {}
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes < kSmallest) return inner_->allocate(bytes);
    void* block = memory().take(bytes);
    return {block, block, [](void* taken) { memory().give(taken); }, c10::Device(c10::DeviceType::CPU)};
  }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  // Outlives every tensor, those in static storage included.
  static TensorMemory& memory() {
    static TensorMemory& memory = *new TensorMemory;
    return memory;
  }
  c10::Allocator* inner_;
};

}  // namespace

void TensorMemory::add_free(char* begin, Size size) {
  auto next = free_.lower_bound(begin);
  if (next != free_.end() && begin + size == next->first) {
    size += next->second;
    by_size_.erase({next->second, next->first});
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first, size += before->second;
      remove_free(before);
    }
  }
  free_.emplace(begin, size);
  by_size_.emplace(size, begin);
}

void TensorMemory::remove_free(std::map<char*, Size>::iterator block) {
  by_size_.erase({block->second, block->first});
  free_.erase(block);
}

// Whole huge pages: the mapping is made one longer, and its ends are cut off.
void TensorMemory::map_region(size_t bytes) {
  const size_t size = round_up(std::max(bytes, kRegion), kHugePage);
  void* const mapping = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  char* const start = static_cast<char*>(mapping);
  const size_t before = round_up(reinterpret_cast<uintptr_t>(start), kHugePage) - reinterpret_cast<uintptr_t>(start);
  if (before > 0) munmap(start, before);
  if (before < kHugePage) munmap(start + before + size, kHugePage - before);
  madvise(start + before, size, MADV_HUGEPAGE);  // a wish: refused where the system has none
  mapped_ += size;
  add_free(start + before, size);
}

void* TensorMemory::take(size_t bytes) {
  const size_t size = round_up(bytes, kAlign) + kStagger;
  if (size < bytes) throw std::bad_alloc();
  std::lock_guard lock(mutex_);
  auto best = by_size_.lower_bound({size, nullptr});
  if (best == by_size_.end()) {
    map_region(size);
    best = by_size_.lower_bound({size, nullptr});
  }
  const auto [whole, begin] = *best;
  remove_free(free_.find(begin));
  if (whole > size) add_free(begin + size, whole - size);
  taken_.emplace(begin, size);
  return begin;
}

void TensorMemory::give(void* block) {
  if (block == nullptr) return;
  std::lock_guard lock(mutex_);
  const auto taken = taken_.find(static_cast<char*>(block));
  FB_ASSERT(taken != taken_.end(), "a block that was taken is given back once");
  const auto [begin, size] = *taken;
  taken_.erase(taken);
  add_free(begin, size);
}

size_t TensorMemory::mapped() const {
  std::lock_guard lock(mutex_);
  return mapped_;
}

void keep_tensor_memory() {
#ifndef __SANITIZE_ADDRESS__
  static KeepingAllocator keeping(c10::GetCPUAllocator());
  c10::SetCPUAllocator(&keeping, /*priority=*/1);
#endif
}

}  // namespace finback
