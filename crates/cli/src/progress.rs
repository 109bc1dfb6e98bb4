//! Progress of long work: a bar on a terminal, a line a minute elsewhere.

use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};

use crate::output::thousands;

/// How long a log waits for its next line.
const LINE_AFTER: Duration = Duration::from_secs(60);

/// A bar that shows on standard error what is being done, how far it is and how long it will take. Where that is no
/// terminal, as in the log of a queue, lines tell it.
pub fn bar(what: &str, total: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(
        "{msg:24} {wide_bar:.cyan/blue} {pos}/{len}  {elapsed} elapsed, {eta} left",
    ) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    if io::stderr().is_terminal() {
        bar.enable_steady_tick(Duration::from_millis(200));
    } else {
        let (what, watched) = (what.to_owned(), bar.downgrade());
        // It ends with the bar, or with the process.
        thread::spawn(move || tell(&what, &watched));
    }
    bar
}

/// Writes lines as long as there is a bar that is not done.
fn tell(what: &str, watched: &WeakProgressBar) {
    let mut first = None;
    loop {
        thread::sleep(LINE_AFTER);
        let Some(bar) = watched.upgrade().filter(|bar| !bar.is_finished()) else {
            return;
        };
        let seen = (bar.position(), bar.elapsed());
        let text = line(what, seen, bar.length().unwrap_or(0), first);
        first = first.or(Some(seen));
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// How far the work is: of `all` so many are done after a time. How long it will take is known from the second line on: what
/// was done before an interruption is counted at once.
fn line(
    what: &str,
    (done, elapsed): (u64, Duration),
    all: u64,
    first: Option<(u64, Duration)>,
) -> String {
    let left = first.filter(|(then, _)| done > *then).map(|(then, at)| {
        (elapsed - at).mul_f64(all.saturating_sub(done) as f64 / (done - then) as f64)
    });
    let left = left.map_or_else(String::new, |left| {
        format!(", {} left", HumanDuration(left))
    });
    format!(
        "{what}: {} of {}, {} elapsed{left}",
        thousands(done as usize),
        thousands(all as usize),
        HumanDuration(elapsed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_the_work_is() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(
            line("training", (1_200, minutes(1)), 2_000, None),
            "training: 1,200 of 2,000, 60 seconds elapsed"
        );
        let first = Some((1_200, minutes(1)));
        assert_eq!(
            line("training", (1_400, minutes(3)), 2_000, first),
            "training: 1,400 of 2,000, 3 minutes elapsed, 6 minutes left"
        );
        // Nothing more is done.
        assert_eq!(
            line("training", (1_200, minutes(3)), 2_000, first),
            "training: 1,200 of 2,000, 3 minutes elapsed"
        );
    }
}
