//! Failures as people see them: what went wrong, what to do, and an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use cleanslide_data::Blame;
use cleanslide_nn::devices::DeviceError;

/// A command that did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    message: String,
    help: Option<String>,
    code: u8,
}

/// Result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The request does not make sense: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 2,
        }
    }

    /// The input is broken or does not fit: exit code 3.
    pub fn input(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 3,
        }
    }

    /// This machine or build cannot do it: exit code 4.
    pub fn environment(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 4,
        }
    }

    /// Anything else: exit code 1.
    pub fn other(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 1,
        }
    }

    /// The same failure with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same failure, about one thing among many.
    #[must_use]
    pub fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What went wrong, without the remedy.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What went wrong and the remedy, where the work goes on without what failed.
    pub fn warning(&self) -> String {
        match &self.help {
            Some(help) => format!("{}. {help}", self.message),
            None => self.message.clone(),
        }
    }

    /// Whether the request does not make sense, so that further input will not help.
    pub fn is_usage(&self) -> bool {
        self.code == 2
    }

    /// Prints the failure and gives its exit code. A reader that went away (as `head` does) is no
    /// failure.
    pub fn report(self) -> ExitCode {
        if self.code == 0 {
            return ExitCode::SUCCESS;
        }
        let code = self.code;
        let mut text = format!("error: {}", self.message);
        if let Some(help) = &self.help {
            text.push_str(&format!("\n\n  help: {help}"));
        }
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
        ExitCode::from(code)
    }

    /// The output could not be written.
    pub fn output(error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::BrokenPipe {
            0
        } else {
            4
        };
        Self {
            message: format!("failed to write the output: {error}"),
            help: None,
            code,
        }
    }
}

impl From<cleanslide_data::Error> for Failure {
    fn from(error: cleanslide_data::Error) -> Self {
        let code = match error.blame() {
            Blame::Usage => 2,
            Blame::Input => 3,
            Blame::Environment => 4,
        };
        Self {
            message: error.to_string(),
            help: error.help(),
            code,
        }
    }
}

impl From<cleanslide_learn::bench::BenchError> for Failure {
    fn from(error: cleanslide_learn::bench::BenchError) -> Self {
        match error {
            cleanslide_learn::bench::BenchError::Data(error) => error.into(),
            other => Self::input(other.to_string()),
        }
    }
}

impl From<cleanslide_learn::embed::EmbedError> for Failure {
    fn from(error: cleanslide_learn::embed::EmbedError) -> Self {
        use cleanslide_learn::embed::EmbedError;
        match error {
            EmbedError::Data(error) => error.into(),
            EmbedError::Damaged { .. } => Self::input(error.to_string())
                .help("Remove that file; its embeddings are computed again."),
            EmbedError::Nothing { .. } => Self::input(error.to_string())
                .help("Check that the image files still lie where images.csv says."),
            other => Self::input(other.to_string()),
        }
    }
}

impl From<cleanslide_learn::Error> for Failure {
    fn from(error: cleanslide_learn::Error) -> Self {
        use cleanslide_learn::Error;
        match error {
            Error::Data(error) => error.into(),
            Error::Setting { .. } | Error::Checkpoint { .. } => Self::usage(error.to_string()),
            other => Self::input(other.to_string()),
        }
    }
}

impl From<cleanslide_slide::Error> for Failure {
    fn from(error: cleanslide_slide::Error) -> Self {
        use cleanslide_slide::Error;
        let failure = match &error {
            Error::Setting { .. } | Error::NoResolution { .. } => Self::usage(error.to_string()),
            Error::Io { .. } | Error::OpenSlide(_) => Self::environment(error.to_string()),
            _ => Self::input(error.to_string()),
        };
        match error.help() {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        let remedy = match error {
            DeviceError::NotBuilt(_) => {
                "Build it anew with `cargo build --release --features vulkan`"
            }
            DeviceError::NoDriver => {
                "Install the driver of the GPU and the Vulkan loader (Debian: libvulkan1)"
            }
            _ => "Update the driver of the GPU",
        };
        Self::environment(error.to_string()).help(format!(
            "{remedy}, or leave `--device` out to use the processor."
        ))
    }
}

/// Failures whose message says it all, caused by the input.
macro_rules! caused_by_input {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::input(error.to_string())
            }
        })*
    };
}

caused_by_input!(
    cleanslide_audit::AuditError,
    cleanslide_data::VotesError,
    cleanslide_eval::Error,
    cleanslide_image::Error,
    cleanslide_nn::error::EncoderError,
    cleanslide_report::picture::PictureError,
    cleanslide_weak::fusion::FusionError,
    cleanslide_weak::noise::NoiseError,
    cleanslide_weak::simulate::AnnotatorError,
);
