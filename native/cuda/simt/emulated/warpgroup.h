// Warpgroups (simt/warpgroup.h), for g++. Each lane computes its own numbers, put off until it waits for them: a missing wait leaves them
// out, and operands that are overwritten too early give wrong ones. A product that no warpgroup_begin() precedes ends the kernel, and so
// does one before which a lane came to the barrier with asynchronous copies that it did not show_to_warpgroups(). That ordinary stores are
// shown, and that all 128 lanes come, is not checked.
#pragma once

#include "cuda/simt/emulated/builtins.h"

namespace simt {

void show_copies();
void begin_products();
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

inline void show_to_warpgroups() { simt::show_copies(); }
inline void warpgroup_begin() { simt::begin_products(); }
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
