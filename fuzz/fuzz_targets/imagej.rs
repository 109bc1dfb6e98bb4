#![no_main]

use std::path::Path;

use cleanslide_data::formats::imagej::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = read(Path::new("a"), bytes);
});
