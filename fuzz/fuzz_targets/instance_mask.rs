#![no_main]

use std::path::Path;

use cleanslide_data::formats::mask_file::read_instances;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_instances(Path::new("a"), bytes, None, 1 << 20);
});
