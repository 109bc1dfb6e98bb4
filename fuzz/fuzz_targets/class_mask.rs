#![no_main]

use std::path::Path;

use cleanslide_data::formats::mask_file::read_indexed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_indexed(Path::new("a"), bytes, 1 << 20);
});
