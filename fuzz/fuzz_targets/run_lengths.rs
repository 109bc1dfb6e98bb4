#![no_main]

use cleanslide_data::formats::RunLengths;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(runs) = RunLengths::parse((480, 640), text) {
        assert_eq!(
            RunLengths::encode(runs.decode().view())
                .map(|again| again.area())
                .ok(),
            Some(runs.area())
        );
        let _ = runs.bounds();
        assert_eq!(RunLengths::parse((480, 640), &runs.text()).ok(), Some(runs));
    }
});
