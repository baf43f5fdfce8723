#include "data/encode_jpeg.h"

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

// jpeglib.h needs cstdio and cstddef before it.
// clang-format off
#include <jpeglib.h>
// clang-format on

#include "core/error.h"

namespace sknet::data {

namespace {

struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  errors->base.format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

class Encoder {
 public:
  Encoder() {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = on_error;
    errors_.message[0] = '\0';
  }
  ~Encoder() {
    jpeg_destroy_compress(&info_);
    std::free(bytes_);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  // libjpeg reports errors by longjmp: nothing here may own what needs a destructor.
  bool run(const Image& image, int quality) {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_compress(&info_);
    jpeg_mem_dest(&info_, &bytes_, &size_);
    info_.image_width = static_cast<JDIMENSION>(image.width);
    info_.image_height = static_cast<JDIMENSION>(image.height);
    info_.input_components = 3;
    info_.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info_);
    jpeg_set_quality(&info_, quality, TRUE);
    jpeg_start_compress(&info_, TRUE);
    const size_t row = static_cast<size_t>(image.width) * 3;
    while (info_.next_scanline < info_.image_height) {
      JSAMPROW line = const_cast<JSAMPROW>(image.rgb.data() + row * info_.next_scanline);
      jpeg_write_scanlines(&info_, &line, 1);
    }
    jpeg_finish_compress(&info_);
    return true;
  }
  const unsigned char* begin() const { return bytes_; }
  const unsigned char* end() const { return bytes_ + size_; }
  std::string message() const { return errors_.message; }

 private:
  jpeg_compress_struct info_{};
  ErrorManager errors_{};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
};

}  // namespace

void encode_jpeg(const Image& image, int quality, std::vector<uint8_t>& out) {
  Encoder encoder;
  if (!encoder.run(image, quality)) throw Error("ERR_SKNET_DATA", "the picture cannot be stored as JPEG: " + encoder.message());
  out.assign(encoder.begin(), encoder.end());
}

}  // namespace sknet::data
