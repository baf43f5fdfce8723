#include "data/decode_jpeg.h"

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>

// In this order: jpeglib.h needs cstdio and cstddef, and decides which codes jerror.h numbers.
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "core/error.h"
#include "data/decode.h"

namespace sknet::data {

namespace {

constexpr int kMaxScans = 100;
// Each scan walks over the whole picture, so the time a file can take is bounded by both together.
constexpr int64_t kMaxScanPixels = 2'000'000'000;

struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

struct ProgressMonitor {
  jpeg_progress_mgr base;
  int64_t pixels;
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  errors->base.format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

// libjpeg goes on after these and invents the missing picture; a data set is better served by an error.
bool is_damage(int code) {
  switch (code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
      return true;
    default:
      return false;
  }
}

void on_message(j_common_ptr info, int level) {
  if (level < 0 && is_damage(info->err->msg_code)) on_error(info);
}

void on_progress(j_common_ptr info) {
  const auto* decoder = reinterpret_cast<const jpeg_decompress_struct*>(info);
  const auto* monitor = reinterpret_cast<const ProgressMonitor*>(info->progress);
  const int scans = decoder->input_scan_number;
  if (scans <= kMaxScans && scans * monitor->pixels <= kMaxScanPixels) return;
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  std::snprintf(errors->message, sizeof(errors->message), "more than %d progressive scans", scans - 1);
  std::longjmp(errors->jump, 1);
}

void cmyk_row_to_rgb(const uint8_t* cmyk, int width, bool adobe, uint8_t* rgb) {
  // Adobe stores 255 - ink.
  const int flip = adobe ? 0 : 255;
  for (int x = 0; x < width; ++x) {
    const int k = flip ^ cmyk[4 * x + 3];
    for (int c = 0; c < 3; ++c) {
      const int product = (flip ^ cmyk[4 * x + c]) * k;
      rgb[3 * x + c] = static_cast<uint8_t>((product + 127) / 255);
    }
  }
}

class Decoder {
 public:
  Decoder() {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = on_error;
    errors_.base.emit_message = on_message;
    errors_.message[0] = '\0';
  }
  ~Decoder() { jpeg_destroy_decompress(&info_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void read_header(std::span<const uint8_t> bytes) {
    guarded([&] {
      jpeg_create_decompress(&info_);
      jpeg_mem_src(&info_, bytes.data(), bytes.size());
      jpeg_read_header(&info_, TRUE);
    });
  }

  void read_pixels(int64_t max_pixels, Image& out) {
    check_pixels(info_.image_width, info_.image_height, max_pixels);
    monitor_.base.progress_monitor = on_progress;
    monitor_.pixels = static_cast<int64_t>(info_.image_width) * info_.image_height;
    info_.progress = &monitor_.base;
    const bool cmyk = info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
    info_.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    out.resize(static_cast<int>(info_.image_width), static_cast<int>(info_.image_height));
    std::vector<uint8_t> row(cmyk ? static_cast<size_t>(out.width) * 4 : 0);
    uint8_t* const pixels = out.rgb.data();
    uint8_t* const cmyk_row = row.data();
    guarded([&] {
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        uint8_t* const target = pixels + static_cast<size_t>(info_.output_scanline) * info_.image_width * 3;
        JSAMPROW line = cmyk ? cmyk_row : target;
        jpeg_read_scanlines(&info_, &line, 1);
        if (cmyk) cmyk_row_to_rgb(cmyk_row, static_cast<int>(info_.image_width), info_.saw_Adobe_marker != 0, target);
      }
    });
  }

 private:
  // libjpeg reports errors by longjmp: what `step` runs must own nothing that needs a destructor.
  template <class F>
  void guarded(const F& step) {
    if (setjmp(errors_.jump) == 0) {
      step();
      return;
    }
    throw Error("ERR_SKNET_DECODE", std::string("damaged or unsupported JPEG: ") + errors_.message)
        .with_got(errors_.message)
        .with_expected("an intact 8-bit JPEG");
  }

  jpeg_decompress_struct info_{};
  ErrorManager errors_{};
  ProgressMonitor monitor_{};
};

}  // namespace

void decode_jpeg(std::span<const uint8_t> bytes, int64_t max_pixels, Image& out) {
  Decoder decoder;
  decoder.read_header(bytes);
  decoder.read_pixels(max_pixels, out);
}

}  // namespace sknet::data
