// Philox4x32-10 (Salmon et al., SC 2011): counter-based random numbers, so that no generator state has to be saved.
// Keys and purposes: DESIGN 3. The same counter gives the same numbers on every machine and in lib/.
#pragma once

#include <cstdint>

namespace sknet {

// What a random number is for; part of the counter, so streams never overlap. Values are part of the run format: append only.
enum class RandomPurpose : uint32_t {
  kInit = 0,
  kOrder = 1,
  kCrop = 2,
  kFlip = 3,
  kReplace = 4,
  kSynthetic = 5,
  kEffects = 6,
  kMix = 7,
};

struct Philox4 {
  uint32_t v[4];
};

inline Philox4 philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c0;
    const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Numbers for one (seed, epoch, sample, purpose): block after block of four.
class PhiloxStream {
 public:
  PhiloxStream(uint64_t seed, uint32_t epoch, uint32_t sample, RandomPurpose purpose)
      : key_(seed), epoch_(epoch), sample_(sample), purpose_(static_cast<uint32_t>(purpose)) {}

  uint32_t next_u32() {
    if (used_ == 4) {
      block_ = philox4x32(key_, counter_++, epoch_, sample_, purpose_);
      used_ = 0;
    }
    return block_.v[used_++];
  }
  // [0, 1) with 24 bits.
  float uniform() { return static_cast<float>(next_u32() >> 8) * 0x1p-24f; }
  // [0, n), n >= 1; the bias of at most n / 2^32 is accepted.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((static_cast<uint64_t>(next_u32()) * n) >> 32); }

 private:
  uint64_t key_;
  uint32_t epoch_, sample_, purpose_;
  uint32_t counter_ = 0;
  Philox4 block_{};
  int used_ = 4;
};

}  // namespace sknet
