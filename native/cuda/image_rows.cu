#include "cuda/image_rows.h"
#include "cuda/put.h"
#include "cuda/simt/simt.h"
#include "ops/layout.h"

namespace sknet::cuda {
namespace {

constexpr int kLanes = 256;

template <class Elem>
__global__ void spread(const float* rows, int64_t size, int c, int padded, Elem* to) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i >= size) return;
  const int channel = static_cast<int>(i % padded);
  put(to + i, channel < c ? rows[i / padded * c + channel] : 0.0f);
}

template <class Elem>
__global__ void gather(const Elem* from, int64_t size, int c, int padded, float* rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i >= size) return;
  rows[i] = to_f(from[i / c * padded + i % c]);
}

__global__ void add(float* to, const float* from, int64_t n) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (i < n) to[i] += from[i];
}

unsigned blocks_of(int64_t size) { return static_cast<unsigned>((size + kLanes - 1) / kLanes); }

template <class Elem>
void spread_as(const float* rows, int64_t count, int c, void* to, void* stream) {
  const int padded = padded_channels(c, kRows);
  const int64_t size = count * padded;
  SIMT_LAUNCH(spread<Elem>, blocks_of(size), kLanes, 0, stream, rows, size, c, padded, static_cast<Elem*>(to));
}

template <class Elem>
void gather_as(const void* from, int64_t count, int c, float* rows, void* stream) {
  const int64_t size = count * c;
  SIMT_LAUNCH(gather<Elem>, blocks_of(size), kLanes, 0, stream, static_cast<const Elem*>(from), size, c, padded_channels(c, kRows), rows);
}

}  // namespace

void rows_in(const float* rows, int64_t count, int c, const plan::BlockedLayout& layout, void* to, void* stream) {
  (layout.elem_bytes == 2 ? spread_as<bf16> : spread_as<float>)(rows, count, c, to, stream);
}

void rows_out(const void* from, int64_t count, int c, const plan::BlockedLayout& layout, float* rows, void* stream) {
  (layout.elem_bytes == 2 ? gather_as<bf16> : gather_as<float>)(from, count, c, rows, stream);
}

void add_floats(float* to, const float* from, int64_t n, void* stream) { SIMT_LAUNCH(add, blocks_of(n), kLanes, 0, stream, to, from, n); }

}  // namespace sknet::cuda
