//! The Dawid–Skene model per pixel, where neighbouring pixels tend to have one class.
//!
//! The truth is a Potts field on the four neighbours N(i) of each pixel, as proposed for STAPLE (S.
//! Warfield, K. Zou, W. Wells, IEEE Transactions on Medical Imaging 23, 2004, section on spatial
//! homogeneity, doi:10.1109/TMI.2004.828354), and its posterior is found by the mean field (G.
//! Celeux, F. Forbes, N. Peyrard, Pattern Recognition 36, 2003, doi:10.1016/S0031-3203(02)00027-4)
//! instead of Besag's iterated conditional modes (J. Besag, Journal of the Royal Statistical Society B
//! 48, 1986, doi:10.1111/j.2517-6161.1986.tb01412.x), which decides each pixel at once and cannot
//! take it back:
//!
//! ```text
//! P(truth)  ∝ Π_i prior[truth i] Π_{i, j neighbours} exp(β [truth i = truth j])
//! E         w[i, k] ∝ prior[k] Π_a e[a, vote of a at i, k] exp(β Σ_{j ∈ N(i)} w[j, k])
//! ```
//!
//! E is repeated a few times per iteration, first on the dark and then on the light squares of a
//! chessboard, so that the order of pixels decides nothing. M and the stopping rule are those of
//! [`MaskDawidSkene`], where the stopping value gains the Potts term β Σ_{i, j} Σ_k w[i, k] w[j, k];
//! with β = 0 the answers are the same.
//!
//! Pixels without votes stay unlabelled; they support nothing in their neighbours.

use ndarray::{Array2, Array3, ArrayView2, Axis, Zip};
use rayon::prelude::*;

use super::dawid_skene::nothing;
use super::majority::shares;
use super::{MaskDawidSkene, MaskTie, VotePatterns, choose};
use crate::fusion::dawid_skene::{Expected, Model};
use crate::fusion::{FusionError, Reliability, add, check_iterations, check_option, normalise_log};

/// Rows that one thread takes at a time; fixed, so that sums never depend on the threads.
const BAND: usize = 64;

/// One confusion matrix per expert, how common the classes are, and a Potts field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmoothDawidSkene {
    /// The model without the field.
    pub model: MaskDawidSkene,
    /// How much each neighbour adds to the logarithm of its class's odds (β), 0 or more.
    pub strength: f64,
    /// How often each pixel is renewed per iteration.
    pub sweeps: usize,
}

impl Default for SmoothDawidSkene {
    /// Strength 1: four neighbours for sure outweigh one vote of an expert who is right in 98 %
    /// of pixels of two classes; 5 sweeps.
    fn default() -> Self {
        Self {
            model: MaskDawidSkene::default(),
            strength: 1.0,
            sweeps: 5,
        }
    }
}

/// What the votes and the neighbours say together.
#[derive(Debug, Clone, PartialEq)]
pub struct SmoothConsensus {
    /// The chosen class of each pixel, \[height, width\]; 255 is unlabelled.
    pub mask: Array2<u8>,
    /// Probability of each class, \[height, width, classes\]; zero without votes.
    pub posterior: Array3<f32>,
    /// How far each expert can be trusted: [`Reliability::Confusion`].
    pub reliability: Reliability,
    /// Number of iterations that were run.
    pub iterations: usize,
    /// Whether the rule's own criterion was met.
    pub converged: bool,
}

impl SmoothDawidSkene {
    /// Fits the model to one image: its patterns and the picture of them.
    ///
    /// # Errors
    /// No votes at all; patterns of other images too; an option outside its range.
    pub fn fuse(
        &self,
        patterns: &VotePatterns,
        map: ArrayView2<'_, u32>,
    ) -> Result<SmoothConsensus, FusionError> {
        let valid = |strength: f64| strength >= 0.0 && strength.is_finite();
        check_option("strength", self.strength, valid, "finite and 0 or more")?;
        check_iterations("sweeps", self.sweeps)?;
        check_map(patterns, map)?;

        let mut field = Field::new(patterns, map);
        let fit = self.model.fit(patterns, |_, model| {
            match model {
                None => field.fill(&shares(patterns, |_, _| 1.0)),
                Some(model) => {
                    let logs = log_likelihoods(patterns, model);
                    for _ in 0..self.sweeps {
                        field.sweep(&logs, self.strength);
                    }
                }
            }
            field.sums(self.strength)
        })?;
        let posterior = field.posterior();
        let mask = field.mask(&posterior, self.model.tie);
        Ok(SmoothConsensus {
            mask,
            posterior,
            reliability: fit.reliability,
            iterations: fit.iterations,
            converged: fit.converged,
        })
    }
}

/// The patterns must be those of the picture and of nothing else.
fn check_map(patterns: &VotePatterns, map: ArrayView2<'_, u32>) -> Result<(), FusionError> {
    let mut counts = vec![0; patterns.len()];
    for &pattern in &map {
        if let Some(count) = counts.get_mut(pattern as usize) {
            *count += 1;
        }
    }
    let found = counts.iter().sum::<u64>() as usize;
    let same = (0..patterns.len()).all(|pattern| counts[pattern] == patterns.count(pattern));
    if same && found == map.len() {
        return Ok(());
    }
    let expected: u64 = (0..patterns.len())
        .map(|pattern| patterns.count(pattern))
        .sum();
    Err(FusionError::Count {
        what: "pixels in the picture of patterns (give this image's patterns alone)",
        found,
        expected: expected as usize,
    })
}

/// ln prior Π_a e of each pattern, \[patterns, classes\].
fn log_likelihoods(patterns: &VotePatterns, model: &Model) -> Array2<f64> {
    let classes = patterns.classes();
    let mut logs = Array2::zeros((patterns.len(), classes));
    for (pattern, mut row) in logs.rows_mut().into_iter().enumerate() {
        for (truth, log) in row.iter_mut().enumerate() {
            let errors = patterns.given(pattern).map(|(expert, vote)| {
                model.log_errors[(expert * classes + vote) * classes + truth]
            });
            *log = model.log_prior[truth] + errors.sum::<f64>();
        }
    }
    logs
}

/// The probabilities of all pixels, as the two colours of a chessboard: the pixel at (y, x) is
/// square x / 2 of row y of colour (x + y) % 2. Its four neighbours are of the other colour.
struct Field<'a> {
    patterns: &'a VotePatterns,
    map: ArrayView2<'a, u32>,
    /// Whether a pattern has votes.
    voted: Vec<bool>,
    /// \[height, half the width, classes\] of each colour.
    squares: [Vec<f32>; 2],
}

impl<'a> Field<'a> {
    fn new(patterns: &'a VotePatterns, map: ArrayView2<'a, u32>) -> Self {
        let numbers = map.nrows() * map.ncols().div_ceil(2) * patterns.classes();
        Self {
            patterns,
            map,
            voted: (0..patterns.len())
                .map(|pattern| patterns.given(pattern).next().is_some())
                .collect(),
            squares: [vec![0.0; numbers], vec![0.0; numbers]],
        }
    }

    /// Squares per row.
    fn half(&self) -> usize {
        self.map.ncols().div_ceil(2)
    }

    /// The probabilities of a pixel; zero without votes.
    fn at(&self, y: usize, x: usize) -> &[f32] {
        let classes = self.patterns.classes();
        &self.squares[(x + y) % 2][(y * self.half() + x / 2) * classes..][..classes]
    }

    /// Gives every pixel with votes the probabilities of its pattern.
    fn fill(&mut self, of_pattern: &Array2<f64>) {
        for colour in 0..2 {
            self.renew(colour, |field, y, squares| {
                field.each(y, colour, squares, |pattern, _, square| {
                    for (value, &share) in square.iter_mut().zip(of_pattern.row(pattern)) {
                        *value = share as f32;
                    }
                });
            });
        }
    }

    /// One mean-field update of every pixel.
    fn sweep(&mut self, logs: &Array2<f64>, strength: f64) {
        for colour in 0..2 {
            self.renew(colour, |field, y, squares| match field.patterns.classes() {
                2 => field.sweep_row::<2>(y, colour, squares, logs, strength),
                3 => field.sweep_row::<3>(y, colour, squares, logs, strength),
                4 => field.sweep_row::<4>(y, colour, squares, logs, strength),
                _ => field.sweep_row::<0>(y, colour, squares, logs, strength),
            });
        }
    }

    /// Updates the squares of a row.
    ///
    /// In most of an image neighbouring pixels of one pattern have the same neighbourhood, to the last
    /// bit: exponentials are computed where that changes only.
    fn sweep_row<const CLASSES: usize>(
        &self,
        y: usize,
        colour: usize,
        squares: &mut [f32],
        logs: &Array2<f64>,
        strength: f64,
    ) {
        let classes = self.classes::<CLASSES>();
        let length = self.half() * classes;
        let nothing = vec![0.0; length];
        let row = |y: usize| match y < self.map.nrows() {
            true => &self.squares[1 - colour][y * length..][..length],
            false => &nothing[..],
        };
        let (above, beside, below) = (row(y.wrapping_sub(1)), row(y), row(y + 1));
        let odd = (y + colour) % 2;
        let mut support = vec![0.0; classes];
        // The last pixel's pattern, support and probabilities.
        let (mut known, mut known_support) = (usize::MAX, vec![0.0; classes]);
        let mut fresh = vec![0.0; classes];
        let mut rounded = vec![0.0_f32; classes];
        self.each(y, colour, squares, |pattern, square, into| {
            let of =
                |row: &[f32], square: usize, class: usize| f64::from(row[square * classes + class]);
            let (left, right) = ((square + odd).checked_sub(1), square + odd);
            for (class, sum) in support[..classes].iter_mut().enumerate() {
                *sum = of(above, square, class) + of(below, square, class);
                if let Some(left) = left {
                    *sum += of(beside, left, class);
                }
                if (right + 1) * classes <= length {
                    *sum += of(beside, right, class);
                }
            }
            if pattern != known || support[..classes] != known_support[..classes] {
                known = pattern;
                known_support.copy_from_slice(&support);
                for (class, value) in fresh.iter_mut().enumerate() {
                    *value = logs[[pattern, class]] + strength * support[class];
                }
                normalise_log(&mut fresh);
                for (value, &fresh) in rounded.iter_mut().zip(&fresh) {
                    *value = fresh as f32;
                }
            }
            for (into, &value) in into[..classes].iter_mut().zip(&rounded[..classes]) {
                *into = value;
            }
        });
    }

    /// The number of classes: `CLASSES`, or any if that is 0. For the usual numbers the compiler then
    /// unrolls the loops over them.
    #[inline(always)]
    fn classes<const CLASSES: usize>(&self) -> usize {
        match CLASSES {
            0 => self.patterns.classes(),
            _ => CLASSES,
        }
    }

    /// Calls `update` for the squares of a row whose pixels have votes: their pattern, their place in
    /// the row and their probabilities.
    #[inline(always)]
    fn each(
        &self,
        y: usize,
        colour: usize,
        squares: &mut [f32],
        mut update: impl FnMut(usize, usize, &mut [f32]),
    ) {
        let patterns = self.map.row(y);
        let columns = ((y + colour) % 2..patterns.len()).step_by(2);
        let squares = squares.chunks_exact_mut(self.patterns.classes());
        for ((square, probabilities), x) in squares.enumerate().zip(columns) {
            let pattern = patterns[x] as usize;
            if self.voted[pattern] {
                update(pattern, square, probabilities);
            }
        }
    }

    /// Writes new probabilities into the squares of one colour, which are not to be read meanwhile, row
    /// by row.
    fn renew(&mut self, colour: usize, update: impl Fn(&Self, usize, &mut [f32]) + Sync) {
        let row = (self.half() * self.patterns.classes()).max(1);
        let mut squares = std::mem::take(&mut self.squares[colour]);
        let field = &*self;
        squares
            .par_chunks_mut(row)
            .enumerate()
            .for_each(|(y, squares)| update(field, y, squares));
        self.squares[colour] = squares;
    }

    /// Sums over the pixels; the entropy includes the Potts term.
    fn sums(&self, strength: f64) -> Expected {
        let height = self.map.nrows();
        let bands: Vec<Expected> = (0..height.div_ceil(BAND))
            .into_par_iter()
            .map(|band| {
                let mut sums = nothing(self.patterns);
                for y in band * BAND..((band + 1) * BAND).min(height) {
                    match self.patterns.classes() {
                        2 => self.sum_row::<2>(y, strength, &mut sums),
                        3 => self.sum_row::<3>(y, strength, &mut sums),
                        4 => self.sum_row::<4>(y, strength, &mut sums),
                        _ => self.sum_row::<0>(y, strength, &mut sums),
                    }
                }
                sums
            })
            .collect();
        let mut total = nothing(self.patterns);
        for band in bands {
            add(&mut total.counts, &band.counts);
            add(&mut total.classes, &band.classes);
            total.entropy += band.entropy;
        }
        total
    }

    fn sum_row<const CLASSES: usize>(&self, y: usize, strength: f64, sums: &mut Expected) {
        let classes = self.classes::<CLASSES>();
        let width = self.map.ncols();
        let length = self.half() * classes;
        let patterns = self.map.row(y);
        let row = |y: usize, colour: usize| {
            let squares = &self.squares[colour % 2];
            &squares[(y * length).min(squares.len())..((y + 1) * length).min(squares.len())]
        };
        // The colours of this row's even and odd columns, and of the squares below them.
        let here = [row(y, y), row(y, y + 1)];
        let below = [row(y + 1, y + 1), row(y + 1, y)];
        // Pixels of one pattern in a row are added up first.
        let mut run = vec![0.0; classes];
        let mut known = vec![0.0_f32; classes];
        let (mut entropy, mut entropies, mut alike) = (0.0, 0.0, 0.0);
        for x in 0..width {
            let pattern = patterns[x] as usize;
            if !self.voted[pattern] {
                continue;
            }
            let pixel = &here[x % 2][x / 2 * classes..][..classes];
            for (sum, &probability) in run[..classes].iter_mut().zip(pixel) {
                *sum += f64::from(probability);
            }
            if patterns.get(x + 1) != Some(&patterns[x]) {
                add(&mut sums.classes, &run);
                for (expert, vote) in self.patterns.given(pattern) {
                    let start = (expert * classes + vote) * classes;
                    add(&mut sums.counts[start..][..classes], &run);
                }
                run.fill(0.0);
            }
            if pixel != &known[..classes] {
                known.copy_from_slice(pixel);
                entropy = entropy_of(pixel);
            }
            entropies += entropy;
            let mut equal = |other: &[f32]| {
                for (&one, &other) in pixel.iter().zip(other) {
                    alike += f64::from(one) * f64::from(other);
                }
            };
            if let Some(right) = here[(x + 1) % 2].get(x.div_ceil(2) * classes..) {
                equal(right);
            }
            if let Some(below) = below[x % 2].get(x / 2 * classes..) {
                equal(below);
            }
        }
        sums.entropy += entropies + strength * alike;
    }

    fn posterior(&self) -> Array3<f32> {
        let (height, width) = self.map.dim();
        let classes = self.patterns.classes();
        let mut posterior = Array3::zeros((height, width, classes));
        let rows = posterior.as_slice_mut().unwrap_or_default();
        rows.par_chunks_mut((width * classes).max(1))
            .enumerate()
            .for_each(|(y, row)| {
                for (x, pixel) in row.chunks_exact_mut(classes).enumerate() {
                    pixel.copy_from_slice(self.at(y, x));
                }
            });
        posterior
    }

    fn mask(&self, posterior: &Array3<f32>, tie: MaskTie) -> Array2<u8> {
        Zip::from(self.map)
            .and(posterior.lanes(Axis(2)))
            .par_map_collect(|&pattern, probabilities| {
                let probabilities = probabilities.into_iter().map(|&value| f64::from(value));
                choose(probabilities, self.patterns.votes(pattern as usize), tie)
            })
    }
}

fn entropy_of(probabilities: &[f32]) -> f64 {
    let above = probabilities
        .iter()
        .filter(|&&probability| probability > 0.0);
    above
        .map(|&probability| -f64::from(probability) * f64::from(probability).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use cleanslide_data::UNLABELLED_CLASS;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::fusion::masks::MaskTie;

    /// A disc, drawn by three experts with salt and pepper, and its truth.
    fn noisy(size: (usize, usize), gaps: bool) -> (Vec<Array2<u8>>, Array2<u8>) {
        let truth = Array2::from_shape_fn(size, |(y, x)| {
            let (dy, dx) = (y as f64 - 20.0, x as f64 - 18.0);
            u8::from(dy * dy + dx * dx < 150.0)
        });
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let masks = (0..3)
            .map(|_| {
                truth.mapv(|class| match rng.random_range(0..20) {
                    0 if gaps => UNLABELLED_CLASS,
                    1..5 => 1 - class,
                    _ => class,
                })
            })
            .collect();
        (masks, truth)
    }

    fn patterns(masks: &[Array2<u8>]) -> (VotePatterns, Array2<u32>) {
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let mut patterns = VotePatterns::new(masks.len(), 2).unwrap();
        let map = patterns.add(&views).unwrap();
        (patterns, map)
    }

    #[test]
    fn without_strength_it_is_the_plain_model() {
        for size in [(41, 37), (1, 9), (9, 1), (40, 36)] {
            let (masks, _) = noisy(size, true);
            let (patterns, map) = patterns(&masks);
            let rule = SmoothDawidSkene {
                strength: 0.0,
                ..Default::default()
            };
            let smooth = rule.fuse(&patterns, map.view()).unwrap();
            let plain = rule.model.fuse(&patterns).unwrap();
            assert_eq!(smooth.iterations, plain.iterations);
            for ((y, x, class), &probability) in smooth.posterior.indexed_iter() {
                let expected = plain.posterior[[map[[y, x]] as usize, class]];
                // The field is in single precision.
                assert!((f64::from(probability) - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn neighbours_mend_noise() {
        let (masks, truth) = noisy((41, 37), true);
        let (patterns, map) = patterns(&masks);
        let wrong = |mask: &Array2<u8>| {
            let labels = mask.iter().zip(&truth);
            labels.filter(|(label, truth)| label != truth).count()
        };
        let rule = SmoothDawidSkene::default();
        let smooth = wrong(&rule.fuse(&patterns, map.view()).unwrap().mask);
        let plain = wrong(&rule.model.fuse(&patterns).unwrap().mask(map.view()));
        assert!(2 * smooth < plain, "{smooth} of {plain}");
    }

    #[test]
    fn nobody_votes_for_unlabelled_pixels() {
        let mask = ndarray::array![[1, 1, 1], [1, 255, 0], [1, 1, 1]];
        let (patterns, map) = patterns(&[mask.clone(), mask]);
        let consensus = SmoothDawidSkene::default()
            .fuse(&patterns, map.view())
            .unwrap();
        assert_eq!(consensus.mask[[1, 1]], UNLABELLED_CLASS);
        assert_eq!(consensus.posterior[[1, 1, 1]], 0.0);
    }

    #[test]
    fn threads_and_reflection_do_not_matter() {
        let (masks, _) = noisy((70, 37), true);
        let run = |masks: &[Array2<u8>]| {
            let (patterns, map) = patterns(masks);
            let mut rule = SmoothDawidSkene::default();
            rule.model.tie = MaskTie::LowestClass;
            rule.fuse(&patterns, map.view()).unwrap()
        };
        let pool = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
        };
        let one = pool(1).install(|| run(&masks));
        assert!(one == pool(3).install(|| run(&masks)));
        // A width of odd length keeps the colours.
        let turned: Vec<_> = masks
            .iter()
            .map(|m| m.slice(ndarray::s![.., ..;-1]).to_owned())
            .collect();
        let turned = run(&turned);
        for ((y, x, class), &probability) in one.posterior.indexed_iter() {
            assert!((turned.posterior[[y, 36 - x, class]] - probability).abs() < 1e-4);
        }
    }

    #[test]
    fn patterns_of_other_images_are_refused() {
        let (masks, _) = noisy((5, 6), false);
        let (mut patterns, map) = patterns(&masks);
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        patterns.add(&views).unwrap();
        let error = SmoothDawidSkene::default()
            .fuse(&patterns, map.view())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there are 30 pixels in the picture of patterns (give this image's patterns alone), \
             but 60 are needed"
        );
    }
}
