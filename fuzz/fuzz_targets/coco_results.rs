#![no_main]

use std::path::Path;

use cleanslide_data::formats::coco::{Coco, read_results};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_results(Path::new("a"), bytes, &Coco::new(Vec::new(), &[]));
});
