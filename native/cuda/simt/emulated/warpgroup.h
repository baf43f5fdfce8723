// Warpgroups (simt/warpgroup.h), for g++. Each lane computes its own numbers, put off until it waits for them: a missing wait leaves them
// out, and operands that are overwritten too early give wrong ones. That all 128 lanes come, and show_to_warpgroups(), is not checked.
#pragma once

#include "cuda/simt/emulated/builtins.h"

namespace simt {

void start_product(const AsyncProduct& product);
void commit_products();
void wait_for_products(int under_way);

}  // namespace simt

namespace sknet::cuda {

struct SharedMatrix {
  const char* start;
  int leading, stride;
};
inline SharedMatrix shared_matrix(const char* start, int leading, int stride) { return {start, leading, stride}; }
inline SharedMatrix moved(const SharedMatrix& m, int bytes) { return {m.start + bytes, m.leading, m.stride}; }

inline void show_to_warpgroups() {}
inline void warpgroup_begin() {}
inline void warpgroup_commit() { simt::commit_products(); }
template <int N, int kSums>
void warpgroup_wait(float (&)[kSums]) {
  simt::wait_for_products(N);
}
template <bool kAcross, int kSums>
void warpgroup_multiply(float (&d)[kSums], const SharedMatrix& a, const SharedMatrix& b) {
  static_assert(kSums == 32 || kSums == 64);
  simt::start_product({d, 2 * kSums, kAcross, a.start, b.start, {a.leading, b.leading}, {a.stride, b.stride}, 0});
}

}  // namespace sknet::cuda
