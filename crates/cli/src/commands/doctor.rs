//! `cleanslide doctor`: what this machine and this build can do, and what slides are.

mod slides;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use cleanslide_learn::training::mebibytes;
use cleanslide_nn::devices::{DeviceError, DeviceName, OpenDevice};
use cleanslide_nn::operators::instructions_name;
use cleanslide_nn::speed::Job;
use cleanslide_slide::openslide;
use serde::Serialize;

use crate::context::{Context, program};
use crate::failure::Result;
use crate::output::{Show, count};
use crate::progress;
use crate::text_table::TextTable;

/// Show what this machine and this build can do, with a speed test of ten seconds for each device; or what slides are
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cleanslide doctor --threads 2\n  cleanslide doctor slides/")]
pub struct Doctor {
    /// Slides, or folders of slides: shows their levels, the size of their pixels and what reads them, and nothing else
    #[arg(value_name = "SLIDES", conflicts_with = "quick")]
    slides: Vec<PathBuf>,
    /// Leave the speed test out
    #[arg(long)]
    quick: bool,
}

type Opened = std::result::Result<OpenDevice, DeviceError>;

/// What each job may take.
const TIME: Duration = Duration::from_millis(2500);

#[derive(Debug, Serialize)]
struct Summary {
    program: String,
    system: String,
    /// Vector instructions in use.
    instructions: &'static str,
    processor_threads: usize,
    threads_in_use: usize,
    /// In GiB; absent where the system does not tell.
    memory: Option<f64>,
    free_memory: Option<f64>,
    devices: Vec<DeviceLine>,
    openslide: OpenSlideLine,
    speed: Vec<SpeedLine>,
}

/// Where networks run, or why they do not.
#[derive(Debug, Serialize)]
struct DeviceLine {
    name: DeviceName,
    usable: bool,
    /// What it calls itself, or what is missing.
    what: String,
}

/// Whether slides of all makers can be read.
#[derive(Debug, Serialize)]
struct OpenSlideLine {
    usable: bool,
    /// Its version, or what is missing.
    what: String,
}

#[derive(Debug, Serialize)]
struct SpeedLine {
    device: DeviceName,
    job: &'static str,
    milliseconds: f64,
    runs: usize,
    per_second: f64,
    unit: &'static str,
}

impl Doctor {
    pub fn run(self, context: &Context) -> Result<()> {
        if !self.slides.is_empty() {
            return slides::run(context, &self.slides);
        }
        let devices = DeviceName::ALL.map(|name| (name, name.open()));
        let lines = devices.iter().map(device_line).collect();
        let jobs: &[Job] = if self.quick { &[] } else { &Job::ALL };
        // How fast the processor plays the GPU is of no use to anyone.
        let measured: Vec<OpenDevice> = devices
            .into_iter()
            .filter_map(|(_, opened)| opened.ok())
            .filter(|device| !device.emulated)
            .collect();
        let bar = progress::bar("measuring", jobs.len() * measured.len());
        let mut speed = Vec::new();
        for device in &measured {
            for &job in jobs {
                speed.push(measure(job, device));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        context.output.show(&Summary {
            program: program(),
            system: format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH),
            instructions: instructions_name(),
            processor_threads: std::thread::available_parallelism().map_or(1, usize::from),
            threads_in_use: context.threads,
            memory: memory("MemTotal:"),
            free_memory: memory("MemAvailable:"),
            devices: lines,
            openslide: openslide_line(),
            speed,
        })
    }
}

fn device_line((name, opened): &(DeviceName, Opened)) -> DeviceLine {
    DeviceLine {
        name: *name,
        usable: opened.is_ok(),
        what: match opened {
            Ok(device) if device.emulated => format!("{}, on the processor", device.model),
            Ok(device) => device.model.clone(),
            Err(error) => error.to_string(),
        },
    }
}

fn openslide_line() -> OpenSlideLine {
    match openslide::version() {
        Ok(version) => OpenSlideLine {
            usable: true,
            what: version,
        },
        Err(error) => OpenSlideLine {
            usable: false,
            what: match error {
                cleanslide_slide::Error::OpenSlide(missing) => missing,
                other => other.to_string(),
            },
        },
    }
}

fn measure(job: Job, device: &OpenDevice) -> SpeedLine {
    let speed = job.measure(&device.device, TIME);
    let seconds = speed.median.as_secs_f64();
    let (work, unit) = job.work();
    SpeedLine {
        device: device.name,
        job: match job {
            Job::Product => "matrix product, 1024 × 1024",
            Job::Convolution => "3×3 convolution, 64 channels",
            Job::TrainingStep => "training a U-Net, crops of 256 px",
            Job::Prediction => "predicting with a U-Net",
        },
        milliseconds: seconds * 1e3,
        runs: speed.runs,
        per_second: work / seconds,
        unit,
    }
}

/// In GiB, where Linux tells it.
fn memory(entry: &str) -> Option<f64> {
    Some(mebibytes("/proc/meminfo", entry)? / 1024.0)
}

impl Show for Summary {
    fn text(&self) -> String {
        let memory = match (self.memory, self.free_memory) {
            (Some(all), Some(free)) => format!("{all:.1} GiB, {free:.1} GiB free"),
            _ => "unknown".to_owned(),
        };
        let mut lines = vec![
            ("program".to_owned(), self.program.clone()),
            ("system".to_owned(), self.system.clone()),
            (
                "vector instructions".to_owned(),
                self.instructions.to_owned(),
            ),
            (
                "threads".to_owned(),
                format!(
                    "{} in use, the machine has {}",
                    self.threads_in_use,
                    count(self.processor_threads, "thread")
                ),
            ),
            ("memory".to_owned(), memory),
        ];
        for device in &self.devices {
            lines.push((format!("device {}", device.name), device.what.clone()));
        }
        lines.push(("OpenSlide".to_owned(), self.openslide.what.clone()));
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(what, value)| format!("{what:22} {value}"))
            .collect();
        let mut text = lines.join("\n");
        if !self.openslide.usable {
            text.push_str(&format!(
                "\n\nSVS, TIFF, OME-TIFF and OME-Zarr are read without OpenSlide. For NDPI, MRXS, SCN, BIF and DICOM install version 4\n\
                 (Debian: libopenslide1; macOS: brew install openslide), or name its library in {}:\n\
                 `pip install openslide-bin` brings one.",
                openslide::VARIABLE
            ));
        }
        if !self.speed.is_empty() {
            let mut table = TextTable::new(&["speed", "device", "median, ms", "runs", ""]);
            for line in &self.speed {
                table.row([
                    line.job.to_owned(),
                    line.device.to_string(),
                    format!("{:.1}", line.milliseconds),
                    line.runs.to_string(),
                    format!("{:.1} {}/s", line.per_second, line.unit),
                ]);
            }
            text.push_str("\n\n");
            text.push_str(&table.text());
            text.push_str(
                "\n\n3×3 convolutions are worked out with a quarter of the multiplications of their definition,\n\
                 which the figure counts.",
            );
        }
        text
    }
}
