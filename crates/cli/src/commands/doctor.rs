//! `cleanslide doctor`: what this machine and this build can do.

use std::time::Duration;

use clap::Args;
use cleanslide_learn::Device;
use cleanslide_learn::training::mebibytes;
use cleanslide_nn::operators::instructions_name;
use cleanslide_nn::speed::Job;
use serde::Serialize;

use crate::context::{Context, program};
use crate::failure::Result;
use crate::output::{Show, count};
use crate::progress;
use crate::text_table::TextTable;

/// Show what this machine and this build can do, with a speed test of ten seconds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide doctor --threads 2")]
pub struct Doctor {
    /// Leave the speed test out
    #[arg(long)]
    quick: bool,
}

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
    /// Where networks run in this build.
    devices: Vec<&'static str>,
    speed: Vec<SpeedLine>,
}

#[derive(Debug, Serialize)]
struct SpeedLine {
    job: &'static str,
    milliseconds: f64,
    runs: usize,
    per_second: f64,
    unit: &'static str,
}

impl Doctor {
    pub fn run(self, context: &Context) -> Result<()> {
        let jobs: &[Job] = if self.quick { &[] } else { &Job::ALL };
        let bar = progress::bar("measuring", jobs.len());
        let speed = jobs
            .iter()
            .map(|&job| {
                let line = measure(job);
                bar.inc(1);
                line
            })
            .collect();
        bar.finish_and_clear();
        context.output.show(&Summary {
            program: program(),
            system: format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH),
            instructions: instructions_name(),
            processor_threads: std::thread::available_parallelism().map_or(1, usize::from),
            threads_in_use: context.threads,
            memory: memory("MemTotal:"),
            free_memory: memory("MemAvailable:"),
            devices: vec!["cpu"],
            speed,
        })
    }
}

fn measure(job: Job) -> SpeedLine {
    let speed = job.measure(&Device::flex(), TIME);
    let seconds = speed.median.as_secs_f64();
    let (work, unit) = job.work();
    SpeedLine {
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
        let lines = [
            ("program", self.program.clone()),
            ("system", self.system.clone()),
            ("vector instructions", self.instructions.to_owned()),
            (
                "threads",
                format!(
                    "{} in use, the machine has {}",
                    self.threads_in_use,
                    count(self.processor_threads, "thread")
                ),
            ),
            ("memory", memory),
            ("devices of this build", self.devices.join(", ")),
        ];
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(what, value)| format!("{what:22} {value}"))
            .collect();
        let mut text = lines.join("\n");
        if !self.speed.is_empty() {
            let mut table = TextTable::new(&["speed", "median, ms", "runs", ""]);
            for line in &self.speed {
                table.row([
                    line.job.to_owned(),
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
