//! The points that may still be among the nearest of one point.

/// Closeness is −½ squared distance in the scaled space: the higher, the nearer.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    point: usize,
    /// Upper bound of the closeness; the closeness itself once it has been measured.
    upper: f64,
    /// Lower bound of the closeness, or the distance once it has been measured.
    lower_or_distance: f64,
    measured: bool,
}

impl Candidate {
    fn lower(&self) -> f64 {
        if self.measured {
            self.upper
        } else {
            self.lower_or_distance
        }
    }
}

/// Candidates of one point, ruled out as soon as `k` others are certainly nearer.
#[derive(Debug, Clone)]
pub(super) struct Candidates {
    k: usize,
    entries: Vec<Candidate>,
    /// The `k`-th highest lower bound so far: what cannot reach it is out.
    needed: f64,
}

/// Distance of another point, and the closeness that belongs to it.
pub(super) trait Measure: Fn(usize) -> (f64, f64) {}

impl<F: Fn(usize) -> (f64, f64)> Measure for F {}

impl Candidates {
    pub(super) fn new(k: usize) -> Self {
        Self {
            k,
            entries: Vec::new(),
            needed: f64::NEG_INFINITY,
        }
    }

    /// What the upper bound of another candidate must reach.
    pub(super) fn needed(&self) -> f64 {
        self.needed
    }

    pub(super) fn add(&mut self, point: usize, upper: f64, lower: f64, measure: impl Measure) {
        if upper < self.needed {
            return;
        }
        self.entries.push(Candidate {
            point,
            upper,
            lower_or_distance: lower,
            measured: false,
        });
        if self.entries.len() >= self.limit() {
            self.rule_out();
            if self.entries.len() > self.k + self.k / 4 + 4 {
                self.rule_out_measured(measure);
            }
        }
    }

    /// So many that most calls of [`Candidates::add`] do no more than push.
    fn limit(&self) -> usize {
        self.k + self.k / 2 + 8
    }

    /// Drops what `k` others certainly beat.
    fn rule_out(&mut self) {
        if self.k == 0 || self.entries.len() <= self.k {
            return;
        }
        let mut lower: Vec<f64> = self.entries.iter().map(Candidate::lower).collect();
        let (_, &mut kth, _) = lower.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        self.needed = self.needed.max(kth);
        let needed = self.needed;
        self.entries.retain(|entry| entry.upper >= needed);
    }

    /// Where the bounds cannot tell candidates apart, distances do: keeps the `k` nearest, of
    /// equally near points the first.
    fn rule_out_measured(&mut self, measure: impl Measure) {
        let mut measured: Vec<(f64, usize, f64)> = self
            .entries
            .iter()
            .map(|entry| {
                if entry.measured {
                    (entry.lower_or_distance, entry.point, entry.upper)
                } else {
                    let (distance, closeness) = measure(entry.point);
                    (distance, entry.point, closeness)
                }
            })
            .collect();
        measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        measured.truncate(self.k);
        self.entries.clear();
        for (distance, point, closeness) in measured {
            self.entries.push(Candidate {
                point,
                upper: closeness,
                lower_or_distance: distance,
                measured: true,
            });
        }
        // An equally near point must still get in: it may come first.
        let furthest = self
            .entries
            .last()
            .map_or(f64::NEG_INFINITY, Candidate::lower);
        self.needed = furthest - 1e-12 * furthest.abs();
    }

    /// What is left, with distances.
    pub(super) fn into_distances(mut self, measure: impl Measure) -> Vec<(f64, usize)> {
        self.rule_out();
        self.entries
            .into_iter()
            .map(|entry| {
                if entry.measured {
                    (entry.lower_or_distance, entry.point)
                } else {
                    (measure(entry.point).0, entry.point)
                }
            })
            .collect()
    }
}
