#include "data/decode_jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

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
// Columns decoded beside the wanted ones: colour is interpolated between neighbours, and at the edge of what is decoded it has only one.
constexpr int kMargin = 1;
// Where the end-of-image marker is looked for; some writers leave bytes after it.
constexpr size_t kTail = 1024;

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

  int width() const { return static_cast<int>(info_.image_width); }
  int height() const { return static_cast<int>(info_.image_height); }
  bool is_cmyk() const { return info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK; }

  void read_pixels(const Part& part, Image& out) {
    monitor_.base.progress_monitor = on_progress;
    monitor_.pixels = static_cast<int64_t>(info_.image_width) * info_.image_height;
    info_.progress = &monitor_.base;
    info_.scale_num = 1;
    info_.scale_denom = static_cast<unsigned>(part.shrink);
    if (is_cmyk()) {
      read_cmyk(out);
    } else {
      read_rgb(part, out);
    }
  }

 private:
  void read_cmyk(Image& out) {
    info_.out_color_space = JCS_CMYK;
    out.resize(width(), height());
    std::vector<uint8_t> row(static_cast<size_t>(width()) * 4);
    uint8_t* const pixels = out.rgb.data();
    uint8_t* const cmyk_row = row.data();
    guarded([&] {
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        uint8_t* const target = pixels + static_cast<size_t>(info_.output_scanline) * info_.image_width * 3;
        JSAMPROW line = cmyk_row;
        jpeg_read_scanlines(&info_, &line, 1);
        cmyk_row_to_rgb(cmyk_row, width(), info_.saw_Adobe_marker != 0, target);
      }
    });
  }

  void read_rgb(const Part& part, Image& out) {
    info_.out_color_space = JCS_RGB;
    guarded([&] { jpeg_start_decompress(&info_); });
    const int shrink = part.shrink;
    const int full_width = static_cast<int>(info_.output_width), full_height = static_cast<int>(info_.output_height);
    // In pixels of the output.
    const Window& wanted = part.window;
    const int top = wanted.y / shrink, bottom = std::min(full_height, (wanted.y + wanted.height + shrink - 1) / shrink);
    const int left = wanted.x / shrink, right = std::min(full_width, (wanted.x + wanted.width + shrink - 1) / shrink);
    JDIMENSION first_column = 0, columns = info_.output_width;
    if (left > kMargin || right < full_width - kMargin) {
      first_column = static_cast<JDIMENSION>(std::max(0, left - kMargin));
      columns = static_cast<JDIMENSION>(std::min(full_width, right + kMargin)) - first_column;
      // Moves the left edge to one of the file's own blocks.
      guarded([&] { jpeg_crop_scanline(&info_, &first_column, &columns); });
    }
    Place place{width(), height(), static_cast<int>(first_column) * shrink, top * shrink, shrink};
    out.resize(static_cast<int>(columns), bottom - top, place);
    uint8_t* const pixels = out.rgb.data();
    const size_t row_bytes = size_t{3} * columns;
    guarded([&] {
      if (top > 0) jpeg_skip_scanlines(&info_, static_cast<JDIMENSION>(top));
      while (static_cast<int>(info_.output_scanline) < bottom) {
        JSAMPROW line = pixels + (info_.output_scanline - static_cast<size_t>(top)) * row_bytes;
        jpeg_read_scanlines(&info_, &line, 1);
      }
    });
  }

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

// Whether the end of the picture is there. A file that was cut off is read to where it ends, whatever part is wanted, so that it is found
// out.
bool ends_whole(std::span<const uint8_t> bytes) {
  const std::span<const uint8_t> tail = bytes.last(std::min(bytes.size(), kTail));
  for (size_t i = tail.size(); i >= 2; --i) {
    if (tail[i - 2] == 0xFF && tail[i - 1] == JPEG_EOI) return true;
  }
  return false;
}

}  // namespace

void decode_jpeg(std::span<const uint8_t> bytes, int64_t max_pixels, const ChoosePart& choose, Image& out) {
  Decoder decoder;
  decoder.read_header(bytes);
  check_pixels(decoder.width(), decoder.height(), max_pixels);
  const Window whole{0, 0, decoder.width(), decoder.height()};
  Part part = choose(whole.width, whole.height);
  if (decoder.is_cmyk()) part = {whole};
  if (!ends_whole(bytes)) part.window = whole;
  decoder.read_pixels(part, out);
}

}  // namespace sknet::data
