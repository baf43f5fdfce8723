#include "plan/layout.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sknet::plan {

namespace {

uint16_t bf16_from_float(float x) {
  if (std::isnan(x)) return 0x7fc0;
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float float_from_bf16(uint16_t elem) {
  const uint32_t bits = static_cast<uint32_t>(elem) << 16;
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

float same(float x) { return x; }

// f(row element, blocked element) for every channel that is no padding; pad(blocked element) for every other.
template <class Rows, class Blocked, class F, class Pad>
void visit(ThreadPool& pool, Rows* rows, Blocked* blocked, int n, int64_t hw, int c, int block, const F& f, const Pad& pad) {
  const int blocks = blocks_in(c, block);
  parallel_for(pool, static_cast<int64_t>(n) * blocks, [&](int64_t item, int) {
    const int c0 = static_cast<int>(item % blocks) * block, count = std::min(block, c - c0);
    Rows* row = rows + item / blocks * hw * c + c0;
    Blocked* elem = blocked + item * hw * block;
    for (int64_t pixel = 0; pixel < hw; ++pixel, row += c, elem += block) {
      for (int i = 0; i < count; ++i) f(row[i], elem[i]);
      for (int i = count; i < block; ++i) pad(elem[i]);
    }
  });
}

template <class Elem, class Convert>
void block_as(ThreadPool& pool, const float* rows, int n, int64_t hw, int c, int block, float* blocked, const Convert& convert) {
  visit(
      pool, rows, reinterpret_cast<Elem*>(blocked), n, hw, c, block, [&](float row, Elem& elem) { elem = convert(row); },
      [](Elem& elem) { elem = 0; });
}

template <class Elem, class Convert>
void rows_from(ThreadPool& pool, const float* blocked, int n, int64_t hw, int c, int block, float* rows, const Convert& convert) {
  visit(
      pool, rows, reinterpret_cast<const Elem*>(blocked), n, hw, c, block, [&](float& row, Elem elem) { row = convert(elem); },
      [](Elem) {});
}

}  // namespace

void to_blocked(ThreadPool& pool, const float* rows, int n, int64_t hw, int c, const BlockedLayout& layout, float* blocked) {
  if (layout.elem_bytes == sizeof(uint16_t)) return block_as<uint16_t>(pool, rows, n, hw, c, layout.block, blocked, bf16_from_float);
  block_as<float>(pool, rows, n, hw, c, layout.block, blocked, same);
}

void from_blocked(ThreadPool& pool, const float* blocked, int n, int64_t hw, int c, const BlockedLayout& layout, float* rows) {
  if (layout.elem_bytes == sizeof(uint16_t)) return rows_from<uint16_t>(pool, blocked, n, hw, c, layout.block, rows, float_from_bf16);
  rows_from<float>(pool, blocked, n, hw, c, layout.block, rows, same);
}

}  // namespace sknet::plan
